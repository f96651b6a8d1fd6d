//! The engines of this process pass the suite that every engine passes.

use std::process::ExitCode;

use libtest_mimic::Arguments;
use orlop_check::conformance::{Embedded, Memory, trials};

fn main() -> ExitCode {
    let mut all = trials(Memory);
    all.extend(trials(Embedded::default()));
    libtest_mimic::run(&Arguments::from_args(), all).exit_code()
}

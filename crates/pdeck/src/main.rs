//! PDeck: a personal task deck on Orlop. Registers its models and runs.

use std::process::ExitCode;

use orlop_server::Program;

fn main() -> ExitCode {
    Program::new(
        "pdeck",
        env!("CARGO_PKG_VERSION"),
        "A personal task deck: typed documents over HTTP, from one folder",
    )
    .run()
}

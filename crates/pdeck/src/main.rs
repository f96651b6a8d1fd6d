//! PDeck: a personal task deck on Orlop. Registers its models and runs.

use std::process::ExitCode;

use orlop_server::Program;
use pdeck::models::{Integration, Project, Task, User};

fn main() -> ExitCode {
    Program::new(
        "pdeck",
        env!("CARGO_PKG_VERSION"),
        "A personal task deck: typed documents over HTTP, from one folder",
    )
    .model::<User>()
    .model::<Task>()
    .model::<Project>()
    .model::<Integration>()
    .run()
}

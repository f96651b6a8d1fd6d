//! A program made of registered models: what `main` builds and runs.

use std::process::ExitCode;

use orlop::document::{Declaration, Document};

use crate::cli;

/// The service and command line over the models that are registered with it.
///
/// # Example
/// ```no_run
/// # #[allow(unused)]
/// fn main() -> std::process::ExitCode {
///     orlop_server::Program::new("deck", "0.1.0", "A deck of tasks").run()
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Program {
    name: &'static str,
    version: &'static str,
    about: &'static str,
    declarations: Vec<(&'static str, Declaration)>,
}

impl Program {
    /// A program without models. `name` is its command; in capitals it begins its variables.
    pub fn new(name: &'static str, version: &'static str, about: &'static str) -> Self {
        Self {
            name,
            version,
            about,
            declarations: Vec::new(),
        }
    }

    /// Registers a model: its collection is declared when the store is opened.
    #[must_use]
    pub fn model<T: Document>(mut self) -> Self {
        self.declarations
            .push((T::COLLECTION, T::declaration().clone()));
        self
    }

    /// Runs the command that the arguments name; `serve` when they name none.
    ///
    /// The code is 0, 1 after a failure, 2 when the command was misused.
    pub fn run(self) -> ExitCode {
        cli::run(&self)
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn version(&self) -> &'static str {
        self.version
    }

    pub(crate) fn about(&self) -> &'static str {
        self.about
    }

    /// What its variables of the environment begin with.
    pub(crate) fn prefix(&self) -> String {
        self.name.to_uppercase()
    }

    pub(crate) fn declarations(&self) -> impl Iterator<Item = (&'static str, &Declaration)> {
        self.declarations
            .iter()
            .map(|(name, declaration)| (*name, declaration))
    }
}

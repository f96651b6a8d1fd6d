//! HTTP service and command line over any registered Orlop models.
//!
//! [`Program`] is what an application's `main` builds: it registers models and runs. [`app::router`]
//! is the same service without a socket, for tests. The interface is described by
//! `/api/v1/openapi.json`.

mod answer;
pub mod app;
pub mod auth;
mod call;
mod cli;
mod edge;
pub mod ejson;
mod http;
pub mod ids;
pub mod logs;
pub mod metrics;
mod once;
mod problem;
mod program;
mod serve;
pub mod settings;
mod tokens;
mod writes;

pub use program::Program;

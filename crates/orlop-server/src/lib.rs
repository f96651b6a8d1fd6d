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

/// Readers of untrusted text, for fuzzing. Not part of the API.
#[doc(hidden)]
pub mod testing {
    /// What a query string asks for; none where the service answers 400.
    pub fn query_string(query: &str) -> Option<bson::Document> {
        let params = crate::call::params(query).ok()?;
        crate::http::query::fields_of(&params).ok()
    }
}

//! Logs: for people on a terminal, one JSON object a line otherwise. To standard error.

use std::io::IsTerminal as _;

use orlop::{Error, Result};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt};

/// How a log line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// `human` on a terminal, `json` otherwise.
    #[default]
    Auto,
    /// A line for people.
    Human,
    /// One JSON object a line.
    Json,
}

/// Starts logging at `level`: a word such as `info`, or targets such as `info,orlop=debug`.
///
/// # Errors
/// `Invalid` when the level does not parse.
pub fn start(level: &str, format: LogFormat) -> Result<()> {
    let targets: Targets = level.parse().map_err(|error| {
        Error::invalid(format!(
            "log level {level:?}: {error}; use error, warn, info, debug, trace or target=level"
        ))
    })?;
    let terminal = std::io::stderr().is_terminal();
    let json = match format {
        LogFormat::Auto => !terminal,
        LogFormat::Human => false,
        LogFormat::Json => true,
    };
    let colour = terminal && std::env::var_os("NO_COLOR").is_none();
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines = if json {
        lines.json().flatten_event(true).boxed()
    } else {
        lines.with_ansi(colour).boxed()
    };
    // A second start, as in tests, keeps the first.
    let _ = tracing_subscriber::registry()
        .with(lines.with_filter(targets))
        .try_init();
    Ok(())
}

//! What a command says beside its output: to standard error, coloured on a terminal only.

use std::io::{IsTerminal as _, Write as _};

use indicatif::{ProgressBar, ProgressStyle};

/// An error.
pub(super) fn complain(program: &str, message: &str) {
    let (red, plain) = if colours() {
        ("\x1b[31m", "\x1b[0m")
    } else {
        ("", "")
    };
    // A closed standard error leaves nobody to tell.
    let _ = writeln!(std::io::stderr(), "{red}{program}: {message}{plain}");
}

/// A remark.
pub(super) fn note(message: &str) {
    let (dim, plain) = if colours() {
        ("\x1b[2m", "\x1b[0m")
    } else {
        ("", "")
    };
    let _ = writeln!(std::io::stderr(), "{dim}{message}{plain}");
}

fn colours() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// Prints a line of output.
///
/// # Errors
/// `Unavailable` when standard output is closed.
pub(super) fn print(line: impl AsRef<[u8]>) -> orlop::Result<()> {
    let mut out = std::io::stdout().lock();
    let written = out
        .write_all(line.as_ref())
        .and_then(|()| out.write_all(b"\n"));
    written.map_err(|error| super::export::broken("standard output", &error))
}

/// A bar over `total` units on a terminal; hidden elsewhere.
pub(super) fn progress(total: Option<u64>, bytes: bool, quiet: bool) -> ProgressBar {
    if quiet || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let (bar, template) = match (total, bytes) {
        (Some(total), true) => (
            ProgressBar::new(total),
            "{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
        ),
        (Some(total), false) => (
            ProgressBar::new(total),
            "{bar:40} {pos}/{len} {per_sec} {eta}",
        ),
        (None, _) => (ProgressBar::new_spinner(), "{spinner} {pos} {per_sec}"),
    };
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

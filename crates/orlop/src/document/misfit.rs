//! Why a stored document does not fit its type: where, and what was expected there.
//!
//! Errors of serde pass through whatever format is read, as text, and often quote the value. Ours
//! travel between two marks; whatever is not between them is dropped, so no value gets out.

use serde::de::Error;

const OPEN: char = '\u{1}';
const MIDDLE: char = '\u{2}';
const CLOSE: char = '\u{3}';

/// The error of a value that is something else than expected.
pub fn expected<E: Error>(what: &str) -> E {
    E::custom(format_args!("{OPEN}{MIDDLE}{what}{CLOSE}"))
}

/// The error of what is at `step` (a name, or `[3]`) of something larger.
pub fn within<E: Error>(step: &str, error: &impl std::fmt::Display) -> E {
    let text = error.to_string();
    let (path, what) = parts(&text);
    let dot = if path.is_empty() || path.starts_with('[') {
        ""
    } else {
        "."
    };
    E::custom(format_args!("{OPEN}{step}{dot}{path}{MIDDLE}{what}{CLOSE}"))
}

/// The same error for people: `tags[3]: a string was expected`.
pub fn plain<E: Error>(error: &impl std::fmt::Display) -> E {
    let text = error.to_string();
    match parts(&text) {
        ("", what) => E::custom(what),
        (path, what) => E::custom(format_args!("{path}: {what}")),
    }
}

/// Path and expectation of an error's text.
fn parts(text: &str) -> (&str, &str) {
    let marked = text
        .split_once(OPEN)
        .and_then(|(_, rest)| rest.split_once(CLOSE))
        .and_then(|(inside, _)| inside.split_once(MIDDLE));
    marked.unwrap_or(("", "a value of another type was expected"))
}

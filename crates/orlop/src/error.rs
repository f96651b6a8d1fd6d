//! The one error of the crate: a kind to branch on, a message to read.

use std::fmt;

use crate::document::Revision;

/// The result of every fallible call of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, by what the caller can do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Nothing is there under that name, id or token.
    NotFound,
    /// A unique index already holds that value. Choose another one.
    AlreadyExists,
    /// A guard refused the batch; [`Error::refused`] says which. Read again, decide again, retry.
    Conflict,
    /// The input breaks a rule; [`Error::fields`] names the fields. Mend the input.
    Invalid,
    /// This engine or build cannot do that; the message names the remedy.
    Unsupported,
    /// The storage or a service is unavailable; [`Error::outcome`] says whether the write happened.
    Unavailable,
    /// Stored bytes are damaged; the message names what. Run `check`, restore a backup.
    Corrupt,
    /// The handle was closed, or its transaction ended.
    Closed,
    /// The caller may not do that.
    Denied,
    /// A bug of ours.
    Internal,
}

/// Whether a write that failed with [`ErrorKind::Unavailable`] took effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing was stored.
    NotApplied,
    /// It may have been stored: read before you retry.
    Unknown,
}

/// Why a guard refused its change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalReason {
    /// The guard needs a document and there is none.
    Missing,
    /// The guard needs no document and there is one.
    Exists,
    /// The stored revision is another one.
    Revision,
    /// The stored document does not match the guard's filter.
    Condition,
}

/// One refused change of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Position of the change in the batch.
    pub change: usize,
    /// Why.
    pub reason: RefusalReason,
    /// The revision stored now; none when the document is absent.
    pub stored: Option<Revision>,
}

/// One broken rule of one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// Path of the field, such as `tags[0]` or `preferences.theme`.
    pub field: String,
    /// The rule, such as `required`, `type`, `max_length`, `enum`.
    pub rule: String,
    /// A sentence for people. Never holds the value.
    pub message: String,
}

/// What went wrong. Branch on [`Error::kind`]; the message is for people and is not API.
///
/// One pointer wide, so that results stay small on the hot path.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    refused: Vec<Refusal>,
    fields: Vec<FieldError>,
    outcome: Option<Outcome>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of `kind`. The message is lower case, without a full stop, names the thing and
    /// the numbers, and never holds contents or secrets.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            refused: Vec::new(),
            fields: Vec::new(),
            outcome: None,
            source: None,
        }))
    }

    /// `Invalid` with this message.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    /// `Unsupported` with this message.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, message)
    }

    /// `NotFound` with this message.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    /// `Corrupt` with this message.
    pub fn corrupt(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Corrupt, message)
    }

    /// `Unavailable` with this message and outcome.
    pub fn unavailable(message: impl Into<String>, outcome: Outcome) -> Self {
        let mut error = Self::new(ErrorKind::Unavailable, message);
        error.0.outcome = Some(outcome);
        error
    }

    /// `Conflict`: the guards of a batch refused it.
    pub fn conflict(message: impl Into<String>, refused: Vec<Refusal>) -> Self {
        let mut error = Self::new(ErrorKind::Conflict, message);
        error.0.refused = refused;
        error
    }

    /// The same error with the broken rules of its fields.
    #[must_use]
    pub fn with_fields(mut self, fields: Vec<FieldError>) -> Self {
        self.0.fields = fields;
        self
    }

    /// The same error with the error that caused it.
    #[must_use]
    pub fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The same error with `context: ` in front of its message.
    #[must_use]
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.0.message = format!("{context}: {}", self.0.message);
        self
    }

    /// What the caller branches on.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The sentence for people.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The refused changes of a batch, for `Conflict`.
    pub fn refused(&self) -> &[Refusal] {
        &self.0.refused
    }

    /// The broken rules, for `Invalid`.
    pub fn fields(&self) -> &[FieldError] {
        &self.0.fields
    }

    /// Whether the write happened, for `Unavailable`.
    pub fn outcome(&self) -> Option<Outcome> {
        self.0.outcome
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.0.kind, self.0.message)?;
        if let Some(source) = &self.0.source {
            write!(f, " (caused by: {source})")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

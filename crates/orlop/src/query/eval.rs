//! The meaning of a filter: compiled once, then asked about many documents.

use bson::raw::RawDocument;
use bson::{DateTime, Document};

use super::Expr;
use crate::{Error, Result};

/// A compiled filter.
#[derive(Debug)]
pub struct Matcher {
    expr: Expr,
}

/// A document that matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Match {
    /// Index of the array element through which it matched: what `$` stands for in updates and
    /// projections.
    pub position: Option<usize>,
}

impl Matcher {
    /// Compiles a filter; its regular expressions too.
    ///
    /// # Errors
    /// `Invalid` when a regular expression does not compile.
    pub fn new(expr: &Expr) -> Result<Self> {
        Self::at(expr, DateTime::from_millis(0))
    }

    /// [`Matcher::new`] with the instant that `$$NOW` in `$expr` stands for.
    ///
    /// # Errors
    /// As [`Matcher::new`].
    pub fn at(expr: &Expr, _now: DateTime) -> Result<Self> {
        Ok(Self { expr: expr.clone() })
    }

    /// Whether the document matches.
    ///
    /// # Errors
    /// `Corrupt` when the document is not BSON; `Invalid` when a regular expression backtracks
    /// beyond its bound, or `$expr` fails.
    pub fn matches(&self, document: &RawDocument) -> Result<bool> {
        Ok(self.matches_at(document)?.is_some())
    }

    /// Whether an owned document matches.
    ///
    /// # Errors
    /// As [`Matcher::matches`].
    pub fn matches_document(&self, _document: &Document) -> Result<bool> {
        Err(Error::unsupported(format!("filter {:?}", self.expr)))
    }

    /// Whether, and through which array element, the document matches.
    ///
    /// # Errors
    /// As [`Matcher::matches`].
    pub fn matches_at(&self, _document: &RawDocument) -> Result<Option<Match>> {
        Err(Error::unsupported("filters"))
    }
}

//! Projections: which fields of a document are returned, in MongoDB's order.
//!
//! Knows: inclusion, exclusion, `$slice`, `$elemMatch` and the positional `.$`. Does not know:
//! computed fields, which are refused as unsupported.

mod apply;
mod parse;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use bson::Document;
use bson::raw::{RawDocument, RawDocumentBuf};

use crate::query::{Expr, Matcher};
use crate::{Error, Result};

/// Which fields of a document are returned.
#[derive(Clone)]
pub struct Projection {
    spec: Document,
    kind: Kind,
    tree: Parts,
    positional: bool,
}

/// What happens to fields the projection does not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// They are left out.
    Include,
    /// They are returned.
    Exclude,
}

/// The named fields of one level, in the order they were written.
type Parts = Vec<(String, Part)>;

/// What happens to one named field.
#[derive(Debug, Clone)]
enum Part {
    Keep,
    Drop,
    Slice(Slice),
    /// The first element that matches, wrapped as the only field, named like the projected one.
    ElemMatch(Arc<Matcher>),
    Positional,
    Below(Parts),
}

/// A part of an array.
#[derive(Debug, Clone, Copy)]
struct Slice {
    /// Elements left out; negative counts from the end. None: from the start, or the last ones
    /// when the limit is negative.
    skip: Option<i64>,
    limit: i64,
}

impl Projection {
    /// Reads a projection in MongoDB's syntax. `filter` is the filter it is used with.
    ///
    /// # Errors
    /// `Unsupported` naming an operator or expression that is not here; `Invalid` for what
    /// MongoDB refuses: inclusion mixed with exclusion, paths that collide, malformed paths.
    pub fn parse(spec: &Document, filter: Option<&Expr>) -> Result<Self> {
        let projection = parse::projection(spec)?;
        if projection.positional && filter.is_some_and(has_aggregation) {
            return Err(Error::invalid(
                "a positional projection does not go with $expr in the filter",
            ));
        }
        Ok(projection)
    }

    /// Whether it needs the array position the filter matched.
    pub fn is_positional(&self) -> bool {
        self.positional
    }

    /// The projection in MongoDB's syntax.
    pub fn to_document(&self) -> &Document {
        &self.spec
    }

    /// The named fields of a document.
    ///
    /// `matched` is the array position the filter matched, for `.$`.
    ///
    /// # Errors
    /// `Invalid` when a positional projection meets an array without the matched element; `Corrupt` when the
    /// document is not BSON.
    ///
    /// # Cost
    /// One pass over the document; the values that are returned are copied.
    pub fn project(
        &self,
        document: &RawDocument,
        matched: Option<usize>,
    ) -> Result<RawDocumentBuf> {
        apply::project(self.kind, &self.tree, document, apply::Scope::new(matched))
    }
}

impl fmt::Debug for Projection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Projection").field(&self.spec).finish()
    }
}

impl PartialEq for Projection {
    fn eq(&self, other: &Self) -> bool {
        // The rest is made from it.
        self.spec == other.spec
    }
}

/// Takes the fields at these paths out of a document, as the stage `$unset` does.
///
/// # Errors
/// `Invalid` for malformed or colliding paths.
pub(super) fn excluding(paths: &[&str]) -> Result<Projection> {
    let spec = paths
        .iter()
        .map(|path| ((*path).to_owned(), bson::Bson::Int32(0)))
        .collect();
    parse::projection(&spec)
}

fn has_aggregation(expr: &Expr) -> bool {
    match expr {
        Expr::Aggregation(_) => true,
        Expr::And(parts) | Expr::Or(parts) | Expr::Nor(parts) => parts.iter().any(has_aggregation),
        Expr::All | Expr::Field(..) => false,
    }
}

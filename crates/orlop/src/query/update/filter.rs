//! Array filters: which elements `$[name]` means.

use bson::Document;

use crate::{Error, Result};

use super::value::Value;

/// The array filters of an update.
#[derive(Debug, Clone, Default)]
pub(super) struct Filters {
    named: Vec<String>,
}

impl Filters {
    /// Parses array filters.
    ///
    /// # Errors
    /// `Invalid` when one has no single top-level name, or two have the same.
    pub(super) fn parse(filters: &[Document]) -> Result<Self> {
        if filters.is_empty() {
            return Ok(Self::default());
        }
        Err(Error::unsupported("arrayFilters"))
    }

    /// Whether there is a filter of that name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.named.iter().any(|named| named == name)
    }

    /// The names.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.named.iter().map(String::as_str)
    }

    /// Whether an element passes the filter of that name; the empty name passes all.
    pub(super) fn holds(&self, name: &str, _element: &Value<'_>) -> Result<bool> {
        Ok(name.is_empty())
    }
}

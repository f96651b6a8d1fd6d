//! The revision of a stored document.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Names one stored state of one document. Below 2^53, never used twice for the same id.
///
/// In the embedded engine it is the sequence number of the commit that wrote the document.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Revision(pub u64);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

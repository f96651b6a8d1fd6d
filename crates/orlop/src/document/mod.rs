//! What a document is: its id, revision, declared shape and rules. Pure: no I/O, no clock.

mod declaration;
mod revision;

pub use declaration::{CacheMode, Declaration, Direction, IndexSpec, Policy, Timestamps};
pub use revision::Revision;

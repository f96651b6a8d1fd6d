//! Bytes of documents and keys. Pure; docs/format.md describes every byte.

mod body;
pub mod keys;
mod merge;

pub use crate::document::{Known, Shape};
pub use body::Body;
pub use merge::merge;

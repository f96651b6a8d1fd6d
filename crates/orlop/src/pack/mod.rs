//! Bytes of documents and keys. Pure; docs/format.md describes every byte.

mod body;
pub mod keys;

pub use crate::document::{Known, Shape};
pub use body::Body;

//! Bytes of documents and keys. Pure; docs/format.md describes every byte.

mod body;

pub use body::{Body, Known, Shape};

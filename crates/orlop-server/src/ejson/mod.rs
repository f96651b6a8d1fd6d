//! MongoDB's Extended JSON v2: both forms read, either form written, straight from BSON bytes.
//!
//! Knows: the wrappers (`$oid`, `$numberLong`, ..), depth, duplicate names. Does not know: what the
//! documents mean; a query operator such as `$regex` stays a field.

mod read;
mod write;

pub use read::{DEPTH_MAX, document, value};
pub use write::{Hide, Style, write_document, write_value};

#[cfg(test)]
mod tests;

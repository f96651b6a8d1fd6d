//! Filters: MongoDB's syntax, and what it means.

mod bits;
mod compile;
mod eval;
mod parse;
mod path;
mod pattern;
mod translate;
mod write;

#[cfg(test)]
mod tests;

pub use eval::{Match, Matcher};
pub(crate) use parse::{is_condition, truth};

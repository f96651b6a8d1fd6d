//! Random documents, filters, sorts, projections and updates that meet each other often.
//!
//! A few field names, a small pool of values full of edges, and operands taken from the documents
//! themselves: so that conditions hold about as often as they fail. Some inputs are wrong on
//! purpose; whoever refuses them must refuse the same ones as MongoDB.

mod aggregation;
mod filter;
mod projection;
mod shrink;
mod update;
mod value;

pub use aggregation::expression;
pub use filter::{filter, predicate};
pub use projection::{projection, sort};
pub use shrink::shrink;
pub use update::{UpdateCase, update};
pub use value::{World, path, value};

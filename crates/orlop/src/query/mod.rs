//! What a filter, a sort, a projection and an update mean. Pure; MongoDB is the reference.

mod aggregation;
mod ast;
mod filter;
mod sort;
pub mod typed;
pub mod update;
pub mod value;

pub use aggregation::Program;
pub use ast::{Aggregation, ElemMatch, Expr, Path, Pattern, Pred, Projection, Sort};
pub use filter::{Match, Matcher};
pub use update::{Update, Updated};

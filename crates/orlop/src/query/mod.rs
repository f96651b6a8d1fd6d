//! What a filter, a sort, a projection and an update mean. Pure; MongoDB is the reference.

mod ast;
mod eval;
pub mod typed;
pub mod update;
pub mod value;

pub use ast::{Aggregation, ElemMatch, Expr, Path, Pattern, Pred, Projection, Sort};
pub use eval::{Match, Matcher};
pub use update::{Update, Updated};

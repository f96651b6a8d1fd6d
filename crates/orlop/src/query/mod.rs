//! What a filter, a sort, a projection and an update mean. Pure; MongoDB is the reference.

mod ast;
mod eval;
pub mod value;

pub use ast::{Aggregation, ElemMatch, Expr, Path, Pattern, Pred, Projection, Sort, Update};
pub use eval::{Match, Matcher};

//! What a filter, a sort, a projection and an update mean. Pure; MongoDB is the reference.

mod aggregation;
mod ast;
mod filter;
mod merge_patch;
pub mod project;
mod sort;
pub mod typed;
pub mod update;
pub mod value;

pub use aggregation::Program;
pub use ast::{Aggregation, ElemMatch, Expr, Path, Pattern, Pred, Sort};
pub use filter::{Match, Matcher};
pub use merge_patch::merge_patch;
pub use project::Projection;
pub use update::{Update, Updated, update_fields};

//! Filters, sorts and updates typed by the document they are of: skins over the syntax tree.
//!
//! A [`Filter<Task>`] is made from the fields of `Task` and of nothing else, and each field takes
//! only values of its type.

mod array;
mod field;
mod filter;
mod operand;
mod option;
mod sort;
mod update;

pub use filter::Filter;
pub use operand::{Elements, Operand};
pub use sort::Sort;
pub use update::{Step, Update};

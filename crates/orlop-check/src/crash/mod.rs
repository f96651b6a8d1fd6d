//! Crashes: a workload whose every outcome can be told, a process to kill, folders to damage.
//!
//! Each writer owns its documents and does one operation after the other; what operation `n` of a
//! writer does follows from the seed alone. So after any crash the documents of a writer must be
//! those after the operations it was told were done, or after one more.

mod image;
mod life;
mod work;

pub use image::Image;
pub use life::{Expected, Life, Told, Writer, declare, live, matches, settings};
pub use work::{COLLECTIONS, Docs, Op, op};

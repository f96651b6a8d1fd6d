//! What a document is: its id, revision, declared shape and rules. Pure: no I/O, and no clock but
//! [`Timestamp::now`], which whoever creates a document calls.

mod date;
mod declaration;
mod declaration_form;
mod field;
mod id;
mod misfit;
mod model;
mod revision;
pub mod schema;
mod shape;
#[doc(hidden)]
pub mod support;
mod timestamp;
mod value;
mod values;
mod variants;

pub use date::Date;
pub use declaration::{CacheMode, Declaration, Direction, IndexSpec, Policy, Timestamps};
pub use field::{Array, At, Field, Opaque, OptField};
pub use id::{Id, Key};
pub use model::{Document, Now, OnDelete, Reference, VariantOf, decode, encode, value_of};
pub use revision::Revision;
pub use shape::{Known, Shape};
pub use timestamp::Timestamp;
pub use value::{Nullable, Number, Ordered, Text, Value, Whole};

pub use orlop_derive::{Document, Embedded, Value};

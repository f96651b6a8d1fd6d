//! Orlop: typed documents, conditional and transactional writes, and a cache
//! that is never stale by accident.
//!
//! A module uses only those before it: `document` < `query`, `pack` < `engine`
//! < `cache` < `collection`. ARCHITECTURE.md is the map.

pub mod cache;
pub mod collection;
#[doc(hidden)]
pub mod defences;
pub mod document;
pub mod engine;
mod error;
pub mod pack;
pub mod query;

/// The BSON types of the public interface: `bson::doc!`, `Bson`, `Document`, `oid::ObjectId`.
pub use bson;
pub use cache::Doc;
pub use collection::{Collection, Orlop, Settings};
pub use document::{Date, Document, Embedded, Id, Revision, Timestamp, Value};
pub use error::{Error, ErrorKind, FieldError, Outcome, Refusal, RefusalReason, Result};

/// The pages of the guide, compiled and run as tests.
#[cfg(doctest)]
mod guide {
    #[doc = include_str!("../../../docs/guide/1-first-steps.md")]
    struct FirstSteps;
    #[doc = include_str!("../../../docs/guide/2-queries.md")]
    struct Queries;
    #[doc = include_str!("../../../docs/guide/3-writes-and-transactions.md")]
    struct Writes;
    #[doc = include_str!("../../../docs/guide/4-the-cache.md")]
    struct TheCache;
    #[doc = include_str!("../../../docs/guide/5-coming-from-mongoose.md")]
    struct Mongoose;
}

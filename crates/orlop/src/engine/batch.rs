//! The one write primitive: a batch of guarded changes.

use std::sync::Arc;
use std::time::Instant;

use bson::Bson;

use super::Tag;
use crate::document::Revision;
use crate::pack::{Body, Shape};
use crate::query::{Expr, Update};

/// Number of a commit. Rises by at least one with each.
pub type Seq = u64;

/// When a commit is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Durability {
    /// After it is on disk (fsync). Survives loss of power.
    #[default]
    Sync,
    /// After the operating system has it. Survives a crash of the process.
    Os,
    /// At once. Survives nothing; written out within a second.
    Memory,
}

/// What must hold of the stored document for a change to apply.
#[derive(Debug, Clone)]
pub enum Guard {
    /// Nothing.
    Any,
    /// There is none.
    Absent,
    /// There is one.
    Present,
    /// It is at this revision.
    Revision(Revision),
    /// It matches this filter; a missing document is refused as missing.
    Matches(Expr),
}

/// A document to store.
#[derive(Debug, Clone)]
pub struct Put {
    /// The whole document, `_id` first. A `_v` in it is ignored.
    pub document: bson::RawDocumentBuf,
    /// When some, fields outside this shape are kept from the stored document, and values that the
    /// stored one says in another way (`8` and `8.0`, null and missing) stay as stored.
    /// None replaces the whole.
    pub keep: Option<&'static Shape>,
}

/// What a change does.
#[derive(Debug, Clone)]
pub enum Action {
    /// Stores a document.
    Put(Put),
    /// Updates the stored document in place; with `upsert` creates it when absent.
    Update {
        /// The update, parsed.
        update: Arc<Update>,
        /// Creates the document when absent.
        upsert: bool,
    },
    /// Deletes the document. Deleting what is absent is no error.
    Delete,
    /// Removes every document of the collection; its declaration stays. The id is ignored.
    Truncate,
    /// Removes the collection with its declaration. The id is ignored.
    Drop,
}

/// One change of a batch.
#[derive(Debug, Clone)]
pub struct Change {
    /// The collection; created when a document is first put into it.
    pub collection: Arc<str>,
    /// The document's id.
    pub id: Bson,
    /// What must hold.
    pub guard: Guard,
    /// What to do.
    pub action: Action,
}

/// A clock to move without changing data: cached copies under it are not used again.
#[derive(Debug, Clone)]
pub enum Touch {
    /// One document.
    Document(Arc<str>, Bson),
    /// One scope: its paths and their values.
    Scope(Arc<str>, Vec<(String, Bson)>),
    /// Everything of a collection.
    Collection(Arc<str>),
    /// Everything.
    All,
}

/// Changes that happen together or not at all, in order; a guard sees the earlier ones.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// The changes.
    pub changes: Vec<Change>,
    /// Clocks to move besides those of the changes.
    pub touches: Vec<Touch>,
    /// When to acknowledge.
    pub durability: Durability,
    /// Refuse it as `Unavailable` (not applied) when it is still waiting at this moment.
    pub deadline: Option<Instant>,
    /// Who wrote it, for the feed. Free text, short.
    pub origin: Option<Arc<str>>,
    /// Store documents as given: no timestamps, no defaults. For imports and restores.
    pub verbatim: bool,
    /// Refuse it as `Conflict` when one of these clocks has moved: what a transaction has read.
    pub unmoved: Option<Unmoved>,
}

/// Clocks that must stand where a snapshot saw them. Engines without clocks of their own answer
/// `Unsupported`.
#[derive(Debug, Clone)]
pub struct Unmoved {
    /// The clocks, each with its collection's name.
    pub tags: Vec<(Tag, Arc<str>)>,
    /// The commit the snapshot sees.
    pub since: Seq,
}

/// What a change did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// There was none; there is one.
    Inserted,
    /// The stored document changed.
    Updated,
    /// The document is as it was; its revision did not move.
    Unchanged,
    /// There was one; there is none.
    Deleted,
    /// There was none to update or delete.
    Missing,
    /// A whole collection was emptied or dropped.
    Collection,
}

/// The outcome of one change.
#[derive(Debug, Clone)]
pub struct Applied {
    /// What it did.
    pub effect: Effect,
    /// The document's revision afterwards; none when it is absent.
    pub revision: Option<Revision>,
    /// The document afterwards; none when it is absent, or the engine does not say.
    pub document: Option<Body>,
}

/// A committed batch, to its writer.
#[derive(Debug, Clone)]
pub struct Commit {
    /// Its number.
    pub seq: Seq,
    /// One outcome a change, in order.
    pub applied: Vec<Applied>,
}

/// A position in the feed: opaque bytes, valid in one incarnation of one store.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Resume(pub Vec<u8>);

/// A committed batch, in the feed.
#[derive(Debug, Clone)]
pub struct Committed {
    /// Resumes behind this batch.
    pub resume: Resume,
    /// Its number.
    pub seq: Seq,
    /// When it was committed, milliseconds since 1970 by the wall clock. For people; nothing compares it.
    pub at_ms: i64,
    /// Who wrote it.
    pub origin: Option<Arc<str>>,
    /// What changed. A change without effect is not there.
    pub changes: Vec<CommittedChange>,
}

/// One change in the feed.
#[derive(Debug, Clone)]
pub struct CommittedChange {
    /// The collection.
    pub collection: Arc<str>,
    /// The document's id; null for a whole collection.
    pub id: Bson,
    /// The document before; none when it was absent.
    pub before: Option<Body>,
    /// The document after; none when it is absent.
    pub after: Option<Body>,
    /// What happened.
    pub effect: Effect,
}

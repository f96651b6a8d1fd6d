//! What an engine is: reads, snapshots, guarded batches, the feed. See docs/format.md for storage.

mod batch;
mod clocks;
pub(crate) mod kv;
mod local;
#[allow(dead_code)]
pub(crate) mod log;
#[allow(dead_code)]
pub(crate) mod plan;
pub(crate) mod records;

/// The seam below the log, for tests that lose power and fill disks. Not part of the API.
#[doc(hidden)]
pub mod testing {
    pub use super::log::disk::{Disk, DiskFile, RealDisk, Space};
    pub use super::log::faulty::{Crash, FaultyDisk};

    /// A record of the log, read and written again.
    ///
    /// # Errors
    /// What reading it refuses.
    pub fn recode(seq: super::Seq, bytes: &bytes::Bytes) -> crate::Result<Vec<u8>> {
        let mut written = Vec::new();
        super::log::Record::decode(seq, bytes)?.encode(&mut written);
        Ok(written)
    }
}

use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bson::Bson;
use futures_util::Stream;

use crate::Result;
use crate::document::{Declaration, IndexSpec, Revision};
use crate::pack::Body;
use crate::query::{Expr, Projection, Sort};

pub use batch::{
    Action, Applied, Batch, Change, Commit, Committed, CommittedChange, Durability, Effect, Guard,
    Put, Resume, Seq, Touch, Unmoved,
};
pub use clocks::{Cell, Clocks, Tag, Tags};
pub use local::{Local, LocalSettings};

/// A boxed future of a result: what an object-safe asynchronous method returns.
pub type Reply<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;
/// Rows of a query. Holds its own snapshot, cursor or socket.
pub type Rows = Pin<Box<dyn Stream<Item = Result<Stored>> + Send>>;
/// Committed batches in order. Holds its own position.
pub type Feed = Pin<Box<dyn Stream<Item = Result<Committed>> + Send>>;

/// One stored document.
#[derive(Debug, Clone)]
pub struct Stored {
    /// The revision the engine gave it.
    pub revision: Revision,
    /// Its BSON, `_id` first and `_v` last. Shared, never copied by a read.
    pub body: Body,
}

/// What to read. `filter`, `sort` and `projection` mean what [`crate::query`] says.
#[derive(Debug, Clone)]
pub struct Query {
    /// The collection.
    pub collection: Arc<str>,
    /// Which documents.
    pub filter: Expr,
    /// In which order; ties, and the empty sort, by `_id`.
    pub sort: Sort,
    /// Which fields; all when none.
    pub projection: Option<Projection>,
    /// How many to pass over first.
    pub skip: u64,
    /// How many at most.
    pub limit: Option<u64>,
    /// Only documents behind this position of the sort: the sort's key values, then the id.
    pub after: Option<Vec<Bson>>,
}

/// How a query was, or would be, answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Explain {
    /// Stages from the outermost in, such as `LIMIT > SORT > FETCH > IXSCAN`.
    pub plan: String,
    /// Name of the index used; none for a scan of the collection. Several, joined by `, `, under an `$or`.
    pub index: Option<String>,
    /// The scanned bounds, readable.
    pub bounds: Vec<String>,
    /// Index keys looked at.
    pub keys_examined: u64,
    /// Documents looked at.
    pub documents_examined: u64,
    /// Documents returned.
    pub returned: u64,
}

/// State of one index.
#[derive(Debug, Clone, PartialEq)]
pub enum IndexState {
    /// Complete and used.
    Ready,
    /// Being built: documents done of documents there at the start.
    Building {
        /// Documents indexed so far.
        done: u64,
        /// Documents to index, as counted at the start.
        total: u64,
    },
    /// Could not be built, for this reason; not used.
    Failed(String),
}

/// One collection: what it declares and what it holds.
#[derive(Debug, Clone)]
pub struct CollectionInfo {
    /// Name.
    pub name: String,
    /// What was declared.
    pub declaration: Declaration,
    /// How many documents it holds.
    pub documents: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
    /// Its secondary indexes and their states.
    pub indexes: Vec<(IndexSpec, IndexState)>,
}

/// What `check` found.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Documents read.
    pub documents: u64,
    /// Index entries read.
    pub entries: u64,
    /// What is wrong, a sentence each, naming collection, document, index or file. Empty when clean.
    pub damage: Vec<String>,
}

/// What an engine can do. Data, so that asking costs nothing and a refusal can name the remedy.
#[derive(Debug, Clone)]
pub struct Capabilities {
    /// `memory`, `embedded`, `mongodb`, `remote`.
    pub engine: &'static str,
    /// Most changes in one atomic batch.
    pub batch_changes: usize,
    /// How long a snapshot may be held; `None` for ever.
    pub snapshot: Option<Duration>,
    /// Durability levels it honours.
    pub durability: &'static [Durability],
    /// Whether the feed carries the images before a change.
    pub before_images: bool,
    /// What to do where it is not enough.
    pub remedy: &'static str,
}

/// Reads, met by an engine ("now") and by its snapshots.
pub trait Read: Send + Sync {
    /// The documents of `ids`, in the order of `ids`.
    fn get_many<'a>(
        &'a self,
        collection: &'a str,
        ids: &'a [Bson],
    ) -> Reply<'a, Vec<Option<Stored>>>;
    /// The documents that match, in order.
    fn query(&self, query: Query) -> Reply<'_, Rows>;
    /// Runs an aggregation pipeline.
    fn aggregate<'a>(
        &'a self,
        collection: &'a str,
        pipeline: &'a [bson::Document],
    ) -> Reply<'a, Rows>;
    /// How many documents match.
    fn count(&self, query: Query) -> Reply<'_, u64>;
    /// How the query is answered; runs it.
    fn explain(&self, query: Query) -> Reply<'_, Explain>;
}

/// A consistent state of the whole store. Held open it blocks nobody.
pub trait Snapshot: Read {
    /// The last commit it sees; none when the engine has no commit number.
    fn seq(&self) -> Option<Seq>;
    /// What the collection declares as of this snapshot; the default when it declares nothing.
    /// No I/O.
    ///
    /// A declaration that changes is a commit: it takes a number, moves the clock of its
    /// collection with [`Clocks::advance_whole`], then becomes visible. So what was cached under
    /// the scopes and the policy of the old one is not used under the new one.
    fn declaration(&self, collection: &str) -> Arc<Declaration>;
}

/// A store. Object-safe; see `crates/orlop-check` for the suite that every engine passes.
pub trait Engine: Read + Debug + 'static {
    /// What it can do. No I/O.
    fn capabilities(&self) -> Capabilities;
    /// Applies a batch whole or not at all. The only way stored data changes.
    fn commit(&self, batch: Batch) -> Reply<'_, Commit>;
    /// The store as it is now, for consistent reads over collections.
    fn snapshot(&self) -> Reply<'_, Arc<dyn Snapshot>>;
    /// Committed batches behind `after`, then as they come; from now on when none.
    fn changes(&self, after: Option<Resume>) -> Reply<'_, Feed>;
    /// Where the feed stands now: `changes` behind it brings every later commit, and no earlier one.
    fn position(&self) -> Reply<'_, Resume>;
    /// Declares a collection; creates it when absent. Indexes build in the background.
    fn declare<'a>(
        &'a self,
        collection: &'a str,
        declaration: &'a Declaration,
    ) -> Reply<'a, CollectionInfo>;
    /// All collections: declarations, counts, bytes, index states.
    fn collections(&self) -> Reply<'_, Vec<CollectionInfo>>;
    /// Reads everything and verifies it.
    fn check(&self) -> Reply<'_, Report>;
    /// Whether the store answers.
    fn ping(&self) -> Reply<'_, ()>;
    /// Finishes what was accepted, syncs and closes.
    fn close(&self) -> Reply<'_, ()>;
    /// The clocks, when this engine moves them before a commit becomes visible.
    fn clocks(&self) -> Option<&Arc<Clocks>>;
}

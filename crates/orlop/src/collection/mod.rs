//! What the application holds: a store, its collections, transactions, snapshots.

mod bulk;
mod cursor;
mod distinct;
mod raw;
mod raw_write;
mod references;
mod transaction;
mod transaction_typed;
mod typed;

use std::fmt;
use std::sync::Arc;

use bson::Bson;

use crate::cache::trace;
use crate::cache::{Cache, CacheSettings, CacheStats};
use crate::document::Declaration;
use crate::engine::{
    Batch, CollectionInfo, Commit, Durability, Engine, Feed, Local, LocalSettings, Report, Resume,
    Snapshot, Touch,
};
use crate::{Error, Result};

pub use raw::{Paged, Raw};
pub use raw_write::{ManyWritten, UpdateMany, Written};
pub use transaction::{Tx, TxRaw};
pub use transaction_typed::TxCollection;
pub use typed::{Collection, Distinct, Edited, Event, Find, Refs, TypedPage, Watch};

/// How a store is opened. Plain data; `Default` suits a service on one machine.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The cache in front of the engine.
    pub cache: CacheSettings,
    /// When writes that name no durability are acknowledged. Default: after the fsync.
    pub durability: Durability,
    /// The store in this process.
    pub local: LocalSettings,
}

/// A store: the handle an application keeps. A clone is the same store.
///
/// # Example
/// ```
/// # let runtime = tokio::runtime::Runtime::new()?;
/// # runtime.block_on(async {
/// let db = orlop::Orlop::open("memory:").await?;
/// let notes = db.raw("notes");
/// notes.put(bson::doc! { "_id": 1, "text": "hello" }).await?;
/// assert!(notes.get(&bson::Bson::Int32(1)).await?.is_some());
/// # Ok::<(), orlop::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Orlop {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Arc<dyn Engine>,
    cache: Cache,
    durability: Durability,
    incarnation: u128,
    models: typed::Models,
}

impl Orlop {
    /// Opens the store at `location`: a folder, created when absent, or `memory:`.
    ///
    /// # Errors
    /// `Unavailable` when another process holds the folder, `Unsupported` when it is of a newer
    /// program or the location is of a kind this build has no engine for, `Corrupt` when damaged.
    ///
    /// # Cost
    /// Independent of the number of documents.
    pub async fn open(location: &str) -> Result<Self> {
        Self::open_with(location, Settings::default()).await
    }

    /// [`Orlop::open`] with settings.
    ///
    /// # Errors
    /// As [`Orlop::open`].
    pub async fn open_with(location: &str, settings: Settings) -> Result<Self> {
        let local = open_local(location, &settings.local)?;
        let incarnation = local.incarnation();
        Ok(Self::from_engine(Arc::new(local), incarnation, &settings))
    }

    /// A store over an engine of your own. `incarnation` sets this life of it apart in tokens.
    pub fn from_engine(engine: Arc<dyn Engine>, incarnation: u128, settings: &Settings) -> Self {
        let cache = Cache::new(Arc::clone(&engine), &settings.cache);
        Self {
            inner: Arc::new(Inner {
                engine,
                cache,
                durability: settings.durability,
                incarnation,
                models: typed::Models::default(),
            }),
        }
    }

    /// The engine under this store. Reads through it pass the cache by.
    pub fn engine(&self) -> &Arc<dyn Engine> {
        &self.inner.engine
    }

    /// The cache in front of the engine.
    pub fn cache(&self) -> &Cache {
        &self.inner.cache
    }

    /// How the cache served reads so far, and what it holds.
    pub fn cache_stats(&self) -> CacheStats {
        self.inner.cache.stats()
    }

    /// Sets this life of the store apart: every token and cursor carries it.
    pub fn incarnation(&self) -> u128 {
        self.inner.incarnation
    }

    pub(crate) fn models(&self) -> &typed::Models {
        &self.inner.models
    }

    /// The durability of writes that name none.
    pub fn durability(&self) -> Durability {
        self.inner.durability
    }

    /// A collection by name, with documents as BSON. Declared or not.
    pub fn raw(&self, name: impl Into<Arc<str>>) -> Raw {
        Raw::new(self.clone(), &name.into())
    }

    /// Applies a batch whole or not at all. Every other write of this crate is one of these.
    ///
    /// # Errors
    /// - `Conflict`: guards refused it; [`Error::refused`] lists them. Nothing happened.
    /// - `Invalid`, `AlreadyExists`: it breaks a rule of a collection. Nothing happened.
    /// - `Unavailable`: [`Error::outcome`] says whether it may have happened.
    ///
    /// # Cost
    /// One trip through the committer; with [`Durability::Sync`] one fsync, shared by all batches
    /// that wait together.
    pub async fn commit(&self, batch: Batch) -> Result<Commit> {
        // A batch over several collections goes by its first one.
        let first = batch.changes.first();
        let collection = first.map(|change| Arc::clone(&change.collection));
        let commit = self.commit_through(batch);
        trace::operation(collection.as_deref().unwrap_or(""), "commit", commit).await
    }

    async fn commit_through(&self, batch: Batch) -> Result<Commit> {
        let cache = &self.inner.cache;
        let noted = cache.before_commit(&batch).await?;
        let commit = self.inner.engine.commit(batch).await?;
        if let Some(noted) = noted {
            cache.after_commit(noted, &commit);
        }
        Ok(commit)
    }

    /// Declares a collection: indexes, schema, scopes, policies. Indexes build in the background.
    ///
    /// # Errors
    /// `Invalid` when the declaration contradicts itself.
    pub async fn declare(&self, name: &str, declaration: &Declaration) -> Result<CollectionInfo> {
        let declared = self.inner.engine.declare(name, declaration);
        trace::operation(name, "declare", declared).await
    }

    /// All collections with their declarations, counts and index states.
    ///
    /// # Errors
    /// `Unavailable` when the store does not answer.
    pub async fn collections(&self) -> Result<Vec<CollectionInfo>> {
        self.inner.engine.collections().await
    }

    /// Committed batches behind `after`, then as they come; from now on when none.
    ///
    /// # Errors
    /// `NotFound` when `after` is older than the history kept, or of another life of the store.
    pub async fn changes(&self, after: Option<Resume>) -> Result<Feed> {
        self.inner.engine.changes(after).await
    }

    /// Where the feed stands now: [`Orlop::changes`] behind it brings every later commit.
    ///
    /// Take it, read what is there, then follow from it: nothing is missed in between.
    ///
    /// # Errors
    /// `Closed` when the store is.
    pub async fn position(&self) -> Result<Resume> {
        self.inner.engine.position().await
    }

    /// The store as it is now, for consistent reads over collections. Blocks no writer.
    ///
    /// # Errors
    /// `Unavailable` when the store does not answer.
    pub async fn snapshot(&self) -> Result<Arc<dyn Snapshot>> {
        self.inner.engine.snapshot().await
    }

    /// Drops what is cached of one document, one scope, one collection or everything: the clocks
    /// move, nothing else.
    ///
    /// # Errors
    /// `Unavailable` when the store does not answer.
    pub async fn invalidate(&self, touch: Touch) -> Result<()> {
        let batch = Batch {
            touches: vec![touch],
            durability: Durability::Memory,
            ..Batch::default()
        };
        self.commit(batch).await.map(|_| ())
    }

    /// Reads everything and verifies it: checksums, documents, index entries, counts, the log.
    ///
    /// # Errors
    /// `Unavailable` when the store cannot be read at all. Damage is in the report, not an error.
    pub async fn check(&self) -> Result<Report> {
        self.inner.engine.check().await
    }

    /// Finishes what was accepted, syncs and closes. Later calls on any clone are `Closed`.
    ///
    /// # Errors
    /// `Unavailable` when the last sync failed.
    pub async fn close(&self) -> Result<()> {
        self.inner.engine.close().await
    }
}

impl fmt::Debug for Orlop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Orlop")
            .field("engine", &self.inner.engine)
            .finish_non_exhaustive()
    }
}

fn open_local(location: &str, settings: &LocalSettings) -> Result<Local> {
    if location == "memory:" {
        return Local::memory(settings);
    }
    if let Some((scheme, _)) = location.split_once("://") {
        return Err(Error::unsupported(format!(
            "this build has no engine for {scheme}:// stores; use a folder or memory:"
        )));
    }
    open_folder(location, settings)
}

#[cfg(feature = "embedded")]
fn open_folder(location: &str, settings: &LocalSettings) -> Result<Local> {
    Local::open(std::path::Path::new(location), settings)
}

#[cfg(not(feature = "embedded"))]
fn open_folder(_: &str, _: &LocalSettings) -> Result<Local> {
    Err(Error::unsupported(
        "this build has no folder engine; build with the feature embedded, or use memory:",
    ))
}

/// A new id, as MongoDB's drivers make them.
pub(crate) fn new_id() -> Bson {
    Bson::ObjectId(bson::oid::ObjectId::new())
}

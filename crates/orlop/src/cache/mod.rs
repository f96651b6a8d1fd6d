//! The cache in the process: documents, lists, counts, and what is known to be absent.
//!
//! A cached thing is valid if and only if none of its clocks moved since the snapshot it was read
//! at: `clock[tag] <= stamp`. The cache invents nothing, it stores what an engine returned with the
//! number of the snapshot that returned it, and no timer decides whether an entry is current.
//! The order of steps is in docs/consistency.md "Clocks".
//!
//! Knows: engines, snapshots, clocks, BSON bodies. Does not know: models (whoever reads a type
//! passes the function that decodes it), HTTP.

mod counters;
mod flight;
mod get;
mod hash;
mod key;
mod list;
mod many;
mod node;
mod page;
mod settings;
mod space;
mod store;
pub(crate) mod trace;
mod write;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::Result;
use crate::defences::Defence;
use crate::document::Declaration;
use crate::engine::{Clocks, Engine, Seq, Snapshot};
use crate::pack::Body;

pub use flight::answers;
pub use get::{Get, GetServed};
pub use key::IdRef;
pub use list::{Derived, Docs, Listed, Weighed};
pub use many::counts;
pub use node::Doc;
pub use page::Page;
pub use settings::{CacheSettings, Timer};
pub use space::Space;
pub use write::WriteThrough;

use counters::Counters;
use flight::Flights;
use space::Spaces;
use store::Store;

/// Makes a `T` of a stored document.
pub type Decode<T> = fn(&Body) -> Result<T>;

/// How a read was served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Served {
    /// From the cache; the engine was not asked.
    Hit,
    /// From the engine, and kept.
    Miss,
    /// From the engine; the collection is not cached, or the read cannot be.
    Bypass,
}

/// What a read promises. On an engine in this process all three are the strongest, and free.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Level {
    /// Linearizable per document; a list equals running its query at some instant inside the call.
    #[default]
    Strong,
    /// The caller's own writes, and never back in time.
    Session,
    /// Never older than this.
    Bounded(Duration),
}

/// Counts of one cache since it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CacheStats {
    /// Reads served without the engine.
    pub hits: u64,
    /// Reads that needed the engine, those that waited for another's load included.
    pub misses: u64,
    /// Entries found and not used because a clock had moved.
    pub stale_avoided: u64,
    /// Times the engine was asked.
    pub loads: u64,
    /// Entries held.
    pub entries: u64,
    /// Bytes held, bookkeeping included.
    pub bytes: u64,
    /// Most bytes held.
    pub bytes_max: u64,
}

/// A cache in front of an engine. Shared by all collections, bounded in bytes.
pub struct Cache {
    engine: Arc<dyn Engine>,
    /// None: the engine does not move clocks, so nothing can be cached here.
    clocks: Option<Arc<Clocks>>,
    store: Store,
    flights: Flights,
    spaces: Spaces,
    counters: Counters,
    timer: Timer,
}

impl Cache {
    /// A cache in front of `engine`. An engine without clocks is read through, never cached.
    pub fn new(engine: Arc<dyn Engine>, settings: &CacheSettings) -> Self {
        Self {
            clocks: engine.clocks().cloned(),
            engine,
            store: Store::new(settings),
            flights: Flights::default(),
            spaces: Spaces::default(),
            counters: Counters::default(),
            timer: settings.timer.clone(),
        }
    }

    /// The collection of this name. Get it once and keep it: reads take it.
    pub fn space(&self, collection: &str) -> Arc<Space> {
        self.spaces.of(collection)
    }

    /// The counters. Walks the parts of the cache; for people and metrics.
    pub fn stats(&self) -> CacheStats {
        CacheStats {
            hits: self.counters.hits.sum(),
            misses: self.counters.misses.sum(),
            stale_avoided: self.counters.stale_avoided.sum(),
            loads: self.counters.loads.sum(),
            entries: self.store.entries(),
            bytes: self.store.bytes(),
            bytes_max: self.store.bytes_max(),
        }
    }

    /// The published state, to read from and to stamp with; none when it has no number.
    async fn published(&self) -> Result<Option<Published>> {
        if self.clocks.is_none() {
            return Ok(None);
        }
        let snapshot = self.engine.snapshot().await?;
        Ok(snapshot.seq().map(|seq| Published { seq, snapshot }))
    }
}

impl Cache {
    /// What to stamp with that was read from a snapshot: its number, and no other.
    async fn stamp(&self, published: &Published) -> Result<Seq> {
        if Defence::StampIsTheSnapshots.stands() {
            return Ok(published.seq);
        }
        let later = self.published().await?;
        Ok(later.map_or(published.seq, |later| later.seq))
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

/// A snapshot with its number. Noted before anything is read, and what is read is stamped with it.
struct Published {
    seq: Seq,
    snapshot: Arc<dyn Snapshot>,
}

impl Published {
    fn declaration(&self, space: &Space) -> Arc<Declaration> {
        self.snapshot.declaration(&space.name)
    }
}

#[cfg(test)]
mod tests;

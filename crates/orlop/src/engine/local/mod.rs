//! The engine of one process: memory, or one folder. Both are this code over another store.
//!
//! Knows: batches, the catalog, indexes, recovery. Layout: docs/format.md. The committer owns every
//! write; readers hold one pointer and wait for nobody.

mod catalog;
mod change;
mod check;
mod committer;
mod feed;
mod folder;
mod group;
mod housekeeping;
mod prepare;
pub(crate) mod reads;
mod recovery;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use bson::{Bson, Document};
use tokio::sync::oneshot;

use super::kv::{Kv, MemoryKv};
use super::log::{Disk, Log, LogOptions, RealDisk};
use super::{
    Batch, Capabilities, Clocks, CollectionInfo, Commit, Durability, Engine, Explain, Feed, Query,
    Read, Reply, Report, Resume, Rows, Snapshot, Stored,
};
use crate::document::Declaration;
use crate::{Error, ErrorKind, Outcome, Result};
use catalog::Catalog;
use committer::{Committer, Published, Request, Shared};
use prepare::Prepared;

/// Name in the meta space: the number of the last commit the store holds.
const APPLIED: &str = "applied";

/// How a store in this process runs. Plain data; `Default` suits a service.
#[derive(Debug, Clone)]
pub struct LocalSettings {
    /// Memory for the blocks of the folder's files, in bytes. Default: 16 MiB.
    ///
    /// More makes cold reads faster; the cache in front holds whole documents and saves more.
    pub block_cache_bytes: u64,
    /// Free space under which writes are refused, in bytes. Default: 64 MiB; 0 switches it off.
    pub space_floor_bytes: u64,
    /// History kept for the change feed, in bytes. Default: 1 GiB (64 MiB for `memory:`).
    pub feed_bytes: u64,
    /// History kept for the change feed, in time. Default: 7 days.
    pub feed_age: Duration,
    /// Pause between rounds of upkeep (expiry, retention). Default: 30 s.
    pub upkeep_interval: Duration,
}

impl Default for LocalSettings {
    fn default() -> Self {
        Self {
            block_cache_bytes: 16 * 1024 * 1024,
            space_floor_bytes: 64 * 1024 * 1024,
            feed_bytes: 1024 * 1024 * 1024,
            feed_age: Duration::from_secs(7 * 24 * 60 * 60),
            upkeep_interval: Duration::from_secs(30),
        }
    }
}

/// An engine inside this process.
pub struct Local {
    name: &'static str,
    shared: Arc<Shared>,
    incarnation: u128,
    threads: Mutex<Option<Threads>>,
    folder: Option<PathBuf>,
    /// Held for as long as the store is open: no other process may open the folder.
    lock: Mutex<Option<std::fs::File>>,
}

struct Threads {
    committer: JoinHandle<()>,
    upkeep: JoinHandle<()>,
    nudge: SyncSender<()>,
}

impl Local {
    /// A store in memory, gone when it is dropped.
    ///
    /// # Errors
    /// `Unavailable` when the system gives no thread.
    pub fn memory(settings: &LocalSettings) -> Result<Self> {
        let log = Log::memory(settings.feed_bytes.min(64 * 1024 * 1024), 0);
        let parts = Parts {
            name: "memory",
            kv: Box::new(MemoryKv::default()),
            log,
            catalog: Catalog::default(),
            seq: 0,
            incarnation: folder::new_incarnation(),
            folder: None,
            lock: None,
            space_floor_bytes: 0,
        };
        Self::start(parts, settings)
    }

    /// The store in `folder`, created when absent. Replays what the last process left in the log.
    ///
    /// # Errors
    /// - `Unavailable`: another process holds the folder, or it cannot be read or written.
    /// - `Unsupported`: it was written by a newer program.
    /// - `Corrupt`: what it holds is damaged; the message names the file. Restore a backup.
    ///
    /// # Cost
    /// Independent of the number of documents; reads the log behind the last flush.
    #[cfg(feature = "embedded")]
    pub fn open(folder: &Path, settings: &LocalSettings) -> Result<Self> {
        Self::open_on(folder, settings, Arc::new(RealDisk))
    }

    /// [`Local::open`] with the log on a disk of the caller's, for tests that make it fail.
    #[cfg(feature = "embedded")]
    #[doc(hidden)]
    pub fn open_on(folder: &Path, settings: &LocalSettings, disk: Arc<dyn Disk>) -> Result<Self> {
        let held = folder::hold(folder)?;
        let kv = folder::open_pairs(folder, settings.block_cache_bytes)?;
        let options = LogOptions {
            retention_bytes: settings.feed_bytes,
            retention_age: settings.feed_age,
            ..LogOptions::default()
        };
        let recovered = recovery::recover(folder, kv, options, held.incarnation, disk)?;
        let parts = Parts {
            name: "embedded",
            kv: recovered.kv,
            log: recovered.log,
            catalog: recovered.catalog,
            seq: recovered.seq,
            incarnation: held.incarnation,
            folder: Some(folder.to_owned()),
            lock: Some(held.lock),
            space_floor_bytes: settings.space_floor_bytes,
        };
        Self::start(parts, settings)
    }

    fn start(parts: Parts, settings: &LocalSettings) -> Result<Self> {
        let published = Published {
            seq: parts.seq,
            view: parts.kv.view()?,
            catalog: Arc::new(parts.catalog),
        };
        let clocks = Arc::new(Clocks::starting_at(parts.seq));
        let shared = Arc::new(Shared::new(
            published,
            clocks,
            parts.log,
            parts.kv,
            parts.space_floor_bytes,
            settings.feed_bytes,
        ));
        let committer = Committer::new(Arc::clone(&shared));
        let committer = spawn("orlop-commit", move || committer.run())?;
        let (nudge, nudges) = std::sync::mpsc::sync_channel(1);
        let upkeep_shared = Arc::clone(&shared);
        let interval = settings.upkeep_interval;
        let upkeep = spawn("orlop-upkeep", move || {
            housekeeping::run(&upkeep_shared, interval, &nudges);
        })?;
        Ok(Self {
            name: parts.name,
            shared,
            incarnation: parts.incarnation,
            threads: Mutex::new(Some(Threads {
                committer,
                upkeep,
                nudge,
            })),
            folder: parts.folder,
            lock: Mutex::new(parts.lock),
        })
    }

    /// Sets this life of the store apart from any other; part of every token.
    pub fn incarnation(&self) -> u128 {
        self.incarnation
    }

    /// The folder, for a store that has one.
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// Bytes the store takes on disk, the log included; 0 in memory and after the close.
    ///
    /// # Cost
    /// Asks the file system about each file.
    pub fn disk_bytes(&self) -> u64 {
        let pairs = self.shared.with_kv(|kv| Ok(kv.disk_bytes())).unwrap_or(0);
        match self.folder {
            Some(_) => pairs + self.shared.log.bytes(),
            None => 0,
        }
    }

    fn now(&self) -> Result<Arc<Published>> {
        self.shared.now()
    }

    async fn submit(&self, batch: Prepared) -> Result<Commit> {
        let (answer, answered) = oneshot::channel();
        self.shared.push(Request::Batch(batch, answer))?;
        answered.await.map_err(|_| {
            Error::unavailable("the committer ended before it answered", Outcome::Unknown)
        })?
    }

    /// Wakes the upkeep thread. It sleeps at most its interval, so a full channel is fine.
    fn nudge(&self) {
        let threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(threads) = threads.as_ref() {
            let _ = threads.nudge.try_send(());
        }
    }

    fn stop(&self) -> Result<()> {
        let threads = self
            .threads
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(threads) = threads else {
            return Ok(());
        };
        self.shared.close();
        drop(threads.nudge);
        let ended = threads.committer.join().and(threads.upkeep.join());
        let last = self.shared.published.load().seq;
        let closed = recovery::close(&self.shared, last);
        self.shared.release();
        self.lock
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        match ended {
            Ok(()) => closed,
            Err(_) => Err(Error::new(
                ErrorKind::Internal,
                "a thread of the store panicked",
            )),
        }
    }
}

struct Parts {
    name: &'static str,
    kv: Box<dyn Kv>,
    log: Log,
    catalog: Catalog,
    seq: u64,
    incarnation: u128,
    folder: Option<PathBuf>,
    lock: Option<std::fs::File>,
    space_floor_bytes: u64,
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .map_err(|error| {
            Error::unavailable(
                format!("no thread for {name}: {error}"),
                Outcome::NotApplied,
            )
        })
}

impl Read for Local {
    fn get_many<'a>(
        &'a self,
        collection: &'a str,
        ids: &'a [Bson],
    ) -> Reply<'a, Vec<Option<Stored>>> {
        let found = self.now();
        let found = found.and_then(|published| reads::get_many(&published, collection, ids));
        Box::pin(std::future::ready(found))
    }

    fn query(&self, query: Query) -> Reply<'_, Rows> {
        let published = self.now();
        Box::pin(async move { reads::query(published?, query).await })
    }

    fn aggregate<'a>(&'a self, _: &'a str, _: &'a [Document]) -> Reply<'a, Rows> {
        Box::pin(std::future::ready(Err(reads::no_aggregation())))
    }

    fn count(&self, query: Query) -> Reply<'_, u64> {
        let published = self.now();
        Box::pin(async move { reads::count(published?, query).await })
    }

    fn explain(&self, query: Query) -> Reply<'_, Explain> {
        let published = self.now();
        Box::pin(async move { reads::explain(published?, query).await })
    }
}

impl Engine for Local {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            engine: self.name,
            batch_changes: prepare::CHANGES_MAX,
            snapshot: None,
            durability: match self.folder {
                Some(_) => &[Durability::Sync, Durability::Os, Durability::Memory],
                None => &[Durability::Memory],
            },
            before_images: true,
            remedy: "for aggregation pipelines, or more than one machine, use the mongodb engine",
        }
    }

    fn commit(&self, batch: Batch) -> Reply<'_, Commit> {
        Box::pin(async move {
            let whole = batch.changes.iter().any(|change| {
                matches!(change.action, super::Action::Truncate | super::Action::Drop)
            });
            let commit = self.submit(prepare::prepare(batch)?).await?;
            if whole {
                self.nudge();
            }
            Ok(commit)
        })
    }

    fn snapshot(&self) -> Reply<'_, Arc<dyn Snapshot>> {
        let snapshot = self.now().map(|published| {
            let snapshot: Arc<dyn Snapshot> = Arc::new(reads::LocalSnapshot(published));
            snapshot
        });
        Box::pin(std::future::ready(snapshot))
    }

    fn changes(&self, after: Option<Resume>) -> Reply<'_, Feed> {
        let feed = feed::open(&self.shared, self.incarnation, after);
        Box::pin(std::future::ready(feed))
    }

    fn position(&self) -> Reply<'_, Resume> {
        let position = feed::now(&self.shared, self.incarnation);
        Box::pin(std::future::ready(position))
    }

    fn declare<'a>(
        &'a self,
        collection: &'a str,
        declaration: &'a Declaration,
    ) -> Reply<'a, CollectionInfo> {
        Box::pin(async move {
            // An application declares its collections at every start: most change nothing.
            if !reads::declares(&*self.now()?, collection, declaration) {
                self.submit(prepare::prepare_declare(collection, declaration)?)
                    .await?;
                self.nudge();
            }
            reads::info(&*self.now()?, collection)?.ok_or_else(|| {
                Error::not_found(format!("collection {collection} was dropped meanwhile"))
            })
        })
    }

    fn collections(&self) -> Reply<'_, Vec<CollectionInfo>> {
        let found = self
            .now()
            .and_then(|published| reads::collections(&published));
        Box::pin(std::future::ready(found))
    }

    fn check(&self) -> Reply<'_, Report> {
        let published = self.now();
        let log = self.shared.log.clone();
        Box::pin(reads::blocking(move || check::check(&*published?, &log)))
    }

    fn ping(&self) -> Reply<'_, ()> {
        Box::pin(std::future::ready(self.shared.health()))
    }

    fn close(&self) -> Reply<'_, ()> {
        Box::pin(std::future::ready(self.stop()))
    }

    fn clocks(&self) -> Option<&Arc<Clocks>> {
        Some(&self.shared.clocks)
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        // Best effort: a caller who wants to know calls `close`.
        let _ = self.stop();
    }
}

impl fmt::Debug for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Local")
            .field("name", &self.name)
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

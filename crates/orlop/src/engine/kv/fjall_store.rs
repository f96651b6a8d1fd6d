//! One fjall keyspace. Its journal is never trusted: the log replays what it may have lost.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use fjall::{CompressionType, Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable};

use super::{KeyRange, Kv, Pair, Pairs, View, fjall_files};
use crate::{Error, Outcome, Result};

/// The store of the `embedded` engine.
pub(crate) struct FjallKv {
    database: Database,
    pairs: Keyspace,
}

impl FjallKv {
    /// Opens or creates the store in `folder`, with `cache_bytes` for its own block cache.
    pub(crate) fn open(folder: &Path, cache_bytes: u64) -> Result<Self> {
        fjall_files::check_manifests(folder)?;
        fjall_files::guarded(|| {
            let database = Database::builder(folder)
                .cache_size(cache_bytes)
                .manual_journal_persist(true)
                .journal_compression(CompressionType::None)
                .open()
                .map_err(store_error)?;
            let pairs = database.keyspace("pairs", options).map_err(store_error)?;
            Ok(Self { database, pairs })
        })
    }
}

/// Writes kept in memory before they become a file; one more of this size may be on its way there.
///
/// # Source
/// With fjall's own 64 MiB a bulk load took 50 MB more than docs/benchmarks.md promises.
const MEMTABLE_BYTES: u64 = 24 * 1024 * 1024;

fn options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default()
        .manual_journal_persist(true)
        .max_memtable_size(MEMTABLE_BYTES)
}

impl Kv for FjallKv {
    fn view(&self) -> Result<Arc<dyn View>> {
        Ok(Arc::new(FjallView {
            snapshot: self.database.snapshot(),
            pairs: self.pairs.clone(),
        }))
    }

    fn write(&self, pairs: &mut dyn Iterator<Item = (Bytes, Option<Bytes>)>) -> Result<()> {
        let mut batch = self.database.batch();
        for (key, value) in pairs {
            match value {
                Some(value) => batch.insert(&self.pairs, key, value),
                None => batch.remove(&self.pairs, key),
            }
        }
        batch.commit().map_err(store_error)
    }

    fn flush(&self) -> Result<()> {
        self.database
            .persist(PersistMode::SyncAll)
            .and_then(|()| self.pairs.rotate_memtable_and_wait())
            .map_err(store_error)
    }

    fn disk_bytes(&self) -> u64 {
        self.database.disk_space().unwrap_or(0)
    }
}

struct FjallView {
    snapshot: fjall::Snapshot,
    pairs: Keyspace,
}

impl View for FjallView {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        let value = self.snapshot.get(&self.pairs, key).map_err(store_error)?;
        Ok(value.map(Bytes::from))
    }

    fn range(&self, range: &KeyRange, reverse: bool) -> Pairs {
        if range.is_empty() {
            return Box::new(std::iter::empty());
        }
        let iter = self
            .snapshot
            .range(&self.pairs, range.low.as_slice()..range.high.as_slice());
        let pair = |guard: fjall::Guard| -> Result<Pair> {
            let (key, value) = guard.into_inner().map_err(store_error)?;
            Ok((Bytes::from(key), Bytes::from(value)))
        };
        if reverse {
            Box::new(iter.rev().map(pair))
        } else {
            Box::new(iter.map(pair))
        }
    }
}

/// Our kind for fjall's error: damage is `Corrupt`, the rest `Unavailable`.
pub(crate) fn store_error(error: fjall::Error) -> Error {
    let text = error.to_string();
    let damaged = match &error {
        fjall::Error::Storage(fjall::LsmError::Io(error)) | fjall::Error::Io(error) => {
            tells_of_damage(error.kind())
        }
        fjall::Error::Storage(_) => true,
        fjall::Error::JournalRecovery(_) | fjall::Error::InvalidVersion(_) => true,
        _ => false,
    };
    let error = if damaged {
        Error::corrupt(format!("the store's files are damaged: {text}"))
    } else {
        Error::unavailable(format!("the store's files: {text}"), Outcome::Unknown)
    };
    error.with_source(text)
}

/// Whether an error of this kind comes from what the files say, and not from the disk below them:
/// a file that is named and absent, a place that is outside, bytes that end too early.
fn tells_of_damage(kind: std::io::ErrorKind) -> bool {
    use std::io::ErrorKind;

    matches!(
        kind,
        ErrorKind::NotFound
            | ErrorKind::UnexpectedEof
            | ErrorKind::InvalidInput
            | ErrorKind::InvalidData
    )
}

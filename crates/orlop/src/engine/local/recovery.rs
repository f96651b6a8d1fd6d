//! Opening a store: what the log has and the key-value store has not is done again.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::catalog::Catalog;
use super::committer::Shared;
use super::group::Group;
use crate::engine::kv::Kv;
use crate::engine::log::{Disk, Log, LogOptions, Opening, Record};
use crate::engine::{Seq, records};
use crate::{Error, Result};

/// Origin of the record a store ends with when it was closed.
pub(super) const CLOSED: &str = "orlop:closed";
/// Origin of the record a store begins its life in a process with.
const OPENED: &str = "orlop:opened";
/// Numbers passed over after a crash. Commits that were acknowledged before they were synced may
/// be lost by a loss of power; their numbers, which readers may have seen, are not used again.
const CRASH_GAP: Seq = 1 << 24;
/// Pairs written in one batch of a replay.
const REPLAY_PAIRS: usize = 20_000;

/// A store ready to be used.
pub(super) struct Recovered {
    pub(super) kv: Box<dyn Kv>,
    pub(super) log: Log,
    pub(super) catalog: Catalog,
    pub(super) seq: Seq,
}

/// Opens the log and replays it.
///
/// # Errors
/// `Corrupt` when the log is damaged or does not reach back to what the key-value store has.
pub(super) fn recover(
    folder: &Path,
    kv: Box<dyn Kv>,
    options: LogOptions,
    incarnation: u128,
    disk: Arc<dyn Disk>,
) -> Result<Recovered> {
    let applied = applied(&*kv)?;
    let opening = Opening {
        store: incarnation.to_be_bytes(),
        applied,
        now_ms: bson::DateTime::now().timestamp_millis(),
    };
    let (log, found) = Log::open(&folder.join("log"), options, opening, disk)?;
    for damage in &found.damage {
        tracing::warn!(%damage, "the log is damaged where nothing needs it");
    }
    if found.first_seq > applied + 1 && found.last_seq > applied {
        return Err(Error::corrupt(format!(
            "store {}: the log begins at commit {}, the key-value store ends at {applied}; restore a backup",
            folder.display(),
            found.first_seq
        )));
    }
    let (last, clean) = replay(&*kv, &log, applied, found.last_seq)?;
    let catalog = Catalog::load(&*kv.view()?)?;
    let mut seq = last.max(found.last_seq).max(applied);
    if seq > 0 && !(clean && found.last_seq >= applied) {
        seq += CRASH_GAP;
    }
    seq += 1;
    // From here on the log does not end in a clean close, whatever a loss of power takes.
    mark(&log, seq - 1, OPENED)?;
    Ok(Recovered {
        kv,
        log,
        catalog,
        seq,
    })
}

/// Ends the log cleanly behind `last`, and leaves the next opening little to read, however much
/// was written in this life.
///
/// # Errors
/// `Unavailable` when the log cannot be written.
pub(super) fn close(shared: &Shared, last: Seq) -> Result<()> {
    let log = &shared.log;
    let ended = log.begin_segment(bson::DateTime::now().timestamp_millis());
    if let Ok(true) = ended {
        // What fails here costs the next opening time, and nothing else: the log has it all.
        if let Err(error) = shared.with_kv(|kv| kv.flush()) {
            tracing::warn!(%error, "the next opening replays what the store holds in memory");
        }
    }
    ended?;
    mark(log, last, CLOSED)?;
    log.close()
}

/// Appends an empty record behind `last`, and syncs.
pub(super) fn mark(log: &Log, last: Seq, origin: &str) -> Result<()> {
    log.append(&[Arc::new(Record {
        seq: last + 1,
        at_ms: bson::DateTime::now().timestamp_millis(),
        origin: Some(origin.into()),
        ..Record::default()
    })])?;
    log.sync()
}

fn applied(kv: &dyn Kv) -> Result<Seq> {
    match kv.view()?.get(&records::meta_key(super::APPLIED))? {
        None => Ok(0),
        Some(bytes) => bytes
            .as_ref()
            .try_into()
            .map(u64::from_le_bytes)
            .map_err(|_| Error::corrupt("the key-value store's commit number is damaged")),
    }
}

/// Does the records behind `applied`; gives the last number, and whether the log ends closed.
fn replay(kv: &dyn Kv, log: &Log, applied: Seq, through: Seq) -> Result<(Seq, bool)> {
    let mut last = applied;
    let mut clean = false;
    let mut group: Option<Group> = None;
    // Nothing up to `applied` is read: it may be damaged, or never have reached the log, and is not
    // needed. The mark of a clean close is never applied, so it lies behind.
    let mut reader = log.read_from(applied.max(log.first_seq() - 1))?;
    while let Some(record) = reader.next(through)? {
        clean = record.origin.as_deref() == Some(CLOSED);
        last = record.seq;
        if record.changes.is_empty() && record.catalog.is_empty() {
            continue;
        }
        let mut current = match group.take() {
            Some(group) => group,
            None => {
                let view = kv.view()?;
                let catalog = Catalog::load(&*view)?;
                Group::new(view, None, catalog.into(), applied)
            }
        };
        current.replay(&record)?;
        group = match current.pairs.len() >= REPLAY_PAIRS {
            true => {
                write(kv, current)?;
                None
            }
            false => Some(current),
        };
    }
    if let Some(group) = group {
        write(kv, group)?;
    }
    Ok((last, clean))
}

fn write(kv: &dyn Kv, mut group: Group) -> Result<()> {
    let mut pairs = group.drain_pairs();
    kv.write(&mut pairs)
}

impl Group {
    /// Everything this group writes to the key-value store, each key once.
    pub(super) fn drain_pairs(&mut self) -> impl Iterator<Item = (Bytes, Option<Bytes>)> + use<> {
        let changed = std::mem::take(&mut Arc::make_mut(&mut self.catalog).changed);
        let counts = std::mem::take(&mut self.counts);
        let mut small: std::collections::BTreeMap<Bytes, Option<Bytes>> = counts
            .into_iter()
            .map(|(number, counts)| counts.pair(number))
            .map(|(key, value)| (key, Some(value)))
            .collect();
        // The catalog comes second: forgetting a collection forgets the counts a change has written.
        for (name, value) in changed {
            small.insert(records::meta_key(&name), value.map(Bytes::from));
        }
        if let Some(applied) = self.applied() {
            small.insert(
                records::meta_key(super::APPLIED),
                Some(Bytes::copy_from_slice(&applied.to_le_bytes())),
            );
        }
        std::mem::take(&mut self.pairs).into_iter().chain(small)
    }

    /// The last record that the key-value store holds with this group; none when it has none. A
    /// number that only moved clocks is not in the log, so it must not look as if the log lost it.
    fn applied(&self) -> Option<Seq> {
        match self.replays() {
            true => Some(self.seq),
            false => self.records.last().map(|record| record.seq),
        }
    }
}

//! A log in memory, bounded by bytes: the feed of the memory engine.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError, RwLock};

use super::Record;
use crate::Result;
use crate::engine::Seq;

/// What a record and a change take besides their images.
const RECORD_BYTES: u64 = 128;
const CHANGE_BYTES: u64 = 128;

#[derive(Debug)]
pub(super) struct MemoryLog {
    retention_bytes: u64,
    kept: RwLock<Kept>,
}

#[derive(Debug)]
struct Kept {
    records: VecDeque<Arc<Record>>,
    bytes: u64,
    /// The last record dropped, or the number that the log began behind.
    dropped: Seq,
    last: Seq,
}

impl MemoryLog {
    pub(super) fn new(retention_bytes: u64, last: Seq) -> Self {
        Self {
            retention_bytes,
            kept: RwLock::new(Kept {
                records: VecDeque::new(),
                bytes: 0,
                dropped: last,
                last,
            }),
        }
    }

    pub(super) fn append(&self, records: &[Arc<Record>]) -> Result<()> {
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        super::check_order(kept.last, records)?;
        for record in records {
            kept.bytes += weight(record);
            kept.last = record.seq;
            kept.records.push_back(record.clone());
        }
        // The last one stays whatever its size, so that whoever keeps up misses nothing.
        while kept.bytes > self.retention_bytes && kept.records.len() > 1 {
            let Some(oldest) = kept.records.pop_front() else {
                break;
            };
            kept.bytes -= weight(&oldest);
            kept.dropped = oldest.seq;
        }
        Ok(())
    }

    pub(super) fn first_seq(&self) -> Seq {
        self.kept().dropped + 1
    }

    pub(super) fn last_seq(&self) -> Seq {
        self.kept().last
    }

    pub(super) fn bytes(&self) -> u64 {
        self.kept().bytes
    }

    fn kept(&self) -> std::sync::RwLockReadGuard<'_, Kept> {
        self.kept.read().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
pub(super) struct MemoryReader {
    log: Arc<MemoryLog>,
    after: Seq,
}

impl MemoryReader {
    pub(super) fn new(log: &Arc<MemoryLog>, after: Seq) -> Result<Self> {
        let reader = Self {
            log: log.clone(),
            after,
        };
        reader.refuse_if_dropped(&log.kept())?;
        Ok(reader)
    }

    pub(super) fn next(&mut self, through: Seq) -> Result<Option<Arc<Record>>> {
        let kept = self.log.kept();
        self.refuse_if_dropped(&kept)?;
        let at = kept
            .records
            .partition_point(|record| record.seq <= self.after);
        let next = kept.records.get(at).filter(|next| next.seq <= through);
        let next = next.cloned();
        drop(kept);
        if let Some(record) = &next {
            self.after = record.seq;
        }
        Ok(next)
    }

    fn refuse_if_dropped(&self, kept: &Kept) -> Result<()> {
        if self.after < kept.dropped {
            return Err(super::too_old(self.after, kept.dropped + 1));
        }
        Ok(())
    }
}

fn weight(record: &Record) -> u64 {
    let images = record.changes.iter().flat_map(|change| {
        let before = change.before.as_ref().map_or(0, |image| image.len());
        let after = change.after.as_ref().map_or(0, |image| image.len());
        [before, after]
    });
    let catalog = record.catalog.iter().map(|change| change.len());
    let opaque: usize = images.chain(catalog).sum();
    RECORD_BYTES + record.changes.len() as u64 * CHANGE_BYTES + opaque as u64
}

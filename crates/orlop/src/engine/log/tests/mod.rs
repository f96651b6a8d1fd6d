//! Claims about the log.

mod codec;
mod crash;
mod damage;
mod files;
mod format;
mod memory;
mod retention;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::faulty::FaultyDisk;
use super::{Log, LogOptions, Opening, Record, RecordChange, Recovered};
use crate::Result;
use crate::engine::Seq;

pub(super) const STORE: [u8; 16] = *b"the test's store";
pub(super) const DIR: &str = "/store/log";

/// Segments of a few records, so that small tests cross many.
pub(super) fn small() -> LogOptions {
    LogOptions {
        segment_bytes: 2048,
        allocate_bytes: 512,
        retention_bytes: 1 << 20,
        retention_age: Duration::from_secs(7 * 24 * 3600),
    }
}

pub(super) fn opening(applied: Seq) -> Opening {
    Opening {
        store: STORE,
        applied,
        now_ms: 1_700_000_000_000,
    }
}

pub(super) fn open_at(disk: &FaultyDisk, applied: Seq) -> Result<(Log, Recovered)> {
    let disk = Arc::new(disk.clone());
    Log::open(Path::new(DIR), small(), opening(applied), disk)
}

pub(super) fn open(disk: &FaultyDisk) -> (Log, Recovered) {
    open_at(disk, 0).unwrap()
}

pub(super) fn segment(number: u32) -> PathBuf {
    Path::new(DIR).join(super::files::file_name(number))
}

/// Everything behind `after`.
pub(super) fn read(log: &Log, after: Seq) -> Result<Vec<Arc<Record>>> {
    let mut reader = log.read_from(after)?;
    let mut records = Vec::new();
    while let Some(record) = reader.next(Seq::MAX)? {
        records.push(record);
    }
    Ok(records)
}

pub(super) fn records(seqs: impl IntoIterator<Item = Seq>) -> Vec<Arc<Record>> {
    seqs.into_iter().map(record).collect()
}

/// The seed of a random test: `SEED`, or `default`. Printed, so that a failure can be run again.
pub(super) fn seed(default: u64) -> u64 {
    let seed = std::env::var("SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or(default);
    println!("SEED={seed}");
    seed
}

/// A small generator: the same seed, the same test.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let mixed = (self.0 ^ (self.0 >> 31)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed >> 33) % bound
    }
}

/// A record whose contents follow from its number.
pub(super) fn record(seq: Seq) -> Arc<Record> {
    let image = |what: &str| {
        Some(Bytes::from(format!(
            "{what} of {seq} {}",
            "x".repeat(seq as usize % 7)
        )))
    };
    Arc::new(Record {
        seq,
        at_ms: 1_700_000_000_000 + seq as i64,
        origin: (seq.is_multiple_of(2)).then(|| Arc::from(format!("writer {seq}"))),
        catalog: (seq.is_multiple_of(5))
            .then(|| Bytes::from(format!("catalog {seq}")))
            .into_iter()
            .collect(),
        changes: vec![
            RecordChange {
                kind: 1,
                number: 7,
                collection: Arc::from("tasks"),
                before: image("before").filter(|_| seq.is_multiple_of(3)),
                after: image("after"),
            },
            RecordChange {
                kind: 2,
                number: 300,
                collection: Arc::from("users"),
                before: image("before"),
                after: None,
            },
        ],
    })
}

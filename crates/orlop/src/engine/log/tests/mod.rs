//! Claims about the log.

mod memory;

use std::sync::Arc;

use bytes::Bytes;

use super::{Record, RecordChange};
use crate::engine::Seq;

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

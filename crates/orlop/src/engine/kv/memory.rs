//! A persistent ordered map: a view is a clone of its root.

use std::ops::Bound;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use imbl::OrdMap;

use super::{KeyRange, Kv, Pair, Pairs, View};
use crate::Result;

/// Pairs fetched at a time by a range, so that a step costs a fraction of a search.
const CHUNK: usize = 64;

/// The store of the `memory` engine.
#[derive(Default)]
pub(crate) struct MemoryKv {
    map: Mutex<OrdMap<Bytes, Bytes>>,
}

impl Kv for MemoryKv {
    fn view(&self) -> Result<Arc<dyn View>> {
        let map = self.map.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Arc::new(MemoryView { map: map.clone() }))
    }

    fn write(&self, pairs: &mut dyn Iterator<Item = (Bytes, Option<Bytes>)>) -> Result<()> {
        let mut map = self.map.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, value) in pairs {
            match value {
                Some(value) => map.insert(key, value),
                None => map.remove(&key),
            };
        }
        Ok(())
    }

    fn flush(&self) -> Result<()> {
        Ok(())
    }

    fn disk_bytes(&self) -> u64 {
        0
    }
}

#[derive(Clone)]
struct MemoryView {
    map: OrdMap<Bytes, Bytes>,
}

impl View for MemoryView {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        Ok(self.map.get(key).cloned())
    }

    fn range(&self, range: &KeyRange, reverse: bool) -> Pairs {
        if range.is_empty() {
            return Box::new(std::iter::empty());
        }
        Box::new(MemoryRange {
            view: self.clone(),
            low: Bound::Included(Bytes::copy_from_slice(&range.low)),
            high: Bound::Excluded(Bytes::copy_from_slice(&range.high)),
            reverse,
            chunk: Vec::new(),
            ended: false,
        })
    }
}

/// A range that owns its map: it searches once a chunk and hands the chunk out.
struct MemoryRange {
    view: MemoryView,
    low: Bound<Bytes>,
    high: Bound<Bytes>,
    reverse: bool,
    /// Fetched and not yet handed out, last first.
    chunk: Vec<Pair>,
    ended: bool,
}

impl MemoryRange {
    fn refill(&mut self) {
        let bounds = (self.low.clone(), self.high.clone());
        let pairs = self.view.map.range(bounds);
        let owned = |(key, value): (&Bytes, &Bytes)| (key.clone(), value.clone());
        self.chunk = if self.reverse {
            pairs.rev().take(CHUNK).map(owned).collect()
        } else {
            pairs.take(CHUNK).map(owned).collect()
        };
        self.ended = self.chunk.len() < CHUNK;
        if let Some((key, _)) = self.chunk.last() {
            let edge = Bound::Excluded(key.clone());
            if self.reverse {
                self.high = edge;
            } else {
                self.low = edge;
            }
        }
        self.chunk.reverse();
    }
}

impl Iterator for MemoryRange {
    type Item = Result<Pair>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.chunk.is_empty() && !self.ended {
            self.refill();
        }
        self.chunk.pop().map(Ok)
    }
}

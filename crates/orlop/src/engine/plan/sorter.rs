//! Documents sorted in memory, within a bound of bytes; the first `k` only when `k` is known.

use std::collections::BinaryHeap;

use crate::engine::Stored;
use crate::{Error, Result};

/// Collects documents by their places.
pub(super) struct Sorter {
    heap: BinaryHeap<Placed>,
    /// How many of the first are wanted.
    first: usize,
    bytes: usize,
    bytes_max: usize,
}

struct Placed {
    key: Vec<u8>,
    stored: Stored,
}

impl Placed {
    fn bytes(&self) -> usize {
        self.key.len() + self.stored.body.bytes().len() + size_of::<Self>()
    }
}

impl Sorter {
    pub(super) fn new(first: Option<usize>, bytes_max: usize) -> Self {
        Self {
            heap: BinaryHeap::new(),
            first: first.unwrap_or(usize::MAX),
            bytes: 0,
            bytes_max,
        }
    }

    /// # Errors
    /// `Invalid` when what is kept takes more than the bound; it names `advice`, an index.
    pub(super) fn push(&mut self, key: Vec<u8>, stored: Stored, advice: &str) -> Result<()> {
        if self.heap.len() >= self.first {
            match self.heap.peek() {
                Some(last) if key < last.key => (),
                _ => return Ok(()),
            }
        }
        let placed = Placed { key, stored };
        self.bytes += placed.bytes();
        self.heap.push(placed);
        if self.heap.len() > self.first
            && let Some(last) = self.heap.pop()
        {
            self.bytes -= last.bytes();
        }
        if self.bytes > self.bytes_max {
            return Err(Error::invalid(format!(
                "sorting {} documents takes over {} bytes of memory; declare an index {advice}, \
                 which has them in order, or set a smaller limit",
                self.heap.len(),
                self.bytes_max
            )));
        }
        Ok(())
    }

    /// The documents in order.
    pub(super) fn finish(self) -> impl Iterator<Item = Stored> + Send + use<> {
        self.heap.into_sorted_vec().into_iter().map(|it| it.stored)
    }
}

impl Ord for Placed {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key.cmp(&other.key)
    }
}

impl PartialOrd for Placed {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Placed {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Placed {}

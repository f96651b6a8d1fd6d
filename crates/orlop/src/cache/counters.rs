//! Counters of the cache: cheap enough for every hit.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Parts of a counter; threads beyond share them.
const PARTS: usize = 16;

thread_local! {
    static PART: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// A counter in parts, each on a cache line of its own, so that threads do not wait for each other.
#[derive(Debug, Default)]
pub(super) struct Counter([Part; PARTS]);

#[derive(Debug, Default)]
#[repr(align(128))]
struct Part(AtomicU64);

impl Counter {
    /// Adds one.
    pub(super) fn add(&self) {
        // Relaxed: nothing is decided by a counter.
        self.0[part()].0.fetch_add(1, Ordering::Relaxed);
    }

    /// The sum. Counts that are under way may be missing.
    pub(super) fn sum(&self) -> u64 {
        self.0
            .iter()
            .map(|part| part.0.load(Ordering::Relaxed))
            .sum()
    }
}

fn part() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    PART.with(|part| {
        if part.get() == usize::MAX {
            part.set(NEXT.fetch_add(1, Ordering::Relaxed) % PARTS);
        }
        part.get()
    })
}

/// How reads were served.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) hits: Counter,
    pub(super) misses: Counter,
    pub(super) stale_avoided: Counter,
    pub(super) loads: Counter,
}

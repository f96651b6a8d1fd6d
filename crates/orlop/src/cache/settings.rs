//! Settings of the cache, and its timer.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

/// Settings of the cache.
#[derive(Debug, Clone)]
pub struct CacheSettings {
    /// Most bytes of all entries together, bookkeeping included. Default: 128 MiB.
    ///
    /// A decoded value is counted by its size in the store, so types that take much more memory
    /// than their BSON need room above this. Zero keeps nothing.
    pub bytes_max: u64,
    /// Share kept for entries read more than once. Fraction in `0.0..=1.0`. Default: 0.97.
    ///
    /// Lower it when recent documents matter more than popular ones; raise it against scans.
    /// # Source
    /// quick_cache's `hot_allocation` default.
    pub hot_fraction: f64,
    /// What measures the longest life of entries that have one.
    pub timer: Timer,
}

impl Default for CacheSettings {
    fn default() -> Self {
        Self {
            bytes_max: 128 * 1024 * 1024,
            hot_fraction: 0.97,
            timer: Timer::default(),
        }
    }
}

/// A monotonic timer in milliseconds. Never decides whether an entry is current.
#[derive(Clone)]
pub struct Timer(Arc<dyn Fn() -> u64 + Send + Sync>);

impl Timer {
    /// A timer that reads `now`, for tests that move time by hand. It must never go back.
    pub fn reading(now: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// Milliseconds since some moment before now, and at least one.
    pub(super) fn now_ms(&self) -> u64 {
        (self.0)().max(1)
    }
}

impl Default for Timer {
    fn default() -> Self {
        let start = Instant::now();
        Self::reading(move || u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX))
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Timer")
    }
}

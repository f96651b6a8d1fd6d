//! One tracing span an operation: collection, verb, outcome, duration, cache status. Never values.

use std::time::Instant;

use tracing::{Instrument, Level, Span, debug_span, field, level_enabled};

use crate::Result;
use crate::cache::Served;

/// What a finished operation tells of the cache.
pub(crate) trait CacheStatus {
    /// How the cache served it; none when it does not take part.
    fn cache(&self) -> Option<Served> {
        None
    }
}

impl<T> CacheStatus for (T, Served) {
    fn cache(&self) -> Option<Served> {
        Some(self.1)
    }
}

impl CacheStatus for crate::engine::Commit {}
impl CacheStatus for crate::engine::CollectionInfo {}
impl CacheStatus for () {}

/// Runs an operation inside its span. Free but for one comparison when nobody listens.
pub(crate) async fn operation<T: CacheStatus>(
    collection: &str,
    verb: &'static str,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    if !level_enabled!(Level::DEBUG) {
        return work.await;
    }
    let span = span(collection, verb);
    let started = Instant::now();
    let result = work.instrument(span.clone()).await;
    finish(&span, started, &result);
    result
}

/// Records a read that the cache served, when somebody listens.
#[inline]
pub(crate) fn hit(collection: &str) {
    if level_enabled!(Level::DEBUG) {
        let span = span(collection, "get");
        span.record("outcome", "ok").record("cache", "hit");
    }
}

fn span(collection: &str, verb: &'static str) -> Span {
    debug_span!(
        "operation",
        collection,
        verb,
        outcome = field::Empty,
        duration_us = field::Empty,
        cache = field::Empty,
    )
}

fn finish<T: CacheStatus>(span: &Span, started: Instant, result: &Result<T>) {
    let micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
    span.record("duration_us", micros);
    match result {
        Ok(done) => {
            span.record("outcome", "ok");
            if let Some(served) = done.cache() {
                span.record("cache", word(served));
            }
        }
        Err(error) => {
            span.record("outcome", field::debug(error.kind()));
        }
    }
}

fn word(served: Served) -> &'static str {
    match served {
        Served::Hit => "hit",
        Served::Miss => "miss",
        Served::Bypass => "bypass",
    }
}

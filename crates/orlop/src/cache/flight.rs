//! Single flight: callers that miss the same thing at the same time load it once.
//!
//! A follower may have begun after the leader took its snapshot, so it takes the leader's value
//! only if that is no older than what the follower could have seen; see [`answers`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::Notify;

use super::node::Cached;
use crate::engine::Seq;
use crate::{Error, Result};

/// Parts of the table; a power of two, so that misses of different things rarely wait for a lock.
const PARTS: usize = 16;

/// Whether a flight's value answers a caller that began when `start` was published: it was read
/// no earlier than that, or nothing it depends on has moved since it was read.
pub fn answers(stamp: Seq, start: Seq, current: bool) -> bool {
    stamp >= start || current
}

/// What a flight brought: none when its leader gave up.
type Landing = Option<Result<Arc<dyn Cached>>>;

/// The loads under way, by the hash of what they load.
#[derive(Default)]
pub(super) struct Flights {
    parts: [Mutex<HashMap<u64, Arc<Flight>>>; PARTS],
}

/// One load under way.
#[derive(Default)]
pub(super) struct Flight {
    landing: OnceLock<Landing>,
    landed: Notify,
}

/// A caller's part in a load.
pub(super) enum Seat<'a> {
    /// It loads, for itself and for who waits.
    Leader(Leader<'a>),
    /// It waits.
    Follower(Arc<Flight>),
}

/// The duty to land a flight. Dropped without landing it sends the followers away, so a caller
/// that is cancelled blocks nobody.
pub(super) struct Leader<'a> {
    flights: &'a Flights,
    key: u64,
    flight: Arc<Flight>,
}

impl Flights {
    /// Joins the load of `key` under way, or leads a new one.
    pub(super) fn board(&self, key: u64) -> Seat<'_> {
        let mut part = self.part(key);
        if let Some(flight) = part.get(&key) {
            return Seat::Follower(flight.clone());
        }
        let flight = Arc::new(Flight::default());
        part.insert(key, flight.clone());
        Seat::Leader(Leader {
            flights: self,
            key,
            flight,
        })
    }

    fn part(&self, key: u64) -> MutexGuard<'_, HashMap<u64, Arc<Flight>>> {
        // The bits above those that choose a clock's place: neighbours there are not here.
        self.parts[(key >> 48) as usize % PARTS]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Leader<'_> {
    /// Hands the outcome to all followers.
    pub(super) fn land(self, outcome: Result<Arc<dyn Cached>, &Error>) {
        self.finish(Some(outcome.map_err(copy)));
    }

    fn finish(&self, landing: Landing) {
        // The table is left before the answer: who begins behind the answer must not join.
        self.flights.part(self.key).remove(&self.key);
        // Drop comes behind `land` and finds it set.
        let _ = self.flight.landing.set(landing);
        self.flight.landed.notify_waiters();
    }
}

impl Drop for Leader<'_> {
    fn drop(&mut self) {
        if self.flight.landing.get().is_none() {
            self.finish(None);
        }
    }
}

impl Flight {
    /// Waits for the outcome; none when the leader gave up.
    pub(super) async fn landing(&self) -> Landing {
        // Made before the look, so that a landing in between still wakes it.
        let landed = self.landed.notified();
        if self.landing.get().is_none() {
            landed.await;
        }
        match self.landing.get() {
            Some(Some(Ok(cached))) => Some(Ok(cached.clone())),
            Some(Some(Err(error))) => Some(Err(copy(error))),
            Some(None) | None => None,
        }
    }
}

/// The error of a read, for one more caller.
fn copy(error: &Error) -> Error {
    let message = error.message().to_owned();
    match error.outcome() {
        Some(outcome) => Error::unavailable(message, outcome),
        None => Error::new(error.kind(), message).with_fields(error.fields().to_vec()),
    }
}

//! The coherence run: threads read and write through the cache, and everything they saw is checked.
//!
//! Documents have a scope and a number that no two writes share. Threads read them typed and raw,
//! several at once, and as the lists of their scopes, while others overwrite, delete, move them to
//! another scope, write two in one batch, or empty the collection. The [`floor`] check then finds
//! whatever no order of the commits explains: a document or a list served behind its end, half a
//! batch, an absence that outlives an insert.

mod round;
mod timeline;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use orlop::document::{Declaration, Policy};
use orlop::{Orlop, Result};

use crate::floor::{self, Event, History, Violation};
use crate::random::Random;
use timeline::Documents;

/// Reads of all threads between two checks.
const ROUND_READS: u64 = 100_000;

/// What the threads do.
#[derive(Debug, Clone)]
pub struct Load {
    /// The collection; emptied first.
    pub collection: String,
    /// How it is cached.
    pub policy: Policy,
    /// Threads. More than the processors have, so that each is stopped anywhere.
    pub threads: usize,
    /// Documents. Few, so that threads meet.
    pub documents: u32,
    /// Scopes.
    pub scopes: u32,
    /// Writes among a thousand calls.
    pub writes_per_mille: u64,
    /// Reads to check, at least.
    pub reads: u64,
    /// Of the random choices.
    pub seed: u64,
}

impl Default for Load {
    fn default() -> Self {
        Self {
            collection: "coherence".to_owned(),
            policy: Policy::default(),
            threads: 6,
            documents: 12,
            scopes: 3,
            writes_per_mille: 10,
            reads: 1_000_000,
            seed: 1,
        }
    }
}

/// What was done, and what was found.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Reads checked.
    pub reads: u64,
    /// Writes among them.
    pub writes: u64,
    /// How long it took, checking included.
    pub took: Duration,
    /// The first violation. The run ends with the round it is in.
    pub found: Option<Violation>,
    /// Calls, reads and writes, up to the end of the first violation.
    pub calls_to_find: u64,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (reads, writes) = (self.reads, self.writes);
        write!(
            f,
            "{reads} reads and {writes} writes in {:.1?}: ",
            self.took
        )?;
        match &self.found {
            Some(violation) => violation.fmt(f),
            None => f.write_str("nothing found"),
        }
    }
}

/// Runs a load on a store and checks it.
///
/// # Errors
/// Those of the store. What the check finds is in the outcome.
pub fn run(db: &Orlop, load: &Load) -> Result<Outcome> {
    let started = Instant::now();
    let runtime = round::runtime();
    runtime.block_on(async {
        let declaration = Declaration {
            scopes: vec![vec![round::SCOPE.to_owned()]],
            policy: load.policy.clone(),
            ..Declaration::default()
        };
        db.declare(&load.collection, &declaration).await?;
        round::empty(db, &load.collection).await
    })?;
    let mut documents = Documents::new(load);
    let mut random = Random::new(load.seed);
    let mut outcome = Outcome {
        reads: 0,
        writes: 0,
        took: Duration::ZERO,
        found: None,
        calls_to_find: 0,
    };
    while outcome.reads < load.reads && outcome.found.is_none() {
        let reads = ROUND_READS.min(load.reads);
        let calls = round::run(db, &Arc::new(load.clone()), reads, &mut random)?;
        let history = documents.history(calls);
        outcome.calls_to_find = outcome.reads + outcome.writes;
        outcome.reads += history.reads;
        outcome.writes += history.writes;
        outcome.found = match history.checked {
            Ok(history) => floor::check(&history).err().inspect(|violation| {
                outcome.calls_to_find += before(&history, violation);
            }),
            Err(violation) => Some(violation),
        };
    }
    outcome.took = started.elapsed();
    Ok(outcome)
}

/// Events that ended by the end of the violation.
fn before(history: &History, violation: &Violation) -> u64 {
    let ended = |event: &&Event| event.answer <= violation.event.answer;
    history.events.iter().filter(ended).count() as u64
}

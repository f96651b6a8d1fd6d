//! Threads read and write through the cache; the floor check finds nothing.
//!
//! `ORLOP_COHERENCE_READS` is the number of reads to check, all runs together; CI asks for ten
//! million. `SEED` repeats the choices, not the schedule.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use orlop::Orlop;
use orlop::document::{CacheMode, Policy};
use orlop_check::coherence::{Load, run};
use orlop_check::random::Random;

fn reads() -> u64 {
    let asked = std::env::var("ORLOP_COHERENCE_READS").ok();
    asked
        .and_then(|asked| asked.parse().ok())
        .unwrap_or(600_000)
}

fn finds_nothing(db: &Orlop, cache: CacheMode, share: u64) {
    let load = Load {
        policy: Policy {
            cache,
            ..Policy::default()
        },
        reads: reads() / share,
        seed: Random::from_env("SEED").number(),
        ..Load::default()
    };
    let outcome = run(db, &load).unwrap();
    println!("{cache:?}: {outcome}\n{:?}", db.cache_stats());
    assert_eq!(outcome.found, None, "{outcome}");
    let stats = db.cache_stats();
    assert!(
        stats.hits > outcome.reads / 2,
        "the cache served too few: {stats:?}"
    );
    assert!(
        stats.stale_avoided > 0,
        "no entry was ever overtaken: {stats:?}"
    );
}

async fn memory() -> Orlop {
    Orlop::open("memory:").await.unwrap()
}

#[test]
fn reads_through_the_cache_are_linearizable_in_memory() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let db = runtime.block_on(memory());
    finds_nothing(&db, CacheMode::CacheAside, 2);
}

#[test]
fn what_is_written_through_is_linearizable() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let db = runtime.block_on(memory());
    finds_nothing(&db, CacheMode::WriteThrough, 4);
}

#[test]
fn reads_through_the_cache_are_linearizable_in_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let db = runtime
        .block_on(Orlop::open(folder.path().to_str().unwrap()))
        .unwrap();
    finds_nothing(&db, CacheMode::CacheAside, 4);
    runtime.block_on(db.close()).unwrap();
}

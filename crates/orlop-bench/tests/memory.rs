//! Resident size, alone in its process: bounded by settings, not by what is stored.
//!
//! 100 000 documents; a million with `ORLOP_LONG=1`, best with `--release` (see docs/benchmarks.md).

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use orlop::Settings;
use orlop_bench::{Store, id, mine, runtime};

/// What a store may take besides its cache, in bytes: issued as a promise in docs/benchmarks.md.
const BESIDES_CACHE: u64 = 150 * 1_000 * 1_000;
const USERS: u64 = 1_000;

/// The most this process ever had resident, in bytes.
fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kilobytes = line.unwrap().split_whitespace().nth(1).unwrap();
    kilobytes.parse::<u64>().unwrap() * 1024
}

#[test]
fn resident_size_stays_under_the_cache_bound_and_150_mb() {
    let count = match std::env::var_os("ORLOP_LONG") {
        Some(_) => 1_000_000,
        None => 100_000,
    };
    let runtime = runtime();
    let mut settings = Settings::default();
    settings.cache.bytes_max = 32 * 1024 * 1024;
    let bound = settings.cache.bytes_max + BESIDES_CACHE;
    let store = Store::with(&runtime, settings);
    let tasks = store.tasks();
    let mut after_load = 0;
    runtime.block_on(async {
        for first in (0..count).step_by(50_000) {
            let documents = first..first + 50_000;
            let documents = documents.map(|n| orlop_bench::task(n, USERS));
            tasks.raw().put_many(documents).await.unwrap();
        }
        after_load = peak_bytes();
        for n in 0..count {
            assert!(tasks.get(&id(n).into()).await.unwrap().is_some());
        }
        for n in 0..USERS {
            assert_eq!(mine(&tasks, n).await.len(), 50);
        }
    });
    let peak = peak_bytes();
    println!("{count} documents: {after_load} bytes after the load, {peak} in all, bound {bound}");
    assert!(peak < bound, "{peak} bytes resident, over {bound}");
}

//! What opening a store reads, alone in its process: bounded, for few documents and for many.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use orlop_bench::{Store, id, runtime};

/// Bytes this process has read by system calls so far.
fn bytes_read() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap();
    let line = io.lines().find(|line| line.starts_with("rchar:"));
    line.unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap()
}

/// Bytes read by opening a closed store of `count` documents.
fn opening(count: u64) -> u64 {
    let runtime = runtime();
    let store = Store::new(&runtime).filled(&runtime, count, 100);
    runtime.block_on(store.db.close()).unwrap();
    let before = bytes_read();
    let store = store.reopened(&runtime);
    let read = bytes_read() - before;
    let last = bson::Bson::ObjectId(id(count - 1));
    let found = runtime.block_on(async { store.db.raw("tasks").get(&last).await });
    assert!(found.unwrap().is_some());
    read
}

/// What an opening may read, whatever is stored: one journal of fjall, which its flush leaves behind,
/// and one segment of the log, 64 MiB each.
const READ_MAX: u64 = 2 * 64 * 1024 * 1024;

#[test]
fn opening_reads_a_journal_and_a_segment_at_most() {
    let (few, many) = (opening(1_000), opening(100_000));
    println!("opening reads {few} bytes of 1 000 documents, {many} of 100 000");
    assert!(many < READ_MAX, "{many} bytes for 100 000, {few} for 1 000");
}

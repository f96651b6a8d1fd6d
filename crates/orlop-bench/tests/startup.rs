//! What opening a store reads, alone in its process: the same for few documents and for many.

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

#[test]
fn opening_reads_no_more_for_a_hundred_times_the_documents() {
    let (few, many) = (opening(1_000), opening(100_000));
    println!("opening reads {few} bytes of 1 000 documents, {many} of 100 000");
    assert!(many < few * 2, "{many} bytes for 100 000, {few} for 1 000");
}

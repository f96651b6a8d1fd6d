//! Appending, syncing and reading back.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Random, open, open_at, opening, read, record, records, seed, segment, small};
use crate::engine::log::faulty::{Crash, FaultyDisk};
use crate::engine::log::{Log, LogOptions, RealDisk};
use crate::{ErrorKind, Outcome};

/// Appends `1..=last` in groups, syncing each, leaving out every number that ends in 9.
fn filled(disk: &FaultyDisk, last: u64) -> Log {
    let (log, _) = open(disk);
    let mut random = Random(last);
    let mut seqs = (1..=last).filter(|seq| seq % 10 != 9).peekable();
    while seqs.peek().is_some() {
        let group = 1 + random.below(5) as usize;
        log.append(&records(seqs.by_ref().take(group))).unwrap();
        log.sync().unwrap();
    }
    log
}

fn expected(last: u64, after: u64) -> Vec<Arc<super::Record>> {
    records((after + 1..=last).filter(|seq| seq % 10 != 9))
}

#[test]
fn records_come_back_in_order_from_any_number_and_after_opening_again() {
    let disk = FaultyDisk::new();
    let log = filled(&disk, 200);
    assert!(log.read_from(0).is_ok());
    for after in 0..=201 {
        assert_eq!(
            read(&log, after).unwrap(),
            expected(200, after),
            "after {after}"
        );
    }
    assert_eq!(log.verify().unwrap(), []);
    drop(log);
    let (log, recovered) = open(&disk);
    assert_eq!((recovered.first_seq, recovered.last_seq), (1, 200));
    assert_eq!(recovered.damage, []);
    for after in 0..=201 {
        assert_eq!(
            read(&log, after).unwrap(),
            expected(200, after),
            "after {after}"
        );
    }
    log.append(&records([201, 202])).unwrap();
    assert_eq!(read(&log, 200).unwrap(), records([201, 202]));
    assert!(disk.paths().len() > 10, "{} files", disk.paths().len());
}

#[test]
fn records_longer_than_a_segment_come_back() {
    let disk = FaultyDisk::new();
    let (log, _) = open(&disk);
    let long = |seq| {
        let mut record = (*record(seq)).clone();
        record.catalog = vec![bytes::Bytes::from(vec![seq as u8; 300_000])];
        Arc::new(record)
    };
    let all = vec![long(1), record(2), long(3), long(4), record(5)];
    for one in &all {
        log.append(std::slice::from_ref(one)).unwrap();
    }
    assert_eq!(read(&log, 0).unwrap(), all);
    log.sync().unwrap();
    let (log, _) = open(&disk.crash(Crash::Lost));
    assert_eq!(read(&log, 0).unwrap(), all);
}

#[test]
fn reader_at_the_tail_goes_on_when_more_is_appended() {
    let disk = FaultyDisk::new();
    let (log, _) = open(&disk);
    let mut reader = log.read_from(0).unwrap();
    for seq in 1..=100 {
        assert_eq!(reader.next(seq).unwrap(), None);
        log.append(&[record(seq)]).unwrap();
        assert_eq!(reader.next(seq - 1).unwrap(), None, "not published yet");
        assert_eq!(reader.next(seq).unwrap(), Some(record(seq)));
    }
}

#[test]
fn a_record_above_the_published_number_waits() {
    let (log, _) = open(&FaultyDisk::new());
    log.append(&records([1, 3])).unwrap();
    let mut reader = log.read_from(0).unwrap();
    assert_eq!(reader.next(2).unwrap(), Some(record(1)));
    assert_eq!(reader.next(2).unwrap(), None);
    assert_eq!(reader.next(3).unwrap(), Some(record(3)));
}

#[test]
fn a_group_is_one_write_and_a_sync_is_one_sync() {
    let disk = FaultyDisk::new();
    let options = LogOptions::default();
    let (log, _) = Log::open(
        Path::new(super::DIR),
        options,
        opening(0),
        Arc::new(disk.clone()),
    )
    .unwrap();
    let (writes, syncs) = (disk.writes(), disk.syncs());
    log.append(&records(1..=500)).unwrap();
    log.sync().unwrap();
    log.sync().unwrap();
    assert_eq!((disk.writes() - writes, disk.syncs() - syncs), (1, 1));
}

#[test]
fn numbers_must_rise() {
    let disk = FaultyDisk::new();
    let log = filled(&disk, 5);
    for wrong in [vec![record(5)], records([6, 6]), records([7, 6])] {
        assert_eq!(log.append(&wrong).unwrap_err().kind(), ErrorKind::Internal);
    }
    log.append(&[record(6)]).unwrap();
    assert_eq!(read(&log, 4).unwrap(), records([5, 6]));
}

#[test]
fn a_failed_sync_closes_the_log_for_ever_and_is_not_retried() {
    let disk = FaultyDisk::new();
    let log = filled(&disk, 5);
    log.append(&[record(6)]).unwrap();
    disk.fail_sync_after(0);
    let failed = log.sync().unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Unavailable);
    assert_eq!(failed.outcome(), Some(Outcome::Unknown));
    let (writes, syncs) = (disk.writes(), disk.syncs());
    for later in [
        log.sync(),
        log.append(&[record(7)]),
        log.close(),
        log.sync(),
    ] {
        let later = later.unwrap_err();
        assert_eq!(later.kind(), ErrorKind::Unavailable);
        assert_eq!(later.outcome(), Some(Outcome::NotApplied));
        assert!(later.message().contains("injected"), "{later}");
    }
    assert_eq!((disk.writes(), disk.syncs()), (writes, syncs));
    // Reading goes on.
    assert_eq!(read(&log, 4).unwrap(), records([5, 6]));
}

#[test]
fn what_a_failed_sync_gave_up_is_written_again_by_the_next_opening() {
    let disk = FaultyDisk::new();
    let log = filled(&disk, 5);
    log.append(&[record(6)]).unwrap();
    disk.fail_sync_after(0);
    log.sync().unwrap_err();
    drop(log);
    // The same machine, so memory still shows the record that the disk never got.
    let (log, recovered) = open(&disk);
    assert_eq!(recovered.last_seq, 6);
    drop(log);
    let (log, recovered) = open(&disk.crash(Crash::Lost));
    assert_eq!(recovered.last_seq, 6);
    assert_eq!(read(&log, 0).unwrap(), records(1..=6));
}

#[test]
fn a_failed_write_closes_the_log_and_opening_finds_no_half_record() {
    let mut halves = 0;
    for failing in 0..5 {
        let disk = FaultyDisk::new();
        let log = filled(&disk, 5);
        disk.fail_write_after(failing);
        let mut seq = 5;
        let failed = loop {
            seq += 1;
            if let Err(error) = log.append(&[record(seq)]) {
                break error;
            }
        };
        assert_eq!(failed.outcome(), Some(Outcome::Unknown));
        let later = log.sync().unwrap_err();
        assert_eq!(later.outcome(), Some(Outcome::NotApplied));
        drop(log);
        let (log, recovered) = open(&disk);
        // A group that also laid zeros ahead may have reached the disk whole in its first half.
        let last = recovered.last_seq;
        assert!(last == seq || last == seq - 1, "{last}, {seq} failed");
        halves += seq - last;
        assert_eq!(read(&log, 0).unwrap(), records(1..=last));
    }
    assert!(
        halves > 2,
        "{halves} of 5 were cut in the middle of a record"
    );
}

#[test]
fn a_full_disk_is_seen_coming_and_costs_nothing_that_was_synced() {
    let disk = FaultyDisk::new();
    disk.set_capacity(10_000);
    let (log, _) = open(&disk);
    assert!(log.space().unwrap().is_low(), "{:?}", log.space());
    let mut synced = 0;
    let failed = loop {
        if let Err(error) = log.append(&[record(synced + 1)]).and_then(|()| log.sync()) {
            break error;
        }
        synced += 1;
    };
    assert!(synced > 20, "{synced} records fit");
    assert_eq!(failed.kind(), ErrorKind::Unavailable);
    drop(log);
    disk.set_capacity(1 << 40);
    let (log, recovered) = open(&disk);
    assert!(!log.space().unwrap().is_low(), "{:?}", log.space());
    assert!(
        recovered.last_seq >= synced,
        "{synced} were synced, {recovered:?}"
    );
    assert_eq!(read(&log, 0).unwrap(), records(1..=recovered.last_seq));
}

#[test]
fn closing_and_opening_again_writes_nothing_more() {
    let disk = FaultyDisk::new();
    let log = filled(&disk, 5);
    log.close().unwrap();
    log.close().unwrap();
    drop(log);
    let (writes, syncs) = (disk.writes(), disk.syncs());
    let (log, _) = open(&disk);
    log.close().unwrap();
    assert_eq!((disk.writes(), disk.syncs()), (writes, syncs));
    log.append(&[record(6)]).unwrap();
    log.close().unwrap();
    assert_eq!(read(&log, 0).unwrap(), records(1..=6));
}

#[test]
fn the_log_of_another_store_and_of_a_newer_program_are_refused_by_name() {
    let disk = FaultyDisk::new();
    filled(&disk, 50);
    let mut other = opening(0);
    other.store = [9; 16];
    let refused = Log::open(
        Path::new(super::DIR),
        small(),
        other,
        Arc::new(disk.clone()),
    )
    .unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Corrupt);
    assert!(refused.message().contains("another store"), "{refused}");

    let mut bytes = disk.bytes(&segment(1));
    bytes[8..12].copy_from_slice(&2_u32.to_le_bytes());
    let checksum = xxhash_rust::xxh3::xxh3_64(&bytes[..56]);
    bytes[56..64].copy_from_slice(&checksum.to_le_bytes());
    disk.put(&segment(1), &bytes);
    let refused = open_at(&disk, 0).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unsupported);
    assert!(refused.message().contains("newer program"), "{refused}");
}

#[test]
fn records_that_the_store_holds_and_the_log_never_got_are_a_stated_hole() {
    let disk = FaultyDisk::new();
    filled(&disk, 5);
    // Commits 6 to 8 were acknowledged before they were synced, and the power went.
    let (log, recovered) = open_at(&disk, 8).unwrap();
    assert_eq!(recovered.last_seq, 8);
    assert_eq!(recovered.damage.len(), 1);
    assert_eq!(recovered.damage[0].lost, Some((6, 8)));
    assert_eq!(
        log.append(&[record(8)]).unwrap_err().kind(),
        ErrorKind::Internal
    );
    log.append(&[record(9)]).unwrap();
    assert_eq!(read(&log, 8).unwrap(), records([9]));
    let mut old = log.read_from(4).unwrap();
    assert_eq!(old.next(9).unwrap(), Some(record(5)));
    let hole = old.next(9).unwrap_err();
    assert_eq!(hole.kind(), ErrorKind::NotFound);
    assert!(hole.message().contains("changes 6 to 8"), "{hole}");
    log.sync().unwrap();
    drop(log);
    let (log, recovered) = open_at(&disk, 9).unwrap();
    assert_eq!((recovered.last_seq, recovered.damage), (9, vec![]));
    assert_eq!(log.verify().unwrap(), []);
}

#[test]
fn readers_follow_a_writer_on_a_real_disk_while_old_segments_go() {
    let seed = seed(1);
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("deep/log");
    let options = LogOptions {
        retention_bytes: 40_000,
        ..small()
    };
    let (log, _) = Log::open(&dir, options, opening(0), Arc::new(RealDisk)).unwrap();
    let published = AtomicU64::new(0);
    const LAST: u64 = 3000;
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let mut reader = log.read_from(0).unwrap();
            let (log, published) = (&log, &published);
            scope.spawn(move || {
                let mut next = 1;
                let mut overtaken = 0;
                while next <= LAST {
                    let through = published.load(Ordering::Acquire);
                    match reader.next(through) {
                        Ok(Some(record)) => {
                            assert_eq!(record, super::record(next));
                            assert!(record.seq <= through, "{} of {through}", record.seq);
                            next += 1;
                        }
                        Ok(None) => std::thread::yield_now(),
                        Err(error) => {
                            assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
                            overtaken += 1;
                            next = log.first_seq();
                            reader = log.read_from(next - 1).unwrap();
                        }
                    }
                }
                println!("overtaken {overtaken} times");
            });
        }
        let mut random = Random(seed);
        let mut seq = 0;
        while seq < LAST {
            let group = (1 + random.below(20)).min(LAST - seq);
            log.append(&records(seq + 1..=seq + group)).unwrap();
            seq += group;
            if random.below(10) == 0 {
                log.sync().unwrap();
            }
            published.store(seq, Ordering::Release);
            log.retain(seq, 0).unwrap();
        }
    });
    assert!(log.bytes() < 60_000, "{} bytes", log.bytes());
    assert_eq!(log.verify().unwrap(), []);
    let first = log.first_seq();
    log.close().unwrap();
    let applied = first - 1;
    let (log, recovered) = Log::open(&dir, small(), opening(applied), Arc::new(RealDisk)).unwrap();
    assert_eq!((recovered.first_seq, recovered.last_seq), (first, LAST));
    assert_eq!(read(&log, applied).unwrap(), records(first..=LAST));
    assert!(log.space().unwrap().total > 0, "{:?}", log.space());
}

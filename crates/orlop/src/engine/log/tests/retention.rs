//! Dropping old segments.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{open_at, opening, read, record, records, small};
use crate::ErrorKind;
use crate::engine::log::faulty::{Crash, FaultyDisk};
use crate::engine::log::{Log, LogOptions};

const DAY_MS: i64 = 24 * 3600 * 1000;

/// A log of 100 records, a day apart.
fn filled(disk: &FaultyDisk, options: LogOptions) -> Log {
    let (log, _) = Log::open(
        Path::new(super::DIR),
        options,
        opening(0),
        Arc::new(disk.clone()),
    )
    .unwrap();
    for seq in 1..=100 {
        let mut one = (*record(seq)).clone();
        one.at_ms = seq as i64 * DAY_MS;
        log.append(&[Arc::new(one)]).unwrap();
    }
    log.sync().unwrap();
    log
}

#[test]
fn segments_past_the_bytes_to_keep_go_and_their_tokens_are_too_old() {
    let disk = FaultyDisk::new();
    let options = LogOptions {
        retention_bytes: 6000,
        retention_age: Duration::from_secs(u64::MAX / 1_000_000),
        ..small()
    };
    let log = filled(&disk, options);
    let dropped = log.retain(100, 0).unwrap();
    assert!(dropped > 3, "{dropped} dropped");
    assert!(log.bytes() <= 6000, "{} bytes", log.bytes());
    let first = log.first_seq();
    let refused = log.read_from(first - 2).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotFound);
    assert!(refused.message().contains("too old"), "{refused}");
    assert_eq!(read(&log, first - 1).unwrap().len() as u64, 101 - first);
    assert_eq!(log.verify().unwrap(), []);
    assert_eq!(log.retain(100, 0).unwrap(), 0);
    log.append(&[record(101)]).unwrap();
}

#[test]
fn segments_past_the_age_to_keep_go() {
    let disk = FaultyDisk::new();
    let log = filled(&disk, small());
    assert_eq!(log.retain(100, 7 * DAY_MS).unwrap(), 0);
    log.retain(100, 57 * DAY_MS).unwrap();
    let first = log.first_seq();
    // Whole segments only, so some older ones stay, and none younger than a week went.
    assert!((30..=50).contains(&first), "the oldest kept is {first}");
}

#[test]
fn nothing_above_the_floor_goes_and_the_last_segment_stays() {
    let disk = FaultyDisk::new();
    let options = LogOptions {
        retention_bytes: 0,
        ..small()
    };
    let log = filled(&disk, options);
    assert_eq!(log.retain(0, i64::MAX).unwrap(), 0);
    log.retain(50, i64::MAX).unwrap();
    assert!((40..=51).contains(&log.first_seq()), "{}", log.first_seq());
    log.retain(100, i64::MAX).unwrap();
    assert!((80..=100).contains(&log.first_seq()), "{}", log.first_seq());
    assert_eq!(disk.paths().len(), 1);
}

#[test]
fn a_store_that_holds_less_than_the_log_begins_with_is_refused() {
    let disk = FaultyDisk::new();
    let options = LogOptions {
        retention_bytes: 0,
        ..small()
    };
    let log = filled(&disk, options);
    log.retain(50, 0).unwrap();
    let base = log.first_seq() - 1;
    drop(log);
    let refused = open_at(&disk, base - 1).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Corrupt);
    let (log, _) = open_at(&disk, base).unwrap();
    assert_eq!(log.first_seq(), base + 1);
}

#[test]
fn a_crash_while_segments_go_leaves_no_hole() {
    for seed in 0..20 {
        let disk = FaultyDisk::new();
        let options = LogOptions {
            retention_bytes: 0,
            ..small()
        };
        let log = filled(&disk, options);
        disk.fail_sync_after(seed);
        let _ = log.retain(100, 0);
        let first = log.first_seq();
        let torn = (0..20).map(|more| Crash::Torn(seed * 20 + more));
        for how in [Crash::Lost, Crash::Kept].into_iter().chain(torn) {
            let (log, recovered) = open_at(&disk.crash(how), 100).unwrap();
            assert_eq!(recovered.damage, []);
            assert!(log.first_seq() <= first, "{} of {first}", log.first_seq());
            assert_eq!(read(&log, 99).unwrap().len(), 1);
        }
    }
}

#[test]
fn a_segment_that_never_got_its_name_is_cleaned_up() {
    let disk = FaultyDisk::new();
    let log = filled(&disk, small());
    drop(log);
    let made = Path::new(super::DIR).join("0000000099.log.new");
    disk.put(&made, b"half a head");
    let (log, _) = open_at(&disk, 0).unwrap();
    assert_eq!(read(&log, 0).unwrap().len(), 100);
    assert!(!disk.paths().contains(&made), "{:?}", disk.paths());
    assert_eq!(records([100]).len(), 1);
}

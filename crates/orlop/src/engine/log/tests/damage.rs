//! Damage: every bit, and whole files.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::{STORE, open, open_at, read, records, segment};
use crate::ErrorKind;
use crate::engine::log::faulty::{Crash, FaultyDisk};
use crate::engine::log::frame::{FrameHead, SegmentHead};
use crate::engine::log::scan::scan;
use crate::engine::log::{Record, verify_folder};

/// Two segments of records, the last two not synced unless closed.
fn two_segments(closed: bool) -> FaultyDisk {
    let disk = FaultyDisk::new();
    let (log, _) = open(&disk);
    let mut seq = 0;
    while disk.paths().len() < 2 || seq % 4 != 2 {
        seq += 1;
        log.append(&records([seq])).unwrap();
        if seq % 4 == 0 {
            log.sync().unwrap();
        }
    }
    if closed {
        log.close().unwrap();
    }
    disk
}

/// What reading finds: the records up to an error, and whether there was one.
fn look(disk: &FaultyDisk) -> Result<(Vec<Arc<Record>>, Option<String>), String> {
    let (log, recovered) = match open_at(disk, 0) {
        Ok(opened) => opened,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
            return Err(error.message().to_owned());
        }
    };
    let mut reader = log.read_from(0).unwrap();
    let mut found = Vec::new();
    let error = loop {
        match reader.next(u64::MAX) {
            Ok(Some(record)) => found.push(record),
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    if error.is_none() {
        assert_eq!(found.last().map_or(0, |last| last.seq), recovered.last_seq);
    }
    let listed = log.verify().unwrap();
    if let Some(error) = &error {
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert!(!listed.is_empty(), "not listed: {error}");
    }
    Ok((found, error.map(|error| error.message().to_owned())))
}

fn flip_every_bit(closed: bool) {
    let disk = two_segments(closed);
    let whole = scan(&disk.bytes(&segment(2)), &STORE, 2);
    let all = records(1..=whole.last);
    let mut outcomes = BTreeSet::new();
    for number in [1, 2] {
        let bytes = disk.bytes(&segment(number));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let bad = disk.crash(Crash::Kept);
            bad.put(&segment(number), &flipped);
            let listed = verify_folder(Path::new(super::DIR), &bad).unwrap();
            let name = format!("{number:010}.log");
            match look(&bad) {
                Err(message) => {
                    outcomes.insert("refused");
                    assert!(message.contains(&name), "bit {bit} of {name}: {message}");
                    assert!(!listed.is_empty(), "bit {bit} of {name} is not listed");
                }
                Ok((found, Some(message))) => {
                    outcomes.insert("named by the reader");
                    assert!(message.contains(&name), "bit {bit} of {name}: {message}");
                    assert_eq!(found, all[..found.len()], "bit {bit} of {name}");
                    assert!(!listed.is_empty(), "bit {bit} of {name} is not listed");
                }
                Ok((found, None)) if found == all => {
                    outcomes.insert("harmless");
                }
                Ok((found, None)) => {
                    outcomes.insert("torn tail");
                    assert_eq!(number, 2, "bit {bit}: a tail only in the last segment");
                    assert_eq!(found, all[..found.len()], "bit {bit} of {name}");
                    // Nothing that the frames prove to have been synced is ever dropped.
                    assert!(
                        found.len() as u64 >= whole.proven,
                        "bit {bit}: {}",
                        found.len()
                    );
                }
            }
        }
    }
    let expected: &[&str] = match closed {
        true => &["harmless", "named by the reader", "refused"],
        false => &["harmless", "named by the reader", "refused", "torn tail"],
    };
    assert_eq!(outcomes.into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn every_flipped_bit_of_a_killed_log_is_named_harmless_or_a_torn_tail() {
    flip_every_bit(false);
}

#[test]
fn every_flipped_bit_of_a_closed_log_is_named_or_harmless() {
    flip_every_bit(true);
}

#[test]
fn whole_frames_of_which_one_is_missing_between_are_named() {
    let head = SegmentHead {
        number: 1,
        store: STORE,
        prev: 0,
        base: 0,
        created_ms: 0,
    };
    let seed = SegmentHead::seed(&STORE, 1);
    let mut bytes = head.encode().to_vec();
    for (seq, prev) in [(1, 0), (3, 2), (4, 3)] {
        let at = bytes.len();
        bytes.resize(at + 48, 0);
        super::record(seq).encode(&mut bytes);
        FrameHead::record(seq, prev, prev).seal(&mut bytes[at..], seed, at as u64);
    }
    let disk = FaultyDisk::new();
    disk.put(&segment(1), &bytes);
    let refused = open_at(&disk, 1).unwrap_err();
    assert!(refused.message().contains("record 2 is lost"), "{refused}");
    let (log, recovered) = open_at(&disk, 2).unwrap();
    assert_eq!((recovered.last_seq, recovered.damage.len()), (4, 1));
    let refused = read(&log, 0).unwrap_err();
    assert!(refused.message().contains("record 2 is lost"), "{refused}");
    assert_eq!(read(&log, 2).unwrap(), records([3, 4]));
}

#[test]
fn a_missing_segment_is_named() {
    let disk = FaultyDisk::new();
    let (log, _) = open(&disk);
    log.append(&records(1..=5)).unwrap();
    for seq in 6..=60 {
        log.append(&records([seq])).unwrap();
    }
    log.close().unwrap();
    let last = scan(&disk.bytes(&segment(2)), &STORE, 2).last;
    let bad = disk.crash(Crash::Kept);
    crate::engine::log::Disk::remove(&bad, &segment(3)).unwrap();
    let refused = open_at(&bad, 0).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Corrupt);
    let named = format!(
        "0000000003.log at offset 0: the file is missing; records {} to ",
        last + 1
    );
    assert!(refused.message().contains(&named), "{refused}");
    let listed = verify_folder(Path::new(super::DIR), &bad).unwrap();
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert!(
        refused.message().contains(&listed[0].to_string()),
        "{refused}"
    );
    // A store that needs none of it opens, and the feed says where it breaks.
    let (log, recovered) = open_at(&bad, 60).unwrap();
    assert_eq!(recovered.damage, listed);
    let mut reader = log.read_from(last - 1).unwrap();
    assert_eq!(reader.next(99).unwrap().map(|one| one.seq), Some(last));
    assert_eq!(reader.next(99).unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(read(&log, 59).unwrap(), records([60]));
}

#[test]
fn an_earlier_segment_cut_short_is_named_when_read() {
    let disk = two_segments(true);
    let bytes = disk.bytes(&segment(1));
    disk.put(&segment(1), &bytes[..bytes.len() - 10]);
    let (log, _) = open(&disk);
    let refused = read(&log, 0).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Corrupt);
    assert!(refused.message().contains("0000000001.log"), "{refused}");
    assert_eq!(log.verify().unwrap().len(), 1);
}

#[test]
fn a_store_whose_log_is_gone_is_refused() {
    let refused = open_at(&FaultyDisk::new(), 3).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Corrupt);
    assert!(refused.message().contains("holds no log"), "{refused}");
}

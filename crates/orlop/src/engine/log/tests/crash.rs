//! Loss of power at any moment, and torn tails.

use super::{Random, open, open_at, read, record, records, seed, segment};
use crate::ErrorKind;
use crate::engine::log::Log;
use crate::engine::log::faulty::{Crash, FaultyDisk};
use crate::engine::log::scan::scan;

/// Five synced records, and an image of the disk with a sixth that was not.
fn torn() -> (FaultyDisk, usize, usize) {
    let disk = FaultyDisk::new();
    let (log, _) = open(&disk);
    log.append(&records(1..=5)).unwrap();
    log.sync().unwrap();
    let begins = end_of(&disk);
    log.append(&[record(6)]).unwrap();
    let ends = end_of(&disk);
    assert!(ends > begins + 100, "the sixth lies in {begins}..{ends}");
    (disk, begins, ends)
}

fn end_of(disk: &FaultyDisk) -> usize {
    scan(&disk.bytes(&segment(1)), &super::STORE, 1).end as usize
}

#[test]
fn torn_tail_is_dropped_at_every_length_and_earlier_records_survive() {
    let (disk, begins, ends) = torn();
    let whole = disk.bytes(&segment(1));
    for length in begins..=ends {
        let mut zeroed = whole.clone();
        zeroed[length..].fill(0);
        let mut noise = whole.clone();
        noise[length..ends]
            .iter_mut()
            .for_each(|byte| *byte ^= 0x5A);
        for (what, bytes) in [
            ("cut", &whole[..length]),
            ("zeros", &zeroed),
            ("noise", &noise),
        ] {
            let torn = disk.crash(Crash::Kept);
            torn.put(&segment(1), bytes);
            let (log, recovered) = open(&torn);
            // What a cut or zeros take may be zeros anyway.
            let last = if bytes.get(begins..ends) == Some(&whole[begins..ends]) {
                6
            } else {
                5
            };
            assert_eq!(recovered.last_seq, last, "{what} at {length}");
            assert_eq!(recovered.damage, [], "{what} at {length}");
            // The cut is durable, and a shorter record in its place leaves nothing of it.
            log.append(&[record(7)]).unwrap();
            log.sync().unwrap();
            let (log, _) = open(&torn.crash(Crash::Lost));
            let mut expected = records(1..=last);
            expected.push(record(7));
            assert_eq!(read(&log, 0).unwrap(), expected, "{what} at {length}");
            assert_eq!(log.verify().unwrap(), [], "{what} at {length}");
        }
    }
}

#[test]
fn a_document_that_holds_a_frame_is_no_proof_of_anything() {
    let disk = FaultyDisk::new();
    let (log, _) = open(&disk);
    for seq in 1..=4 {
        log.append(&[record(seq)]).unwrap();
        log.sync().unwrap();
    }
    let frames = disk.bytes(&segment(1))[64..end_of(&disk)].to_vec();
    let begins = end_of(&disk);
    let mut copied = (*record(5)).clone();
    copied.catalog = vec![frames.into()];
    log.append(&[std::sync::Arc::new(copied), record(6)])
        .unwrap();
    let mut bytes = disk.bytes(&segment(1));
    bytes[begins + 20] ^= 1;
    disk.put(&segment(1), &bytes);
    let (log, recovered) = open(&disk);
    assert_eq!((recovered.last_seq, recovered.damage), (4, vec![]));
    assert_eq!(read(&log, 0).unwrap(), records(1..=4));
}

#[test]
fn a_record_behind_a_torn_one_does_not_come_back_when_another_takes_its_place() {
    let disk = FaultyDisk::new();
    let (log, _) = open(&disk);
    log.append(&records(1..=3)).unwrap();
    log.sync().unwrap();
    let begins = end_of(&disk);
    log.append(&records([4, 5])).unwrap();
    let mut bytes = disk.bytes(&segment(1));
    bytes[begins + 50] ^= 1;
    disk.put(&segment(1), &bytes);
    let (log, recovered) = open(&disk);
    assert_eq!((recovered.last_seq, recovered.damage), (3, vec![]));
    // Exactly as long as the torn one, so that the old fifth record would follow it.
    log.append(&[record(4)]).unwrap();
    log.sync().unwrap();
    let (log, recovered) = open(&disk.crash(Crash::Lost));
    assert_eq!(recovered.last_seq, 4);
    assert_eq!(read(&log, 0).unwrap(), records(1..=4));
}

#[test]
fn a_damaged_mark_costs_no_record_behind_it() {
    let disk = FaultyDisk::new();
    let (log, _) = open(&disk);
    log.append(&records(1..=3)).unwrap();
    log.close().unwrap();
    let mark = end_of(&disk) - 48;
    log.append(&[record(4)]).unwrap();
    log.sync().unwrap();
    let mut bytes = disk.bytes(&segment(1));
    bytes[mark + 20] ^= 1;
    disk.put(&segment(1), &bytes);
    let (log, recovered) = open(&disk);
    assert_eq!((recovered.last_seq, recovered.damage.len()), (4, 1));
    assert_eq!(recovered.damage[0].lost, None);
    assert_eq!(read(&log, 0).unwrap(), records(1..=4));
    assert_eq!(log.verify().unwrap(), recovered.damage);
}

/// Appends and syncs at random, then loses power: what comes back is a prefix that holds all that
/// was synced. Goes on from there.
fn lose_power(seed: u64) {
    let mut random = Random(seed);
    let mut disk = FaultyDisk::new();
    let mut known = 0;
    for life in 0..4 {
        let (log, recovered) =
            open_at(&disk, 0).unwrap_or_else(|error| panic!("life {life}: {error}"));
        assert_eq!(recovered.damage, []);
        assert!(
            recovered.last_seq >= known,
            "{} of {known}",
            recovered.last_seq
        );
        let mut last = recovered.last_seq;
        assert_eq!(read(&log, 0).unwrap(), records(1..=last));
        let mut synced = last;
        for _ in 0..random.below(30) {
            let group = 1 + random.below(6);
            log.append(&records(last + 1..=last + group)).unwrap();
            last += group;
            if random.below(3) == 0 {
                log.sync().unwrap();
                synced = last;
            }
        }
        if random.below(8) == 0 {
            log.close().unwrap();
            synced = last;
        }
        assert_eq!(log.last_seq(), last);
        let how = match random.below(4) {
            0 => Crash::Lost,
            1 => Crash::Torn(random.below(u64::MAX)),
            2 => Crash::Scrambled(random.below(u64::MAX)),
            _ => Crash::Kept,
        };
        known = synced;
        disk = disk.crash(how);
        // And once more, in the middle of opening.
        if random.below(3) == 0 {
            disk.fail_sync_after(random.below(2));
            let _ = open_at(&disk, 0);
            disk = disk.crash(Crash::Torn(random.below(u64::MAX)));
        }
    }
}

#[test]
fn what_was_synced_survives_lost_torn_and_scrambled_writes() {
    let first = seed(0);
    for seed in first..first + 400 {
        println!("seed {seed}");
        lose_power(seed);
    }
}

#[test]
fn a_bad_record_with_synced_ones_behind_it_is_corruption_naming_what_is_lost() {
    let disk = FaultyDisk::new();
    let (log, _) = open(&disk);
    for seq in [1, 2, 5, 6] {
        log.append(&[record(seq)]).unwrap();
        log.sync().unwrap();
    }
    drop(log);
    let frame = |seq: u64| {
        let bytes = disk.bytes(&segment(1));
        let scan = scan(&bytes, &super::STORE, 1);
        assert_eq!(scan.last, 6);
        let head = crate::engine::log::frame::SegmentHead::seed(&super::STORE, 1);
        let mut at = 64;
        loop {
            let found = crate::engine::log::scan::find_frame(&bytes, head, at, None).unwrap();
            if found.1.seq == seq {
                break found.0 as usize;
            }
            at = found.0 + 1;
        }
    };
    let at = frame(5);
    let mut bytes = disk.bytes(&segment(1));
    bytes[at + 60] ^= 0x10;
    let bad = disk.crash(Crash::Kept);
    bad.put(&segment(1), &bytes);
    let refused = open_at(&bad, 2).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Corrupt);
    let named = format!("0000000001.log at offset {at}");
    assert!(refused.message().contains(&named), "{refused}");
    assert!(
        refused.message().contains("records 3 to 5 are lost"),
        "{refused}"
    );
    assert_eq!(bad.bytes(&segment(1)), bytes, "refusing changes nothing");
    // A store that holds them already needs none of them, and its feed names what is lost.
    let (log, recovered) = open_at(&bad, 5).unwrap();
    assert_eq!((recovered.last_seq, recovered.damage.len()), (6, 1));
    assert_eq!(read(&log, 5).unwrap(), records([6]));
    let mut reader = log.read_from(1).unwrap();
    assert_eq!(reader.next(9).unwrap(), Some(record(2)));
    for _ in 0..2 {
        let lost = reader.next(9).unwrap_err();
        assert!(lost.message().contains("records 3 to 5 are lost"), "{lost}");
    }
    assert_eq!(log.verify().unwrap(), recovered.damage);
    let (log, _): (Log, _) = open(&disk);
    assert_eq!(read(&log, 0).unwrap(), records([1, 2, 5, 6]));
}

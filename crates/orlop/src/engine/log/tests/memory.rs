//! The log in memory.

use super::record;
use crate::ErrorKind;
use crate::engine::log::Log;

#[test]
fn reader_sees_records_up_to_the_published_number_and_goes_on_later() {
    let log = Log::memory(1 << 20, 0);
    let mut reader = log.read_from(0).unwrap();
    assert_eq!(reader.next(9).unwrap(), None);
    log.append(&[record(1), record(3)]).unwrap();
    assert_eq!(reader.next(2).unwrap(), Some(record(1)));
    assert_eq!(reader.next(2).unwrap(), None);
    assert_eq!(reader.next(3).unwrap(), Some(record(3)));
    assert_eq!(reader.next(3).unwrap(), None);
}

#[test]
fn old_records_go_when_the_bytes_are_used_up_and_their_token_is_too_old() {
    let log = Log::memory(10_000, 0);
    let mut slow = log.read_from(0).unwrap();
    for seq in 1..=1000 {
        log.append(&[record(seq)]).unwrap();
    }
    assert!(log.bytes() <= 10_000, "{} bytes are kept", log.bytes());
    let first = log.first_seq();
    assert!(first > 900, "the oldest kept is {first}");
    assert_eq!(slow.next(1000).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(
        log.read_from(first - 2).unwrap_err().kind(),
        ErrorKind::NotFound
    );
    let mut reader = log.read_from(first - 1).unwrap();
    assert_eq!(reader.next(1000).unwrap(), Some(record(first)));
}

#[test]
fn numbers_must_rise() {
    let log = Log::memory(10_000, 5);
    let refused = log.append(&[record(5)]).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Internal);
    log.append(&[record(6)]).unwrap();
    assert_eq!(log.last_seq(), 6);
}

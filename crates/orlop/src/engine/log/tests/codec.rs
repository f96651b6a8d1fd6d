//! The bytes of one record.

use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;

use super::record;
use crate::ErrorKind;
use crate::engine::log::{Record, RecordChange};

fn encoded(record: &Record) -> Bytes {
    let mut bytes = Vec::new();
    record.encode(&mut bytes);
    Bytes::from(bytes)
}

fn opaque() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..300).prop_map(Bytes::from)
}

fn changes() -> impl Strategy<Value = Vec<RecordChange>> {
    let change = (
        any::<u8>(),
        prop_oneof![0..3_u32, any::<u32>()],
        "[a-c\u{0}é]{0,3}",
        prop::option::of(opaque()),
        prop::option::of(opaque()),
    );
    let change = change.prop_map(|(kind, number, name, before, after)| RecordChange {
        kind,
        number,
        collection: Arc::from(name),
        before,
        after,
    });
    prop::collection::vec(change, 0..8)
}

fn any_record() -> impl Strategy<Value = Record> {
    (
        any::<u64>(),
        any::<i64>(),
        prop::option::of(".{0,20}"),
        prop::collection::vec(opaque(), 0..4),
        changes(),
    )
        .prop_map(|(seq, at_ms, origin, catalog, changes)| Record {
            seq,
            at_ms,
            origin: origin.map(Arc::from),
            catalog,
            changes,
        })
}

proptest! {
    #[test]
    fn decoding_gives_back_what_was_encoded(record in any_record()) {
        let back = Record::decode(record.seq, &encoded(&record)).unwrap();
        prop_assert_eq!(back, record);
    }

    #[test]
    fn noise_is_refused_or_read_but_never_panics(noise in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut noise = noise;
        let _ = Record::decode(1, &Bytes::from(noise.clone()));
        if let Some(first) = noise.first_mut() {
            *first = 1;
        }
        let _ = Record::decode(1, &Bytes::from(noise));
    }

    #[test]
    fn a_changed_byte_never_panics(record in any_record(), at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let mut bytes = encoded(&record).to_vec();
        let at = at.index(bytes.len());
        bytes[at] = to;
        let _ = Record::decode(record.seq, &Bytes::from(bytes));
    }
}

#[test]
fn every_shorter_record_is_refused() {
    let whole = encoded(&record(15));
    for length in 0..whole.len() {
        let refused = Record::decode(15, &whole.slice(..length)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Corrupt, "at length {length}");
    }
    let mut longer = whole.to_vec();
    longer.push(0);
    let refused = Record::decode(15, &Bytes::from(longer)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Corrupt);
}

#[test]
fn a_count_beyond_the_input_is_refused_at_once() {
    // Version, time, no origin, then 2^63 catalog changes.
    let mut bytes = vec![1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    bytes.extend([0xFF; 8]);
    bytes.push(0x7F);
    let refused = Record::decode(1, &Bytes::from(bytes)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Corrupt);
}

#[test]
fn a_newer_version_is_unsupported_and_named() {
    let mut bytes = encoded(&record(1)).to_vec();
    bytes[0] = 2;
    let refused = Record::decode(1, &Bytes::from(bytes)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unsupported);
    assert!(refused.message().contains("version 2"), "{refused}");
}

#[test]
fn a_collections_name_is_stored_once_a_record() {
    let change = record(2).changes[0].clone();
    let of = |count: usize| Record {
        changes: vec![change.clone(); count],
        ..Record::default()
    };
    let one = encoded(&of(1)).len();
    let two = encoded(&of(2)).len();
    let images = change.after.as_ref().map_or(0, |image| image.len());
    // Kind, collection, no image before, length of the image after.
    assert_eq!(two - one, images + 4);
}

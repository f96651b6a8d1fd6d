//! Pins the bytes of keys and records by `fixtures/records-v1.jsonl`.
//!
//! A line that changes is a change of the format: raise its version and keep the old one readable.

use std::fmt::Write as _;
use std::path::PathBuf;

use bson::{Bson, Document, RawDocumentBuf, doc};

use super::*;
use crate::document::{Direction, IndexSpec, Revision};
use crate::pack::keys;

fn fixture() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/records-v1.jsonl")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// The bytes that this program gives for what the line says.
fn written(line: &Document) -> Document {
    let document = line.get_document("document").unwrap();
    let id = document.get("_id").unwrap();
    let key = document_key(7, &keys::encode_id(id).unwrap());
    let raw = RawDocumentBuf::try_from(document).unwrap();
    let body = Body::seal(Body::pack(&raw, id).unwrap(), Revision(42));
    let direction = match line.get_bool("descending").unwrap() {
        true => Direction::Descending,
        false => Direction::Ascending,
    };
    let spec = IndexSpec::on([("value", direction)]);
    let entries = keys::index_keys(&spec, &raw).unwrap().keys;
    let id_key = keys::encode_id(id).unwrap();
    let entries = entries
        .iter()
        .map(|values| hex(&entry_key(9, values, &id_key)));
    doc! {
        "document": document,
        "descending": line.get_bool("descending").unwrap(),
        "key": hex(&key),
        "record": hex(&encode_record(&key, &body)),
        "entries": entries.collect::<Vec<_>>(),
    }
}

fn samples() -> Vec<Document> {
    let decimal = |text: &str| Bson::Decimal128(text.parse().unwrap());
    let values = [
        Bson::Null,
        Bson::Int32(-7),
        Bson::Int64(i64::MAX),
        Bson::Double(0.1),
        decimal("0.1"),
        decimal("-9.999E+6000"),
        Bson::from("caulk\\0the seams, ünïcode"),
        Bson::from(doc! { "b": 1, "a": [true, null] }),
        Bson::from(vec![
            Bson::from(1),
            Bson::from("x"),
            Bson::Array(Vec::new()),
        ]),
        Bson::DateTime(bson::DateTime::from_millis(-1)),
        Bson::ObjectId(bson::oid::ObjectId::from_bytes([1; 12])),
        Bson::Binary(bson::Binary {
            subtype: bson::spec::BinarySubtype::Uuid,
            bytes: vec![0, 255, 7],
        }),
        Bson::MinKey,
    ];
    let ids = [Bson::from("a\\0b"), Bson::from(12), Bson::from(1.5)];
    let mut lines = Vec::new();
    for (at, value) in values.into_iter().enumerate() {
        let document = doc! { "_id": ids[at % ids.len()].clone(), "value": value };
        lines.push(doc! { "document": document, "descending": at % 2 == 1 });
    }
    lines
}

#[test]
fn keys_and_records_have_the_bytes_they_always_had() {
    if std::env::var_os("UPDATE").is_some() {
        let mut lines = String::new();
        for line in samples() {
            let line = Bson::Document(written(&line)).into_canonical_extjson();
            writeln!(lines, "{line}").unwrap();
        }
        std::fs::write(fixture(), lines).unwrap();
    }
    let text = std::fs::read_to_string(fixture()).unwrap();
    let mut read = 0;
    for line in text.lines() {
        let json: serde_json::Value = serde_json::from_str(line).unwrap();
        let line = match Bson::try_from(json).unwrap() {
            Bson::Document(line) => line,
            other => panic!("{other}"),
        };
        assert_eq!(written(&line), line);
        let bytes = |name: &str| {
            let text = line.get_str(name).unwrap();
            let digits = (0..text.len()).step_by(2);
            let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
            Bytes::from(digits.map(byte).collect::<Vec<u8>>())
        };
        let body = decode_record(&bytes("key"), &bytes("record")).unwrap();
        assert_eq!(body.revision(), Some(Revision(42)));
        read += 1;
    }
    assert_eq!(read, samples().len());
}

#[test]
fn any_flipped_bit_of_a_record_and_another_key_are_noticed() {
    let line = written(&samples()[6]);
    let document = line.get_document("document").unwrap();
    let id = document.get("_id").unwrap();
    let raw = RawDocumentBuf::try_from(document).unwrap();
    let body = Body::seal(Body::pack(&raw, id).unwrap(), Revision(42));
    let key = document_key(7, &keys::encode_id(id).unwrap());
    let record = encode_record(&key, &body);
    assert_eq!(decode_record(&key, &record).unwrap(), body);
    for bit in 0..record.len() * 8 {
        let mut damaged = record.to_vec();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let error = decode_record(&key, &Bytes::from(damaged)).unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::Corrupt);
    }
    for length in 0..record.len() {
        assert!(decode_record(&key, &record.slice(..length)).is_err());
    }
    assert!(decode_record(&document_key(8, &keys::encode_id(id).unwrap()), &record).is_err());
}

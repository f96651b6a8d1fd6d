//! Where things lie in the key-value store: the spaces, their keys, a document's record.
//!
//! docs/format.md "Keys" and "Document records" describe every byte.

use bytes::{Bytes, BytesMut};
use xxhash_rust::xxh3::Xxh3;

use super::kv::KeyRange;
use crate::pack::Body;
use crate::{Error, Result};

/// Catalog, counters, and what the store knows of itself.
const SPACE_META: u8 = 1;
/// Documents, by collection number and id.
const SPACE_DOCUMENTS: u8 = 2;
/// Index entries, by index number, key values and id.
const SPACE_ENTRIES: u8 = 3;

/// First byte of a document's record.
const RECORD_VERSION: u8 = 1;
/// Bytes of a record around the body: version in front, checksum behind.
const RECORD_EXTRA: usize = 1 + 4;

/// Number of a collection; a truncated collection gets a new one.
pub(crate) type CollectionNumber = u32;
/// Number of an index, unique in the store.
pub(crate) type IndexNumber = u32;

/// The key of a fact about the store.
pub(crate) fn meta_key(name: &str) -> Bytes {
    let mut key = BytesMut::with_capacity(1 + name.len());
    key.extend_from_slice(&[SPACE_META]);
    key.extend_from_slice(name.as_bytes());
    key.freeze()
}

/// The prefix of all documents of a collection; the id's key follows.
pub(crate) fn document_prefix(collection: CollectionNumber) -> [u8; 5] {
    prefix(SPACE_DOCUMENTS, collection)
}

/// The prefix of all entries of an index; the key values and the id's key follow.
pub(crate) fn entry_prefix(index: IndexNumber) -> [u8; 5] {
    prefix(SPACE_ENTRIES, index)
}

/// The key of one document.
pub(crate) fn document_key(collection: CollectionNumber, id_key: &[u8]) -> Bytes {
    joined(&document_prefix(collection), id_key, &[])
}

/// The key of one index entry.
pub(crate) fn entry_key(index: IndexNumber, values_key: &[u8], id_key: &[u8]) -> Bytes {
    joined(&entry_prefix(index), values_key, id_key)
}

/// All documents of a collection, in order of id.
pub(crate) fn documents(collection: CollectionNumber) -> KeyRange {
    KeyRange::prefix(&document_prefix(collection))
}

/// All entries of an index, in order.
pub(crate) fn entries(index: IndexNumber) -> KeyRange {
    KeyRange::prefix(&entry_prefix(index))
}

/// A document's record: version, body, checksum over key and body.
pub(crate) fn encode_record(key: &[u8], body: &Body) -> Bytes {
    let body = body.bytes();
    let mut record = BytesMut::with_capacity(body.len() + RECORD_EXTRA);
    record.extend_from_slice(&[RECORD_VERSION]);
    record.extend_from_slice(body);
    record.extend_from_slice(&checksum(key, body).to_le_bytes());
    record.freeze()
}

/// The body in a record read under `key`. No copy.
///
/// # Errors
/// `Corrupt` when the checksum or the version is another one.
pub(crate) fn decode_record(key: &[u8], record: &Bytes) -> Result<Body> {
    let damaged = |what: &str| Error::corrupt(format!("record of {} bytes: {what}", record.len()));
    let body_end = record
        .len()
        .checked_sub(4)
        .filter(|end| *end > 1)
        .ok_or_else(|| damaged("too short"))?;
    if record[0] != RECORD_VERSION {
        return Err(damaged("version unknown to this program"));
    }
    let stored = u32::from_le_bytes(record[body_end..].try_into().expect("four bytes are left"));
    let body = record.slice(1..body_end);
    if stored != checksum(key, &body) {
        return Err(damaged("checksum differs"));
    }
    Body::from_stored(body)
}

/// The low half of XXH3-64 over the key and the body: a record under a wrong key is damage too.
fn checksum(key: &[u8], body: &[u8]) -> u32 {
    let mut hash = Xxh3::new();
    hash.update(key);
    hash.update(body);
    hash.digest() as u32
}

fn prefix(space: u8, number: u32) -> [u8; 5] {
    let [a, b, c, d] = number.to_be_bytes();
    [space, a, b, c, d]
}

fn joined(first: &[u8], second: &[u8], third: &[u8]) -> Bytes {
    let mut key = BytesMut::with_capacity(first.len() + second.len() + third.len());
    key.extend_from_slice(first);
    key.extend_from_slice(second);
    key.extend_from_slice(third);
    key.freeze()
}

#[cfg(test)]
#[path = "records/tests.rs"]
mod tests;

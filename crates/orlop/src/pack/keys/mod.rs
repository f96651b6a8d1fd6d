//! Keys: values as bytes whose order is the order of the values, ids, index and sort keys, scopes.
//!
//! Byte order is MongoDB's order of values. No encoding is a prefix of another one, so encodings
//! follow one another in a compound key. Values that compare equal (1, 1.0, a 64-bit 1, -0 and 0)
//! have the same bytes. Undefined, which also stands for an empty array, lies below null.
//! docs/format.md "Keys" describes every byte.

mod extract;
mod number;
mod read;
mod scope;

use bson::Bson;

use crate::document::Direction;
use crate::query::value::{Fields, View};
use crate::{Error, Result};

pub use extract::{IndexKeys, index_keys, sort_key, sort_key_of, sort_position};

pub use read::{describe, entry_id, value_len};
pub use scope::{pinned_scope, scope_keys};

#[cfg(test)]
mod tests;

/// Longest encoded id, in bytes.
pub const ID_BYTES_MAX: usize = 8 * 1024;
/// Longest encoded key of an index, in bytes, without the id behind it.
pub const KEY_BYTES_MAX: usize = 32 * 1024;

/// First byte of an encoded value. Ordered as the types are; none is 0x00 or 0xFF, which end and
/// escape, also when complemented.
pub(crate) mod tag {
    pub(crate) const MIN_KEY: u8 = 0x10;
    pub(crate) const UNDEFINED: u8 = 0x14;
    pub(crate) const NULL: u8 = 0x18;
    pub(crate) const NUMBER: u8 = 0x20;
    pub(crate) const STRING: u8 = 0x30;
    pub(crate) const DOCUMENT: u8 = 0x40;
    pub(crate) const ARRAY: u8 = 0x50;
    pub(crate) const BINARY: u8 = 0x60;
    pub(crate) const OBJECT_ID: u8 = 0x70;
    pub(crate) const BOOL: u8 = 0x80;
    pub(crate) const DATE: u8 = 0x90;
    pub(crate) const TIMESTAMP: u8 = 0xA0;
    pub(crate) const REGEX: u8 = 0xB0;
    pub(crate) const POINTER: u8 = 0xB8;
    pub(crate) const CODE: u8 = 0xC0;
    pub(crate) const CODE_SCOPE: u8 = 0xC8;
    pub(crate) const MAX_KEY: u8 = 0xD0;

    /// The tag behind `tag` in the order of types; behind the last one nothing.
    pub(crate) fn after(tag: u8) -> u8 {
        let all = [
            MIN_KEY, UNDEFINED, NULL, NUMBER, STRING, DOCUMENT, ARRAY, BINARY, OBJECT_ID, BOOL,
            DATE, TIMESTAMP, REGEX, POINTER, CODE, CODE_SCOPE, MAX_KEY,
        ];
        all.into_iter().find(|other| *other > tag).unwrap_or(0xFF)
    }
}

/// Ends a document or an array; below every tag, so the shorter one is less.
const END: u8 = 0x00;
/// Ends a text; a NUL inside it is followed by [`ESCAPED`] instead.
const TEXT_END: [u8; 2] = [0x00, 0x01];
const ESCAPED: u8 = 0xFF;

/// Appends the ascending encoding of a value.
///
/// # Cost
/// One pass; strings are copied, with a byte more for each NUL in them and three around.
pub fn encode<'a>(out: &mut Vec<u8>, value: impl Into<View<'a>>) {
    let value = value.into();
    out.push(tag_of(value));
    encode_payload(out, value);
}

/// Appends the encoding of a value for a key of that direction. Descending is the complement.
pub fn encode_directed<'a>(out: &mut Vec<u8>, value: impl Into<View<'a>>, direction: Direction) {
    let start = out.len();
    encode(out, value);
    if direction == Direction::Descending {
        out.iter_mut().skip(start).for_each(|byte| *byte = !*byte);
    }
}

/// The key of a document's id.
///
/// # Errors
/// `Invalid` for an array, a regular expression or undefined, and over [`ID_BYTES_MAX`].
pub fn encode_id<'a>(id: impl Into<View<'a>>) -> Result<Vec<u8>> {
    let id = id.into();
    if matches!(id, View::Array(_) | View::Regex(..) | View::Undefined) {
        let name = id.type_name();
        return Err(Error::invalid(format!("an _id cannot be of type {name}")));
    }
    let mut key = Vec::with_capacity(16);
    encode(&mut key, id);
    if key.len() > ID_BYTES_MAX {
        return Err(Error::invalid(format!(
            "_id of {} bytes is over the limit of {ID_BYTES_MAX}",
            key.len()
        )));
    }
    Ok(key)
}

/// The tag of a value.
pub(crate) fn tag_of(value: View<'_>) -> u8 {
    match value {
        View::MinKey => tag::MIN_KEY,
        View::Undefined => tag::UNDEFINED,
        View::Null => tag::NULL,
        View::Double(_) | View::Int32(_) | View::Int64(_) | View::Decimal(_) => tag::NUMBER,
        View::Str(_) | View::Symbol(_) => tag::STRING,
        View::Document(_) => tag::DOCUMENT,
        View::Array(_) => tag::ARRAY,
        View::Binary(..) => tag::BINARY,
        View::ObjectId(_) => tag::OBJECT_ID,
        View::Bool(_) => tag::BOOL,
        View::Date(_) => tag::DATE,
        View::Timestamp(_) => tag::TIMESTAMP,
        View::Regex(..) => tag::REGEX,
        View::Pointer(_) => tag::POINTER,
        View::Code(_) => tag::CODE,
        View::CodeScope(..) => tag::CODE_SCOPE,
        View::MaxKey => tag::MAX_KEY,
    }
}

/// Appends text so that no text is a prefix of another: NUL is escaped, the end is marked.
pub(crate) fn encode_text(out: &mut Vec<u8>, text: &[u8]) {
    encode_text_open(out, text);
    out.extend_from_slice(&TEXT_END);
}

/// [`encode_text`] without the end: what all texts that begin with this one begin with.
pub(crate) fn encode_text_open(out: &mut Vec<u8>, text: &[u8]) {
    let mut parts = text.split(|byte| *byte == 0);
    out.extend_from_slice(parts.next().unwrap_or_default());
    for part in parts {
        out.extend_from_slice(&[0, ESCAPED]);
        out.extend_from_slice(part);
    }
}

fn encode_payload(out: &mut Vec<u8>, value: View<'_>) {
    match value {
        View::MinKey | View::Undefined | View::Null | View::MaxKey => (),
        View::Int32(it) => number::encode_f64(out, it.into()),
        View::Int64(it) => number::encode_i64(out, it),
        View::Double(it) => number::encode_f64(out, it),
        View::Decimal(it) => number::encode_decimal(out, it),
        View::Str(it) | View::Symbol(it) | View::Code(it) => encode_text(out, it),
        View::Document(it) => encode_fields(out, it),
        View::Array(it) => encode_elements(out, it),
        View::Binary(kind, bytes) => {
            // The old subtype counts the length it repeats inside.
            let length = bytes.len() + if kind == 2 { 4 } else { 0 };
            out.extend_from_slice(&(length as u32).to_be_bytes());
            out.push(kind);
            out.extend_from_slice(bytes);
        }
        View::ObjectId(it) => out.extend_from_slice(&it),
        View::Bool(it) => out.push(it.into()),
        View::Date(it) => out.extend_from_slice(&(it as u64 ^ (1 << 63)).to_be_bytes()),
        View::Timestamp(it) => out.extend_from_slice(&it.to_be_bytes()),
        View::Regex(pattern, options) => {
            encode_text(out, pattern);
            encode_text(out, options);
        }
        View::Pointer(it) => {
            let bytes = it.bytes();
            out.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
            out.extend_from_slice(&bytes);
        }
        View::CodeScope(code, scope) => {
            encode_text(out, code);
            encode_fields(out, scope);
        }
    }
}

/// Type, then name, then value of each field: the order in which documents compare.
fn encode_fields(out: &mut Vec<u8>, fields: Fields<'_>) {
    for (name, value) in fields.iter().map_while(Result::ok) {
        out.push(tag_of(value));
        encode_text(out, name);
        encode_payload(out, value);
    }
    out.push(END);
}

fn encode_elements(out: &mut Vec<u8>, elements: Fields<'_>) {
    for (_, value) in elements.iter().map_while(Result::ok) {
        encode(out, value);
    }
    out.push(END);
}

/// The encoding of an owned value.
pub fn encoded(value: &Bson) -> Vec<u8> {
    let mut out = Vec::with_capacity(16);
    encode(&mut out, value);
    out
}

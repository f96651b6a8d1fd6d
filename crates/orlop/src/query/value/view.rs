//! One borrowed view of a value, whether it lies in stored bytes or in a [`Bson`].
//!
//! Reads raw BSON with bounds checks and without decoding: a walk is type byte, key, skip.

use std::borrow::Cow;

use bson::raw::{RawBsonRef, RawDocument};
use bson::spec::BinarySubtype;
use bson::{Bson, Document};

use super::decimal::Decimal;

/// A value, borrowed. Strings are bytes: MongoDB compares them as such.
#[derive(Debug, Clone, Copy)]
pub enum View<'a> {
    /// Below everything.
    MinKey,
    /// Deprecated by BSON.
    Undefined,
    /// Null.
    Null,
    /// 64-bit binary floating point.
    Double(f64),
    /// 32-bit integer.
    Int32(i32),
    /// 64-bit integer.
    Int64(i64),
    /// 128-bit decimal floating point.
    Decimal(Decimal),
    /// A string's UTF-8.
    Str(&'a [u8]),
    /// A symbol's UTF-8; deprecated by BSON.
    Symbol(&'a [u8]),
    /// A document.
    Document(Fields<'a>),
    /// An array.
    Array(Fields<'a>),
    /// Subtype and bytes.
    Binary(u8, &'a [u8]),
    /// An ObjectId.
    ObjectId([u8; 12]),
    /// True or false.
    Bool(bool),
    /// Milliseconds since 1970.
    Date(i64),
    /// Seconds in the upper, increment in the lower half.
    Timestamp(u64),
    /// Pattern and options.
    Regex(&'a [u8], &'a [u8]),
    /// A DBPointer; deprecated by BSON.
    Pointer(Pointer<'a>),
    /// JavaScript.
    Code(&'a [u8]),
    /// JavaScript and its scope.
    CodeScope(&'a [u8], Fields<'a>),
    /// Above everything.
    MaxKey,
}

/// A DBPointer: `bson` keeps its parts to itself, so ours waits until someone asks.
#[derive(Debug, Clone, Copy)]
pub enum Pointer<'a> {
    /// The stored bytes: length, namespace with NUL, ObjectId.
    Stored(&'a [u8]),
    /// As `bson` reads it from raw bytes.
    Raw(RawBsonRef<'a>),
    /// As `bson` owns it.
    Owned(&'a Bson),
}

impl Pointer<'_> {
    /// The stored bytes: length, namespace with NUL, ObjectId.
    pub fn bytes(&self) -> Cow<'_, [u8]> {
        let mut wrapper = bson::RawDocumentBuf::new();
        match self {
            Self::Stored(bytes) => return Cow::Borrowed(bytes),
            Self::Raw(value) => wrapper.append(bson::cstr!(""), *value),
            Self::Owned(value) => match bson::RawBson::try_from((*value).clone()) {
                Ok(value) => wrapper.append(bson::cstr!(""), value),
                Err(_) => return Cow::Borrowed(&[]),
            },
        }
        // Length of the document, type byte and empty key before it; one NUL behind it.
        let bytes = wrapper.into_bytes();
        Cow::Owned(bytes.get(6..bytes.len() - 1).unwrap_or_default().to_vec())
    }
}

/// The fields of a document or the elements of an array.
#[derive(Debug, Clone, Copy)]
pub enum Fields<'a> {
    /// Stored elements, without the length before and the NUL behind them.
    Raw(&'a [u8]),
    /// An owned document.
    Document(&'a Document),
    /// An owned array. Its elements' keys read as empty; they are known by their position.
    Array(&'a [Bson]),
}

/// Walks [`Fields`] in order.
pub enum FieldsIter<'a> {
    /// What is left of the stored elements.
    Raw(&'a [u8]),
    /// What is left of a document.
    Document(bson::document::Iter<'a>),
    /// What is left of an array.
    Array(std::slice::Iter<'a, Bson>),
}

/// Stored bytes that are not BSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

impl From<Malformed> for crate::Error {
    fn from(_: Malformed) -> Self {
        Self::corrupt("stored document is not valid BSON")
    }
}

impl<'a> Fields<'a> {
    /// The fields of a raw document. Its length and terminator were checked when it was made.
    pub fn of(document: &'a RawDocument) -> Self {
        let bytes = document.as_bytes();
        Self::Raw(
            bytes
                .get(4..bytes.len().saturating_sub(1))
                .unwrap_or_default(),
        )
    }

    /// Walks them in order. Ends early, after one error, at bytes that are not BSON.
    pub fn iter(&self) -> FieldsIter<'a> {
        match self {
            Self::Raw(bytes) => FieldsIter::Raw(bytes),
            Self::Document(document) => FieldsIter::Document(document.iter()),
            Self::Array(values) => FieldsIter::Array(values.iter()),
        }
    }

    /// The first field of that name.
    ///
    /// # Errors
    /// `Malformed` when the bytes before it are not BSON.
    pub fn get(&self, name: &[u8]) -> Result<Option<View<'a>>, Malformed> {
        match self {
            Self::Raw(bytes) => {
                let mut rest = *bytes;
                while let Some(element) = raw_element(&mut rest)? {
                    if element.key == name {
                        return element.view().map(Some);
                    }
                }
                Ok(None)
            }
            Self::Document(document) => Ok(std::str::from_utf8(name)
                .ok()
                .and_then(|name| document.get(name))
                .map(View::from)),
            Self::Array(values) => Ok(std::str::from_utf8(name)
                .ok()
                .and_then(array_index)
                .and_then(|at| values.get(at))
                .map(View::from)),
        }
    }

    /// How many there are; malformed bytes end the count.
    pub fn count(&self) -> usize {
        match self {
            Self::Raw(bytes) => {
                let (mut rest, mut count) = (*bytes, 0);
                while let Ok(Some(_)) = raw_element(&mut rest) {
                    count += 1;
                }
                count
            }
            Self::Document(document) => document.len(),
            Self::Array(values) => values.len(),
        }
    }
}

impl<'a> Iterator for FieldsIter<'a> {
    type Item = Result<(&'a [u8], View<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Raw(rest) => {
                let next = raw_element(rest)
                    .and_then(|element| element.map(|it| Ok((it.key, it.view()?))).transpose());
                if next.is_err() {
                    *rest = &[];
                }
                next.transpose()
            }
            Self::Document(fields) => fields
                .next()
                .map(|(key, value)| Ok((key.as_bytes(), View::from(value)))),
            Self::Array(values) => values
                .next()
                .map(|value| Ok((b"".as_slice(), View::from(value)))),
        }
    }
}

/// A canonical array index: digits, no leading zero but in `0` itself.
pub fn array_index(part: &str) -> Option<usize> {
    let digits = part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || part.is_empty() || (part.len() > 1 && part.starts_with('0')) {
        return None;
    }
    part.parse().ok()
}

/// One stored element, its value still as bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RawElement<'a> {
    pub(crate) key: &'a [u8],
    kind: u8,
    value: &'a [u8],
}

/// Takes the next element off `rest`; none at its end.
#[inline]
pub(crate) fn raw_element<'a>(rest: &mut &'a [u8]) -> Result<Option<RawElement<'a>>, Malformed> {
    let Some((&kind, after)) = rest.split_first() else {
        return Ok(None);
    };
    let end = after.iter().position(|&byte| byte == 0).ok_or(Malformed)?;
    let (key, after) = (after.get(..end), after.get(end + 1..));
    let (key, after) = (key.ok_or(Malformed)?, after.ok_or(Malformed)?);
    let size = value_bytes(kind, after)?;
    if size > after.len() {
        return Err(Malformed);
    }
    let (value, after) = after.split_at(size);
    *rest = after;
    Ok(Some(RawElement { key, kind, value }))
}

/// Size of a stored value. Not checked against what is there.
#[inline]
fn value_bytes(kind: u8, bytes: &[u8]) -> Result<usize, Malformed> {
    Ok(match kind {
        0x06 | 0x0A | 0x7F | 0xFF => 0,
        0x08 => 1,
        0x10 => 4,
        0x01 | 0x09 | 0x11 | 0x12 => 8,
        0x07 => 12,
        0x13 => 16,
        0x02 | 0x0D | 0x0E => 4 + length(bytes, 1)?,
        0x03 | 0x04 => length(bytes, 5)?,
        0x05 => 5 + length(bytes, 0)?,
        0x0C => 16 + length(bytes, 1)?,
        0x0F => length(bytes, 14)?,
        0x0B => {
            let pattern = nul_at(bytes)?;
            pattern + 2 + nul_at(bytes.get(pattern + 1..).ok_or(Malformed)?)?
        }
        _ => return Err(Malformed),
    })
}

fn nul_at(bytes: &[u8]) -> Result<usize, Malformed> {
    bytes.iter().position(|&byte| byte == 0).ok_or(Malformed)
}

#[inline]
fn length(bytes: &[u8], least: usize) -> Result<usize, Malformed> {
    let length = i32::from_le_bytes(array_at(bytes, 0)?);
    usize::try_from(length)
        .ok()
        .filter(|it| *it >= least)
        .ok_or(Malformed)
}

#[inline]
fn array_at<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], Malformed> {
    bytes
        .get(at..at + N)
        .and_then(|it| it.try_into().ok())
        .ok_or(Malformed)
}

/// The text of a stored string: after its length, before its NUL.
fn text(value: &[u8]) -> Result<&[u8], Malformed> {
    match value.split_last() {
        Some((0, _)) => value.get(4..value.len() - 1).ok_or(Malformed),
        _ => Err(Malformed),
    }
}

/// The elements of a stored document: after its length, before its NUL.
fn elements(value: &[u8]) -> Result<Fields<'_>, Malformed> {
    text(value).map(Fields::Raw)
}

impl<'a> RawElement<'a> {
    /// Whether the stored value is one byte, and that one of these.
    pub(crate) fn value_is_one_of(&self, bytes: &[u8]) -> bool {
        matches!(self.value, [byte] if bytes.contains(byte))
    }

    /// The value.
    #[inline]
    pub(crate) fn view(&self) -> Result<View<'a>, Malformed> {
        let value = self.value;
        Ok(match self.kind {
            0x01 => View::Double(f64::from_le_bytes(array_at(value, 0)?)),
            0x02 => View::Str(text(value)?),
            0x03 => View::Document(elements(value)?),
            0x04 => View::Array(elements(value)?),
            0x05 => binary(value)?,
            0x06 => View::Undefined,
            0x07 => View::ObjectId(array_at(value, 0)?),
            0x08 => View::Bool(value.first() != Some(&0)),
            0x09 => View::Date(i64::from_le_bytes(array_at(value, 0)?)),
            0x0A => View::Null,
            0x0B => {
                let end = nul_at(value)?;
                let options = value.get(end + 1..value.len() - 1).ok_or(Malformed)?;
                View::Regex(value.get(..end).ok_or(Malformed)?, options)
            }
            0x0C => View::Pointer(Pointer::Stored(value)),
            0x0D => View::Code(text(value)?),
            0x0E => View::Symbol(text(value)?),
            0x0F => code_with_scope(value)?,
            0x10 => View::Int32(i32::from_le_bytes(array_at(value, 0)?)),
            0x11 => View::Timestamp(u64::from_le_bytes(array_at(value, 0)?)),
            0x12 => View::Int64(i64::from_le_bytes(array_at(value, 0)?)),
            0x13 => View::Decimal(Decimal::from_bits(u128::from_le_bytes(array_at(value, 0)?))),
            0x7F => View::MaxKey,
            0xFF => View::MinKey,
            _ => return Err(Malformed),
        })
    }
}

fn binary(value: &[u8]) -> Result<View<'_>, Malformed> {
    let subtype = *value.get(4).ok_or(Malformed)?;
    let bytes = value.get(5..).ok_or(Malformed)?;
    // The old subtype repeats its length inside; `bson` strips it, so we do.
    match subtype {
        2 => Ok(View::Binary(2, bytes.get(4..).ok_or(Malformed)?)),
        _ => Ok(View::Binary(subtype, bytes)),
    }
}

fn code_with_scope(value: &[u8]) -> Result<View<'_>, Malformed> {
    let inner = value.get(4..).ok_or(Malformed)?;
    let code = inner.get(..4 + length(inner, 1)?).ok_or(Malformed)?;
    let scope = inner.get(code.len()..).ok_or(Malformed)?;
    if length(scope, 5)? != scope.len() {
        return Err(Malformed);
    }
    Ok(View::CodeScope(text(code)?, elements(scope)?))
}

fn timestamp(value: bson::Timestamp) -> u64 {
    u64::from(value.time) << 32 | u64::from(value.increment)
}

fn subtype(value: BinarySubtype) -> u8 {
    value.into()
}

impl<'a> From<&'a Bson> for View<'a> {
    fn from(value: &'a Bson) -> Self {
        match value {
            Bson::Double(it) => Self::Double(*it),
            Bson::String(it) => Self::Str(it.as_bytes()),
            Bson::Array(it) => Self::Array(Fields::Array(it)),
            Bson::Document(it) => Self::Document(Fields::Document(it)),
            Bson::Boolean(it) => Self::Bool(*it),
            Bson::Null => Self::Null,
            Bson::RegularExpression(it) => Self::Regex(
                it.pattern.as_str().as_bytes(),
                it.options.as_str().as_bytes(),
            ),
            Bson::JavaScriptCode(it) => Self::Code(it.as_bytes()),
            Bson::JavaScriptCodeWithScope(it) => {
                Self::CodeScope(it.code.as_bytes(), Fields::Document(&it.scope))
            }
            Bson::Int32(it) => Self::Int32(*it),
            Bson::Int64(it) => Self::Int64(*it),
            Bson::Timestamp(it) => Self::Timestamp(timestamp(*it)),
            Bson::Binary(it) => Self::Binary(subtype(it.subtype), &it.bytes),
            Bson::ObjectId(it) => Self::ObjectId(it.bytes()),
            Bson::DateTime(it) => Self::Date(it.timestamp_millis()),
            Bson::Symbol(it) => Self::Symbol(it.as_bytes()),
            Bson::Decimal128(it) => Self::Decimal(Decimal::from(*it)),
            Bson::Undefined => Self::Undefined,
            Bson::MaxKey => Self::MaxKey,
            Bson::MinKey => Self::MinKey,
            Bson::DbPointer(_) => Self::Pointer(Pointer::Owned(value)),
        }
    }
}

impl<'a> From<RawBsonRef<'a>> for View<'a> {
    fn from(value: RawBsonRef<'a>) -> Self {
        match value {
            RawBsonRef::Double(it) => Self::Double(it),
            RawBsonRef::String(it) => Self::Str(it.as_bytes()),
            RawBsonRef::Array(it) => {
                let bytes = it.as_bytes();
                Self::Array(elements(bytes).unwrap_or(Fields::Raw(&[])))
            }
            RawBsonRef::Document(it) => Self::Document(Fields::of(it)),
            RawBsonRef::Boolean(it) => Self::Bool(it),
            RawBsonRef::Null => Self::Null,
            RawBsonRef::RegularExpression(it) => Self::Regex(
                it.pattern.as_str().as_bytes(),
                it.options.as_str().as_bytes(),
            ),
            RawBsonRef::JavaScriptCode(it) => Self::Code(it.as_bytes()),
            RawBsonRef::JavaScriptCodeWithScope(it) => {
                Self::CodeScope(it.code.as_bytes(), Fields::of(it.scope))
            }
            RawBsonRef::Int32(it) => Self::Int32(it),
            RawBsonRef::Int64(it) => Self::Int64(it),
            RawBsonRef::Timestamp(it) => Self::Timestamp(timestamp(it)),
            RawBsonRef::Binary(it) => Self::Binary(subtype(it.subtype), it.bytes),
            RawBsonRef::ObjectId(it) => Self::ObjectId(it.bytes()),
            RawBsonRef::DateTime(it) => Self::Date(it.timestamp_millis()),
            RawBsonRef::Symbol(it) => Self::Symbol(it.as_bytes()),
            RawBsonRef::Decimal128(it) => Self::Decimal(Decimal::from(it)),
            RawBsonRef::Undefined => Self::Undefined,
            RawBsonRef::MaxKey => Self::MaxKey,
            RawBsonRef::MinKey => Self::MinKey,
            RawBsonRef::DbPointer(_) => Self::Pointer(Pointer::Raw(value)),
        }
    }
}

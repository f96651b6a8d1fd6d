//! A document opened only where an update reaches into it; the rest stays the bytes it was.

use std::borrow::Cow;

use bson::raw::{CStr, RawArray, RawArrayBuf, RawBsonRef, RawDocument, RawDocumentBuf};

use crate::{Error, Result};

/// The fields of an opened document, in order.
pub(super) type Opened<'a> = Vec<(Cow<'a, str>, Value<'a>)>;

/// A value of a document that is being changed.
#[derive(Debug, Clone)]
pub(super) enum Value<'a> {
    /// Bytes nobody reached into.
    Raw(RawBsonRef<'a>),
    /// An opened document.
    Document(Opened<'a>),
    /// An opened array.
    Array(Vec<Value<'a>>),
}

impl<'a> Value<'a> {
    /// Opens a raw document or array one level.
    pub(super) fn open(&mut self) -> Result<()> {
        match self {
            Self::Raw(RawBsonRef::Document(document)) => *self = Self::Document(open(document)?),
            Self::Raw(RawBsonRef::Array(array)) => *self = Self::Array(elements(array)?),
            _ => {}
        }
        Ok(())
    }

    /// The value as it was stored; none when an update reached into it.
    pub(super) fn raw(&self) -> Option<RawBsonRef<'a>> {
        match self {
            Self::Raw(raw) => Some(*raw),
            _ => None,
        }
    }
}

/// The fields of a document.
pub(super) fn open(document: &RawDocument) -> Result<Opened<'_>> {
    document
        .iter_elements()
        .map(|element| {
            let element = element.map_err(malformed)?;
            let value = element.value().map_err(malformed)?;
            Ok((Cow::Borrowed(element.key().as_str()), Value::Raw(value)))
        })
        .collect()
}

/// The elements of an array.
pub(super) fn elements(array: &RawArray) -> Result<Vec<Value<'_>>> {
    array
        .iter_elements()
        .map(|element| {
            let element = element.map_err(malformed)?;
            Ok(Value::Raw(element.value().map_err(malformed)?))
        })
        .collect()
}

/// The bytes of an opened document.
pub(super) fn close(fields: &Opened<'_>) -> Result<RawDocumentBuf> {
    let mut document = RawDocumentBuf::new();
    for (name, value) in fields {
        let name: &CStr = name
            .as_ref()
            .try_into()
            .map_err(|_| Error::invalid("a field name may not contain NUL"))?;
        match value {
            Value::Raw(raw) => document.append(name, *raw),
            Value::Document(fields) => document.append(name, close(fields)?),
            Value::Array(elements) => document.append(name, close_array(elements)?),
        }
    }
    Ok(document)
}

/// Whether two values have one type and the same bytes: what MongoDB calls no change.
pub(super) fn identical(left: RawBsonRef<'_>, right: RawBsonRef<'_>) -> bool {
    match (left, right) {
        // Not `==`: a NaN is itself, and zero is not minus zero.
        (RawBsonRef::Double(left), RawBsonRef::Double(right)) => left.to_bits() == right.to_bits(),
        _ => left.element_type() == right.element_type() && left == right,
    }
}

/// The error of bytes that are not BSON.
pub(super) fn malformed(error: bson::error::Error) -> Error {
    Error::corrupt(format!("malformed document: {error}"))
}

fn close_array(elements: &[Value<'_>]) -> Result<RawArrayBuf> {
    let mut array = RawArrayBuf::new();
    for value in elements {
        match value {
            Value::Raw(raw) => array.push(*raw),
            Value::Document(fields) => array.push(close(fields)?),
            Value::Array(elements) => array.push(close_array(elements)?),
        }
    }
    Ok(array)
}

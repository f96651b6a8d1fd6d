//! `Document`: what a stored type tells of itself. Written by `#[derive(Document)]`.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::field::At;
use super::{Declaration, Key, Revision, Shape, Timestamp, Value};
use crate::{Error, FieldError, Result};

/// A type whose values are the documents of one collection.
///
/// Written by `#[derive(Document)]`, which emits `Serialize` and `Deserialize` too, so that the
/// names of the fields are said once.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a document",
    label = "not a document",
    note = "add `#[derive(Document)]` and `#[document(collection = \"..\")]` to `{Self}`"
)]
pub trait Document: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The name of its collection.
    const COLLECTION: &'static str;
    /// Stored names of its top-level fields.
    const FIELDS: &'static [&'static str];
    /// The type of its id.
    type Id: Key;
    /// Its fields, for filters, sorts and updates.
    type Fields: At;

    /// Its id.
    fn id(&self) -> Self::Id;

    /// Its fields. `Task::title()` and `Task::fields().title()` are the same.
    fn fields() -> Self::Fields {
        Self::Fields::at("".into())
    }

    /// Indexes, schema, scopes, defaults and the rest. Built once a process.
    fn declaration() -> &'static Declaration;

    /// The fields it knows. Writes from this type keep every other field as it is stored.
    fn shape() -> &'static Shape;

    /// The fields a write of this very value knows; none when the value is a whole document of a
    /// variant this program does not know, which is stored as it is.
    fn keep(&self) -> Option<&'static Shape> {
        Some(Self::shape())
    }

    /// The revision it was read at, when a field is marked `#[document(version)]`.
    fn version(&self) -> Option<Revision> {
        None
    }

    /// Sets the field marked `#[document(version)]`, if there is one.
    fn set_version(&mut self, _revision: Revision) {}

    /// Fields that name documents of other collections.
    fn references() -> &'static [Reference] {
        &[]
    }

    /// Runs the declared check functions, nested ones too; adds what is broken to `errors`.
    ///
    /// Rules that a schema can say (types, lengths, ranges, patterns) are not looked at here:
    /// every write meets them in the engine.
    fn check(&self, _errors: &mut Vec<FieldError>) {}
}

/// What a delete does to the documents that refer to the deleted one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum OnDelete {
    /// Nothing: they go on naming a document that is gone.
    #[default]
    Ignore,
    /// The delete is refused while there are any.
    Restrict,
    /// They are deleted too, in the same batch.
    Cascade,
    /// Their field is set to null (taken out of an array), in the same batch.
    SetNull,
}

/// A field that names documents of another collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reference {
    /// Stored path of the field.
    pub path: &'static str,
    /// The collection of the documents it names.
    pub collection: &'static str,
    /// What happens when one of them is deleted.
    pub on_delete: OnDelete,
}

/// A struct that is one variant of the enum collection `E`. Written by the derive on `E`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a variant of `{E}`",
    label = "not a variant of `{E}`",
    note = "add `{Self}({Self})` to the enum `{E}`"
)]
pub trait VariantOf<E: Document>: Document {
    /// The value of the tag that says it is this variant.
    const TAG: &'static str;
    /// The stored name of the tag.
    const TAG_FIELD: &'static str;
    /// The value inside, when `whole` is this variant.
    fn from_whole(whole: &E) -> Option<&Self>;
    /// The value as the enum.
    fn into_whole(self) -> E;
}

/// What `default = now` gives.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`default = now` needs a `Timestamp`, not a `{Self}`",
    label = "not a `Timestamp`"
)]
pub trait Now {
    /// The wall clock.
    fn now() -> Self;
}

impl Now for Timestamp {
    fn now() -> Self {
        Timestamp::now()
    }
}

impl Now for Option<Timestamp> {
    fn now() -> Self {
        Some(Timestamp::now())
    }
}

/// Encodes a document as it is stored, without `_v`.
///
/// # Errors
/// `Invalid` when a value has no BSON form (an unsigned integer over `i64::MAX`).
///
/// # Cost
/// One walk of the value, one allocation.
pub fn encode<T: Document>(document: &T) -> Result<bson::RawDocumentBuf> {
    bson::serialize_to_raw_document_buf(document).map_err(|error| {
        Error::invalid(format!(
            "a document of {} cannot be stored: {error}",
            T::COLLECTION
        ))
    })
}

/// Decodes stored BSON.
///
/// # Errors
/// `Invalid` when the document does not fit the type; the message names collection and field.
///
/// # Cost
/// One walk of the bytes.
pub fn decode<T: Document>(bytes: &[u8]) -> Result<T> {
    bson::deserialize_from_slice(bytes).map_err(|error| {
        // The derive's messages name the field and hold no value; others are not passed on.
        let why = error
            .message
            .unwrap_or_else(|| "malformed bytes".to_owned());
        Error::invalid(format!(
            "a stored document of {} does not fit its type: {why}",
            T::COLLECTION
        ))
    })
}

/// Reads one value as a field of type `V` reads it.
///
/// # Errors
/// `Invalid` when it is of another type.
pub fn value_of<V: Value>(value: &bson::Bson) -> Result<V> {
    use super::support::{Held, Read};
    let mut held = bson::Document::new();
    held.insert("it", value.clone());
    let bytes = bson::serialize_to_vec(&held)
        .map_err(|error| Error::invalid(format!("malformed value: {error}")))?;
    let read: Held<Read<V>> = bson::deserialize_from_slice(&bytes)
        .map_err(|_| Error::invalid("a stored value does not fit the type of its field"))?;
    Ok(read.it.0)
}

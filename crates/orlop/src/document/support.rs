//! What the derives call. No part of the public interface: it changes with them.

pub use bson;
pub use serde;

pub use super::field::join;
pub use super::misfit::{expected, plain, within};
pub use super::value::Seed;
pub use super::variants::*;
pub use crate::{FieldError, Result};

use bson::raw::{RawBsonRef, RawDocumentBuf};
use bson::{Bson, Document, doc};
use serde::de::DeserializeOwned;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::{Nullable, OnDelete, Value};

/// Reads the name of a field as the number the given function has for it.
#[derive(Debug, Clone, Copy)]
pub struct Name(pub fn(&str) -> usize);

impl<'de> DeserializeSeed<'de> for Name {
    type Value = usize;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<usize, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name {
    type Value = usize;
    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a name")
    }
    fn visit_str<E>(self, name: &str) -> Result<usize, E> {
        Ok((self.0)(name))
    }
}

/// Reads the value of the field `name`.
///
/// # Errors
/// Naming the field.
pub fn value<'de, T: Value, A: MapAccess<'de>>(map: &mut A, name: &str) -> Result<T, A::Error> {
    map.next_value_seed(Seed::<T>::default())
        .map_err(|error| within(name, &error))
}

/// Reads the value of a field through serde alone.
///
/// # Errors
/// Naming the field.
pub fn opaque<'de, T: Deserialize<'de>, A: MapAccess<'de>>(
    map: &mut A,
    name: &str,
) -> Result<T, A::Error> {
    map.next_value::<T>().map_err(|error| within(name, &error))
}

/// Passes over the value of a field that is not known.
///
/// # Errors
/// When it is malformed.
pub fn skip<'de, A: MapAccess<'de>>(map: &mut A) -> Result<(), A::Error> {
    map.next_value::<IgnoredAny>().map(drop)
}

/// The value of the field `name` when the document lacks it.
///
/// # Errors
/// When it is required.
pub fn missing<T: Value, E: Error>(name: &str) -> Result<T, E> {
    T::missing().ok_or_else(|| within(name, &expected::<E>("it is required")))
}

/// The value of a field read through serde alone when the document lacks it: none of an `Option`.
///
/// # Errors
/// When it is required.
pub fn opaque_missing<'de, T: Deserialize<'de>, E: Error>(name: &str) -> Result<T, E> {
    struct Nothing<E>(std::marker::PhantomData<E>);
    impl<'de, E: Error> Deserializer<'de> for Nothing<E> {
        type Error = E;
        fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, E> {
            Err(expected("it is required"))
        }
        fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
            visitor.visit_none()
        }
        serde::forward_to_deserialize_any! {
            bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
            unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
        }
    }
    T::deserialize(Nothing(std::marker::PhantomData)).map_err(|error: E| within(name, &error))
}

/// Adds a default, unless it is null: a missing field stays missing.
pub fn add_default(defaults: &mut Document, path: String, value: Bson) {
    if !matches!(value, Bson::Null | Bson::Undefined) {
        defaults.insert(path, value);
    }
}

/// The value of a type all of whose fields have a value when they are missing.
pub fn from_nothing<T>(
    read: impl FnOnce(
        serde::de::value::MapDeserializer<
            'static,
            std::iter::Empty<(&'static str, bool)>,
            serde::de::value::Error,
        >,
    ) -> Result<T, serde::de::value::Error>,
) -> Option<T> {
    read(serde::de::value::MapDeserializer::new(std::iter::empty())).ok()
}

/// The BSON of a default. `Undefined`, which no value equals, when there is none.
pub fn bson_of<T: Serialize>(value: Option<&T>) -> Bson {
    // Through a document, so that the encoder is the one that stores.
    let Some(value) = value else {
        return Bson::Undefined;
    };
    bson::serialize_to_vec(&Held { it: value })
        .ok()
        .and_then(|bytes| Document::from_reader(bytes.as_slice()).ok())
        .and_then(|mut document| document.remove("it"))
        .unwrap_or(Bson::Undefined)
}

/// The BSON that a missing field of this type stands for.
pub fn bson_of_missing<T: Value>() -> Bson {
    bson_of(T::missing().as_ref())
}

/// What `T` makes of a stored value, stored again.
pub fn again<T: Value>(stored: RawBsonRef<'_>) -> Option<Bson> {
    let held: Held<Read<T>> = held(stored)?;
    Some(bson_of(Some(&held.it.0)))
}

/// As [`again`], through serde alone.
pub fn again_opaque<T: Serialize + DeserializeOwned>(stored: RawBsonRef<'_>) -> Option<Bson> {
    let held: Held<T> = held(stored)?;
    Some(bson_of(Some(&held.it)))
}

/// A value inside a document: only there do the reader and the writer of stored bytes work.
#[derive(Serialize, Deserialize)]
pub(super) struct Held<T> {
    pub(super) it: T,
}

fn held<T: DeserializeOwned>(stored: RawBsonRef<'_>) -> Option<Held<T>> {
    let mut document = RawDocumentBuf::new();
    document.append(bson::cstr!("it"), stored);
    bson::deserialize_from_slice(document.as_bytes()).ok()
}

/// Reads by [`Value::read`].
pub(super) struct Read<T>(pub(super) T);

impl<'de, T: Value> Deserialize<'de> for Read<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::read(deserializer).map(Self)
    }
}

/// The schema of an object from the schemas of its fields and whether each is required.
pub fn object(fields: Vec<(&str, Document, bool)>) -> Document {
    let required: Vec<_> = fields
        .iter()
        .filter(|(.., required)| *required)
        .map(|(name, ..)| (*name).to_owned())
        .collect();
    let properties: Document = fields
        .into_iter()
        .map(|(name, schema, _)| (name.to_owned(), Bson::Document(schema)))
        .collect();
    let mut schema = doc! {"bsonType": "object"};
    if !required.is_empty() {
        schema.insert("required", required);
    }
    schema.insert("properties", properties);
    schema
}

/// Adds a bound on the length: characters of a string, elements of an array.
pub fn length(schema: &mut Document, min: Option<i64>, max: Option<i64>) {
    let array = has_type(schema, "array");
    let (low, high) = if array {
        ("minItems", "maxItems")
    } else {
        ("minLength", "maxLength")
    };
    if let Some(min) = min {
        schema.insert(low, min);
    }
    if let Some(max) = max {
        schema.insert(high, max);
    }
}

/// Adds a rule.
pub fn rule(schema: &mut Document, word: &str, value: impl Into<Bson>) {
    schema.insert(word, value.into());
}

/// Takes null away: the field must be there.
pub fn required(schema: &mut Document) {
    if let Some(Bson::Array(types)) = schema.get_mut("bsonType") {
        types.retain(|name| name.as_str() != Some("null"));
    }
    if has_type(schema, "string") {
        length(schema, Some(1), None);
    }
}

/// The schema of the elements of an array, to add rules to.
pub fn items(schema: &mut Document) -> &mut Document {
    if !schema.contains_key("items") {
        schema.insert("items", Document::new());
    }
    schema
        .get_document_mut("items")
        .expect("items was just seen or set")
}

fn has_type(schema: &Document, name: &str) -> bool {
    match schema.get("bsonType") {
        Some(Bson::String(one)) => one == name,
        Some(Bson::Array(many)) => many.iter().any(|it| it.as_str() == Some(name)),
        _ => false,
    }
}

/// Adds a broken rule when a check function refuses.
pub fn checked<M: std::fmt::Display>(
    outcome: Result<(), M>,
    path: &str,
    errors: &mut Vec<FieldError>,
) {
    if let Err(message) = outcome {
        errors.push(FieldError {
            field: path.to_owned(),
            rule: "check".to_owned(),
            message: message.to_string(),
        });
    }
}

/// The path of a field inside what is at `path`.
pub fn below(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

/// Refuses, where it is compiled, a reference that cannot be set to null.
pub const fn set_null<T: Nullable>() -> OnDelete {
    OnDelete::SetNull
}

/// Whether two names are one; for checks where it is compiled.
pub const fn same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    if one.len() != other.len() {
        return false;
    }
    let mut at = 0;
    while at < one.len() {
        if one[at] != other[at] {
            return false;
        }
        at += 1;
    }
    true
}

/// Whether one of the lists has the name; for checks where it is compiled.
pub const fn known(lists: &[&[&str]], name: &str) -> bool {
    let mut list = 0;
    while list < lists.len() {
        let mut at = 0;
        while at < lists[list].len() {
            if same(lists[list][at], name) {
                return true;
            }
            at += 1;
        }
        list += 1;
    }
    false
}

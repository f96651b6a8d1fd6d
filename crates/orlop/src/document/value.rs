//! `Value`: what can be the value of a field.

use bson::Document;
use serde::Serialize;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer};

use super::Shape;
use super::field::At;
use super::misfit::expected;
use crate::{FieldError, Result};

/// A type that can be the value of a field.
///
/// Written by `#[derive(Embedded)]` for nested structs and `#[derive(Value)]` for plain enums and
/// newtypes. A type of another crate goes into a field marked `#[document(opaque)]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a field of a document",
    label = "not a value of a document",
    note = "a nested struct: add `#[derive(Embedded)]` to `{Self}`",
    note = "a plain enum or a newtype: add `#[derive(Value)]` to `{Self}`",
    note = "a type with serde's traits and no typed filters: mark the field `#[document(opaque)]`"
)]
pub trait Value: Serialize + DeserializeOwned {
    /// What stands for it in filters, sorts and updates of documents of type `R`.
    type Field<R>: At;

    /// The fields it knows, when it is an embedded document or an array of them.
    const NESTED: Option<fn() -> &'static Shape> = None;

    /// Its JSON Schema.
    fn schema() -> Document;

    /// Reads it from stored BSON, or from JSON. Messages say what was expected, never what was there.
    ///
    /// # Errors
    /// When what is there is of another type.
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::deserialize(deserializer)
            .map_err(|_| expected("a value of another type was expected"))
    }

    /// The value of a field that is missing; none when the field is required.
    fn missing() -> Option<Self> {
        None
    }

    /// Whether a field with this value is left out of the stored document.
    fn is_absent(&self) -> bool {
        false
    }

    /// Adds the defaults of the fields inside, by path.
    fn defaults(_path: &str, _defaults: &mut Document) {}

    /// Adds the paths of the sensitive fields inside.
    fn sensitive(_path: &str, _sensitive: &mut Vec<String>) {}

    /// Runs the check functions of the fields inside.
    fn check(&self, _path: &str, _errors: &mut Vec<FieldError>) {}
}

/// A value with an order that its stored form keeps: numbers, strings, instants, days, ids.
#[diagnostic::on_unimplemented(
    message = "a field of type `{Self}` has no order",
    label = "`{Self}` has no order",
    note = "compare it with `eq`, `ne` or `is_in`"
)]
pub trait Ordered: Value {}

/// A value that can be added to and multiplied.
#[diagnostic::on_unimplemented(
    message = "a field of type `{Self}` is not a number",
    label = "`{Self}` is not a number"
)]
pub trait Number: Ordered {}

/// A value that is a whole number.
#[diagnostic::on_unimplemented(
    message = "a field of type `{Self}` is not a whole number",
    label = "`{Self}` is not a whole number"
)]
pub trait Whole: Number {}

/// A value that is stored as a string.
#[diagnostic::on_unimplemented(
    message = "a field of type `{Self}` is not text",
    label = "`{Self}` is not text"
)]
pub trait Text: Value {}

/// A value that can be set to null, or from which one element can be taken.
#[diagnostic::on_unimplemented(
    message = "`on_delete = set_null` needs an `Option` or a `Vec`, not `{Self}`",
    label = "cannot be set to null"
)]
pub trait Nullable: Value {}

/// Reads a `T` by [`Value::read`].
#[derive(Debug)]
pub struct Seed<T>(std::marker::PhantomData<T>);

impl<T> Default for Seed<T> {
    fn default() -> Self {
        Self(std::marker::PhantomData)
    }
}

impl<'de, T: Value> DeserializeSeed<'de> for Seed<T> {
    type Value = T;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        T::read(deserializer)
    }
}

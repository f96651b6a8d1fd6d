//! Enum collections: reading, writing and declaring variants. Called by the derive.

use bson::raw::{RawBsonRef, RawDocument, RawDocumentBuf};
use bson::{Bson, doc};
use serde::Serialize;
use serde::de::Error;

use super::misfit::{expected, plain, within};
use super::{Declaration, Document, IndexSpec, Key, Known, Reference, Revision, Shape};

/// Two documents with ids of one type.
pub trait SameId<Other> {}

impl<A: Document, B: Document<Id = A::Id>> SameId<A> for B {}

/// The value of the tag, when it is a string.
pub fn tag_of<'a>(whole: &'a RawDocument, tag: &str) -> Option<&'a str> {
    match whole.get(tag) {
        Ok(Some(RawBsonRef::String(name))) => Some(name),
        _ => None,
    }
}

/// Reads a variant; `text` when it came from a format of text, where ids are strings.
///
/// # Errors
/// Naming the field that does not fit.
pub fn read_variant<T: Document, E: Error>(whole: &RawDocument, text: bool) -> Result<T, E> {
    let read = if text {
        bson::Document::try_from(whole).and_then(bson::deserialize_from_document)
    } else {
        bson::deserialize_from_slice(whole.as_bytes())
    };
    read.map_err(|error| {
        E::custom(
            error
                .message
                .unwrap_or_else(|| "malformed bytes".to_owned()),
        )
    })
}

/// Reads a variant that is not known, as it is.
///
/// # Errors
/// When its id has another type than the others'.
pub fn read_unknown<K: Key, E: Error>(whole: &RawDocument) -> Result<bson::Document, E> {
    let document = bson::Document::try_from(whole).map_err(|_| E::custom("malformed bytes"))?;
    match document.get("_id").map(K::from_bson) {
        Some(Ok(_)) => Ok(document),
        _ => {
            let expected = format!("an id of type {} was expected", K::BSON_TYPE);
            Err(plain(&within::<E>("_id", &self::expected::<E>(&expected))))
        }
    }
}

/// Writes a variant with its tag behind the id.
///
/// # Errors
/// When a value has no BSON form.
pub fn write_variant<T: Document, S: serde::Serializer>(
    tag: &str,
    name: &str,
    inner: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    use serde::ser::Error as _;
    let refused = |error: bson::error::Error| S::Error::custom(error);
    let fields = bson::serialize_to_raw_document_buf(inner).map_err(refused)?;
    let tag_name: &bson::raw::CStr = tag.try_into().map_err(refused)?;
    let mut whole = RawDocumentBuf::new();
    let mut tagged = false;
    for element in &fields {
        let (field, value) = element.map_err(refused)?;
        if field.as_str() != "_id" && !tagged {
            whole.append(tag_name, name);
            tagged = true;
        }
        if field.as_str() != tag {
            whole.append(field, value);
        }
    }
    if !tagged {
        whole.append(tag_name, name);
    }
    whole.serialize(serializer)
}

/// Writes a variant that is not known, as it was read.
///
/// # Errors
/// When a key holds a NUL.
pub fn write_unknown<S: serde::Serializer>(
    document: &bson::Document,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    use serde::ser::Error as _;
    RawDocumentBuf::try_from(document)
        .map_err(S::Error::custom)?
        .serialize(serializer)
}

/// The id of a variant that is not known.
///
/// # Panics
/// When the document holds no id of the type that reading demands: it was not read but made up.
pub fn unknown_id<K: Key>(document: &bson::Document) -> K {
    document
        .get("_id")
        .and_then(|id| K::from_bson(id).ok())
        .expect("an unknown variant holds the _id it was read with")
}

/// The revision in a variant that is not known.
pub fn unknown_version(document: &bson::Document) -> Option<Revision> {
    let version = document.get_i64("_v").ok()?;
    u64::try_from(version).ok().map(Revision)
}

/// The tag, and the fields that some of these variants know.
pub fn joined_shape(tag: &'static str, shapes: &[&'static Shape]) -> Shape {
    let mut fields = vec![Known {
        name: tag,
        nested: None,
        default: None,
        again: None,
    }];
    for known in shapes.iter().flat_map(|shape| shape.fields) {
        match fields.iter_mut().find(|other| other.name == known.name) {
            None => fields.push(*known),
            Some(other) => {
                // Variants that disagree on the inside of a field leave it a value as a whole, and
                // a default that only one has stands for nothing in the others.
                if !same_function(other.nested, known.nested) {
                    other.nested = None;
                }
                if other.default.map(|default| default()) != known.default.map(|default| default())
                {
                    other.default = None;
                }
            }
        }
    }
    Shape {
        fields: fields.leak(),
    }
}

fn same_function(
    one: Option<fn() -> &'static Shape>,
    other: Option<fn() -> &'static Shape>,
) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => std::ptr::eq(one(), other()),
        (None, None) => true,
        _ => false,
    }
}

/// The references of all variants.
pub fn joined_references(all: &[&'static [Reference]]) -> Vec<Reference> {
    let mut joined = Vec::new();
    for reference in all.iter().copied().flatten() {
        if !joined.contains(reference) {
            joined.push(*reference);
        }
    }
    joined
}

/// The declarations of the variants as one: their indexes, scopes and sensitive fields together,
/// the defaults they all have, and a schema with a form for each.
pub fn joined_declaration(
    tag: &str,
    variants: &[(&str, &'static Declaration)],
    fallback: bool,
) -> Declaration {
    let mut joined = Declaration::default();
    for (_, variant) in variants {
        add_joined(&mut joined, variant.indexes.clone(), variant.scopes.clone());
        for path in &variant.sensitive {
            if !joined.sensitive.contains(path) {
                joined.sensitive.push(path.clone());
            }
        }
    }
    if let Some(((_, first), rest)) = variants.split_first() {
        if rest
            .iter()
            .all(|(_, other)| other.timestamps == first.timestamps)
        {
            joined.timestamps = first.timestamps.clone();
        }
        let everywhere = |path: &String, value: &Bson| {
            rest.iter()
                .all(|(_, other)| other.defaults.get(path) == Some(value))
        };
        for (path, value) in &first.defaults {
            if everywhere(path, value) {
                joined.defaults.insert(path.clone(), value.clone());
            }
        }
    }
    joined.schema = Some(joined_schema(tag, variants, fallback));
    joined
}

fn joined_schema(
    tag: &str,
    variants: &[(&str, &'static Declaration)],
    fallback: bool,
) -> bson::Document {
    let mut forms = Vec::with_capacity(variants.len() + 1);
    for (name, variant) in variants {
        let mut form = variant.schema.clone().unwrap_or_default();
        if let Ok(properties) = form.get_document_mut("properties") {
            properties.insert(tag, doc! {"enum": [*name]});
        }
        let mut required = form.get_array("required").cloned().unwrap_or_default();
        required.push(Bson::from(tag));
        form.insert("required", required);
        forms.push(form);
    }
    if fallback {
        let names: Vec<_> = variants.iter().map(|(name, _)| *name).collect();
        let mut properties = doc! {};
        properties.insert(tag, doc! {"not": {"enum": names}});
        forms.push(doc! {"properties": properties});
    }
    doc! {"bsonType": "object", "oneOf": forms}
}

/// Adds indexes and scopes that are not there yet.
pub fn add_joined(joined: &mut Declaration, indexes: Vec<IndexSpec>, scopes: Vec<Vec<String>>) {
    for index in indexes {
        if !joined.indexes.contains(&index) {
            joined.indexes.push(index);
        }
    }
    for scope in scopes {
        if !joined.scopes.contains(&scope) {
            joined.scopes.push(scope);
        }
    }
}

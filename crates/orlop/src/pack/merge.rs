//! A typed write over a stored document: what the type does not know stays.

use bson::raw::{RawArray, RawArrayBuf, RawBson, RawBsonRef, RawDocument, RawDocumentBuf};

use super::{Known, Shape};
use crate::query::value::compare_raw;
use crate::{Error, Result};

/// The stored document with the fields of `shape` taken from `new`.
///
/// Kept as stored: fields outside the shape; values that `new` says in another way (`8` and `8.0`);
/// null where `new` has nothing; a missing field whose new value is only the reader's default.
/// Embedded documents merge by the same rules.
///
/// # Errors
/// `Invalid` when either document is malformed.
pub fn merge(before: &RawDocument, new: &RawDocument, shape: &Shape) -> Result<RawDocumentBuf> {
    let mut merged = RawDocumentBuf::new();
    for element in before.iter() {
        let (name, stored) = element.map_err(malformed)?;
        if name.as_str() == "_v" {
            continue;
        }
        let known = shape.get(name.as_str());
        match (known, new.get(name.as_str()).map_err(malformed)?) {
            (Some(known), Some(value)) => match merged_value(stored, value, known)? {
                Some(inner) => merged.append(name, inner),
                None if compare_raw(stored, value).is_eq() => merged.append(name, stored),
                None => merged.append(name, value),
            },
            (Some(_), None) if stored != RawBsonRef::Null => {}
            _ => merged.append(name, stored),
        }
    }
    for element in new.iter() {
        let (name, value) = element.map_err(malformed)?;
        let missing = before.get(name.as_str()).map_err(malformed)?.is_none();
        if missing && name.as_str() != "_v" && !is_default(shape.get(name.as_str()), value) {
            merged.append(name, value);
        }
    }
    Ok(merged)
}

fn merged_value(
    stored: RawBsonRef<'_>,
    value: RawBsonRef<'_>,
    known: &Known,
) -> Result<Option<RawBson>> {
    match (stored, value, known.nested) {
        (RawBsonRef::Document(stored), RawBsonRef::Document(value), Some(nested)) => {
            merge(stored, value, nested()).map(|merged| Some(RawBson::Document(merged)))
        }
        (RawBsonRef::Array(stored), RawBsonRef::Array(value), Some(nested)) => {
            merged_array(stored, value, nested()).map(|merged| Some(RawBson::Array(merged)))
        }
        _ => Ok(None),
    }
}

/// An element stays as stored when the new one at its place says the same; what changed is new.
/// Elements have no identity, so fields unknown to the type are never moved to another one.
fn merged_array(stored: &RawArray, value: &RawArray, shape: &Shape) -> Result<RawArrayBuf> {
    let mut merged = RawArrayBuf::new();
    let mut old = stored.into_iter();
    for new in value {
        let new = new.map_err(malformed)?;
        match (old.next().transpose().map_err(malformed)?, new) {
            (Some(RawBsonRef::Document(old)), RawBsonRef::Document(inner)) => {
                let together = merge(old, inner, shape)?;
                let same = compare_raw(RawBsonRef::Document(old), RawBsonRef::Document(&together));
                match same.is_eq() {
                    true => merged.push(old.to_owned()),
                    false => merged.push(inner.to_owned()),
                }
            }
            (Some(old), new) if compare_raw(old, new).is_eq() => merged.push(old),
            (_, new) => merged.push(new),
        }
    }
    Ok(merged)
}

fn is_default(known: Option<&Known>, value: RawBsonRef<'_>) -> bool {
    let Some(default) = known.and_then(|known| known.default) else {
        return false;
    };
    bson::Bson::try_from(value).is_ok_and(|value| value == default())
}

fn malformed(error: bson::error::Error) -> Error {
    Error::invalid(format!("malformed document: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{Bson, Document, doc, rawdoc};

    static INNER: Shape = Shape {
        fields: &[known("theme", None), known("n", None)],
    };
    static OUTER: Shape = Shape {
        fields: &[
            known("title", None),
            known("due", None),
            known("tags", Some(|| Bson::Array(Vec::new()))),
            Known {
                name: "inner",
                nested: Some(|| &INNER),
                default: None,
            },
        ],
    };

    const fn known(name: &'static str, default: Option<fn() -> Bson>) -> Known {
        Known {
            name,
            nested: None,
            default,
        }
    }

    fn merged(before: RawDocumentBuf, new: RawDocumentBuf) -> Document {
        Document::try_from(merge(&before, &new, &OUTER).unwrap()).unwrap()
    }

    #[test]
    fn what_the_type_does_not_know_stays_where_it_was() {
        let before = rawdoc! { "_id": 1, "__v": 0, "title": "a", "inner": { "x": 1, "theme": "dark" }, "_v": 4_i64 };
        let new = rawdoc! { "_id": 1, "title": "b", "inner": { "theme": "light" } };
        let expected =
            doc! { "_id": 1, "__v": 0, "title": "b", "inner": { "x": 1, "theme": "light" } };
        assert_eq!(merged(before, new), expected);
    }

    #[test]
    fn an_unchanged_value_keeps_its_stored_form() {
        let before = rawdoc! { "_id": 1, "title": 8, "due": null, "inner": [{ "n": 1, "x": 2 }, { "n": 2, "x": 3 }] };
        let new = rawdoc! { "_id": 1, "title": 8.0, "tags": [], "inner": [{ "n": 1.0 }, { "n": 5 }, { "n": 6 }] };
        let expected = doc! { "_id": 1, "title": 8, "due": null, "inner": [{ "n": 1, "x": 2 }, { "n": 5 }, { "n": 6 }] };
        assert_eq!(merged(before, new), expected);
    }

    #[test]
    fn a_field_that_became_none_is_removed_and_a_new_one_added() {
        let before = rawdoc! { "_id": 1, "due": 5, "title": "a" };
        let new = rawdoc! { "_id": 1, "title": "a", "tags": ["x"] };
        assert_eq!(
            merged(before, new),
            doc! { "_id": 1, "title": "a", "tags": ["x"] }
        );
    }
}

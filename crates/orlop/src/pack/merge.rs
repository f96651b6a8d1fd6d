//! A typed write over a stored document: what the type does not know stays.

use bson::raw::{RawArray, RawArrayBuf, RawBson, RawBsonRef, RawDocument, RawDocumentBuf};

use super::{Known, Shape};
use crate::query::value::compare_raw;
use crate::{Error, Result};

/// Most pairs of elements compared to find which continues which; beyond, changed ones are new.
const PAIRS_MAX: usize = 4096;

/// The stored document with the fields of `shape` taken from `new`.
///
/// Kept as stored: fields outside the shape; values that `new` says in another way (`8` and `8.0`,
/// or what the field's type makes of the stored one); null where `new` has nothing; a missing field
/// whose new value is only the reader's default. Embedded documents merge by the same rules, and
/// so do those of an array, each with the element it continues: the one with its `_id`, else one
/// that says the same, else the one at its place among what is left.
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
                None => merged.append(name, stored),
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

/// The value to store in place of a stored one; none when that stays.
fn merged_value(
    stored: RawBsonRef<'_>,
    value: RawBsonRef<'_>,
    known: &Known,
) -> Result<Option<RawBson>> {
    if compare_raw(stored, value).is_eq() {
        return Ok(None);
    }
    let nested = known.nested.map(|nested| nested());
    if let (RawBsonRef::Document(stored), RawBsonRef::Document(value), Some(shape)) =
        (stored, value, nested)
    {
        return merge(stored, value, shape).map(|merged| Some(RawBson::Document(merged)));
    }
    if says_again(known, stored, value) {
        return Ok(None);
    }
    match (stored, value) {
        (RawBsonRef::Array(stored), RawBsonRef::Array(value)) => {
            merged_array(stored, value, nested).map(|merged| Some(RawBson::Array(merged)))
        }
        _ => Ok(Some(RawBson::from(value))),
    }
}

/// Whether a reader of the stored value, storing it again, would store just this.
fn says_again(known: &Known, stored: RawBsonRef<'_>, value: RawBsonRef<'_>) -> bool {
    let again = known.again.and_then(|again| again(stored));
    again.is_some_and(|again| bson::Bson::try_from(value).is_ok_and(|value| value == again))
}

/// Each new element joined with the stored one it continues, or as it is.
fn merged_array(stored: &RawArray, value: &RawArray, shape: Option<&Shape>) -> Result<RawArrayBuf> {
    let old = stored
        .into_iter()
        .collect::<std::result::Result<Vec<_>, _>>()
        .map_err(malformed)?;
    let new = value
        .into_iter()
        .collect::<std::result::Result<Vec<_>, _>>()
        .map_err(malformed)?;
    let mut merged = RawArrayBuf::new();
    for (at, from) in origins(&old, &new, shape)?.into_iter().enumerate() {
        let Some(new) = new.get(at) else { continue };
        match from.and_then(|from| old.get(from)) {
            Some(old) => merged.push(joined(*old, *new, shape)?),
            None => merged.push(*new),
        }
    }
    Ok(merged)
}

/// For each new element the place of the stored one it continues.
///
/// Elements have no identity of their own, so a field unknown to the type must not end up in
/// another element: what cannot be told is new.
fn origins(
    old: &[RawBsonRef<'_>],
    new: &[RawBsonRef<'_>],
    shape: Option<&Shape>,
) -> Result<Vec<Option<usize>>> {
    let mut origins = vec![None; new.len()];
    let mut left: Vec<usize> = (0..old.len()).collect();
    // Most edits leave the elements before and behind them as they are.
    let mut start = 0;
    while start < old.len().min(new.len()) && same(old[start], new[start], shape)? {
        origins[start] = Some(start);
        start += 1;
    }
    left.drain(..start);
    let mut end = new.len();
    while end > start
        && let Some(last) = left.last()
        && same(old[*last], new[end - 1], shape)?
    {
        end -= 1;
        origins[end] = left.pop();
    }
    if (end - start) * left.len() <= PAIRS_MAX {
        for alike in [same_id, same] {
            for (origin, new) in origins.iter_mut().zip(new).take(end).skip(start) {
                let mut found = None;
                for (place, at) in left.iter().enumerate() {
                    if origin.is_none() && alike(old[*at], *new, shape)? {
                        found = Some(place);
                        break;
                    }
                }
                if let Some(place) = found {
                    *origin = Some(left.remove(place));
                }
            }
        }
    }
    let open = (start..end)
        .filter(|at| origins[*at].is_none())
        .collect::<Vec<_>>();
    // As many left as new: they were edited where they stand.
    if open.len() == left.len() {
        for (at, from) in open.into_iter().zip(left) {
            if !different_ids(old[from], new[at]) {
                origins[at] = Some(from);
            }
        }
    }
    Ok(origins)
}

fn same(old: RawBsonRef<'_>, new: RawBsonRef<'_>, shape: Option<&Shape>) -> Result<bool> {
    let joined = joined(old, new, shape)?;
    Ok(compare_raw(old, joined.as_raw_bson_ref()).is_eq())
}

fn same_id(old: RawBsonRef<'_>, new: RawBsonRef<'_>, _: Option<&Shape>) -> Result<bool> {
    Ok(matches!(ids(old, new), (Some(old), Some(new)) if compare_raw(old, new).is_eq()))
}

fn different_ids(old: RawBsonRef<'_>, new: RawBsonRef<'_>) -> bool {
    matches!(ids(old, new), (Some(old), Some(new)) if !compare_raw(old, new).is_eq())
}

type MaybeId<'a> = Option<RawBsonRef<'a>>;

fn ids<'a>(old: RawBsonRef<'a>, new: RawBsonRef<'a>) -> (MaybeId<'a>, MaybeId<'a>) {
    let id = |value: RawBsonRef<'a>| match value {
        RawBsonRef::Document(document) => document.get("_id").ok().flatten(),
        _ => None,
    };
    (id(old), id(new))
}

/// A new element over the stored one it continues.
fn joined(old: RawBsonRef<'_>, new: RawBsonRef<'_>, shape: Option<&Shape>) -> Result<RawBson> {
    match (old, new, shape) {
        (RawBsonRef::Document(old), RawBsonRef::Document(new), Some(shape)) => {
            merge(old, new, shape).map(RawBson::Document)
        }
        _ if compare_raw(old, new).is_eq() => Ok(RawBson::from(old)),
        _ => Ok(RawBson::from(new)),
    }
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
                again: None,
            },
            Known {
                name: "whole",
                nested: None,
                default: None,
                again: Some(|stored| Some(Bson::Double(stored.as_i64()? as f64))),
            },
        ],
    };

    const fn known(name: &'static str, default: Option<fn() -> Bson>) -> Known {
        Known {
            name,
            nested: None,
            default,
            again: None,
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
    fn what_the_type_makes_of_a_stored_value_is_no_change() {
        let stored = 9_007_199_254_740_993_i64;
        let before = || rawdoc! { "_id": 1, "whole": stored };
        let expected = doc! { "_id": 1, "whole": stored };
        assert_eq!(
            merged(before(), rawdoc! { "_id": 1, "whole": stored as f64 }),
            expected
        );
        let expected = doc! { "_id": 1, "whole": 5.0 };
        assert_eq!(
            merged(before(), rawdoc! { "_id": 1, "whole": 5.0 }),
            expected
        );
    }

    #[test]
    fn an_element_keeps_its_own_unknown_fields_wherever_it_goes() {
        let inner = |elements: Vec<Document>| {
            RawDocumentBuf::try_from(&doc! { "_id": 1, "inner": elements }).unwrap()
        };
        let after = |new: Vec<Document>| {
            let before = vec![
                doc! { "n": 1, "x": "a" },
                doc! { "n": 2, "x": "b" },
                doc! { "n": 3, "x": "c" },
            ];
            let merged = merged(inner(before), inner(new));
            let elements = merged.get_array("inner").unwrap().iter();
            let words = elements.map(|element| {
                let element = element.as_document().unwrap();
                format!(
                    "{}{}",
                    element.get_i32("n").unwrap(),
                    element.get_str("x").unwrap_or("-")
                )
            });
            words.collect::<Vec<_>>().join(" ")
        };
        let n = |n: i32| doc! { "n": n };
        assert_eq!(after(vec![n(1), n(9), n(3)]), "1a 9b 3c");
        assert_eq!(after(vec![n(2), n(3)]), "2b 3c");
        assert_eq!(after(vec![n(1), n(3)]), "1a 3c");
        assert_eq!(after(vec![n(0), n(1), n(2), n(3)]), "0- 1a 2b 3c");
        assert_eq!(after(vec![n(3), n(1), n(2)]), "3c 1a 2b");
        assert_eq!(after(vec![n(3), n(9), n(1)]), "3c 9b 1a");
        assert_eq!(after(vec![n(8), n(9)]), "8- 9-");
        let named = |id: i32, n: i32| doc! { "_id": id, "n": n };
        let before = inner(vec![
            doc! { "_id": 1, "n": 1, "x": "a" },
            doc! { "_id": 2, "n": 2, "x": "b" },
        ]);
        let merged = merged(before, inner(vec![named(2, 7), named(3, 8)]));
        let expected =
            doc! { "_id": 1, "inner": [{ "_id": 2, "n": 7, "x": "b" }, { "_id": 3, "n": 8 }] };
        assert_eq!(merged, expected);
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

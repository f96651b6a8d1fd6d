//! Distinct values, as MongoDB's `distinct` finds them.

use std::collections::BTreeMap;
use std::sync::Arc;

use bson::Bson;
use futures_util::StreamExt;

use crate::Result;
use crate::cache::Weighed;
use crate::engine::{Query, Read, Reply};
use crate::pack::keys::encode;
use crate::query::value::{Fields, Malformed, View, array_index};

/// Encoded values with themselves: equal ones once, in order.
type Values = BTreeMap<Vec<u8>, Bson>;

/// The different values at `paths` in what the query gives, and the bytes they take.
pub(super) fn distinct(
    read: &dyn Read,
    query: Query,
    paths: Arc<[String]>,
) -> Reply<'_, Weighed<Arc<[Bson]>>> {
    Box::pin(async move {
        let mut rows = read.query(query).await?;
        let mut found = Values::new();
        while let Some(stored) = rows.next().await.transpose()? {
            add(stored.body.raw(), &paths, &mut found)?;
        }
        let bytes = found.keys().map(|key| key.len() + size_of::<Bson>()).sum();
        Ok((found.into_values().collect(), bytes))
    })
}

fn add(document: &bson::RawDocument, paths: &[String], found: &mut Values) -> Result<()> {
    let whole = View::Document(Fields::of(document));
    if let [path] = paths {
        return Ok(collect(whole, Some(path), found)?);
    }
    let mut tuples = vec![Vec::new()];
    for path in paths {
        let mut values = Values::new();
        collect(whole, Some(path), &mut values)?;
        if values.is_empty() {
            values.insert(Vec::new(), Bson::Null);
        }
        let longer = |tuple: &Vec<Bson>| {
            let tuple = tuple.clone();
            let with = move |value: &Bson| [&tuple[..], std::slice::from_ref(value)].concat();
            values.values().map(with).collect::<Vec<_>>()
        };
        tuples = tuples.iter().flat_map(longer).collect();
    }
    for tuple in tuples {
        let tuple = Bson::Array(tuple);
        let mut key = Vec::new();
        encode(&mut key, &tuple);
        found.entry(key).or_insert(tuple);
    }
    Ok(())
}

/// The values at a path: of an array its elements; an array on the way is looked into at its
/// documents, and at the element that a number names.
fn collect(value: View<'_>, path: Option<&str>, found: &mut Values) -> Result<(), Malformed> {
    let Some(path) = path else {
        if let View::Array(elements) = value {
            for element in elements.iter() {
                insert(element?.1, found)?;
            }
            return Ok(());
        }
        return insert(value, found);
    };
    let (part, rest) = match path.split_once('.') {
        Some((part, rest)) => (part, Some(rest)),
        None => (path, None),
    };
    match value {
        View::Document(fields) => match fields.get(part.as_bytes())? {
            Some(value) => collect(value, rest, found),
            None => Ok(()),
        },
        View::Array(elements) => {
            let position = array_index(part);
            for (at, element) in elements.iter().enumerate() {
                let (_, element) = element?;
                if position == Some(at) {
                    collect(element, rest, found)?;
                } else if matches!(element, View::Document(_)) {
                    collect(element, Some(path), found)?;
                }
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn insert(value: View<'_>, found: &mut Values) -> Result<(), Malformed> {
    let mut key = Vec::new();
    encode(&mut key, value);
    if let std::collections::btree_map::Entry::Vacant(vacant) = found.entry(key) {
        vacant.insert(value.to_bson()?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use bson::{RawDocumentBuf, doc};

    use super::*;

    fn of(paths: &[&str], documents: &[bson::Document]) -> Vec<Bson> {
        let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
        let mut found = Values::new();
        for document in documents {
            let raw = RawDocumentBuf::try_from(document).unwrap();
            add(&raw, &paths, &mut found).unwrap();
        }
        found.into_values().collect()
    }

    #[test]
    fn elements_of_arrays_are_values() {
        let documents = [
            doc! { "a": ["a", "b", "c"] },
            doc! { "a": ["x", "y", "c"] },
            doc! { "a": ["x", "y", "z"] },
        ];
        let expected: Vec<Bson> = ["a", "b", "c", "x", "y", "z"].map(Bson::from).into();
        assert_eq!(of(&["a"], &documents), expected);
    }

    #[test]
    fn equal_numbers_are_one_value_and_missing_is_none() {
        let documents = [
            doc! { "a": 1 },
            doc! { "a": 1.0 },
            doc! { "a": 1_i64 },
            doc! {},
        ];
        assert_eq!(of(&["a"], &documents), [Bson::Int32(1)]);
        let nested = [doc! { "a": [{ "b": 1 }, { "b": [2, 3] }, 4] }];
        assert_eq!(of(&["a.b"], &nested), [1, 2, 3].map(Bson::Int32));
        assert_eq!(of(&["a.1.b"], &nested), [2, 3].map(Bson::Int32));
    }

    #[test]
    fn several_paths_give_each_combination_once() {
        let documents = [
            doc! { "a": 1, "b": "x" },
            doc! { "a": 1, "b": "x", "c": 2 },
            doc! { "a": 1 },
        ];
        let expected = [
            Bson::from(vec![Bson::Int32(1), Bson::Null]),
            Bson::from(vec![Bson::Int32(1), Bson::from("x")]),
        ];
        assert_eq!(of(&["a", "b"], &documents), expected);
    }
}

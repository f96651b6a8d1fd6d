//! What a document refers to.

use bson::Bson;
use bson::raw::{RawBsonRef, RawDocument};

use crate::{Error, Result};

/// The ids at `path`: of an array its elements, of an array of documents what each holds. Null and
/// missing refer to nothing.
///
/// # Errors
/// `Invalid` when the document is malformed.
pub(crate) fn values_at(document: &RawDocument, path: &str) -> Result<Vec<Bson>> {
    let mut found = Vec::new();
    collect(RawBsonRef::Document(document), Some(path), &mut found)?;
    Ok(found)
}

fn collect(value: RawBsonRef<'_>, path: Option<&str>, found: &mut Vec<Bson>) -> Result<()> {
    match (value, path) {
        (RawBsonRef::Array(elements), path) => {
            for element in elements {
                collect(element.map_err(malformed)?, path, found)?;
            }
        }
        (RawBsonRef::Document(document), Some(path)) => {
            let (name, rest) = match path.split_once('.') {
                Some((name, rest)) => (name, Some(rest)),
                None => (path, None),
            };
            if let Some(value) = document.get(name).map_err(malformed)? {
                collect(value, rest, found)?;
            }
        }
        (RawBsonRef::Null | RawBsonRef::Undefined, _) | (_, Some(_)) => {}
        (value, None) => found.push(Bson::try_from(value).map_err(malformed)?),
    }
    Ok(())
}

fn malformed(error: bson::error::Error) -> Error {
    Error::invalid(format!("malformed document: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::rawdoc;

    #[test]
    fn ids_are_found_in_fields_arrays_and_nested_documents() {
        let document = rawdoc! { "a": 1, "b": [2, null, 3], "c": { "d": [{ "e": 4 }, { "e": [5] }, { "f": 6 }] }, "g": null };
        let at = |path| values_at(&document, path).unwrap();
        let ids = |ids: &[i32]| ids.iter().map(|id| Bson::Int32(*id)).collect::<Vec<_>>();
        assert_eq!(at("a"), ids(&[1]));
        assert_eq!(at("b"), ids(&[2, 3]));
        assert_eq!(at("c.d.e"), ids(&[4, 5]));
        assert_eq!(at("g"), ids(&[]));
        assert_eq!(at("a.b"), ids(&[]));
        assert_eq!(at("missing"), ids(&[]));
    }
}

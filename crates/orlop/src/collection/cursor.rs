//! Cursors: where a page ended, as text that means nothing to whoever carries it.

use bson::spec::BinarySubtype;
use bson::{Binary, Bson, Document, doc};
use xxhash_rust::xxh3::xxh3_64;

use crate::engine::Query;
use crate::{Error, Result};

/// Longest cursor that is looked at, in characters. The values of a sort are index keys, or small.
const CURSOR_LENGTH_MAX: usize = 256 * 1024;

/// The cursor behind `position` in the results of `query`.
pub(super) fn seal(position: &[Bson], incarnation: u128, query: &Query) -> Result<String> {
    let document = doc! {
        "i": Binary { subtype: BinarySubtype::Generic, bytes: incarnation.to_le_bytes().to_vec() },
        "q": fingerprint(query),
        "p": position,
    };
    let bytes = bson::serialize_to_vec(&document)
        .map_err(|error| Error::invalid(format!("a cursor cannot be made: {error}")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The position in a cursor.
///
/// # Errors
/// `Invalid` when it is no cursor of this query, `NotFound` when it is of another life of the store.
pub(super) fn open(cursor: &str, incarnation: u128, query: &Query) -> Result<Vec<Bson>> {
    let malformed = || Error::invalid("the cursor is malformed");
    let document = read(cursor).ok_or_else(malformed)?;
    let life = document.get_binary_generic("i").map_err(|_| malformed())?;
    if *life != incarnation.to_le_bytes() {
        return Err(Error::not_found(
            "the cursor is of another life of the store",
        ));
    }
    if document.get_i64("q").map_err(|_| malformed())? != fingerprint(query) {
        return Err(Error::invalid("the cursor is of another query"));
    }
    let position = document.get_array("p").map_err(|_| malformed())?;
    Ok(position.clone())
}

fn read(cursor: &str) -> Option<Document> {
    let digits = cursor.as_bytes();
    if digits.len() > CURSOR_LENGTH_MAX || !digits.len().is_multiple_of(2) {
        return None;
    }
    let digit = |digit: u8| char::from(digit).to_digit(16);
    let byte = |pair: &[u8]| Some((digit(*pair.first()?)? * 16 + digit(*pair.get(1)?)?) as u8);
    let bytes: Vec<u8> = digits.chunks(2).map(byte).collect::<Option<_>>()?;
    bson::deserialize_from_slice(&bytes).ok()
}

/// What a position depends on: the collection, which documents, and their order.
fn fingerprint(query: &Query) -> i64 {
    let text = format!("{}\0{:?}\0{:?}", query.collection, query.sort, query.filter);
    xxh3_64(text.as_bytes()).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use crate::document::Direction;
    use crate::query::{Expr, Sort};

    fn query() -> Query {
        Query {
            collection: "tasks".into(),
            filter: Expr::All,
            sort: Sort::default(),
            projection: None,
            skip: 0,
            limit: None,
            after: None,
        }
    }

    #[test]
    fn a_cursor_opens_to_its_position_in_its_own_query_and_life_only() {
        let position = vec![Bson::Double(1.5), Bson::Null, Bson::Int64(7)];
        let cursor = seal(&position, 3, &query()).unwrap();
        assert_eq!(open(&cursor, 3, &query()).unwrap(), position);
        let mut other = query();
        other.sort.keys.push(("a".into(), Direction::Ascending));
        let kind = |opened: Result<Vec<Bson>>| opened.unwrap_err().kind();
        assert_eq!(kind(open(&cursor, 3, &other)), ErrorKind::Invalid);
        assert_eq!(kind(open(&cursor, 4, &query())), ErrorKind::NotFound);
        for text in [
            "",
            "0",
            "zz",
            "é",
            &cursor[2..],
            &cursor[..cursor.len() - 2],
        ] {
            assert_eq!(kind(open(text, 3, &query())), ErrorKind::Invalid);
        }
    }
}

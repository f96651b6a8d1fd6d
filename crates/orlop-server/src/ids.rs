//! Ids in paths: a percent-encoded Extended JSON value, 24 bare hex digits, or a plain string.

use bson::Bson;
use orlop::{Error, Result};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::ejson::{self, Style};

/// What stays as it is in a segment of a path.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// Reads the id in a segment of a path, still percent-encoded.
///
/// # Errors
/// `Invalid` when it is not UTF-8, is JSON that means no value, or is an array, a regular
/// expression or undefined, which cannot be ids.
pub fn parse(segment: &str) -> Result<Bson> {
    let text = percent_decode_str(segment)
        .decode_utf8()
        .map_err(|_| Error::invalid("the id in the path is not UTF-8"))?;
    read(&text)
}

/// Reads the text of an id, as [`parse`] does behind the percent signs.
///
/// # Errors
/// As [`parse`].
pub fn read(text: &str) -> Result<Bson> {
    let id = any(text)?;
    check(&id)?;
    Ok(id)
}

/// Refuses values that cannot be ids.
///
/// # Errors
/// `Invalid` for an array, a regular expression and undefined.
pub fn check(id: &Bson) -> Result<()> {
    let what = match id {
        Bson::Array(_) => "an array",
        Bson::RegularExpression(_) => "a regular expression",
        Bson::Undefined => "undefined",
        _ => return Ok(()),
    };
    Err(Error::invalid(format!("{what} cannot be an id")))
}

/// Writes an id as the segment of a path that [`parse`] reads back.
///
/// # Errors
/// `Invalid` when the id's BSON is malformed.
pub fn segment(id: &Bson) -> Result<String> {
    if let Bson::ObjectId(id) = id {
        return Ok(id.to_hex());
    }
    if let Bson::String(text) = id {
        let bare =
            !matches!(text.as_str(), "" | "." | "..") && read(text).is_ok_and(|read| read == *id);
        if bare {
            return Ok(plain(text));
        }
    }
    let raw = bson::raw::RawBson::try_from(id.clone())
        .map_err(|error| Error::invalid(format!("malformed id: {error}")))?;
    let mut json = Vec::new();
    ejson::write_value(&mut json, raw.as_raw_bson_ref(), Style::Relaxed)?;
    Ok(plain(&String::from_utf8_lossy(&json)))
}

/// Writes any text, such as a collection's name, as a segment of a path.
pub fn plain(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

fn any(text: &str) -> Result<Bson> {
    let hex = text.len() == 24 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if hex && let Ok(id) = bson::oid::ObjectId::parse_str(text) {
        return Ok(Bson::ObjectId(id));
    }
    // Whatever is not JSON by its grammar is a plain string; JSON must then mean a value.
    if serde_json::from_str::<serde::de::IgnoredAny>(text).is_err() {
        return Ok(Bson::String(text.to_owned()));
    }
    ejson::value(text.as_bytes()).map_err(|error| error.context("the id in the path"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(segment: &str) -> Bson {
        parse(segment).expect("an id")
    }

    #[test]
    fn each_form_of_an_id_is_told_apart() {
        assert_eq!(id("42"), Bson::Int32(42));
        assert_eq!(id("%2242%22"), Bson::String("42".into()));
        assert_eq!(id("abc"), Bson::String("abc".into()));
        assert_eq!(id("a%2Fb"), Bson::String("a/b".into()));
        assert_eq!(id("null"), Bson::Null);
        let oid = bson::oid::ObjectId::parse_str("64b004000000000000000001").expect("hex");
        assert_eq!(id("64b004000000000000000001"), Bson::ObjectId(oid));
        assert_eq!(id("64B004000000000000000001"), Bson::ObjectId(oid));
        assert_eq!(
            id("%7B%22$oid%22:%2264b004000000000000000001%22%7D"),
            Bson::ObjectId(oid)
        );
        assert!(
            matches!(id("123456789012345678901234"), Bson::ObjectId(_)),
            "24 digits"
        );
    }

    #[test]
    fn what_cannot_be_an_id_is_refused() {
        for segment in [
            "%5B1%5D",
            "%FF",
            "1e999",
            "%7B%22$oid%22:1%7D",
            "%7B%22$undefined%22:true%7D",
        ] {
            let error = parse(segment).expect_err(segment);
            assert_eq!(error.kind(), orlop::ErrorKind::Invalid, "{segment}");
        }
    }

    #[test]
    fn a_written_segment_reads_back_as_the_same_id() {
        let ids = [
            Bson::Int32(42),
            Bson::Double(1.5),
            Bson::Null,
            Bson::Boolean(true),
            Bson::Int64(i64::MAX),
            Bson::ObjectId(bson::oid::ObjectId::from_bytes([9; 12])),
            Bson::Document(bson::doc! { "a": 1, "b": "x/y" }),
            Bson::DateTime(bson::DateTime::from_millis(-5)),
        ];
        let strings = [
            "",
            ".",
            "..",
            "a b",
            "42",
            "null",
            "\"q\"",
            "a/b?c#d%",
            "ünï\u{0}",
            "64b004000000000000000001",
        ];
        let strings = strings.map(|text| Bson::String(text.into()));
        for id in ids.into_iter().chain(strings) {
            let segment = segment(&id).expect("a segment");
            assert!(!segment.is_empty() && !segment.contains('/'), "{segment}");
            assert_eq!(parse(&segment).expect("its own segment"), id, "{segment}");
        }
    }
}

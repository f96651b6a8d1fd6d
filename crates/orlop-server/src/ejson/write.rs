//! BSON bytes to Extended JSON, without a tree in between.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bson::raw::{RawArray, RawBsonRef, RawDocument};
use orlop::{Error, Result};

/// Which of the two forms of Extended JSON is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Style {
    /// Plain JSON where JSON has the value; an int64 and an int32 look alike.
    #[default]
    Relaxed,
    /// Every value says its type; nothing is lost.
    Canonical,
}

/// What is left out of a written document.
#[derive(Debug, Clone, Default)]
pub struct Hide {
    /// `_v`, the revision, at the top.
    pub revision: bool,
    /// Paths of fields, split at their dots. A path goes through arrays.
    pub paths: Vec<Vec<String>>,
}

/// Appends the document to `out`.
///
/// # Errors
/// `Corrupt` when its BSON is malformed; `out` then holds a part of it.
///
/// # Cost
/// One walk of the bytes; no allocation but `out`'s, and one list a level when paths are hidden.
pub fn write_document(
    out: &mut Vec<u8>,
    document: &RawDocument,
    style: Style,
    hide: &Hide,
) -> Result<()> {
    let paths: Vec<&[String]> = hide.paths.iter().map(Vec::as_slice).collect();
    fields(out, document, style, hide.revision, &paths)
}

/// Appends one value to `out`.
///
/// # Errors
/// As [`write_document`].
pub fn write_value(out: &mut Vec<u8>, value: RawBsonRef<'_>, style: Style) -> Result<()> {
    element(out, value, style, &[])
}

fn fields(
    out: &mut Vec<u8>,
    document: &RawDocument,
    style: Style,
    hide_revision: bool,
    hidden: &[&[String]],
) -> Result<()> {
    out.push(b'{');
    let mut first = true;
    for field in document.iter_elements() {
        let field = field.map_err(damaged)?;
        let name = field.key().as_str();
        if hide_revision && name == "_v" {
            continue;
        }
        let (leaves_out, below) = select(hidden, name);
        if leaves_out {
            continue;
        }
        if !first {
            out.push(b',');
        }
        first = false;
        string(out, name)?;
        out.push(b':');
        element(out, field.value().map_err(damaged)?, style, &below)?;
    }
    out.push(b'}');
    Ok(())
}

/// Whether `name` is hidden, and what is hidden below it.
fn select<'a>(hidden: &[&'a [String]], name: &str) -> (bool, Vec<&'a [String]>) {
    let mut below = Vec::new();
    for path in hidden {
        match path {
            [only] if only == name => return (true, Vec::new()),
            [head, tail @ ..] if head == name => below.push(tail),
            _ => (),
        }
    }
    (false, below)
}

fn items(out: &mut Vec<u8>, array: &RawArray, style: Style, hidden: &[&[String]]) -> Result<()> {
    out.push(b'[');
    for (position, item) in array.into_iter().enumerate() {
        if position > 0 {
            out.push(b',');
        }
        element(out, item.map_err(damaged)?, style, hidden)?;
    }
    out.push(b']');
    Ok(())
}

fn element(
    out: &mut Vec<u8>,
    value: RawBsonRef<'_>,
    style: Style,
    hidden: &[&[String]],
) -> Result<()> {
    let canonical = style == Style::Canonical;
    match value {
        RawBsonRef::Document(document) => fields(out, document, style, false, hidden)?,
        RawBsonRef::Array(array) => items(out, array, style, hidden)?,
        RawBsonRef::String(text) => string(out, text)?,
        RawBsonRef::Boolean(value) => put(out, if value { "true" } else { "false" }),
        RawBsonRef::Null => put(out, "null"),
        RawBsonRef::Int32(number) if canonical => wrapped(out, "$numberInt", number),
        RawBsonRef::Int32(number) => print(out, number),
        RawBsonRef::Int64(number) if canonical => wrapped(out, "$numberLong", number),
        RawBsonRef::Int64(number) => print(out, number),
        RawBsonRef::Double(number) => double(out, number, canonical),
        RawBsonRef::Decimal128(number) => wrapped(out, "$numberDecimal", number),
        RawBsonRef::ObjectId(id) => wrapped(out, "$oid", id),
        RawBsonRef::DateTime(date) => instant(out, date, canonical),
        RawBsonRef::Binary(binary) => {
            put(out, r#"{"$binary":{"base64":""#);
            put(out, &BASE64.encode(binary.bytes));
            put(out, r#"","subType":""#);
            put(out, &format!("{:02x}", u8::from(binary.subtype)));
            put(out, r#""}}"#);
        }
        RawBsonRef::RegularExpression(regex) => {
            put(out, r#"{"$regularExpression":{"pattern":"#);
            string(out, regex.pattern.as_str())?;
            put(out, r#","options":"#);
            string(out, regex.options.as_str())?;
            put(out, "}}");
        }
        RawBsonRef::Timestamp(stamp) => put(
            out,
            &format!(
                r#"{{"$timestamp":{{"t":{},"i":{}}}}}"#,
                stamp.time, stamp.increment
            ),
        ),
        RawBsonRef::MinKey => put(out, r#"{"$minKey":1}"#),
        RawBsonRef::MaxKey => put(out, r#"{"$maxKey":1}"#),
        RawBsonRef::Undefined => put(out, r#"{"$undefined":true}"#),
        RawBsonRef::Symbol(text) => {
            put(out, r#"{"$symbol":"#);
            string(out, text)?;
            out.push(b'}');
        }
        RawBsonRef::JavaScriptCode(code) => {
            put(out, r#"{"$code":"#);
            string(out, code)?;
            out.push(b'}');
        }
        RawBsonRef::JavaScriptCodeWithScope(code) => {
            put(out, r#"{"$code":"#);
            string(out, code.code)?;
            put(out, r#","$scope":"#);
            fields(out, code.scope, style, false, &[])?;
            out.push(b'}');
        }
        RawBsonRef::DbPointer(_) => rare(out, value)?,
    }
    Ok(())
}

fn double(out: &mut Vec<u8>, number: f64, canonical: bool) {
    if !number.is_finite() {
        let text = if number.is_nan() {
            "NaN"
        } else if number > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        };
        wrapped(out, "$numberDouble", text);
    } else if canonical {
        wrapped(out, "$numberDouble", format_args!("{number:?}"));
    } else {
        // `{:?}` keeps the point of 1.0, so that a double is read back as one.
        print(out, format_args!("{number:?}"));
    }
}

fn instant(out: &mut Vec<u8>, date: bson::DateTime, canonical: bool) {
    // The relaxed form is text from the year 1970 to the year 9999.
    const YEAR_10000_MS: i64 = 253_402_300_800_000;
    let ms = date.timestamp_millis();
    if !canonical && (0..YEAR_10000_MS).contains(&ms) {
        return text_instant(out, ms);
    }
    put(out, r#"{"$date":"#);
    wrapped(out, "$numberLong", ms);
    out.push(b'}');
}

/// RFC 3339 in UTC, with exactly three digits of a fraction that is not zero, as the specification
/// of Extended JSON asks. For instants from 1970 on.
///
/// # Source
/// Days to a civil date: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
fn text_instant(out: &mut Vec<u8>, ms: i64) {
    let (days, of_day) = (ms / 86_400_000, ms % 86_400_000);
    let (hour, minute) = (of_day / 3_600_000, of_day / 60_000 % 60);
    let (second, fraction) = (of_day / 1_000 % 60, of_day % 1_000);
    // Years begin in March here, so that the leap day is a year's last.
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    let year = year + era * 400 + later;
    print(
        out,
        format_args!(
            r#"{{"$date":"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"#
        ),
    );
    if fraction > 0 {
        print(out, format_args!(".{fraction:03}"));
    }
    put(out, "Z\"}");
}

/// The deprecated `DbPointer` hides its parts; bson's own conversion knows them.
fn rare(out: &mut Vec<u8>, value: RawBsonRef<'_>) -> Result<()> {
    let mut holder = bson::raw::RawDocumentBuf::new();
    holder.append(bson::cstr!("p"), value);
    let bytes = holder.as_bytes();
    // Length, type, "p" and NUL; then the string with its length, then the id and a NUL.
    let (text, id) = (
        bytes.get(11..bytes.len().saturating_sub(14)),
        bytes.get(bytes.len().saturating_sub(13)..bytes.len() - 1),
    );
    let (Some(text), Some(id)) = (text, id) else {
        return Err(Error::corrupt("stored document: a DBPointer is cut short"));
    };
    put(out, r#"{"$dbPointer":{"$ref":"#);
    string(out, &String::from_utf8_lossy(text))?;
    put(out, r#","$id":"#);
    let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    wrapped(out, "$oid", hex);
    put(out, "}}");
    Ok(())
}

fn string(out: &mut Vec<u8>, text: &str) -> Result<()> {
    serde_json::to_writer(out, text)
        .map_err(|error| Error::new(orlop::ErrorKind::Internal, format!("write JSON: {error}")))
}

fn put(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

fn print(out: &mut Vec<u8>, value: impl std::fmt::Display) {
    use std::io::Write as _;
    write!(out, "{value}").expect("a vector takes every write");
}

fn wrapped(out: &mut Vec<u8>, name: &str, value: impl std::fmt::Display) {
    print(out, format_args!(r#"{{"{name}":"{value}"}}"#));
}

fn damaged(error: impl std::fmt::Display) -> Error {
    Error::corrupt(format!("stored document: {error}"))
}

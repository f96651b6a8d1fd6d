//! Extended JSON to BSON.

use std::fmt;

use bson::spec::BinarySubtype;
use bson::{Bson, Document};
use orlop::{Error, Result};
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

/// Deepest nesting of a document that is read.
///
/// # Source
/// MongoDB stores at most 180 levels; a wrapper such as `{"$date": {"$numberLong": ".."}}` adds two.
pub const DEPTH_MAX: usize = 182;

/// Reads one JSON object as a document.
///
/// # Errors
/// `Invalid` with the line and column: malformed JSON or UTF-8, a lone surrogate, a name given
/// twice, a malformed wrapper, nesting over [`DEPTH_MAX`], or a value that is no document.
pub fn document(text: &[u8]) -> Result<Document> {
    match value(text)? {
        Bson::Document(document) => Ok(document),
        other => Err(Error::invalid(format!(
            "a document is needed, this is {}",
            type_name(&other)
        ))),
    }
}

/// Reads one JSON value.
///
/// # Errors
/// As [`document`], but any value is one.
pub fn value(text: &[u8]) -> Result<Bson> {
    let text = std::str::from_utf8(text).map_err(|error| {
        Error::invalid(format!("not UTF-8 from byte {} on", error.valid_up_to()))
    })?;
    let mut reader = serde_json::Deserializer::from_str(text);
    // Depth is counted by `Node`, which allows more levels than serde_json does.
    reader.disable_recursion_limit();
    let value = Node { depth: 0 }
        .deserialize(&mut reader)
        .and_then(|value| reader.end().map(|()| value))
        .map_err(|error| Error::invalid(format!("not Extended JSON: {error}")))?;
    Ok(value)
}

/// The name of a value's type, with its article.
pub(crate) fn type_name(value: &Bson) -> &'static str {
    match value {
        Bson::Document(_) => "a document",
        Bson::Array(_) => "an array",
        Bson::String(_) => "a string",
        Bson::Boolean(_) => "a boolean",
        Bson::Null => "null",
        Bson::Int32(_) | Bson::Int64(_) | Bson::Double(_) | Bson::Decimal128(_) => "a number",
        Bson::ObjectId(_) => "an ObjectId",
        Bson::DateTime(_) => "a date",
        Bson::RegularExpression(_) => "a regular expression",
        _ => "a value of another type",
    }
}

#[derive(Clone, Copy)]
struct Node {
    depth: usize,
}

impl Node {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth >= DEPTH_MAX {
            return Err(E::custom(format!("nested deeper than {DEPTH_MAX} levels")));
        }
        Ok(Self {
            depth: self.depth + 1,
        })
    }
}

impl<'de> DeserializeSeed<'de> for Node {
    type Value = Bson;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Bson, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node {
    type Value = Bson;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Bson, E> {
        Ok(Bson::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Bson, E> {
        Ok(Bson::Boolean(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Bson, E> {
        Ok(i32::try_from(value).map_or(Bson::Int64(value), Bson::Int32))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Bson, E> {
        // The specification of Extended JSON makes a whole number past int64 a double.
        Ok(
            i64::try_from(value).map_or(Bson::Double(value as f64), |value| {
                i32::try_from(value).map_or(Bson::Int64(value), Bson::Int32)
            }),
        )
    }

    fn visit_f64<E>(self, value: f64) -> Result<Bson, E> {
        Ok(Bson::Double(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Bson, E> {
        Ok(Bson::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Bson, E> {
        Ok(Bson::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Bson, A::Error> {
        let node = self.deeper()?;
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(node)? {
            array.push(item);
        }
        Ok(Bson::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Bson, A::Error> {
        let node = self.deeper()?;
        let mut document = Document::new();
        while let Some(name) = fields.next_key::<String>()? {
            if name.contains('\0') {
                return Err(A::Error::custom("a field's name holds a NUL character"));
            }
            if document.contains_key(&name) {
                return Err(A::Error::custom(format!(
                    "the field {name:?} is given twice"
                )));
            }
            let value = fields.next_value_seed(node)?;
            document.insert(name, value);
        }
        unwrap(document).map_err(A::Error::custom)
    }
}

/// The value a wrapper stands for; any other document as it is.
fn unwrap(document: Document) -> Result<Bson, String> {
    if document.len() > 2 {
        return match document.keys().find(|name| is_wrapper(name)) {
            Some(name) => Err(format!("{name} stands beside other fields")),
            None => Ok(Bson::Document(document)),
        };
    }
    let Some(name) = document.keys().find(|name| is_wrapper(name)) else {
        return Ok(Bson::Document(document));
    };
    let name = name.clone();
    if document.len() == 2 {
        return pair(&name, document);
    }
    let value = document.get(&name).cloned().unwrap_or(Bson::Null);
    single(&name, value).ok_or_else(|| malformed(&name))
}

fn is_wrapper(name: &str) -> bool {
    name.starts_with('$')
        && matches!(
            name,
            "$oid"
                | "$numberInt"
                | "$numberLong"
                | "$numberDouble"
                | "$numberDecimal"
                | "$date"
                | "$binary"
                | "$uuid"
                | "$regularExpression"
                | "$timestamp"
                | "$minKey"
                | "$maxKey"
                | "$symbol"
                | "$code"
                | "$undefined"
                | "$dbPointer"
        )
}

fn malformed(name: &str) -> String {
    let form = match name {
        "$oid" => r#"{"$oid": "24 hex digits"}"#,
        "$numberInt" => r#"{"$numberInt": "whole number of 32 bits"}"#,
        "$numberLong" => r#"{"$numberLong": "whole number of 64 bits"}"#,
        "$numberDouble" => r#"{"$numberDouble": "number, Infinity, -Infinity or NaN"}"#,
        "$numberDecimal" => r#"{"$numberDecimal": "decimal of at most 34 digits"}"#,
        "$date" => r#"{"$date": "RFC 3339"} or {"$date": {"$numberLong": "milliseconds"}}"#,
        "$binary" => r#"{"$binary": {"base64": "..", "subType": "two hex digits"}}"#,
        "$uuid" => r#"{"$uuid": "8-4-4-4-12 hex digits"}"#,
        "$regularExpression" => r#"{"$regularExpression": {"pattern": "..", "options": ".."}}"#,
        "$timestamp" => r#"{"$timestamp": {"t": seconds, "i": counter}}"#,
        "$minKey" => r#"{"$minKey": 1}"#,
        "$maxKey" => r#"{"$maxKey": 1}"#,
        "$symbol" => r#"{"$symbol": ".."}"#,
        "$code" => r#"{"$code": ".."} or {"$code": "..", "$scope": {}}"#,
        "$undefined" => r#"{"$undefined": true}"#,
        _ => r#"{"$dbPointer": {"$ref": "..", "$id": {"$oid": ".."}}}"#,
    };
    format!("malformed {name}: it is written {form}")
}

fn pair(name: &str, mut document: Document) -> Result<Bson, String> {
    match (name, document.remove(name)) {
        ("$code", Some(Bson::String(code))) => match document.remove("$scope") {
            Some(Bson::Document(scope)) => Ok(Bson::JavaScriptCodeWithScope(
                bson::JavaScriptCodeWithScope { code, scope },
            )),
            _ => Err(malformed(name)),
        },
        // The form of Extended JSON v1.
        ("$binary", Some(Bson::String(text))) => match document.remove("$type") {
            Some(Bson::String(subtype)) => {
                binary(&text, &subtype).ok_or_else(|| malformed("$binary"))
            }
            _ => Err(malformed(name)),
        },
        _ => Err(format!("{name} stands beside another field")),
    }
}

fn single(name: &str, value: Bson) -> Option<Bson> {
    match (name, value) {
        ("$oid", Bson::String(hex)) => bson::oid::ObjectId::parse_str(hex).ok().map(Bson::ObjectId),
        ("$numberInt", Bson::String(digits)) => digits.parse().ok().map(Bson::Int32),
        ("$numberLong", Bson::String(digits)) => digits.parse().ok().map(Bson::Int64),
        ("$numberDouble", Bson::String(text)) => double(&text).map(Bson::Double),
        ("$numberDecimal", Bson::String(text)) => text.parse().ok().map(Bson::Decimal128),
        ("$date", value) => date(value).map(Bson::DateTime),
        ("$binary", Bson::Document(body)) if body.len() == 2 => {
            binary(body.get_str("base64").ok()?, body.get_str("subType").ok()?)
        }
        ("$uuid", Bson::String(text)) => bson::Uuid::parse_str(text)
            .ok()
            .map(|uuid| Bson::Binary(uuid.into())),
        ("$regularExpression", Bson::Document(body)) if body.len() == 2 => {
            let pattern = body.get_str("pattern").ok()?;
            let options = body.get_str("options").ok()?;
            regex(pattern, options)
        }
        ("$timestamp", Bson::Document(body)) if body.len() == 2 => {
            Some(Bson::Timestamp(bson::Timestamp {
                time: unsigned(body.get("t")?)?,
                increment: unsigned(body.get("i")?)?,
            }))
        }
        ("$minKey", Bson::Int32(1)) => Some(Bson::MinKey),
        ("$maxKey", Bson::Int32(1)) => Some(Bson::MaxKey),
        ("$symbol", Bson::String(text)) => Some(Bson::Symbol(text)),
        ("$code", Bson::String(code)) => Some(Bson::JavaScriptCode(code)),
        ("$undefined", Bson::Boolean(true)) => Some(Bson::Undefined),
        ("$dbPointer", Bson::Document(body)) if body.len() == 2 => db_pointer(&body),
        _ => None,
    }
}

fn double(text: &str) -> Option<f64> {
    match text {
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        "NaN" => Some(f64::NAN),
        // Rust also reads `inf` and `nan`, which Extended JSON does not know.
        _ if text.contains(['n', 'N', 'f', 'F']) => None,
        _ => text.parse().ok(),
    }
}

fn date(value: Bson) -> Option<bson::DateTime> {
    match value {
        Bson::String(text) => bson::DateTime::parse_rfc3339_str(text).ok(),
        Bson::Int64(ms) => Some(bson::DateTime::from_millis(ms)),
        Bson::Int32(ms) => Some(bson::DateTime::from_millis(ms.into())),
        _ => None,
    }
}

fn binary(base64: &str, subtype: &str) -> Option<Bson> {
    if subtype.is_empty() || subtype.len() > 2 {
        return None;
    }
    let subtype = u8::from_str_radix(subtype, 16).ok()?;
    let binary = bson::Binary::from_base64(base64, BinarySubtype::from(subtype)).ok()?;
    Some(Bson::Binary(binary))
}

fn regex(pattern: &str, options: &str) -> Option<Bson> {
    // BSON keeps the options in alphabetical order.
    let mut letters: Vec<char> = options.chars().collect();
    letters.sort_unstable();
    Some(Bson::RegularExpression(bson::Regex {
        pattern: pattern.try_into().ok()?,
        options: String::from_iter(letters).try_into().ok()?,
    }))
}

fn unsigned(value: &Bson) -> Option<u32> {
    match value {
        Bson::Int32(number) => u32::try_from(*number).ok(),
        Bson::Int64(number) => u32::try_from(*number).ok(),
        _ => None,
    }
}

/// bson makes a `DbPointer` only from bytes, so the bytes are written here.
fn db_pointer(body: &Document) -> Option<Bson> {
    let namespace = body.get_str("$ref").ok()?;
    let id = body.get_object_id("$id").ok()?;
    let text = u32::try_from(namespace.len() + 1).ok()?;
    // Length, type 0x0C, name "p", the string, the id, the closing NUL.
    let length = 4 + 1 + 2 + 4 + text + 12 + 1;
    let mut bytes = length.to_le_bytes().to_vec();
    bytes.extend([0x0C, b'p', 0]);
    bytes.extend(text.to_le_bytes());
    bytes.extend(namespace.as_bytes());
    bytes.push(0);
    bytes.extend(id.bytes());
    bytes.push(0);
    Document::from_reader(bytes.as_slice()).ok()?.remove("p")
}

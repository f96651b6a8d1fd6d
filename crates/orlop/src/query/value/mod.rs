//! Values: their types, their one total order, and arithmetic, as MongoDB has them.
//!
//! Order across types: MinKey, undefined, null, numbers, strings and symbols, documents,
//! arrays, binary, ObjectId, booleans, dates, timestamps, regular expressions, DBPointer, code,
//! code with scope, MaxKey. Numbers of the four types compare by their exact value.

mod decimal;
mod number;
mod view;

use std::cmp::Ordering;

use bson::Bson;
use bson::raw::RawBsonRef;

pub use decimal::{Decimal, Rounding};
pub use number::Number;
pub use view::{Fields, FieldsIter, Malformed, Pointer, View, array_index};
pub(crate) use view::{RawElement, raw_element};

#[cfg(test)]
mod tests;

/// MongoDB's order of two values. Total: NaN is equal to itself and below every number,
/// -0 is equal to 0, a symbol is equal to the string of its text.
///
/// # Cost
/// No allocation; `O(bytes up to the first difference)`.
pub fn compare(a: &Bson, b: &Bson) -> Ordering {
    compare_views(View::from(a), View::from(b))
}

/// [`compare`] of values in raw bytes. Nested bytes that are not BSON end their document.
pub fn compare_raw(a: RawBsonRef<'_>, b: RawBsonRef<'_>) -> Ordering {
    compare_views(View::from(a), View::from(b))
}

/// [`compare`] of any two values.
#[inline]
pub fn compare_views(a: View<'_>, b: View<'_>) -> Ordering {
    use View as V;
    match (a, b) {
        (V::Str(a) | V::Symbol(a), V::Str(b) | V::Symbol(b)) => a.cmp(b),
        (V::Int32(a), V::Int32(b)) => a.cmp(&b),
        (V::Int64(a), V::Int64(b)) => a.cmp(&b),
        (V::ObjectId(a), V::ObjectId(b)) => a.cmp(&b),
        (V::Bool(a), V::Bool(b)) => a.cmp(&b),
        (V::Date(a), V::Date(b)) => a.cmp(&b),
        (V::Timestamp(a), V::Timestamp(b)) => a.cmp(&b),
        (V::Document(a), V::Document(b)) => compare_fields(a, b, true),
        (V::Array(a), V::Array(b)) => compare_fields(a, b, false),
        (V::Binary(kind_a, a), V::Binary(kind_b, b)) => {
            (stored_len(kind_a, a), kind_a, a).cmp(&(stored_len(kind_b, b), kind_b, b))
        }
        (V::Regex(a, options_a), V::Regex(b, options_b)) => {
            a.cmp(b).then_with(|| options_a.cmp(options_b))
        }
        (V::Pointer(a), V::Pointer(b)) => {
            let (a, b) = (a.bytes(), b.bytes());
            a.len().cmp(&b.len()).then_with(|| a.cmp(&b))
        }
        (V::Code(a), V::Code(b)) => a.cmp(b),
        (V::CodeScope(a, scope_a), V::CodeScope(b, scope_b)) => a
            .cmp(b)
            .then_with(|| compare_fields(scope_a, scope_b, true)),
        _ => match (a.number(), b.number()) {
            (Some(a), Some(b)) => a.compare(b),
            _ => a.rank().cmp(&b.rank()),
        },
    }
}

/// The stored length of a binary: the old subtype counts the length it repeats.
fn stored_len(kind: u8, bytes: &[u8]) -> usize {
    bytes.len() + if kind == 2 { 4 } else { 0 }
}

/// Field by field: type, then name (not in arrays), then value; the shorter one is less.
fn compare_fields(a: Fields<'_>, b: Fields<'_>, names: bool) -> Ordering {
    let (mut a, mut b) = (a.iter(), b.iter());
    loop {
        let next = (a.next().and_then(Result::ok), b.next().and_then(Result::ok));
        let ((name_a, a), (name_b, b)) = match next {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(a), Some(b)) => (a, b),
        };
        let order = a.rank().cmp(&b.rank());
        let order = order.then_with(|| {
            if names {
                name_a.cmp(name_b)
            } else {
                Ordering::Equal
            }
        });
        let order = order.then_with(|| compare_views(a, b));
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// The BSON type code of a value, as `$type` counts: MinKey is -1.
pub fn type_code(value: &Bson) -> i32 {
    View::from(value).type_code()
}

impl<'a> View<'a> {
    /// Place of its type in the order of types. Values of one rank are compared by value.
    #[inline]
    pub fn rank(self) -> u8 {
        match self {
            Self::MinKey => 0,
            Self::Undefined => 1,
            Self::Null => 2,
            Self::Double(_) | Self::Int32(_) | Self::Int64(_) | Self::Decimal(_) => 3,
            Self::Str(_) | Self::Symbol(_) => 4,
            Self::Document(_) => 5,
            Self::Array(_) => 6,
            Self::Binary(..) => 7,
            Self::ObjectId(_) => 8,
            Self::Bool(_) => 9,
            Self::Date(_) => 10,
            Self::Timestamp(_) => 11,
            Self::Regex(..) => 12,
            Self::Pointer(_) => 13,
            Self::Code(_) => 14,
            Self::CodeScope(..) => 15,
            Self::MaxKey => 16,
        }
    }

    /// The number it is.
    #[inline]
    pub fn number(self) -> Option<Number> {
        match self {
            Self::Double(it) => Some(Number::Double(it)),
            Self::Int32(it) => Some(Number::Int32(it)),
            Self::Int64(it) => Some(Number::Int64(it)),
            Self::Decimal(it) => Some(Number::Decimal(it)),
            _ => None,
        }
    }

    /// The BSON type code, as `$type` counts: MinKey is -1.
    pub fn type_code(self) -> i32 {
        match self {
            Self::Double(_) => 1,
            Self::Str(_) => 2,
            Self::Document(_) => 3,
            Self::Array(_) => 4,
            Self::Binary(..) => 5,
            Self::Undefined => 6,
            Self::ObjectId(_) => 7,
            Self::Bool(_) => 8,
            Self::Date(_) => 9,
            Self::Null => 10,
            Self::Regex(..) => 11,
            Self::Pointer(_) => 12,
            Self::Code(_) => 13,
            Self::Symbol(_) => 14,
            Self::CodeScope(..) => 15,
            Self::Int32(_) => 16,
            Self::Timestamp(_) => 17,
            Self::Int64(_) => 18,
            Self::Decimal(_) => 19,
            Self::MaxKey => 127,
            Self::MinKey => -1,
        }
    }

    /// The name of its type, as `$type` and messages say it.
    pub fn type_name(self) -> &'static str {
        match self {
            Self::Double(_) => "double",
            Self::Str(_) => "string",
            Self::Document(_) => "object",
            Self::Array(_) => "array",
            Self::Binary(..) => "binData",
            Self::Undefined => "undefined",
            Self::ObjectId(_) => "objectId",
            Self::Bool(_) => "bool",
            Self::Date(_) => "date",
            Self::Null => "null",
            Self::Regex(..) => "regex",
            Self::Pointer(_) => "dbPointer",
            Self::Code(_) => "javascript",
            Self::Symbol(_) => "symbol",
            Self::CodeScope(..) => "javascriptWithScope",
            Self::Int32(_) => "int",
            Self::Timestamp(_) => "timestamp",
            Self::Int64(_) => "long",
            Self::Decimal(_) => "decimal",
            Self::MaxKey => "maxKey",
            Self::MinKey => "minKey",
        }
    }

    /// Whether it is NaN, of either kind.
    pub fn is_nan(self) -> bool {
        match self {
            Self::Double(it) => it.is_nan(),
            Self::Decimal(it) => it.is_nan(),
            _ => false,
        }
    }

    /// An owned copy.
    ///
    /// # Errors
    /// `Malformed` when stored bytes are not BSON, or a string is not UTF-8.
    pub fn to_bson(self) -> Result<Bson, Malformed> {
        Ok(match self {
            Self::MinKey => Bson::MinKey,
            Self::Undefined => Bson::Undefined,
            Self::Null => Bson::Null,
            Self::Double(it) => Bson::Double(it),
            Self::Int32(it) => Bson::Int32(it),
            Self::Int64(it) => Bson::Int64(it),
            Self::Decimal(it) => Bson::Decimal128(it.into()),
            Self::Str(it) => Bson::String(string(it)?),
            Self::Symbol(it) => Bson::Symbol(string(it)?),
            Self::Document(it) => Bson::Document(it.to_document()?),
            Self::Array(it) => {
                let values = it.iter().map(|item| item.and_then(|(_, it)| it.to_bson()));
                Bson::Array(values.collect::<Result<_, _>>()?)
            }
            Self::Binary(kind, bytes) => Bson::Binary(bson::Binary {
                subtype: kind.into(),
                bytes: bytes.to_vec(),
            }),
            Self::ObjectId(it) => Bson::ObjectId(bson::oid::ObjectId::from_bytes(it)),
            Self::Bool(it) => Bson::Boolean(it),
            Self::Date(it) => Bson::DateTime(bson::DateTime::from_millis(it)),
            Self::Timestamp(it) => Bson::Timestamp(bson::Timestamp {
                time: (it >> 32) as u32,
                increment: it as u32,
            }),
            Self::Regex(pattern, options) => Bson::RegularExpression(bson::Regex {
                pattern: string(pattern)?.try_into().map_err(|_| Malformed)?,
                options: string(options)?.try_into().map_err(|_| Malformed)?,
            }),
            Self::Pointer(it) => pointer(it)?,
            Self::Code(it) => Bson::JavaScriptCode(string(it)?),
            Self::CodeScope(code, scope) => {
                Bson::JavaScriptCodeWithScope(bson::JavaScriptCodeWithScope {
                    code: string(code)?,
                    scope: scope.to_document()?,
                })
            }
            Self::MaxKey => Bson::MaxKey,
        })
    }
}

impl Fields<'_> {
    /// An owned document of them.
    ///
    /// # Errors
    /// `Malformed` when stored bytes are not BSON, or a string is not UTF-8.
    pub fn to_document(self) -> Result<bson::Document, Malformed> {
        self.iter()
            .map(|item| item.and_then(|(key, value)| Ok((string(key)?, value.to_bson()?))))
            .collect()
    }
}

fn string(bytes: &[u8]) -> Result<String, Malformed> {
    String::from_utf8(bytes.to_vec()).map_err(|_| Malformed)
}

/// Lets `bson` read the bytes it alone can make a DBPointer of.
fn pointer(value: Pointer<'_>) -> Result<Bson, Malformed> {
    let bytes = value.bytes();
    let size = i32::try_from(4 + 2 + bytes.len() + 1).map_err(|_| Malformed)?;
    let mut document = size.to_le_bytes().to_vec();
    document.extend([0x0C, 0]);
    document.extend_from_slice(&bytes);
    document.push(0);
    let document = bson::RawDocumentBuf::from_bytes(document).map_err(|_| Malformed)?;
    let value = document.get("").ok().flatten().ok_or(Malformed)?;
    Bson::try_from(value).map_err(|_| Malformed)
}

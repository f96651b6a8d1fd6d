//! Arithmetic of `$inc`, `$mul` and `$bit` on raw values.

use bson::raw::RawBsonRef;

use crate::query::value::{Number, View};

use super::step::Bit;

/// `left + right`; none when an int64 overflows or a value is not a number.
pub(super) fn add(left: RawBsonRef<'_>, right: RawBsonRef<'_>) -> Option<RawBsonRef<'static>> {
    number(left)?.checked_add(number(right)?).map(raw)
}

/// `left * right`; none as for [`add`].
pub(super) fn multiply(left: RawBsonRef<'_>, right: RawBsonRef<'_>) -> Option<RawBsonRef<'static>> {
    number(left)?.checked_mul(number(right)?).map(raw)
}

/// One operation of `$bit`; none when a value is not an integer.
pub(super) fn bitwise(
    bit: Bit,
    left: RawBsonRef<'_>,
    right: RawBsonRef<'_>,
) -> Option<RawBsonRef<'static>> {
    let (left, left_is_long) = integer(left)?;
    let (right, right_is_long) = integer(right)?;
    let result = match bit {
        Bit::And => left & right,
        Bit::Or => left | right,
        Bit::Xor => left ^ right,
    };
    Some(match i32::try_from(result) {
        Ok(result) if !left_is_long && !right_is_long => RawBsonRef::Int32(result),
        _ => RawBsonRef::Int64(result),
    })
}

fn number(value: RawBsonRef<'_>) -> Option<Number> {
    View::from(value).number()
}

fn raw(number: Number) -> RawBsonRef<'static> {
    match number {
        Number::Int32(value) => RawBsonRef::Int32(value),
        Number::Int64(value) => RawBsonRef::Int64(value),
        Number::Double(value) => RawBsonRef::Double(value),
        Number::Decimal(value) => RawBsonRef::Decimal128(value.into()),
    }
}

fn integer(value: RawBsonRef<'_>) -> Option<(i64, bool)> {
    match value {
        RawBsonRef::Int32(value) => Some((i64::from(value), false)),
        RawBsonRef::Int64(value) => Some((value, true)),
        _ => None,
    }
}

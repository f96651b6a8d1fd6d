//! `$bitsAllSet` and its kin: positions from a mask, and the bits of a value.

use bson::Bson;

use crate::query::value::{Number, Rounding, View};
use crate::{Error, Result};

/// Bit positions of a mask: a list of them, a number, or binary.
pub(super) fn parse(name: &str, value: &Bson) -> Result<Vec<u64>> {
    if let Some(number) = Number::of(value) {
        let mask = number.to_i64().and_then(|mask| u64::try_from(mask).ok());
        let mask = mask.ok_or_else(|| {
            Error::invalid(format!(
                "{name}: the mask must be a whole number of 63 bits at most"
            ))
        })?;
        return Ok((0..63).filter(|bit| mask >> bit & 1 == 1).collect());
    }
    match value {
        Bson::Array(positions) => positions.iter().map(|it| position(name, it)).collect(),
        Bson::Binary(binary) => {
            let bit = |bit: &u64| byte_bit(&binary.bytes, *bit);
            Ok((0..binary.bytes.len() as u64 * 8).filter(bit).collect())
        }
        _ => Err(Error::invalid(format!(
            "{name} takes an array, a number or binary"
        ))),
    }
}

fn position(name: &str, value: &Bson) -> Result<u64> {
    let position = Number::of(value).and_then(Number::to_i64);
    let position = position.filter(|it| *it <= i64::from(i32::MAX));
    position
        .and_then(|it| u64::try_from(it).ok())
        .ok_or_else(|| {
            Error::invalid(format!(
                "{name}: a position must be a whole number from 0 to 2147483647"
            ))
        })
}

fn byte_bit(bytes: &[u8], bit: u64) -> bool {
    let byte = usize::try_from(bit / 8).ok().and_then(|at| bytes.get(at));
    byte.is_some_and(|byte| byte >> (bit % 8) & 1 == 1)
}

/// The bits of a value.
#[derive(Debug, Clone, Copy)]
pub(super) enum Bits<'a> {
    /// Two's complement without end.
    Number(i64),
    /// Zeros behind the end.
    Bytes(&'a [u8]),
}

impl<'a> Bits<'a> {
    /// Of a whole number in 64 bits, or binary. A decimal is rounded first, as MongoDB does.
    pub(super) fn of(value: View<'a>) -> Option<Self> {
        match value {
            View::Binary(_, bytes) => Some(Self::Bytes(bytes)),
            View::Decimal(it) => {
                // MongoDB's conversion answers what is out of range with the least int64.
                let whole = it.round_to(0, Rounding::HalfEven).to_i64();
                Some(Self::Number(whole.unwrap_or(i64::MIN)))
            }
            value => value.number().and_then(Number::to_i64).map(Self::Number),
        }
    }

    /// Whether the bit is set.
    pub(super) fn get(self, bit: u64) -> bool {
        match self {
            Self::Number(value) => value >> bit.min(63) & 1 == 1,
            Self::Bytes(bytes) => byte_bit(bytes, bit),
        }
    }
}

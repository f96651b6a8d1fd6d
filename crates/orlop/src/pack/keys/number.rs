//! Numbers of the four types as one ordered encoding, exact.
//!
//! The nearest double comes first, as eight ordered bytes; rounding keeps order, so numbers with
//! different nearest doubles are told apart by it. One byte says whether the number lies below, at
//! or above that double. Only when it is not at it (64-bit integers beyond 2^53, most decimals)
//! do its exact decimal digits follow: at most 34, so the encoding has 9 or 26 bytes. The digits
//! of a double itself, up to 767 of them, are never needed.

use std::cmp::Ordering;

use bson::Decimal128;

use crate::query::value::Decimal;

/// Bytes of a number that is a double, behind its tag.
pub(super) const SHORT_BYTES: usize = 9;
/// Bytes of any other number, behind its tag.
pub(super) const LONG_BYTES: usize = SHORT_BYTES + 2 + 15;
/// The byte behind the nearest double.
pub(super) const AT: u8 = 0x80;
const BELOW: u8 = 0x40;
const ABOVE: u8 = 0xC0;

/// Significant digits of a decimal128.
const DIGITS: u32 = 34;
/// Makes exponents of -6176 to 6144 positive.
const EXPONENT_BIAS: i32 = 8192;
const SIGN: u64 = 1 << 63;

pub(super) fn encode_f64(out: &mut Vec<u8>, value: f64) {
    out.extend_from_slice(&ordered(value).to_be_bytes());
    out.push(AT);
}

pub(super) fn encode_i64(out: &mut Vec<u8>, value: i64) {
    let nearest = value as f64;
    match i128::from(value).cmp(&(nearest as i128)) {
        Ordering::Equal => encode_f64(out, nearest),
        side => encode_beside(
            out,
            nearest,
            side,
            value < 0,
            value.unsigned_abs().into(),
            0,
        ),
    }
}

pub(super) fn encode_decimal(out: &mut Vec<u8>, value: Decimal) {
    let nearest = value.to_f64();
    match value.compare_f64(nearest) {
        Ordering::Equal => encode_f64(out, nearest),
        side => {
            let (coefficient, exponent) = parts(value);
            encode_beside(
                out,
                nearest,
                side,
                value.is_negative(),
                coefficient,
                exponent,
            );
        }
    }
}

/// The double in the eight bytes.
pub(super) fn decode_f64(bytes: [u8; 8]) -> f64 {
    match u64::from_be_bytes(bytes) {
        0 => f64::NAN,
        it if it & SIGN != 0 => f64::from_bits(it ^ SIGN),
        it => f64::from_bits(!it),
    }
}

/// A number that no double is: the nearest one, the side, then exponent and digits.
fn encode_beside(
    out: &mut Vec<u8>,
    nearest: f64,
    side: Ordering,
    negative: bool,
    coefficient: u128,
    exponent: i32,
) {
    out.extend_from_slice(&ordered(nearest).to_be_bytes());
    out.push(if side == Ordering::Less { BELOW } else { ABOVE });
    // Not zero, for zero is a double. All digits move to the front, so equal values look equal.
    let digits = coefficient.checked_ilog10().map_or(1, |it| it + 1);
    let coefficient = coefficient * 10_u128.pow(DIGITS.saturating_sub(digits));
    let exponent = exponent + digits as i32 + EXPONENT_BIAS;
    let mut magnitude = [0; LONG_BYTES - SHORT_BYTES];
    let (head, tail) = magnitude.split_at_mut(2);
    head.copy_from_slice(&(exponent as u16).to_be_bytes());
    // 10^34 is below 2^113: the first byte of the sixteen is always zero.
    tail.copy_from_slice(&coefficient.to_be_bytes()[1..]);
    if negative {
        magnitude.iter_mut().for_each(|byte| *byte = !*byte);
    }
    out.extend_from_slice(&magnitude);
}

/// Bits whose unsigned order is the order of the doubles; NaN is lowest, -0 is 0.
fn ordered(value: f64) -> u64 {
    if value.is_nan() {
        return 0;
    }
    // Adding positive zero turns -0 into 0 and leaves the rest alone.
    let bits = (value + 0.0).to_bits();
    if bits & SIGN == 0 { bits | SIGN } else { !bits }
}

/// Coefficient and exponent of a finite decimal that is not zero.
fn parts(value: Decimal) -> (u128, i32) {
    // Such a decimal is in the small form: 14 bits of exponent behind the sign, 113 of coefficient.
    let bits = u128::from_le_bytes(Decimal128::from(value).bytes());
    let exponent = ((bits >> 113) & 0x3FFF) as i32 - 6176;
    (bits & ((1 << 113) - 1), exponent)
}

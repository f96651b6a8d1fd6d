//! The four numeric types as one: exact comparison, and arithmetic with MongoDB's promotions.

use std::cmp::Ordering;

use bson::Bson;

use super::{Decimal, Rounding, View};

/// A number of one of BSON's four types.
///
/// Arithmetic gives the wider type of its operands, int32 < int64 < double < decimal128; a
/// result that does not fit int32 becomes int64.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// 32-bit integer.
    Int32(i32),
    /// 64-bit integer.
    Int64(i64),
    /// Double.
    Double(f64),
    /// Decimal128.
    Decimal(Decimal),
}

/// Operands brought to their common type.
enum Common {
    Int32(i32, i32),
    Int64(i64, i64),
    Double(f64, f64),
    Decimal(Decimal, Decimal),
}

impl Number {
    /// The number a value is.
    pub fn of(value: &Bson) -> Option<Self> {
        View::from(value).number()
    }

    /// By exact value, whatever the types. NaN is equal to itself and below everything; -0 is 0.
    pub fn compare(self, other: Self) -> Ordering {
        match (self, other) {
            (Self::Double(a), Self::Double(b)) => compare_f64(a, b),
            (Self::Decimal(a), Self::Decimal(b)) => a.compare(b),
            (Self::Decimal(a), Self::Double(b)) => a.compare_f64(b),
            (Self::Double(a), Self::Decimal(b)) => b.compare_f64(a).reverse(),
            (Self::Decimal(a), b) => a.compare(b.to_decimal()),
            (a, Self::Decimal(b)) => a.to_decimal().compare(b),
            (Self::Double(a), b) => compare_i64_f64(b.integer(), a).reverse(),
            (a, Self::Double(b)) => compare_i64_f64(a.integer(), b),
            (a, b) => a.integer().cmp(&b.integer()),
        }
    }

    /// The value of an integer type; 0 of the others.
    fn integer(self) -> i64 {
        match self {
            Self::Int32(it) => it.into(),
            Self::Int64(it) => it,
            Self::Double(_) | Self::Decimal(_) => 0,
        }
    }

    /// The integer it is, if it is one in range: 3.0 is 3, 3.5 is none.
    pub fn to_i64(self) -> Option<i64> {
        match self {
            Self::Int32(it) => Some(it.into()),
            Self::Int64(it) => Some(it),
            Self::Double(it) => integer_of(it).filter(|whole| *whole as f64 == it),
            Self::Decimal(it) => it.to_i64(),
        }
    }

    /// Its whole part, if that is in range; none of NaN and infinities.
    pub fn truncate(self) -> Option<i64> {
        match self {
            Self::Double(it) => integer_of(it),
            Self::Decimal(it) => it.round_to(0, Rounding::Truncate).to_i64(),
            it => Some(it.integer()),
        }
    }

    /// The nearest double.
    pub fn to_f64(self) -> f64 {
        match self {
            Self::Int32(it) => it.into(),
            Self::Int64(it) => it as f64,
            Self::Double(it) => it,
            Self::Decimal(it) => it.to_f64(),
        }
    }

    /// As a decimal; a double with 15 significant digits, as MongoDB takes it.
    pub fn to_decimal(self) -> Decimal {
        match self {
            Self::Double(it) => Decimal::from_f64(it),
            Self::Decimal(it) => it,
            it => Decimal::from_i64(it.integer()),
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

    /// Whether it is zero.
    pub fn is_zero(self) -> bool {
        match self {
            Self::Double(it) => it == 0.0,
            Self::Decimal(it) => it.is_zero(),
            it => it.integer() == 0,
        }
    }

    /// The sum as `$inc` makes it; none when it does not fit int64.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        Some(match self.common(other) {
            Common::Int32(a, b) => shortest(i64::from(a) + i64::from(b)),
            Common::Int64(a, b) => Self::Int64(a.checked_add(b)?),
            Common::Double(a, b) => Self::Double(a + b),
            Common::Decimal(a, b) => Self::Decimal(a.plus(b)),
        })
    }

    /// The product as `$mul` makes it; none when it does not fit int64.
    pub fn checked_mul(self, other: Self) -> Option<Self> {
        Some(match self.common(other) {
            Common::Int32(a, b) => shortest(i64::from(a) * i64::from(b)),
            Common::Int64(a, b) => Self::Int64(a.checked_mul(b)?),
            Common::Double(a, b) => Self::Double(a * b),
            Common::Decimal(a, b) => Self::Decimal(a.multiply(b)),
        })
    }

    /// The difference as `$subtract` makes it: a double when it does not fit int64.
    #[must_use]
    pub fn subtract(self, other: Self) -> Self {
        match self.common(other) {
            Common::Int32(a, b) => shortest(i64::from(a) - i64::from(b)),
            Common::Int64(a, b) => match a.checked_sub(b) {
                Some(it) => Self::Int64(it),
                None => Self::Double(a as f64 - b as f64),
            },
            Common::Double(a, b) => Self::Double(a - b),
            Common::Decimal(a, b) => Self::Decimal(a.subtract(b)),
        }
    }

    /// The product as `$multiply` makes it: a double when it does not fit int64.
    #[must_use]
    pub fn multiply(self, other: Self) -> Self {
        let double = || Self::Double(self.to_f64() * other.to_f64());
        self.checked_mul(other).unwrap_or_else(double)
    }

    /// The quotient as `$divide` makes it, a double or a decimal; none by zero.
    pub fn divide(self, other: Self) -> Option<Self> {
        if other.is_zero() {
            return None;
        }
        Some(match self.common(other) {
            Common::Decimal(a, b) => Self::Decimal(a.divide(b)),
            _ => Self::Double(self.to_f64() / other.to_f64()),
        })
    }

    /// The remainder as `$mod` makes it, with the sign of `self`; none by zero.
    pub fn remainder(self, other: Self) -> Option<Self> {
        if other.is_zero() {
            return None;
        }
        Some(match self.common(other) {
            Common::Int32(a, b) => Self::Int32(a.wrapping_rem(b)),
            Common::Int64(a, b) => Self::Int64(a.wrapping_rem(b)),
            Common::Double(a, b) => Self::Double(a % b),
            Common::Decimal(a, b) => Self::Decimal(a.remainder(b)),
        })
    }

    fn common(self, other: Self) -> Common {
        match (self, other) {
            (Self::Decimal(_), _) | (_, Self::Decimal(_)) => {
                Common::Decimal(self.to_decimal(), other.to_decimal())
            }
            (Self::Double(_), _) | (_, Self::Double(_)) => {
                Common::Double(self.to_f64(), other.to_f64())
            }
            (Self::Int32(a), Self::Int32(b)) => Common::Int32(a, b),
            (a, b) => Common::Int64(a.integer(), b.integer()),
        }
    }
}

impl From<Number> for Bson {
    fn from(value: Number) -> Self {
        match value {
            Number::Int32(it) => Self::Int32(it),
            Number::Int64(it) => Self::Int64(it),
            Number::Double(it) => Self::Double(it),
            Number::Decimal(it) => Self::Decimal128(it.into()),
        }
    }
}

/// An int32 when it fits, else an int64.
fn shortest(value: i64) -> Number {
    i32::try_from(value).map_or(Number::Int64(value), Number::Int32)
}

/// A double without its fraction, when that is an int64.
fn integer_of(value: f64) -> Option<i64> {
    const BOUND: f64 = 9_223_372_036_854_775_808.0;
    (-BOUND..BOUND).contains(&value).then_some(value as i64)
}

fn compare_f64(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b)
        .unwrap_or_else(|| b.is_nan().cmp(&a.is_nan()))
}

fn compare_i64_f64(a: i64, b: f64) -> Ordering {
    match integer_of(b) {
        Some(whole) => a.cmp(&whole).then_with(|| compare_f64(0.0, b.fract())),
        // NaN is below all, the rest is beyond all.
        None if b < 0.0 || b.is_nan() => Ordering::Greater,
        None => Ordering::Less,
    }
}

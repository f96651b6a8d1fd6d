//! IEEE 754-2008 decimal128 in its binary encoding: read, written, compared, and calculated with.
//!
//! Exact digits first, one rounding (half to even) at the end. Speed is not the aim: a decimal
//! is rare in a filter, and `bson` leaves it opaque.

use std::cmp::Ordering;
use std::fmt;

use bson::Decimal128;

/// Digits of the coefficient.
const DIGITS: usize = 34;
const EXPONENT_MIN: i32 = -6176;
const EXPONENT_MAX: i32 = 6111;
const BIAS: i32 = 6176;
const COEFFICIENT_MAX: u128 = 10_u128.pow(34) - 1;
const SIGN: u128 = 1 << 127;
const INFINITY: u128 = 0x78 << 120;
const NAN: u128 = 0x7C << 120;

/// A decimal128. `Eq` is of its bits (1.0 and 1.00 differ); [`Decimal::compare`] is of its value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Decimal(u128);

/// How a decimal is brought to fewer digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    /// To the nearest, halves to the even digit.
    HalfEven,
    /// Down.
    Floor,
    /// Up.
    Ceiling,
    /// Toward zero.
    Truncate,
}

/// What the bits say.
#[derive(Debug, Clone, Copy)]
enum Parts {
    Finite(Finite),
    Infinite { negative: bool },
    Nan,
}

#[derive(Debug, Clone, Copy)]
struct Finite {
    negative: bool,
    coefficient: u128,
    exponent: i32,
}

impl Decimal {
    /// Not a number.
    pub const NAN: Self = Self(NAN);

    /// From its 128 bits.
    pub const fn from_bits(bits: u128) -> Self {
        Self(bits)
    }

    /// Exact.
    pub fn from_i64(value: i64) -> Self {
        let coefficient = u128::from(value.unsigned_abs());
        Finite {
            negative: value < 0,
            coefficient,
            exponent: 0,
        }
        .pack()
    }

    /// With 15 significant digits, as MongoDB takes a double into decimal arithmetic and
    /// `$toDecimal`. Not exact.
    pub fn from_f64(value: f64) -> Self {
        Self::from_f64_digits(value, 15)
    }

    /// With 34 significant digits, as MongoDB takes a double into a sum.
    pub fn from_f64_precise(value: f64) -> Self {
        Self::from_f64_digits(value, DIGITS)
    }

    fn from_f64_digits(value: f64, digits: usize) -> Self {
        let negative = value.is_sign_negative();
        if value.is_nan() {
            return Self::NAN;
        } else if value.is_infinite() {
            return Self::infinity(negative);
        } else if value == 0.0 {
            return Finite {
                negative,
                coefficient: 0,
                exponent: 0,
            }
            .pack();
        }
        let (coefficient, exponent) = scientific(value, digits);
        let mut it = Finite {
            negative,
            coefficient,
            exponent,
        };
        // An exact one is written as short as it goes, toward exponent zero.
        if digits == DIGITS && is_exact(value) {
            while it.exponent < 0 && it.coefficient.is_multiple_of(10) {
                it = Finite {
                    coefficient: it.coefficient / 10,
                    exponent: it.exponent + 1,
                    ..it
                };
            }
        }
        it.pack()
    }

    fn infinity(negative: bool) -> Self {
        Self(INFINITY | if negative { SIGN } else { 0 })
    }

    fn parts(self) -> Parts {
        let negative = self.0 & SIGN != 0;
        // The five bits behind the sign tell the form apart.
        match (self.0 >> 122) & 0x1F {
            0x1F => Parts::Nan,
            0x1E => Parts::Infinite { negative },
            // The large form holds coefficients over 34 digits only: such a one counts as zero.
            0x18.. => {
                let exponent = ((self.0 >> 111) & 0x3FFF) as i32 - BIAS;
                Parts::Finite(Finite {
                    negative,
                    coefficient: 0,
                    exponent,
                })
            }
            _ => {
                let exponent = ((self.0 >> 113) & 0x3FFF) as i32 - BIAS;
                let coefficient = self.0 & ((1 << 113) - 1);
                let coefficient = if coefficient > COEFFICIENT_MAX {
                    0
                } else {
                    coefficient
                };
                Parts::Finite(Finite {
                    negative,
                    coefficient,
                    exponent,
                })
            }
        }
    }

    /// Whether it is NaN.
    pub fn is_nan(self) -> bool {
        matches!(self.parts(), Parts::Nan)
    }

    /// Whether it is a number and not infinite.
    pub fn is_finite(self) -> bool {
        matches!(self.parts(), Parts::Finite(_))
    }

    /// Whether it is zero of either sign.
    pub fn is_zero(self) -> bool {
        matches!(self.parts(), Parts::Finite(Finite { coefficient: 0, .. }))
    }

    /// Whether its sign bit is set.
    pub fn is_negative(self) -> bool {
        self.0 & SIGN != 0
    }

    /// By value; NaN is equal to itself and below everything.
    pub fn compare(self, other: Self) -> Ordering {
        match (self.parts(), other.parts()) {
            (Parts::Nan, Parts::Nan) => Ordering::Equal,
            (Parts::Nan, _) => Ordering::Less,
            (_, Parts::Nan) => Ordering::Greater,
            (Parts::Infinite { negative: a }, Parts::Infinite { negative: b }) => b.cmp(&a),
            (Parts::Infinite { negative }, Parts::Finite(_)) => sign_order(negative),
            (Parts::Finite(_), Parts::Infinite { negative }) => sign_order(negative).reverse(),
            (Parts::Finite(a), Parts::Finite(b)) => a.compare(b),
        }
    }

    /// By exact value with a double, which is never rounded for it.
    pub fn compare_f64(self, other: f64) -> Ordering {
        let finite = match (self.parts(), other) {
            (Parts::Finite(it), other) if other.is_finite() => it,
            _ => return self.compare(Self::from_f64(other)),
        };
        // Rounding keeps order, so unequal after rounding is unequal.
        match self.to_f64().total_cmp(&other) {
            _ if self.to_f64() == 0.0 && other == 0.0 => finite.compare(Finite::ZERO),
            Ordering::Equal => finite.compare_digits(other),
            order => order,
        }
    }

    /// The nearest double.
    pub fn to_f64(self) -> f64 {
        match self.parts() {
            Parts::Nan => f64::NAN,
            Parts::Infinite { negative: true } => f64::NEG_INFINITY,
            Parts::Infinite { negative: false } => f64::INFINITY,
            Parts::Finite(it) => {
                let sign = if it.negative { "-" } else { "" };
                let text = format!("{sign}{}e{}", it.coefficient, it.exponent);
                text.parse().expect("digits and an exponent are a number")
            }
        }
    }

    /// The integer it is, if it is one in range.
    pub fn to_i64(self) -> Option<i64> {
        let Parts::Finite(mut it) = self.parts() else {
            return None;
        };
        if it.coefficient == 0 {
            return Some(0);
        }
        while it.exponent < 0 && it.coefficient.is_multiple_of(10) {
            it = Finite {
                coefficient: it.coefficient / 10,
                exponent: it.exponent + 1,
                ..it
            };
        }
        let scale = 10_i128.checked_pow(u32::try_from(it.exponent).ok()?)?;
        let value = i128::try_from(it.coefficient).ok()?.checked_mul(scale)?;
        i64::try_from(if it.negative { -value } else { value }).ok()
    }

    /// The same with the other sign.
    #[must_use]
    pub fn negate(self) -> Self {
        Self(self.0 ^ SIGN)
    }

    /// Without its sign.
    #[must_use]
    pub fn abs(self) -> Self {
        Self(self.0 & !SIGN)
    }

    /// The sum, rounded half to even.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let (a, b) = match (self.parts(), other.parts()) {
            (Parts::Finite(a), Parts::Finite(b)) => (a, b),
            (Parts::Nan, _) | (_, Parts::Nan) => return Self::NAN,
            (Parts::Infinite { negative: a }, Parts::Infinite { negative: b }) if a != b => {
                return Self::NAN;
            }
            (Parts::Infinite { negative }, _) | (_, Parts::Infinite { negative }) => {
                return Self::infinity(negative);
            }
        };
        let (high, low) = if a.exponent >= b.exponent {
            (a, b)
        } else {
            (b, a)
        };
        add_finite(high, low)
    }

    /// The difference, rounded half to even.
    #[must_use]
    pub fn subtract(self, other: Self) -> Self {
        if other.is_nan() {
            Self::NAN
        } else {
            self.plus(other.negate())
        }
    }

    /// The product, rounded half to even.
    #[must_use]
    pub fn multiply(self, other: Self) -> Self {
        let negative = self.is_negative() != other.is_negative();
        let (a, b) = match (self.parts(), other.parts()) {
            (Parts::Finite(a), Parts::Finite(b)) => (a, b),
            (Parts::Nan, _) | (_, Parts::Nan) => return Self::NAN,
            _ if self.is_zero() || other.is_zero() => return Self::NAN,
            _ => return Self::infinity(negative),
        };
        let product = Digits::of(a.coefficient).multiply(&Digits::of(b.coefficient));
        product.round(negative, a.exponent + b.exponent, false)
    }

    /// The quotient, rounded half to even. By zero: infinite, or NaN of zero.
    #[must_use]
    pub fn divide(self, other: Self) -> Self {
        let negative = self.is_negative() != other.is_negative();
        let (a, b) = match (self.parts(), other.parts()) {
            (Parts::Finite(a), Parts::Finite(b)) => (a, b),
            (Parts::Finite(_), Parts::Infinite { .. }) => {
                return Finite {
                    negative,
                    coefficient: 0,
                    exponent: EXPONENT_MIN,
                }
                .pack();
            }
            (Parts::Infinite { .. }, Parts::Finite(_)) => return Self::infinity(negative),
            _ => return Self::NAN,
        };
        match (a.coefficient, b.coefficient) {
            (0, 0) => Self::NAN,
            (_, 0) => Self::infinity(negative),
            (0, _) => Digits::of(0).round(negative, a.exponent - b.exponent, false),
            _ => divide_finite(negative, a, b),
        }
    }

    /// The remainder with the sign of `self`, exact. By zero or of infinity: NaN.
    #[must_use]
    pub fn remainder(self, other: Self) -> Self {
        let (a, b) = match (self.parts(), other.parts()) {
            (Parts::Finite(a), Parts::Finite(b)) if b.coefficient != 0 => (a, b),
            (Parts::Finite(_), Parts::Infinite { .. }) => return self,
            _ => return Self::NAN,
        };
        if a.exponent < b.exponent {
            let scale = u32::try_from(b.exponent - a.exponent).unwrap_or(u32::MAX);
            let divisor = 10_u128
                .checked_pow(scale)
                .and_then(|it| it.checked_mul(b.coefficient));
            // A divisor beyond 38 digits is over every coefficient.
            let coefficient = divisor.map_or(a.coefficient, |it| a.coefficient % it);
            return Finite { coefficient, ..a }.pack();
        }
        let mut coefficient = a.coefficient % b.coefficient;
        for _ in b.exponent..a.exponent {
            coefficient = coefficient * 10 % b.coefficient;
        }
        Finite {
            negative: a.negative,
            coefficient,
            exponent: b.exponent,
        }
        .pack()
    }

    /// With `places` digits behind the point (before it, when negative), if it has more.
    #[must_use]
    pub fn round_to(self, places: i32, rounding: Rounding) -> Self {
        let Parts::Finite(it) = self.parts() else {
            return self;
        };
        let drop = usize::try_from(-places - it.exponent).unwrap_or(0);
        if drop == 0 {
            return self;
        }
        let digits = Digits::of(it.coefficient).shorten(drop, it.negative, rounding, false);
        Finite {
            coefficient: digits.value(),
            exponent: -places,
            ..it
        }
        .pack()
    }
}

impl Decimal {
    /// With exactly `places` digits behind the point, as far as 34 digits hold it.
    #[must_use]
    pub fn quantize(self, places: i32, rounding: Rounding) -> Self {
        let rounded = self.round_to(places, rounding);
        let Parts::Finite(mut it) = rounded.parts() else {
            return rounded;
        };
        while it.exponent > -places && it.coefficient <= COEFFICIENT_MAX / 10 {
            it = Finite {
                coefficient: it.coefficient * 10,
                exponent: it.exponent - 1,
                ..it
            };
        }
        it.pack()
    }
}

fn sign_order(negative: bool) -> Ordering {
    if negative {
        Ordering::Less
    } else {
        Ordering::Greater
    }
}

/// The first `digits` digits of a finite double, correctly rounded, and their exponent.
fn scientific(value: f64, digits: usize) -> (u128, i32) {
    let text = format!("{:.*e}", digits - 1, value.abs());
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let coefficient = mantissa.bytes().filter(u8::is_ascii_digit);
    let coefficient = coefficient.fold(0, |sum, digit| sum * 10 + u128::from(digit - b'0'));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    (coefficient, exponent - (digits as i32 - 1))
}

/// Whether 34 digits hold the whole of a double. 767 digits hold any.
fn is_exact(value: f64) -> bool {
    let text = format!("{:.800e}", value.abs());
    let digits = text.split('e').next().unwrap_or_default().bytes();
    digits
        .filter(u8::is_ascii_digit)
        .skip(DIGITS)
        .all(|digit| digit == b'0')
}

impl Finite {
    const ZERO: Self = Self {
        negative: false,
        coefficient: 0,
        exponent: 0,
    };

    /// The bits. The caller keeps coefficient and exponent in range.
    fn pack(self) -> Decimal {
        let exponent = u128::from((self.exponent + BIAS).unsigned_abs());
        let sign = if self.negative { SIGN } else { 0 };
        Decimal(sign | exponent << 113 | self.coefficient)
    }

    /// All 34 digits, and the place of the first.
    fn scaled(self) -> (u128, i32) {
        let digits = self.coefficient.checked_ilog10().map_or(0, |it| it + 1);
        let scale = 10_u128.pow(DIGITS as u32 - digits.min(DIGITS as u32));
        (self.coefficient * scale, self.exponent + digits as i32)
    }

    fn compare(self, other: Self) -> Ordering {
        match (self.coefficient, other.coefficient) {
            (0, 0) => return Ordering::Equal,
            (0, _) => return sign_order(other.negative).reverse(),
            (_, 0) => return sign_order(self.negative),
            _ if self.negative != other.negative => return sign_order(self.negative),
            _ => {}
        }
        let ((a, place_a), (b, place_b)) = (self.scaled(), other.scaled());
        let order = place_a.cmp(&place_b).then_with(|| a.cmp(&b));
        if self.negative {
            order.reverse()
        } else {
            order
        }
    }

    /// With every digit of a double of the same sign that is equal after rounding.
    fn compare_digits(self, other: f64) -> Ordering {
        let text = format!("{:.800e}", other.abs());
        let (coefficient, exponent) = scientific_prefix(&text);
        let theirs = Self {
            negative: self.negative,
            coefficient,
            exponent,
        };
        let beyond = text.split('e').next().unwrap_or_default().bytes();
        let more = beyond
            .filter(u8::is_ascii_digit)
            .skip(DIGITS)
            .any(|digit| digit != b'0');
        let order = self.compare(theirs);
        if order == Ordering::Equal && more {
            sign_order(!self.negative)
        } else {
            order
        }
    }
}

/// The first 34 digits of `d.ddd..e±x`, cut and not rounded, and their exponent.
fn scientific_prefix(text: &str) -> (u128, i32) {
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let digits = mantissa.bytes().filter(u8::is_ascii_digit).take(DIGITS);
    let coefficient = digits.fold(0, |sum, digit| sum * 10 + u128::from(digit - b'0'));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    (coefficient, exponent - (DIGITS as i32 - 1))
}

/// `high.exponent >= low.exponent`.
fn add_finite(high: Finite, low: Finite) -> Decimal {
    // Beyond two digits more than the result can hold, the rest of `low` only breaks ties.
    const REACH: usize = DIGITS + 2;
    let gap = (high.exponent - low.exponent).unsigned_abs() as usize;
    let (mut exponent, mut sticky) = (low.exponent, false);
    let mut big = Digits::of(high.coefficient);
    let mut small = Digits::of(low.coefficient);
    if high.coefficient == 0 {
        // Nothing to line up: the exponent is the lower one all the same.
        big = Digits(Vec::new());
    } else if gap > REACH {
        sticky = small.drop_low(gap - REACH);
        big.shift(REACH);
        exponent = high.exponent - REACH as i32;
    } else {
        big.shift(gap);
    }
    if high.negative == low.negative {
        return big.add(&small).round(high.negative, exponent, sticky);
    }
    match big.compare(&small) {
        Ordering::Equal if !sticky => small.round_zero(exponent),
        // `low` is a little more than `small`: take one off, what is left over is sticky again.
        Ordering::Greater if sticky => {
            let less = big.subtract(&small).subtract(&Digits::of(1));
            less.round(high.negative, exponent, true)
        }
        Ordering::Greater => big.subtract(&small).round(high.negative, exponent, false),
        _ => small.subtract(&big).round(low.negative, exponent, sticky),
    }
}

fn divide_finite(negative: bool, a: Finite, b: Finite) -> Decimal {
    let preferred = a.exponent - b.exponent;
    let (mut quotient, mut rest) = (a.coefficient / b.coefficient, a.coefficient % b.coefficient);
    let mut exponent = preferred;
    // One digit more than fits decides the rounding, what remains breaks ties.
    while rest != 0 && quotient <= COEFFICIENT_MAX {
        rest *= 10;
        quotient = quotient * 10 + rest / b.coefficient;
        rest %= b.coefficient;
        exponent -= 1;
    }
    Digits::of(quotient).round(negative, exponent, rest != 0)
}

/// Decimal digits, lowest first, no zeros at the top.
#[derive(Debug, Clone)]
struct Digits(Vec<u8>);

impl Digits {
    fn of(mut value: u128) -> Self {
        let mut digits = Vec::new();
        while value != 0 {
            digits.push((value % 10) as u8);
            value /= 10;
        }
        Self(digits)
    }

    /// The number. The caller keeps it within 38 digits.
    fn value(&self) -> u128 {
        self.0
            .iter()
            .rev()
            .fold(0, |sum, digit| sum * 10 + u128::from(*digit))
    }

    fn trim(mut self) -> Self {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
        self
    }

    /// Times ten to the `count`.
    fn shift(&mut self, count: usize) {
        if !self.0.is_empty() {
            self.0.splice(0..0, std::iter::repeat_n(0, count));
        }
    }

    /// Removes the lowest `count`; whether one of them was not zero.
    fn drop_low(&mut self, count: usize) -> bool {
        self.0
            .drain(..count.min(self.0.len()))
            .any(|digit| digit != 0)
    }

    fn compare(&self, other: &Self) -> Ordering {
        let order = self.0.len().cmp(&other.0.len());
        order.then_with(|| self.0.iter().rev().cmp(other.0.iter().rev()))
    }

    fn at(&self, place: usize) -> u8 {
        self.0.get(place).copied().unwrap_or(0)
    }

    fn add(&self, other: &Self) -> Self {
        let mut carry = 0;
        let places = self.0.len().max(other.0.len()) + 1;
        let sum = (0..places).map(|place| {
            let sum = self.at(place) + other.at(place) + carry;
            carry = sum / 10;
            sum % 10
        });
        Self(sum.collect()).trim()
    }

    /// `self >= other`.
    fn subtract(&self, other: &Self) -> Self {
        let mut borrow = 0;
        let places = (0..self.0.len()).map(|place| {
            let have = 10 + self.at(place) - other.at(place) - borrow;
            borrow = 1 - have / 10;
            have % 10
        });
        Self(places.collect()).trim()
    }

    fn multiply(&self, other: &Self) -> Self {
        let mut sums = vec![0_u32; self.0.len() + other.0.len()];
        for (i, a) in self.0.iter().enumerate() {
            for (sum, b) in sums.iter_mut().skip(i).zip(&other.0) {
                *sum += u32::from(*a) * u32::from(*b);
            }
        }
        let mut carry = 0;
        let digits = sums.into_iter().map(|sum| {
            let sum = sum + carry;
            carry = sum / 10;
            (sum % 10) as u8
        });
        Self(digits.collect()).trim()
    }

    /// Without the lowest `count`, rounded. `sticky`: something not zero lies below them already.
    fn shorten(mut self, count: usize, negative: bool, rounding: Rounding, sticky: bool) -> Self {
        if count == 0 {
            return self;
        }
        let half = if count <= self.0.len() {
            self.at(count - 1)
        } else {
            0
        };
        let below = sticky || self.0.iter().take(count - 1).any(|digit| *digit != 0);
        self.drop_low(count);
        let up = match rounding {
            Rounding::Truncate => false,
            Rounding::Floor => negative && (half != 0 || below),
            Rounding::Ceiling => !negative && (half != 0 || below),
            Rounding::HalfEven => half > 5 || half == 5 && (below || self.at(0) % 2 == 1),
        };
        if up { self.add(&Self::of(1)) } else { self }
    }

    /// Into 34 digits and the range of exponents. Overflow is infinite.
    fn round(self, negative: bool, exponent: i32, sticky: bool) -> Decimal {
        let over = self.0.len().saturating_sub(DIGITS);
        let under = usize::try_from(EXPONENT_MIN - exponent).unwrap_or(0);
        let drop = over.max(under);
        let mut digits = self.shorten(drop, negative, Rounding::HalfEven, sticky);
        let mut exponent = exponent + drop as i32;
        if digits.0.len() > DIGITS {
            // 99..9 became 100..0.
            digits.drop_low(1);
            exponent += 1;
        }
        if digits.0.is_empty() {
            let exponent = exponent.clamp(EXPONENT_MIN, EXPONENT_MAX);
            return Finite {
                negative,
                coefficient: 0,
                exponent,
            }
            .pack();
        }
        let high = usize::try_from(exponent - EXPONENT_MAX).unwrap_or(0);
        if digits.0.len() + high > DIGITS {
            return Decimal::infinity(negative);
        }
        digits.shift(high);
        let exponent = exponent.min(EXPONENT_MAX);
        Finite {
            negative,
            coefficient: digits.value(),
            exponent,
        }
        .pack()
    }

    /// The zero of `x - x`: positive.
    fn round_zero(self, exponent: i32) -> Decimal {
        Self(Vec::new()).round(false, exponent, false)
    }
}

impl From<Decimal128> for Decimal {
    fn from(value: Decimal128) -> Self {
        Self(u128::from_le_bytes(value.bytes()))
    }
}

impl From<Decimal> for Decimal128 {
    fn from(value: Decimal) -> Self {
        Self::from_bytes(value.0.to_le_bytes())
    }
}

impl fmt::Debug for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Decimal128::from(*self))
    }
}

//! Sums, products and rounding, with MongoDB's promotions.

use bson::{Bson, DateTime};

use super::functions::{Operands, is_nullish, next, refuse};
use crate::query::value::{Decimal, Number, Rounding};
use crate::{Error, Result};

/// A sum that keeps what doubles lose (a sum and what its rounding left over), whole numbers
/// exactly, and decimals apart.
///
/// # Source
/// Kahan's summation, the lost part by Knuth's exact sum of two doubles (The Art of Computer
/// Programming, volume 2, section 4.2.2).
#[derive(Debug, Default)]
struct Sum {
    whole: i128,
    high: f64,
    low: f64,
    plain: f64,
    decimal: Option<Decimal>,
    has_double: bool,
    has_long: bool,
}

impl Sum {
    fn push(&mut self, number: Number) {
        match number {
            Number::Int32(it) => self.push_whole(it.into()),
            Number::Int64(it) => {
                self.has_long = true;
                self.push_whole(it);
            }
            Number::Double(it) => {
                self.has_double = true;
                self.push_double(it);
            }
            Number::Decimal(it) => {
                self.decimal = Some(self.decimal.map_or(it, |sum| sum.plus(it)));
            }
        }
    }

    fn push_whole(&mut self, value: i64) {
        self.whole += i128::from(value);
        // The halves are doubles without loss.
        let low = value & 0xFFFF_FFFF;
        self.push_double((value - low) as f64);
        self.push_double(low as f64);
    }

    fn push_double(&mut self, value: f64) {
        self.plain += value;
        let value = value + self.low;
        let sum = self.high + value;
        let back = sum - self.high;
        self.low = (self.high - (sum - back)) + (value - back);
        self.high = sum;
    }

    fn double(&self) -> f64 {
        let sum = self.high + self.low;
        // Infinities leave NaN in what is left over.
        if sum.is_nan() { self.plain } else { sum }
    }

    fn in_decimal(&self, decimals: Decimal) -> Decimal {
        let doubles = match self.high.is_finite() && self.low.is_finite() {
            true => Decimal::from_f64_precise(self.high).plus(Decimal::from_f64_precise(self.low)),
            false => Decimal::from_f64_precise(self.double()),
        };
        doubles.plus(decimals)
    }

    fn number(&self) -> Number {
        if let Some(decimals) = self.decimal {
            return Number::Decimal(self.in_decimal(decimals));
        }
        if self.has_double {
            return Number::Double(self.double());
        }
        match (i32::try_from(self.whole), i64::try_from(self.whole)) {
            (Ok(short), _) if !self.has_long => Number::Int32(short),
            (_, Ok(long)) => Number::Int64(long),
            _ => Number::Double(self.double()),
        }
    }
}

pub(super) fn add(name: &'static str, operands: Operands) -> Result<Option<Bson>> {
    let (mut sum, mut date) = (Sum::default(), None);
    for operand in operands {
        match operand {
            Some(Bson::DateTime(_)) if date.is_some() => {
                return Err(Error::invalid(format!("{name} takes one date only")));
            }
            Some(Bson::DateTime(it)) => date = Some(it),
            operand if is_nullish(operand.as_ref()) => return Ok(Some(Bson::Null)),
            Some(value) => match Number::of(&value) {
                Some(number) => sum.push(number),
                None => return Err(refuse(name, "numbers and dates", &value)),
            },
            None => {}
        }
    }
    match date {
        Some(date) => shifted(date, sum.number(), 1).map(Some),
        None => Ok(Some(sum.number().into())),
    }
}

/// A date some milliseconds later, or earlier.
fn shifted(date: DateTime, by: Number, sign: i64) -> Result<Bson> {
    let by = by.truncate().and_then(|by| by.checked_mul(sign));
    let millis = by.and_then(|by| date.timestamp_millis().checked_add(by));
    let millis = millis.ok_or_else(|| Error::invalid("a date out of range"))?;
    Ok(Bson::DateTime(DateTime::from_millis(millis)))
}

/// Sum of what is a number.
pub(super) fn sum(operands: Operands) -> Result<Option<Bson>> {
    let mut sum = Sum::default();
    operands
        .iter()
        .flatten()
        .filter_map(Number::of)
        .for_each(|number| sum.push(number));
    Ok(Some(sum.number().into()))
}

/// Mean of what is a number.
pub(super) fn average(operands: Operands) -> Result<Option<Bson>> {
    let (mut sum, mut count) = (Sum::default(), 0_i64);
    for number in operands.iter().flatten().filter_map(Number::of) {
        sum.push(number);
        count += 1;
    }
    let mean = match sum.decimal {
        _ if count == 0 => return Ok(Some(Bson::Null)),
        Some(decimals) => {
            Number::Decimal(sum.in_decimal(decimals).divide(Decimal::from_i64(count)))
        }
        None => Number::Double(sum.double() / count as f64),
    };
    Ok(Some(mean.into()))
}

/// Two operands that must be numbers; none when one of them is null or missing.
fn two(name: &str, operands: Operands) -> Result<Option<(Number, Number)>> {
    let mut operands = operands.into_iter();
    let (Some(a), Some(b)) = (next(&mut operands), next(&mut operands)) else {
        return Ok(None);
    };
    if is_nullish(Some(&a)) || is_nullish(Some(&b)) {
        return Ok(None);
    }
    match (Number::of(&a), Number::of(&b)) {
        (Some(a), Some(b)) => Ok(Some((a, b))),
        (None, _) => Err(refuse(name, "numbers", &a)),
        (_, None) => Err(refuse(name, "numbers", &b)),
    }
}

pub(super) fn subtract(name: &'static str, operands: Operands) -> Result<Option<Bson>> {
    match operands.as_slice() {
        [Some(Bson::DateTime(a)), Some(Bson::DateTime(b))] => {
            let millis = a.timestamp_millis().checked_sub(b.timestamp_millis());
            let millis = millis.ok_or_else(|| Error::invalid("dates too far apart"))?;
            Ok(Some(Bson::Int64(millis)))
        }
        [Some(Bson::DateTime(date)), Some(by)] if !is_nullish(Some(by)) => {
            let by = Number::of(by).ok_or_else(|| refuse(name, "numbers and dates", by))?;
            shifted(*date, by, -1).map(Some)
        }
        _ => {
            let difference = two(name, operands)?.map(|(a, b)| a.subtract(b).into());
            Ok(Some(difference.unwrap_or(Bson::Null)))
        }
    }
}

pub(super) fn multiply(name: &'static str, operands: Operands) -> Result<Option<Bson>> {
    let (mut product, mut short) = (Number::Int32(1), true);
    for operand in operands {
        let Some(value) = operand.filter(|value| !is_nullish(Some(value))) else {
            return Ok(Some(Bson::Null));
        };
        let number = Number::of(&value).ok_or_else(|| refuse(name, "numbers", &value))?;
        short &= matches!(number, Number::Int32(_));
        product = product.multiply(number);
    }
    // A product that came back into 32 bits is as wide as its operands.
    Ok(Some(match product {
        Number::Int64(it) if short => i32::try_from(it).map_or(Bson::Int64(it), Bson::Int32),
        product => product.into(),
    }))
}

fn by_zero(name: &str) -> Error {
    Error::invalid(format!("cannot {name} by zero"))
}

pub(super) fn divide(name: &'static str, operands: Operands) -> Result<Option<Bson>> {
    let Some((a, b)) = two(name, operands)? else {
        return Ok(Some(Bson::Null));
    };
    Ok(Some(a.divide(b).ok_or_else(|| by_zero(name))?.into()))
}

pub(super) fn remainder(name: &'static str, operands: Operands) -> Result<Option<Bson>> {
    let Some((a, b)) = two(name, operands)? else {
        return Ok(Some(Bson::Null));
    };
    // A whole double divides an integer as an integer.
    let b = match (a, b) {
        (Number::Int32(_) | Number::Int64(_), Number::Double(_)) => {
            let whole = b.to_i64().and_then(|it| i32::try_from(it).ok());
            whole.map_or(b, Number::Int32)
        }
        _ => b,
    };
    Ok(Some(a.remainder(b).ok_or_else(|| by_zero(name))?.into()))
}

/// The first operand as a number; none when it is null or missing.
fn one(name: &str, value: Option<Bson>) -> Result<Option<Number>> {
    match value {
        None | Some(Bson::Null | Bson::Undefined) => Ok(None),
        Some(value) => Number::of(&value)
            .map(Some)
            .ok_or_else(|| refuse(name, "numbers", &value)),
    }
}

pub(super) fn abs(name: &'static str, operands: Operands) -> Result<Option<Bson>> {
    let Some(number) = one(name, next(&mut operands.into_iter()))? else {
        return Ok(Some(Bson::Null));
    };
    Ok(Some(match number {
        Number::Int32(it) => it
            .checked_abs()
            .map_or(Bson::Int64(-i64::from(it)), Bson::Int32),
        Number::Int64(it) => {
            let it = it.checked_abs().ok_or_else(|| {
                Error::invalid(format!(
                    "{name}: the least 64-bit integer has no absolute value"
                ))
            })?;
            Bson::Int64(it)
        }
        Number::Double(it) => Bson::Double(it.abs()),
        Number::Decimal(it) => Bson::Decimal128(it.abs().into()),
    }))
}

/// `$floor` and `$ceil`.
pub(super) fn whole(name: &'static str, operands: Operands) -> Result<Option<Bson>> {
    let Some(number) = one(name, next(&mut operands.into_iter()))? else {
        return Ok(Some(Bson::Null));
    };
    let down = name == "$floor";
    Ok(Some(match number {
        Number::Double(it) => Bson::Double(if down { it.floor() } else { it.ceil() }),
        Number::Decimal(it) => {
            let rounding = if down {
                Rounding::Floor
            } else {
                Rounding::Ceiling
            };
            Bson::Decimal128(it.quantize(0, rounding).into())
        }
        number => number.into(),
    }))
}

/// `$round` and `$trunc`, with a number of places.
pub(super) fn round(name: &'static str, operands: Operands) -> Result<Option<Bson>> {
    let mut operands = operands.into_iter();
    let Some(number) = one(name, next(&mut operands))? else {
        return Ok(Some(Bson::Null));
    };
    let places = match operands.next() {
        None => 0,
        Some(places) => {
            let Some(places) = one(name, places)? else {
                return Ok(Some(Bson::Null));
            };
            let places = places
                .to_i64()
                .and_then(|places| i32::try_from(places).ok());
            places
                .filter(|places| (-20..=100).contains(places))
                .ok_or_else(|| {
                    Error::invalid(format!(
                        "{name}: places must be a whole number from -20 to 100"
                    ))
                })?
        }
    };
    let truncate = name == "$trunc";
    let rounding = if truncate {
        Rounding::Truncate
    } else {
        Rounding::HalfEven
    };
    Ok(Some(match number {
        Number::Decimal(it) => Bson::Decimal128(it.quantize(places, rounding).into()),
        Number::Double(it) if !it.is_finite() => Bson::Double(it),
        Number::Double(it) if places == 0 => Bson::Double(if truncate {
            it.trunc()
        } else {
            it.round_ties_even()
        }),
        Number::Double(it) => Bson::Double(
            Decimal::from_f64_precise(it)
                .round_to(places, rounding)
                .to_f64(),
        ),
        number if places >= 0 => number.into(),
        number => {
            let whole = number.to_decimal().round_to(places, rounding).to_i64();
            let whole = whole.ok_or_else(|| {
                Error::invalid(format!("{name}: the result does not fit 64 bits"))
            })?;
            match (number, i32::try_from(whole)) {
                (Number::Int32(_), Ok(short)) => Bson::Int32(short),
                _ => Bson::Int64(whole),
            }
        }
    }))
}

/// A double as MongoDB writes it into a string: six significant digits.
pub(super) fn double_text(value: f64) -> String {
    if value.is_nan() {
        return "nan".to_owned();
    } else if value.is_infinite() {
        return if value < 0.0 { "-inf" } else { "inf" }.to_owned();
    }
    let text = format!("{value:.5e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let short = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if (-4..6).contains(&exponent) {
        let places = usize::try_from(5 - exponent).unwrap_or(0);
        return short(&format!("{value:.places$}"));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", short(mantissa), exponent.unsigned_abs())
}

//! What each operator does to one value.

use bson::raw::{RawBson, RawBsonRef};
use bson::{Bson, DateTime, Timestamp};

use crate::query::value::{View, compare_raw};
use crate::{Error, Result};

use super::list::{self, Order, Pulled};
use super::number;
use super::step::{Bit, Clock, End, Op, PushSort, Step};
use super::value::{Value, identical};

/// A step made ready: its operands as BSON bytes.
#[derive(Debug, Clone)]
pub(super) enum Leaf {
    Set(RawBson),
    SetOnInsert(RawBson),
    Unset,
    Inc(RawBson),
    Mul(RawBson),
    Min(RawBson),
    Max(RawBson),
    Bit(Vec<(Bit, RawBson)>),
    Push {
        each: Vec<RawBson>,
        position: Option<i64>,
        sort: Option<Order>,
        slice: Option<i64>,
    },
    AddToSet(Vec<RawBson>),
    Pull(Pulled),
    Pop(End),
    Rename,
    CurrentDate(Clock),
}

/// A value, or none when the field is missing.
pub(super) type Slot<'a> = Option<Value<'a>>;

impl Leaf {
    /// Makes a step ready.
    ///
    /// # Errors
    /// `Invalid` when an operand is not BSON or a condition is refused.
    pub(super) fn of(step: &Step) -> Result<Self> {
        Ok(match &step.op {
            Op::Set(value) => Self::Set(raw(value)?),
            Op::SetOnInsert(value) => Self::SetOnInsert(raw(value)?),
            Op::Unset => Self::Unset,
            Op::Inc(value) => Self::Inc(raw(value)?),
            Op::Mul(value) => Self::Mul(raw(value)?),
            Op::Min(value) => Self::Min(raw(value)?),
            Op::Max(value) => Self::Max(raw(value)?),
            Op::Bit(operations) => Self::Bit(
                operations
                    .iter()
                    .map(|(bit, operand)| Ok((*bit, raw(operand)?)))
                    .collect::<Result<_>>()?,
            ),
            Op::Push(push) => Self::Push {
                each: raws(&push.each)?,
                position: push.position,
                sort: push.sort.clone().map(|sort| match sort {
                    PushSort::Whole { descending } => Order::Whole { descending },
                    PushSort::Fields(fields) => Order::Fields(fields),
                }),
                slice: push.slice,
            },
            Op::AddToSet(values) => Self::AddToSet(raws(values)?),
            Op::Pull(condition) => Self::Pull(Pulled::matching(condition)?),
            Op::PullAll(values) => Self::Pull(Pulled::Equal(raws(values)?)),
            Op::Pop(end) => Self::Pop(*end),
            Op::Rename(_) => Self::Rename,
            Op::CurrentDate(clock) => Self::CurrentDate(*clock),
        })
    }

    /// Whether the step leaves a document alone when its path leads through a scalar.
    pub(super) fn ignores_blocked_path(&self) -> bool {
        matches!(self, Self::Unset | Self::SetOnInsert(_))
    }

    /// Applies the step to a value; says whether it changed.
    ///
    /// # Errors
    /// `Invalid` when the value has the wrong type for it.
    pub(super) fn apply<'a>(
        &'a self,
        slot: &mut Slot<'a>,
        inserting: bool,
        now: DateTime,
        path: &str,
    ) -> Result<bool> {
        let current =
            match slot {
                None => None,
                Some(value) => Some(value.raw().ok_or_else(|| {
                    Error::invalid(format!("the update has two steps at '{path}'"))
                })?),
            };
        match self {
            Self::Set(value) => Ok(set(slot, current, value.as_raw_bson_ref())),
            Self::SetOnInsert(value) => {
                Ok(inserting && set(slot, current, value.as_raw_bson_ref()))
            }
            Self::Unset => Ok(slot.take().is_some()),
            Self::Inc(operand) => {
                let operand = operand.as_raw_bson_ref();
                let Some(current) = current else {
                    return Ok(put(slot, operand));
                };
                let sum = calculated("$inc", path, current, number::add(current, operand))?;
                Ok(calculate(slot, current, sum))
            }
            Self::Mul(operand) => {
                let operand = operand.as_raw_bson_ref();
                let factor = current.unwrap_or(RawBsonRef::Int32(0));
                let product = calculated("$mul", path, factor, number::multiply(factor, operand))?;
                match current {
                    None => Ok(put(slot, product)),
                    Some(current) => Ok(calculate(slot, current, product)),
                }
            }
            Self::Min(bound) => Ok(limit(slot, current, bound, true)),
            Self::Max(bound) => Ok(limit(slot, current, bound, false)),
            Self::Bit(operations) => bit(slot, current, operations, path),
            Self::Push {
                each,
                position,
                sort,
                slice,
            } => list::push(slot, each, *position, sort.as_ref(), *slice, path),
            Self::AddToSet(values) => list::add_to_set(slot, values, path),
            Self::Pull(pulled) => list::pull(slot, pulled, path),
            Self::Pop(end) => list::pop(slot, *end, path),
            Self::CurrentDate(clock) => Ok(put(slot, instant(*clock, now))),
            // The caller moves the value: it alone knows the document.
            Self::Rename => Ok(false),
        }
    }
}

/// Owned BSON bytes of a value.
pub(super) fn raw(value: &Bson) -> Result<RawBson> {
    RawBson::try_from(value.clone())
        .map_err(|error| Error::invalid(format!("malformed value in an update: {error}")))
}

/// Writes a value, whatever was there.
pub(super) fn put<'a>(slot: &mut Slot<'a>, value: RawBsonRef<'a>) -> bool {
    *slot = Some(Value::Raw(value));
    true
}

fn raws(values: &[Bson]) -> Result<Vec<RawBson>> {
    values.iter().map(raw).collect()
}

fn set<'a>(slot: &mut Slot<'a>, current: Option<RawBsonRef<'a>>, value: RawBsonRef<'a>) -> bool {
    !current.is_some_and(|current| identical(current, value)) && put(slot, value)
}

fn calculated(
    name: &str,
    path: &str,
    current: RawBsonRef<'_>,
    result: Option<RawBsonRef<'static>>,
) -> Result<RawBsonRef<'static>> {
    result.ok_or_else(|| match current {
        RawBsonRef::Int32(_)
        | RawBsonRef::Int64(_)
        | RawBsonRef::Double(_)
        | RawBsonRef::Decimal128(_) => {
            Error::invalid(format!("{name} at '{path}' is out of the range of int64"))
        }
        other => Error::invalid(format!(
            "{name} at '{path}' needs a number, not {:?}",
            other.element_type()
        )),
    })
}

fn calculate<'a>(slot: &mut Slot<'a>, current: RawBsonRef<'_>, result: RawBsonRef<'a>) -> bool {
    // As numbers: a NaN that stays one counts as changed in MongoDB, minus zero that becomes
    // zero does not.
    let same = match (current, result) {
        (RawBsonRef::Double(current), RawBsonRef::Double(result)) => current == result,
        (RawBsonRef::Decimal128(_), RawBsonRef::Decimal128(_)) => {
            !View::from(current).is_nan() && compare_raw(current, result).is_eq()
        }
        _ => identical(current, result),
    };
    !same && put(slot, result)
}

fn limit<'a>(
    slot: &mut Slot<'a>,
    current: Option<RawBsonRef<'a>>,
    bound: &'a RawBson,
    low: bool,
) -> bool {
    let bound = bound.as_raw_bson_ref();
    let beyond = current.is_none_or(|current| {
        let order = compare_raw(bound, current);
        if low { order.is_lt() } else { order.is_gt() }
    });
    beyond && put(slot, bound)
}

fn bit<'a>(
    slot: &mut Slot<'a>,
    current: Option<RawBsonRef<'a>>,
    operations: &[(Bit, RawBson)],
    path: &str,
) -> Result<bool> {
    let mut value = current.unwrap_or(RawBsonRef::Int32(0));
    for (bit, operand) in operations {
        value = number::bitwise(*bit, value, operand.as_raw_bson_ref()).ok_or_else(|| {
            Error::invalid(format!(
                "$bit at '{path}' needs an integer, not {:?}",
                value.element_type()
            ))
        })?;
    }
    Ok(set(slot, current, value))
}

fn instant(clock: Clock, now: DateTime) -> RawBsonRef<'static> {
    match clock {
        Clock::Date => RawBsonRef::DateTime(now),
        Clock::Timestamp => RawBsonRef::Timestamp(Timestamp {
            time: u32::try_from(now.timestamp_millis().div_euclid(1000)).unwrap_or(0),
            increment: 1,
        }),
    }
}

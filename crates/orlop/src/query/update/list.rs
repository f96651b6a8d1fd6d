//! The operators on arrays: `$push`, `$addToSet`, `$pull`, `$pullAll` and `$pop`.

use std::cmp::Ordering;

use bson::Bson;
use bson::raw::{RawBson, RawBsonRef};

use crate::query::Path;
use crate::query::value::compare_raw;
use crate::{Error, Result};

use super::filter::Condition;
use super::leaf::{Slot, raw};
use super::path::index;
use super::step::End;
use super::value::Value;

/// The order `$push` sorts by.
#[derive(Debug, Clone)]
pub(super) enum Order {
    Whole { descending: bool },
    Fields(Vec<(Path, bool)>),
}

/// Which elements `$pull` and `$pullAll` take out.
#[derive(Debug, Clone)]
pub(super) enum Pulled {
    /// Those equal to one of these.
    Equal(Vec<RawBson>),
    /// Those that pass a condition.
    Matching(Condition),
}

impl Pulled {
    /// The elements that `$pull` with this operand takes out.
    ///
    /// # Errors
    /// What the filter refuses.
    pub(super) fn matching(condition: &Bson) -> Result<Self> {
        match condition {
            Bson::Document(_) | Bson::RegularExpression(_) => {
                Condition::parse(condition).map(Self::Matching)
            }
            value => Ok(Self::Equal(vec![raw(value)?])),
        }
    }

    fn holds(&self, element: &Value<'_>) -> Result<bool> {
        match self {
            Self::Equal(values) => Ok(element
                .raw()
                .is_some_and(|element| values.iter().any(|value| equal(element, value)))),
            Self::Matching(condition) => condition.holds(element),
        }
    }
}

/// `$push`. Says whether the array changed.
///
/// # Errors
/// `Invalid` when the value is no array.
pub(super) fn push<'a>(
    slot: &mut Slot<'a>,
    each: &'a [RawBson],
    position: Option<i64>,
    sort: Option<&Order>,
    slice: Option<i64>,
    path: &str,
) -> Result<bool> {
    let is_new = slot.is_none();
    let value = slot.get_or_insert_with(|| Value::Array(Vec::new()));
    let array = array("$push", value, path)?;
    let before = array.len();
    let at = match position {
        None => before,
        Some(position) if position < 0 => before.saturating_sub(magnitude(position)),
        Some(position) => before.min(magnitude(position)),
    };
    array.splice(
        at..at,
        each.iter().map(|value| Value::Raw(value.as_raw_bson_ref())),
    );
    if let Some(order) = sort {
        array.sort_by(|left, right| order.compare(left, right));
    }
    let grown = array.len();
    match slice {
        None => {}
        Some(slice) if slice < 0 => {
            array.drain(..grown.saturating_sub(magnitude(slice)));
        }
        Some(slice) => array.truncate(magnitude(slice)),
    }
    // A sort counts as a change even when the order was right already: MongoDB does not look.
    let is_sorted = sort.is_some() && before > 0;
    Ok(is_new || !each.is_empty() || is_sorted || array.len() != before)
}

/// `$addToSet`. Says whether the array changed.
///
/// # Errors
/// `Invalid` when the value is no array.
pub(super) fn add_to_set<'a>(
    slot: &mut Slot<'a>,
    values: &'a [RawBson],
    path: &str,
) -> Result<bool> {
    let is_new = slot.is_none();
    let value = slot.get_or_insert_with(|| Value::Array(Vec::new()));
    let array = array("$addToSet", value, path)?;
    let before = array.len();
    for value in values {
        let is_there = array
            .iter()
            .filter_map(Value::raw)
            .any(|element| equal(element, value));
        if !is_there {
            array.push(Value::Raw(value.as_raw_bson_ref()));
        }
    }
    Ok(is_new || array.len() != before)
}

/// `$pull` and `$pullAll`. Says whether the array changed.
///
/// # Errors
/// `Invalid` when the value is no array.
pub(super) fn pull(slot: &mut Slot<'_>, pulled: &Pulled, path: &str) -> Result<bool> {
    let Some(value) = slot else {
        return Ok(false);
    };
    let array = array("$pull", value, path)?;
    let mut kept = Vec::with_capacity(array.len());
    let before = array.len();
    for element in array.drain(..) {
        if !pulled.holds(&element)? {
            kept.push(element);
        }
    }
    *array = kept;
    Ok(array.len() != before)
}

/// `$pop`. Says whether the array changed.
///
/// # Errors
/// `Invalid` when the value is no array.
pub(super) fn pop(slot: &mut Slot<'_>, end: End, path: &str) -> Result<bool> {
    let Some(value) = slot else {
        return Ok(false);
    };
    let array = array("$pop", value, path)?;
    if array.is_empty() {
        return Ok(false);
    }
    match end {
        End::First => {
            array.remove(0);
        }
        End::Last => {
            array.pop();
        }
    }
    Ok(true)
}

impl Order {
    fn compare(&self, left: &Value<'_>, right: &Value<'_>) -> Ordering {
        let (Some(left), Some(right)) = (left.raw(), right.raw()) else {
            return Ordering::Equal;
        };
        match self {
            Self::Whole { descending } => directed(compare_raw(left, right), *descending),
            Self::Fields(fields) => fields
                .iter()
                .map(|(path, descending)| {
                    directed(
                        compare_raw(field(left, path), field(right, path)),
                        *descending,
                    )
                })
                .find(|order| order.is_ne())
                .unwrap_or(Ordering::Equal),
        }
    }
}

fn directed(order: Ordering, descending: bool) -> Ordering {
    if descending { order.reverse() } else { order }
}

/// The value a sort looks at: null when the path leads nowhere. It does not look into the
/// elements of arrays, only at positions in them.
fn field<'a>(element: RawBsonRef<'a>, path: &str) -> RawBsonRef<'a> {
    let RawBsonRef::Document(_) = element else {
        return RawBsonRef::Null;
    };
    let mut value = element;
    for name in path.split('.') {
        let found = match value {
            RawBsonRef::Document(document) => document.get(name).ok().flatten(),
            RawBsonRef::Array(array) => {
                index(name).and_then(|index| array.get(index).ok().flatten())
            }
            _ => None,
        };
        match found {
            Some(found) => value = found,
            None => return RawBsonRef::Null,
        }
    }
    value
}

fn array<'v, 'a>(
    name: &str,
    value: &'v mut Value<'a>,
    path: &str,
) -> Result<&'v mut Vec<Value<'a>>> {
    value.open()?;
    match value {
        Value::Array(array) => Ok(array),
        Value::Raw(other) => Err(Error::invalid(format!(
            "{name} at '{path}' needs an array, not {:?}",
            other.element_type()
        ))),
        Value::Document(_) => Err(Error::invalid(format!(
            "{name} at '{path}' needs an array, not a document"
        ))),
    }
}

fn equal(element: RawBsonRef<'_>, value: &RawBson) -> bool {
    compare_raw(element, value.as_raw_bson_ref()).is_eq()
}

fn magnitude(count: i64) -> usize {
    usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX)
}

//! The operators that take their operands evaluated.

use std::cmp::Ordering;

use bson::{Bson, Document};

use super::arithmetic;
use super::is_true;
use crate::query::value::{Number, View, compare_views};
use crate::{Error, Result};

pub(super) type Operands = Vec<Option<Bson>>;

/// One operator.
#[derive(Debug)]
pub(super) struct Function {
    pub(super) name: &'static str,
    /// Fewest and most operands.
    pub(super) least: usize,
    pub(super) most: usize,
    pub(super) call: fn(&'static str, Operands) -> Result<Option<Bson>>,
}

const MANY: usize = usize::MAX;

const fn function(
    name: &'static str,
    (least, most): (usize, usize),
    call: fn(&'static str, Operands) -> Result<Option<Bson>>,
) -> Function {
    Function {
        name,
        least,
        most,
        call,
    }
}

static FUNCTIONS: [Function; 37] = [
    function("$eq", (2, 2), |_, it| ordered(&it, Ordering::is_eq)),
    function("$ne", (2, 2), |_, it| ordered(&it, Ordering::is_ne)),
    function("$gt", (2, 2), |_, it| ordered(&it, Ordering::is_gt)),
    function("$gte", (2, 2), |_, it| ordered(&it, Ordering::is_ge)),
    function("$lt", (2, 2), |_, it| ordered(&it, Ordering::is_lt)),
    function("$lte", (2, 2), |_, it| ordered(&it, Ordering::is_le)),
    function("$cmp", (2, 2), |_, it| {
        Ok(Some(Bson::Int32(order(&it) as i32)))
    }),
    function("$not", (1, 1), |_, it| {
        Ok(Some(Bson::Boolean(!is_true(
            it.first().and_then(Option::as_ref),
        ))))
    }),
    function("$add", (0, MANY), arithmetic::add),
    function("$subtract", (2, 2), arithmetic::subtract),
    function("$multiply", (0, MANY), arithmetic::multiply),
    function("$divide", (2, 2), arithmetic::divide),
    function("$mod", (2, 2), arithmetic::remainder),
    function("$abs", (1, 1), arithmetic::abs),
    function("$floor", (1, 1), arithmetic::whole),
    function("$ceil", (1, 1), arithmetic::whole),
    function("$round", (1, 2), arithmetic::round),
    function("$trunc", (1, 2), arithmetic::round),
    function("$sum", (0, MANY), |_, it| arithmetic::sum(unwound(it))),
    function("$avg", (0, MANY), |_, it| arithmetic::average(unwound(it))),
    function("$min", (0, MANY), |_, it| extreme(it, Ordering::Less)),
    function("$max", (0, MANY), |_, it| extreme(it, Ordering::Greater)),
    function("$concat", (0, MANY), concat),
    function("$toUpper", (1, 1), |name, it| {
        text(name, it, str::to_ascii_uppercase)
    }),
    function("$toLower", (1, 1), |name, it| {
        text(name, it, str::to_ascii_lowercase)
    }),
    function("$size", (1, 1), size),
    function("$arrayElemAt", (2, 2), array_elem_at),
    function("$first", (1, 1), |name, it| end(name, it, 0)),
    function("$last", (1, 1), |name, it| end(name, it, -1)),
    function("$concatArrays", (0, MANY), concat_arrays),
    function("$in", (2, 2), contained),
    function("$mergeObjects", (0, MANY), merge_objects),
    function("$type", (1, 1), |_, it| {
        Ok(Some(type_name(it.first()).into()))
    }),
    function("$isArray", (1, 1), |_, it| {
        Ok(Some(Bson::Boolean(matches!(
            it.first(),
            Some(Some(Bson::Array(_)))
        ))))
    }),
    function("$isNumber", (1, 1), |_, it| {
        let number = it.first().and_then(Option::as_ref).and_then(Number::of);
        Ok(Some(Bson::Boolean(number.is_some())))
    }),
    function("$reverseArray", (1, 1), reverse),
    function("$strLenBytes", (1, 1), string_bytes),
];

pub(super) fn find(name: &str) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|function| function.name == name)
}

/// The next operand; none when it is missing.
pub(super) fn next(operands: &mut impl Iterator<Item = Option<Bson>>) -> Option<Bson> {
    operands.next().flatten()
}

/// Whether an operand is null, undefined or missing.
pub(super) fn is_nullish(value: Option<&Bson>) -> bool {
    matches!(value, None | Some(Bson::Null | Bson::Undefined))
}

fn type_name(value: Option<&Option<Bson>>) -> &'static str {
    match value {
        Some(Some(value)) => View::from(value).type_name(),
        _ => "missing",
    }
}

pub(super) fn refuse(name: &str, takes: &str, value: &Bson) -> Error {
    Error::invalid(format!(
        "{name} only takes {takes}, not {}",
        View::from(value).type_name()
    ))
}

/// Missing is undefined here: below null.
fn view(value: Option<&Option<Bson>>) -> View<'_> {
    value
        .and_then(Option::as_ref)
        .map_or(View::Undefined, View::from)
}

fn order(operands: &Operands) -> Ordering {
    compare_views(view(operands.first()), view(operands.get(1)))
}

fn ordered(operands: &Operands, holds: fn(Ordering) -> bool) -> Result<Option<Bson>> {
    Ok(Some(Bson::Boolean(holds(order(operands)))))
}

/// One operand that is an array stands for its elements.
fn unwound(mut operands: Operands) -> Operands {
    match operands.as_mut_slice() {
        [Some(Bson::Array(items))] => std::mem::take(items).into_iter().map(Some).collect(),
        _ => operands,
    }
}

fn extreme(operands: Operands, wanted: Ordering) -> Result<Option<Bson>> {
    let values = unwound(operands).into_iter().flatten();
    let values = values.filter(|value| !is_nullish(Some(value)));
    let best = values.reduce(|best, value| {
        let order = compare_views(View::from(&value), View::from(&best));
        if order == wanted { value } else { best }
    });
    Ok(Some(best.unwrap_or(Bson::Null)))
}

fn concat(name: &'static str, operands: Operands) -> Result<Option<Bson>> {
    let mut joined = String::new();
    for operand in operands {
        match operand {
            None | Some(Bson::Null | Bson::Undefined) => return Ok(Some(Bson::Null)),
            Some(Bson::String(text) | Bson::Symbol(text)) => joined.push_str(&text),
            Some(other) => return Err(refuse(name, "strings", &other)),
        }
    }
    Ok(Some(Bson::String(joined)))
}

fn text(name: &str, operands: Operands, change: fn(&str) -> String) -> Result<Option<Bson>> {
    let text = match next(&mut operands.into_iter()) {
        None | Some(Bson::Null | Bson::Undefined) => String::new(),
        Some(Bson::String(text) | Bson::Symbol(text) | Bson::JavaScriptCode(text)) => text,
        Some(Bson::Int32(number)) => number.to_string(),
        Some(Bson::Int64(number)) => number.to_string(),
        Some(Bson::Double(number)) => arithmetic::double_text(number),
        Some(Bson::Decimal128(number)) => number.to_string(),
        Some(Bson::DateTime(date)) => {
            let date = jiff::Timestamp::from_millisecond(date.timestamp_millis());
            let date = date.map_err(|error| {
                Error::invalid(format!("{name}: a date out of range")).with_source(error)
            })?;
            format!("{date:.3}")
        }
        Some(other) => return Err(refuse(name, "strings, numbers and dates", &other)),
    };
    Ok(Some(Bson::String(change(&text))))
}

fn size(name: &'static str, operands: Operands) -> Result<Option<Bson>> {
    match operands.into_iter().next() {
        Some(Some(Bson::Array(items))) => Ok(Some(
            i32::try_from(items.len()).map_or(Bson::Null, Bson::Int32),
        )),
        Some(Some(other)) => Err(refuse(name, "arrays", &other)),
        _ => Err(Error::invalid(format!(
            "{name} only takes arrays, not missing"
        ))),
    }
}

fn array_elem_at(name: &'static str, operands: Operands) -> Result<Option<Bson>> {
    let mut operands = operands.into_iter();
    let (array, index) = (next(&mut operands), next(&mut operands));
    if is_nullish(array.as_ref()) || is_nullish(index.as_ref()) {
        return Ok(Some(Bson::Null));
    }
    let Some(Bson::Array(items)) = array else {
        return Err(Error::invalid(format!(
            "the first argument of {name} must be an array"
        )));
    };
    let index = index.as_ref().and_then(Number::of).and_then(Number::to_i64);
    let index = index.and_then(|it| i32::try_from(it).ok()).ok_or_else(|| {
        Error::invalid(format!(
            "the second argument of {name} must be a 32-bit integer"
        ))
    })?;
    Ok(element(items, index))
}

/// Negative places count from the end.
fn element(mut items: Vec<Bson>, index: i32) -> Option<Bson> {
    let away = usize::try_from(index.unsigned_abs()).ok()?;
    let at = if index < 0 {
        items.len().checked_sub(away)?
    } else {
        away
    };
    (at < items.len()).then(|| items.swap_remove(at))
}

fn end(name: &str, operands: Operands, index: i32) -> Result<Option<Bson>> {
    match next(&mut operands.into_iter()) {
        None | Some(Bson::Null | Bson::Undefined) => Ok(Some(Bson::Null)),
        Some(Bson::Array(items)) => Ok(element(items, index)),
        Some(other) => Err(refuse(name, "arrays", &other)),
    }
}

fn concat_arrays(name: &'static str, operands: Operands) -> Result<Option<Bson>> {
    let mut joined = Vec::new();
    for operand in operands {
        match operand {
            None | Some(Bson::Null | Bson::Undefined) => return Ok(Some(Bson::Null)),
            Some(Bson::Array(items)) => joined.extend(items),
            Some(other) => return Err(refuse(name, "arrays", &other)),
        }
    }
    Ok(Some(Bson::Array(joined)))
}

fn contained(name: &'static str, operands: Operands) -> Result<Option<Bson>> {
    let Some(Some(Bson::Array(items))) = operands.get(1) else {
        return Err(Error::invalid(format!(
            "{name} only takes an array as its second argument, not {}",
            type_name(operands.get(1))
        )));
    };
    let value = view(operands.first());
    let found = items
        .iter()
        .any(|item| compare_views(View::from(item), value).is_eq());
    Ok(Some(Bson::Boolean(found)))
}

fn merge_objects(name: &'static str, operands: Operands) -> Result<Option<Bson>> {
    let mut merged = Document::new();
    for operand in unwound(operands) {
        match operand {
            None | Some(Bson::Null | Bson::Undefined) => {}
            Some(Bson::Document(document)) => merged.extend(document),
            Some(other) => return Err(refuse(name, "documents", &other)),
        }
    }
    Ok(Some(Bson::Document(merged)))
}

fn reverse(name: &'static str, operands: Operands) -> Result<Option<Bson>> {
    match next(&mut operands.into_iter()) {
        None | Some(Bson::Null | Bson::Undefined) => Ok(Some(Bson::Null)),
        Some(Bson::Array(items)) => Ok(Some(Bson::Array(items.into_iter().rev().collect()))),
        Some(other) => Err(refuse(name, "arrays", &other)),
    }
}

fn string_bytes(name: &'static str, operands: Operands) -> Result<Option<Bson>> {
    match next(&mut operands.into_iter()) {
        Some(Bson::String(text)) => Ok(i32::try_from(text.len()).ok().map(Bson::Int32)),
        Some(other) => Err(refuse(name, "strings", &other)),
        None => Err(Error::invalid(format!(
            "{name} only takes strings, not missing"
        ))),
    }
}

//! Update documents in MongoDB's syntax, to steps.

use bson::{Bson, Document};

use crate::query::value::Number;
use crate::{Error, Result};

use super::path::DEPTH_MAX;
use super::step::{Bit, Clock, End, Op, Push, PushSort, Step};

/// The steps of an update document, in the order they were written.
///
/// # Errors
/// `Unsupported` naming an operator there is not, `Invalid` for what MongoDB refuses.
pub(super) fn steps(update: &Document) -> Result<Vec<Step>> {
    if update.is_empty() {
        return Err(Error::invalid("an update has at least one operator"));
    }
    let mut steps = Vec::new();
    for (name, fields) in update {
        if !name.starts_with('$') {
            return Err(Error::invalid(format!(
                "an update is made of operators, and '{name}' is none"
            )));
        }
        let parse = operator(name)?;
        let Bson::Document(fields) = fields else {
            return Err(Error::invalid(format!("{name} takes a document of fields")));
        };
        for (path, operand) in fields {
            let op = parse(path, operand)?;
            steps.push(Step::new(path.clone(), op));
        }
    }
    Ok(steps)
}

/// Refuses operands of the wrong type, also of steps that were not parsed.
///
/// # Errors
/// `Invalid` naming the path.
pub(super) fn check(step: &Step) -> Result<()> {
    let path = &step.path;
    let levels = match &step.op {
        Op::Unset | Op::Pull(_) | Op::PullAll(_) | Op::Pop(_) => 0,
        Op::Rename(to) => to.split('.').count(),
        op => path.split('.').count() + created_levels(op),
    };
    if levels > DEPTH_MAX {
        return Err(Error::invalid(format!(
            "{} would nest a document {levels} levels deep, over the limit of {DEPTH_MAX}",
            step.op.name()
        )));
    }
    match &step.op {
        Op::Inc(operand) | Op::Mul(operand) => number(step.op.name(), path, operand),
        Op::Bit(operations) if operations.is_empty() => Err(Error::invalid(format!(
            "$bit at '{path}' has no operation; and, or and xor are the ones there are"
        ))),
        Op::Bit(operations) => operations
            .iter()
            .try_for_each(|(_, operand)| match operand {
                Bson::Int32(_) | Bson::Int64(_) => Ok(()),
                _ => Err(Error::invalid(format!(
                    "$bit at '{path}' takes 32-bit and 64-bit integers"
                ))),
            }),
        Op::Push(Push {
            sort: Some(PushSort::Fields(fields)),
            ..
        }) => sort_fields(path, fields.iter().map(|(field, _)| field.as_ref())),
        _ => Ok(()),
    }
}

/// How many levels a step creates below its path.
fn created_levels(op: &Op) -> usize {
    match op {
        Op::Set(value) | Op::SetOnInsert(value) | Op::Min(value) | Op::Max(value) => levels(value),
        Op::Push(Push { each: values, .. }) | Op::AddToSet(values) => {
            1 + values.iter().map(levels).max().unwrap_or(0)
        }
        _ => 0,
    }
}

/// How many documents and arrays are in one another.
fn levels(value: &Bson) -> usize {
    match value {
        Bson::Document(fields) => 1 + fields.values().map(levels).max().unwrap_or(0),
        Bson::Array(elements) => 1 + elements.iter().map(levels).max().unwrap_or(0),
        _ => 0,
    }
}

fn integral(value: &Bson) -> Option<i64> {
    Number::of(value).and_then(Number::to_i64)
}

type Parse = fn(&str, &Bson) -> Result<Op>;

fn operator(name: &str) -> Result<Parse> {
    Ok(match name {
        "$set" => |_, operand| Ok(Op::Set(operand.clone())),
        "$setOnInsert" => |_, operand| Ok(Op::SetOnInsert(operand.clone())),
        "$unset" => |_, _| Ok(Op::Unset),
        "$inc" => |_, operand| Ok(Op::Inc(operand.clone())),
        "$mul" => |_, operand| Ok(Op::Mul(operand.clone())),
        "$min" => |_, operand| Ok(Op::Min(operand.clone())),
        "$max" => |_, operand| Ok(Op::Max(operand.clone())),
        "$pull" => |_, operand| Ok(Op::Pull(operand.clone())),
        "$bit" => bit,
        "$push" => push,
        "$addToSet" => add_to_set,
        "$pullAll" => pull_all,
        "$pop" => pop,
        "$rename" => rename,
        "$currentDate" => current_date,
        _ => {
            return Err(Error::unsupported(format!(
                "unknown update operator {name}"
            )));
        }
    })
}

fn number(name: &str, path: &str, operand: &Bson) -> Result<()> {
    match operand {
        Bson::Int32(_) | Bson::Int64(_) | Bson::Double(_) | Bson::Decimal128(_) => Ok(()),
        _ => Err(Error::invalid(format!("{name} at '{path}' takes a number"))),
    }
}

fn bit(path: &str, operand: &Bson) -> Result<Op> {
    let Bson::Document(operations) = operand else {
        return Err(Error::invalid(format!(
            "$bit at '{path}' takes a document of and, or and xor"
        )));
    };
    let operations = operations
        .iter()
        .map(|(name, operand)| {
            let bit = match name.as_str() {
                "and" => Bit::And,
                "or" => Bit::Or,
                "xor" => Bit::Xor,
                _ => {
                    return Err(Error::invalid(format!(
                        "$bit at '{path}' knows and, or and xor, not '{name}'"
                    )));
                }
            };
            Ok((bit, operand.clone()))
        })
        .collect::<Result<_>>()?;
    Ok(Op::Bit(operations))
}

fn push(path: &str, operand: &Bson) -> Result<Op> {
    let clauses = match operand {
        Bson::Document(clauses) if clauses.contains_key("$each") => clauses,
        value => {
            return Ok(Op::Push(Push {
                each: vec![value.clone()],
                ..Push::default()
            }));
        }
    };
    let mut push = Push::default();
    for (name, clause) in clauses {
        match name.as_str() {
            "$each" => push.each = array("$each of $push", path, clause)?,
            "$position" => push.position = Some(integer("$position", path, clause)?),
            "$slice" => push.slice = Some(integer("$slice", path, clause)?),
            "$sort" => push.sort = Some(sort(path, clause)?),
            _ => {
                return Err(Error::invalid(format!(
                    "unknown clause '{name}' of $push at '{path}'"
                )));
            }
        }
    }
    Ok(Op::Push(push))
}

fn integer(name: &str, path: &str, clause: &Bson) -> Result<i64> {
    integral(clause)
        .ok_or_else(|| Error::invalid(format!("{name} of $push at '{path}' takes a whole number")))
}

fn sort(path: &str, clause: &Bson) -> Result<PushSort> {
    match clause {
        Bson::Document(fields) => {
            sort_fields(path, fields.keys().map(String::as_str))?;
            let fields = fields
                .iter()
                .map(|(field, direction)| Ok((field.clone().into(), descending(path, direction)?)))
                .collect::<Result<_>>()?;
            Ok(PushSort::Fields(fields))
        }
        direction => Ok(PushSort::Whole {
            descending: descending(path, direction)?,
        }),
    }
}

fn sort_fields<'f>(path: &str, fields: impl Iterator<Item = &'f str>) -> Result<()> {
    let mut fields = fields.peekable();
    if fields.peek().is_none() {
        return Err(Error::invalid(format!(
            "$sort of $push at '{path}' has no fields"
        )));
    }
    for field in fields {
        if field.split('.').any(str::is_empty) {
            return Err(Error::invalid(format!(
                "$sort of $push at '{path}' has an empty field name in '{field}'"
            )));
        }
    }
    Ok(())
}

fn descending(path: &str, direction: &Bson) -> Result<bool> {
    match integral(direction) {
        Some(1) => Ok(false),
        Some(-1) => Ok(true),
        _ => Err(Error::invalid(format!(
            "$sort of $push at '{path}' takes 1 or -1, or fields with 1 or -1"
        ))),
    }
}

fn add_to_set(path: &str, operand: &Bson) -> Result<Op> {
    let Bson::Document(clauses) = operand else {
        return Ok(Op::AddToSet(vec![operand.clone()]));
    };
    let mut clauses = clauses.iter();
    match clauses.next() {
        // Only in first place: MongoDB takes any other document for a value.
        Some((name, each)) if name == "$each" => {
            if let Some((name, _)) = clauses.next() {
                return Err(Error::invalid(format!(
                    "unknown clause '{name}' of $addToSet at '{path}'"
                )));
            }
            Ok(Op::AddToSet(array("$each of $addToSet", path, each)?))
        }
        _ => Ok(Op::AddToSet(vec![operand.clone()])),
    }
}

fn pull_all(path: &str, operand: &Bson) -> Result<Op> {
    Ok(Op::PullAll(array("$pullAll", path, operand)?))
}

fn array(name: &str, path: &str, operand: &Bson) -> Result<Vec<Bson>> {
    match operand {
        Bson::Array(values) => Ok(values.clone()),
        _ => Err(Error::invalid(format!("{name} at '{path}' takes an array"))),
    }
}

fn pop(path: &str, operand: &Bson) -> Result<Op> {
    match integral(operand) {
        Some(1) => Ok(Op::Pop(End::Last)),
        Some(-1) => Ok(Op::Pop(End::First)),
        _ => Err(Error::invalid(format!("$pop at '{path}' takes 1 or -1"))),
    }
}

fn rename(path: &str, operand: &Bson) -> Result<Op> {
    match operand {
        Bson::String(to) => Ok(Op::Rename(to.clone().into())),
        _ => Err(Error::invalid(format!(
            "$rename of '{path}' takes the new path as a string"
        ))),
    }
}

fn current_date(path: &str, operand: &Bson) -> Result<Op> {
    let refused = || {
        Error::invalid(format!(
            "$currentDate at '{path}' takes true, {{$type: 'date'}} or {{$type: 'timestamp'}}"
        ))
    };
    match operand {
        Bson::Boolean(_) => Ok(Op::CurrentDate(Clock::Date)),
        Bson::Document(options) if options.len() == 1 => match options.get_str("$type") {
            Ok("date") => Ok(Op::CurrentDate(Clock::Date)),
            Ok("timestamp") => Ok(Op::CurrentDate(Clock::Timestamp)),
            _ => Err(refused()),
        },
        _ => Err(refused()),
    }
}

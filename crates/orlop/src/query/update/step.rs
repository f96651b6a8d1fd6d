//! What an update is made of: one operator on one path each.

use bson::{Bson, Document, doc};

use crate::query::Path;

/// One operator applied to one path.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Where: dotted, with array positions as numbers, `$`, `$[]` or `$[name]`.
    pub path: Path,
    /// What to do there.
    pub op: Op,
}

/// What a step does with the value at its path.
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    /// `$set`.
    Set(Bson),
    /// `$setOnInsert`: set only in the document an upsert inserts.
    SetOnInsert(Bson),
    /// `$unset`; an array element becomes null.
    Unset,
    /// `$inc`; a missing field becomes the operand.
    Inc(Bson),
    /// `$mul`; a missing field becomes zero of the operand's type.
    Mul(Bson),
    /// `$min`, by MongoDB's order of values.
    Min(Bson),
    /// `$max`.
    Max(Bson),
    /// `$bit`: operations in order, on int32 and int64.
    Bit(Vec<(Bit, Bson)>),
    /// `$push`.
    Push(Push),
    /// `$addToSet`: each of these that is not there yet.
    AddToSet(Vec<Bson>),
    /// `$pull`: a value, or a document of conditions on an element.
    Pull(Bson),
    /// `$pullAll`: elements equal to one of these.
    PullAll(Vec<Bson>),
    /// `$pop`.
    Pop(End),
    /// `$rename` to this path.
    Rename(Path),
    /// `$currentDate`.
    CurrentDate(Clock),
}

/// An operation of `$bit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bit {
    /// `and`.
    And,
    /// `or`.
    Or,
    /// `xor`.
    Xor,
}

/// Which end of an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The first element: `-1`.
    First,
    /// The last element: `1`.
    Last,
}

/// What `$currentDate` writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// A BSON date.
    Date,
    /// A BSON timestamp.
    Timestamp,
}

/// `$push`: inserted at the position, then sorted, then cut.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Push {
    /// The new elements.
    pub each: Vec<Bson>,
    /// Index of the first of them; negative counts from the end; default: at the end.
    pub position: Option<i64>,
    /// The order of the whole array afterwards.
    pub sort: Option<PushSort>,
    /// How many elements stay: from the start, or from the end when negative.
    pub slice: Option<i64>,
}

/// The order `$push` leaves an array in.
#[derive(Debug, Clone, PartialEq)]
pub enum PushSort {
    /// By the whole element.
    Whole {
        /// Greatest first.
        descending: bool,
    },
    /// By fields of the elements, most significant first.
    Fields(Vec<(Path, bool)>),
}

impl Step {
    /// A step.
    pub fn new(path: impl Into<Path>, op: Op) -> Self {
        Self {
            path: path.into(),
            op,
        }
    }
}

impl Op {
    /// MongoDB's name of the operator.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Set(_) => "$set",
            Self::SetOnInsert(_) => "$setOnInsert",
            Self::Unset => "$unset",
            Self::Inc(_) => "$inc",
            Self::Mul(_) => "$mul",
            Self::Min(_) => "$min",
            Self::Max(_) => "$max",
            Self::Bit(_) => "$bit",
            Self::Push(_) => "$push",
            Self::AddToSet(_) => "$addToSet",
            Self::Pull(_) => "$pull",
            Self::PullAll(_) => "$pullAll",
            Self::Pop(_) => "$pop",
            Self::Rename(_) => "$rename",
            Self::CurrentDate(_) => "$currentDate",
        }
    }

    /// The operand in MongoDB's syntax.
    pub fn operand(&self) -> Bson {
        match self {
            Self::Set(value)
            | Self::SetOnInsert(value)
            | Self::Inc(value)
            | Self::Mul(value)
            | Self::Min(value)
            | Self::Max(value)
            | Self::Pull(value) => value.clone(),
            Self::Unset => Bson::String(String::new()),
            Self::Bit(operations) => Bson::Document(
                operations
                    .iter()
                    .map(|(bit, operand)| (bit.name().to_owned(), operand.clone()))
                    .collect(),
            ),
            Self::Push(push) => push.operand(),
            Self::AddToSet(values) => Bson::Document(doc! { "$each": values.clone() }),
            Self::PullAll(values) => Bson::Array(values.clone()),
            Self::Pop(End::First) => Bson::Int32(-1),
            Self::Pop(End::Last) => Bson::Int32(1),
            Self::Rename(to) => Bson::String(to.to_string()),
            Self::CurrentDate(Clock::Date) => Bson::Boolean(true),
            Self::CurrentDate(Clock::Timestamp) => Bson::Document(doc! { "$type": "timestamp" }),
        }
    }
}

impl Bit {
    /// Its name in an update.
    pub fn name(self) -> &'static str {
        match self {
            Self::And => "and",
            Self::Or => "or",
            Self::Xor => "xor",
        }
    }
}

impl Push {
    fn operand(&self) -> Bson {
        let mut operand = doc! { "$each": self.each.clone() };
        if let Some(position) = self.position {
            operand.insert("$position", position);
        }
        match &self.sort {
            None => {}
            Some(PushSort::Whole { descending }) => {
                operand.insert("$sort", direction(*descending));
            }
            Some(PushSort::Fields(fields)) => {
                let fields: Document = fields
                    .iter()
                    .map(|(path, descending)| (path.to_string(), direction(*descending)))
                    .collect();
                operand.insert("$sort", fields);
            }
        }
        if let Some(slice) = self.slice {
            operand.insert("$slice", slice);
        }
        Bson::Document(operand)
    }
}

fn direction(descending: bool) -> Bson {
    Bson::Int32(if descending { -1 } else { 1 })
}

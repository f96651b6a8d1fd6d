//! What can be asked of, and done to, a field.

use bson::{Bson, doc};

use super::{Filter, Operand, Sort, Step};
use crate::document::{
    At, Date, Direction, Field, Number, Opaque, Ordered, Text, Timestamp, Value, Whole,
};
use crate::query::{Pattern, Pred};

// The bounds are on the methods and not on the blocks: so the compiler tells which is not met,
// in the words of that trait, where it would say only that there is no such method.

impl<R, T> Field<R, T> {
    fn pred(&self, pred: Pred) -> Filter<R> {
        Filter::field(self.path(), pred)
    }

    fn step(&self, operator: &'static str, operand: Bson) -> Step<R> {
        Step::new(operator, self.path(), operand)
    }

    /// There (null counts as there), or not there.
    pub fn exists(&self, there: bool) -> Filter<R> {
        self.pred(Pred::Exists(there))
    }

    /// Null or missing.
    pub fn is_null(&self) -> Filter<R> {
        self.pred(Pred::Eq(Bson::Null))
    }

    /// Takes the field away.
    pub fn unset(&self) -> Step<R> {
        self.step("$unset", Bson::from(""))
    }

    /// Lowest first; null and missing are lowest.
    pub fn asc(&self) -> Sort<R> {
        Sort::by(self.path(), Direction::Ascending)
    }

    /// Highest first.
    pub fn desc(&self) -> Sort<R> {
        Sort::by(self.path(), Direction::Descending)
    }
}

impl<R, T: Value> Field<R, T> {
    /// Equal.
    pub fn eq(&self, value: impl Operand<T>) -> Filter<R> {
        self.pred(Pred::Eq(value.bson()))
    }

    /// Not equal, or missing.
    pub fn ne(&self, value: impl Operand<T>) -> Filter<R> {
        self.pred(Pred::Ne(value.bson()))
    }

    /// Equal to one of these.
    pub fn is_in<V: Operand<T>>(&self, values: impl IntoIterator<Item = V>) -> Filter<R> {
        let values = values.into_iter().map(Operand::bson).collect();
        self.pred(Pred::In(values, Vec::new()))
    }

    /// Equal to none of these, or missing.
    pub fn not_in<V: Operand<T>>(&self, values: impl IntoIterator<Item = V>) -> Filter<R> {
        let values = values.into_iter().map(Operand::bson).collect();
        self.pred(Pred::Nin(values, Vec::new()))
    }

    /// Sets it.
    pub fn set(&self, value: impl Operand<T>) -> Step<R> {
        self.step("$set", value.bson())
    }

    /// Sets it in a document that an upsert creates.
    pub fn set_on_insert(&self, value: impl Operand<T>) -> Step<R> {
        self.step("$setOnInsert", value.bson())
    }
}

impl<R, T: Value> Field<R, T> {
    /// Greater.
    pub fn gt(&self, value: impl Operand<T>) -> Filter<R>
    where
        T: Ordered,
    {
        self.pred(Pred::Gt(value.bson()))
    }

    /// Greater or equal.
    pub fn ge(&self, value: impl Operand<T>) -> Filter<R>
    where
        T: Ordered,
    {
        self.pred(Pred::Gte(value.bson()))
    }

    /// Less.
    pub fn lt(&self, value: impl Operand<T>) -> Filter<R>
    where
        T: Ordered,
    {
        self.pred(Pred::Lt(value.bson()))
    }

    /// Less or equal.
    pub fn le(&self, value: impl Operand<T>) -> Filter<R>
    where
        T: Ordered,
    {
        self.pred(Pred::Lte(value.bson()))
    }

    /// From `low` on, below `high`.
    pub fn between(&self, low: impl Operand<T>, high: impl Operand<T>) -> Filter<R>
    where
        T: Ordered,
    {
        self.ge(low) & self.lt(high)
    }

    /// Sets it where it is greater, or missing.
    pub fn min(&self, value: impl Operand<T>) -> Step<R>
    where
        T: Ordered,
    {
        self.step("$min", value.bson())
    }

    /// Sets it where it is less, or missing.
    pub fn max(&self, value: impl Operand<T>) -> Step<R>
    where
        T: Ordered,
    {
        self.step("$max", value.bson())
    }
}

impl<R, T: Value> Field<R, T> {
    /// Adds; a missing field becomes the operand.
    pub fn inc(&self, by: impl Operand<T>) -> Step<R>
    where
        T: Number,
    {
        self.step("$inc", by.bson())
    }

    /// Multiplies; a missing field becomes zero.
    pub fn mul(&self, by: impl Operand<T>) -> Step<R>
    where
        T: Number,
    {
        self.step("$mul", by.bson())
    }

    /// Leaves this remainder when divided.
    pub fn modulo(&self, divisor: i64, remainder: i64) -> Filter<R>
    where
        T: Number,
    {
        self.pred(Pred::Mod(divisor, remainder))
    }
}

impl<R, T: Value> Field<R, T> {
    /// All these bits are set; 0 is the lowest.
    pub fn bits_all_set(&self, bits: impl IntoIterator<Item = u64>) -> Filter<R>
    where
        T: Whole,
    {
        self.pred(Pred::BitsAllSet(bits.into_iter().collect()))
    }

    /// One of these bits is set.
    pub fn bits_any_set(&self, bits: impl IntoIterator<Item = u64>) -> Filter<R>
    where
        T: Whole,
    {
        self.pred(Pred::BitsAnySet(bits.into_iter().collect()))
    }

    /// All these bits are clear.
    pub fn bits_all_clear(&self, bits: impl IntoIterator<Item = u64>) -> Filter<R>
    where
        T: Whole,
    {
        self.pred(Pred::BitsAllClear(bits.into_iter().collect()))
    }

    /// One of these bits is clear.
    pub fn bits_any_clear(&self, bits: impl IntoIterator<Item = u64>) -> Filter<R>
    where
        T: Whole,
    {
        self.pred(Pred::BitsAnyClear(bits.into_iter().collect()))
    }
}

impl<R, T: Value> Field<R, T> {
    /// Matches a regular expression somewhere; anchor it with `^` and `$`.
    pub fn matches(&self, pattern: impl Into<String>) -> Filter<R>
    where
        T: Text,
    {
        self.matches_with(pattern, "")
    }

    /// Matches a regular expression with MongoDB's options: `i` ignores case, `m` anchors at lines,
    /// `s` lets the dot match a line break, `x` ignores blanks.
    pub fn matches_with(&self, pattern: impl Into<String>, options: &str) -> Filter<R>
    where
        T: Text,
    {
        let mut options: Vec<char> = options.chars().collect();
        options.sort_unstable();
        self.pred(Pred::Regex(Pattern {
            pattern: pattern.into(),
            options: options.into_iter().collect(),
        }))
    }

    /// Begins with this text, to the letter.
    pub fn starts_with(&self, text: &str) -> Filter<R>
    where
        T: Text,
    {
        self.matches(format!("^{}", fancy_regex::escape(text)))
    }

    /// Holds this text somewhere, to the letter. No index helps.
    pub fn contains_text(&self, text: &str) -> Filter<R>
    where
        T: Text,
    {
        self.matches(fancy_regex::escape(text).into_owned())
    }
}

impl<R> Field<R, Timestamp> {
    /// On this day in this zone, an IANA name such as `Europe/Zurich`: from its first instant on,
    /// before the first of the next. A day on which clocks change has 23 or 25 hours.
    ///
    /// An unknown zone is told by the call that uses the filter.
    pub fn on_day(&self, day: Date, zone: &str) -> Filter<R> {
        match day.bounds(zone) {
            Ok((from, to)) => self.between(from, to),
            Err(error) => Filter::refused(&error),
        }
    }

    /// Sets it to the instant of the commit.
    pub fn set_now(&self) -> Step<R> {
        self.step("$currentDate", Bson::from(true))
    }
}

impl<R, T> Field<R, Opaque<T>> {
    /// Equal to this BSON value.
    pub fn eq_bson(&self, value: impl Into<Bson>) -> Filter<R> {
        self.pred(Pred::Eq(value.into()))
    }

    /// Sets it to this BSON value.
    pub fn set_bson(&self, value: impl Into<Bson>) -> Step<R> {
        self.step("$set", value.into())
    }
}

impl<R> Field<R, bson::Document> {
    /// The value at this stored path inside, of any type.
    pub fn get(&self, path: &str) -> Field<R, Bson> {
        Field::at(format!("{}.{path}", self.path()).into())
    }
}

impl<R> Field<R, Bson> {
    /// Of this BSON type, by its name: `string`, `number`, `objectId`.
    pub fn is_type(&self, code: i32) -> Filter<R> {
        self.pred(Pred::Type(vec![code]))
    }

    /// Greater, within the values of its own type.
    pub fn gt_bson(&self, value: impl Into<Bson>) -> Filter<R> {
        self.pred(Pred::Gt(value.into()))
    }

    /// Less, within the values of its own type.
    pub fn lt_bson(&self, value: impl Into<Bson>) -> Filter<R> {
        self.pred(Pred::Lt(value.into()))
    }
}

/// The operand of `$push` and `$addToSet` with several values.
pub(super) fn each(values: Vec<Bson>) -> Bson {
    Bson::Document(doc! {"$each": values})
}

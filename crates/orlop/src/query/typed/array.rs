//! What can be asked of, and done to, an array.

use bson::{Bson, doc};

use super::field::each;
use super::filter::element;
use super::{Elements, Filter, Operand, Step};
use crate::Error;
use crate::document::{Array, At, Value};
use crate::query::Pred;

impl<R, T: Value> Array<R, T> {
    fn pred(&self, pred: Pred) -> Filter<R> {
        Filter::field(self.path(), pred)
    }

    fn step(&self, operator: &'static str, operand: Bson) -> Step<R> {
        Step::new(operator, self.path(), operand)
    }

    /// One element equals this.
    pub fn contains(&self, value: impl Operand<T>) -> Filter<R> {
        self.pred(Pred::Eq(value.bson()))
    }

    /// One element equals one of these.
    pub fn contains_any<V: Operand<T>>(&self, values: impl IntoIterator<Item = V>) -> Filter<R> {
        self.pred(Pred::In(all(values), Vec::new()))
    }

    /// Each of these equals some element.
    pub fn contains_all<V: Operand<T>>(&self, values: impl IntoIterator<Item = V>) -> Filter<R> {
        self.pred(Pred::All(all(values).into_iter().map(Pred::Eq).collect()))
    }

    /// One element meets all of this at once.
    pub fn elem(&self, filter: impl FnOnce(T::Field<R>) -> Filter<R>) -> Filter<R> {
        match element(filter(T::Field::at("".into()))) {
            Ok(matched) => self.pred(Pred::ElemMatch(matched)),
            Err((kind, message)) => Filter::refused(&Error::new(kind, message)),
        }
    }

    /// The elements, by MongoDB's path rule: two conditions may be met by two elements.
    pub fn any(&self) -> T::Field<R> {
        T::Field::at(self.path().clone())
    }

    /// The element at this position, from 0.
    pub fn at_index(&self, index: usize) -> T::Field<R> {
        T::Field::at(format!("{}.{index}", self.path()).into())
    }

    /// The array is exactly this, in this order.
    pub fn eq(&self, values: impl Elements<T>) -> Filter<R> {
        self.pred(Pred::Eq(Bson::Array(values.elements())))
    }

    /// The array is not exactly this, or missing.
    pub fn ne(&self, values: impl Elements<T>) -> Filter<R> {
        self.pred(Pred::Ne(Bson::Array(values.elements())))
    }

    /// It has so many elements.
    pub fn size(&self, size: u32) -> Filter<R> {
        self.pred(Pred::Size(i64::from(size)))
    }

    /// It is there and empty.
    pub fn is_empty(&self) -> Filter<R> {
        self.size(0)
    }

    /// There (null counts as there), or not there.
    pub fn exists(&self, there: bool) -> Filter<R> {
        self.pred(Pred::Exists(there))
    }

    /// Sets the whole array.
    pub fn set(&self, values: impl Elements<T>) -> Step<R> {
        self.step("$set", Bson::Array(values.elements()))
    }

    /// Takes the field away.
    pub fn unset(&self) -> Step<R> {
        self.step("$unset", Bson::from(""))
    }

    /// Adds one at the end.
    pub fn push(&self, value: impl Operand<T>) -> Step<R> {
        // Inside `$each`, so that a value that is an array is one element.
        self.step("$push", each(vec![value.bson()]))
    }

    /// Adds these at the end, in their order.
    pub fn push_all<V: Operand<T>>(&self, values: impl IntoIterator<Item = V>) -> Step<R> {
        self.step("$push", each(all(values)))
    }

    /// Adds these at a position; negative counts from the end.
    pub fn push_at<V: Operand<T>>(
        &self,
        position: i32,
        values: impl IntoIterator<Item = V>,
    ) -> Step<R> {
        self.step(
            "$push",
            Bson::Document(doc! {"$each": all(values), "$position": position}),
        )
    }

    /// Adds these at the end and keeps the last `count` elements.
    pub fn push_keeping_last<V: Operand<T>>(
        &self,
        values: impl IntoIterator<Item = V>,
        count: u16,
    ) -> Step<R> {
        let slice = -i32::from(count);
        self.step(
            "$push",
            Bson::Document(doc! {"$each": all(values), "$slice": slice}),
        )
    }

    /// Adds one unless some element equals it.
    pub fn add_to_set(&self, value: impl Operand<T>) -> Step<R> {
        self.step("$addToSet", each(vec![value.bson()]))
    }

    /// Adds each of these that no element equals.
    pub fn add_all_to_set<V: Operand<T>>(&self, values: impl IntoIterator<Item = V>) -> Step<R> {
        self.step("$addToSet", each(all(values)))
    }

    /// Takes away every element that equals this.
    pub fn pull(&self, value: impl Operand<T>) -> Step<R> {
        self.step("$pullAll", Bson::Array(vec![value.bson()]))
    }

    /// Takes away every element that equals one of these.
    pub fn pull_all<V: Operand<T>>(&self, values: impl IntoIterator<Item = V>) -> Step<R> {
        self.step("$pullAll", Bson::Array(all(values)))
    }

    /// Takes away the first element.
    pub fn pop_first(&self) -> Step<R> {
        self.step("$pop", Bson::from(-1))
    }

    /// Takes away the last element.
    pub fn pop_last(&self) -> Step<R> {
        self.step("$pop", Bson::from(1))
    }
}

fn all<T, V: Operand<T>>(values: impl IntoIterator<Item = V>) -> Vec<Bson> {
    values.into_iter().map(Operand::bson).collect()
}

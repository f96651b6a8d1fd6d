//! What can be asked of, and done to, a field that may be null or missing.

use bson::Bson;

use super::{Filter, Operand, Step};
use crate::document::{At, OptField, Value};
use crate::query::Pred;

impl<R, T: Value> OptField<R, T> {
    /// Null or missing.
    pub fn is_none(&self) -> Filter<R> {
        Filter::field(self.path(), Pred::Eq(Bson::Null))
    }

    /// There and not null.
    pub fn is_some(&self) -> Filter<R> {
        Filter::field(self.path(), Pred::Ne(Bson::Null))
    }

    /// Equal to a value, or to an option: none equals null and missing.
    pub fn eq(&self, value: impl Operand<Option<T>>) -> Filter<R> {
        Filter::field(self.path(), Pred::Eq(value.bson()))
    }

    /// Not equal to a value, or to an option.
    pub fn ne(&self, value: impl Operand<Option<T>>) -> Filter<R> {
        Filter::field(self.path(), Pred::Ne(value.bson()))
    }

    /// Sets it to a value; to none takes it away.
    pub fn set(&self, value: impl Operand<Option<T>>) -> Step<R> {
        match value.bson() {
            Bson::Null => Step::new("$unset", self.path(), Bson::from("")),
            value => Step::new("$set", self.path(), value),
        }
    }
}

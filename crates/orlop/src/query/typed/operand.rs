//! What a field of a type is compared with or set to.

use bson::Bson;

use crate::document::Value;
use crate::document::support::bson_of;

/// A value that can be compared with, or set to, a field of type `T`.
#[diagnostic::on_unimplemented(
    message = "a field of type `{T}` cannot be compared with or set to `{Self}`",
    label = "not a `{T}`"
)]
pub trait Operand<T> {
    /// The value as it is stored.
    fn bson(self) -> Bson;
}

impl<T: Value> Operand<T> for T {
    fn bson(self) -> Bson {
        stored(&self)
    }
}

impl<T: Value> Operand<T> for &T {
    fn bson(self) -> Bson {
        stored(self)
    }
}

impl<T: Value> Operand<Option<T>> for T {
    fn bson(self) -> Bson {
        stored(&self)
    }
}

impl<T: Value> Operand<Option<T>> for &T {
    fn bson(self) -> Bson {
        stored(self)
    }
}

impl Operand<String> for &str {
    fn bson(self) -> Bson {
        Bson::from(self)
    }
}

impl Operand<Option<String>> for &str {
    fn bson(self) -> Bson {
        Bson::from(self)
    }
}

/// An array that can be compared with, or set to, an array of `T`.
#[diagnostic::on_unimplemented(
    message = "an array of `{T}` cannot be compared with or set to `{Self}`",
    label = "not an array of `{T}`",
    note = "one element: ask with `contains`, add with `push`"
)]
pub trait Elements<T> {
    /// The elements as they are stored.
    fn elements(self) -> Vec<Bson>;
}

impl<T, V: Operand<T>, const N: usize> Elements<T> for [V; N] {
    fn elements(self) -> Vec<Bson> {
        self.into_iter().map(Operand::bson).collect()
    }
}

impl<T, V: Operand<T>> Elements<T> for Vec<V> {
    fn elements(self) -> Vec<Bson> {
        self.into_iter().map(Operand::bson).collect()
    }
}

impl<T: Value> Elements<T> for &Vec<T> {
    fn elements(self) -> Vec<Bson> {
        self.iter().map(stored).collect()
    }
}

impl<T: Value> Elements<T> for &[T] {
    fn elements(self) -> Vec<Bson> {
        self.iter().map(stored).collect()
    }
}

/// A whole number for a field of doubles; stored as a double where that loses nothing.
impl Operand<f64> for i64 {
    fn bson(self) -> Bson {
        let double = self as f64;
        // Beyond 2^53 a double may be another number; the integer compares exactly.
        if self.unsigned_abs() <= 1 << 53 {
            Bson::Double(double)
        } else {
            Bson::Int64(self)
        }
    }
}

impl Operand<Option<f64>> for i64 {
    fn bson(self) -> Bson {
        Operand::<f64>::bson(self)
    }
}

/// The value as it is stored. One that cannot be stored (an integer over `i64::MAX`) equals nothing.
fn stored<T: Value>(value: &T) -> Bson {
    bson_of(Some(value))
}

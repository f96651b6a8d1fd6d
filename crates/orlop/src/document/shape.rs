//! The fields a type knows, for writes that keep the ones it does not.

use bson::Bson;
use bson::raw::RawBsonRef;

/// The fields a type knows, for writes that keep what it does not know.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// The declared fields, by their stored names.
    pub fields: &'static [Known],
}

/// One declared field.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// Stored name.
    pub name: &'static str,
    /// The shape of an embedded document, or of the embedded documents of an array.
    pub nested: Option<fn() -> &'static Shape>,
    /// The value a reader gives when the field is missing.
    pub default: Option<fn() -> Bson>,
    /// What the type makes of a stored value, stored again; none when it cannot read it. A new
    /// value that is just this says nothing new: the stored one stays, to its type and last digit.
    pub again: Option<fn(RawBsonRef<'_>) -> Option<Bson>>,
}

impl Shape {
    /// The field stored under `name`, when it is a known one.
    ///
    /// # Cost
    /// `O(fields)`: shapes are small, and a walk is faster than a hash below some thirty.
    pub fn get(&self, name: &str) -> Option<&'static Known> {
        self.fields.iter().find(|known| known.name == name)
    }
}

//! A document taken out to be edited.

use std::fmt;
use std::ops::{Deref, DerefMut};

use crate::cache::Doc;
use crate::document::Revision;

/// A document's value to change, with the revision it was read at: what
/// [`super::Collection::save`] stores if nobody wrote in between.
#[derive(Clone)]
pub struct Edited<T> {
    value: T,
    revision: Revision,
}

impl<T: Clone> Doc<T> {
    /// A copy to edit and [`super::Collection::save`].
    pub fn edit(&self) -> Edited<T> {
        Edited {
            value: T::clone(self),
            revision: self.revision(),
        }
    }
}

impl<T> Edited<T> {
    /// The revision it was read at.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The value.
    pub fn into_inner(self) -> T {
        self.value
    }
}

impl<T> Deref for Edited<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Edited<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T: fmt::Debug> fmt::Debug for Edited<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Edited")
            .field("revision", &self.revision)
            .field("value", &self.value)
            .finish()
    }
}

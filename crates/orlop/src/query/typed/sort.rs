//! `Sort<D>`.

use std::fmt;
use std::marker::PhantomData;

use crate::document::Direction;
use crate::query::{self, Path};

/// The order of documents of type `D`; ties are in order of the id.
pub struct Sort<D> {
    keys: Vec<(Path, Direction)>,
    of: PhantomData<fn() -> D>,
}

impl<D> Sort<D> {
    /// In the order of the id.
    pub fn by_id() -> Self {
        Self {
            keys: Vec::new(),
            of: PhantomData,
        }
    }

    pub(super) fn by(path: &Path, direction: Direction) -> Self {
        Self {
            keys: vec![(path.clone(), direction)],
            of: PhantomData,
        }
    }

    /// This order, then `next` among equals.
    #[must_use]
    pub fn then(mut self, next: Self) -> Self {
        self.keys.extend(next.keys);
        self
    }

    /// The untyped order.
    pub fn into_untyped(self) -> query::Sort {
        query::Sort { keys: self.keys }
    }
}

impl<D, const N: usize> From<[Self; N]> for Sort<D> {
    fn from(all: [Self; N]) -> Self {
        all.into_iter().fold(Self::by_id(), Self::then)
    }
}

impl<D> From<query::Sort> for Sort<D> {
    fn from(sort: query::Sort) -> Self {
        Self {
            keys: sort.keys,
            of: PhantomData,
        }
    }
}

impl<D> Default for Sort<D> {
    fn default() -> Self {
        Self::by_id()
    }
}

impl<D> Clone for Sort<D> {
    fn clone(&self) -> Self {
        Self {
            keys: self.keys.clone(),
            of: PhantomData,
        }
    }
}

impl<D> fmt::Debug for Sort<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.keys.fmt(f)
    }
}

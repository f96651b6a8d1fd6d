//! `Sort<D>`.

use std::fmt;
use std::marker::PhantomData;

use bson::Document;

use crate::document::Direction;
use crate::query::{self, Path};
use crate::{Error, ErrorKind, Result};

/// The order of documents of type `D`; ties are in order of the id.
pub struct Sort<D> {
    keys: Result<Vec<(Path, Direction)>, (ErrorKind, String)>,
    of: PhantomData<fn() -> D>,
}

impl<D> Sort<D> {
    /// In the order of the id.
    pub fn by_id() -> Self {
        Self::of(Ok(Vec::new()))
    }

    pub(super) fn by(path: &Path, direction: Direction) -> Self {
        Self::of(Ok(vec![(path.clone(), direction)]))
    }

    fn of(keys: Result<Vec<(Path, Direction)>, (ErrorKind, String)>) -> Self {
        Self {
            keys,
            of: PhantomData,
        }
    }

    /// This order, then `next` among equals.
    #[must_use]
    pub fn then(self, next: Self) -> Self {
        Self::of(match (self.keys, next.keys) {
            (Ok(mut keys), Ok(next)) => {
                keys.extend(next);
                Ok(keys)
            }
            (Err(refused), _) | (_, Err(refused)) => Err(refused),
        })
    }

    /// The untyped order.
    ///
    /// # Errors
    /// What was wrong where the order was made: `Invalid` or `Unsupported`.
    pub fn into_untyped(self) -> Result<query::Sort> {
        match self.keys {
            Ok(keys) => Ok(query::Sort { keys }),
            Err((kind, message)) => Err(Error::new(kind, message)),
        }
    }
}

impl<D> From<Document> for Sort<D> {
    /// Reads MongoDB's syntax.
    fn from(sort: Document) -> Self {
        match query::Sort::parse(&sort) {
            Ok(sort) => Self::of(Ok(sort.keys)),
            Err(error) => Self::of(Err((error.kind(), error.message().to_owned()))),
        }
    }
}

impl<D, const N: usize> From<[Self; N]> for Sort<D> {
    fn from(all: [Self; N]) -> Self {
        all.into_iter().fold(Self::by_id(), Self::then)
    }
}

impl<D> From<query::Sort> for Sort<D> {
    fn from(sort: query::Sort) -> Self {
        Self::of(Ok(sort.keys))
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

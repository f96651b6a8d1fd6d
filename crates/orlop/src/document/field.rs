//! Names of fields with their types: what the generated accessors hand out.
//!
//! What can be asked of a field is in `query::typed`; here is only what it is.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use super::Value;

/// The type of a field that is stored through serde, of which nothing typed can be asked.
pub struct Opaque<T>(PhantomData<fn() -> T>);

/// Something with a place in a document: a field, or the fields of an embedded document.
pub trait At: Sized {
    /// What stands for one element where this is an array, for the content where it is an
    /// `Option`, and for itself elsewhere: what a longer dotted path goes on from.
    type Inner: At;

    /// The one at this dotted path; empty at the top of a document.
    fn at(path: Cow<'static, str>) -> Self;

    /// The path.
    fn path(&self) -> &Cow<'static, str>;

    /// See [`At::Inner`].
    fn inner(self) -> Self::Inner {
        Self::Inner::at(self.path().clone())
    }
}

/// A field of type `T` of documents of type `R`.
pub struct Field<R, T> {
    path: Cow<'static, str>,
    of: PhantomData<fn() -> (R, T)>,
}

/// An array field with elements of type `T`.
pub struct Array<R, T> {
    path: Cow<'static, str>,
    of: PhantomData<fn() -> (R, T)>,
}

/// A field that may be null or missing. Everything that can be asked of a `T` can be asked of it.
pub struct OptField<R, T: Value> {
    inner: T::Field<R>,
}

impl<R, T> At for Field<R, T> {
    type Inner = Self;
    fn at(path: Cow<'static, str>) -> Self {
        Self {
            path,
            of: PhantomData,
        }
    }
    fn path(&self) -> &Cow<'static, str> {
        &self.path
    }
}

impl<R, T: Value> At for Array<R, T> {
    type Inner = T::Field<R>;
    fn at(path: Cow<'static, str>) -> Self {
        Self {
            path,
            of: PhantomData,
        }
    }
    fn path(&self) -> &Cow<'static, str> {
        &self.path
    }
}

impl<R, T: Value> At for OptField<R, T> {
    type Inner = T::Field<R>;
    fn at(path: Cow<'static, str>) -> Self {
        Self {
            inner: T::Field::at(path),
        }
    }
    fn path(&self) -> &Cow<'static, str> {
        self.inner.path()
    }
}

impl<R, T: Value> Deref for OptField<R, T> {
    type Target = T::Field<R>;
    fn deref(&self) -> &T::Field<R> {
        &self.inner
    }
}

impl<R, T> Clone for Field<R, T> {
    fn clone(&self) -> Self {
        Self {
            path: self.path.clone(),
            of: PhantomData,
        }
    }
}

impl<R, T> Clone for Array<R, T> {
    fn clone(&self) -> Self {
        Self {
            path: self.path.clone(),
            of: PhantomData,
        }
    }
}

impl<R, T> fmt::Debug for Field<R, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Field({})", self.path)
    }
}

impl<R, T> fmt::Debug for Array<R, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Array({})", self.path)
    }
}

impl<R, T: Value> fmt::Debug for OptField<R, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OptField({})", self.path())
    }
}

/// `name` inside the document at `path`.
///
/// # Cost
/// Nothing at the top of a document; one allocation below.
pub fn join(path: &str, name: &'static str) -> Cow<'static, str> {
    if path.is_empty() {
        Cow::Borrowed(name)
    } else {
        Cow::Owned(format!("{path}.{name}"))
    }
}

//! Reads.

use bson::Bson;

use super::{Collection, Find};
use crate::Result;
use crate::cache::{Doc, Get, IdRef};
use crate::document::{self, Array, At, Document, Field, Key, OptField, Value, VariantOf};
use crate::pack::Body;
use crate::query::typed::Filter;

impl<T: Document> Collection<T> {
    /// One document; none when it is absent. `.served()` tells how it was served too.
    ///
    /// # Errors
    /// `Invalid` when what is stored does not fit `T`; else those of the engine.
    ///
    /// # Cost
    /// A hit takes one look-up and allocates nothing for ids that are no longer than 22 bytes.
    #[inline]
    pub fn get<'a>(&'a self, id: &'a T::Id) -> Get<'a, T> {
        let id = match id.text() {
            Some(text) => IdRef::String(text),
            None => IdRef::from(id.bson()),
        };
        self.raw.cached_get(id, decode_body::<T>)
    }

    /// Several documents as of one instant, in the order of `ids`.
    ///
    /// # Errors
    /// As [`Collection::get`].
    pub async fn get_many(&self, ids: &[T::Id]) -> Result<Vec<Option<Doc<T>>>> {
        let ids: Vec<Bson> = ids.iter().map(Key::bson).collect();
        Ok(self.raw.cached_many(&ids, decode_body::<T>).await?.0)
    }

    /// The documents that match: typed conditions, or MongoDB's own syntax. Narrow it with
    /// `sort`, `limit`, `skip`, then await it; or ask it for a `page`.
    pub fn find(&self, filter: impl Into<Filter<T>>) -> Find<'_, T, T> {
        Find::new(self, filter.into(), decode_body::<T>)
    }

    /// As [`Collection::find`], with the fields handed in: `find_by(|t| t.priority().ge(3))`.
    pub fn find_by(&self, filter: impl FnOnce(T::Fields) -> Filter<T>) -> Find<'_, T, T> {
        self.find(filter(T::fields()))
    }

    /// The documents of one variant of the enum `T` that match.
    pub fn find_variant<V: VariantOf<T>>(&self, filter: impl Into<Filter<V>>) -> Find<'_, T, V> {
        Find::new(self, filter.into().variant(), decode_body::<V>)
    }

    /// The first document that matches, in order of id.
    ///
    /// # Errors
    /// As [`Collection::find`].
    pub async fn find_one(&self, filter: impl Into<Filter<T>>) -> Result<Option<Doc<T>>> {
        self.find(filter).one().await
    }

    /// How many documents match.
    ///
    /// # Errors
    /// Those of the filter and the engine.
    pub async fn count(&self, filter: impl Into<Filter<T>>) -> Result<u64> {
        self.declare().await?;
        self.raw.count(filter.into().into_expr()?).await
    }

    /// The different values of a field in the documents that match, in order; of an array, its
    /// elements. Null and missing give none.
    ///
    /// # Errors
    /// `Invalid` when a stored value does not fit the field's type.
    pub async fn distinct<F: Distinct<T>>(
        &self,
        field: F,
        filter: impl Into<Filter<T>>,
    ) -> Result<Vec<F::Value>> {
        self.declare().await?;
        let filter = filter.into().into_expr()?;
        let values = self.raw.distinct(&[field.path()], filter).await?;
        let present = values.iter().filter(|value| !matches!(value, Bson::Null));
        present.map(document::value_of).collect()
    }
}

/// A field whose different values can be asked for.
pub trait Distinct<R> {
    /// A value, or an element of the array.
    type Value: Value;
    /// Where it is.
    fn path(&self) -> &str;
}

impl<R, V: Value> Distinct<R> for Field<R, V> {
    type Value = V;
    fn path(&self) -> &str {
        At::path(self)
    }
}

impl<R, V: Value> Distinct<R> for Array<R, V> {
    type Value = V;
    fn path(&self) -> &str {
        At::path(self)
    }
}

impl<R, V: Value> Distinct<R> for OptField<R, V> {
    type Value = V;
    fn path(&self) -> &str {
        At::path(self)
    }
}

/// Makes a `T` of a stored document.
pub(super) fn decode_body<T: Document>(body: &Body) -> Result<T> {
    document::decode(body.bytes()).map_err(|error| match body.id() {
        Ok(id) => error.context(format_args!("document {id}")),
        Err(_) => error,
    })
}

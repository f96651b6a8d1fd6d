//! Finding documents: a query that is narrowed, then awaited.

use std::future::IntoFuture;
use std::pin::Pin;

use super::{Collection, Distinct};
use crate::Result;
use crate::cache::{Decode, Derived, Doc, Docs, Page, Served};
use crate::document::Document;
use crate::engine::{Explain, Query};
use crate::query::typed::{Filter, Sort};

/// A query of the collection of `T` for documents of type `V`: `T` itself, or a variant of it.
#[must_use = "a query does nothing until it is awaited"]
pub struct Find<'a, T, V> {
    collection: &'a Collection<T>,
    filter: Filter<T>,
    sort: Sort<T>,
    skip: u64,
    limit: Option<u64>,
    decode: Decode<V>,
}

/// One page of documents.
#[derive(Debug, Clone)]
pub struct TypedPage<V> {
    page: Derived<Page<V>>,
    /// Continues behind this page; none when it is the last one.
    pub cursor: Option<String>,
    /// How it was served.
    pub served: Served,
}

impl<V> TypedPage<V> {
    /// The documents, in order.
    pub fn documents(&self) -> &[Doc<V>] {
        &self.page.documents
    }
}

impl<'a, T: Document, V: Document> Find<'a, T, V> {
    pub(super) fn new(collection: &'a Collection<T>, filter: Filter<T>, decode: Decode<V>) -> Self {
        Self {
            collection,
            filter,
            sort: Sort::by_id(),
            skip: 0,
            limit: None,
            decode,
        }
    }

    /// In this order; ties are in order of the id.
    pub fn sort(mut self, sort: impl Into<Sort<T>>) -> Self {
        self.sort = sort.into();
        self
    }

    /// At most so many.
    pub fn limit(mut self, limit: u64) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Without the first so many.
    pub fn skip(mut self, skip: u64) -> Self {
        self.skip = skip;
        self
    }

    /// The first.
    ///
    /// # Errors
    /// As awaiting it.
    pub async fn one(self) -> Result<Option<Doc<V>>> {
        Ok(self.limit(1).all().await?.0.first().cloned())
    }

    /// All of them, in order. Awaiting the query is the same without telling how it was served.
    ///
    /// # Errors
    /// What is wrong with filter or sort, `Invalid` when a document does not fit `V`; else those of
    /// the engine.
    ///
    /// # Cost
    /// A hit: one look-up, whatever the length. A miss holds the whole result in memory.
    pub async fn all(self) -> Result<(Docs<V>, Served)> {
        let decode = self.decode;
        let (collection, query) = self.query().await?;
        collection.raw.cached_list(query, decode).await
    }

    /// A page of at most `size`, from the start or behind the page that gave `cursor`.
    ///
    /// Walking the pages shows every document that is there throughout, with unchanged sort keys,
    /// exactly once, whatever others insert and delete.
    ///
    /// # Errors
    /// `Invalid` for a cursor of another query, `NotFound` for one of another life of the store;
    /// else as awaiting it.
    pub async fn page(self, size: u64, cursor: Option<&str>) -> Result<TypedPage<V>> {
        let decode = self.decode;
        let (collection, query) = self.query().await?;
        let (page, cursor, served) = collection
            .raw
            .typed_page(query, size, cursor, decode)
            .await?;
        Ok(TypedPage {
            page,
            cursor,
            served,
        })
    }

    /// How many there are, whatever the limit.
    ///
    /// # Errors
    /// As awaiting it.
    pub async fn count(self) -> Result<u64> {
        self.collection.count(self.filter).await
    }

    /// The different values of a field in them, whatever the limit.
    ///
    /// # Errors
    /// As [`Collection::distinct`].
    pub async fn distinct<F: Distinct<T>>(self, field: F) -> Result<Vec<F::Value>> {
        self.collection.distinct(field, self.filter).await
    }

    /// How the engine answers it. Runs it, past the cache.
    ///
    /// # Errors
    /// As awaiting it.
    pub async fn explain(self) -> Result<Explain> {
        let (collection, query) = self.query().await?;
        collection.raw.explain(query).await
    }

    async fn query(self) -> Result<(&'a Collection<T>, Query)> {
        self.collection.declare().await?;
        let mut query = self.collection.raw.query();
        query.filter = self.filter.into_expr()?;
        query.sort = self.sort.into_untyped()?;
        query.skip = self.skip;
        query.limit = self.limit;
        Ok((self.collection, query))
    }
}

impl<'a, T: Document, V: Document> IntoFuture for Find<'a, T, V> {
    type Output = Result<Docs<V>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { Ok(self.all().await?.0) })
    }
}

impl<T: Document, V> std::fmt::Debug for Find<'_, T, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Find")
            .field("collection", &T::COLLECTION)
            .field("sort", &self.sort)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

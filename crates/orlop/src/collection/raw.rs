//! A collection without a type: reads through the cache, documents as BSON.

use std::fmt;
use std::sync::Arc;

use bson::Bson;

use super::Orlop;
use super::cursor;
use super::distinct::distinct;
use crate::Result;
use crate::cache::trace;
use crate::cache::{Cache, Decode, Derived, Doc, Docs, Get, IdRef, Level, Page, Served, Space};
use crate::engine::{Explain, Query, Rows};
use crate::pack::Body;
use crate::query::{Expr, Sort};

/// One collection of a store, with documents as BSON. A clone is the same collection.
///
/// Reads go through the cache and are linearizable on an engine in this process: a document is as
/// it was stored at some instant inside the call, a list equals running its query at one.
#[derive(Clone)]
pub struct Raw {
    db: Orlop,
    space: Arc<Space>,
    level: Level,
}

/// One page of a list.
#[derive(Debug, Clone)]
pub struct Paged {
    /// The documents; [`Derived::version`] names their state.
    pub page: Derived<Page<Body>>,
    /// Continues behind this page; none when it is the last one.
    pub cursor: Option<String>,
    /// How it was served.
    pub served: Served,
}

impl Raw {
    pub(super) fn new(db: Orlop, name: &str) -> Self {
        let space = db.cache().space(name);
        Self {
            db,
            space,
            level: Level::default(),
        }
    }

    /// The store.
    pub fn db(&self) -> &Orlop {
        &self.db
    }

    /// The collection's name.
    pub fn name(&self) -> &Arc<str> {
        self.space.name()
    }

    /// The same collection, read at this level. On an engine in this process every level is the
    /// strongest, at no cost.
    #[must_use]
    pub fn at(mut self, level: Level) -> Self {
        self.level = level;
        self
    }

    /// The level it is read at.
    pub fn level(&self) -> Level {
        self.level
    }

    /// A query of this collection: all documents in order of id, to be narrowed.
    pub fn query(&self) -> Query {
        Query {
            collection: Arc::clone(self.name()),
            filter: Expr::All,
            sort: Sort::default(),
            projection: None,
            skip: 0,
            limit: None,
            after: None,
        }
    }

    /// One document; none when it is absent. `.served()` tells how it was served too.
    ///
    /// # Errors
    /// `Invalid` for what cannot be an id; else those of the engine.
    ///
    /// # Cost
    /// As [`Cache::get`].
    pub fn get<'a>(&'a self, id: impl Into<IdRef<'a>>) -> Get<'a, Body> {
        self.cached_get(id, Cache::own_body)
    }

    /// Several documents as of one instant, in the order of `ids`.
    ///
    /// # Errors
    /// As [`Raw::get`].
    pub async fn get_many(&self, ids: &[Bson]) -> Result<Vec<Option<Doc<Body>>>> {
        Ok(self.cached_many(ids, Cache::own_body).await?.0)
    }

    /// The documents that match, in order: all in memory, and cached. [`Raw::rows`] streams.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn find(&self, query: Query) -> Result<Docs<Body>> {
        Ok(self.cached_list(query, Cache::own_body).await?.0)
    }

    /// The documents that match, in order, as they are read. Passes the cache by.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn rows(&self, query: Query) -> Result<Rows> {
        self.db.engine().query(query).await
    }

    /// At most `limit` documents, from the start or behind the page that gave `cursor`.
    ///
    /// Walking the pages shows every document that is there throughout, with unchanged sort keys,
    /// exactly once, whatever others insert and delete. `skip` counts on the first page.
    ///
    /// # Errors
    /// `Invalid` for a cursor of another query, `NotFound` for one of another life of the store;
    /// else those of the engine.
    ///
    /// # Cost
    /// One document more than the page is read, to know whether there is one.
    pub async fn page(&self, query: Query, limit: u64, cursor: Option<&str>) -> Result<Paged> {
        let paged = self.typed_page(query, limit, cursor, Cache::own_body);
        let (page, cursor, served) = paged.await?;
        Ok(Paged {
            page,
            cursor,
            served,
        })
    }

    /// As [`Raw::page`], of what `decode` makes of the documents.
    pub(super) async fn typed_page<T: Send + Sync + 'static>(
        &self,
        mut query: Query,
        limit: u64,
        cursor: Option<&str>,
        decode: Decode<T>,
    ) -> Result<(Derived<Page<T>>, Option<String>, Served)> {
        let incarnation = self.db.incarnation();
        if let Some(cursor) = cursor {
            query.after = Some(cursor::open(cursor, incarnation, &query)?);
            query.skip = 0;
        }
        query.limit = Some(limit);
        let sealed = |position: &[Bson]| cursor::seal(position, incarnation, &query);
        let (page, served) = self.cached_page(query.clone(), decode).await?;
        let cursor = page.next.as_deref().map(sealed).transpose()?;
        Ok((page, cursor, served))
    }

    /// How many documents match.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn count(&self, filter: Expr) -> Result<u64> {
        let mut query = self.query();
        query.filter = filter;
        let count = self.db.cache().count(&self.space, query);
        let (count, _) = trace::operation(self.name(), "count", count).await?;
        Ok(*count)
    }

    /// The different values at `paths` in the documents that match, in order.
    ///
    /// Of an array, its elements. One path gives values as MongoDB's `distinct` does: missing
    /// gives none. Several paths give arrays, one value a path, null where it is missing.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn distinct(&self, paths: &[&str], filter: Expr) -> Result<Arc<[Bson]>> {
        let mut query = self.query();
        query.filter = filter;
        let wanted: Arc<[String]> = paths.iter().map(|path| (*path).to_owned()).collect();
        // NUL is in no path, so these names are not those of other derivations or other paths.
        let also = format!("distinct\0{}", paths.join("\0"));
        let cache = self.db.cache();
        let values = cache.derived(&self.space, query, &also, move |read, query| {
            distinct(read, query, Arc::clone(&wanted))
        });
        let (values, _) = trace::operation(self.name(), "distinct", values).await?;
        Ok(Arc::clone(&values))
    }

    /// How the query is answered by the engine. Runs it, past the cache.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn explain(&self, query: Query) -> Result<Explain> {
        self.db.engine().explain(query).await
    }

    /// One document as a `T`, which `decode` makes of it once for all who read it.
    ///
    /// # Errors
    /// As [`Raw::get`], and those of `decode`.
    #[inline]
    pub fn cached_get<'a, T: Send + Sync + 'static>(
        &'a self,
        id: impl Into<IdRef<'a>>,
        decode: Decode<T>,
    ) -> Get<'a, T> {
        self.db.cache().get(&self.space, id, decode)
    }

    /// Several documents as of one instant, in the order of `ids`, and how they were served.
    ///
    /// # Errors
    /// As [`Raw::cached_get`].
    pub async fn cached_many<T: Send + Sync + 'static>(
        &self,
        ids: &[Bson],
        decode: Decode<T>,
    ) -> Result<(Vec<Option<Doc<T>>>, Served)> {
        let ids: Vec<IdRef<'_>> = ids.iter().map(IdRef::from).collect();
        let many = self.db.cache().get_many(&self.space, &ids, decode);
        trace::operation(self.name(), "get_many", many).await
    }

    /// The documents that match, in order, and how they were served.
    ///
    /// # Errors
    /// As [`Raw::cached_get`].
    pub async fn cached_list<T: Send + Sync + 'static>(
        &self,
        query: Query,
        decode: Decode<T>,
    ) -> Result<(Docs<T>, Served)> {
        let list = self.db.cache().list(&self.space, query, decode);
        trace::operation(self.name(), "list", list).await
    }

    /// The first `limit` documents that match, in order, and where the next one would be; without
    /// a limit all of them.
    ///
    /// # Errors
    /// As [`Raw::cached_get`].
    pub async fn cached_page<T: Send + Sync + 'static>(
        &self,
        query: Query,
        decode: Decode<T>,
    ) -> Result<(Derived<Page<T>>, Served)> {
        let page = self.db.cache().page(&self.space, query, decode);
        trace::operation(self.name(), "page", page).await
    }
}

impl fmt::Debug for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Raw").field(self.name()).finish()
    }
}

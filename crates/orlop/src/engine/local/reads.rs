//! Reads of one published state: points on the caller's thread, long scans in chunks elsewhere.

use std::sync::Arc;

use bson::Bson;
use futures_util::{TryStreamExt, stream};

use super::catalog::{Catalog, Collection, Counts, Index};
use super::committer::Published;
use crate::document::Declaration;
use crate::engine::plan::{self, Cursor, PlanIndex, Source};
use crate::engine::{
    CollectionInfo, Explain, IndexState, Query, Read, Reply, Rows, Seq, Snapshot, Stored, records,
};
use crate::pack::keys;
use crate::{Error, ErrorKind, Result};

/// Rows handed from the blocking pool to the caller at a time.
const CHUNK: usize = 256;

/// A published state, held.
pub(super) struct LocalSnapshot(pub(super) Arc<Published>);

/// The documents of `ids`, in the order of `ids`.
pub(super) fn get_many(
    published: &Published,
    collection: &str,
    ids: &[Bson],
) -> Result<Vec<Option<Stored>>> {
    let Some(known) = published.catalog.get(collection) else {
        // What cannot be an id is refused here as it is where there are documents.
        return ids
            .iter()
            .map(|id| keys::encode_id(id).map(|_| None))
            .collect();
    };
    let get = |id: &Bson| -> Result<Option<Stored>> {
        let key = records::document_key(known.number, &keys::encode_id(id)?);
        let named = |error: Error| error.context(format!("collection {collection}, document {id}"));
        let record = published.view.get(&key).map_err(named)?;
        record
            .map(|record| stored(&key, &record))
            .transpose()
            .map_err(named)
    };
    ids.iter().map(get).collect()
}

/// Runs a query and gives its rows as they are asked for.
pub(super) async fn query(published: Arc<Published>, query: Query) -> Result<Rows> {
    let short = query.limit.is_some_and(|limit| limit <= CHUNK as u64);
    let cursor = run(&published, &query)?;
    if short && cursor.is_short() {
        // A bounded walk of an index costs less than a trip to another thread.
        let rows: Vec<Result<Stored>> = cursor.collect();
        return Ok(Box::pin(stream::iter(rows)));
    }
    let chunks = stream::try_unfold(Some(cursor), |cursor| async move {
        let Some(cursor) = cursor else {
            return Ok(None);
        };
        let (rows, rest) = blocking(move || chunk(cursor)).await?;
        Ok::<_, Error>(Some((stream::iter(rows.into_iter().map(Ok)), rest)))
    });
    Ok(Box::pin(chunks.try_flatten()))
}

/// The next rows, and the cursor while it may have more.
fn chunk(mut cursor: Cursor) -> Result<(Vec<Stored>, Option<Cursor>)> {
    let rows: Vec<Stored> = cursor.by_ref().take(CHUNK).collect::<Result<_>>()?;
    let more = rows.len() == CHUNK;
    Ok((rows, more.then_some(cursor)))
}

/// How many documents match.
pub(super) async fn count(published: Arc<Published>, query: Query) -> Result<u64> {
    blocking(move || match source(&published, &query.collection) {
        Some(source) => plan::count(&source, &query),
        None => Ok(0),
    })
    .await
}

/// How the query is answered; runs it.
pub(super) async fn explain(published: Arc<Published>, query: Query) -> Result<Explain> {
    blocking(move || match source(&published, &query.collection) {
        Some(source) => plan::explain(&source, &query),
        None => Ok(Explain {
            plan: "EOF".to_owned(),
            index: None,
            bounds: Vec::new(),
            keys_examined: 0,
            documents_examined: 0,
            returned: 0,
        }),
    })
    .await
}

/// The rows of a query on this thread.
pub(super) fn run(published: &Published, query: &Query) -> Result<Cursor> {
    match source(published, &query.collection) {
        Some(source) => plan::run(&source, query),
        None => Ok(Cursor::empty()),
    }
}

/// One collection: declaration, counts, index states.
pub(super) fn info(published: &Published, name: &str) -> Result<Option<CollectionInfo>> {
    match published.catalog.get(name) {
        Some(collection) => describe(published, collection).map(Some),
        None => Ok(None),
    }
}

/// Whether the collection declares just this already, and none of its indexes failed.
pub(super) fn declares(published: &Published, name: &str, declaration: &Declaration) -> bool {
    published.catalog.get(name).is_some_and(|collection| {
        let failed = |index: &Index| matches!(index.progress.state, IndexState::Failed(_));
        *collection.declaration == *declaration && !collection.indexes.iter().any(failed)
    })
}

/// All collections, by name.
pub(super) fn collections(published: &Published) -> Result<Vec<CollectionInfo>> {
    let catalog: &Catalog = &published.catalog;
    catalog.all().map(|one| describe(published, one)).collect()
}

/// Runs `work` where blocking hurts nobody: on the runtime's pool when there is one.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::runtime::Handle::try_current() {
        Err(_) => work(),
        Ok(runtime) => match runtime.spawn_blocking(work).await {
            Ok(result) => result,
            Err(error) => Err(Error::new(
                ErrorKind::Internal,
                format!("a read ended early: {error}"),
            )),
        },
    }
}

pub(super) fn no_aggregation() -> Error {
    Error::unsupported(
        "this engine runs no aggregation pipelines; query and compute in the application, or use the mongodb engine",
    )
}

fn describe(published: &Published, collection: &Collection) -> Result<CollectionInfo> {
    let counts = Counts::load(&*published.view, collection.number)?;
    let indexes = collection.indexes.iter();
    Ok(CollectionInfo {
        name: collection.name.to_string(),
        declaration: (*collection.declaration).clone(),
        documents: counts.documents,
        bytes: counts.bytes,
        indexes: indexes
            .map(|index| ((*index.spec).clone(), index.progress.state.clone()))
            .collect(),
    })
}

fn source(published: &Published, name: &str) -> Option<Source> {
    let collection = published.catalog.get(name)?;
    let ready = collection
        .indexes
        .iter()
        .filter(|index| index.progress.state == IndexState::Ready);
    Some(Source {
        view: Arc::clone(&published.view),
        collection: collection.number,
        indexes: ready
            .map(|index| PlanIndex {
                number: index.number,
                spec: Arc::clone(&index.spec),
                multikey: index.progress.multikey,
            })
            .collect(),
    })
}

fn stored(key: &[u8], record: &bytes::Bytes) -> Result<Stored> {
    let body = records::decode_record(key, record)?;
    let revision = body
        .revision()
        .ok_or_else(|| Error::corrupt("stored document has no revision"))?;
    Ok(Stored { revision, body })
}

impl Read for LocalSnapshot {
    fn get_many<'a>(
        &'a self,
        collection: &'a str,
        ids: &'a [Bson],
    ) -> Reply<'a, Vec<Option<Stored>>> {
        Box::pin(std::future::ready(get_many(&self.0, collection, ids)))
    }

    fn query(&self, query: Query) -> Reply<'_, Rows> {
        Box::pin(self::query(Arc::clone(&self.0), query))
    }

    fn aggregate<'a>(&'a self, _: &'a str, _: &'a [bson::Document]) -> Reply<'a, Rows> {
        Box::pin(std::future::ready(Err(no_aggregation())))
    }

    fn count(&self, query: Query) -> Reply<'_, u64> {
        Box::pin(self::count(Arc::clone(&self.0), query))
    }

    fn explain(&self, query: Query) -> Reply<'_, Explain> {
        Box::pin(self::explain(Arc::clone(&self.0), query))
    }
}

impl Snapshot for LocalSnapshot {
    fn seq(&self) -> Option<Seq> {
        Some(self.0.seq)
    }

    fn declaration(&self, collection: &str) -> Arc<Declaration> {
        match self.0.catalog.get(collection) {
            Some(collection) => Arc::clone(&collection.declaration),
            None => Arc::default(),
        }
    }
}

//! A store under test, with short names for what the claims do.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bson::{Bson, Document, RawDocumentBuf};
use futures_util::TryStreamExt;
use libtest_mimic::Failed;
use orlop::document::{Declaration, Revision};
use orlop::engine::{
    Action, Batch, Change, Commit, Effect, Engine, Guard, IndexState, Put, Query, Read,
};
use orlop::query::{Expr, Update};
use orlop::{Error, Refusal, Result};

use super::Stores;
use crate::meaning;

/// How long an index may take to be built.
const BUILD_WAIT: Duration = Duration::from_secs(60);

#[derive(Clone)]
pub(super) struct Store {
    pub(super) engine: Arc<dyn Engine>,
    stores: Arc<dyn Stores>,
}

impl Store {
    pub(super) async fn new(stores: Arc<dyn Stores>) -> Result<Self> {
        let engine = stores.create().await?;
        Ok(Self { engine, stores })
    }

    /// The store as it is after a restart; none when the engine keeps nothing.
    pub(super) async fn reopened(self) -> Result<Option<Self>> {
        let Self { engine, stores } = self;
        let engine = stores.reopen(engine).await?;
        Ok(engine.map(|engine| Self { engine, stores }))
    }

    /// The same after a restart where the engine keeps anything, else as it is.
    pub(super) async fn restarted(self) -> Result<Self> {
        let Self { engine, stores } = self;
        let again = stores.reopen(Arc::clone(&engine)).await?;
        Ok(Self {
            engine: again.unwrap_or(engine),
            stores,
        })
    }

    /// Declares, and waits until the indexes are there.
    pub(super) async fn declare(&self, collection: &str, form: Document) -> Result<(), Failed> {
        let declaration = Declaration::from_document(&form)?;
        self.engine.declare(collection, &declaration).await?;
        self.wait_for_indexes(collection).await
    }

    pub(super) async fn wait_for_indexes(&self, collection: &str) -> Result<(), Failed> {
        let started = Instant::now();
        loop {
            let all = self.engine.collections().await?;
            let one = all.iter().find(|one| one.name == collection);
            let states: Vec<_> = one
                .iter()
                .flat_map(|one| &one.indexes)
                .map(|(_, state)| state)
                .collect();
            if states.iter().all(|state| **state == IndexState::Ready) {
                return Ok(());
            }
            if started.elapsed() > BUILD_WAIT {
                return Err(format!("indexes of {collection} are still {states:?}").into());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(super) async fn commit(&self, changes: Vec<Change>) -> Result<Commit> {
        let batch = Batch {
            changes,
            ..Batch::default()
        };
        self.engine.commit(batch).await
    }

    pub(super) async fn put(&self, collection: &str, document: Document) -> Result<Revision> {
        let commit = self
            .commit(vec![put(collection, document, Guard::Any)])
            .await?;
        revision(&commit)
    }

    pub(super) async fn put_all(&self, collection: &str, documents: Vec<Document>) -> Result<()> {
        let put = |document| put(collection, document, Guard::Any);
        self.commit(documents.into_iter().map(put).collect())
            .await?;
        Ok(())
    }

    /// One change alone, and what it did.
    pub(super) async fn one(&self, change: Change) -> Result<Effect> {
        let commit = self.commit(vec![change]).await?;
        let applied = commit.applied.first();
        Ok(applied.map_or(Effect::Missing, |applied| applied.effect))
    }

    /// The document without its revision.
    pub(super) async fn get(
        &self,
        collection: &str,
        id: impl Into<Bson>,
    ) -> Result<Option<Document>> {
        get(&*self.engine, collection, id).await
    }

    pub(super) async fn find(&self, collection: &str, asked: Document) -> Result<Vec<Document>> {
        find(&*self.engine, meaning::query(collection, &asked)?).await
    }

    /// The ids of a result, in its order.
    pub(super) async fn ids(&self, collection: &str, asked: Document) -> Result<Vec<Bson>> {
        let found = self.find(collection, asked).await?;
        Ok(found
            .iter()
            .filter_map(|document| document.get("_id").cloned())
            .collect())
    }

    /// Fails when the engine finds itself damaged.
    pub(super) async fn is_sound(&self) -> Result<(), Failed> {
        let report = self.engine.check().await?;
        if report.damage.is_empty() {
            Ok(())
        } else {
            Err(format!("damage: {:?}", report.damage).into())
        }
    }
}

pub(super) async fn get(
    read: &(impl Read + ?Sized),
    collection: &str,
    id: impl Into<Bson>,
) -> Result<Option<Document>> {
    let found = read
        .get_many(collection, &[id.into()])
        .await?
        .pop()
        .flatten();
    found.map(|stored| plain(stored.body.raw())).transpose()
}

pub(super) async fn find(read: &(impl Read + ?Sized), query: Query) -> Result<Vec<Document>> {
    let rows = read.query(query).await?;
    rows.and_then(|stored| async move { plain(stored.body.raw()) })
        .try_collect()
        .await
}

/// A document without its revision.
fn plain(document: &bson::RawDocument) -> Result<Document> {
    let mut document = Document::try_from(document)
        .map_err(|error| Error::corrupt(format!("a result is no BSON: {error}")))?;
    document.remove("_v");
    Ok(document)
}

pub(super) fn change(
    collection: &str,
    id: impl Into<Bson>,
    guard: Guard,
    action: Action,
) -> Change {
    Change {
        collection: collection.into(),
        id: id.into(),
        guard,
        action,
    }
}

/// A put of a document under the `_id` in it.
pub(super) fn put(collection: &str, document: Document, guard: Guard) -> Change {
    let id = document.get("_id").cloned().unwrap_or(Bson::Null);
    let document = RawDocumentBuf::try_from(&document).expect("claims write BSON");
    let action = Action::Put(Put {
        document,
        keep: None,
    });
    change(collection, id, guard, action)
}

pub(super) fn update(
    collection: &str,
    id: impl Into<Bson>,
    guard: Guard,
    update: Document,
) -> Change {
    let update = Update::parse(&Bson::Document(update), &[]).expect("claims write updates");
    let action = Action::Update {
        update: Arc::new(update),
        upsert: false,
    };
    change(collection, id, guard, action)
}

pub(super) fn matches(filter: &Document) -> Guard {
    Guard::Matches(Expr::parse(filter).expect("claims write filters"))
}

pub(super) fn revision(commit: &Commit) -> Result<Revision> {
    let applied = commit.applied.first();
    applied
        .and_then(|applied| applied.revision)
        .ok_or_else(|| Error::corrupt("a put has a revision"))
}

/// The refusals of a commit that must be refused by its guards.
pub(super) fn refusals<T: std::fmt::Debug>(result: Result<T>) -> Result<Vec<Refusal>, Failed> {
    match result {
        Err(error) if error.kind() == orlop::ErrorKind::Conflict => Ok(error.refused().to_vec()),
        other => Err(format!("not refused by a guard: {other:?}").into()),
    }
}

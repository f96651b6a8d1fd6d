//! Writes of untyped documents: thin names over one batch.

use std::sync::Arc;

use bson::{Bson, Document, RawDocumentBuf};
use futures_util::TryStreamExt;

use super::bulk::{BATCH_CHANGES, Bulk};
use super::{Raw, new_id};
use crate::document::Revision;
use crate::engine::{Action, Batch, Change, Commit, Effect, Guard, Put, Query, Seq, Stored};
use crate::pack::Body;
use crate::query::{Expr, Sort, Update};
use crate::{Error, ErrorKind, Result};

/// How often a write by filter starts over because somebody changed what it had matched.
const ATTEMPTS: usize = 16;

/// What a write of one document did.
#[derive(Debug, Clone)]
pub struct Written {
    /// The document's id.
    pub id: Bson,
    /// The commit.
    pub seq: Seq,
    /// What happened.
    pub effect: Effect,
    /// The revision afterwards; none when the document is absent.
    pub revision: Option<Revision>,
    /// The document afterwards; none when it is absent.
    pub document: Option<Body>,
}

/// What a write by filter did.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ManyWritten {
    /// Documents the filter matched.
    pub matched: u64,
    /// Documents that changed, or were deleted.
    pub modified: u64,
    /// The last commit; none when nothing matched.
    pub seq: Option<Seq>,
    /// The id of the document an upsert created.
    pub upserted: Option<Bson>,
}

/// A write by filter.
#[derive(Debug, Clone)]
pub struct UpdateMany {
    /// Which documents.
    pub filter: Expr,
    /// What to do with each.
    pub update: Arc<Update>,
    /// Creates a document from the filter's equalities when none matches.
    pub upsert: bool,
    /// Allows more than 10 000 documents, written in several atomic batches.
    pub chunked: bool,
    /// At most this many documents, in order of id. None: all.
    pub limit: Option<u64>,
}

impl Raw {
    /// Stores the document whole, over whatever is there. Makes an `_id` when it has none.
    ///
    /// # Errors
    /// `Invalid` or `AlreadyExists` when it breaks a rule, `Unavailable` as [`super::Orlop::commit`].
    pub async fn put(&self, document: Document) -> Result<Written> {
        self.put_guarded(document, Guard::Any).await
    }

    /// Stores the document whole if `guard` holds of the stored one.
    ///
    /// # Errors
    /// `Conflict` when the guard refuses, else as [`Raw::put`].
    pub async fn put_guarded(&self, document: Document, guard: Guard) -> Result<Written> {
        let (id, document) = identified(document)?;
        let put = Put {
            document,
            keep: None,
        };
        self.write(id, guard, Action::Put(put)).await
    }

    /// Adds the document if there is none under its id; says whether it was added. The test and
    /// the write are one.
    ///
    /// # Errors
    /// As [`Raw::put`].
    pub async fn try_add(&self, document: Document) -> Result<bool> {
        match self.put_guarded(document, Guard::Absent).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Updates one document; with `upsert` creates it when absent.
    ///
    /// # Errors
    /// `Conflict` when the guard refuses, `Invalid` when the update cannot apply.
    pub async fn update(
        &self,
        id: Bson,
        update: Arc<Update>,
        guard: Guard,
        upsert: bool,
    ) -> Result<Written> {
        self.write(id, guard, Action::Update { update, upsert })
            .await
    }

    /// Deletes one document. Deleting what is absent is no error: the effect says `Missing`.
    ///
    /// # Errors
    /// `Conflict` when the guard refuses.
    pub async fn delete(&self, id: Bson, guard: Guard) -> Result<Written> {
        self.write(id, guard, Action::Delete).await
    }

    /// Stores many documents, whole; atomic up to 10 000, in several batches beyond.
    ///
    /// # Errors
    /// As [`Raw::put`]; batches before the refused one stay.
    pub async fn put_many(&self, documents: impl IntoIterator<Item = Document>) -> Result<u64> {
        let mut bulk = Bulk::new(self);
        for document in documents {
            let (id, document) = identified(document)?;
            let put = Put {
                document,
                keep: None,
            };
            let change = self.change(id, Guard::Any, Action::Put(put));
            bulk.push(change).await?;
        }
        bulk.finish().await
    }

    /// Updates every document that matches, in one atomic batch.
    ///
    /// # Errors
    /// `Invalid` when more than 10 000 match and it is not `chunked`; `Conflict` when others kept
    /// changing what it matched.
    pub async fn update_many(&self, many: UpdateMany) -> Result<ManyWritten> {
        self.update_many_with(many, &[]).await
    }

    /// As [`Raw::update_many`], with changes that go in front of each batch.
    pub(super) async fn update_many_with(
        &self,
        many: UpdateMany,
        also: &[Change],
    ) -> Result<ManyWritten> {
        let action = Action::Update {
            update: Arc::clone(&many.update),
            upsert: false,
        };
        let mut done = self
            .write_many(&many.filter, &action, many.chunked, many.limit, also)
            .await?;
        if done.matched == 0 && many.upsert {
            self.upsert(&many, &mut done).await?;
        }
        Ok(done)
    }

    /// Deletes every document that matches, in one atomic batch; `chunked` as for updates.
    ///
    /// # Errors
    /// As [`Raw::update_many`].
    pub async fn delete_many(&self, filter: &Expr, chunked: bool) -> Result<ManyWritten> {
        self.write_many(filter, &Action::Delete, chunked, None, &[])
            .await
    }

    /// Removes every document; the declaration stays.
    ///
    /// # Errors
    /// As [`super::Orlop::commit`].
    pub async fn truncate(&self) -> Result<()> {
        let change = self.change(Bson::Null, Guard::Any, Action::Truncate);
        self.commit(vec![change]).await.map(|_| ())
    }

    /// Removes the collection with its declaration.
    ///
    /// # Errors
    /// As [`super::Orlop::commit`].
    pub async fn drop_collection(&self) -> Result<()> {
        let change = self.change(Bson::Null, Guard::Any, Action::Drop);
        self.commit(vec![change]).await.map(|_| ())
    }

    async fn write(&self, id: Bson, guard: Guard, action: Action) -> Result<Written> {
        let change = self.change(id.clone(), guard, action);
        let commit = self.commit(vec![change]).await?;
        let seq = commit.seq;
        let applied = commit
            .applied
            .into_iter()
            .next()
            .ok_or_else(|| Error::new(ErrorKind::Internal, "a commit without outcomes"))?;
        Ok(Written {
            id,
            seq,
            effect: applied.effect,
            revision: applied.revision,
            document: applied.document,
        })
    }

    async fn write_many(
        &self,
        filter: &Expr,
        action: &Action,
        chunked: bool,
        limit: Option<u64>,
        also: &[Change],
    ) -> Result<ManyWritten> {
        let mut done = ManyWritten::default();
        let mut attempts = 0;
        let mut after = None;
        loop {
            let mut rows = self.matching(filter, after.clone(), limit).await?;
            let more = rows.len() > BATCH_CHANGES;
            if more && !chunked {
                return Err(Error::invalid(format!(
                    "the filter matches more than {BATCH_CHANGES} documents of {}; ask for chunked writes, which are not atomic as a whole",
                    self.name()
                )));
            }
            rows.truncate(BATCH_CHANGES);
            let Some(last) = rows.last() else {
                return Ok(done);
            };
            let last = last.body.id()?;
            match self.write_rows(rows, filter, action, &mut done, also).await {
                Err(error) if error.kind() == ErrorKind::Conflict && attempts < ATTEMPTS => {
                    attempts += 1;
                }
                Err(error) => return Err(error),
                Ok(()) if more => after = Some(vec![last]),
                Ok(()) => return Ok(done),
            }
        }
    }

    async fn write_rows(
        &self,
        rows: Vec<Stored>,
        filter: &Expr,
        action: &Action,
        done: &mut ManyWritten,
        also: &[Change],
    ) -> Result<()> {
        let matched = rows.len() as u64;
        let mut changes = also.to_vec();
        for row in rows {
            // The filter is the guard: the batch is what it would be at its own instant, and it
            // tells a positional update which element matched.
            let guard = Guard::Matches(filter.clone());
            changes.push(self.change(row.body.id()?, guard, action.clone()));
        }
        let commit = self.commit(changes).await?;
        let moved = |effect| matches!(effect, Effect::Updated | Effect::Deleted);
        let modified = commit
            .applied
            .iter()
            .skip(also.len())
            .filter(|one| moved(one.effect))
            .count();
        done.matched += matched;
        done.modified += modified as u64;
        done.seq = Some(commit.seq);
        Ok(())
    }

    /// The documents that match now, one more than a batch takes, in order of id.
    async fn matching(
        &self,
        filter: &Expr,
        after: Option<Vec<Bson>>,
        limit: Option<u64>,
    ) -> Result<Vec<Stored>> {
        let query = Query {
            collection: Arc::clone(self.name()),
            filter: filter.clone(),
            sort: Sort::default(),
            projection: None,
            skip: 0,
            limit: Some(limit.unwrap_or(BATCH_CHANGES as u64 + 1)),
            after,
        };
        let rows = self.db().engine().query(query).await?;
        rows.try_collect().await
    }

    async fn upsert(&self, many: &UpdateMany, done: &mut ManyWritten) -> Result<()> {
        let document = many
            .update
            .insert(None, &many.filter, bson::DateTime::now())?;
        let document = Document::try_from(document)
            .map_err(|error| Error::invalid(format!("malformed document: {error}")))?;
        let written = self.put_guarded(document, Guard::Absent).await?;
        done.seq = Some(written.seq);
        done.upserted = Some(written.id);
        Ok(())
    }

    pub(crate) fn change(&self, id: Bson, guard: Guard, action: Action) -> Change {
        Change {
            collection: Arc::clone(self.name()),
            id,
            guard,
            action,
        }
    }

    pub(crate) async fn commit(&self, changes: Vec<Change>) -> Result<Commit> {
        let batch = Batch {
            changes,
            durability: self.db().durability(),
            ..Batch::default()
        };
        self.db().commit(batch).await
    }
}

/// The document with its id, which is made when absent.
fn identified(document: Document) -> Result<(Bson, RawDocumentBuf)> {
    let id = document.get("_id").cloned().unwrap_or_else(new_id);
    let document = RawDocumentBuf::try_from(&document)
        .map_err(|error| Error::invalid(format!("malformed document: {error}")))?;
    Ok((id, document))
}

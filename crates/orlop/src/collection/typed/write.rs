//! Writes: thin names over one batch of guarded changes.

use std::sync::Arc;

use bson::{Bson, RawDocumentBuf};

use super::read::decode_body;
use super::references::{self, Guarded};
use super::{Collection, Edited};
use crate::cache::Doc;
use crate::collection::{ManyWritten, UpdateMany};
use crate::document::{self, Document, Key, Revision, schema};
use crate::engine::{Action, Applied, Batch, Change, Commit, Effect, Guard, Put};
use crate::query::Expr;
use crate::query::typed::{Filter, Update};
use crate::{Error, ErrorKind, RefusalReason, Result};

/// Documents of one atomic batch; more are written in several.
const BATCH_DOCUMENTS: usize = 10_000;
/// How often [`Collection::modify`] starts over because somebody wrote first.
const ATTEMPTS: usize = 24;

impl<T: Document> Collection<T> {
    /// Stores the document, over whatever is there. Fields its type does not know stay.
    ///
    /// # Errors
    /// - `Invalid`: a field breaks a rule, or names a document that is not there.
    /// - `AlreadyExists`: another document has the same value in a unique index.
    /// - `Unavailable`: [`Error::outcome`] says whether it may have been stored.
    ///
    /// # Cost
    /// One commit; with the default durability one fsync, shared by all writes that wait together.
    pub async fn put(&self, document: &T) -> Result<Revision> {
        self.put_guarded(document, Guard::Any).await
    }

    /// Adds the document if there is none under its id; says whether it was added. The test and
    /// the write are one.
    ///
    /// # Errors
    /// As [`Collection::put`].
    pub async fn try_add(&self, document: &T) -> Result<bool> {
        match self.put_guarded(document, Guard::Absent).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Stores the document if the stored one matches; the test and the write are one.
    ///
    /// Optimistic locking is `update_if(&edited, Task::version().eq(loaded.revision()))`.
    ///
    /// # Errors
    /// `Conflict` when it does not match, or is missing: [`Error::refused`] tells the two apart and
    /// the stored revision. Else as [`Collection::put`].
    pub async fn update_if(
        &self,
        document: &T,
        condition: impl Into<Filter<T>>,
    ) -> Result<Revision> {
        let guard = Guard::Matches(condition.into().into_expr()?);
        self.put_guarded(document, guard).await
    }

    /// Stores an edited document if nobody wrote since it was read.
    ///
    /// # Errors
    /// `Conflict` when somebody did: read again, edit again, retry, or use [`Collection::modify`].
    /// Else as [`Collection::put`].
    pub async fn save(&self, edited: &Edited<T>) -> Result<Revision> {
        self.put_guarded(edited, Guard::Revision(edited.revision()))
            .await
    }

    /// Stores the document whole, over whatever is there: fields its type does not know are gone.
    ///
    /// # Errors
    /// As [`Collection::put`].
    pub async fn replace(&self, document: &T) -> Result<Revision> {
        let mut change = self.prepared(document, Guard::Any)?;
        if let Action::Put(put) = &mut change.change.action {
            put.keep = None;
        }
        let commit = self.commit(vec![change]).await?;
        self.revision(&commit)
    }

    /// Stores many documents as [`Collection::put`]; atomic up to 10 000, in several batches beyond.
    ///
    /// # Errors
    /// As [`Collection::put`]; batches before the refused one stay.
    pub async fn put_many<'a>(&self, documents: impl IntoIterator<Item = &'a T>) -> Result<u64> {
        let mut written = 0;
        let mut documents = documents.into_iter();
        loop {
            let batch = documents.by_ref().take(BATCH_DOCUMENTS);
            let changes: Vec<_> = batch
                .map(|document| self.prepared(document, Guard::Any))
                .collect::<Result<_>>()?;
            if changes.is_empty() {
                return Ok(written);
            }
            written += changes.len() as u64;
            self.commit(changes).await?;
        }
    }

    /// Reads the document, edits it, and stores what differs if nobody wrote in between; else again,
    /// up to 24 times. The closure may run more than once.
    ///
    /// Everything the edit left alone stays as it is stored, to its type and last digit.
    ///
    /// # Errors
    /// `NotFound` when there is no such document, `Conflict` when others kept writing it. Else as
    /// [`Collection::put`].
    pub async fn modify(&self, id: &T::Id, mut edit: impl FnMut(&mut T)) -> Result<Doc<T>> {
        let id = id.bson();
        let mut attempt = 1;
        loop {
            let Some(stored) = self.raw.get(id.clone()).await? else {
                let message = format!("collection {}: there is no document {id}", T::COLLECTION);
                return Err(Error::not_found(message));
            };
            let mut value: T = decode_body(&stored)?;
            let before = document::encode(&value)?;
            edit(&mut value);
            let mut change = self.prepared(&value, Guard::Revision(stored.revision()))?;
            if change.change.id != id {
                return Err(Error::invalid(format!(
                    "collection {}: an edit cannot change the id of document {id}",
                    T::COLLECTION
                )));
            }
            if change.bytes() == Some(&before) {
                return decode_body(&stored).map(|value| Doc::new(value, stored.revision()));
            }
            change.leave_out_unedited(&before, stored.raw())?;
            match self.commit(vec![change]).await {
                Err(error) if error.kind() == ErrorKind::Conflict && attempt < ATTEMPTS => {
                    attempt += 1;
                    tokio::task::yield_now().await;
                }
                result => return self.written(result?),
            }
        }
    }

    /// Updates one document in place; the document afterwards, none when there is none.
    ///
    /// # Errors
    /// `Invalid` when the update cannot apply, or the outcome breaks a rule.
    pub async fn update_one(
        &self,
        id: &T::Id,
        update: impl Into<Update<T>>,
    ) -> Result<Option<Doc<T>>> {
        self.update_guarded(id, update.into(), Guard::Present).await
    }

    /// Updates one document in place if it matches.
    ///
    /// # Errors
    /// `Conflict` when it does not match or is missing. Else as [`Collection::update_one`].
    pub async fn update_one_if(
        &self,
        id: &T::Id,
        condition: impl Into<Filter<T>>,
        update: impl Into<Update<T>>,
    ) -> Result<Doc<T>> {
        let guard = Guard::Matches(condition.into().into_expr()?);
        let updated = self.update_guarded(id, update.into(), guard).await?;
        updated.ok_or_else(|| Self::internal("a commit without its document"))
    }

    /// Updates every document that matches, in one atomic batch.
    ///
    /// # Errors
    /// `Invalid` when more than 10 000 match, or an outcome breaks a rule; `Conflict` when others
    /// kept changing what it matched.
    pub async fn update_many(
        &self,
        filter: impl Into<Filter<T>>,
        update: impl Into<Update<T>>,
    ) -> Result<ManyWritten> {
        self.declare().await?;
        let update = update.into();
        let guards = references::guards_of_update::<T>(update.form())?;
        let many = UpdateMany {
            filter: filter.into().into_expr()?,
            update: Arc::new(update.into_untyped()?),
            upsert: false,
            chunked: false,
            limit: None,
        };
        let written = self.raw.update_many_with(many, &guards.changes()).await;
        written.map_err(|error| guards.explain::<T>(error, 0))
    }

    async fn put_guarded(&self, document: &T, guard: Guard) -> Result<Revision> {
        let change = self.prepared(document, guard)?;
        let commit = self.commit(vec![change]).await?;
        self.revision(&commit)
    }

    async fn update_guarded(
        &self,
        id: &T::Id,
        update: Update<T>,
        guard: Guard,
    ) -> Result<Option<Doc<T>>> {
        let guards = references::guards_of_update::<T>(update.form())?;
        let missing_is_none = matches!(guard, Guard::Present);
        let action = Action::Update {
            update: Arc::new(update.into_untyped()?),
            upsert: false,
        };
        let change = Prepared {
            change: self.raw.change(id.bson(), guard, action),
            guards,
        };
        match self.commit(vec![change]).await {
            Err(error) if missing_is_none && is_missing(&error) => Ok(None),
            result => self.written(result?).map(Some),
        }
    }

    /// The change that stores a document, once its own checks passed, with the guards of what it
    /// refers to.
    fn prepared(&self, document: &T, guard: Guard) -> Result<Prepared> {
        let bytes = ready(document)?;
        let id = match bytes.get("_id") {
            Ok(Some(id)) => Bson::try_from(id).ok(),
            _ => None,
        };
        let id = id
            .ok_or_else(|| Error::invalid(format!("a document of {} has no _id", T::COLLECTION)))?;
        let guards = references::guards_of::<T>(&bytes)?;
        let put = Put {
            document: bytes,
            keep: document.keep(),
        };
        Ok(Prepared {
            change: self.raw.change(id, guard, Action::Put(put)),
            guards,
        })
    }

    /// Commits the changes, and behind them what must be there for their references.
    async fn commit(&self, prepared: Vec<Prepared>) -> Result<Commit> {
        self.declare().await?;
        let mut guards = Guarded::default();
        let mut changes = Vec::with_capacity(prepared.len());
        for one in prepared {
            changes.push(one.change);
            guards.add(one.guards);
        }
        let count = changes.len();
        changes.extend(guards.changes());
        let batch = Batch {
            changes,
            durability: self.db().durability(),
            ..Batch::default()
        };
        let mut commit = match self.db().commit(batch).await {
            Ok(commit) => commit,
            Err(error) => return Err(guards.explain::<T>(error, count)),
        };
        commit.applied.truncate(count);
        Ok(commit)
    }

    fn first<'c>(&self, commit: &'c Commit) -> Result<&'c Applied> {
        let first = commit.applied.first();
        first.ok_or_else(|| Self::internal("a commit without outcomes"))
    }

    fn revision(&self, commit: &Commit) -> Result<Revision> {
        let revision = self.first(commit)?.revision;
        revision.ok_or_else(|| Self::internal("a commit without a revision"))
    }

    fn written(&self, commit: Commit) -> Result<Doc<T>> {
        let revision = self.revision(&commit)?;
        let document = self.first(&commit)?.document.as_ref();
        let body = document.ok_or_else(|| Self::internal("a commit without its document"))?;
        Ok(Doc::new(decode_body(body)?, revision))
    }

    /// Deletes one document; says whether there was one. What refers to it follows its rule:
    /// `restrict` refuses, `cascade` deletes, `set_null` empties the field, in the same batch.
    ///
    /// # Errors
    /// `Invalid` naming the collection that refers to it, for `restrict`.
    pub async fn delete(&self, id: &T::Id) -> Result<bool> {
        self.declare().await?;
        if !self.db().models().incoming(T::COLLECTION).is_empty() {
            let by_id = Expr::Field("_id".into(), crate::query::Pred::Eq(id.bson()));
            let deleted = references::delete(self.db(), T::COLLECTION, by_id).await?;
            return Ok(deleted > 0);
        }
        let written = self.raw.delete(id.bson(), Guard::Any).await?;
        Ok(written.effect == Effect::Deleted)
    }

    /// Deletes every document that matches, in one atomic batch; how many there were. References
    /// are followed as by [`Collection::delete`].
    ///
    /// # Errors
    /// `Invalid` when more than 10 000 match. Else as [`Collection::delete`].
    pub async fn delete_many(&self, filter: impl Into<Filter<T>>) -> Result<u64> {
        self.declare().await?;
        let filter = filter.into().into_expr()?;
        if !self.db().models().incoming(T::COLLECTION).is_empty() {
            return references::delete(self.db(), T::COLLECTION, filter).await;
        }
        Ok(self.raw.delete_many(&filter, false).await?.modified)
    }
}

/// A change and what must be there for it.
pub(super) struct Prepared {
    pub(super) change: Change,
    pub(super) guards: Guarded,
}

impl Prepared {
    fn bytes(&self) -> Option<&RawDocumentBuf> {
        match &self.change.action {
            Action::Put(put) => Some(&put.document),
            _ => None,
        }
    }

    /// Leaves out what the edit did not touch and the stored document lacks: values that a reader
    /// only made up, such as the instant of the read.
    fn leave_out_unedited(
        &mut self,
        before: &RawDocumentBuf,
        stored: &bson::RawDocument,
    ) -> Result<()> {
        let malformed =
            |error: bson::error::Error| Error::invalid(format!("malformed document: {error}"));
        let Action::Put(put) = &mut self.change.action else {
            return Ok(());
        };
        let mut kept = RawDocumentBuf::new();
        for element in &put.document {
            let (name, value) = element.map_err(malformed)?;
            let lacking = stored.get(name.as_str()).map_err(malformed)?.is_none();
            if !lacking || before.get(name.as_str()).map_err(malformed)? != Some(value) {
                kept.append(name, value);
            }
        }
        put.document = kept;
        Ok(())
    }
}

/// The document's bytes, once its own checks passed.
fn ready<T: Document>(document: &T) -> Result<RawDocumentBuf> {
    let mut broken = Vec::new();
    document.check(&mut broken);
    if broken.is_empty() {
        return document::encode(document);
    }
    Err(schema::refusal(T::COLLECTION, broken))
}

fn is_missing(error: &Error) -> bool {
    let first = error.refused().first();
    first.is_some_and(|refused| refused.change == 0 && refused.reason == RefusalReason::Missing)
}

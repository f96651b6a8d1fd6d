//! Interactive transactions: reads through a snapshot and what was written, one batch at the end.
//!
//! A transaction writes nothing until its body ends. The batch is guarded by everything the body
//! read: documents by their revisions, queries by the clocks of what they depend on. When somebody
//! was faster the body runs again on a new snapshot.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bson::{Bson, Document, RawDocumentBuf};
use futures_util::TryStreamExt;

use super::{Orlop, new_id};
use crate::document::Revision;
use crate::engine::{
    Action, Batch, Change, Guard, Put, Query, Seq, Snapshot, Stored, Tag, Unmoved,
};
use crate::pack::{Body, Shape, keys, merge};
use crate::query::{Expr, Matcher, Sort, Update, Updated};
use crate::{Error, ErrorKind, Refusal, RefusalReason, Result};

/// How often a body runs before its conflict is reported.
const ATTEMPTS: u32 = 24;

/// A transaction under way. A clone is the same transaction; after its end every call is `Closed`.
#[derive(Clone, Debug)]
pub struct Tx {
    db: Orlop,
    state: Arc<Mutex<State>>,
}

/// One collection inside a transaction, with documents as BSON.
#[derive(Clone, Debug)]
pub struct TxRaw {
    tx: Tx,
    name: Arc<str>,
}

/// The key of a document inside a transaction: collection, and the id's canonical bytes.
type Key = (Arc<str>, Vec<u8>);

struct State {
    snapshot: Arc<dyn Snapshot>,
    durability: crate::engine::Durability,
    /// Documents as this transaction leaves them; none for deleted ones.
    overlay: BTreeMap<Key, Option<Body>>,
    /// What was read of documents that are written too: their guards.
    read: BTreeMap<Key, Option<Revision>>,
    /// Writes in order, with the key each goes to.
    changes: Vec<(Key, Change)>,
    /// Clocks that must not move between the snapshot and the commit.
    tags: Vec<(Tag, Arc<str>)>,
    closed: bool,
}

impl Orlop {
    /// Runs `body` and commits what it wrote as one guarded batch; nothing of it is visible before.
    ///
    /// Serializable: the commit is refused when a document or a query the body read has changed,
    /// and the body then runs again, up to 24 times. So it may run more than once: keep effects
    /// that cannot be repeated out of it. Nothing is written when it returns an error.
    ///
    /// Write `async |tx| { .. }`; captures are borrowed. `async move` works with captures that are
    /// `Copy`, and a captured variable cannot be assigned to, because a body may run again.
    ///
    /// # Errors
    /// The body's own error, or ours: `Conflict` after the last attempt, `Invalid` and
    /// `AlreadyExists` when a write breaks a rule, `Unavailable` with its outcome.
    ///
    /// # Cost
    /// One snapshot, its reads, and one commit for each attempt. No lock is held.
    ///
    /// # Example
    /// ```
    /// # tokio::runtime::Runtime::new()?.block_on(async {
    /// let db = orlop::Orlop::open("memory:").await?;
    /// db.transaction(async |tx| {
    ///     let notes = tx.raw("notes");
    ///     notes.put(bson::doc! { "_id": 1, "text": "both" }).await?;
    ///     notes.put(bson::doc! { "_id": 2, "text": "or none" }).await
    /// })
    /// .await?;
    /// # Ok::<(), orlop::Error>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn transaction<R, E, F, Fut>(&self, mut body: F) -> Result<R, E>
    where
        F: FnMut(Tx) -> Fut + Send,
        Fut: Future<Output = Result<R, E>> + Send,
        E: From<Error> + Send,
        R: Send,
    {
        let mut attempt = 1;
        loop {
            let tx = Tx::begin(self).await?;
            let result = body(tx.clone()).await;
            let batch = tx.end();
            let value = result?;
            match self.commit_tx(batch).await {
                Ok(()) => return Ok(value),
                Err(error) if error.kind() == ErrorKind::Conflict && attempt < ATTEMPTS => {
                    attempt += 1;
                    // Whoever was faster gets to finish before the next try.
                    tokio::task::yield_now().await;
                }
                Err(error) => return Err(E::from(error)),
            }
        }
    }

    async fn commit_tx(&self, batch: Batch) -> Result<()> {
        if batch.changes.is_empty() {
            // Reads alone: the snapshot was consistent, there is nothing to defend.
            return Ok(());
        }
        self.commit(batch).await.map(|_| ())
    }
}

impl Tx {
    async fn begin(db: &Orlop) -> Result<Self> {
        Ok(Self {
            db: db.clone(),
            state: Arc::new(Mutex::new(State {
                snapshot: db.snapshot().await?,
                durability: db.durability(),
                overlay: BTreeMap::new(),
                read: BTreeMap::new(),
                changes: Vec::new(),
                tags: Vec::new(),
                closed: false,
            })),
        })
    }

    /// A collection by name, with documents as BSON.
    pub fn raw(&self, name: impl Into<Arc<str>>) -> TxRaw {
        TxRaw {
            tx: self.clone(),
            name: name.into(),
        }
    }

    pub(crate) fn db(&self) -> &Orlop {
        &self.db
    }

    /// The commit this transaction reads at; none when the engine has no commit number.
    ///
    /// # Errors
    /// `Closed` after the transaction ended.
    pub fn seq(&self) -> Result<Option<Seq>> {
        Ok(self.open()?.snapshot.seq())
    }

    fn open(&self) -> Result<MutexGuard<'_, State>> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match state.closed {
            true => Err(Error::new(
                ErrorKind::Closed,
                "the transaction has ended; use its handle inside the body only",
            )),
            false => Ok(state),
        }
    }

    /// Closes the handle and gives the batch it came to.
    fn end(&self) -> Batch {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.closed = true;
        let changes = std::mem::take(&mut state.changes);
        Batch {
            changes: changes.into_iter().map(|(_, change)| change).collect(),
            durability: state.durability,
            unmoved: state.snapshot.seq().map(|since| Unmoved {
                tags: std::mem::take(&mut state.tags),
                since,
            }),
            ..Batch::default()
        }
    }
}

impl TxRaw {
    pub(crate) fn tx(&self) -> &Tx {
        &self.tx
    }

    /// The document as this transaction sees it.
    ///
    /// # Errors
    /// `Invalid` when the id cannot be one, `Closed` after the end.
    pub async fn get(&self, id: &Bson) -> Result<Option<Body>> {
        let key = self.key(id)?;
        let snapshot = {
            let state = self.tx.open()?;
            if let Some(image) = state.overlay.get(&key) {
                return Ok(image.clone());
            }
            Arc::clone(&state.snapshot)
        };
        let found = snapshot
            .get_many(&self.name, std::slice::from_ref(id))
            .await?
            .pop()
            .flatten();
        let mut state = self.tx.open()?;
        state
            .tags
            .push((Tag::document(&self.name, &key.1), Arc::clone(&self.name)));
        state
            .read
            .insert(key, found.as_ref().map(|stored| stored.revision));
        Ok(found.map(|stored| stored.body))
    }

    /// The documents that match, as this transaction sees them.
    ///
    /// # Errors
    /// `Invalid` when the sort needs more memory than allowed, `Closed` after the end.
    ///
    /// # Cost
    /// The query on the snapshot; when this transaction wrote to the collection, the whole result
    /// is read and sorted before `skip` and `limit`.
    pub async fn find(
        &self,
        filter: Expr,
        sort: Sort,
        skip: u64,
        limit: Option<u64>,
    ) -> Result<Vec<Body>> {
        let (snapshot, mine) = {
            let mut state = self.tx.open()?;
            state
                .tags
                .push((Tag::collection(&self.name), Arc::clone(&self.name)));
            (Arc::clone(&state.snapshot), state.written(&self.name))
        };
        let alone = mine.is_empty();
        let query = Query {
            collection: Arc::clone(&self.name),
            filter: filter.clone(),
            sort: sort.clone(),
            projection: None,
            skip: if alone { skip } else { 0 },
            limit: if alone { limit } else { None },
            after: None,
        };
        let rows = snapshot.query(query).await?;
        let rows: Vec<Stored> = rows.try_collect().await?;
        let rows = rows.into_iter().map(|stored| stored.body);
        match alone {
            true => Ok(rows.collect()),
            false => overlaid(rows, mine, &filter, &sort, skip, limit),
        }
    }

    /// Stores the document whole, over whatever is there. Makes an `_id` when it has none.
    ///
    /// # Errors
    /// `Invalid` when it is malformed, `Closed` after the end. Rules of the collection are checked
    /// at the commit.
    pub async fn put(&self, document: Document) -> Result<()> {
        let id = document.get("_id").cloned().unwrap_or_else(new_id);
        let document = raw(&document)?;
        self.put_with(id, document, None).await
    }

    /// Stores a document; with `keep`, fields its type does not know stay (see [`Put`]).
    ///
    /// # Errors
    /// As [`TxRaw::put`].
    pub async fn put_with(
        &self,
        id: Bson,
        document: RawDocumentBuf,
        keep: Option<&'static Shape>,
    ) -> Result<()> {
        let before = match keep {
            Some(_) => self.get(&id).await?,
            None => None,
        };
        let image = match (&before, keep) {
            (Some(before), Some(shape)) => merge(before.raw(), &document, shape)?,
            _ => document.clone(),
        };
        let image = Body::seal(Body::pack(&image, &id)?, Revision(0));
        self.record(id, Some(image), Action::Put(Put { document, keep }))
    }

    /// Adds the document if there is none under its id; says whether it was added.
    ///
    /// # Errors
    /// As [`TxRaw::put`].
    pub async fn try_add(&self, document: Document) -> Result<bool> {
        let id = document.get("_id").cloned().unwrap_or_else(new_id);
        if self.get(&id).await?.is_some() {
            return Ok(false);
        }
        self.put_with(id, raw(&document)?, None).await?;
        Ok(true)
    }

    /// Stores the document if the one this transaction sees matches `condition`.
    ///
    /// # Errors
    /// `Conflict` when it does not match or is missing; return it from the body to roll back.
    pub async fn put_if(
        &self,
        id: Bson,
        document: RawDocumentBuf,
        keep: Option<&'static Shape>,
        condition: &Expr,
    ) -> Result<()> {
        let stored = self.get(&id).await?;
        self.demand(&id, stored.as_ref(), condition)?;
        self.put_with(id, document, keep).await
    }

    /// Updates one document; says whether there was one.
    ///
    /// # Errors
    /// `Invalid` when the update cannot apply.
    pub async fn update(&self, id: Bson, update: Arc<Update>, upsert: bool) -> Result<bool> {
        let now = bson::DateTime::now();
        let image = match self.get(&id).await? {
            Some(before) => match update.apply(before.raw(), None, now)? {
                Updated::Unchanged => return Ok(true),
                Updated::Changed(document) => document,
            },
            None if upsert => update.insert(Some(&id), &Expr::All, now)?,
            None => return Ok(false),
        };
        let image = Body::seal(Body::pack(&image, &id)?, Revision(0));
        self.record(id, Some(image), Action::Update { update, upsert })?;
        Ok(true)
    }

    /// Deletes one document; says whether there was one.
    ///
    /// # Errors
    /// `Closed` after the end.
    pub async fn delete(&self, id: Bson) -> Result<bool> {
        if self.get(&id).await?.is_none() {
            return Ok(false);
        }
        self.record(id, None, Action::Delete)?;
        Ok(true)
    }

    fn demand(&self, id: &Bson, stored: Option<&Body>, condition: &Expr) -> Result<()> {
        let reason = match stored {
            None => RefusalReason::Missing,
            Some(body) if matcher(condition)?.matches(body.raw())? => return Ok(()),
            Some(_) => RefusalReason::Condition,
        };
        let why = match reason {
            RefusalReason::Missing => "there is no such document",
            _ => "condition failed",
        };
        let change = self.tx.open()?.changes.len();
        let stored = stored.and_then(Body::revision);
        let message = format!("collection {}, document {id}: {why}", self.name);
        Err(Error::conflict(
            message,
            vec![Refusal {
                change,
                reason,
                stored,
            }],
        ))
    }

    /// Adds a change, guarded by what this transaction read of the document before its first write.
    fn record(&self, id: Bson, image: Option<Body>, action: Action) -> Result<()> {
        let key = self.key(&id)?;
        let mut state = self.tx.open()?;
        let first = !state.overlay.contains_key(&key);
        let guard = match state.read.get(&key) {
            Some(Some(revision)) if first => Guard::Revision(*revision),
            Some(None) if first => Guard::Absent,
            _ => Guard::Any,
        };
        let change = Change {
            collection: Arc::clone(&self.name),
            id,
            guard,
            action,
        };
        state.overlay.insert(key.clone(), image);
        state.changes.push((key, change));
        Ok(())
    }

    fn key(&self, id: &Bson) -> Result<Key> {
        Ok((Arc::clone(&self.name), keys::encode_id(id)?))
    }
}

impl State {
    /// What this transaction wrote to a collection.
    fn written(&self, name: &Arc<str>) -> Vec<(Vec<u8>, Option<Body>)> {
        let from = (Arc::clone(name), Vec::new());
        self.overlay
            .range(from..)
            .take_while(|((collection, _), _)| collection == name)
            .map(|((_, id_key), image)| (id_key.clone(), image.clone()))
            .collect()
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("changes", &self.changes.len())
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}

/// The rows of the snapshot with what was written since, in order.
fn overlaid(
    rows: impl Iterator<Item = Body>,
    mine: Vec<(Vec<u8>, Option<Body>)>,
    filter: &Expr,
    sort: &Sort,
    skip: u64,
    limit: Option<u64>,
) -> Result<Vec<Body>> {
    let matcher = matcher(filter)?;
    let mine: BTreeMap<Vec<u8>, Option<Body>> = mine.into_iter().collect();
    let mut found = Vec::new();
    for body in rows {
        let id_key = keys::encode_id(&body.id()?)?;
        if !mine.contains_key(&id_key) {
            found.push((keys::sort_key(sort, body.raw())?, id_key, body));
        }
    }
    for (id_key, image) in mine {
        if let Some(body) = image
            && matcher.matches(body.raw())?
        {
            found.push((keys::sort_key(sort, body.raw())?, id_key, body));
        }
    }
    found.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
    let limit = usize::try_from(limit.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
    let skip = usize::try_from(skip).unwrap_or(usize::MAX);
    let bodies = found.into_iter().map(|(_, _, body)| body);
    Ok(bodies.skip(skip).take(limit).collect())
}

fn matcher(filter: &Expr) -> Result<Matcher> {
    Matcher::at(filter, bson::DateTime::now())
}

fn raw(document: &Document) -> Result<RawDocumentBuf> {
    RawDocumentBuf::try_from(document)
        .map_err(|error| Error::invalid(format!("malformed document: {error}")))
}

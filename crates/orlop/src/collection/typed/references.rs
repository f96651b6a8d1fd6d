//! References: what a write guards, what a delete does to those that refer to it, and reading them.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use bson::{Bson, Document as BsonDocument, RawBsonRef, RawDocument};

use super::Collection;
use super::models::{Incoming, Models};
use crate::cache::Doc;
use crate::collection::references::values_at;
use crate::collection::{Orlop, Tx};
use crate::document::{Document, Id, Key, OnDelete};
use crate::engine::{Action, Change, Guard};
use crate::pack::{Body, keys};
use crate::query::update::{Op, Step};
use crate::query::{Expr, Pred, Sort, Update};
use crate::{Error, ErrorKind, FieldError, Result};

/// Documents one delete takes away at most, those that follow included.
const DELETES_MAX: usize = 10_000;

/// Documents that must be there for a write, and the fields that name them.
#[derive(Default)]
pub(super) struct Guarded(Vec<Target>);

struct Target {
    path: &'static str,
    collection: &'static str,
    id: Bson,
}

impl Guarded {
    pub(super) fn add(&mut self, other: Self) {
        for target in other.0 {
            self.push(target.path, target.collection, target.id);
        }
    }

    fn push(&mut self, path: &'static str, collection: &'static str, id: Bson) {
        let known = |it: &Target| it.path == path && it.collection == collection && it.id == id;
        if !self.0.iter().any(known) {
            self.0.push(Target {
                path,
                collection,
                id,
            });
        }
    }

    /// Changes that change nothing, each guarded by the presence of its document.
    pub(super) fn changes(&self) -> Vec<Change> {
        let change = |target: &Target| Change {
            collection: target.collection.into(),
            id: target.id.clone(),
            guard: Guard::Present,
            action: Action::Update {
                update: nothing(),
                upsert: false,
            },
        };
        self.0.iter().map(change).collect()
    }

    /// A refusal of one of those changes, the first of which is the `first` of the batch, as what
    /// it is: a field that names nothing.
    pub(super) fn explain<T: Document>(&self, error: Error, first: usize) -> Error {
        if error.kind() != ErrorKind::Conflict {
            return error;
        }
        let mut broken = Vec::new();
        for refused in error.refused() {
            let target = refused
                .change
                .checked_sub(first)
                .and_then(|at| self.0.get(at));
            let Some(target) = target else {
                // A guard of the caller's refused too; that comes first.
                return error;
            };
            broken.push(names_nothing(target.path, target.collection));
        }
        match broken.is_empty() {
            true => error,
            false => crate::document::schema::refusal(T::COLLECTION, broken),
        }
    }
}

/// The broken rule of a field that names a document of `collection` which is not there.
pub(crate) fn names_nothing(path: &str, collection: &str) -> FieldError {
    FieldError {
        field: path.to_owned(),
        rule: "references".to_owned(),
        message: format!("names a document of {collection} that is not there"),
    }
}

/// What must be there for a document of type `T`.
pub(super) fn guards_of<T: Document>(document: &RawDocument) -> Result<Guarded> {
    let mut guards = Guarded::default();
    for reference in T::references() {
        for id in values_at(document, reference.path)? {
            guards.push(reference.path, reference.collection, id);
        }
    }
    Ok(guards)
}

/// What must be there for an update of documents of type `T`: the values it brings to fields that
/// refer to others.
pub(super) fn guards_of_update<T: Document>(update: &Bson) -> Result<Guarded> {
    let mut guards = Guarded::default();
    if T::references().is_empty() {
        return Ok(guards);
    }
    let Bson::Document(update) = update else {
        return Err(Error::unsupported(format!(
            "collection {}: an update pipeline of a type with references; use operators",
            T::COLLECTION
        )));
    };
    for (operator, operands) in update {
        let Bson::Document(operands) = operands else {
            continue;
        };
        for (path, operand) in operands {
            for reference in T::references() {
                let within = |outer: &str, inner: &str| {
                    inner
                        .strip_prefix(outer)
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
                };
                if operator == "$rename" {
                    let to = operand.as_str().unwrap_or_default();
                    if within(reference.path, to) || within(to, reference.path) {
                        return Err(Error::unsupported(format!(
                            "collection {}: $rename to {}, which refers to {}",
                            T::COLLECTION,
                            reference.path,
                            reference.collection
                        )));
                    }
                }
                for id in brought(operator, path, operand, reference.path)? {
                    guards.push(reference.path, reference.collection, id);
                }
            }
        }
    }
    Ok(guards)
}

/// The ids that an operand brings to the reference at `reference`.
fn brought(operator: &str, path: &str, operand: &Bson, reference: &str) -> Result<Vec<Bson>> {
    let values = match (operator, operand) {
        ("$set" | "$setOnInsert" | "$min" | "$max", value) => vec![value.clone()],
        ("$push" | "$addToSet", Bson::Document(each)) if each.contains_key("$each") => {
            each.get_array("$each").cloned().unwrap_or_default()
        }
        ("$push" | "$addToSet", value) => vec![value.clone()],
        _ => return Ok(Vec::new()),
    };
    // Below the reference (an element of an array) the value is an id; above it, it holds one.
    let inside = match reference.strip_prefix(path) {
        Some("") => String::new(),
        Some(rest) if rest.starts_with('.') => rest.to_owned(),
        _ if path
            .strip_prefix(reference)
            .is_some_and(|rest| rest.starts_with('.')) =>
        {
            String::new()
        }
        _ => return Ok(Vec::new()),
    };
    let mut held = BsonDocument::new();
    held.insert("it", values);
    let held = bson::RawDocumentBuf::try_from(&held)
        .map_err(|error| Error::invalid(format!("malformed update: {error}")))?;
    values_at(&held, &format!("it{inside}"))
}

fn nothing() -> Arc<Update> {
    static NOTHING: OnceLock<Arc<Update>> = OnceLock::new();
    let nothing = || {
        let update = Update::new(Vec::new(), Vec::new());
        Arc::new(update.expect("an update without steps is one"))
    };
    Arc::clone(NOTHING.get_or_init(nothing))
}

/// Deletes what matches, and does to what refers to it what its rules say, in one batch.
pub(super) async fn delete(db: &Orlop, collection: &'static str, filter: Expr) -> Result<u64> {
    db.transaction(async |tx| delete_in(&tx, db.models(), collection, filter.clone()).await)
        .await
}

/// As [`delete`], as part of a transaction.
pub(crate) async fn delete_in(
    tx: &Tx,
    models: &Models,
    collection: &'static str,
    filter: Expr,
) -> Result<u64> {
    let found = find(tx, collection, filter).await?;
    let mut fate = Fate::default();
    for body in &found {
        fate.doom(collection, body.id()?)?;
    }
    let mut next = 0;
    while let Some((collection, id)) = fate.doomed.get(next).cloned() {
        next += 1;
        for incoming in models.incoming(collection) {
            let refers = Expr::Field(incoming.path.into(), Pred::Eq(id.clone()));
            for body in find(tx, incoming.from, refers).await? {
                fate.meet(&incoming, collection, &id, &body)?;
            }
        }
    }
    fate.carry_out(tx).await?;
    Ok(found.len() as u64)
}

async fn find(tx: &Tx, collection: &'static str, filter: Expr) -> Result<Vec<Body>> {
    tx.raw(collection)
        .find(filter, Sort::default(), 0, None)
        .await
}

/// What a delete comes to.
#[derive(Default)]
struct Fate {
    /// Documents to delete, in the order they were met.
    doomed: Vec<(&'static str, Bson)>,
    known: HashSet<(&'static str, Vec<u8>)>,
    /// Fields to empty: the collection, the document, and the update.
    emptied: Vec<(&'static str, Bson, Step)>,
    /// Documents that must not refer to the other collection any more.
    held: Vec<(&'static str, Bson, &'static str)>,
}

impl Fate {
    fn doom(&mut self, collection: &'static str, id: Bson) -> Result<()> {
        if self.known.insert((collection, keys::encode_id(&id)?)) {
            self.doomed.push((collection, id));
        }
        if self.doomed.len() > DELETES_MAX {
            return Err(Error::invalid(format!(
                "the delete takes more than {DELETES_MAX} documents with it"
            )));
        }
        Ok(())
    }

    fn meet(
        &mut self,
        incoming: &Incoming,
        target: &'static str,
        id: &Bson,
        body: &Body,
    ) -> Result<()> {
        let source = body.id()?;
        match incoming.on_delete {
            OnDelete::Ignore => {}
            OnDelete::Cascade => self.doom(incoming.from, source)?,
            OnDelete::Restrict => self.held.push((incoming.from, source, target)),
            OnDelete::SetNull => {
                let op = match body.raw().get(incoming.path) {
                    Ok(Some(RawBsonRef::Array(_))) => Op::PullAll(vec![id.clone()]),
                    _ => Op::Set(Bson::Null),
                };
                let step = Step::new(incoming.path, op);
                self.emptied.push((incoming.from, source, step));
            }
        }
        Ok(())
    }

    /// Whoever is deleted too neither holds anything back nor has anything to empty.
    fn goes(&self, collection: &'static str, id: &Bson) -> Result<bool> {
        Ok(self.known.contains(&(collection, keys::encode_id(id)?)))
    }

    async fn carry_out(self, tx: &Tx) -> Result<()> {
        for (from, source, target) in &self.held {
            if !self.goes(from, source)? {
                return Err(Error::invalid(format!(
                    "collection {target}: a document is not deleted, {from} refers to it"
                )));
            }
        }
        for (from, source, step) in &self.emptied {
            if !self.goes(from, source)? {
                let update = Update::new(vec![step.clone()], Vec::new())?;
                tx.raw(*from)
                    .update(source.clone(), Arc::new(update), false)
                    .await?;
            }
        }
        for (collection, id) in self.doomed {
            tx.raw(collection).delete(id).await?;
        }
        Ok(())
    }
}

/// Something that names documents of type `U`.
pub trait Refs<U: Document> {
    /// The ids.
    fn ids(self) -> Vec<U::Id>;
}

impl<U: Document<Id = Id<U, K>>, K: Key> Refs<U> for Id<U, K> {
    fn ids(self) -> Vec<Self> {
        vec![self]
    }
}

impl<U: Document<Id = Id<U, K>>, K: Key> Refs<U> for &Id<U, K> {
    fn ids(self) -> Vec<Id<U, K>> {
        vec![self.clone()]
    }
}

impl<U: Document<Id = Id<U, K>>, K: Key> Refs<U> for Option<Id<U, K>> {
    fn ids(self) -> Vec<Id<U, K>> {
        self.into_iter().collect()
    }
}

impl<U: Document<Id = Id<U, K>>, K: Key> Refs<U> for Vec<Id<U, K>> {
    fn ids(self) -> Vec<Id<U, K>> {
        self
    }
}

impl<T: Document> Collection<T> {
    /// The documents that these refer to, in one read: for each document those it names, in its
    /// order; none for one that is not there.
    ///
    /// `fetch_refs(&tasks, |task| task.user_id)` gives the users of the tasks.
    ///
    /// # Errors
    /// As [`Collection::get_many`].
    ///
    /// # Cost
    /// One `get_many` of the different ids, as of one instant.
    pub async fn fetch_refs<U: Document, R: Refs<U>>(
        &self,
        documents: &[Doc<T>],
        refs: impl Fn(&T) -> R,
    ) -> Result<Vec<Vec<Option<Doc<U>>>>> {
        let mut places = HashMap::new();
        let mut wanted = Vec::new();
        let mut named = Vec::with_capacity(documents.len());
        for document in documents {
            let mut places_of = Vec::new();
            for id in refs(document).ids() {
                let key = keys::encode_id(&id.bson())?;
                places_of.push(*places.entry(key).or_insert_with(|| {
                    wanted.push(id);
                    wanted.len() - 1
                }));
            }
            named.push(places_of);
        }
        let found = self.db().collection::<U>().get_many(&wanted).await?;
        let at = |place: &usize| found.get(*place).cloned().flatten();
        Ok(named
            .iter()
            .map(|places| places.iter().map(at).collect())
            .collect())
    }
}

//! A group of batches on its way to one write: what it changes, seen by its later batches.
//!
//! A batch that fails leaves no trace: everything it did to the group is undone before the next
//! one is looked at.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bson::Bson;
use bytes::Bytes;

use super::catalog::{Catalog, Collection, Counts, Index};
use super::change::{self, Images};
use super::prepare::{Prepared, PreparedChange, Step, Touched};
use crate::defences::Defence;
use crate::document::{Declaration, Revision};
use crate::engine::kv::{KeyRange, View};
use crate::engine::log::{Record, RecordChange};
use crate::engine::records::{self, CollectionNumber};
use crate::engine::{Applied, Clocks, Commit, Effect, IndexState, Seq, Tag, Unmoved};
use crate::pack::{Body, keys};
use crate::{Error, ErrorKind, FieldError, Refusal, Result};

/// Kinds of a change in the log. docs/format.md "Log records".
pub(super) const DOCUMENT: u8 = 0;
/// The collection was emptied.
pub(super) const TRUNCATE: u8 = 1;
/// The collection was dropped.
pub(super) const DROP: u8 = 2;

/// The writes of one group.
pub(super) struct Group {
    view: Arc<dyn View>,
    /// The clocks as they stand before this group; none while the log is replayed.
    clocks: Option<Arc<Clocks>>,
    pub(super) catalog: Arc<Catalog>,
    /// The last number given out.
    pub(super) seq: Seq,
    /// The wall clock of the whole group.
    now: bson::DateTime,
    /// Pairs to write: the last word on each key. In order, which the store below takes faster
    /// than any other: its memory is a sorted structure too.
    pub(super) pairs: BTreeMap<Bytes, Option<Bytes>>,
    /// Those of the batch at hand, over `pairs`; dropped when it is refused.
    batch: BTreeMap<Bytes, Option<Bytes>>,
    /// The same for entries of unique indexes, in order.
    unique: BTreeMap<Bytes, bool>,
    pub(super) counts: HashMap<CollectionNumber, Counts>,
    /// Clocks to move.
    pub(super) tags: Vec<(Tag, Seq)>,
    /// Clocks of whole collections to move, by the collection's tag.
    pub(super) wholes: Vec<(Tag, Seq)>,
    /// Every clock moves to this number.
    pub(super) all_tags: Option<Seq>,
    pub(super) records: Vec<Arc<Record>>,
    undo: Vec<Undo>,
}

/// How to take back one step of a batch.
enum Undo {
    Unique(Bytes, Option<bool>),
    Counts(CollectionNumber, Option<Counts>),
}

impl Group {
    pub(super) fn new(
        view: Arc<dyn View>,
        clocks: Option<Arc<Clocks>>,
        catalog: Arc<Catalog>,
        seq: Seq,
    ) -> Self {
        Self {
            view,
            clocks,
            catalog,
            seq,
            now: bson::DateTime::now(),
            pairs: BTreeMap::new(),
            batch: BTreeMap::new(),
            unique: BTreeMap::new(),
            counts: HashMap::new(),
            tags: Vec::new(),
            wholes: Vec::new(),
            all_tags: None,
            records: Vec::new(),
            undo: Vec::new(),
        }
    }

    /// Whether it does the log's records again, instead of making new ones.
    pub(super) fn replays(&self) -> bool {
        self.clocks.is_none()
    }

    /// Adds a batch, or refuses it and leaves the group as it was.
    ///
    /// # Errors
    /// `Conflict`: guards refused it. `Invalid`, `AlreadyExists`: it breaks a rule.
    pub(super) fn add(&mut self, batch: Prepared) -> Result<Commit> {
        self.undo.clear();
        let catalog = Arc::clone(&self.catalog);
        let (tags, wholes) = (self.tags.len(), self.wholes.len());
        let result = self.add_changes(batch);
        if result.is_err() {
            self.catalog = catalog;
            self.tags.truncate(tags);
            self.wholes.truncate(wholes);
            self.take_back();
        } else {
            self.keep();
        }
        result
    }

    fn add_changes(&mut self, batch: Prepared) -> Result<Commit> {
        let seq = self.seq + 1;
        if let Some(unmoved) = &batch.unmoved {
            self.check_unmoved(unmoved)?;
        }
        let mut refused = Vec::new();
        let mut applied = Vec::with_capacity(batch.changes.len());
        let mut record = Record {
            seq,
            at_ms: self.now.timestamp_millis(),
            origin: batch.origin,
            ..Record::default()
        };
        for (at, change) in batch.changes.into_iter().enumerate() {
            match self.apply(&mut record, change, batch.verbatim)? {
                Ok(outcome) => applied.push(outcome),
                Err((reason, stored)) => refused.push(Refusal {
                    change: at,
                    reason,
                    stored,
                }),
            }
        }
        if !refused.is_empty() {
            return Err(Error::conflict(change::conflict_message(&refused), refused));
        }
        for touched in batch.touches {
            match touched {
                Touched::Tag(tag) => self.tags.push((tag, seq)),
                Touched::Whole(tag) => self.wholes.push((tag, seq)),
                Touched::All => self.all_tags = Some(seq),
            }
        }
        self.seq = seq;
        self.records.push(Arc::new(record));
        Ok(Commit { seq, applied })
    }

    /// Refuses a batch whose writer read something that has changed since, here or in this group.
    fn check_unmoved(&self, unmoved: &Unmoved) -> Result<()> {
        let stands = |(tag, collection): &(Tag, Arc<str>)| {
            let whole = Tag::collection(collection);
            let clocks = self.clocks.as_ref();
            clocks.is_none_or(|clocks| clocks.current(*tag, whole, unmoved.since))
                && !self.tags.iter().any(|(moved, _)| moved == tag)
                && !self.wholes.iter().any(|(moved, _)| *moved == whole)
        };
        if self.all_tags.is_none() && unmoved.tags.iter().all(stands) {
            return Ok(());
        }
        Err(Error::conflict(
            format!(
                "what was read at commit {} has changed since",
                unmoved.since
            ),
            Vec::new(),
        ))
    }

    /// Applies one change; the inner error is a guard's refusal.
    fn apply(
        &mut self,
        record: &mut Record,
        change: PreparedChange,
        verbatim: bool,
    ) -> Result<Result<Applied, change::Refused>> {
        if let Step::Truncate | Step::Drop | Step::Declare(_) = change.step {
            return self.apply_whole(record, &change).map(Ok);
        }
        let seq = record.seq;
        let collection = self.catalog.get(&change.collection).cloned();
        let before = match &collection {
            Some(collection) => self.document(collection, &change.id, &change.id_key)?,
            None => None,
        };
        let matched = match change::test(&change.guard, before.as_ref())? {
            Ok(matched) => matched,
            Err(refused) => return Ok(Err(refused)),
        };
        let declaration = collection
            .as_ref()
            .map(|collection| &*collection.declaration);
        let images = Images {
            before: before.as_ref(),
            matched,
            now: self.now,
            declaration: declaration.filter(|_| !verbatim),
        };
        let after = change::after(&change.id, change.step, &images)
            .map_err(|error| named(error, &change.collection, &change.id))?;
        let effect = after.effect;
        let (revision, document) = match after.packed {
            Some(packed) => {
                let collection = match collection {
                    Some(collection) => collection,
                    None => self.create(&change.collection)?,
                };
                let body = Body::seal(packed, Revision(seq));
                self.validate(&collection, &body)
                    .map_err(|error| named(error, &change.collection, &change.id))?;
                self.write(
                    seq,
                    &collection,
                    &change.id_key,
                    before.as_ref(),
                    Some(&body),
                )
                .map_err(|error| named(error, &change.collection, &change.id))?;
                (Some(Revision(seq)), Some(body))
            }
            None if effect == Effect::Deleted => {
                if let Some(collection) = &collection {
                    self.write(seq, collection, &change.id_key, before.as_ref(), None)?;
                }
                (None, None)
            }
            None => (before.as_ref().and_then(Body::revision), before.clone()),
        };
        if !matches!(effect, Effect::Unchanged | Effect::Missing) {
            record.changes.push(RecordChange {
                kind: DOCUMENT,
                number: self.number(&change.collection),
                collection: Arc::clone(&change.collection),
                before: before.map(|body| body.bytes().clone()),
                after: document.as_ref().map(|body| body.bytes().clone()),
            });
        }
        Ok(Ok(Applied {
            effect,
            revision,
            document,
        }))
    }

    fn apply_whole(&mut self, record: &mut Record, change: &PreparedChange) -> Result<Applied> {
        let name = &change.collection;
        let number = self.number(name);
        let known = self.catalog.get(name).is_some();
        let kind = match &change.step {
            Step::Declare(declaration) => {
                self.declare(name, declaration)?;
                record.catalog.push(encode_declaration(name, declaration)?);
                None
            }
            Step::Truncate => Some(TRUNCATE),
            _ => Some(DROP),
        };
        if let (Some(kind), true) = (kind, known) {
            self.empty(name, kind);
            record.changes.push(RecordChange {
                kind,
                number,
                collection: Arc::clone(name),
                before: None,
                after: None,
            });
        }
        self.wholes.push((Tag::collection(name), record.seq));
        Ok(Applied {
            effect: match known {
                true => Effect::Collection,
                false => Effect::Missing,
            },
            revision: None,
            document: None,
        })
    }

    /// Does what a record of the log says was done.
    pub(super) fn replay(&mut self, record: &Record) -> Result<()> {
        for declared in &record.catalog {
            let (name, declaration) = decode_declaration(declared)?;
            self.declare(&name, &declaration)?;
        }
        for change in &record.changes {
            if change.kind != DOCUMENT {
                self.empty(&change.collection, change.kind);
                continue;
            }
            let collection = match self.catalog.get(&change.collection) {
                Some(collection) => Arc::clone(collection),
                None => self.create(&change.collection)?,
            };
            let id_key = keys::encode_id(&change.id()?)?;
            let image = |bytes: &Option<Bytes>| bytes.clone().map(Body::from_stored).transpose();
            let (before, after) = (image(&change.before)?, image(&change.after)?);
            self.write(
                record.seq,
                &collection,
                &id_key,
                before.as_ref(),
                after.as_ref(),
            )?;
        }
        self.seq = record.seq;
        self.undo.clear();
        self.tags.clear();
        self.keep();
        Ok(())
    }

    /// Indexes one document for an index that is being built.
    pub(super) fn index_existing(
        &mut self,
        collection: &Collection,
        index: &Index,
        id_key: &[u8],
        body: &Body,
    ) -> Result<bool> {
        let found = keys::index_keys(&index.spec, body.raw())?;
        for values in &found.keys {
            self.add_entry(collection, index, values, id_key)?;
        }
        Ok(found.multikey)
    }

    /// The document as this group leaves it so far.
    fn document(&self, collection: &Collection, id: &Bson, id_key: &[u8]) -> Result<Option<Body>> {
        let key = records::document_key(collection.number, id_key);
        self.value(&key)?
            .map(|record| records::decode_record(&key, &record))
            .transpose()
            .map_err(|error| named(error, &collection.name, id))
    }

    fn create(&mut self, name: &Arc<str>) -> Result<Arc<Collection>> {
        self.declare(name, &Declaration::default())?;
        Ok(Arc::clone(
            self.catalog.get(name).expect("it was just declared"),
        ))
    }

    fn declare(&mut self, name: &Arc<str>, declaration: &Declaration) -> Result<()> {
        let documents = match self.catalog.get(name).map(|old| old.number) {
            Some(number) => self.counts(number)?.documents,
            None => 0,
        };
        Arc::make_mut(&mut self.catalog).declare(name, declaration, documents)
    }

    fn empty(&mut self, name: &str, kind: u8) {
        let catalog = Arc::make_mut(&mut self.catalog);
        match kind {
            TRUNCATE => catalog.truncate(name),
            _ => catalog.drop_collection(name),
        }
    }

    fn number(&self, name: &str) -> CollectionNumber {
        self.catalog.get(name).map_or(0, |known| known.number)
    }

    fn validate(&self, collection: &Collection, body: &Body) -> Result<()> {
        let Some(validator) = &collection.validator else {
            return Ok(());
        };
        let broken = validator.check(body.raw());
        match broken.first() {
            None => Ok(()),
            Some(first) => Err(Error::invalid(format!(
                "field {} breaks rule {}: {}",
                first.field, first.rule, first.message
            ))
            .with_fields(broken)),
        }
    }

    /// Writes a document's record and the difference its images make to indexes, counts and clocks.
    fn write(
        &mut self,
        seq: Seq,
        collection: &Collection,
        id_key: &[u8],
        before: Option<&Body>,
        after: Option<&Body>,
    ) -> Result<()> {
        for index in &collection.indexes {
            if !matches!(index.progress.state, IndexState::Failed(_)) {
                self.write_entries(collection, index, id_key, before, after)?;
            }
        }
        let key = records::document_key(collection.number, id_key);
        let record = after.map(|body| records::encode_record(&key, body));
        self.set(key, record);
        self.recount(collection.number, before, after)?;
        self.tags
            .push((Tag::document(&collection.name, id_key), seq));
        self.tags.push((Tag::collection(&collection.name), seq));
        for scope in &collection.declaration.scopes {
            let before = before.filter(|_| Defence::OldScopeMovesToo.stands());
            for body in before.into_iter().chain(after) {
                for values in keys::scope_keys(scope, body.raw())? {
                    self.tags
                        .push((Tag::scope(&collection.name, scope, &values), seq));
                }
            }
        }
        Ok(())
    }

    fn write_entries(
        &mut self,
        collection: &Collection,
        index: &Index,
        id_key: &[u8],
        before: Option<&Body>,
        after: Option<&Body>,
    ) -> Result<()> {
        let old = match before {
            Some(body) => keys::index_keys(&index.spec, body.raw())?.keys,
            None => Vec::new(),
        };
        let new = match after {
            Some(body) => keys::index_keys(&index.spec, body.raw())?,
            None => Default::default(),
        };
        for values in old.iter().filter(|values| !new.keys.contains(values)) {
            let key = records::entry_key(index.number, values, id_key);
            self.set_unique(index, &key, false);
            self.set(key, None);
        }
        for values in new.keys.iter().filter(|values| !old.contains(values)) {
            self.add_entry(collection, index, values, id_key)?;
        }
        if new.multikey && !index.progress.multikey {
            self.set_multikey(&collection.name, index);
        }
        Ok(())
    }

    fn set_multikey(&mut self, name: &str, index: &Index) {
        let catalog = Arc::make_mut(&mut self.catalog);
        let current = catalog
            .get(name)
            .and_then(|now| {
                now.indexes
                    .iter()
                    .find(|other| other.number == index.number)
            })
            .map_or_else(|| index.progress.clone(), |other| other.progress.clone());
        let progress = super::catalog::Progress {
            multikey: true,
            ..current
        };
        catalog.set_progress(name, index.number, progress);
    }

    fn add_entry(
        &mut self,
        collection: &Collection,
        index: &Index,
        values: &[u8],
        id_key: &[u8],
    ) -> Result<()> {
        let key = records::entry_key(index.number, values, id_key);
        if index.spec.unique && self.taken(index, values, &key)? {
            return Err(duplicate(&collection.name, index));
        }
        self.set_unique(index, &key, true);
        self.set(key, Some(Bytes::new()));
        Ok(())
    }

    /// Whether another document holds these values in a unique index.
    fn taken(&self, index: &Index, values: &[u8], own: &Bytes) -> Result<bool> {
        let mut prefix = records::entry_prefix(index.number).to_vec();
        prefix.extend_from_slice(values);
        let range = KeyRange::prefix(&prefix);
        let bounds = Bytes::from(range.low.clone())..Bytes::from(range.high.clone());
        let added = |(key, present): (&Bytes, &bool)| *present && key != own;
        if self.unique.range(bounds).any(added) {
            return Ok(true);
        }
        for pair in self.view.range(&range, false) {
            let (key, _) = pair?;
            if key != *own && self.unique.get(&key) != Some(&false) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn set_unique(&mut self, index: &Index, key: &Bytes, present: bool) {
        if index.spec.unique {
            let old = self.unique.insert(key.clone(), present);
            self.undo.push(Undo::Unique(key.clone(), old));
        }
    }

    /// The value of a key as this group leaves it so far.
    pub(super) fn value(&self, key: &[u8]) -> Result<Option<Bytes>> {
        match self.batch.get(key).or_else(|| self.pairs.get(key)) {
            Some(pair) => Ok(pair.clone()),
            None => self.view.get(key),
        }
    }

    /// The first stored keys of a range. What this group adds is not among them.
    pub(super) fn keys(&self, range: &KeyRange, most: usize) -> Result<Vec<Bytes>> {
        let pairs = self.view.range(range, false).take(most);
        pairs.map(|pair| pair.map(|(key, _)| key)).collect()
    }

    pub(super) fn set(&mut self, key: Bytes, value: Option<Bytes>) {
        self.batch.insert(key, value);
    }

    fn recount(
        &mut self,
        number: CollectionNumber,
        before: Option<&Body>,
        after: Option<&Body>,
    ) -> Result<()> {
        let mut counts = self.counts(number)?;
        if let Some(body) = before {
            counts.documents = counts.documents.saturating_sub(1);
            counts.bytes = counts.bytes.saturating_sub(body.bytes().len() as u64);
        }
        if let Some(body) = after {
            counts.documents += 1;
            counts.bytes += body.bytes().len() as u64;
        }
        let old = self.counts.insert(number, counts);
        self.undo.push(Undo::Counts(number, old));
        Ok(())
    }

    fn counts(&self, number: CollectionNumber) -> Result<Counts> {
        match self.counts.get(&number) {
            Some(counts) => Ok(*counts),
            None => Counts::load(&*self.view, number),
        }
    }

    /// The batch at hand is part of the group.
    pub(super) fn keep(&mut self) {
        match self.pairs.is_empty() {
            true => std::mem::swap(&mut self.pairs, &mut self.batch),
            false => self.pairs.extend(std::mem::take(&mut self.batch)),
        }
    }

    fn take_back(&mut self) {
        self.batch.clear();
        while let Some(undo) = self.undo.pop() {
            match undo {
                Undo::Counts(number, old) => restore(&mut self.counts, number, old),
                Undo::Unique(key, Some(old)) => {
                    self.unique.insert(key, old);
                }
                Undo::Unique(key, None) => {
                    self.unique.remove(&key);
                }
            }
        }
    }
}

fn encode_declaration(name: &str, declaration: &Declaration) -> Result<Bytes> {
    let record = bson::doc! { "name": name, "declaration": declaration.to_document() };
    let bytes = record
        .to_vec()
        .map_err(|error| Error::invalid(format!("declaration of {name}: {error}")))?;
    Ok(Bytes::from(bytes))
}

fn decode_declaration(bytes: &[u8]) -> Result<(Arc<str>, Declaration)> {
    let broken = |what: String| Error::corrupt(format!("declaration in the log: {what}"));
    let record = bson::Document::from_reader(bytes).map_err(|error| broken(error.to_string()))?;
    let name = record
        .get_str("name")
        .map_err(|error| broken(error.to_string()))?;
    let declaration = record
        .get_document("declaration")
        .map_err(|error| broken(error.to_string()))?;
    Ok((name.into(), Declaration::from_document(declaration)?))
}

fn restore<K: std::hash::Hash + Eq, V>(map: &mut HashMap<K, V>, key: K, old: Option<V>) {
    match old {
        Some(old) => map.insert(key, old),
        None => map.remove(&key),
    };
}

fn duplicate(collection: &str, index: &Index) -> Error {
    let fields: Vec<&str> = index
        .spec
        .keys
        .iter()
        .map(|(path, _)| path.as_str())
        .collect();
    let field = fields.join(", ");
    Error::new(
        ErrorKind::AlreadyExists,
        format!(
            "collection {collection}: another document has the same {field} (unique index {})",
            index.spec.name
        ),
    )
    .with_fields(vec![FieldError {
        message: format!("another document has the same {field}"),
        field,
        rule: "unique".to_owned(),
    }])
}

/// The error with the document it speaks of in front, unless it names its collection already.
fn named(error: Error, collection: &str, id: &Bson) -> Error {
    if error.message().starts_with("collection ") {
        return error;
    }
    error.context(format!("collection {collection}, document {id}"))
}

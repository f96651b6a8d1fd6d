//! What the store holds: collections by name, their numbers, declarations and indexes.
//!
//! A catalog is a value: the committer clones and changes it, readers see the one of their
//! snapshot. Two kinds of records keep it, with different rules. What was *declared* is logged, so
//! replaying the log re-creates it with the same numbers. How far an index *is built* is written
//! only to the key-value store, together with the entries it speaks of.

use std::collections::BTreeMap;
use std::sync::Arc;

use bson::{Document, doc};
use bytes::Bytes;

use crate::document::schema::Validator;
use crate::document::{Declaration, IndexSpec};
use crate::engine::IndexState;
use crate::engine::kv::{KeyRange, View};
use crate::engine::records::{self, CollectionNumber, IndexNumber};
use crate::{Error, Result};

/// Prefix of the names of collection records in the meta space.
const COLLECTION: &str = "collection/";
/// Prefix of the names of index states.
const INDEX: &str = "index/";
/// Prefix of the names of ranges left to erase.
const ERASE: &str = "erase/";
/// The last number given to a collection or an index.
const LAST_NUMBER: &str = "last-number";

/// One index with its number.
#[derive(Debug, Clone)]
pub(crate) struct Index {
    pub(crate) number: IndexNumber,
    pub(crate) spec: Arc<IndexSpec>,
    pub(crate) progress: Progress,
}

/// How far an index is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Progress {
    pub(crate) state: IndexState,
    /// Some document gave it more than one key, ever.
    pub(crate) multikey: bool,
    /// While building: the id's key of the last document indexed.
    pub(crate) cursor: Vec<u8>,
}

/// One collection.
#[derive(Debug, Clone)]
pub(crate) struct Collection {
    pub(crate) name: Arc<str>,
    pub(crate) number: CollectionNumber,
    pub(crate) declaration: Arc<Declaration>,
    pub(crate) validator: Option<Arc<Validator>>,
    pub(crate) indexes: Vec<Index>,
}

/// All collections, and the key ranges of what is gone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Catalog {
    collections: BTreeMap<Arc<str>, Arc<Collection>>,
    last_number: u32,
    /// Prefixes whose keys nobody can reach any more.
    erase: Vec<[u8; 5]>,
    /// Records to write with the group: name in the meta space, and value or none.
    pub(super) changed: BTreeMap<String, Option<Vec<u8>>>,
}

/// Counts of one collection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) documents: u64,
    pub(crate) bytes: u64,
}

impl Catalog {
    /// Reads the catalog of a view.
    pub(crate) fn load(view: &dyn View) -> Result<Self> {
        let mut catalog = Self {
            last_number: match view.get(&records::meta_key(LAST_NUMBER))? {
                Some(bytes) => u32::from_le_bytes(fixed(&bytes)?),
                None => 0,
            },
            ..Self::default()
        };
        for pair in named(view, COLLECTION) {
            let (_, value) = pair?;
            let collection = decode_collection(view, &value)?;
            catalog
                .collections
                .insert(Arc::clone(&collection.name), Arc::new(collection));
        }
        for pair in named(view, ERASE) {
            let (key, _) = pair?;
            catalog
                .erase
                .push(parse_erase_name(&key[1 + ERASE.len()..])?);
        }
        Ok(catalog)
    }

    /// The collection of that name.
    pub(crate) fn get(&self, name: &str) -> Option<&Arc<Collection>> {
        self.collections.get(name)
    }

    /// All collections, by name.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Collection>> {
        self.collections.values()
    }

    /// A range nobody can reach any more, if one is left.
    pub(crate) fn to_erase(&self) -> Option<[u8; 5]> {
        self.erase.first().copied()
    }

    /// Declares a collection, creating it when absent. Indexes that stay keep their entries.
    pub(super) fn declare(
        &mut self,
        name: &Arc<str>,
        declaration: &Declaration,
        total: u64,
    ) -> Result<()> {
        let validator = declaration
            .schema
            .as_ref()
            .map(|schema| Validator::new(schema).map(Arc::new))
            .transpose()
            .map_err(|error| error.context(format!("schema of collection {name}")))?;
        let old = self.collections.get(name).cloned();
        let mut kept: Vec<Index> = old.iter().flat_map(|old| old.indexes.clone()).collect();
        let mut indexes = Vec::with_capacity(declaration.indexes.len());
        for spec in &declaration.indexes {
            // A failed index is built again: what stood in its way may be gone.
            let same = kept.iter().position(|index| {
                *index.spec == *spec && !matches!(index.progress.state, IndexState::Failed(_))
            });
            indexes.push(match same {
                Some(at) => kept.swap_remove(at),
                None => self.new_index(Arc::new(spec.clone()), total),
            });
        }
        for index in kept {
            self.forget_index(index.number);
        }
        let number = match &old {
            Some(old) => old.number,
            None => self.next_number(),
        };
        self.store(Collection {
            name: Arc::clone(name),
            number,
            declaration: Arc::new(declaration.clone()),
            validator,
            indexes,
        });
        Ok(())
    }

    /// Gives the collection new, empty key ranges; the old ones are erased later.
    pub(super) fn truncate(&mut self, name: &str) {
        let Some(old) = self.collections.get(name).cloned() else {
            return;
        };
        self.forget_documents(old.number);
        let mut collection = Collection::clone(&old);
        collection.number = self.next_number();
        collection.indexes = old
            .indexes
            .iter()
            .map(|index| {
                self.forget_index(index.number);
                self.new_index(Arc::clone(&index.spec), 0)
            })
            .collect();
        self.store(collection);
    }

    /// Forgets the collection; its key ranges are erased later.
    pub(super) fn drop_collection(&mut self, name: &str) {
        let Some(old) = self.collections.remove(name) else {
            return;
        };
        self.forget_documents(old.number);
        for index in &old.indexes {
            self.forget_index(index.number);
        }
        self.changed.insert(format!("{COLLECTION}{name}"), None);
    }

    /// Records how far an index is.
    pub(super) fn set_progress(&mut self, name: &str, number: IndexNumber, progress: Progress) {
        let Some(collection) = self.collections.get_mut(name) else {
            return;
        };
        let collection = Arc::make_mut(collection);
        if let Some(index) = collection
            .indexes
            .iter_mut()
            .find(|index| index.number == number)
        {
            self.changed
                .insert(index_name(number), Some(encode_progress(&progress)));
            index.progress = progress;
        }
    }

    /// A range is erased whole.
    pub(super) fn erased(&mut self, prefix: [u8; 5]) {
        self.erase.retain(|left| *left != prefix);
        self.changed.insert(erase_name(prefix), None);
    }

    fn new_index(&mut self, spec: Arc<IndexSpec>, total: u64) -> Index {
        let state = match total {
            0 => IndexState::Ready,
            total => IndexState::Building { done: 0, total },
        };
        let index = Index {
            number: self.next_number(),
            spec,
            progress: Progress {
                state,
                multikey: false,
                cursor: Vec::new(),
            },
        };
        self.changed.insert(
            index_name(index.number),
            Some(encode_progress(&index.progress)),
        );
        index
    }

    fn next_number(&mut self) -> u32 {
        self.last_number += 1;
        self.changed.insert(
            LAST_NUMBER.to_owned(),
            Some(self.last_number.to_le_bytes().to_vec()),
        );
        self.last_number
    }

    fn forget_index(&mut self, number: IndexNumber) {
        self.changed.insert(index_name(number), None);
        self.erase_later(records::entry_prefix(number));
    }

    fn forget_documents(&mut self, number: CollectionNumber) {
        self.changed.insert(counts_name(number), None);
        self.erase_later(records::document_prefix(number));
    }

    fn erase_later(&mut self, prefix: [u8; 5]) {
        self.erase.push(prefix);
        self.changed.insert(erase_name(prefix), Some(Vec::new()));
    }

    fn store(&mut self, collection: Collection) {
        self.changed.insert(
            format!("{COLLECTION}{}", collection.name),
            Some(encode_collection(&collection)),
        );
        self.collections
            .insert(Arc::clone(&collection.name), Arc::new(collection));
    }
}

impl Counts {
    /// The counts of a collection in a view.
    pub(crate) fn load(view: &dyn View, number: CollectionNumber) -> Result<Self> {
        let Some(bytes) = view.get(&records::meta_key(&counts_name(number)))? else {
            return Ok(Self::default());
        };
        let [documents, bytes]: [[u8; 8]; 2] = [
            fixed(&bytes[..8.min(bytes.len())])?,
            fixed(&bytes[8.min(bytes.len())..])?,
        ];
        Ok(Self {
            documents: u64::from_le_bytes(documents),
            bytes: u64::from_le_bytes(bytes),
        })
    }

    /// The pair that stores them.
    pub(super) fn pair(self, number: CollectionNumber) -> (Bytes, Bytes) {
        let mut value = Vec::with_capacity(16);
        value.extend_from_slice(&self.documents.to_le_bytes());
        value.extend_from_slice(&self.bytes.to_le_bytes());
        (records::meta_key(&counts_name(number)), Bytes::from(value))
    }
}

fn counts_name(number: CollectionNumber) -> String {
    format!("counts/{number:08x}")
}

fn index_name(number: IndexNumber) -> String {
    format!("{INDEX}{number:08x}")
}

fn erase_name([space, a, b, c, d]: [u8; 5]) -> String {
    let number = u32::from_be_bytes([a, b, c, d]);
    format!("{ERASE}{space:02x}{number:08x}")
}

fn parse_erase_name(digits: &[u8]) -> Result<[u8; 5]> {
    let broken = || Error::corrupt("catalog record: range to erase");
    let digits = std::str::from_utf8(digits).map_err(|_| broken())?;
    let [.., space, a, b, c, d] = u64::from_str_radix(digits, 16)
        .map_err(|_| broken())?
        .to_be_bytes();
    Ok([space, a, b, c, d])
}

fn named(view: &dyn View, prefix: &str) -> crate::engine::kv::Pairs {
    view.range(&KeyRange::prefix(&records::meta_key(prefix)), false)
}

fn encode_collection(collection: &Collection) -> Vec<u8> {
    let indexes: Vec<i64> = collection
        .indexes
        .iter()
        .map(|index| i64::from(index.number))
        .collect();
    let record = doc! {
        "name": &*collection.name,
        "number": i64::from(collection.number),
        "declaration": collection.declaration.to_document(),
        "indexes": indexes,
    };
    encode(&record)
}

fn decode_collection(view: &dyn View, value: &[u8]) -> Result<Collection> {
    let record = decode(value)?;
    let broken = |what: &str| Error::corrupt(format!("catalog record: {what}"));
    let name: Arc<str> = record
        .get_str("name")
        .map_err(|_| broken("no name"))?
        .into();
    let declaration = record
        .get_document("declaration")
        .map_err(|_| broken("no declaration"))?;
    let declaration = Declaration::from_document(declaration)
        .map_err(|error| Error::corrupt(format!("catalog record of {name}: {error}")))?;
    let numbers = record
        .get_array("indexes")
        .map_err(|_| broken("no indexes"))?;
    let mut indexes = Vec::with_capacity(numbers.len());
    for (number, spec) in numbers.iter().zip(&declaration.indexes) {
        let number = number.as_i64().ok_or_else(|| broken("index number"))? as u32;
        let progress = view
            .get(&records::meta_key(&index_name(number)))?
            .ok_or_else(|| broken("index without a state"))?;
        indexes.push(Index {
            number,
            spec: Arc::new(spec.clone()),
            progress: decode_progress(&progress)?,
        });
    }
    let validator = declaration
        .schema
        .as_ref()
        .map(|schema| Validator::new(schema).map(Arc::new))
        .transpose()?;
    Ok(Collection {
        name,
        number: record.get_i64("number").map_err(|_| broken("no number"))? as u32,
        declaration: Arc::new(declaration),
        validator,
        indexes,
    })
}

fn encode_progress(progress: &Progress) -> Vec<u8> {
    let mut record = doc! { "multikey": progress.multikey };
    match &progress.state {
        IndexState::Ready => record.insert("state", "ready"),
        IndexState::Building { done, total } => {
            record.insert("done", *done as i64);
            record.insert("total", *total as i64);
            record.insert(
                "cursor",
                bson::Binary {
                    subtype: bson::spec::BinarySubtype::Generic,
                    bytes: progress.cursor.clone(),
                },
            );
            record.insert("state", "building")
        }
        IndexState::Failed(reason) => {
            record.insert("reason", reason);
            record.insert("state", "failed")
        }
    };
    encode(&record)
}

fn decode_progress(value: &[u8]) -> Result<Progress> {
    let record = decode(value)?;
    let count = |name| record.get_i64(name).unwrap_or(0) as u64;
    let state = match record.get_str("state") {
        Ok("ready") => IndexState::Ready,
        Ok("building") => IndexState::Building {
            done: count("done"),
            total: count("total"),
        },
        Ok("failed") => IndexState::Failed(record.get_str("reason").unwrap_or("").to_owned()),
        _ => return Err(Error::corrupt("index record: unknown state")),
    };
    Ok(Progress {
        state,
        multikey: record.get_bool("multikey").unwrap_or(false),
        cursor: record
            .get_binary_generic("cursor")
            .cloned()
            .unwrap_or_default(),
    })
}

fn encode(record: &Document) -> Vec<u8> {
    record.to_vec().expect("records of ours are plain BSON")
}

fn decode(value: &[u8]) -> Result<Document> {
    Document::from_reader(value).map_err(|error| Error::corrupt(format!("catalog record: {error}")))
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N]> {
    bytes
        .try_into()
        .map_err(|_| Error::corrupt(format!("catalog record of {} bytes", bytes.len())))
}

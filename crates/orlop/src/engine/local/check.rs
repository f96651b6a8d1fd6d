//! Reads everything and verifies it against everything else.

use bson::RawDocument;
use bytes::Bytes;

use super::catalog::{Collection, Counts, Index};
use super::committer::Published;
use crate::engine::kv::View;
use crate::engine::log::Log;
use crate::engine::{IndexState, Report, records};
use crate::pack::{Body, keys};
use crate::{Error, Result};

/// Findings reported; behind them only their number grows.
const DAMAGE_MAX: usize = 1_000;

/// Verifies every record, index entry, count, and the log's files.
pub(super) fn check(published: &Published, log: &Log) -> Result<Report> {
    let mut check = Check {
        view: &*published.view,
        report: Report::default(),
    };
    for collection in published.catalog.all() {
        check.documents(collection);
        for index in &collection.indexes {
            check.entries(collection, index);
        }
    }
    for damage in log.verify()? {
        check.found(damage.to_string());
    }
    Ok(check.report)
}

struct Check<'a> {
    view: &'a dyn View,
    report: Report,
}

impl Check<'_> {
    fn found(&mut self, damage: String) {
        if self.report.damage.len() < DAMAGE_MAX {
            self.report.damage.push(damage);
        }
    }

    fn documents(&mut self, collection: &Collection) {
        let name = &collection.name;
        let prefix = records::document_prefix(collection.number).len();
        let mut counts = Counts::default();
        for pair in self
            .view
            .range(&records::documents(collection.number), false)
        {
            let (key, record) = match pair {
                Ok(pair) => pair,
                Err(error) => {
                    self.found(format!(
                        "collection {name}: documents cannot be read: {error}"
                    ));
                    return;
                }
            };
            match sound(&key, &record, prefix) {
                Ok(body) => {
                    counts.documents += 1;
                    counts.bytes += body.bytes().len() as u64;
                    self.has_entries(collection, &body, &key.slice(prefix..));
                }
                Err(error) => {
                    let id = key.slice(prefix..);
                    self.found(format!(
                        "collection {name}, document with key {id:x}: {error}"
                    ));
                }
            }
            self.report.documents += 1;
        }
        match Counts::load(self.view, collection.number) {
            Ok(stored) if stored == counts => {}
            Ok(stored) => self.found(format!(
                "collection {name}: {} documents of {} bytes are there, {} of {} are counted",
                counts.documents, counts.bytes, stored.documents, stored.bytes
            )),
            Err(error) => self.found(format!("collection {name}: counts: {error}")),
        }
    }

    fn has_entries(&mut self, collection: &Collection, body: &Body, id_key: &Bytes) {
        for index in &collection.indexes {
            if index.progress.state != IndexState::Ready {
                continue;
            }
            let found = match keys::index_keys(&index.spec, body.raw()) {
                Ok(found) => found,
                Err(error) => {
                    self.found(format!(
                        "collection {}, index {}: {error}",
                        collection.name, index.spec.name
                    ));
                    continue;
                }
            };
            for values in &found.keys {
                let key = records::entry_key(index.number, values, id_key);
                if !matches!(self.view.get(&key), Ok(Some(_))) {
                    self.found(format!(
                        "collection {}, index {}: document with key {id_key:x} lacks an entry",
                        collection.name, index.spec.name
                    ));
                }
            }
        }
    }

    /// Every entry must be one that its document gives.
    fn entries(&mut self, collection: &Collection, index: &Index) {
        if index.progress.state != IndexState::Ready {
            return;
        }
        let (name, label) = (&collection.name, &index.spec.name);
        for pair in self.view.range(&records::entries(index.number), false) {
            let key = match pair {
                Ok((key, _)) => key,
                Err(error) => {
                    self.found(format!(
                        "collection {name}, index {label}: entries cannot be read: {error}"
                    ));
                    return;
                }
            };
            self.report.entries += 1;
            match self.owner(collection, index, &key) {
                Ok(true) => {}
                Ok(false) => self.found(format!(
                    "collection {name}, index {label}: entry {key:x} has no document"
                )),
                Err(error) => self.found(format!("collection {name}, index {label}: {error}")),
            }
        }
    }

    fn owner(&self, collection: &Collection, index: &Index, entry: &Bytes) -> Result<bool> {
        let start = records::entry_prefix(index.number).len();
        let id_key = keys::entry_id(&index.spec, &entry[start..])?;
        let key = records::document_key(collection.number, id_key);
        let Some(record) = self.view.get(&key)? else {
            return Ok(false);
        };
        let body = records::decode_record(&key, &record)?;
        let values = &entry[start..entry.len() - id_key.len()];
        let found = keys::index_keys(&index.spec, body.raw())?;
        Ok(found.keys.iter().any(|key| key == values))
    }
}

/// The record's body, if its checksum holds, its BSON is whole and its id is the key's.
fn sound(key: &Bytes, record: &Bytes, prefix: usize) -> Result<Body> {
    let body = records::decode_record(key, record)?;
    whole(body.raw())?;
    if keys::encode_id(&body.id()?)? != key[prefix..] {
        return Err(Error::corrupt("its _id is not the one it is stored under"));
    }
    if body.revision().is_none() {
        return Err(Error::corrupt("it has no revision"));
    }
    Ok(body)
}

fn whole(document: &RawDocument) -> Result<()> {
    bson::Document::try_from(document)
        .map(|_| ())
        .map_err(|error| Error::corrupt(format!("malformed BSON: {error}")))
}

//! fjall by itself, with the pairs that our documents come to.

use std::sync::Arc;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use orlop::document::IndexSpec;
use orlop::pack::{Body, keys};

use crate::{declaration, id, task};

/// Keys with their values.
pub type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// The same memory for blocks as a store of ours has.
const BLOCK_CACHE_BYTES: u64 = 32 * 1024 * 1024;

/// One keyspace with fjall's own settings, in a temporary folder that goes with it.
pub struct Fjall {
    database: Database,
    keyspace: Keyspace,
    indexes: Vec<IndexSpec>,
    folder: Arc<tempfile::TempDir>,
}

impl Fjall {
    /// An empty one.
    #[expect(clippy::new_without_default, reason = "it makes files")]
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder is made");
        Self::open(Arc::new(folder))
    }

    fn open(folder: Arc<tempfile::TempDir>) -> Self {
        let database = Database::builder(folder.path())
            .cache_size(BLOCK_CACHE_BYTES)
            .open()
            .expect("fjall opens");
        let keyspace = database
            .keyspace("pairs", KeyspaceCreateOptions::default)
            .expect("a keyspace is made");
        Self {
            database,
            keyspace,
            indexes: declaration().indexes,
            folder,
        }
    }

    /// Holds documents `0..count`, in files.
    pub fn filled(self, count: u64, users: u64) -> Self {
        for first in (0..count).step_by(10_000) {
            let documents = first..count.min(first + 10_000);
            self.put(documents.flat_map(|n| self.pairs(n, users)).collect());
        }
        let flushed = self.keyspace.rotate_memtable_and_wait();
        flushed.expect("the pairs are written to files");
        let folder = Arc::clone(&self.folder);
        drop(self);
        Self::open(folder)
    }

    /// The pairs of document `n` of `users` users: the document and its index entries.
    pub fn pairs(&self, n: u64, users: u64) -> Pairs {
        let document = bson::RawDocumentBuf::try_from(&task(n, users)).expect("plain BSON");
        let id = bson::Bson::ObjectId(id(n));
        let id_key = keys::encode_id(&id).expect("an ObjectId is an id");
        let body = Body::pack(&document, &id).expect("it is small");
        let mut pairs = vec![(document_key(&id_key), body)];
        for (at, index) in self.indexes.iter().enumerate() {
            let found = keys::index_keys(index, &document).expect("it can be indexed");
            for values in found.keys {
                let key = [&[3, 0, 0, 0, at as u8], &values[..], &id_key[..]].concat();
                pairs.push((key, Vec::new()));
            }
        }
        pairs
    }

    /// One batch of pairs, synced.
    pub fn put(&self, pairs: Pairs) {
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncAll));
        for (key, value) in pairs {
            batch.insert(&self.keyspace, key, value);
        }
        batch.commit().expect("the batch is written");
    }

    /// The bytes of one document.
    pub fn get(&self, id: &bson::Bson) -> Option<fjall::UserValue> {
        let id_key = keys::encode_id(id).expect("it is an id");
        let found = self.keyspace.get(document_key(&id_key));
        found.expect("fjall reads")
    }
}

fn document_key(id_key: &[u8]) -> Vec<u8> {
    [&[2, 0, 0, 0, 1], id_key].concat()
}

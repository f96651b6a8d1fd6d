//! Plans against the meaning of a query: filter every document, sort, cut.

mod explained;
mod generated;
mod order;

use std::sync::Arc;

use bson::raw::RawDocumentBuf;
use bson::{Bson, Document};
use bytes::Bytes;

use super::{Cursor, PlanIndex, Source, count, explain, run, run_within};
use crate::document::{Direction, IndexSpec, Revision};
use crate::engine::kv::{Kv, MemoryKv};
use crate::engine::{Explain, Query, records};
use crate::pack::{Body, keys};
use crate::query::{Expr, Matcher, Sort};
use crate::{Error, Result};

const COLLECTION: u32 = 7;

/// A collection with indexes, in memory.
#[derive(Default)]
struct World {
    kv: MemoryKv,
    documents: Vec<RawDocumentBuf>,
    indexes: Vec<PlanIndex>,
}

fn spec(keys: &[(&str, i32)]) -> IndexSpec {
    let named: Vec<String> = keys
        .iter()
        .map(|(path, way)| format!("{path}_{way}"))
        .collect();
    IndexSpec {
        name: named.join("_"),
        keys: keys
            .iter()
            .map(|(path, way)| ((*path).to_owned(), direction(*way)))
            .collect(),
        unique: false,
        sparse: false,
        expire_after_seconds: None,
    }
}

fn direction(way: i32) -> Direction {
    if way < 0 {
        Direction::Descending
    } else {
        Direction::Ascending
    }
}

impl World {
    fn of(indexes: &[&[(&str, i32)]], documents: impl IntoIterator<Item = Document>) -> Self {
        let mut world = Self::default();
        for keys in indexes {
            world.index(spec(keys));
        }
        for document in documents {
            world.put(&document).unwrap();
        }
        world
    }

    /// Before the first document.
    fn index(&mut self, spec: IndexSpec) {
        assert!(self.documents.is_empty());
        self.indexes.push(PlanIndex {
            number: 20 + self.indexes.len() as u32,
            spec: Arc::new(spec),
            multikey: false,
        });
    }

    /// Refuses what an index refuses, and a second document of one id.
    fn put(&mut self, document: &Document) -> Result<()> {
        let raw = RawDocumentBuf::try_from(document).unwrap();
        let id = document.get("_id").unwrap();
        let body = Body::seal(Body::pack(&raw, id)?, Revision(1));
        let id = keys::encode_id(id)?;
        let key = records::document_key(COLLECTION, &id);
        if self.kv.view()?.get(&key)?.is_some() {
            return Err(Error::invalid("a second one"));
        }
        let mut pairs = vec![(key.clone(), Some(records::encode_record(&key, &body)))];
        let mut multikey = Vec::new();
        for index in &self.indexes {
            let found = keys::index_keys(&index.spec, body.raw())?;
            multikey.push(found.multikey);
            for values in found.keys {
                let entry = records::entry_key(index.number, &values, &id);
                pairs.push((entry, Some(Bytes::new())));
            }
        }
        for (index, multikey) in self.indexes.iter_mut().zip(multikey) {
            index.multikey |= multikey;
        }
        self.kv.write(&mut pairs.into_iter())?;
        self.documents
            .push(RawDocumentBuf::from_bytes(body.bytes().to_vec()).unwrap());
        Ok(())
    }

    fn source(&self) -> Source {
        Source {
            view: self.kv.view().unwrap(),
            collection: COLLECTION,
            indexes: self.indexes.clone(),
        }
    }

    fn run(&self, query: &Query) -> Result<Vec<Bson>> {
        ids(run(&self.source(), query)?)
    }

    fn explain(&self, query: &Query) -> Explain {
        explain(&self.source(), query).unwrap()
    }

    /// What the query means: every document filtered, sorted, cut.
    fn meaning(&self, query: &Query) -> Result<Vec<Bson>> {
        let matcher = Matcher::new(&query.filter)?;
        let mut found = Vec::new();
        for document in &self.documents {
            if matcher.matches(document)? {
                found.push(query.sort.sort_key(document)?);
            }
        }
        let sort = &query.sort;
        found.sort_by(|a, b| sort.compare_keys(a, b));
        if let Some(after) = &query.after {
            found.retain(|key| sort.compare_keys(key, after).is_gt());
        }
        let cut = found.into_iter().skip(query.skip as usize);
        let cut = cut.take(query.limit.map_or(usize::MAX, |limit| limit as usize));
        Ok(cut.map(|mut key| key.pop().unwrap()).collect())
    }

    #[track_caller]
    fn check(&self, query: &Query) {
        let expected = self.meaning(query).unwrap();
        assert_eq!(
            self.run(query).unwrap(),
            expected,
            "{query:?}\n{:?}",
            self.explain(query)
        );
    }
}

fn ids(cursor: Cursor) -> Result<Vec<Bson>> {
    cursor.map(|row| row?.body.id()).collect()
}

fn query(filter: Document) -> Query {
    Query {
        collection: "tasks".into(),
        filter: Expr::parse(&filter).unwrap(),
        sort: Sort::default(),
        projection: None,
        skip: 0,
        limit: None,
        after: None,
    }
}

impl Query {
    fn sorted(mut self, keys: Document) -> Self {
        self.sort = Sort::parse(&keys).unwrap();
        self
    }

    fn limited(mut self, limit: u64) -> Self {
        self.limit = Some(limit);
        self
    }

    fn skipping(mut self, skip: u64) -> Self {
        self.skip = skip;
        self
    }

    fn behind(mut self, after: Vec<Bson>) -> Self {
        self.after = Some(after);
        self
    }
}

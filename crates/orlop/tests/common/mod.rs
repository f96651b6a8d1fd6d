//! Small helpers of the tests.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::sync::Arc;

use bson::{Bson, Document, RawDocumentBuf};
use orlop::Orlop;
use orlop::document::Revision;
use orlop::engine::{Action, Change, Guard, Put};

pub async fn memory() -> Orlop {
    Orlop::open("memory:").await.unwrap()
}

pub fn put(document: Document) -> Action {
    Action::Put(Put {
        document: RawDocumentBuf::try_from(&document).unwrap(),
        keep: None,
    })
}

pub fn change(collection: &str, id: impl Into<Bson>, guard: Guard, action: Action) -> Change {
    Change {
        collection: Arc::from(collection),
        id: id.into(),
        guard,
        action,
    }
}

/// The stored document without its revision.
pub async fn get(db: &Orlop, collection: &str, id: impl Into<Bson>) -> Option<Document> {
    let found = db
        .engine()
        .get_many(collection, &[id.into()])
        .await
        .unwrap()
        .pop()
        .flatten()?;
    let mut document = Document::try_from(found.body.raw()).unwrap();
    document.remove("_v").unwrap();
    Some(document)
}

pub async fn revision_of(db: &Orlop, collection: &str, id: impl Into<Bson>) -> Option<Revision> {
    let found = db
        .engine()
        .get_many(collection, &[id.into()])
        .await
        .unwrap();
    found
        .into_iter()
        .next()
        .flatten()
        .map(|stored| stored.revision)
}

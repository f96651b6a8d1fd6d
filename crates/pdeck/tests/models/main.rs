//! What PDeck's models make of a database that Mongoose wrote; a file per scenario.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod every_document_reads_typed_and_keeps_what_was_not_edited;
mod indexes_are_those_of_the_mongoose_models;

use orlop::bson::{Bson, Document};

/// The documents of a file of canonical Extended JSON lines under `fixtures/pdeck-mongoose`.
fn documents(file: &str) -> Vec<Document> {
    let lines = text(file);
    let read = |line: &str| match serde_json::from_str::<Bson>(line).unwrap() {
        Bson::Document(document) => document,
        other => panic!("a document was expected, not {other:?}"),
    };
    lines.lines().map(read).collect()
}

fn text(file: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/pdeck-mongoose");
    std::fs::read_to_string(format!("{folder}/{file}.json")).unwrap()
}

//! Schemas accept and refuse what a real MongoDB does, on recorded cases.

use bson::{Bson, Document, RawDocumentBuf};
use orlop::document::schema::Validator;

/// Random schemas and documents with the answers of a real `mongod` 6.0.5: which documents meet
/// `{"$jsonSchema": schema}`, or that it refuses the schema.
const CASES: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../fixtures/json-schema.jsonl"
);

#[test]
fn every_document_meets_the_schemas_that_it_meets_there() {
    let text = std::fs::read_to_string(CASES).unwrap();
    let mut lines = text
        .lines()
        .map(|line| match serde_json::from_str(line).unwrap() {
            Bson::Document(document) => document,
            other => panic!("an object was expected, not {other:?}"),
        });
    let documents = lines.next().unwrap();
    let raw = |document: &Bson| RawDocumentBuf::try_from(document.as_document().unwrap()).unwrap();
    let documents: Vec<_> = documents
        .get_array("docs")
        .unwrap()
        .iter()
        .map(raw)
        .collect();
    let mut count = 0;
    for case in lines {
        let schema: &Document = case.get_document("schema").unwrap();
        let meet = match Validator::new(schema) {
            Ok(validator) => {
                let meets = |document: &RawDocumentBuf| validator.check(document).is_empty();
                let mark = |document| if meets(document) { '1' } else { '0' };
                documents.iter().map(mark).collect()
            }
            Err(_) => "refused".to_owned(),
        };
        assert_eq!(meet, case.get_str("meet").unwrap(), "{schema}");
        count += 1;
    }
    assert!(count >= 300, "only {count} schemas were found");
}

//! What must hold for any bytes: shared by the fuzz targets and the test that runs their seeds.
//!
//! Each function panics when its claim does not hold. Bytes that are no input of its kind pass.

use std::cmp::Ordering;

use bson::raw::{RawDocument, RawDocumentBuf};
use bson::{Bson, DateTime, Document, doc};
use bytes::Bytes;
use orlop::document::{Direction, IndexSpec, Revision};
use orlop::pack::{Body, keys};
use orlop::query::{Expr, Matcher, Projection, Sort, Update, Updated, value};

/// Packing: what is read back is what was packed, `_id` first and the revision last.
pub(crate) fn packing(data: &[u8]) {
    let Some(document) = document(data) else {
        return;
    };
    let raw = RawDocumentBuf::try_from(&document).expect("a document has bytes");
    let id = document.get("_id").cloned().unwrap_or(Bson::Int32(1));
    let Ok(packed) = Body::pack(&raw, &id) else {
        return;
    };
    let body = Body::seal(packed, Revision(7));
    assert_eq!(body.revision(), Some(Revision(7)));
    let again = Body::from_stored(body.bytes().clone()).expect("packed bytes are a document");
    let mut read = Document::try_from(again.raw()).expect("packed bytes are BSON");
    assert_eq!(read.keys().next().map(String::as_str), Some("_id"));
    assert_eq!(read.keys().last().map(String::as_str), Some("_v"));
    read.remove("_v");
    let mut expected = doc! { "_id": id };
    expected.extend(
        document
            .into_iter()
            .filter(|(name, _)| name != "_id" && name != "_v"),
    );
    assert_eq!(bytes_of(&read), bytes_of(&expected));
}

/// Keys: any bytes are read without panic, and keys of values sort as the values do.
pub(crate) fn keys(data: &[u8]) {
    for direction in [Direction::Ascending, Direction::Descending] {
        if let Some(length) = keys::value_len(data, direction) {
            assert!(length <= data.len(), "a key longer than its bytes");
        }
    }
    keys::describe(data);
    let spec = index();
    if let Ok(id) = keys::entry_id(&spec, data) {
        assert!(data.ends_with(id), "an id that is not the end of its entry");
    }
    let Some(document) = document(data) else {
        return;
    };
    let raw = RawDocumentBuf::try_from(&document).expect("a document has bytes");
    // Refused or not; never a panic.
    let _ = keys::index_keys(&spec, &raw);
    let values: Vec<&Bson> = document.values().take(8).collect();
    for a in &values {
        let _ = keys::encode_id(*a);
        for b in &values {
            let order = value::compare(a, b);
            assert_eq!(encoded(a).cmp(&encoded(b)), order, "{a:?} and {b:?}");
        }
    }
}

/// Filters: what parses is written so that it parses to the same, and is evaluated without panic.
pub(crate) fn filter(data: &[u8]) {
    let Some(document) = document(data) else {
        return;
    };
    let Ok(filter) = Expr::parse(&document) else {
        return;
    };
    let written = filter.to_document();
    match Expr::parse(&written) {
        Ok(again) => assert_eq!(format!("{again:?}"), format!("{filter:?}"), "{written}"),
        Err(error) => panic!("{written} is not read: {error}"),
    }
    let raw = RawDocumentBuf::try_from(&document).expect("a document has bytes");
    if let Ok(matcher) = Matcher::new(&filter) {
        let over_bytes = matcher.matches(&raw).ok();
        let over_values = matcher.matches_document(&document).ok();
        assert_eq!(over_bytes, over_values, "{document}");
    }
    for part in document.values().filter_map(Bson::as_document) {
        if let Ok(sort) = Sort::parse(part)
            && let Ok(key) = sort.sort_key(&raw)
        {
            assert_eq!(sort.compare_keys(&key, &key), Ordering::Equal);
        }
        if let Ok(projection) = Projection::parse(part, Some(&filter)) {
            let projected = projection.project(&raw, Some(0));
            assert!(
                projected.is_err() || projected.is_ok_and(|it| is_bson(&it)),
                "{part}"
            );
        }
    }
}

/// Updates (`u`, with array filters `f`, on a document `d`): what they make is a document.
pub(crate) fn update(data: &[u8]) {
    let Some(document) = document(data) else {
        return;
    };
    let filters: Vec<Document> = match document.get("f") {
        Some(Bson::Array(filters)) => filters
            .iter()
            .filter_map(Bson::as_document)
            .cloned()
            .collect(),
        _ => Vec::new(),
    };
    let written = document
        .get("u")
        .cloned()
        .unwrap_or_else(|| Bson::Document(document.clone()));
    let Ok(update) = Update::parse(&written, &filters) else {
        return;
    };
    match Update::parse(&update.to_bson(), &filters) {
        // As text: NaN is not equal to itself.
        Ok(again) => assert_eq!(format!("{again:?}"), format!("{update:?}"), "{written}"),
        Err(error) => panic!("{written} is written so that it is not read: {error}"),
    }
    let before = match document.get("d") {
        Some(Bson::Document(before)) => before,
        _ => &document,
    };
    let before = RawDocumentBuf::try_from(before).expect("a document has bytes");
    let now = DateTime::from_millis(0);
    for matched in [None, Some(0), Some(3)] {
        if let Ok(Updated::Changed(after)) = update.apply(&before, matched, now) {
            assert!(is_bson(&after), "{written} makes what is no BSON");
        }
    }
    if let Ok(created) = update.insert(Some(&Bson::Int32(1)), &Expr::All, now) {
        assert!(is_bson(&created), "{written} creates what is no BSON");
    }
}

/// Query strings: read to a document or refused.
pub(crate) fn query_string(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Some(fields) = orlop_server::testing::query_string(text) else {
        return;
    };
    for part in fields.values().filter_map(Bson::as_document) {
        let _ = Expr::parse(part);
        let _ = Sort::parse(part);
        let _ = Projection::parse(part, None);
    }
    let _ = orlop_server::ids::parse(text);
}

/// Records of the log: what is read is written so that it reads the same.
pub(crate) fn log_record(data: &[u8]) {
    let data = Bytes::copy_from_slice(data);
    if let Ok(written) = orlop::engine::testing::recode(1, &data) {
        let again = orlop::engine::testing::recode(1, &written.clone().into());
        assert!(
            again.is_ok_and(|again| again == written),
            "a record reads back as another"
        );
    }
}

fn document(data: &[u8]) -> Option<Document> {
    Document::try_from(RawDocument::from_bytes(data).ok()?).ok()
}

fn is_bson(document: &RawDocument) -> bool {
    Document::try_from(document).is_ok()
}

fn bytes_of(document: &Document) -> Vec<u8> {
    document.to_vec().expect("a document has bytes")
}

fn encoded(value: &Bson) -> Vec<u8> {
    let mut key = Vec::new();
    keys::encode(&mut key, value);
    key
}

fn index() -> IndexSpec {
    IndexSpec {
        name: "a_1_b.c_-1".to_owned(),
        keys: vec![
            ("a".to_owned(), Direction::Ascending),
            ("b.c".to_owned(), Direction::Descending),
        ],
        unique: false,
        sparse: false,
        expire_after_seconds: None,
    }
}

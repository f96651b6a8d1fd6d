//! Cases recorded from MongoDB 6.0.5: the same document and projection give the same document,
//! or are refused here as there.

use bson::raw::RawDocumentBuf;
use bson::{Bson, Document, doc};

use crate::ErrorKind;
use crate::query::Expr;

use super::Projection;

#[derive(serde::Deserialize)]
struct Case {
    doc: serde_json::Value,
    projection: serde_json::Value,
    filter: serde_json::Value,
    #[serde(default)]
    matched: Option<usize>,
    #[serde(default)]
    projected: Option<serde_json::Value>,
}

fn document(value: &serde_json::Value) -> Document {
    match Bson::try_from(value.clone()).expect("recorded values are Extended JSON") {
        Bson::Document(document) => document,
        other => panic!("{other} is no document"),
    }
}

fn project(case: &Case) -> crate::Result<Document> {
    let filter = Expr::parse(&document(&case.filter))?;
    let projection = Projection::parse(&document(&case.projection), Some(&filter))?;
    let before = RawDocumentBuf::try_from(&document(&case.doc)).expect("BSON");
    let after = projection.project(&before, case.matched)?;
    Ok(Document::try_from(after).expect("BSON"))
}

#[test]
fn projections_give_what_mongodb_gives() {
    let recorded = include_str!("cases/mongodb.json");
    let cases: Vec<Case> = serde_json::from_str(recorded).expect("recorded cases are JSON");
    let mut wrong = Vec::new();
    for case in &cases {
        let got = project(case);
        let expected = case.projected.as_ref().map(document);
        // As text, so that the order of fields counts.
        if got.as_ref().ok().map(Document::to_string) != expected.as_ref().map(Document::to_string)
        {
            wrong.push(format!(
                "{} | {} | {} {:?}\n  MongoDB: {expected:?}\n  here:    {got:?}",
                document(&case.doc),
                document(&case.projection),
                document(&case.filter),
                case.matched
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} cases differ:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
}

#[test]
fn expressions_are_unsupported_by_name() {
    for (spec, name) in [
        (doc! {"a": {"$add": [1, 2]}}, "$add"),
        (doc! {"a": {"$meta": "textScore"}}, "$meta"),
        (doc! {"a": "$b"}, "'a'"),
        (doc! {"a": {"b": null}}, "'a.b'"),
        (doc! {"a": [1]}, "'a'"),
    ] {
        let error = Projection::parse(&spec, None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{spec}");
        assert!(error.message().contains(name), "{error}");
    }
}

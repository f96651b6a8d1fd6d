//! Cases recorded from MongoDB 6.0.5: the same document and update give the same document,
//! the same "nothing changed", or are refused here as there.

use bson::raw::RawDocumentBuf;
use bson::{Bson, DateTime, Document};

use super::{Update, Updated};

#[derive(serde::Deserialize)]
struct Case {
    doc: serde_json::Value,
    update: serde_json::Value,
    #[serde(default)]
    filters: Option<Vec<serde_json::Value>>,
    #[serde(default)]
    matched: Option<usize>,
    #[serde(default)]
    changed: Option<serde_json::Value>,
    #[serde(default)]
    unchanged: bool,
}

#[derive(Debug)]
enum Outcome {
    Changed(RawDocumentBuf),
    Unchanged,
    Refused(String),
}

impl PartialEq for Outcome {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            // As text, so that types, the order of fields and minus zero count, but not the
            // bits of a NaN.
            (Self::Changed(left), Self::Changed(right)) => text(left) == text(right),
            (Self::Unchanged, Self::Unchanged) | (Self::Refused(_), Self::Refused(_)) => true,
            _ => false,
        }
    }
}

fn bson(value: &serde_json::Value) -> Bson {
    Bson::try_from(value.clone()).expect("recorded values are Extended JSON")
}

fn raw(value: &serde_json::Value) -> RawDocumentBuf {
    match bson(value) {
        Bson::Document(document) => RawDocumentBuf::try_from(&document).expect("BSON"),
        other => panic!("{other} is no document"),
    }
}

fn text(document: &RawDocumentBuf) -> String {
    let document = Document::try_from(document.as_ref()).expect("BSON");
    let text = Bson::Document(document)
        .into_canonical_extjson()
        .to_string();
    text.replace("-NaN", "NaN")
}

fn shown(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Changed(document) => text(document),
        Outcome::Unchanged => "unchanged".to_owned(),
        Outcome::Refused(why) => format!("refused {why}"),
    }
}

fn outcome(case: &Case) -> Outcome {
    let filters: Option<Vec<Document>> = case
        .filters
        .iter()
        .flatten()
        .map(|filter| bson(filter).as_document().cloned())
        .collect();
    let Some(filters) = filters else {
        return Outcome::Refused("a filter is no document".to_owned());
    };
    let result = Update::parse(&bson(&case.update), &filters)
        .and_then(|update| update.apply(&raw(&case.doc), case.matched, DateTime::from_millis(0)));
    match result {
        Ok(Updated::Changed(document)) => Outcome::Changed(document),
        Ok(Updated::Unchanged) => Outcome::Unchanged,
        Err(error) => Outcome::Refused(format!("{error:?}")),
    }
}

fn check(recorded: &str) {
    let cases: Vec<Case> = serde_json::from_str(recorded).expect("recorded cases are JSON");
    let mut wrong = Vec::new();
    for case in &cases {
        let expected = match &case.changed {
            Some(document) => Outcome::Changed(raw(document)),
            None if case.unchanged => Outcome::Unchanged,
            None => Outcome::Refused(String::new()),
        };
        let got = outcome(case);
        if got != expected {
            wrong.push(format!(
                "{} | {} | {:?} {:?}\n  MongoDB: {}\n  here:    {}",
                bson(&case.doc),
                bson(&case.update),
                case.filters,
                case.matched,
                shown(&expected),
                shown(&got),
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
fn paths_are_walked_created_and_refused_as_mongodb_does() {
    check(include_str!("cases/paths.json"));
}

#[test]
fn numbers_and_bounds_keep_mongodbs_types_and_values() {
    check(include_str!("cases/numbers.json"));
}

#[test]
fn renames_move_a_value_as_mongodb_does() {
    check(include_str!("cases/rename.json"));
}

//! Cases recorded from MongoDB 6.0.5: the same document and update give the same document,
//! the same "nothing changed", or are refused here as there.

use bson::raw::RawDocumentBuf;
use bson::{Bson, DateTime, Document, bson, doc};

use crate::ErrorKind;
use crate::query::Expr;

use super::{Update, Updated, update_fields};

const NOW: DateTime = DateTime::from_millis(0);

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

fn value_of(value: &serde_json::Value) -> Bson {
    Bson::try_from(value.clone()).expect("recorded values are Extended JSON")
}

fn raw(value: &serde_json::Value) -> RawDocumentBuf {
    match value_of(value) {
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
        .map(|filter| value_of(filter).as_document().cloned())
        .collect();
    let Some(filters) = filters else {
        return Outcome::Refused("a filter is no document".to_owned());
    };
    let result = Update::parse(&value_of(&case.update), &filters)
        .and_then(|update| update.apply(&raw(&case.doc), case.matched, NOW));
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
                value_of(&case.doc),
                value_of(&case.update),
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

#[test]
fn arrays_grow_and_shrink_as_mongodb_does() {
    check(include_str!("cases/arrays.json"));
}

#[test]
fn array_positions_and_filters_reach_the_elements_mongodb_reaches() {
    check(include_str!("cases/elements.json"));
}

#[test]
fn pipelines_compute_the_documents_mongodb_computes() {
    check(include_str!("cases/pipelines.json"));
}

#[derive(serde::Deserialize)]
struct Upsert {
    filter: serde_json::Value,
    update: serde_json::Value,
    #[serde(default)]
    filters: Vec<serde_json::Value>,
    /// Without the `_id` MongoDB made up; none when it refused.
    #[serde(default)]
    inserted: Option<serde_json::Value>,
}

fn inserted(case: &Upsert) -> crate::Result<RawDocumentBuf> {
    let filters: Vec<Document> = case
        .filters
        .iter()
        .filter_map(|filter| value_of(filter).as_document().cloned())
        .collect();
    let filter = value_of(&case.filter);
    let filter = Expr::parse(filter.as_document().expect("a filter is a document"))?;
    Update::parse(&value_of(&case.update), &filters)?.insert(None, &filter, NOW)
}

#[test]
fn upserts_start_from_what_the_filter_pins_as_mongodb_does() {
    let recorded = include_str!("cases/upserts.json");
    let cases: Vec<Upsert> = serde_json::from_str(recorded).expect("recorded cases are JSON");
    for case in &cases {
        let got = inserted(case);
        let expected = case.inserted.as_ref().map(|document| text(&raw(document)));
        assert_eq!(
            got.as_ref().ok().map(text),
            expected,
            "{} | {}: {got:?}",
            value_of(&case.filter),
            value_of(&case.update),
        );
    }
}

#[test]
fn an_upsert_takes_the_id_it_is_called_with_and_no_other() {
    let update = Update::parse(&Bson::Document(doc! {"$set": {"a": 1}}), &[]).unwrap();
    let id = Bson::Int32(7);
    let document = update.insert(Some(&id), &Expr::All, NOW).unwrap();
    assert_eq!(
        text(&document),
        text(&RawDocumentBuf::try_from(&doc! {"_id": 7, "a": 1}).unwrap())
    );
    let filter = Expr::parse(&doc! {"_id": 8}).unwrap();
    let error = update.insert(Some(&id), &filter, NOW).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

#[test]
fn current_date_writes_the_time_it_is_given() {
    let update = doc! {"$currentDate": {"a.b": true, "c": {"$type": "timestamp"}}};
    let before = RawDocumentBuf::try_from(&doc! {"_id": 1}).unwrap();
    let now = DateTime::from_millis(1_700_000_000_123);
    let Updated::Changed(after) = Update::parse(&Bson::Document(update), &[])
        .unwrap()
        .apply(&before, None, now)
        .unwrap()
    else {
        panic!("nothing changed");
    };
    let timestamp = bson::Timestamp {
        time: 1_700_000_000,
        increment: 1,
    };
    let expected = doc! {"_id": 1, "a": {"b": now}, "c": timestamp};
    assert_eq!(Document::try_from(after).unwrap(), expected);
}

#[test]
fn unknown_operators_are_unsupported_by_name() {
    for (update, name) in [
        (bson!({"$foo": {"a": 1}}), "$foo"),
        (bson!([{"$foo": 1}]), "$foo"),
        (bson!([{"$project": {"a": 1}}]), "$project"),
    ] {
        let error = Update::parse(&update, &[]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{update}");
        assert!(error.message().contains(name), "{error}");
    }
}

#[test]
fn every_recorded_update_survives_being_written_and_read_back() {
    for recorded in [
        include_str!("cases/paths.json"),
        include_str!("cases/arrays.json"),
        include_str!("cases/rename.json"),
        include_str!("cases/pipelines.json"),
    ] {
        let cases: Vec<Case> = serde_json::from_str(recorded).expect("recorded cases are JSON");
        let mut read = 0;
        for case in &cases {
            if case.filters.is_some() {
                continue;
            }
            let Ok(update) = Update::parse(&value_of(&case.update), &[]) else {
                continue;
            };
            if update.steps().is_empty() {
                continue;
            }
            read += 1;
            let again = Update::parse(&update.to_bson(), &[]).expect("what we write, we read");
            assert_eq!(again.steps().len(), update.steps().len());
            let apply = |update: &Update| {
                let outcome = update.apply(&raw(&case.doc), case.matched, NOW);
                outcome.map_err(|error| error.to_string())
            };
            assert_eq!(shown_bytes(&apply(&again)), shown_bytes(&apply(&update)));
        }
        assert!(read > 0 || recorded.contains("$replaceWith"));
    }
}

fn shown_bytes(outcome: &Result<Updated, String>) -> String {
    match outcome {
        Ok(Updated::Changed(document)) => text(document),
        other => format!("{other:?}"),
    }
}

#[test]
fn nesting_beyond_mongodbs_limit_is_refused_and_unset_of_it_does_nothing() {
    let before = RawDocumentBuf::try_from(&doc! {"_id": 1}).unwrap();
    let apply = |operator: &str, levels: usize| {
        let path = vec!["a"; levels].join(".");
        Update::parse(&Bson::Document(doc! {operator: {path: 1}}), &[])
            .and_then(|update| update.apply(&before, None, NOW))
            .map_err(|error| error.kind())
    };
    let deepest = apply("$set", 180);
    assert!(matches!(deepest, Ok(Updated::Changed(_))), "{deepest:?}");
    assert_eq!(apply("$set", 181), Err(ErrorKind::Invalid));
    assert_eq!(apply("$unset", 300), Ok(Updated::Unchanged));
    assert_eq!(apply("$unset", 1_000_000), Err(ErrorKind::Invalid));
}

#[test]
fn paths_name_everything_a_step_touches() {
    let update = bson!({"$set": {"a.b": 1, "_v": 2}, "$rename": {"c": "d.e"}});
    let update = Update::parse(&update, &[]).unwrap();
    assert_eq!(
        update.paths().collect::<Vec<_>>(),
        ["a.b", "_v", "c", "d.e"]
    );
    let pipeline = bson!([{"$set": {"x": {"y": 1}}}, {"$unset": ["p", "q.r"]}]);
    let pipeline = Update::parse(&pipeline, &[]).unwrap();
    assert_eq!(pipeline.paths().collect::<Vec<_>>(), ["x.y", "p", "q.r"]);
}

#[test]
fn update_fields_sets_whole_fields_and_refuses_paths() {
    let update = update_fields(&doc! {"a": {"b": 1}, "c": null}).unwrap();
    let before = RawDocumentBuf::try_from(&doc! {"_id": 1, "a": {"x": 2}}).unwrap();
    let Updated::Changed(after) = update.apply(&before, None, NOW).unwrap() else {
        panic!("nothing changed");
    };
    let expected = doc! {"_id": 1, "a": {"b": 1}, "c": null};
    assert_eq!(Document::try_from(after).unwrap(), expected);
    for name in ["a.b", "$set", ""] {
        let error = update_fields(&doc! {name: 1}).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{name}");
    }
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    fn value() -> impl Strategy<Value = Bson> {
        let leaf = prop_oneof![
            any::<i32>().prop_map(Bson::Int32),
            any::<i64>().prop_map(Bson::Int64),
            any::<f64>().prop_map(Bson::Double),
            "[a-c]{0,3}".prop_map(Bson::String),
            Just(Bson::Null),
            any::<bool>().prop_map(Bson::Boolean),
        ];
        leaf.prop_recursive(3, 12, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Bson::Array),
                document_of(inner).prop_map(Bson::Document),
            ]
        })
    }

    fn document_of(value: impl Strategy<Value = Bson>) -> impl Strategy<Value = Document> {
        prop::collection::vec(("[a-d]", value), 0..4)
            .prop_map(|fields| fields.into_iter().collect())
    }

    fn document() -> impl Strategy<Value = RawDocumentBuf> {
        document_of(value()).prop_map(|fields| {
            let mut document = doc! {"_id": 1};
            document.extend(fields);
            RawDocumentBuf::try_from(&document).expect("BSON")
        })
    }

    fn apply(
        operator: &str,
        path: &str,
        operand: Bson,
        before: &RawDocumentBuf,
    ) -> Option<Updated> {
        let update = Bson::Document(doc! {operator: {path: operand}});
        Update::parse(&update, &[])
            .and_then(|update| update.apply(before, None, NOW))
            .ok()
    }

    fn after(updated: Updated, before: &RawDocumentBuf) -> RawDocumentBuf {
        match updated {
            Updated::Changed(after) => after,
            Updated::Unchanged => before.clone(),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn setting_twice_is_setting_once(
            before in document(), path in "[a-d](\\.[a-d0-2]){0,2}", value in value()
        ) {
            if let Some(first) = apply("$set", &path, value.clone(), &before) {
                let first = after(first, &before);
                prop_assert_eq!(apply("$set", &path, value, &first), Some(Updated::Unchanged));
            }
        }

        #[test]
        fn unset_of_a_new_field_gives_the_bytes_from_before(
            before in document(), value in value()
        ) {
            let set = apply("$set", "new", value, &before).expect("a new field can be set");
            let set = after(set, &before);
            let unset = apply("$unset", "new", Bson::Null, &set).expect("it can be removed");
            prop_assert_eq!(after(unset, &set), before);
        }

        #[test]
        fn fields_an_update_does_not_name_keep_their_bytes(
            before in document(), value in value()
        ) {
            if let Some(updated) = apply("$set", "a.b", value, &before) {
                let after = after(updated, &before);
                for name in ["b", "c", "d", "_id"] {
                    let (old, new) = (before.get(name).unwrap(), after.get(name).unwrap());
                    prop_assert_eq!(format!("{old:?}"), format!("{new:?}"));
                }
            }
        }

        #[test]
        fn popping_what_was_pushed_gives_the_array_back(
            array in prop::collection::vec(value(), 0..4), value in value()
        ) {
            let before = RawDocumentBuf::try_from(&doc! {"_id": 1, "a": array}).unwrap();
            let each = Bson::Document(doc! {"$each": [value]});
            let pushed = after(apply("$push", "a", each, &before).unwrap(), &before);
            let popped = after(apply("$pop", "a", Bson::Int32(1), &pushed).unwrap(), &pushed);
            prop_assert_eq!(popped, before);
        }
    }
}

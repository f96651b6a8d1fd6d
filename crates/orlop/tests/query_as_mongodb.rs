//! Filters, sorts and expressions give what MongoDB 6.0.5 gave: the tables in `mongodb/` hold its
//! answers, in Extended JSON, a line a case or a group of cases.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot read its tables has failed"
)]

use std::fs;
use std::path::Path;

use bson::raw::RawDocumentBuf;
use bson::{Bson, Document, RawDocument};
use orlop::ErrorKind;
use orlop::query::{Aggregation, Expr, Matcher, Pattern, Pred, Sort};

/// The rows of a table. `TABLES` names another folder of them.
fn rows(table: &str) -> Vec<Document> {
    let folder = match std::env::var_os("TABLES") {
        Some(folder) => folder.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mongodb"),
    };
    let text = fs::read_to_string(folder.join(table)).unwrap();
    let rows: Vec<Document> = text.lines().map(row).collect();
    assert!(!rows.is_empty(), "{table} holds no cases");
    rows
}

fn row(line: &str) -> Document {
    let json: serde_json::Value = serde_json::from_str(line).unwrap();
    match Bson::try_from(json).unwrap() {
        Bson::Document(row) => row,
        other => panic!("a row is {other:?}"),
    }
}

fn documents(row: &Document) -> Vec<Document> {
    let documents = row.get_array("documents").unwrap().iter();
    documents
        .map(|it| it.as_document().unwrap().clone())
        .collect()
}

fn cases(row: &Document) -> Vec<Document> {
    row.get_array("cases")
        .unwrap()
        .iter()
        .map(|it| it.as_document().unwrap().clone())
        .collect()
}

fn raw(document: &Document) -> RawDocumentBuf {
    RawDocumentBuf::try_from(document).unwrap()
}

/// What a refusal or an answer looks like in a table.
fn answer<T: Into<Bson>>(result: orlop::Result<T>) -> Bson {
    match result {
        Ok(value) => value.into(),
        Err(error) => {
            let kind = error.kind();
            assert!(
                matches!(kind, ErrorKind::Invalid | ErrorKind::Unsupported),
                "{error:?}"
            );
            "refused".into()
        }
    }
}

/// Values as text, so that types, NaN and the digits of decimals count.
fn assert_all(failures: Vec<String>, cases: usize) {
    assert!(cases > 0, "no cases");
    let shown: Vec<_> = failures.iter().take(40).map(String::as_str).collect();
    assert!(
        failures.is_empty(),
        "{} of {cases} differ:\n{}",
        failures.len(),
        shown.join("\n")
    );
}

#[test]
fn filters_find_what_mongodb_finds_and_refuse_what_it_refuses() {
    let (mut failures, mut count) = (Vec::new(), 0);
    for row in rows("filters.jsonl") {
        let documents = documents(&row);
        let raws: Vec<_> = documents.iter().map(raw).collect();
        for case in cases(&row) {
            count += 1;
            let filter = case.get_document("filter").unwrap();
            let found = |raw: bool| -> orlop::Result<Vec<i32>> {
                let matcher = Matcher::new(&Expr::parse(filter)?)?;
                let mut ids = Vec::new();
                for (at, document) in documents.iter().enumerate() {
                    let matches = match raw {
                        true => matcher.matches(&raws[at])?,
                        false => matcher.matches_document(document)?,
                    };
                    ids.extend(matches.then_some(i32::try_from(at).unwrap()));
                }
                Ok(ids)
            };
            let expected = format!("{:?}", case.get("ids").unwrap());
            let from_raw = format!("{:?}", answer(found(true)));
            let from_owned = format!("{:?}", answer(found(false)));
            if from_raw != expected || from_owned != expected {
                failures.push(format!(
                    "{filter}\n  mongodb {expected}\n  raw     {from_raw}\n  owned   {from_owned}"
                ));
            }
            if let Ok(expr) = Expr::parse(filter) {
                let again = Expr::parse(&expr.to_document()).unwrap();
                assert_eq!(
                    format!("{again:?}"),
                    format!("{expr:?}"),
                    "{filter} written and read"
                );
            }
        }
    }
    assert_all(failures, count);
}

#[test]
fn regular_expressions_match_what_pcre_matches() {
    let mut failures = Vec::new();
    let rows = rows("regexes.jsonl");
    for row in &rows {
        let text = |name| row.get_str(name).unwrap();
        let found = || -> orlop::Result<bool> {
            let pattern = Pattern::new(text("pattern"), text("options"))?;
            let expr = Expr::Field("a".into(), Pred::Regex(pattern));
            Matcher::new(&expr)?.matches(&raw(&bson::doc! { "a": text("text") }))
        };
        let (expected, ours) = (row.get("matches").unwrap(), answer(found()));
        if &ours != expected {
            failures.push(format!("{row} we: {ours} {:?}", found().err()));
        }
    }
    assert_all(failures, rows.len());
}

#[test]
fn sorts_order_as_mongodb_does_and_refuse_what_it_refuses() {
    let (mut failures, mut count) = (Vec::new(), 0);
    for row in rows("sorts.jsonl") {
        let documents = documents(&row);
        for case in cases(&row) {
            count += 1;
            let spec = case.get_document("sort").unwrap();
            let sorted = || -> orlop::Result<Vec<i32>> {
                let sort = Sort::parse(spec)?;
                assert_eq!(Sort::parse(&sort.to_document())?, sort);
                let mut keys = Vec::new();
                for (at, document) in documents.iter().enumerate() {
                    let id = i32::try_from(at).unwrap();
                    let mut document = document.clone();
                    document.insert("_id", id);
                    let key = sort.sort_key(&raw(&document))?;
                    assert_eq!(
                        format!("{key:?}"),
                        format!("{:?}", sort.sort_key_document(&document)?)
                    );
                    keys.push((key, id));
                }
                keys.sort_by(|a, b| sort.compare_keys(&a.0, &b.0));
                Ok(keys.into_iter().map(|(_, id)| id).collect())
            };
            let (expected, ours) = (case.get("ids").unwrap(), answer(sorted()));
            if &ours != expected {
                failures.push(format!(
                    "{spec}\n  mongodb {expected}\n  we      {ours} {:?}",
                    sorted().err()
                ));
            }
        }
    }
    assert_all(failures, count);
}

#[test]
fn the_positional_operator_stands_for_mongodbs_element() {
    let mut failures = Vec::new();
    let rows = rows("positions.jsonl");
    for row in &rows {
        let document = raw(row.get_document("document").unwrap());
        let filter = row.get_document("filter").unwrap();
        let matcher = Matcher::new(&Expr::parse(filter).unwrap()).unwrap();
        let ours = matcher.matches_at(&document).unwrap().map(|it| it.position);
        let expected = row
            .get("position")
            .unwrap()
            .as_i32()
            .map(|it| usize::try_from(it).unwrap());
        if ours != Some(expected) {
            failures.push(format!("{row} we: {ours:?}"));
        }
    }
    assert_all(failures, rows.len());
}

#[test]
fn expressions_give_mongodbs_values_and_types() {
    let mut failures = Vec::new();
    let rows = rows("expressions.jsonl");
    let document = raw(rows[0].get_document("document").unwrap());
    let document: &RawDocument = &document;
    for row in &rows[1..] {
        let expression = row.get("expression").unwrap();
        let now = bson::DateTime::from_millis(0);
        let value = Aggregation::parse(expression).and_then(|it| it.evaluate(document, now));
        let ours = answer(value.map(|value| Bson::Array(value.into_iter().collect())));
        let expected = row.get("value").unwrap();
        if format!("{ours:?}") != format!("{expected:?}") {
            failures.push(format!("{expression} mongodb {expected} we {ours}"));
        }
    }
    assert_all(failures, rows.len() - 1);
}

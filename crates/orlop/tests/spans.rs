//! One span an operation, with what happened and without any value.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use bson::doc;
use common::memory;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Keeps the fields of every span, by its id.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<BTreeMap<String, String>>>>);

struct Fields<'a>(&'a mut BTreeMap<String, String>);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let mut text = String::new();
        write!(text, "{value:?}").unwrap();
        self.0
            .insert(field.name().to_owned(), text.replace('"', ""));
    }
}

impl Subscriber for Spans {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("orlop")
    }
    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut spans = self.0.lock().unwrap();
        let mut fields = BTreeMap::new();
        span.record(&mut Fields(&mut fields));
        spans.push(fields);
        Id::from_u64(spans.len() as u64)
    }
    fn record(&self, id: &Id, values: &Record<'_>) {
        let at = usize::try_from(id.into_u64()).unwrap() - 1;
        values.record(&mut Fields(&mut self.0.lock().unwrap()[at]));
    }
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[tokio::test]
async fn an_operation_tells_what_happened_and_no_value() {
    let spans = Spans::default();
    let _guard = tracing::subscriber::set_default(spans.clone());
    let db = memory().await;
    let notes = db.raw("notes");
    notes
        .put(doc! { "_id": "key-secret", "text": "text-secret" })
        .await
        .unwrap();
    let id = bson::Bson::from("key-secret");
    notes.get(&id).await.unwrap();
    notes.get(&id).await.unwrap();
    notes
        .put_guarded(doc! { "_id": "key-secret" }, orlop::engine::Guard::Absent)
        .await
        .unwrap_err();
    let seen = spans.0.lock().unwrap().clone();
    let told: Vec<_> = seen
        .iter()
        .map(|span| {
            let field = |name: &str| span.get(name).cloned().unwrap_or_default();
            (
                field("collection"),
                field("verb"),
                field("outcome"),
                field("cache"),
            )
        })
        .collect();
    let told: Vec<[&str; 4]> = told
        .iter()
        .map(|(a, b, c, d)| [&**a, &**b, &**c, &**d])
        .collect();
    assert_eq!(
        told,
        [
            ["notes", "commit", "ok", ""],
            ["notes", "get", "ok", "miss"],
            ["notes", "get", "ok", "hit"],
            ["notes", "commit", "Conflict", ""],
        ]
    );
    assert!(seen[0].contains_key("duration_us"));
    assert!(!format!("{seen:?}").contains("secret"));
}

//! A declaration, from JSON or BSON, has one form.

use bson::{Document, doc};
use orlop::ErrorKind;
use orlop::document::{Declaration, Direction, IndexSpec, Timestamps};

fn whole() -> Document {
    doc! {
        "indexes": [
            {"key": {"userId": 1, "priority": -1}, "name": "userId_1_priority_-1"},
            {"key": {"email": 1}, "name": "mail", "unique": true, "sparse": true},
            {"key": {"expiresAt": 1}, "name": "expiresAt_1", "expireAfterSeconds": 0},
        ],
        "schema": {"required": ["title"], "properties": {"title": {"bsonType": "string"}}},
        "scope": [["userId"], ["projectId", "status"]],
        "timestamps": {"created": "createdAt", "updated": false},
        "defaults": {"priority": 0, "createdAt": "$$NOW"},
        "sensitive": ["password"],
        "policy": {"cache": "writeThrough", "ttlMs": 5000_i64},
        "compress": true,
        "shardKey": ["userId"],
        "externalWriters": true,
    }
}

#[test]
fn the_whole_form_reads_and_writes_back_the_same() {
    let read = Declaration::from_document(&whole()).unwrap();
    assert_eq!(read.to_document(), whole());
    assert_eq!(
        Declaration::from_document(&read.to_document()).unwrap(),
        read
    );
    assert_eq!(Declaration::default().to_document(), doc! {});
    assert_eq!(
        read.timestamps,
        Some(Timestamps {
            created: Some("createdAt".into()),
            updated: None
        })
    );
}

#[test]
fn json_reads_and_writes_the_same_form() {
    let json = r#"{"indexes": [{"key": {"userId": 1, "priority": -1}}], "scope": ["userId"], "timestamps": true}"#;
    let read: Declaration = serde_json::from_str(json).unwrap();
    assert_eq!(
        read.indexes,
        [IndexSpec::on([
            ("userId", Direction::Ascending),
            ("priority", Direction::Descending)
        ])]
    );
    assert_eq!(read.indexes[0].name, "userId_1_priority_-1");
    assert_eq!(read.scopes, [["userId"]]);
    assert_eq!(read.timestamps, Some(Timestamps::default()));
    let again: Declaration = serde_json::from_str(&serde_json::to_string(&read).unwrap()).unwrap();
    assert_eq!(again, read);
}

#[test]
fn what_mongodb_lists_of_its_indexes_is_taken() {
    let listed = doc! {"indexes": [
        {"v": 2, "key": {"_id": 1}, "name": "_id_"},
        {"v": 2, "key": {"userId": 1.0, "dueDate": 1_i64}, "name": "userId_1_dueDate_1", "background": true},
    ]};
    let read = Declaration::from_document(&listed).unwrap();
    assert_eq!(
        read.indexes,
        [IndexSpec::on([
            ("userId", Direction::Ascending),
            ("dueDate", Direction::Ascending)
        ])]
    );
}

#[track_caller]
fn refused(form: Document, field: &str, rule: &str) {
    let error = Declaration::from_document(&form).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    let fields: Vec<_> = error
        .fields()
        .iter()
        .map(|it| (it.field.as_str(), it.rule.as_str()))
        .collect();
    assert_eq!(fields, [(field, rule)], "{error}");
}

#[test]
fn doubles_and_contradictions_are_refused_naming_the_field() {
    let key = |name: &str| doc! {"key": {"a": 1}, "name": name};
    refused(
        doc! {"indexes": [key("x"), {"key": {"b": 1}, "name": "x"}]},
        "indexes[1].name",
        "duplicate",
    );
    refused(
        doc! {"indexes": [key("x"), key("y")]},
        "indexes[1].key",
        "duplicate",
    );
    refused(doc! {"indexes": [{"key": {}}]}, "indexes[0].key", "empty");
    refused(
        doc! {"indexes": [{"key": {"a": 0}}]},
        "indexes[0].key.a",
        "malformed",
    );
    refused(
        doc! {"indexes": [{"key": {"a..b": 1}}]},
        "indexes[0].key",
        "malformed",
    );
    refused(
        doc! {"indexes": [{"key": {"$a": 1}}]},
        "indexes[0].key",
        "malformed",
    );
    refused(
        doc! {"indexes": [{"key": {"a": 1, "b": 1}, "expireAfterSeconds": 5}]},
        "indexes[0].expireAfterSeconds",
        "contradiction",
    );
    refused(
        doc! {"indexes": [{"key": {"a": 1}, "expireAfterSeconds": 1.5}]},
        "indexes[0].expireAfterSeconds",
        "type",
    );
    refused(
        doc! {"indexes": [{"key": {"a": 1}, "unique": "yes"}]},
        "indexes[0].unique",
        "type",
    );
    refused(
        doc! {"scope": [["a", "b"], ["b", "a"]]},
        "scope[1]",
        "duplicate",
    );
    refused(doc! {"scope": [[]]}, "scope[0]", "empty");
    refused(
        doc! {"timestamps": {"created": "at", "updated": "at"}},
        "timestamps",
        "duplicate",
    );
    refused(
        doc! {"defaults": {"a": {}, "a.b": 1}},
        "defaults",
        "contradiction",
    );
    refused(
        doc! {"schema": {"properties": {"a": {"bsonType": "string"}}}, "defaults": {"a": 1}},
        "defaults",
        "contradiction",
    );
    refused(doc! {"sensitive": ["_id"]}, "sensitive", "contradiction");
    refused(doc! {"indices": []}, "indices", "unknown");
    refused(
        doc! {"policy": {"cache": "sometimes"}},
        "policy",
        "malformed",
    );
}

#[test]
fn other_kinds_of_indexes_and_options_are_unsupported_by_name() {
    for (form, named) in [
        (doc! {"indexes": [{"key": {"at": "2dsphere"}}]}, "2dsphere"),
        (
            doc! {"indexes": [{"key": {"a": 1}, "partialFilterExpression": {}}]},
            "partialFilterExpression",
        ),
        (doc! {"schema": {"dependencies": {}}}, "dependencies"),
    ] {
        let error = Declaration::from_document(&form).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.message().contains(named), "{error}");
    }
}

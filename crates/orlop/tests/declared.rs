//! What a declaration does to writes: unique indexes, schema, timestamps, defaults; and to a collection.
#![allow(clippy::unwrap_used)]

mod common;

use bson::{Bson, doc};
use common::{change, get, memory, put};
use orlop::document::Declaration;
use orlop::engine::{Batch, Guard};
use orlop::{ErrorKind, Orlop};

async fn declared(form: bson::Document) -> Orlop {
    let db = memory().await;
    let declaration = Declaration::from_document(&form).unwrap();
    db.declare("users", &declaration).await.unwrap();
    db
}

async fn clean(db: &Orlop) {
    assert_eq!(db.check().await.unwrap().damage, Vec::<String>::new());
}

#[tokio::test]
async fn a_unique_index_refuses_the_second_and_frees_a_value_that_is_given_up() {
    let db = declared(doc! { "indexes": [{ "key": { "email": 1 }, "unique": true }] }).await;
    let users = db.raw("users");
    users.put(doc! { "_id": 1, "email": "a" }).await.unwrap();
    let error = users
        .put(doc! { "_id": 2, "email": "a" })
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert!(
        error.message().contains("users") && error.message().contains("email"),
        "{error}"
    );
    assert!(
        !error.message().contains("\"a\""),
        "the value is not named: {error}"
    );
    assert_eq!(error.fields()[0].rule, "unique");
    assert_eq!(get(&db, "users", 2).await, None);
    // The same document again, another value, and then the old value for somebody else.
    users.put(doc! { "_id": 1, "email": "a" }).await.unwrap();
    users.put(doc! { "_id": 1, "email": "b" }).await.unwrap();
    users.put(doc! { "_id": 2, "email": "a" }).await.unwrap();
    clean(&db).await;
}

#[tokio::test]
async fn a_unique_value_may_move_within_one_batch() {
    let db = declared(doc! { "indexes": [{ "key": { "email": 1 }, "unique": true }] }).await;
    db.raw("users")
        .put(doc! { "_id": 1, "email": "a" })
        .await
        .unwrap();
    let changes = vec![
        change("users", 1, Guard::Any, put(doc! { "_id": 1, "email": "b" })),
        change("users", 2, Guard::Any, put(doc! { "_id": 2, "email": "a" })),
    ];
    let batch = Batch {
        changes,
        ..Batch::default()
    };
    db.commit(batch).await.unwrap();
    let changes = vec![
        change("users", 3, Guard::Any, put(doc! { "_id": 3, "email": "c" })),
        change("users", 4, Guard::Any, put(doc! { "_id": 4, "email": "c" })),
    ];
    let batch = Batch {
        changes,
        ..Batch::default()
    };
    assert_eq!(
        db.commit(batch).await.unwrap_err().kind(),
        ErrorKind::AlreadyExists
    );
    assert_eq!(get(&db, "users", 3).await, None);
    clean(&db).await;
}

#[tokio::test]
async fn a_broken_schema_rule_names_collection_and_field_and_stores_nothing() {
    let schema = doc! { "required": ["title"], "properties": { "title": { "bsonType": "string", "maxLength": 3 } } };
    let db = declared(doc! { "schema": schema }).await;
    for (broken, rule) in [
        (doc! { "_id": 1 }, "required"),
        (doc! { "_id": 1, "title": "long" }, "max_length"),
        (doc! { "_id": 1, "title": 5 }, "type"),
    ] {
        let error = db.raw("users").put(broken).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.message().contains("users"), "{error}");
        assert_eq!(error.fields()[0].field, "title");
        assert_eq!(error.fields()[0].rule, rule);
        assert_eq!(get(&db, "users", 1).await, None);
    }
}

#[tokio::test]
async fn timestamps_and_defaults_are_the_stores_unless_a_batch_is_verbatim() {
    let db = declared(
        doc! { "timestamps": true, "defaults": { "status": "TODO", "prefs.theme": "light" } },
    )
    .await;
    db.raw("users").put(doc! { "_id": 1 }).await.unwrap();
    let first = get(&db, "users", 1).await.unwrap();
    assert_eq!(first.get_str("status").unwrap(), "TODO");
    assert_eq!(
        first.get_document("prefs").unwrap(),
        &doc! { "theme": "light" }
    );
    let created = first.get_datetime("createdAt").unwrap();
    db.raw("users")
        .put(doc! { "_id": 1, "status": "DONE" })
        .await
        .unwrap();
    let second = get(&db, "users", 1).await.unwrap();
    assert_eq!(second.get_datetime("createdAt").unwrap(), created);
    assert!(second.get_datetime("updatedAt").unwrap() >= first.get_datetime("updatedAt").unwrap());
    assert!(
        !second.contains_key("prefs"),
        "a default is for creation: {second}"
    );
    let verbatim = Batch {
        changes: vec![change("users", 2, Guard::Any, put(doc! { "_id": 2 }))],
        verbatim: true,
        ..Batch::default()
    };
    db.commit(verbatim).await.unwrap();
    assert_eq!(get(&db, "users", 2).await, Some(doc! { "_id": 2 }));
}

#[tokio::test]
async fn an_emptied_collection_keeps_its_declaration_and_a_dropped_one_does_not() {
    let db = declared(doc! { "indexes": [{ "key": { "email": 1 }, "unique": true }] }).await;
    let users = db.raw("users");
    for id in 0..100 {
        users.put(doc! { "_id": id, "email": id }).await.unwrap();
    }
    users.truncate().await.unwrap();
    assert_eq!(get(&db, "users", 5).await, None);
    let info = db.collections().await.unwrap();
    assert_eq!(
        (info[0].documents, info[0].bytes, info[0].indexes.len()),
        (0, 0, 1)
    );
    users.put(doc! { "_id": 1, "email": 5 }).await.unwrap();
    assert_eq!(
        users
            .put(doc! { "_id": 2, "email": 5 })
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::AlreadyExists
    );
    clean(&db).await;
    users.drop_collection().await.unwrap();
    assert!(db.collections().await.unwrap().is_empty());
    users.put(doc! { "_id": 1, "email": 5 }).await.unwrap();
    users.put(doc! { "_id": 2, "email": 5 }).await.unwrap();
    clean(&db).await;
    assert_eq!(
        get(&db, "users", Bson::Int32(2)).await,
        Some(doc! { "_id": 2, "email": 5 })
    );
}

#[tokio::test]
async fn declaring_the_same_again_commits_nothing() {
    let form = doc! { "indexes": [{ "key": { "email": 1 }, "unique": true }] };
    let db = declared(form.clone()).await;
    let seq = db.snapshot().await.unwrap().seq();
    let declaration = Declaration::from_document(&form).unwrap();
    db.declare("users", &declaration).await.unwrap();
    assert_eq!(db.snapshot().await.unwrap().seq(), seq);
    db.declare("users", &Declaration::default()).await.unwrap();
    assert!(db.snapshot().await.unwrap().seq() > seq);
}

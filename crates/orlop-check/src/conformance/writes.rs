//! Guards, many writes, deletions, rules, identity of keys and values.

use bson::{Binary, Bson, DateTime, Document, doc};
use orlop::engine::{Action, Effect, Guard};
use orlop::{ErrorKind, RefusalReason, Result};
use tokio::task::JoinSet;

use super::Outcome;
use super::store::{Store, change, matches, put, refusals, update};

pub(super) async fn of_many_adders_one_adds(store: Store) -> Outcome {
    let mut adders = JoinSet::new();
    for number in 0..64 {
        let store = store.clone();
        adders.spawn(async move {
            let added = store
                .one(put("notes", doc! { "_id": 1, "by": number }, Guard::Absent))
                .await;
            added.map(|effect| (effect, number))
        });
    }
    let mut winners = Vec::new();
    while let Some(added) = adders.join_next().await {
        match added? {
            Ok((Effect::Inserted, number)) => winners.push(number),
            other => {
                let refused = refusals(other)?;
                assert_eq!(refused[0].reason, RefusalReason::Exists);
                assert!(
                    refused[0].stored.is_some(),
                    "the stored revision is not named"
                );
            }
        }
    }
    assert_eq!(winners.len(), 1, "{winners:?} all added");
    let stored = Some(doc! { "_id": 1, "by": winners[0] });
    assert_eq!(store.get("notes", 1).await?, stored);
    if let Some(store) = store.reopened().await? {
        assert_eq!(store.get("notes", 1).await?, stored);
    }
    Ok(())
}

pub(super) async fn a_condition_guards_an_update(store: Store) -> Outcome {
    store.put("notes", doc! { "_id": 1, "at": 0 }).await?;
    let edit = || {
        put(
            "notes",
            doc! { "_id": 1, "at": 1 },
            matches(&doc! { "at": 0 }),
        )
    };
    let commit = store.commit(vec![edit()]).await?;
    let refused = refusals(store.commit(vec![edit()]).await)?;
    assert_eq!(refused[0].reason, RefusalReason::Condition);
    assert_eq!(refused[0].stored, commit.applied[0].revision);
    let missing = put("notes", doc! { "_id": 2 }, matches(&doc! { "at": 0 }));
    let refused = refusals(store.commit(vec![missing]).await)?;
    assert_eq!(
        (refused[0].reason, refused[0].stored),
        (RefusalReason::Missing, None)
    );
    if let Some(store) = store.reopened().await? {
        assert_eq!(
            store.get("notes", 1).await?,
            Some(doc! { "_id": 1, "at": 1 })
        );
        assert_eq!(store.get("notes", 2).await?, None);
    }
    Ok(())
}

pub(super) async fn a_revision_guards_a_write_once(store: Store) -> Outcome {
    let first = store.put("notes", doc! { "_id": 1, "n": 1 }).await?;
    let edit = |n: i32| put("notes", doc! { "_id": 1, "n": n }, Guard::Revision(first));
    let second = store.commit(vec![edit(2)]).await?.applied[0].revision;
    assert!(second > Some(first), "a revision does not rise");
    let refused = refusals(store.commit(vec![edit(3)]).await)?;
    assert_eq!(
        (refused[0].reason, refused[0].stored),
        (RefusalReason::Revision, second)
    );
    // An update that changes nothing moves nothing.
    let nothing = update("notes", 1, Guard::Any, doc! { "$set": { "n": 2 } });
    let applied = &store.commit(vec![nothing]).await?.applied[0];
    assert_eq!(
        (applied.effect, applied.revision),
        (Effect::Unchanged, second)
    );
    Ok(())
}

pub(super) async fn put_many_leaves_no_entry_of_old_values(store: Store) -> Outcome {
    store
        .declare("notes", doc! { "indexes": [{ "key": { "n": 1 } }] })
        .await?;
    let documents =
        |ids: std::ops::Range<i32>, n: i32| ids.map(|id| doc! { "_id": id, "n": n }).collect();
    store.put_all("notes", documents(0..60, 1)).await?;
    store.put_all("notes", documents(30..100, 2)).await?;
    assert_eq!(
        store
            .ids("notes", doc! { "filter": { "n": 1 } })
            .await?
            .len(),
        30
    );
    let newest: Vec<Bson> = (30..100).map(Bson::Int32).collect();
    assert_eq!(
        store.ids("notes", doc! { "filter": { "n": 2 } }).await?,
        newest
    );
    assert_eq!(store.ids("notes", doc! {}).await?.len(), 100);
    store.is_sound().await
}

pub(super) async fn deleted_documents_are_nowhere(store: Store) -> Outcome {
    let form = doc! { "indexes": [{ "key": { "n": 1 } }] };
    for collection in ["some", "all", "gone"] {
        store.declare(collection, form.clone()).await?;
        let documents = (0..50).map(|id| doc! { "_id": id, "n": id % 5 }).collect();
        store.put_all(collection, documents).await?;
    }
    let delete = |id: &Bson| change("some", id.clone(), Guard::Any, Action::Delete);
    let ids = store.ids("some", doc! { "filter": { "n": 3 } }).await?;
    store.commit(ids.iter().map(delete).collect()).await?;
    assert_eq!(store.one(delete(&Bson::Int32(3))).await?, Effect::Missing);
    assert_eq!(store.one(delete(&Bson::Int32(1))).await?, Effect::Deleted);
    store
        .one(change("all", Bson::Null, Guard::Any, Action::Truncate))
        .await?;
    store
        .one(change("gone", Bson::Null, Guard::Any, Action::Drop))
        .await?;
    nothing_is_left(&store).await?;
    let names = |collections: &[orlop::engine::CollectionInfo]| -> Vec<String> {
        collections.iter().map(|one| one.name.clone()).collect()
    };
    assert_eq!(names(&store.engine.collections().await?), ["all", "some"]);
    if let Some(store) = store.reopened().await? {
        nothing_is_left(&store).await?;
        assert_eq!(names(&store.engine.collections().await?), ["all", "some"]);
        store.is_sound().await?;
    }
    Ok(())
}

async fn nothing_is_left(store: &Store) -> Outcome {
    let indexed = doc! { "filter": { "n": 3 } };
    for collection in ["some", "all", "gone"] {
        assert_eq!(
            store.ids(collection, indexed.clone()).await?,
            [],
            "{collection}"
        );
    }
    assert_eq!(store.ids("some", doc! {}).await?.len(), 39);
    assert_eq!(store.get("some", 1).await?, None);
    assert_eq!(store.ids("all", doc! {}).await?, []);
    assert_eq!(store.ids("gone", doc! {}).await?, []);
    Ok(())
}

pub(super) async fn a_broken_rule_names_its_field_and_stores_nothing(store: Store) -> Outcome {
    let schema = doc! {
        "required": ["title"],
        "properties": {
            "title": { "bsonType": "string", "maxLength": 5 },
            "status": { "enum": ["TODO", "DONE"] },
        },
    };
    let indexes = vec![doc! { "key": { "email": 1 }, "unique": true, "sparse": true }];
    store
        .declare("tasks", doc! { "schema": schema, "indexes": indexes })
        .await?;
    store
        .put("tasks", doc! { "_id": 1, "title": "a", "email": "x" })
        .await?;
    let cases = [
        (doc! { "title": 5 }, ErrorKind::Invalid, "title"),
        (doc! {}, ErrorKind::Invalid, "title"),
        (doc! { "title": "too long" }, ErrorKind::Invalid, "title"),
        (
            doc! { "title": "a", "status": "NOPE" },
            ErrorKind::Invalid,
            "status",
        ),
        (
            doc! { "title": "a", "email": "x" },
            ErrorKind::AlreadyExists,
            "email",
        ),
    ];
    for (mut document, kind, field) in cases {
        document.insert("_id", 2);
        let beside = put("others", doc! { "_id": 1 }, Guard::Any);
        let result = store
            .commit(vec![beside, put("tasks", document, Guard::Any)])
            .await;
        let error = result
            .err()
            .ok_or_else(|| format!("a broken {field} is stored"))?;
        assert_eq!(error.kind(), kind, "{error:?}");
        assert!(
            error.message().contains("tasks"),
            "{error} does not name the collection"
        );
        let named = error
            .fields()
            .iter()
            .any(|broken| broken.field == field && !broken.rule.is_empty());
        assert!(
            named,
            "{error:?} does not name {field}: {:?}",
            error.fields()
        );
        assert_eq!(
            store.get("others", 1).await?,
            None,
            "{field}: a part of the batch is stored"
        );
        assert_eq!(store.get("tasks", 2).await?, None, "{field}");
    }
    let large = put(
        "others",
        doc! { "_id": 1, "text": "x".repeat(17 << 20) },
        Guard::Any,
    );
    let error = store
        .commit(vec![large])
        .await
        .err()
        .ok_or("17 MiB are stored")?;
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(store.get("others", 1).await?, None);
    Ok(())
}

pub(super) async fn ids_and_collections_never_collide(store: Store) -> Outcome {
    let bytes = |bytes: &[u8]| {
        Bson::Binary(Binary {
            subtype: bson::spec::BinarySubtype::Generic,
            bytes: bytes.to_vec(),
        })
    };
    let texts = [
        "",
        "\0",
        "\0\0",
        "a",
        "a\0",
        "a\0b",
        "ab",
        "1",
        "11",
        "a.b",
        "a/b",
        "é",
        "e\u{301}",
        "\u{10FFFF}",
    ];
    let mut ids: Vec<Bson> = texts
        .iter()
        .map(|text| Bson::String((*text).to_owned()))
        .collect();
    ids.extend([1, 11, 111, -1].map(Bson::Int32));
    ids.extend([
        Bson::Double(1.5),
        Bson::Boolean(true),
        Bson::DateTime(DateTime::from_millis(1)),
    ]);
    ids.extend([bytes(b""), bytes(b"a"), bytes(b"\0"), bytes(b"1")]);
    ids.extend([
        Bson::Document(doc! { "a": 1 }),
        Bson::Document(doc! { "a": 1, "b": 1 }),
        Bson::Null,
    ]);
    let collections = ["home", "home1", "hom", "homé"];
    for collection in collections {
        for (number, id) in ids.iter().enumerate() {
            let document = doc! { "_id": id.clone(), "in": collection, "n": number as i32 };
            let effect = store.one(put(collection, document, Guard::Absent)).await?;
            assert_eq!(effect, Effect::Inserted, "{collection}, {id:?}");
        }
    }
    let all = |store: Store| async move {
        for collection in collections {
            for (number, id) in ids.iter().enumerate() {
                let expected = doc! { "_id": id.clone(), "in": collection, "n": number as i32 };
                assert_eq!(store.get(collection, id.clone()).await?, Some(expected));
            }
            assert_eq!(store.ids(collection, doc! {}).await?.len(), ids.len());
        }
        Ok::<_, libtest_mimic::Failed>(store)
    };
    let store = all.clone()(store).await?;
    if let Some(store) = store.reopened().await? {
        all(store).await?;
    }
    Ok(())
}

pub(super) async fn edge_values_keep_type_and_value(store: Store) -> Outcome {
    store
        .declare("edges", doc! { "indexes": [{ "key": { "n": 1 } }] })
        .await?;
    let decimal = |text: &str| -> Result<Bson, String> {
        text.parse()
            .map(Bson::Decimal128)
            .map_err(|_| format!("{text} is no decimal"))
    };
    let mut values = vec![
        Bson::Int64(i64::MAX),
        Bson::Int64(i64::MIN),
        Bson::Int64(9_007_199_254_740_993),
        Bson::Int64(1),
        Bson::Int32(i32::MIN),
        Bson::Int32(1),
        Bson::Double(1.0),
        Bson::Double(-0.0),
        Bson::Double(f64::NAN),
        Bson::Double(f64::INFINITY),
        Bson::Double(5e-324),
        Bson::Double(f64::MAX),
        Bson::DateTime(DateTime::from_millis(i64::MIN)),
    ];
    for text in [
        "1.0",
        "1.00",
        "-0",
        "NaN",
        "9.999999999999999999999999999999999E+6144",
        "1E-6176",
    ] {
        values.push(decimal(text)?);
    }
    let documents: Vec<Document> = values
        .into_iter()
        .enumerate()
        .map(|(id, value)| doc! { "_id": id as i32, "n": value.clone(), "list": [value] })
        .collect();
    for document in &documents {
        store.put("edges", document.clone()).await?;
    }
    check_edges(&store, &documents).await?;
    if let Some(store) = store.reopened().await? {
        check_edges(&store, &documents).await?;
    }
    Ok(())
}

async fn check_edges(store: &Store, documents: &[Document]) -> Outcome {
    for document in documents {
        let id = document.get("_id").cloned().unwrap_or(Bson::Null);
        let bytes = document.to_vec()?;
        let stored = store.get("edges", id.clone()).await?.ok_or("it is gone")?;
        assert_eq!(stored.to_vec()?, bytes, "{document} became {stored}");
        // Through the index: found by its own value, and as it was.
        let filter = doc! { "n": { "$eq": document.get("n").cloned() } };
        let found = store.find("edges", doc! { "filter": filter }).await?;
        let found = found.iter().find(|found| found.get("_id") == Some(&id));
        let found = found.ok_or_else(|| format!("{document} is not found by its value"))?;
        assert_eq!(found.to_vec()?, bytes, "{document} was found as {found}");
    }
    Ok(())
}

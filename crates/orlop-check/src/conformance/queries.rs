//! Orders, pages, plans and indexes built late.

use bson::{Bson, Document, doc};
use orlop::engine::Query;
use orlop::query::value;
use tokio::task::JoinSet;

use super::Outcome;
use super::store::{Store, change, find, put};
use crate::meaning;
use orlop::engine::{Action, Guard};

fn raw(documents: &[Document]) -> Vec<bson::RawDocumentBuf> {
    let raw = |document| bson::RawDocumentBuf::try_from(document).expect("claims write BSON");
    meaning::in_order(documents.iter().map(raw).collect())
}

/// The engine's result is what filtering the same documents in memory gives.
async fn same(store: &Store, collection: &str, documents: &[Document], asked: Document) -> Outcome {
    let meant = meaning::find(&raw(documents), &asked)?;
    let meant: Vec<Document> = meant
        .into_iter()
        .map(Document::try_from)
        .collect::<Result<_, _>>()?;
    let found = store.find(collection, asked.clone()).await?;
    assert_eq!(
        format!("{found:?}"),
        format!("{meant:?}"),
        "{collection}: {asked}"
    );
    Ok(())
}

pub(super) async fn null_finds_missing_and_types_sort_as_in_mongodb(store: Store) -> Outcome {
    let values = vec![
        Bson::MinKey,
        Bson::Null,
        Bson::Int32(-1),
        Bson::Double(0.5),
        Bson::Int64(7),
        Bson::String("a".into()),
        Bson::Document(doc! { "a": 1 }),
        Bson::Boolean(false),
        Bson::Boolean(true),
        Bson::DateTime(bson::DateTime::from_millis(0)),
        Bson::MaxKey,
        Bson::Array(vec![]),
        Bson::Array(vec![Bson::Null]),
    ];
    let mut documents = vec![doc! { "_id": 100 }, doc! { "_id": 101, "b": 1 }];
    let numbered = values.iter().enumerate();
    // Written in another order than they sort.
    documents.extend(
        numbered.map(|(at, value)| doc! { "_id": (at * 7 % 13) as i32, "a": value.clone() }),
    );
    store
        .declare("indexed", doc! { "indexes": [{ "key": { "a": 1 } }] })
        .await?;
    for collection in ["plain", "indexed"] {
        store.put_all(collection, documents.clone()).await?;
        let nulls = store
            .ids(collection, doc! { "filter": { "a": null } })
            .await?;
        assert_eq!(
            nulls.len(),
            4,
            "{collection}: null, two missing, and null in an array"
        );
        for way in [1, -1] {
            same(
                &store,
                collection,
                &documents,
                doc! { "sort": { "a": way } },
            )
            .await?;
            let ranged = doc! { "filter": { "a": { "$gte": null } }, "sort": { "a": way } };
            same(&store, collection, &documents, ranged).await?;
        }
        for value in &values {
            for operator in ["$eq", "$gt", "$lte", "$ne"] {
                let filter = doc! { "a": { operator: value.clone() } };
                same(
                    &store,
                    collection,
                    &documents,
                    doc! { "filter": filter, "sort": { "a": -1 } },
                )
                .await?;
            }
        }
        let up = store.ids(collection, doc! { "sort": { "a": 1 } }).await?;
        let lowest = documents
            .iter()
            .find(|document| document.get("_id") == up.first());
        assert_eq!(
            lowest.and_then(|document| document.get("a")),
            Some(&Bson::MinKey),
            "{collection}"
        );
    }
    Ok(())
}

pub(super) async fn sorts_page_with_ties_by_id(store: Store) -> Outcome {
    let documents: Vec<Document> = (0..60)
        .map(|id| doc! { "_id": (id * 37) % 60, "a": id % 4, "b": id % 3, "c": "x" })
        .collect();
    let indexes = vec![
        doc! { "key": { "a": 1, "b": -1 } },
        doc! { "key": { "c": 1 } },
    ];
    store
        .declare("indexed", doc! { "indexes": indexes })
        .await?;
    for collection in ["plain", "indexed"] {
        store.put_all(collection, documents.clone()).await?;
        let sorts = [
            doc! {},
            doc! { "a": 1 },
            doc! { "a": -1 },
            doc! { "a": 1, "b": -1 },
            doc! { "a": -1, "b": 1 },
            doc! { "a": 1, "b": 1 },
            doc! { "c": 1 },
            doc! { "c": -1, "a": 1 },
            doc! { "_id": -1 },
        ];
        for sort in sorts {
            for (skip, limit) in [(0, 60), (0, 7), (13, 9), (55, 20), (100, 1)] {
                let asked =
                    doc! { "sort": sort.clone(), "skip": skip as i64, "limit": limit as i64 };
                same(&store, collection, &documents, asked).await?;
                let some = doc! {
                    "filter": { "a": { "$in": [1, 3] }, "c": "x" }, "sort": sort.clone(),
                    "skip": skip as i64, "limit": limit as i64,
                };
                same(&store, collection, &documents, some).await?;
            }
        }
    }
    Ok(())
}

pub(super) async fn projections_and_counts_agree_with_results(store: Store) -> Outcome {
    let documents: Vec<Document> = (0..40)
        .map(|id| doc! { "_id": id, "a": { "b": id % 5, "c": "x" }, "list": [id, id + 1, { "n": id }], "d": null })
        .collect();
    store
        .declare(
            "notes",
            doc! { "indexes": [{ "key": { "a.b": 1 } }, { "key": { "list": 1 } }] },
        )
        .await?;
    store.put_all("notes", documents.clone()).await?;
    let projections = [
        doc! { "a": 1 },
        doc! { "_id": 0, "a.b": 1 },
        doc! { "list": 0, "d": 0, "_v": 0 },
        doc! { "list": { "$slice": -1 } },
        doc! { "_id": 1, "list": { "$elemMatch": { "n": { "$gt": 3 } } } },
    ];
    let filters = [
        doc! {},
        doc! { "a.b": 2 },
        doc! { "list": { "$gte": 38 } },
        doc! { "a.b": { "$ne": 2 } },
    ];
    for filter in filters {
        for projection in &projections {
            let asked = doc! { "filter": filter.clone(), "projection": projection.clone() };
            same(&store, "notes", &documents, asked).await?;
        }
        let asked = doc! { "filter": filter };
        let query = meaning::query("notes", &asked)?;
        let counted = store.engine.count(query).await?;
        assert_eq!(counted, store.ids("notes", asked).await?.len() as u64);
    }
    Ok(())
}

pub(super) async fn pages_show_what_stays_exactly_once(store: Store) -> Outcome {
    store
        .declare("notes", doc! { "indexes": [{ "key": { "rank": 1 } }] })
        .await?;
    // Even ones stay; odd ones come and go.
    let document = |id: i32| doc! { "_id": id, "rank": id % 10 };
    store
        .put_all(
            "notes",
            (0..400).filter(|id| id % 4 != 3).map(document).collect(),
        )
        .await?;
    let mut writers = JoinSet::new();
    let writer = store.clone();
    writers.spawn(async move {
        for id in (1..400).step_by(2) {
            let write = if id % 4 == 1 {
                change("notes", id, Guard::Any, Action::Delete)
            } else {
                put("notes", document(id), Guard::Any)
            };
            writer.one(write).await?;
        }
        Ok::<_, orlop::Error>(())
    });
    let mut seen = Vec::new();
    let mut query = Query {
        limit: Some(13),
        ..meaning::query("notes", &doc! { "sort": { "rank": -1 } })?
    };
    loop {
        let page = find(&*store.engine, query.clone()).await?;
        let Some(last) = page.last() else {
            break;
        };
        query.after = Some(query.sort.sort_key_document(last)?);
        seen.extend(
            page.iter()
                .filter_map(|document| document.get_i32("_id").ok()),
        );
    }
    while let Some(written) = writers.join_next().await {
        written??;
    }
    let mut stayed: Vec<i32> = seen.iter().copied().filter(|id| id % 2 == 0).collect();
    stayed.sort_unstable();
    assert_eq!(stayed, (0..400).step_by(2).collect::<Vec<_>>());
    let mut once = seen.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), seen.len(), "a document is on two pages");
    Ok(())
}

pub(super) async fn explain_names_the_index_and_reads_little(store: Store) -> Outcome {
    let indexes = vec![
        doc! { "key": { "user": 1, "priority": -1 }, "name": "by_user" },
        doc! { "key": { "due": 1 }, "name": "by_due" },
    ];
    store.declare("tasks", doc! { "indexes": indexes }).await?;
    let documents =
        (0..500).map(|id| doc! { "_id": id, "user": id % 20, "priority": id % 5, "due": id });
    store.put_all("tasks", documents.collect()).await?;
    let cases = [
        (doc! { "filter": { "user": 7 } }, "by_user", 25),
        (
            doc! { "filter": { "user": 7, "priority": { "$gte": 1 } } },
            "by_user",
            25,
        ),
        (
            doc! { "filter": { "user": 7 }, "sort": { "priority": -1 }, "limit": 5_i64 },
            "by_user",
            6,
        ),
        (
            doc! { "filter": { "due": { "$gte": 100, "$lt": 110 } } },
            "by_due",
            10,
        ),
        (
            doc! { "filter": { "$or": [{ "user": 7 }, { "due": 3 }] } },
            "by_user",
            26,
        ),
    ];
    for (asked, index, most) in cases {
        let explain = store
            .engine
            .explain(meaning::query("tasks", &asked)?)
            .await?;
        let named = explain.index.as_deref().unwrap_or_default();
        assert!(named.contains(index), "{asked}: {explain:?}");
        assert!(!explain.bounds.is_empty(), "{asked}: {explain:?}");
        assert!(explain.documents_examined <= most, "{asked}: {explain:?}");
        let found = store.ids("tasks", asked.clone()).await?.len() as u64;
        assert_eq!(explain.returned, found, "{asked}: {explain:?}");
    }
    let scan = store
        .engine
        .explain(meaning::query("tasks", &doc! { "filter": { "other": 1 } })?)
        .await?;
    assert_eq!((scan.index, scan.returned), (None, 0));
    assert_eq!(scan.documents_examined, 500);
    Ok(())
}

pub(super) async fn an_index_declared_late_gives_what_a_scan_gives(store: Store) -> Outcome {
    let document = |id: i32| {
        let tags = vec![format!("t{}", id % 7), format!("t{}", id % 11)];
        doc! { "_id": id, "n": id % 50, "tags": tags }
    };
    for part in 0..6 {
        store
            .put_all(
                "notes",
                (part * 500..(part + 1) * 500).map(document).collect(),
            )
            .await?;
    }
    let asked = [
        doc! { "filter": { "n": 7 } },
        doc! { "filter": { "n": { "$gt": 47 } }, "sort": { "n": -1 } },
        doc! { "filter": { "tags": "t3" } },
        doc! { "filter": { "tags": { "$in": ["t1", "t10"] } }, "sort": { "tags": 1 } },
    ];
    let mut scanned = Vec::new();
    for asked in &asked {
        scanned.push(store.ids("notes", asked.clone()).await?);
    }
    let form = doc! { "indexes": [{ "key": { "n": 1 }, "name": "by_n" }, { "key": { "tags": 1 }, "name": "by_tags" }] };
    let declaration = orlop::document::Declaration::from_document(&form)?;
    store.engine.declare("notes", &declaration).await?;
    // At once, in the middle of the build where the engine keeps anything.
    let store = store.restarted().await?;
    store.wait_for_indexes("notes").await?;
    for (asked, scanned) in asked.iter().zip(&scanned) {
        let explain = store
            .engine
            .explain(meaning::query("notes", asked)?)
            .await?;
        assert!(explain.index.is_some(), "{asked}: {explain:?}");
        let found = store.ids("notes", asked.clone()).await?;
        let same = found.len() == scanned.len()
            && found
                .iter()
                .zip(scanned)
                .all(|(a, b)| value::compare(a, b).is_eq());
        assert!(same, "{asked}: {found:?} instead of {scanned:?}");
    }
    store.is_sound().await
}

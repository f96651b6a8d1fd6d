//! The cache as an application meets it, in memory and in a folder.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::sync::Arc;

use bson::{Bson, doc};
use common::{change, put};
use futures_util::future::join_all;
use orlop::cache::{CacheSettings, Served};
use orlop::collection::{Raw, Settings};
use orlop::document::{CacheMode, Declaration, Policy};
use orlop::engine::{Action, Batch, Guard, Query, Touch};
use orlop::pack::Body;
use orlop::query::{Expr, Pred};
use orlop::{ErrorKind, Orlop};

/// A test that holds on every engine: `case(&db)`.
async fn on_each_engine<F: AsyncFn(&Orlop)>(settings: Settings, case: F) {
    let db = Orlop::open_with("memory:", settings.clone()).await.unwrap();
    case(&db).await;
    let folder = tempfile::tempdir().unwrap();
    let location = folder.path().to_str().unwrap();
    let db = Orlop::open_with(location, settings).await.unwrap();
    case(&db).await;
    db.close().await.unwrap();
}

async fn tasks(db: &Orlop, cache: CacheMode) -> Raw {
    let declaration = Declaration {
        scopes: vec![vec!["userId".to_owned()]],
        policy: Policy {
            cache,
            ttl_ms: None,
        },
        ..Declaration::default()
    };
    db.declare("tasks", &declaration).await.unwrap();
    db.raw("tasks")
}

fn of_user(tasks: &Raw, user: i32) -> Query {
    let mut query = tasks.query();
    query.filter = Expr::Field("userId".into(), Pred::Eq(Bson::Int32(user)));
    query
}

/// The ids of a user's tasks, and how they were served.
async fn list(tasks: &Raw, user: i32) -> (Vec<i32>, Served) {
    let decode = |body: &Body| Ok(body.raw().get_i32("_id").unwrap());
    let read = tasks.cached_list::<i32>(of_user(tasks, user), decode).await;
    let (docs, served) = read.unwrap();
    (docs.iter().map(|doc| **doc).collect(), served)
}

async fn save(tasks: &Raw, id: i32, user: i32) {
    let document = doc! { "_id": id, "userId": user, "title": "a" };
    tasks.put(document).await.unwrap();
}

#[tokio::test]
async fn a_list_is_served_again_until_a_task_of_its_user_changes() {
    on_each_engine(Settings::default(), async |db| {
        let tasks = tasks(db, CacheMode::CacheAside).await;
        save(&tasks, 1, 7).await;
        save(&tasks, 2, 8).await;
        assert_eq!(list(&tasks, 7).await, (vec![1], Served::Miss));
        let loads = db.cache_stats().loads;
        assert_eq!(list(&tasks, 7).await, (vec![1], Served::Hit));
        save(&tasks, 3, 8).await;
        assert_eq!(list(&tasks, 7).await, (vec![1], Served::Hit));
        assert_eq!(db.cache_stats().loads, loads);
        save(&tasks, 4, 7).await;
        assert_eq!(list(&tasks, 7).await, (vec![1, 4], Served::Miss));
        tasks.delete(Bson::Int32(1), Guard::Any).await.unwrap();
        assert_eq!(list(&tasks, 7).await, (vec![4], Served::Miss));
        let batch = Batch {
            changes: vec![change("tasks", 0, Guard::Any, Action::Truncate)],
            ..Batch::default()
        };
        db.commit(batch).await.unwrap();
        assert_eq!(list(&tasks, 7).await, (vec![], Served::Miss));
    })
    .await;
}

#[tokio::test]
async fn a_task_moved_to_another_user_is_on_the_right_list_at_once() {
    on_each_engine(Settings::default(), async |db| {
        let tasks = tasks(db, CacheMode::CacheAside).await;
        save(&tasks, 1, 7).await;
        for round in 0..4 {
            let (from, to) = if round % 2 == 0 { (7, 8) } else { (8, 7) };
            assert_eq!(list(&tasks, from).await.0, [1]);
            assert!(list(&tasks, to).await.0.is_empty());
            save(&tasks, 1, to).await;
            assert!(list(&tasks, from).await.0.is_empty());
            assert_eq!(list(&tasks, to).await.0, [1]);
        }
    })
    .await;
}

#[tokio::test]
async fn a_scope_that_is_no_longer_declared_does_not_keep_its_lists() {
    on_each_engine(Settings::default(), async |db| {
        let tasks = tasks(db, CacheMode::CacheAside).await;
        save(&tasks, 1, 7).await;
        assert_eq!(list(&tasks, 7).await.0, [1]);
        db.declare("tasks", &Declaration::default()).await.unwrap();
        save(&tasks, 2, 7).await;
        assert_eq!(list(&tasks, 7).await.0, [1, 2]);
        save(&tasks, 3, 7).await;
        assert_eq!(list(&tasks, 7).await.0, [1, 2, 3]);
    })
    .await;
}

#[tokio::test]
async fn two_hundred_misses_run_one_query_and_a_thousand_gets_load_once() {
    on_each_engine(Settings::default(), async |db| {
        let tasks = tasks(db, CacheMode::CacheAside).await;
        save(&tasks, 1, 7).await;
        let loads = db.cache_stats().loads;
        let lists = join_all((0..200).map(|_| list(&tasks, 7))).await;
        assert!(lists.iter().all(|list| list.0 == [1]));
        assert_eq!(db.cache_stats().loads, loads + 1);
        let id = Bson::Int32(1);
        let found = join_all((0..1000).map(|_| tasks.get(&id))).await;
        assert!(found.iter().all(|found| found.as_ref().unwrap().is_some()));
        assert_eq!(db.cache_stats().loads, loads + 2);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn misses_of_many_threads_load_a_document_once_a_revision() {
    let db = common::memory().await;
    let tasks = tasks(&db, CacheMode::CacheAside).await;
    save(&tasks, 1, 7).await;
    let loads = db.cache_stats().loads;
    let reads = (0..1000).map(|_| {
        let tasks = tasks.clone();
        tokio::spawn(async move { tasks.get(1).await.unwrap().is_some() })
    });
    assert!(
        join_all(reads)
            .await
            .into_iter()
            .all(|found| found.unwrap())
    );
    assert_eq!(db.cache_stats().loads, loads + 1);
}

#[tokio::test]
async fn not_found_is_cached_and_gone_the_moment_the_document_is_added() {
    on_each_engine(Settings::default(), async |db| {
        let tasks = tasks(db, CacheMode::CacheAside).await;
        let get = async || tasks.get(1).served().await.unwrap();
        assert_eq!(get().await, (None, Served::Miss));
        assert_eq!(get().await, (None, Served::Hit));
        save(&tasks, 1, 7).await;
        let (found, served) = get().await;
        assert!(found.is_some());
        assert_eq!(served, Served::Miss);
    })
    .await;
}

#[tokio::test]
async fn a_hit_has_the_types_and_the_revision_of_a_miss() {
    on_each_engine(Settings::default(), async |db| {
        let raw = db.raw("mixed");
        let document = doc! {
            "_id": bson::oid::ObjectId::new(),
            "int": 1, "long": i64::MAX, "double": 1.0, "nan": f64::NAN,
            "date": bson::DateTime::from_millis(1_700_000_000_123),
            "decimal": "1.10".parse::<bson::Decimal128>().unwrap(),
            "nested": { "null": Bson::Null, "list": [1_i64, "a", true] },
        };
        let id = document.get("_id").unwrap().clone();
        let written = raw.put(document.clone()).await.unwrap();
        let (miss, served) = raw.get(&id).served().await.unwrap();
        assert_eq!(served, Served::Miss);
        let (hit, served) = raw.get(&id).served().await.unwrap();
        assert_eq!(served, Served::Hit);
        let (miss, hit) = (miss.unwrap(), hit.unwrap());
        assert_eq!(miss.bytes(), hit.bytes());
        assert_eq!(Some(hit.revision()), written.revision);
        let mut stored = bson::Document::try_from(hit.raw()).unwrap();
        stored.remove("_v");
        assert_eq!(format!("{stored:?}"), format!("{document:?}"));
    })
    .await;
}

#[tokio::test]
async fn equal_numbers_are_one_id_in_the_cache_too() {
    let db = common::memory().await;
    let raw = db.raw("numbers");
    raw.put(doc! { "_id": 1.0 }).await.unwrap();
    assert!(raw.get(Bson::Int32(1)).await.unwrap().is_some());
    let (_, served) = raw.get(Bson::Int64(1)).served().await.unwrap();
    assert_eq!(served, Served::Hit);
    raw.delete(Bson::Double(1.0), Guard::Any).await.unwrap();
    assert_eq!(raw.get(1).await.unwrap(), None);
}

#[tokio::test]
async fn names_and_ids_that_join_alike_are_other_documents() {
    let db = common::memory().await;
    let of = async |collection: &str, id: &str| {
        let raw = db.raw(collection);
        raw.get(id)
            .await
            .unwrap()
            .map(|body| body.raw().get_str("is").unwrap().to_owned())
    };
    let pairs = [
        ("home", "11"),
        ("home1", "1"),
        ("home", ""),
        ("home", "1\0"),
        ("home", "1"),
    ];
    for (collection, id) in pairs {
        let raw = db.raw(collection);
        raw.put(doc! { "_id": id, "is": format!("{collection}/{id}") })
            .await
            .unwrap();
    }
    for _ in 0..2 {
        for (collection, id) in pairs {
            assert_eq!(of(collection, id).await, Some(format!("{collection}/{id}")));
        }
    }
    assert_eq!(of("home1", "11").await, None);
}

#[tokio::test]
async fn a_scan_stays_under_the_bound_and_leaves_the_hot_set() {
    const BYTES: u64 = 256 * 1024;
    let settings = Settings {
        cache: CacheSettings {
            bytes_max: BYTES,
            ..CacheSettings::default()
        },
        ..Settings::default()
    };
    on_each_engine(settings, async |db| {
        let raw = db.raw("notes");
        // Each entry takes some 400 bytes: 8 000 are ten times the bound and more.
        for chunk in 0..8_i64 {
            let changes = (chunk * 1000..(chunk + 1) * 1000).map(|id| {
                change(
                    "notes",
                    id,
                    Guard::Any,
                    put(doc! { "_id": id, "t": "x".repeat(160) }),
                )
            });
            let batch = Batch {
                changes: changes.collect(),
                ..Batch::default()
            };
            db.commit(batch).await.unwrap();
        }
        for _ in 0..3 {
            for id in 0..200_i64 {
                raw.get(id).await.unwrap().unwrap();
            }
        }
        for id in 200..8000_i64 {
            raw.get(id).await.unwrap().unwrap();
            let stats = db.cache_stats();
            assert!(stats.bytes <= BYTES, "{stats:?}");
        }
        let mut hits = 0;
        for id in 0..200_i64 {
            hits += u32::from(raw.get(id).served().await.unwrap().1 == Served::Hit);
        }
        assert!(hits >= 190, "{hits} of 200 hot documents are left");
    })
    .await;
}

#[tokio::test]
async fn what_is_invalidated_is_read_anew_and_nothing_else() {
    on_each_engine(Settings::default(), async |db| {
        let tasks = tasks(db, CacheMode::CacheAside).await;
        let name: Arc<str> = "tasks".into();
        save(&tasks, 1, 7).await;
        save(&tasks, 2, 8).await;
        let served = async || {
            let (one, two) = (tasks.get(1).served().await, tasks.get(2).served().await);
            let lists = [list(&tasks, 7).await.1, list(&tasks, 8).await.1];
            [one.unwrap().1, two.unwrap().1, lists[0], lists[1]]
        };
        let (hit, miss) = (Served::Hit, Served::Miss);
        served().await;
        assert_eq!(served().await, [hit, hit, hit, hit]);
        let user = vec![("userId".to_owned(), Bson::Int32(7))];
        db.invalidate(Touch::Scope(name.clone(), user))
            .await
            .unwrap();
        assert_eq!(served().await, [hit, hit, miss, hit]);
        db.invalidate(Touch::Document(name.clone(), Bson::Int32(2)))
            .await
            .unwrap();
        assert_eq!(served().await, [hit, miss, hit, hit]);
        db.invalidate(Touch::Collection(name)).await.unwrap();
        assert_eq!(served().await, [miss, miss, miss, miss]);
        db.invalidate(Touch::All).await.unwrap();
        assert_eq!(served().await, [miss, miss, miss, miss]);
        assert_eq!(served().await, [hit, hit, hit, hit]);
    })
    .await;
}

#[tokio::test]
async fn what_is_written_through_is_a_hit_and_what_a_batch_emptied_is_not_there() {
    on_each_engine(Settings::default(), async |db| {
        let tasks = tasks(db, CacheMode::WriteThrough).await;
        save(&tasks, 1, 7).await;
        let (found, served) = tasks.get(1).served().await.unwrap();
        assert_eq!((found.is_some(), served), (true, Served::Hit));
        tasks.delete(Bson::Int32(1), Guard::Any).await.unwrap();
        assert_eq!(tasks.get(1).served().await.unwrap(), (None, Served::Hit));
        let batch = Batch {
            changes: vec![
                change("tasks", 2, Guard::Any, put(doc! { "_id": 2 })),
                change("tasks", 0, Guard::Any, Action::Truncate),
            ],
            ..Batch::default()
        };
        db.commit(batch).await.unwrap();
        assert_eq!(tasks.get(2).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn a_collection_switched_off_is_read_through_from_then_on() {
    let db = common::memory().await;
    let tasks = tasks(&db, CacheMode::CacheAside).await;
    save(&tasks, 1, 7).await;
    let served = async || tasks.get(1).served().await.unwrap().1;
    assert_eq!(
        (served().await, served().await),
        (Served::Miss, Served::Hit)
    );
    let declaration = Declaration {
        policy: Policy {
            cache: CacheMode::Off,
            ttl_ms: None,
        },
        ..Declaration::default()
    };
    db.declare("tasks", &declaration).await.unwrap();
    assert_eq!(
        (served().await, served().await),
        (Served::Bypass, Served::Bypass)
    );
}

#[tokio::test]
async fn counts_and_distinct_values_follow_the_documents() {
    let db = common::memory().await;
    let raw = db.raw("things");
    for tags in [["a", "b", "c"], ["x", "y", "c"], ["x", "y", "z"]] {
        raw.put(doc! { "tags": Bson::from(tags.map(Bson::from).to_vec()) })
            .await
            .unwrap();
    }
    for _ in 0..2 {
        assert_eq!(raw.count(Expr::All).await.unwrap(), 3);
        assert_eq!(raw.distinct(&["tags"], Expr::All).await.unwrap().len(), 6);
    }
    raw.put(doc! { "tags": "q" }).await.unwrap();
    assert_eq!(raw.count(Expr::All).await.unwrap(), 4);
    assert_eq!(raw.distinct(&["tags"], Expr::All).await.unwrap().len(), 7);
}

#[tokio::test]
async fn pages_show_what_is_there_throughout_once_while_others_write() {
    on_each_engine(Settings::default(), async |db| {
        let raw = db.raw("pages");
        for id in 0..50 {
            raw.put(doc! { "_id": id * 2, "rank": id % 5 })
                .await
                .unwrap();
        }
        let mut query = raw.query();
        query
            .sort
            .keys
            .push(("rank".into(), orlop::document::Direction::Descending));
        let (mut seen, mut cursor, mut pages) = (Vec::new(), None::<String>, 0);
        loop {
            let page = raw.page(query.clone(), 7, cursor.as_deref()).await.unwrap();
            let ids = page
                .page
                .documents
                .iter()
                .map(|doc| doc.raw().get_i32("_id").unwrap());
            seen.extend(ids.filter(|id| id % 2 == 0));
            // Others insert and delete around the place of the cursor.
            raw.put(doc! { "_id": pages * 2 + 1, "rank": pages % 5 })
                .await
                .unwrap();
            raw.delete(Bson::Int32(pages * 2 - 5), Guard::Any)
                .await
                .unwrap();
            pages += 1;
            match page.cursor {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
        assert_eq!(seen.len(), 50);
        let rank = |id: &i32| (-(id / 2 % 5), *id);
        assert!(seen.is_sorted_by_key(rank), "{seen:?}");
        seen.sort_unstable();
        assert_eq!(seen, (0..50).map(|id| id * 2).collect::<Vec<_>>());
        let other = raw.page(raw.query(), 7, cursor.as_deref()).await;
        assert_eq!(other.unwrap_err().kind(), ErrorKind::Invalid);
    })
    .await;
}

#[tokio::test]
async fn the_last_page_has_no_cursor_even_when_it_is_full() {
    let db = common::memory().await;
    let raw = db.raw("pages");
    for id in 0..6 {
        raw.put(doc! { "_id": id }).await.unwrap();
    }
    let first = raw.page(raw.query(), 3, None).await.unwrap();
    let second = raw
        .page(raw.query(), 3, first.cursor.as_deref())
        .await
        .unwrap();
    assert_eq!(
        (first.page.documents.len(), second.page.documents.len()),
        (3, 3)
    );
    assert_eq!(second.cursor, None);
    let again = raw
        .page(raw.query(), 3, first.cursor.as_deref())
        .await
        .unwrap();
    assert_eq!(again.served, Served::Hit);
    assert_eq!(again.page.version(), second.page.version());
}

#[tokio::test]
async fn what_cannot_be_an_id_is_refused_not_cached() {
    let db = common::memory().await;
    let raw = db.raw("things");
    let list = Bson::Array(vec![Bson::Int32(1)]);
    assert_eq!(raw.get(&list).await.unwrap_err().kind(), ErrorKind::Invalid);
    raw.put(doc! { "_id": 1 }).await.unwrap();
    assert_eq!(raw.get(&list).await.unwrap_err().kind(), ErrorKind::Invalid);
}

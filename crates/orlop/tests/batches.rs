//! Guarded batches: all of it or none, and what each guard refuses.
#![allow(clippy::unwrap_used)]

mod common;

use bson::doc;
use common::{change, get, memory, put, revision_of};
use orlop::document::Revision;
use orlop::engine::{Action, Batch, Effect, Guard};
use orlop::query::{Expr, Pred};
use orlop::{ErrorKind, Orlop, RefusalReason};

/// What a batch of this guard on document `id`, and a second change that cannot apply, is refused for.
async fn refusal_of(db: &Orlop, guard: Guard, id: i32) -> Option<RefusalReason> {
    let changes = vec![
        change("notes", id, guard, put(doc! { "_id": id, "changed": true })),
        change("notes", 99, Guard::Present, Action::Delete),
    ];
    let batch = Batch {
        changes,
        ..Batch::default()
    };
    let error = db.commit(batch).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let last = error.refused().last().unwrap();
    assert_eq!((last.change, last.reason), (1, RefusalReason::Missing));
    let first = error.refused().iter().find(|refusal| refusal.change == 0);
    first.map(|refusal| refusal.reason)
}

#[tokio::test]
async fn each_guard_refuses_what_it_says_and_a_refused_batch_leaves_nothing() {
    let db = memory().await;
    db.raw("notes")
        .put(doc! { "_id": 1, "n": 1 })
        .await
        .unwrap();
    let revision = revision_of(&db, "notes", 1).await.unwrap();
    let matches = |n: i32| Guard::Matches(Expr::Field("n".into(), Pred::Eq(n.into())));
    let cases = [
        (Guard::Any, 1, None),
        (Guard::Any, 2, None),
        (Guard::Absent, 1, Some(RefusalReason::Exists)),
        (Guard::Absent, 2, None),
        (Guard::Present, 1, None),
        (Guard::Present, 2, Some(RefusalReason::Missing)),
        (Guard::Revision(revision), 1, None),
        (
            Guard::Revision(Revision(revision.0 + 1)),
            1,
            Some(RefusalReason::Revision),
        ),
        (Guard::Revision(revision), 2, Some(RefusalReason::Missing)),
        (matches(1), 1, None),
        (matches(2), 1, Some(RefusalReason::Condition)),
        (matches(1), 2, Some(RefusalReason::Missing)),
    ];
    for (guard, id, expected) in cases {
        let label = format!("{guard:?} on {id}");
        assert_eq!(refusal_of(&db, guard, id).await, expected, "{label}");
        assert_eq!(
            revision_of(&db, "notes", 1).await,
            Some(revision),
            "{label}"
        );
        assert_eq!(get(&db, "notes", 2).await, None, "{label}");
    }
    assert_eq!(db.check().await.unwrap().damage, Vec::<String>::new());
}

#[tokio::test]
async fn later_changes_of_a_batch_see_the_earlier_ones() {
    let db = memory().await;
    let changes = vec![
        change("notes", 1, Guard::Absent, put(doc! { "_id": 1, "n": 1 })),
        change("notes", 1, Guard::Present, Action::Delete),
        change("notes", 1, Guard::Absent, put(doc! { "_id": 1, "n": 2 })),
    ];
    let batch = Batch {
        changes,
        ..Batch::default()
    };
    let commit = db.commit(batch).await.unwrap();
    let effects: Vec<Effect> = commit.applied.iter().map(|one| one.effect).collect();
    assert_eq!(
        effects,
        [Effect::Inserted, Effect::Deleted, Effect::Inserted]
    );
    assert_eq!(get(&db, "notes", 1).await, Some(doc! { "_id": 1, "n": 2 }));
}

#[tokio::test]
async fn of_64_concurrent_adds_of_one_id_exactly_one_is_true() {
    let db = memory().await;
    for id in 0..20 {
        let adds: Vec<_> = (0..64)
            .map(|n| {
                let notes = db.raw("notes");
                tokio::spawn(
                    async move { notes.try_add(doc! { "_id": id, "n": n }).await.unwrap() },
                )
            })
            .collect();
        let mut added = Vec::new();
        for (n, add) in adds.into_iter().enumerate() {
            if add.await.unwrap() {
                added.push(n as i32);
            }
        }
        assert_eq!(added.len(), 1);
        assert_eq!(
            get(&db, "notes", id).await,
            Some(doc! { "_id": id, "n": added[0] })
        );
    }
}

#[tokio::test]
async fn ids_that_join_to_the_same_text_are_different_documents() {
    let db = memory().await;
    let ids = [
        "",
        "\0",
        "a",
        "a\0",
        "a\0b",
        "home",
        "home1",
        "é",
        "e\u{301}",
        "\u{10FFFF}",
    ];
    for (collection, id) in [("home", "11"), ("home1", "1")] {
        db.raw(collection)
            .put(doc! { "_id": id, "in": collection })
            .await
            .unwrap();
    }
    for id in ids {
        assert!(
            db.raw("odd")
                .try_add(doc! { "_id": id, "own": id })
                .await
                .unwrap(),
            "{id:?}"
        );
    }
    for id in ids {
        assert_eq!(
            get(&db, "odd", id).await,
            Some(doc! { "_id": id, "own": id }),
            "{id:?}"
        );
    }
    assert_eq!(
        get(&db, "home", "11").await,
        Some(doc! { "_id": "11", "in": "home" })
    );
    assert_eq!(
        get(&db, "home1", "1").await,
        Some(doc! { "_id": "1", "in": "home1" })
    );
    assert_eq!(get(&db, "home", "1").await, None);
}

#[tokio::test]
async fn one_number_of_any_type_is_one_id() {
    let db = memory().await;
    assert!(db.raw("n").try_add(doc! { "_id": 1_i32 }).await.unwrap());
    assert!(!db.raw("n").try_add(doc! { "_id": 1_i64 }).await.unwrap());
    assert!(!db.raw("n").try_add(doc! { "_id": 1.0_f64 }).await.unwrap());
    assert!(db.raw("n").try_add(doc! { "_id": "1" }).await.unwrap());
}

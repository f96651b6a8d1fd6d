//! Documents expire through ordinary commits: the feed tells, caches follow, the rest stays.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use bson::doc;
use common::get;
use futures_util::StreamExt;
use orlop::document::Declaration;
use orlop::engine::Effect;
use orlop::{Orlop, Settings};

#[tokio::test]
async fn what_has_expired_is_deleted_by_a_commit_and_nothing_else_is() {
    let mut settings = Settings::default();
    settings.local.upkeep_interval = Duration::from_millis(5);
    let db = Orlop::open_with("memory:", settings).await.unwrap();
    let form = doc! { "indexes": [{ "key": { "until": 1 }, "expireAfterSeconds": 60 }] };
    let declaration = Declaration::from_document(&form).unwrap();
    db.declare("sessions", &declaration).await.unwrap();
    let now = bson::DateTime::now().timestamp_millis();
    let at = |seconds: i64| bson::DateTime::from_millis(now + seconds * 1_000);
    let sessions = db.raw("sessions");
    sessions
        .put(doc! { "_id": 1, "until": at(3_600) })
        .await
        .unwrap();
    sessions
        .put(doc! { "_id": 2, "until": at(-30) })
        .await
        .unwrap();
    sessions
        .put(doc! { "_id": 3, "until": "not a date" })
        .await
        .unwrap();
    sessions.put(doc! { "_id": 4 }).await.unwrap();
    let mut feed = db.changes(None).await.unwrap();
    sessions
        .put(doc! { "_id": 5, "until": at(-90) })
        .await
        .unwrap();
    sessions
        .put(doc! { "_id": 6, "until": [at(3_600), at(-90)] })
        .await
        .unwrap();
    let cached = sessions.count(orlop::query::Expr::All).await.unwrap();
    assert!((4..=6).contains(&cached));
    let mut deleted = Vec::new();
    while deleted.len() < 2 {
        let committed = feed.next().await.unwrap().unwrap();
        let change = &committed.changes[0];
        if change.effect == Effect::Deleted {
            assert_eq!(committed.origin.as_deref(), Some("expiry"));
            deleted.push(change.id.as_i32().unwrap());
        }
    }
    deleted.sort_unstable();
    assert_eq!(deleted, [5, 6]);
    assert_eq!(sessions.count(orlop::query::Expr::All).await.unwrap(), 4);
    assert_eq!(get(&db, "sessions", 5).await, None);
    assert_eq!(get(&db, "sessions", 4).await, Some(doc! { "_id": 4 }));
}

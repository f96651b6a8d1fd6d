//! The change feed: every batch once, in order, resumable.
#![allow(clippy::unwrap_used)]

mod common;

use bson::doc;
use common::memory;
use futures_util::StreamExt;
use orlop::ErrorKind;
use orlop::engine::{Effect, Guard, Resume};

#[tokio::test]
async fn the_feed_gives_each_batch_once_in_order_and_resumes_behind_any() {
    let db = memory().await;
    let mut feed = db.changes(None).await.unwrap();
    let notes = db.raw("notes");
    notes.put(doc! { "_id": 1, "n": 1 }).await.unwrap();
    notes.put(doc! { "_id": 1, "n": 2 }).await.unwrap();
    notes.delete(1.into(), Guard::Any).await.unwrap();
    // Nothing happens here, so there is nothing to hear of.
    notes.delete(1.into(), Guard::Any).await.unwrap();
    notes.put(doc! { "_id": 2 }).await.unwrap();
    notes.truncate().await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..5 {
        seen.push(feed.next().await.unwrap().unwrap());
    }
    let effects: Vec<Effect> = seen.iter().map(|one| one.changes[0].effect).collect();
    assert_eq!(
        effects,
        [
            Effect::Inserted,
            Effect::Updated,
            Effect::Deleted,
            Effect::Inserted,
            Effect::Collection
        ]
    );
    let update = &seen[1].changes[0];
    assert_eq!(update.id, 1.into());
    assert_eq!(
        update.before.as_ref().unwrap().raw().get_i32("n").unwrap(),
        1
    );
    assert_eq!(
        update.after.as_ref().unwrap().raw().get_i32("n").unwrap(),
        2
    );
    assert!(seen.windows(2).all(|pair| pair[0].seq < pair[1].seq));
    for (at, position) in seen.iter().enumerate().take(4) {
        let mut resumed = db.changes(Some(position.resume.clone())).await.unwrap();
        let next = resumed.next().await.unwrap().unwrap();
        assert_eq!(next.seq, seen[at + 1].seq);
    }
}

#[tokio::test]
async fn a_position_of_another_life_or_of_no_feed_is_refused() {
    let (db, other) = (memory().await, memory().await);
    let mut feed = other.changes(None).await.unwrap();
    other.raw("notes").put(doc! { "_id": 1 }).await.unwrap();
    let position = feed.next().await.unwrap().unwrap().resume;
    let kind = async |resume| match db.changes(Some(resume)).await {
        Ok(_) => None,
        Err(error) => Some(error.kind()),
    };
    assert_eq!(kind(position).await, Some(ErrorKind::NotFound));
    assert_eq!(kind(Resume(vec![1, 2, 3])).await, Some(ErrorKind::Invalid));
}

#[tokio::test]
async fn the_feed_ends_when_the_store_closes() {
    let db = memory().await;
    let mut feed = db.changes(None).await.unwrap();
    let kept = db.snapshot().await.unwrap();
    db.close().await.unwrap();
    assert!(feed.next().await.is_none());
    assert!(kept.get_many("notes", &[1.into()]).await.unwrap()[0].is_none());
    let read = db
        .engine()
        .get_many("notes", &[1.into()])
        .await
        .unwrap_err();
    assert_eq!(read.kind(), ErrorKind::Closed);
    let write = db.raw("notes").put(doc! { "_id": 1 }).await.unwrap_err();
    assert_eq!(write.kind(), ErrorKind::Closed);
}

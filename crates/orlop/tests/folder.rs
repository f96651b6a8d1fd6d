//! A store in a folder: what is there after a restart, and what is refused at the door.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;

use bson::doc;
use common::{get, revision_of};
use futures_util::StreamExt;
use orlop::document::Declaration;
use orlop::engine::IndexState;
use orlop::{ErrorKind, Orlop};

async fn open(folder: &Path) -> orlop::Result<Orlop> {
    Orlop::open(folder.to_str().unwrap()).await
}

async fn clean(db: &Orlop) {
    assert_eq!(db.check().await.unwrap().damage, Vec::<String>::new());
}

#[tokio::test]
async fn what_was_written_is_there_after_a_restart_and_numbers_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let form = doc! { "indexes": [{ "key": { "email": 1 }, "unique": true }], "scope": ["email"] };
    let declaration = Declaration::from_document(&form).unwrap();
    let mut last = 0;
    for round in 0..4_i32 {
        let db = open(folder.path()).await.unwrap();
        if round == 0 {
            db.declare("users", &declaration).await.unwrap();
        }
        let info = db.collections().await.unwrap();
        assert_eq!(info[0].declaration, declaration);
        assert_eq!(info[0].documents, u64::try_from(round).unwrap() * 10);
        for n in 0..10 {
            let id = round * 10 + n;
            db.raw("users")
                .put(doc! { "_id": id, "email": id })
                .await
                .unwrap();
        }
        for id in 0..(round + 1) * 10 {
            assert_eq!(
                get(&db, "users", id).await,
                Some(doc! { "_id": id, "email": id })
            );
        }
        let taken = db
            .raw("users")
            .put(doc! { "_id": 1_000, "email": 3 })
            .await
            .unwrap_err();
        assert_eq!(taken.kind(), ErrorKind::AlreadyExists);
        let revision = revision_of(&db, "users", round * 10).await.unwrap().0;
        assert!(revision > last);
        last = revision;
        clean(&db).await;
        // Every other time the store is dropped without a word.
        if round % 2 == 0 {
            db.close().await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_clean_restart_continues_the_feed_where_a_reader_left_it() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path()).await.unwrap();
    let mut feed = db.changes(None).await.unwrap();
    db.raw("notes").put(doc! { "_id": 1 }).await.unwrap();
    db.raw("notes").put(doc! { "_id": 2 }).await.unwrap();
    let position = feed.next().await.unwrap().unwrap().resume;
    drop(feed);
    db.close().await.unwrap();
    let db = open(folder.path()).await.unwrap();
    db.raw("notes").put(doc! { "_id": 3 }).await.unwrap();
    let mut feed = db.changes(Some(position)).await.unwrap();
    for id in [2, 3] {
        let next = feed.next().await.unwrap().unwrap();
        assert_eq!(next.changes[0].id, id.into());
    }
}

#[tokio::test]
async fn the_key_value_store_can_be_lost_while_the_log_reaches_back() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path()).await.unwrap();
    let form = doc! { "indexes": [{ "key": { "n": 1 } }] };
    db.declare("notes", &Declaration::from_document(&form).unwrap())
        .await
        .unwrap();
    for n in 0..50 {
        db.raw("notes")
            .put(doc! { "_id": n, "n": n })
            .await
            .unwrap();
    }
    db.raw("notes")
        .put(doc! { "_id": 7, "n": 70 })
        .await
        .unwrap();
    db.raw("gone").put(doc! { "_id": 1 }).await.unwrap();
    db.raw("gone").drop_collection().await.unwrap();
    db.close().await.unwrap();
    drop(db);
    std::fs::remove_dir_all(folder.path().join("pairs")).unwrap();
    let db = open(folder.path()).await.unwrap();
    assert_eq!(get(&db, "notes", 7).await, Some(doc! { "_id": 7, "n": 70 }));
    let info = db.collections().await.unwrap();
    assert_eq!(info.len(), 1);
    assert_eq!(
        (info[0].documents, &info[0].indexes[0].1),
        (50, &IndexState::Ready)
    );
    clean(&db).await;
}

#[tokio::test]
async fn a_folder_has_one_process_and_no_newer_format() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path()).await.unwrap();
    let second = open(folder.path()).await.unwrap_err();
    assert_eq!(second.kind(), ErrorKind::Unavailable);
    assert!(
        second.message().contains(&std::process::id().to_string()),
        "{second}"
    );
    db.close().await.unwrap();
    drop(db);
    let header = folder.path().join("orlop-store");
    let sound = std::fs::read_to_string(&header).unwrap();
    let line = sound.lines().nth(2).unwrap();
    let newer = format!("orlop store\nformat 2\n{line}\n");
    let sum = xxhash_rust::xxh3::xxh3_64(newer.as_bytes());
    std::fs::write(&header, format!("{newer}checksum {sum:016x}\n")).unwrap();
    let error = open(folder.path()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.message().contains("format 2"), "{error}");
    std::fs::write(&header, sound.replace("format 1", "format 3")).unwrap();
    assert_eq!(
        open(folder.path()).await.unwrap_err().kind(),
        ErrorKind::Corrupt
    );
    std::fs::write(&header, sound).unwrap();
    open(folder.path()).await.unwrap();
}

#[tokio::test]
async fn an_index_on_existing_documents_is_built_and_survives_a_restart_in_the_middle() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path()).await.unwrap();
    let documents = (0..5_000).map(|n| doc! { "_id": n, "n": n % 10, "u": n });
    db.raw("notes").put_many(documents).await.unwrap();
    let form = doc! { "indexes": [{ "key": { "n": 1 } }, { "key": { "u": 1 }, "unique": true }, { "key": { "n": -1 }, "unique": true, "name": "never" }] };
    db.declare("notes", &Declaration::from_document(&form).unwrap())
        .await
        .unwrap();
    db.raw("notes")
        .put(doc! { "_id": 3, "n": 77, "u": 3 })
        .await
        .unwrap();
    drop(db);
    let db = open(folder.path()).await.unwrap();
    let states = loop {
        let info = db.collections().await.unwrap();
        let states: Vec<IndexState> = info[0]
            .indexes
            .iter()
            .map(|(_, state)| state.clone())
            .collect();
        if !states
            .iter()
            .any(|state| matches!(state, IndexState::Building { .. }))
        {
            break states;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(states[..2], [IndexState::Ready, IndexState::Ready]);
    let IndexState::Failed(reason) = &states[2] else {
        panic!("{:?}", states[2]);
    };
    assert!(reason.contains("never"), "{reason}");
    clean(&db).await;
}

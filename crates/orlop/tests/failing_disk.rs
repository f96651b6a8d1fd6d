//! A disk that fails: what was acknowledged stays, the rest is refused in words.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;
use std::sync::Arc;

use bson::doc;
use common::get;
use orlop::engine::testing::{Crash, FaultyDisk};
use orlop::engine::{Guard, Local, LocalSettings};
use orlop::{ErrorKind, Orlop, Outcome, Settings};

fn open(folder: &Path, disk: &FaultyDisk, floor: u64) -> Orlop {
    let settings = LocalSettings {
        space_floor_bytes: floor,
        ..LocalSettings::default()
    };
    let local = Local::open_on(folder, &settings, Arc::new(disk.clone())).unwrap();
    let incarnation = local.incarnation();
    Orlop::from_engine(Arc::new(local), incarnation, &Settings::default())
}

#[tokio::test]
async fn after_a_failed_sync_reads_go_on_and_writes_are_refused_until_the_store_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::new();
    let db = open(folder.path(), &disk, 0);
    let notes = db.raw("notes");
    notes.put(doc! { "_id": 1 }).await.unwrap();
    disk.fail_sync_after(0);
    let failed = notes.put(doc! { "_id": 2 }).await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Unavailable);
    assert_eq!(failed.outcome(), Some(Outcome::Unknown));
    // The disk works again, and still: the sync is not tried a second time.
    for _ in 0..3 {
        let refused = notes.put(doc! { "_id": 3 }).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Unavailable);
        assert_eq!(refused.outcome(), Some(Outcome::NotApplied));
    }
    assert_eq!(get(&db, "notes", 1).await, Some(doc! { "_id": 1 }));
    assert_eq!(get(&db, "notes", 2).await, None);
    assert_eq!(
        db.engine().ping().await.unwrap_err().kind(),
        ErrorKind::Unavailable
    );
    drop(notes);
    drop(db);
    let db = open(folder.path(), &disk.crash(Crash::Lost), 0);
    assert_eq!(get(&db, "notes", 1).await, Some(doc! { "_id": 1 }));
    assert_eq!(get(&db, "notes", 3).await, None);
    db.raw("notes").put(doc! { "_id": 3 }).await.unwrap();
    assert_eq!(db.check().await.unwrap().damage, Vec::<String>::new());
}

#[tokio::test]
async fn a_full_disk_refuses_writes_early_and_lets_deletes_make_room() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::new();
    let db = open(folder.path(), &disk, 10 * 1024 * 1024);
    disk.set_capacity(64 * 1024 * 1024);
    let notes = db.raw("notes");
    notes.put(doc! { "_id": 1 }).await.unwrap();
    drop(notes);
    drop(db);
    disk.set_capacity(9 * 1024 * 1024);
    let db = open(folder.path(), &disk, 10 * 1024 * 1024);
    let notes = db.raw("notes");
    let refused = notes.put(doc! { "_id": 2 }).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    assert_eq!(refused.outcome(), Some(Outcome::NotApplied));
    assert!(refused.message().contains("bytes free"), "{refused}");
    assert_eq!(get(&db, "notes", 1).await, Some(doc! { "_id": 1 }));
    notes.delete(1.into(), Guard::Any).await.unwrap();
    assert_eq!(get(&db, "notes", 1).await, None);
}

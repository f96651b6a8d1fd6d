//! Edits keep what they do not touch.

use bson::{Bson, Document, doc};
use orlop::document::{Id, Timestamp};
use orlop::{ErrorKind, Orlop};

use crate::memory;
use crate::models::{Status, Task};

/// What an older program stored: other number types, nulls, fields that are not known or missing.
fn legacy() -> Document {
    doc! {
        "_id": 1_i64, "owner": 7, "title": "naïve", "priority": 9_007_199_254_740_993_i64, "dueDate": null,
        "steps": [{"title": "a", "_id": 5}, {"title": "b", "done": true, "_id": 6}],
        "createdAt": bson::DateTime::from_millis(5), "updatedAt": bson::DateTime::from_millis(6),
        "legacy": {"row": 12_i64, "parts": [1, "two", null]}, "__v": 0,
    }
}

/// Stored before the type was declared, so without its defaults.
async fn with_legacy() -> (Orlop, orlop::Collection<Task>) {
    let db = memory().await;
    db.raw("tasks").put(legacy()).await.unwrap();
    let tasks = db.register::<Task>().await.unwrap();
    (db, tasks)
}

async fn stored(db: &Orlop) -> Document {
    let body = db.raw("tasks").get(1_i64).await.unwrap().unwrap();
    let mut stored = Document::try_from(body.raw()).unwrap();
    stored.remove("_v");
    stored
}

#[track_caller]
fn same_but(mut stored: Document, changes: Document) {
    let mut expected = legacy();
    for (name, value) in changes {
        expected.insert(name, value);
    }
    // What a save must move.
    let moved = stored.get_datetime("updatedAt").unwrap();
    assert!(
        moved.timestamp_millis() > 1_700_000_000_000,
        "updatedAt did not move"
    );
    stored.insert("updatedAt", bson::DateTime::from_millis(6));
    assert_eq!(stored, expected);
}

#[tokio::test]
async fn a_saved_edit_changes_its_field_and_nothing_else() {
    let (db, tasks) = with_legacy().await;
    let mut edited = tasks.get(&Id::from(1)).await.unwrap().unwrap().edit();
    assert_eq!((edited.status, edited.due_date), (Status::Todo, None));
    edited.title = "mended".into();
    tasks.save(&edited).await.unwrap();
    same_but(stored(&db).await, doc! {"title": "mended"});
}

#[tokio::test]
async fn a_put_of_an_edited_value_changes_its_field_and_nothing_else() {
    let (db, tasks) = with_legacy().await;
    let mut edited = tasks
        .get(&Id::from(1))
        .await
        .unwrap()
        .unwrap()
        .edit()
        .into_inner();
    edited.steps[0].done = true;
    tasks.put(&edited).await.unwrap();
    let steps = vec![
        doc! {"title": "a", "_id": 5, "done": true},
        doc! {"title": "b", "done": true, "_id": 6},
    ];
    same_but(stored(&db).await, doc! {"steps": steps});
}

#[tokio::test]
async fn modify_changes_what_the_closure_changes() {
    let (db, tasks) = with_legacy().await;
    let after = tasks
        .modify(&Id::from(1), |task| task.tags.push("x".into()))
        .await
        .unwrap();
    assert_eq!(after.tags, ["x"]);
    assert_eq!(tasks.get(&Id::from(1)).await.unwrap().unwrap(), after);
    same_but(stored(&db).await, doc! {"tags": ["x"]});
    let error = tasks.modify(&Id::from(2), |_| ()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let error = tasks
        .modify(&Id::from(1), |task| task.id = Id::from(3))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn modify_does_not_store_instants_that_a_reader_made_up() {
    let db = memory().await;
    let old = doc! {"_id": 1_i64, "owner": 7, "title": "old"};
    db.raw("tasks").put(old).await.unwrap();
    let tasks = db.register::<Task>().await.unwrap();
    tasks
        .modify(&Id::from(1), |task| task.title.push('!'))
        .await
        .unwrap();
    let mut stored = stored(&db).await;
    assert!(stored.remove("updatedAt").is_some());
    assert_eq!(stored, doc! {"_id": 1_i64, "owner": 7, "title": "old!"});
}

#[tokio::test]
async fn a_modify_that_changes_nothing_writes_nothing() {
    let (db, tasks) = with_legacy().await;
    let before = tasks.get(&Id::from(1)).await.unwrap().unwrap();
    let after = tasks.modify(&Id::from(1), |_| ()).await.unwrap();
    assert_eq!(before.revision(), after.revision());
    assert_eq!(stored(&db).await, legacy());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_modifies_all_count() {
    let (_db, tasks) = with_legacy().await;
    let add = |n: usize| {
        let tasks = tasks.clone();
        tokio::spawn(async move {
            let tag = format!("tag {n}");
            tasks
                .modify(&Id::from(1), |task| task.tags.push(tag.clone()))
                .await
                .unwrap();
        })
    };
    let callers: Vec<_> = (0..20).map(add).collect();
    for caller in callers {
        caller.await.unwrap();
    }
    assert_eq!(
        tasks.get(&Id::from(1)).await.unwrap().unwrap().tags.len(),
        20
    );
}

#[tokio::test]
async fn replace_drops_what_the_type_does_not_know() {
    let (db, tasks) = with_legacy().await;
    let edited = tasks
        .get(&Id::from(1))
        .await
        .unwrap()
        .unwrap()
        .edit()
        .into_inner();
    tasks.replace(&edited).await.unwrap();
    let stored = stored(&db).await;
    assert_eq!((stored.get("legacy"), stored.get("__v")), (None, None));
    assert_eq!(stored.get("status"), Some(&Bson::from("TODO")));
}

#[tokio::test]
async fn an_instant_of_creation_stays_and_that_of_the_update_moves() {
    let (db, tasks) = with_legacy().await;
    let steps = [Task::priority().inc(1), Task::status().set(Status::Done)];
    let updated = tasks
        .update_one(&Id::from(1), steps)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(updated.created_at, Timestamp::from_millis(5));
    assert!(updated.updated_at > Timestamp::from_millis(6));
    assert_eq!(updated.status, Status::Done);
    assert_eq!(
        stored(&db).await.get("priority"),
        Some(&Bson::Double(9_007_199_254_740_992.0))
    );
    assert!(
        tasks
            .update_one(&Id::from(9), Task::priority().inc(1))
            .await
            .unwrap()
            .is_none()
    );
}

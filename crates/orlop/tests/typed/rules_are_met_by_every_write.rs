//! Rules are met by every write.

use bson::doc;
use orlop::document::Id;
use orlop::{Error, ErrorKind};

use crate::memory;
use crate::models::{Status, Task, task};

#[track_caller]
fn breaks(error: Error, expected: &[(&str, &str)]) {
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert!(error.message().contains("tasks"), "{error}");
    let found: Vec<_> = error
        .fields()
        .iter()
        .map(|it| (it.field.as_str(), it.rule.as_str()))
        .collect();
    assert_eq!(found, expected, "{error}");
}

#[tokio::test]
async fn typed_and_raw_writes_meet_the_same_rules() {
    let db = memory().await;
    let tasks = db.register::<Task>().await.unwrap();
    let raw = db.raw("tasks");
    let mut wrong = task(1, 7, 1.0);
    wrong.title = "SHOUT".into();
    breaks(tasks.put(&wrong).await.unwrap_err(), &[("title", "check")]);
    wrong.title = "x".into();
    wrong.priority = f64::INFINITY;
    tasks.put(&wrong).await.unwrap();
    let empty = doc! {"_id": 2, "title": "", "owner": 7, "status": "NOPE"};
    breaks(
        raw.put(empty).await.unwrap_err(),
        &[("title", "min_length"), ("status", "enum")],
    );
    breaks(
        raw.put(doc! {"_id": 2, "title": "x"}).await.unwrap_err(),
        &[("owner", "required")],
    );
    let error = tasks
        .update_one(&Id::from(1), doc! {"$set": {"status": "NOPE"}})
        .await
        .unwrap_err();
    breaks(error, &[("status", "enum")]);
    let error = tasks
        .update_one(&Id::from(1), Task::title().unset())
        .await
        .unwrap_err();
    breaks(error, &[("title", "required")]);
    let error = tasks
        .update_many(doc! {}, doc! {"$set": {"steps": [{"done": 1}]}})
        .await
        .unwrap_err();
    breaks(
        error,
        &[("steps[0].done", "type"), ("steps[0].title", "required")],
    );
    assert_eq!(tasks.count(doc! {}).await.unwrap(), 1);
}

#[tokio::test]
async fn a_raw_document_gets_the_defaults_the_type_declares() {
    let db = memory().await;
    let tasks = db.register::<Task>().await.unwrap();
    db.raw("tasks")
        .put(doc! {"_id": 1, "title": "x", "owner": 7})
        .await
        .unwrap();
    let defaults = Task::status().eq(Status::Todo) & Task::priority().eq(0);
    assert_eq!(tasks.count(defaults).await.unwrap(), 1);
    let read = tasks.get(&Id::from(1)).await.unwrap().unwrap();
    assert!(read.created_at.millis() > 1_700_000_000_000);
    assert_eq!(read.created_at, read.updated_at);
}

#[tokio::test]
async fn a_document_that_does_not_fit_names_itself() {
    let db = memory().await;
    db.raw("tasks")
        .put(doc! {"_id": 5, "title": 7})
        .await
        .unwrap();
    let error = db.collection::<Task>().get(&Id::from(5)).await.unwrap_err();
    assert_eq!(
        error.message(),
        "document 5: a stored document of tasks does not fit its type: title: a string was expected"
    );
}

//! Many documents at once.

use bson::doc;
use orlop::document::Id;
use orlop::{ErrorKind, Orlop};

use crate::memory;
use crate::models::{Task, User, task};

#[tokio::test]
async fn a_mix_of_new_and_stored_ids_ends_with_the_newest_values_and_their_index_entries() {
    let folder = tempfile::tempdir().unwrap();
    let db = Orlop::open(folder.path().to_str().unwrap()).await.unwrap();
    let tasks = db.collection::<Task>();
    let old: Vec<_> = (0..50).map(|n| task(n, 7, 1.0)).collect();
    assert_eq!(tasks.put_many(&old).await.unwrap(), 50);
    let new: Vec<_> = (25..75).map(|n| task(n, 8, 2.0)).collect();
    assert_eq!(tasks.put_many(&new).await.unwrap(), 50);
    assert_eq!(tasks.count(Task::owner().eq(7)).await.unwrap(), 25);
    assert_eq!(tasks.count(Task::owner().eq(8)).await.unwrap(), 50);
    assert_eq!(
        tasks
            .find(Task::owner().eq(7) & Task::priority().ge(0))
            .await
            .unwrap()
            .len(),
        25
    );
    assert_eq!(db.check().await.unwrap().damage, Vec::<String>::new());
}

#[tokio::test]
async fn one_refused_document_refuses_the_batch() {
    let tasks = memory().await.collection::<Task>();
    let mut wrong = task(2, 7, 1.0);
    wrong.title = "x".into();
    wrong.tags = vec!["y".into()];
    let same_id_twice = [task(1, 7, 1.0), wrong.clone(), wrong];
    assert_eq!(tasks.put_many(&same_id_twice).await.unwrap(), 3);
    let mut wrong = task(4, 7, 1.0);
    wrong.title = String::new();
    let error = tasks.put_many(&[task(3, 7, 1.0), wrong]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(tasks.count(Task::owner().eq(7)).await.unwrap(), 2);
}

#[tokio::test]
async fn a_duplicate_of_a_unique_value_is_told_and_not_stored() {
    let users = memory().await.collection::<User>();
    let user = || User {
        id: Id::new(),
        email: "a@b.ch".into(),
    };
    users.put(&user()).await.unwrap();
    let error = users.put(&user()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert!(
        error.message().contains("users") && error.message().contains("email"),
        "{error}"
    );
    assert_eq!(users.count(doc! {}).await.unwrap(), 1);
}

#[tokio::test]
async fn updates_and_deletes_by_filter_are_one_batch() {
    let tasks = memory().await.collection::<Task>();
    let all: Vec<_> = (0..30).map(|n| task(n, n % 3, n as f64)).collect();
    tasks.put_many(&all).await.unwrap();
    let steps = [Task::tags().push("x"), Task::priority().mul(2)];
    let done = tasks.update_many(Task::owner().eq(1), steps).await.unwrap();
    assert_eq!((done.matched, done.modified), (10, 10));
    assert_eq!(tasks.count(Task::tags().contains("x")).await.unwrap(), 10);
    assert_eq!(
        tasks
            .delete_many(Task::owner().is_in([0, 1]))
            .await
            .unwrap(),
        20
    );
    assert_eq!(tasks.count(doc! {}).await.unwrap(), 10);
}

#[tokio::test]
async fn several_are_read_in_the_order_asked_for() {
    let tasks = memory().await.collection::<Task>();
    tasks
        .put_many(&[task(1, 7, 1.0), task(2, 7, 2.0)])
        .await
        .unwrap();
    let ids = [Id::from(2), Id::from(9), Id::from(1), Id::from(2)];
    let read = tasks.get_many(&ids).await.unwrap();
    let ids: Vec<_> = read
        .iter()
        .map(|task| task.as_ref().map(|task| *task.id.key()))
        .collect();
    assert_eq!(ids, [Some(2), None, Some(1), Some(2)]);
}

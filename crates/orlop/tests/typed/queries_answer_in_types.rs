//! Queries answer in types.

use bson::doc;
use orlop::ErrorKind;
use orlop::document::{Id, Timestamp};

use crate::memory;
use crate::models::{Status, Task, task};

async fn tasks() -> orlop::Collection<Task> {
    let tasks = memory().await.collection::<Task>();
    let all: Vec<_> = (0..20)
        .map(|n| Task {
            tags: vec![format!("t{}", n % 3), "all".into()],
            status: if n % 4 == 0 {
                Status::Done
            } else {
                Status::Todo
            },
            due_date: (n % 2 == 0).then(|| Timestamp::from_millis(n * 3_600_000)),
            ..task(n, n % 2, (n % 5) as f64)
        })
        .collect();
    tasks.put_many(&all).await.unwrap();
    tasks
}

#[tokio::test]
async fn filters_sorts_limits_and_skips_narrow_a_query() {
    let tasks = tasks().await;
    let query = tasks.find(Task::owner().eq(1) & Task::priority().ge(3));
    let found = query
        .sort(Task::priority().desc())
        .skip(1)
        .limit(2)
        .await
        .unwrap();
    let ids: Vec<_> = found.iter().map(|task| *task.id.key()).collect();
    assert_eq!(ids, [19, 3]);
    let query = tasks.find(doc! {"owner": 1, "priority": {"$gte": 3}});
    let same = query
        .sort(doc! {"priority": -1})
        .skip(1)
        .limit(2)
        .await
        .unwrap();
    assert_eq!(
        same.iter().map(|task| *task.id.key()).collect::<Vec<_>>(),
        ids
    );
    let by = tasks
        .find_by(|t| t.tags().contains("t1") & t.status().eq(Status::Done))
        .await
        .unwrap();
    assert_eq!(
        by.iter().map(|task| *task.id.key()).collect::<Vec<_>>(),
        [4, 16]
    );
    let one = tasks
        .find_one(Task::due_date().is_none())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(one.id, Id::from(1));
    let first = "1970-01-01".parse().unwrap();
    let day = tasks
        .find(Task::due_date().on_day(first, "Asia/Tokyo"))
        .await
        .unwrap();
    assert_eq!(
        day.len(),
        8,
        "Tokyo was nine hours ahead: until 15:00 UTC, exclusive"
    );
}

#[tokio::test]
async fn what_is_wrong_with_a_raw_filter_is_told_by_the_call() {
    let tasks = tasks().await;
    let error = tasks
        .find(doc! {"priority": {"$gtx": 1}})
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.message().contains("$gtx"), "{error}");
    let error = tasks.find(doc! {}).sort(doc! {"a": 3}).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let error = tasks
        .update_one(&Id::from(1), doc! {"$sett": {"a": 1}})
        .await
        .unwrap_err();
    assert!(error.message().contains("$sett"), "{error}");
}

#[tokio::test]
async fn counts_and_distinct_values_are_typed() {
    let tasks = tasks().await;
    assert_eq!(
        tasks.count(Task::status().eq(Status::Done)).await.unwrap(),
        5
    );
    let tags = tasks
        .distinct(Task::tags(), Task::owner().eq(1))
        .await
        .unwrap();
    assert_eq!(tags, ["all", "t0", "t1", "t2"]);
    let statuses = tasks.distinct(Task::status(), doc! {}).await.unwrap();
    assert_eq!(statuses, [Status::Done, Status::Todo]);
    let early = Task::due_date().lt(Timestamp::from_millis(5 * 3_600_000));
    let due = tasks.distinct(Task::due_date(), early).await.unwrap();
    assert_eq!(
        due.iter()
            .map(|due| due.millis() / 3_600_000)
            .collect::<Vec<_>>(),
        [0, 2, 4]
    );
    assert_eq!(
        tasks.distinct(Task::priority(), doc! {}).await.unwrap(),
        [0.0, 1.0, 2.0, 3.0, 4.0]
    );
}

#[tokio::test]
async fn pages_show_each_document_once() {
    let tasks = tasks().await;
    let mut seen = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let query = tasks
            .find(Task::owner().eq(1))
            .sort([Task::priority().desc(), Task::title().asc()]);
        let page = query.page(3, cursor.as_deref()).await.unwrap();
        seen.extend(page.documents().iter().map(|task| *task.id.key()));
        if seen.len() == 3 {
            // Sorts before what was shown: not shown, and nothing is shown twice.
            tasks.put(&task(100, 1, 9.0)).await.unwrap();
            tasks.delete(&Id::from(seen[0])).await.unwrap();
        }
        match page.cursor {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, [1, 3, 5, 7, 9, 11, 13, 15, 17, 19]);
}

#[tokio::test]
async fn the_declared_index_serves_the_query() {
    let tasks = tasks().await;
    let explain = || {
        tasks
            .find(Task::owner().eq(1))
            .sort(Task::priority().desc())
            .limit(5)
            .explain()
    };
    let mut explained = explain().await.unwrap();
    // Built in the background.
    for _ in 0..1000 {
        if explained.index.is_some() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        explained = explain().await.unwrap();
    }
    assert_eq!(explained.index.as_deref(), Some("owner_1_priority_-1"));
    assert_eq!((explained.returned, explained.documents_examined), (5, 5));
}

#[tokio::test]
async fn a_list_of_one_owner_outlives_the_writes_of_another_and_never_its_own() {
    let tasks = tasks().await;
    let loads = || tasks.db().cache_stats().loads;
    let list = async || tasks.find(Task::owner().eq(1)).await.unwrap().len();
    assert_eq!(list().await, 10);
    let before = loads();
    tasks.put(&task(200, 0, 1.0)).await.unwrap();
    assert_eq!((list().await, loads()), (10, before));
    tasks.put(&task(201, 1, 1.0)).await.unwrap();
    assert_eq!(list().await, 11);
    assert!(loads() > before);
    tasks
        .update_one(&Id::from(201), Task::owner().set(0))
        .await
        .unwrap();
    assert_eq!(list().await, 10);
}

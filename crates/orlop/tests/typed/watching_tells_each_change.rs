//! Watching tells each change.

use orlop::collection::Event;
use orlop::document::Id;

use crate::memory;
use crate::models::{Task, task};

#[tokio::test]
async fn changes_of_matching_documents_come_in_order_and_resume() {
    let db = memory().await;
    let tasks = db.collection::<Task>();
    let mut watch = tasks.watch(Task::owner().eq(7), None).await.unwrap();
    tasks.put(&task(1, 8, 0.0)).await.unwrap();
    tasks.put(&task(2, 7, 0.0)).await.unwrap();
    tasks
        .update_one(&Id::from(2), Task::priority().inc(1))
        .await
        .unwrap();
    tasks
        .update_one(&Id::from(2), Task::owner().set(8))
        .await
        .unwrap();
    let first = watch.next().await.unwrap().unwrap();
    let Event::Put {
        resume,
        document,
        before,
    } = first
    else {
        panic!("not {first:?}")
    };
    assert_eq!((document.id, before), (Id::from(2), None));
    let second = watch.next().await.unwrap().unwrap();
    let Event::Put {
        document, before, ..
    } = second
    else {
        panic!("not {second:?}")
    };
    assert_eq!((document.priority, before.unwrap().priority), (1.0, 0.0));
    let third = watch.next().await.unwrap().unwrap();
    let Event::Gone { id, before, .. } = third else {
        panic!("not {third:?}")
    };
    assert_eq!((id, before.unwrap().owner), (Id::from(2), 7));
    let mut again = tasks
        .watch(Task::owner().eq(7), Some(resume))
        .await
        .unwrap();
    let resumed = again.next().await.unwrap().unwrap();
    let Event::Put { document, .. } = resumed else {
        panic!("not {resumed:?}")
    };
    assert_eq!(document.priority, 1.0);
}

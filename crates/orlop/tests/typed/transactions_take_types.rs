//! Transactions take types.

use orlop::document::Id;
use orlop::{Error, ErrorKind};

use crate::memory;
use crate::models::{Task, task};

#[tokio::test]
async fn one_refused_condition_and_nothing_happened() {
    let db = memory().await;
    let tasks = db.collection::<Task>();
    tasks
        .put_many(&[task(1, 7, 1000.0), task(2, 7, 0.0)])
        .await
        .unwrap();
    let transfer = async |amount: f64| {
        db.transaction(async |tx| {
            let tasks = tx.collection::<Task>();
            let (from, to) = (
                tasks.get(&Id::from(1)).await?,
                tasks.get(&Id::from(2)).await?,
            );
            let (Some(from), Some(to)) = (from, to) else {
                return Err(Error::not_found("an account"));
            };
            let (mut from, mut to) = (from.edit().into_inner(), to.edit().into_inner());
            from.priority -= amount;
            to.priority += amount;
            tasks.update_if(&from, Task::priority().ge(amount)).await?;
            tasks.put(&to).await
        })
        .await
    };
    transfer(334.0).await.unwrap();
    let refused = transfer(1001.0).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    let left = tasks.find(bson::doc! {}).await.unwrap();
    assert_eq!(
        left.iter().map(|task| task.priority).collect::<Vec<_>>(),
        [666.0, 334.0]
    );
}

//! Conditions guard writes.

use orlop::document::{Document, Id, Revision};
use orlop::{ErrorKind, Orlop, RefusalReason};

use crate::memory;
use crate::models::{Task, task};

#[tokio::test]
async fn try_add_adds_once_and_the_first_value_stays_after_reopen() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let db = Orlop::open(path).await.unwrap();
    let tasks = db.collection::<Task>();
    assert!(tasks.try_add(&task(1, 7, 1.0)).await.unwrap());
    assert!(!tasks.try_add(&task(1, 7, 2.0)).await.unwrap());
    db.close().await.unwrap();
    drop((tasks, db));
    let db = Orlop::open(path).await.unwrap();
    let stored = db
        .collection::<Task>()
        .get(&Id::from(1))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(stored.priority, 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_sixty_four_callers_one_adds() {
    let tasks = memory().await.collection::<Task>();
    let add = |n: i64| {
        let tasks = tasks.clone();
        tokio::spawn(async move { tasks.try_add(&task(1, n, 0.0)).await.unwrap() })
    };
    let callers: Vec<_> = (0..64).map(add).collect();
    let mut added = 0;
    for caller in callers {
        added += usize::from(caller.await.unwrap());
    }
    assert_eq!(added, 1);
}

#[tokio::test]
async fn an_update_holds_its_condition_once_and_tells_missing_from_refused() {
    let tasks = memory().await.collection::<Task>();
    let first = tasks.put(&task(1, 7, 1.0)).await.unwrap();
    let loaded = tasks.get(&Id::from(1)).await.unwrap().unwrap();
    assert_eq!(loaded.revision(), first);
    let mut edited = loaded.edit().into_inner();
    edited.priority = 2.0;
    let second = tasks
        .update_if(&edited, Task::version().eq(loaded.revision()))
        .await
        .unwrap();
    assert!(second > first);
    let refused = tasks
        .update_if(&edited, Task::version().eq(loaded.revision()))
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    let why = refused.refused()[0].clone();
    assert_eq!(
        (why.reason, why.stored),
        (RefusalReason::Condition, Some(second))
    );
    let missing = tasks
        .update_if(&task(2, 7, 1.0), Task::priority().ge(0))
        .await
        .unwrap_err();
    let why = missing.refused()[0].clone();
    assert_eq!((why.reason, why.stored), (RefusalReason::Missing, None));
}

#[tokio::test]
async fn of_two_editors_the_later_is_told() {
    let tasks = memory().await.collection::<Task>();
    tasks.put(&task(1, 7, 1.0)).await.unwrap();
    let read = tasks.get(&Id::from(1)).await.unwrap().unwrap();
    let (mut one, mut other) = (read.edit(), read.edit());
    one.priority = 5.0;
    other.priority = 6.0;
    let saved = tasks.save(&one).await.unwrap();
    let refused = tasks.save(&other).await.unwrap_err();
    assert_eq!(refused.refused()[0].reason, RefusalReason::Revision);
    assert_eq!(refused.refused()[0].stored, Some(saved));
    assert_eq!(
        tasks.get(&Id::from(1)).await.unwrap().unwrap().priority,
        5.0
    );
}

#[derive(Document, Debug, Clone)]
#[document(collection = "versioned")]
struct Versioned {
    #[document(id)]
    id: Id<Versioned, String>,
    n: i64,
    #[document(version)]
    version: Revision,
}

#[tokio::test]
async fn a_version_field_reads_the_revision() {
    let all = memory().await.collection::<Versioned>();
    let value = Versioned {
        id: "a".into(),
        n: 1,
        version: Revision(0),
    };
    let written = all.put(&value).await.unwrap();
    let mut loaded = all
        .get(&"a".into())
        .await
        .unwrap()
        .unwrap()
        .edit()
        .into_inner();
    assert_eq!(loaded.version, written);
    loaded.n = 2;
    all.update_if(&loaded, Versioned::version().eq(loaded.version))
        .await
        .unwrap();
    assert!(
        all.update_if(&loaded, Versioned::version().eq(loaded.version))
            .await
            .is_err()
    );
    assert_eq!(
        all.find(Versioned::version().gt(written))
            .await
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn deleting_what_is_absent_is_no_error_and_says_so() {
    let tasks = memory().await.collection::<Task>();
    tasks.put(&task(1, 7, 1.0)).await.unwrap();
    assert!(tasks.delete(&Id::from(1)).await.unwrap());
    assert!(!tasks.delete(&Id::from(1)).await.unwrap());
    assert!(tasks.get(&Id::from(1)).await.unwrap().is_none());
}

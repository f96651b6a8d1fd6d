//! Transactions: conditions that roll back the whole, conflicts that retry, sums that hold.
#![allow(clippy::unwrap_used)]

mod common;

use bson::{RawDocumentBuf, doc};
use common::{get, memory, revision_of};
use orlop::query::{Expr, Pred, Sort};
use orlop::{Error, ErrorKind, Orlop, RefusalReason, Result};

async fn accounts() -> Orlop {
    let db = memory().await;
    let accounts = db.raw("accounts");
    accounts
        .put(doc! { "_id": "from", "balance": 1_000 })
        .await
        .unwrap();
    accounts
        .put(doc! { "_id": "to", "balance": 0 })
        .await
        .unwrap();
    db
}

/// Moves an amount: a conditional update, a put and an add.
async fn transfer(db: &Orlop, amount: i32, number: i32) -> Result<()> {
    db.transaction(async |tx| {
        let accounts = tx.raw("accounts");
        let balance = async |id: &str| -> Result<i32> {
            let body = accounts.get(&id.into()).await?;
            let body = body.ok_or_else(|| Error::not_found("no account"))?;
            Ok(body.raw().get_i32("balance").unwrap())
        };
        let (from, to) = (balance("from").await?, balance("to").await?);
        let taken =
            RawDocumentBuf::try_from(&doc! { "_id": "from", "balance": from - amount }).unwrap();
        let enough = Expr::Field("balance".into(), Pred::Gte(amount.into()));
        accounts.put_if("from".into(), taken, None, &enough).await?;
        accounts
            .put(doc! { "_id": "to", "balance": to + amount })
            .await?;
        tx.raw("transfers")
            .try_add(doc! { "_id": number, "amount": amount })
            .await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_failed_condition_rolls_back_all_collections() {
    let db = accounts().await;
    transfer(&db, 334, 1).await.unwrap();
    let error = transfer(&db, 1_001, 2).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.message().contains("condition failed"), "{error}");
    assert!(error.message().contains("accounts"), "{error}");
    assert_eq!(error.refused()[0].reason, RefusalReason::Condition);
    assert_eq!(
        get(&db, "accounts", "from").await,
        Some(doc! { "_id": "from", "balance": 666 })
    );
    assert_eq!(
        get(&db, "accounts", "to").await,
        Some(doc! { "_id": "to", "balance": 334 })
    );
    assert_eq!(
        get(&db, "transfers", 1).await,
        Some(doc! { "_id": 1, "amount": 334 })
    );
    assert_eq!(get(&db, "transfers", 2).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_transfers_keep_the_sum_in_every_snapshot() {
    let db = accounts().await;
    let writers: Vec<_> = (0..50)
        .map(|n| {
            let db = db.clone();
            tokio::spawn(async move { transfer(&db, 1, n).await })
        })
        .collect();
    let mut sums = 0;
    while !writers.iter().all(|writer| writer.is_finished()) {
        let snapshot = db.snapshot().await.unwrap();
        let ids = ["from".into(), "to".into()];
        let both = snapshot.get_many("accounts", &ids).await.unwrap();
        let sum: i32 = both
            .iter()
            .map(|one| one.as_ref().unwrap().body.raw().get_i32("balance").unwrap())
            .sum();
        assert_eq!(sum, 1_000);
        sums += 1;
        tokio::task::yield_now().await;
    }
    assert!(sums > 0);
    let mut done = 0;
    for writer in writers {
        match writer.await.unwrap() {
            Ok(()) => done += 1,
            Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict),
        }
    }
    assert!(done > 0);
    let to = get(&db, "accounts", "to").await.unwrap();
    assert_eq!(to.get_i32("balance").unwrap(), done);
}

#[tokio::test]
async fn a_transaction_sees_what_it_wrote_and_nobody_else_does() {
    let db = accounts().await;
    db.transaction(async |tx| {
        let notes = tx.raw("notes");
        notes.put(doc! { "_id": 2, "n": 2 }).await?;
        notes.put(doc! { "_id": 1, "n": 1 }).await?;
        assert!(!notes.try_add(doc! { "_id": 1 }).await?);
        let found = notes.find(Expr::All, Sort::default(), 0, Some(1)).await?;
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].raw().get_i32("_id").unwrap(), 1);
        assert!(notes.delete(1.into()).await?);
        assert_eq!(notes.get(&1.into()).await?, None);
        assert_eq!(get(&db, "notes", 2).await, None);
        Ok::<_, Error>(())
    })
    .await
    .unwrap();
    assert_eq!(get(&db, "notes", 1).await, None);
    assert_eq!(get(&db, "notes", 2).await, Some(doc! { "_id": 2, "n": 2 }));
}

#[tokio::test]
async fn a_document_that_was_only_read_is_defended_too() {
    let db = accounts().await;
    let mut runs = 0;
    let runs_in = std::sync::Mutex::new(&mut runs);
    db.transaction(async |tx| {
        let seen = tx.raw("accounts").get(&"to".into()).await?;
        let balance = seen.unwrap().raw().get_i32("balance").unwrap();
        let first = {
            let mut runs = runs_in.lock().unwrap();
            **runs += 1;
            **runs == 1
        };
        if first {
            // Somebody is faster: what this body has read is no longer so.
            db.raw("accounts")
                .put(doc! { "_id": "to", "balance": 7 })
                .await?;
        }
        tx.raw("notes").put(doc! { "_id": 1, "saw": balance }).await
    })
    .await
    .unwrap();
    assert_eq!(runs, 2);
    assert_eq!(
        get(&db, "notes", 1).await,
        Some(doc! { "_id": 1, "saw": 7 })
    );
}

#[tokio::test]
async fn a_query_that_was_read_is_defended_against_new_documents() {
    let db = accounts().await;
    let runs = std::sync::atomic::AtomicU32::new(0);
    db.transaction(async |tx| {
        let found = tx
            .raw("accounts")
            .find(Expr::All, Sort::default(), 0, None)
            .await?;
        if runs.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0 {
            db.raw("accounts")
                .put(doc! { "_id": "third", "balance": 0 })
                .await?;
        }
        tx.raw("notes")
            .put(doc! { "_id": 1, "accounts": found.len() as i32 })
            .await
    })
    .await
    .unwrap();
    assert_eq!(
        get(&db, "notes", 1).await,
        Some(doc! { "_id": 1, "accounts": 3 })
    );
}

#[tokio::test]
async fn a_handle_kept_past_the_end_is_closed() {
    let db = accounts().await;
    let kept = std::sync::Mutex::new(None);
    db.transaction(async |tx| {
        *kept.lock().unwrap() = Some(tx.clone());
        Ok::<_, Error>(())
    })
    .await
    .unwrap();
    let tx = kept.lock().unwrap().take().unwrap();
    let error = tx.raw("accounts").get(&"to".into()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
}

#[tokio::test]
async fn an_error_of_the_body_writes_nothing_and_is_handed_out_as_it_is() {
    #[derive(Debug)]
    enum Mine {
        Enough,
        Store,
    }
    impl From<Error> for Mine {
        fn from(_: Error) -> Self {
            Self::Store
        }
    }
    let db = accounts().await;
    let before = revision_of(&db, "accounts", "to").await;
    let result: Result<(), Mine> = db
        .transaction(async |tx| {
            tx.raw("accounts")
                .put(doc! { "_id": "to", "balance": 9 })
                .await?;
            Err(Mine::Enough)
        })
        .await;
    assert!(matches!(result, Err(Mine::Enough)));
    assert_eq!(revision_of(&db, "accounts", "to").await, before);
}

//! The transaction of the README, with types.
#![allow(clippy::unwrap_used)]

mod common;

use common::memory;
use orlop::document::{Document, Id};
use orlop::{Error, ErrorKind, Orlop, Result};

#[derive(Clone, Debug, PartialEq, Document)]
#[document(collection = "accounts")]
struct Account {
    #[document(id)]
    id: Id<Account>,
    owner: String,
    balance: i64,
}

#[derive(Clone, Debug, PartialEq, Document)]
#[document(collection = "transfers")]
struct Transfer {
    #[document(id)]
    id: Id<Transfer>,
    #[document(references = Account)]
    to: Id<Account>,
    amount: i64,
}

fn account(owner: &str, balance: i64) -> Account {
    Account {
        id: Id::new(),
        owner: owner.to_owned(),
        balance,
    }
}

async fn stored(db: &Orlop, id: &Id<Account>) -> Account {
    db.transaction(async |tx| {
        let found = tx.collection::<Account>().get(id).await?;
        Ok::<_, Error>(found.unwrap().into_inner())
    })
    .await
    .unwrap()
}

async fn transfer(db: &Orlop, from: &Id<Account>, to: &Id<Account>, amount: i64) -> Result<()> {
    db.transaction(async |tx| {
        let accounts = tx.collection::<Account>();
        let mut taken = accounts.get(from).await?.unwrap().into_inner();
        let mut given = accounts.get(to).await?.unwrap().into_inner();
        taken.balance -= amount;
        given.balance += amount;
        accounts
            .update_if(&taken, Account::balance().ge(amount))
            .await?;
        accounts.put(&given).await?;
        let transfer = Transfer {
            id: Id::new(),
            to: *to,
            amount,
        };
        tx.collection::<Transfer>()
            .try_add(&transfer)
            .await
            .map(|_| ())
    })
    .await
}

#[tokio::test]
async fn a_transfer_happens_whole_or_not_at_all() {
    let db = memory().await;
    let (from, to) = (account("ada", 1_000), account("grace", 0));
    db.transaction(async |tx| {
        tx.collection::<Account>().put(&from).await?;
        tx.collection::<Account>().put(&to).await
    })
    .await
    .unwrap();
    // Through a task of its own, as in every handler of a server.
    let (spawned, ids) = (db.clone(), (from.id, to.id));
    tokio::spawn(async move { transfer(&spawned, &ids.0, &ids.1, 334).await })
        .await
        .unwrap()
        .unwrap();
    let error = transfer(&db, &from.id, &to.id, 1_001).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(stored(&db, &from.id).await.balance, 666);
    assert_eq!(stored(&db, &to.id).await.balance, 334);
    assert_eq!(
        db.raw("transfers")
            .count(orlop::query::Expr::All)
            .await
            .unwrap(),
        1
    );
    let rich = db
        .transaction(async |tx| {
            let accounts = tx.collection::<Account>();
            accounts
                .find(Account::balance().gt(0), Account::balance().desc())
                .await
        })
        .await
        .unwrap();
    assert_eq!(
        rich.iter().map(|one| one.balance).collect::<Vec<_>>(),
        [666, 334]
    );
}

#[tokio::test]
async fn a_reference_to_nothing_is_refused_by_name() {
    let db = memory().await;
    let transfer = Transfer {
        id: Id::new(),
        to: Id::new(),
        amount: 1,
    };
    let error = db
        .transaction(async |tx| tx.collection::<Transfer>().put(&transfer).await)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(
        error.message().contains("field to") && error.message().contains("accounts"),
        "{error}"
    );
}

//! Batches that happen whole, snapshots that see whole ones, and the feed of them.

use bson::{Bson, Document, doc};
use futures_util::StreamExt;
use orlop::engine::{Action, Effect, Guard, Read, Snapshot};
use orlop::{ErrorKind, RefusalReason, Result};
use tokio::task::JoinSet;

use super::Outcome;
use super::store::{Store, change, find, get, matches, put, refusals, update};
use crate::meaning;
use crate::random::Random;

/// Both sides of a transfer and its record, guarded by the balance.
async fn transfer(store: &Store, number: i32, amount: i32) -> Result<()> {
    let enough = matches(&doc! { "balance": { "$gte": amount } });
    let changes = vec![
        update(
            "accounts",
            "from",
            enough,
            doc! { "$inc": { "balance": -amount } },
        ),
        update(
            "accounts",
            "to",
            Guard::Present,
            doc! { "$inc": { "balance": amount } },
        ),
        put(
            "transfers",
            doc! { "_id": number, "amount": amount },
            Guard::Absent,
        ),
    ];
    store.commit(changes).await.map(|_| ())
}

async fn balances(store: &Store) -> Result<(Vec<Document>, Vec<Document>)> {
    let accounts = store.find("accounts", doc! {}).await?;
    Ok((accounts, store.find("transfers", doc! {}).await?))
}

pub(super) async fn a_transfer_happens_whole_or_not(store: Store) -> Outcome {
    store
        .put("accounts", doc! { "_id": "from", "balance": 1000 })
        .await?;
    store
        .put("accounts", doc! { "_id": "to", "balance": 0 })
        .await?;
    transfer(&store, 1, 334).await?;
    let expected = (
        vec![
            doc! { "_id": "from", "balance": 666 },
            doc! { "_id": "to", "balance": 334 },
        ],
        vec![doc! { "_id": 1, "amount": 334 }],
    );
    assert_eq!(balances(&store).await?, expected);
    let refused = refusals(transfer(&store, 2, 1001).await)?;
    let reasons: Vec<_> = refused
        .iter()
        .map(|refusal| (refusal.change, refusal.reason))
        .collect();
    assert_eq!(reasons, [(0, RefusalReason::Condition)]);
    assert_eq!(balances(&store).await?, expected);
    if let Some(store) = store.reopened().await? {
        assert_eq!(balances(&store).await?, expected);
    }
    Ok(())
}

/// Accounts of the concurrent transfers, and what each holds at first.
const ACCOUNTS: usize = 8;
const BALANCE: i32 = 100;

pub(super) async fn sums_in_snapshots_stay_the_same_under_transfers(store: Store) -> Outcome {
    for id in 0..ACCOUNTS {
        store
            .put("accounts", doc! { "_id": id as i32, "balance": BALANCE })
            .await?;
    }
    let mut tasks = JoinSet::new();
    for number in 0..100 {
        let store = store.clone();
        tasks.spawn(async move {
            let mut random = Random::new(number);
            let from = random.index(ACCOUNTS);
            let to = (from + 1 + random.index(ACCOUNTS - 1)) % ACCOUNTS;
            move_money(&store, from as i32, to as i32, 1 + random.index(30) as i32).await
        });
    }
    for _ in 0..4 {
        let store = store.clone();
        tasks.spawn(async move {
            for _ in 0..25 {
                let snapshot = store.engine.snapshot().await?;
                let sum = sum(&*snapshot).await?;
                if sum != Some(ACCOUNTS as i32 * BALANCE) {
                    return Err(format!("a snapshot holds {sum:?}").into());
                }
            }
            Ok(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    if let Some(store) = store.reopened().await? {
        assert_eq!(sum(&*store.engine).await?, Some(ACCOUNTS as i32 * BALANCE));
        store.is_sound().await?;
    }
    Ok(())
}

/// Reads both, writes both guarded by what was read, again while somebody was faster.
async fn move_money(store: &Store, from: i32, to: i32, amount: i32) -> Outcome {
    for _ in 0..1_000 {
        let found = store
            .engine
            .get_many("accounts", &[Bson::Int32(from), Bson::Int32(to)])
            .await?;
        let [Some(source), Some(target)] = &found[..] else {
            return Err("an account is gone".into());
        };
        let side = |stored: &orlop::engine::Stored,
                    id: i32,
                    by: i32|
         -> Result<_, libtest_mimic::Failed> {
            let balance = stored.body.raw().get_i32("balance")?;
            Ok(put(
                "accounts",
                doc! { "_id": id, "balance": balance + by },
                Guard::Revision(stored.revision),
            ))
        };
        let changes = vec![side(source, from, -amount)?, side(target, to, amount)?];
        match store.commit(changes).await {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::Conflict => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err("a transfer starved".into())
}

async fn sum(read: &(impl Read + ?Sized)) -> Result<Option<i32>> {
    let accounts = find(read, meaning::query("accounts", &doc! {})?).await?;
    Ok(accounts
        .iter()
        .map(|account| account.get_i32("balance").ok())
        .sum())
}

pub(super) async fn snapshots_count_whole_deletions(store: Store) -> Outcome {
    const ROWS: i32 = 1_000;
    store
        .declare("rows", doc! { "indexes": [{ "key": { "part": 1 } }] })
        .await?;
    for part in 0..10 {
        store
            .put_all(
                "rows",
                (0..ROWS / 10)
                    .map(|n| doc! { "_id": part * 100 + n, "part": part })
                    .collect(),
            )
            .await?;
    }
    let reader = store.clone();
    let counting = tokio::spawn(async move {
        let mut counts = Vec::new();
        while counts.last() != Some(&0) {
            let snapshot = reader.engine.snapshot().await?;
            counts.push(snapshot.count(meaning::query("rows", &doc! {})?).await?);
        }
        Ok::<_, orlop::Error>(counts)
    });
    for part in 0..10 {
        let ids = store
            .ids("rows", doc! { "filter": { "part": part } })
            .await?;
        let delete = |id| change("rows", id, Guard::Present, Action::Delete);
        store.commit(ids.into_iter().map(delete).collect()).await?;
    }
    let counts = counting.await??;
    let whole = counts.iter().all(|count| count % (ROWS as u64 / 10) == 0);
    assert!(whole, "counts of parts: {counts:?}");
    Ok(())
}

pub(super) async fn a_held_snapshot_neither_blocks_nor_sees_writers(store: Store) -> Outcome {
    store.put("notes", doc! { "_id": 1, "n": 1 }).await?;
    let held = store.engine.snapshot().await?;
    store.put("notes", doc! { "_id": 1, "n": 2 }).await?;
    store.put("notes", doc! { "_id": 2, "n": 2 }).await?;
    store
        .one(change("other", Bson::Null, Guard::Any, Action::Truncate))
        .await?;
    sees_first(&*held).await?;
    store
        .one(change("notes", 1, Guard::Present, Action::Delete))
        .await?;
    store
        .one(change("notes", Bson::Null, Guard::Any, Action::Drop))
        .await?;
    sees_first(&*held).await?;
    assert_eq!(store.get("notes", 1).await?, None);
    Ok(())
}

async fn sees_first(snapshot: &dyn Snapshot) -> Outcome {
    assert_eq!(
        get(snapshot, "notes", 1).await?,
        Some(doc! { "_id": 1, "n": 1 })
    );
    let all = find(snapshot, meaning::query("notes", &doc! {})?).await?;
    assert_eq!(all, [doc! { "_id": 1, "n": 1 }]);
    Ok(())
}

pub(super) async fn the_feed_gives_each_batch_once_in_order(store: Store) -> Outcome {
    let mut feed = store.engine.changes(None).await?;
    for number in 0..5 {
        let changes = vec![
            put("notes", doc! { "_id": number, "n": 1 }, Guard::Any),
            update("notes", number, Guard::Present, doc! { "$set": { "n": 2 } }),
            put("notes", doc! { "_id": "last", "n": number }, Guard::Any),
        ];
        store.commit(changes).await?;
    }
    refusals(
        store
            .commit(vec![put("notes", doc! { "_id": 1 }, Guard::Absent)])
            .await,
    )?;
    store
        .one(change("notes", 4, Guard::Any, Action::Delete))
        .await?;
    let mut seen = Vec::new();
    while seen.len() < 6 {
        let batch = feed.next().await.ok_or("the feed ended")??;
        seen.push(batch);
    }
    let rising = seen.windows(2).all(|pair| pair[0].seq < pair[1].seq);
    assert!(rising, "numbers of batches do not rise");
    for (number, batch) in seen.iter().take(5).enumerate() {
        let ids: Vec<_> = batch
            .changes
            .iter()
            .map(|change| change.id.clone())
            .collect();
        assert!(
            ids.contains(&Bson::Int32(number as i32)),
            "batch {number}: {ids:?}"
        );
        assert!(
            ids.contains(&Bson::String("last".into())),
            "batch {number}: {ids:?}"
        );
    }
    let last = &seen[5].changes;
    assert_eq!((last.len(), last[0].effect), (1, Effect::Deleted));
    assert!(
        last[0].before.is_some() && last[0].after.is_none(),
        "images of a deletion"
    );
    // From the middle on: what follows, and nothing twice.
    let mut resumed = store.engine.changes(Some(seen[2].resume.clone())).await?;
    for expected in &seen[3..] {
        let batch = resumed.next().await.ok_or("the resumed feed ended")??;
        assert_eq!(batch.seq, expected.seq);
    }
    Ok(())
}

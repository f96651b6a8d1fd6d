//! The same work done by SQLite, with as many callers as it does best with.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bson::{Bson, doc};
use criterion::{Criterion, criterion_group, criterion_main};
use orlop::collection::Collection;
use orlop::engine::{Action, Batch, Change, Guard};
use orlop::query::{Expr, Update};
use orlop::{Orlop, Settings};
use orlop_bench::sqlite::Sqlite;
use orlop_bench::{Store, Task, id, mine, mix, runtime, task, timed};

const TASKS: u64 = 100_000;
const USERS: u64 = 1_000;
const ACCOUNTS: u64 = 10_000;
const CALLERS: [u64; 3] = [1, 4, 64];

/// A store of the tasks with a cache of so many bytes.
fn filled(runtime: &tokio::runtime::Runtime, cache_bytes: u64) -> Store {
    let mut settings = Settings::default();
    settings.cache.bytes_max = cache_bytes;
    Store::with(runtime, settings).filled(runtime, TASKS, USERS)
}

fn query(c: &mut Criterion) {
    let runtime = runtime();
    let sqlite = Sqlite::new().filled(TASKS, USERS);
    let caller = sqlite.caller();
    // Room for one list: nearly every one is read from the files.
    let cold = filled(&runtime, 64 * 1024).reopened(&runtime);
    let cached = filled(&runtime, 512 * 1024 * 1024);
    let mut group = c.benchmark_group("rival_query");
    group.measurement_time(Duration::from_secs(5));
    let mut at = 0;
    group.bench_function("sqlite", |b| {
        b.iter(|| {
            at += 1;
            assert_eq!(black_box(caller.mine(mix(at) % USERS)).len(), 50);
        });
    });
    for (name, store) in [("orlop_cold", cold), ("orlop_cached", cached)] {
        let tasks = store.tasks();
        // Loads every list once; the cold store keeps none of them for long.
        runtime.block_on(async {
            for n in 0..USERS {
                mine(&tasks, n).await;
            }
        });
        group.bench_function(name, |b| {
            b.iter_custom(|count| {
                runtime.block_on(async {
                    let started = Instant::now();
                    for _ in 0..count {
                        at += 1;
                        let found = mine(&tasks, mix(at) % USERS).await;
                        assert_eq!(black_box(found).len(), 50);
                    }
                    started.elapsed()
                })
            });
        });
    }
    group.finish();
}

fn durable_put(c: &mut Criterion) {
    let runtime = runtime();
    let next = Arc::new(AtomicU64::new(0));
    let mut group = c.benchmark_group("rival_put");
    group
        .sample_size(20)
        .measurement_time(Duration::from_secs(4));
    for callers in CALLERS {
        let sqlite = Sqlite::new();
        group.bench_function(format!("sqlite_{callers}"), |b| {
            b.iter_custom(|count| {
                sqlite.timed(callers, count, |caller, _| {
                    caller.put(next.fetch_add(1, Ordering::Relaxed), USERS);
                })
            });
        });
        let store = Store::new(&runtime);
        group.bench_function(format!("orlop_{callers}"), |b| {
            b.iter_custom(|count| {
                let (tasks, next) = (store.db.raw("tasks"), Arc::clone(&next));
                timed(&runtime, callers, count, move |_| {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    let tasks = tasks.clone();
                    async move {
                        tasks.put(task(n, USERS)).await.expect("the put is stored");
                    }
                })
            });
        });
    }
    group.finish();
}

/// The accounts that transfer `n` is between, and how much it moves.
fn accounts(n: u64) -> (u64, u64, i64) {
    let source = mix(n) % ACCOUNTS;
    let target = (source + 1 + mix(n ^ 0xACC0) % (ACCOUNTS - 1)) % ACCOUNTS;
    (source, target, (n % 3) as i64 + 1)
}

fn parsed(update: bson::Document) -> Arc<Update> {
    Arc::new(Update::parse(&Bson::Document(update), &[]).expect("the update is sound"))
}

/// One transfer as a transaction that reads what it changes.
async fn transfer(db: &Orlop, n: u64) {
    let (source, target, amount) = accounts(n);
    let done = db.transaction(async |tx| {
        let accounts = tx.raw("accounts");
        let source_id = Bson::ObjectId(id(source));
        let balance = accounts.get(&source_id).await?.expect("it is there");
        let balance = balance.raw().get_i64("balance").expect("it is a number");
        assert!(balance >= amount, "there is enough");
        let take = parsed(doc! { "$inc": { "balance": -amount } });
        let give = parsed(doc! { "$inc": { "balance": amount } });
        accounts.update(source_id, take, false).await?;
        accounts
            .update(Bson::ObjectId(id(target)), give, false)
            .await?;
        tx.raw("transfers").put(record(n)).await
    });
    done.await.expect("the transfer is stored");
}

fn record(n: u64) -> bson::Document {
    let (source, target, amount) = accounts(n);
    doc! { "_id": id(n), "source": id(source), "target": id(target), "amount": amount }
}

/// One transfer as a batch whose guard is the condition: it reads nothing, so nothing can move
/// under it.
async fn guarded(db: &Orlop, n: u64) {
    let (source, target, amount) = accounts(n);
    let enough = Expr::parse(&doc! { "balance": { "$gte": amount } });
    let change = |collection: &str, id, guard, action| Change {
        collection: collection.into(),
        id,
        guard,
        action,
    };
    let add = |account, amount: i64, guard| {
        let action = Action::Update {
            update: parsed(doc! { "$inc": { "balance": amount } }),
            upsert: false,
        };
        change("accounts", Bson::ObjectId(id(account)), guard, action)
    };
    let enough = Guard::Matches(enough.expect("the filter is sound"));
    let record = bson::RawDocumentBuf::try_from(&record(n)).expect("plain BSON");
    let put = orlop::engine::Put {
        document: record,
        keep: None,
    };
    let changes = vec![
        add(source, -amount, enough),
        add(target, amount, Guard::Present),
        change(
            "transfers",
            Bson::ObjectId(id(n)),
            Guard::Absent,
            Action::Put(put),
        ),
    ];
    let batch = Batch {
        changes,
        ..Batch::default()
    };
    db.commit(batch).await.expect("the transfer is stored");
}

fn bank(runtime: &tokio::runtime::Runtime) -> Store {
    let store = Store::new(runtime);
    let accounts = (0..ACCOUNTS).map(|n| doc! { "_id": id(n), "balance": 1_000_000_i64 });
    let stored = runtime.block_on(store.db.raw("accounts").put_many(accounts));
    stored.expect("the accounts are stored");
    store
}

fn transfers(c: &mut Criterion) {
    let runtime = runtime();
    let next = Arc::new(AtomicU64::new(0));
    let mut group = c.benchmark_group("rival_transfer");
    group
        .sample_size(20)
        .measurement_time(Duration::from_secs(4));
    for callers in CALLERS {
        let sqlite = Sqlite::new().with_accounts(ACCOUNTS);
        group.bench_function(format!("sqlite_{callers}"), |b| {
            b.iter_custom(|count| {
                sqlite.timed(callers, count, |caller, _| {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    let (source, target, amount) = accounts(n);
                    caller.transfer(n, source, target, amount);
                })
            });
        });
        let store = bank(&runtime);
        group.bench_function(format!("orlop_{callers}"), |b| {
            b.iter_custom(|count| {
                let (db, next) = (store.db.clone(), Arc::clone(&next));
                timed(&runtime, callers, count, move |_| {
                    let (db, n) = (db.clone(), next.fetch_add(1, Ordering::Relaxed));
                    async move { transfer(&db, n).await }
                })
            });
        });
    }
    let store = bank(&runtime);
    group.bench_function("orlop_64_guarded", |b| {
        b.iter_custom(|count| {
            let (db, next) = (store.db.clone(), Arc::clone(&next));
            timed(&runtime, 64, count, move |_| {
                let (db, n) = (db.clone(), next.fetch_add(1, Ordering::Relaxed));
                async move { guarded(&db, n).await }
            })
        });
    });
    group.finish();
}

/// 95 reads of tasks that are there, then 5 writes over such tasks, in a mixed order.
fn mixed(c: &mut Criterion) {
    let runtime = runtime();
    let next = Arc::new(AtomicU64::new(0));
    let sqlite = Sqlite::new().filled(TASKS, USERS);
    let store = filled(&runtime, 512 * 1024 * 1024);
    // Callers of a service share one handle for as long as it runs.
    let tasks: &'static Collection<Task> = Box::leak(Box::new(store.tasks()));
    let mut group = c.benchmark_group("rival_mixed");
    group
        .sample_size(20)
        .measurement_time(Duration::from_secs(5));
    for callers in CALLERS {
        group.bench_function(format!("sqlite_{callers}"), |b| {
            b.iter_custom(|count| {
                sqlite.timed(callers, count, |caller, _| {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    match mix(n) % 100 {
                        0..95 => assert!(black_box(caller.get(mix(!n) % TASKS)).is_some()),
                        _ => caller.put(mix(!n) % TASKS, USERS),
                    }
                })
            });
        });
        group.bench_function(format!("orlop_{callers}"), |b| {
            b.iter_custom(|count| {
                let next = Arc::clone(&next);
                timed(&runtime, callers, count, move |_| {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    async move {
                        if mix(n) % 100 < 95 {
                            let found = tasks.get(&id(mix(!n) % TASKS).into()).await;
                            assert!(black_box(found.expect("it is read")).is_some());
                        } else {
                            let written = tasks.raw().put(task(mix(!n) % TASKS, USERS)).await;
                            written.expect("the put is stored");
                        }
                    }
                })
            });
        });
    }
    group.finish();
}

criterion_group!(benches, query, durable_put, transfers, mixed);
criterion_main!(benches);

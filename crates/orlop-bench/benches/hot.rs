//! Reads that the cache serves, beside a bare map that holds the same values and promises nothing.
//!
//! Two loops: *independent*, where the processor may fetch the next document while it looks at this
//! one, and *dependent*, where each document names the next, as a program that uses what it reads.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use orlop::Settings;
use orlop::cache::CacheSettings;
use orlop::document::Id;
use orlop_bench::{Store, Task, id, mine, mix, runtime, task};
use tokio::runtime::Runtime;

const COUNT: u64 = 200_000;
const USERS: u64 = 2_000;

type Bare = quick_cache::sync::Cache<[u8; 12], Arc<Task>>;

/// The numbers of all documents, in an order that looks random.
fn shuffled() -> Vec<u64> {
    let mut order: Vec<u64> = (0..COUNT).collect();
    order.sort_unstable_by_key(|n| mix(*n ^ 0x5EED));
    order
}

/// A store of documents that each name the next one of a ring through all, with room to cache them.
fn store(runtime: &Runtime, order: &[u64]) -> Store {
    let settings = Settings {
        cache: CacheSettings {
            bytes_max: 1024 * 1024 * 1024,
            ..CacheSettings::default()
        },
        ..Settings::default()
    };
    let store = Store::with(runtime, settings);
    let following = order.iter().cycle().skip(1);
    let documents = order.iter().zip(following).map(|(n, next)| {
        let mut document = task(*n, USERS);
        document.insert("next", id(*next));
        document
    });
    let written = runtime.block_on(store.db.raw("tasks").put_many(documents));
    written.expect("the documents are stored");
    store
}

/// Reads all documents once, so that later reads hit; gives them as the map holds them.
fn warmed(runtime: &Runtime, store: &Store) -> Bare {
    let bare = Bare::new(COUNT as usize * 2);
    let tasks = store.tasks();
    runtime.block_on(async {
        for n in 0..COUNT {
            let found = tasks.get(&id(n).into()).await;
            let found = found.expect("it is read").expect("it is there");
            bare.insert(id(n).bytes(), Arc::new(Task::clone(&found)));
        }
    });
    bare
}

fn cached_get(c: &mut Criterion) {
    let runtime = runtime();
    let order = shuffled();
    let store = store(&runtime, &order);
    let bare = warmed(&runtime, &store);
    let ids = order.iter().map(|n| id(mix(*n) % COUNT).into());
    let ids: Vec<Id<Task>> = ids.collect();
    let mut group = c.benchmark_group("cached_get");
    group.measurement_time(Duration::from_secs(5));
    // Outside of what criterion calls for each sample, so that all keys have their turn.
    let mut at = 0;
    group.bench_function("quick_cache_independent", |b| {
        b.iter_custom(|count| {
            let started = Instant::now();
            for _ in 0..count {
                at = (at + 1) % ids.len();
                black_box(bare.get(&ids[at].into_key().bytes()).expect("it is held"));
            }
            started.elapsed()
        });
    });
    group.bench_function("orlop_independent", |b| {
        let tasks = store.tasks();
        b.iter_custom(|count| {
            runtime.block_on(async {
                let started = Instant::now();
                for _ in 0..count {
                    at = (at + 1) % ids.len();
                    let found = tasks.get(&ids[at]).await;
                    black_box(found.expect("it is read").expect("it is there"));
                }
                started.elapsed()
            })
        });
    });
    let mut next: Id<Task> = id(0).into();
    group.bench_function("quick_cache_dependent", |b| {
        b.iter_custom(|count| {
            let started = Instant::now();
            for _ in 0..count {
                let found = bare.get(&next.into_key().bytes());
                next = following(&found.expect("it is held"));
            }
            started.elapsed()
        });
    });
    group.bench_function("orlop_dependent", |b| {
        let tasks = store.tasks();
        b.iter_custom(|count| {
            runtime.block_on(async {
                let started = Instant::now();
                for _ in 0..count {
                    let found = tasks.get(&next).await;
                    next = following(&found.expect("it is read").expect("it is there"));
                }
                started.elapsed()
            })
        });
    });
    group.finish();
    cached_list(c, &runtime, &store);
}

fn following(task: &Task) -> Id<Task> {
    task.next.expect("it names the next")
}

/// Lists of 50, of 2 000 users in an order that looks random. The query is built each time.
fn cached_list(c: &mut Criterion, runtime: &Runtime, store: &Store) {
    let tasks = store.tasks();
    runtime.block_on(async {
        for n in 0..USERS {
            mine(&tasks, n).await;
        }
    });
    let misses = store.db.cache_stats().misses;
    let mut group = c.benchmark_group("cached_list");
    group.measurement_time(Duration::from_secs(5));
    let mut at = 0;
    group.bench_function("orlop_50", |b| {
        b.iter_custom(|count| {
            runtime.block_on(async {
                let started = Instant::now();
                for _ in 0..count {
                    at += 1;
                    let list = mine(&tasks, mix(at) % USERS).await;
                    assert_eq!(black_box(list).len(), 50);
                }
                started.elapsed()
            })
        });
    });
    group.finish();
    assert_eq!(store.db.cache_stats().misses, misses, "all are cached");
}

criterion_group!(benches, cached_get);
criterion_main!(benches);

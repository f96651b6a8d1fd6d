//! Writes beside fjall's own: durable puts of one and many callers, and a bulk load.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use fjall::{Database, KeyspaceCreateOptions, PersistMode};
use orlop::document::IndexSpec;
use orlop::pack::{Body, keys};
use orlop_bench::{Store, declaration, runtime, task, timed};

/// Pairs that a document with two indexes comes to: the document and its entries.
fn pairs(n: u64, indexes: &[IndexSpec]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let document = bson::RawDocumentBuf::try_from(&task(n, 1_000)).expect("plain BSON");
    let id = orlop_bench::id(n).into();
    let id_key = keys::encode_id(&id).expect("an ObjectId is an id");
    let body = Body::pack(&document, &id).expect("it is small");
    let mut pairs = vec![([b"d", &id_key[..]].concat(), body)];
    for (at, index) in indexes.iter().enumerate() {
        let found = keys::index_keys(index, &document).expect("it can be indexed");
        for values in found.keys {
            pairs.push(([&[at as u8], &values[..], &id_key[..]].concat(), Vec::new()));
        }
    }
    pairs
}

struct Fjall {
    database: Database,
    keyspace: fjall::Keyspace,
    indexes: Vec<IndexSpec>,
    _folder: tempfile::TempDir,
}

impl Fjall {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder is made");
        let database = Database::builder(folder.path())
            .open()
            .expect("fjall opens");
        let keyspace = database
            .keyspace("pairs", KeyspaceCreateOptions::default)
            .expect("a keyspace is made");
        Self {
            database,
            keyspace,
            indexes: declaration().indexes,
            _folder: folder,
        }
    }

    /// One batch of the documents' pairs, synced.
    fn put(&self, pairs: Vec<(Vec<u8>, Vec<u8>)>) {
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncAll));
        for (key, value) in pairs {
            batch.insert(&self.keyspace, key, value);
        }
        batch.commit().expect("the batch is written");
    }
}

fn durable_put(c: &mut Criterion) {
    let runtime = runtime();
    let mut group = c.benchmark_group("durable_put");
    group.throughput(Throughput::Elements(1)).sample_size(20);
    group.measurement_time(Duration::from_secs(5));
    let next = Arc::new(AtomicU64::new(0));

    let fjall = Fjall::new();
    group.bench_function("fjall_1_writer", |b| {
        b.iter_custom(|count| {
            let first = next.fetch_add(count, Ordering::Relaxed);
            let documents = first..first + count;
            let made: Vec<_> = documents.map(|n| pairs(n, &fjall.indexes)).collect();
            let started = Instant::now();
            for pairs in made {
                fjall.put(pairs);
            }
            started.elapsed()
        });
    });
    drop(fjall);

    for callers in [1, 4, 64] {
        let store = Store::new(&runtime);
        group.bench_function(format!("orlop_{callers}_writers"), |b| {
            b.iter_custom(|count| {
                let (tasks, next) = (store.db.raw("tasks"), Arc::clone(&next));
                timed(&runtime, callers, count, move |_| {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    let tasks = tasks.clone();
                    async move {
                        tasks.put(task(n, 1_000)).await.expect("the put is stored");
                    }
                })
            });
        });
    }
    group.finish();
}

fn put_many(c: &mut Criterion) {
    const COUNT: u64 = 100_000;
    let runtime = runtime();
    let mut group = c.benchmark_group("put_many_100_000");
    group
        .throughput(Throughput::Elements(COUNT))
        .sample_size(10);
    group.bench_function("fjall_batches", |b| {
        b.iter_custom(|rounds| {
            let mut time = Duration::ZERO;
            for _ in 0..rounds {
                let fjall = Fjall::new();
                let chunk = |at: u64| at * 10_000..(at + 1) * 10_000;
                let made: Vec<Vec<_>> = (0..COUNT / 10_000)
                    .map(|at| chunk(at).flat_map(|n| pairs(n, &fjall.indexes)).collect())
                    .collect();
                let started = Instant::now();
                for pairs in made {
                    fjall.put(pairs);
                }
                time += started.elapsed();
            }
            time
        });
    });
    group.bench_function("orlop", |b| {
        b.iter_custom(|rounds| {
            let mut time = Duration::ZERO;
            for _ in 0..rounds {
                let store = Store::new(&runtime);
                let documents: Vec<_> = (0..COUNT).map(|n| task(n, 1_000)).collect();
                let started = Instant::now();
                let written = runtime.block_on(store.db.raw("tasks").put_many(documents));
                time += started.elapsed();
                assert_eq!(written.expect("the documents are stored"), COUNT);
            }
            time
        });
    });
    group.finish();
}

criterion_group!(benches, durable_put, put_many);
criterion_main!(benches);

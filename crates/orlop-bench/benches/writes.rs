//! Writes beside fjall's own: durable puts of one and many callers, and a bulk load.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use orlop_bench::baseline::{Fjall, Pairs};
use orlop_bench::{Store, runtime, task, timed};

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
            let made: Vec<Pairs> = documents.map(|n| fjall.pairs(n, 1_000)).collect();
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
        .sampling_mode(SamplingMode::Flat)
        .sample_size(10);
    group.bench_function("fjall_batches", |b| {
        b.iter_custom(|rounds| {
            let mut time = Duration::ZERO;
            for _ in 0..rounds {
                let fjall = Fjall::new();
                let chunk = |at: u64| at * 10_000..(at + 1) * 10_000;
                let pairs = |at| chunk(at).flat_map(|n| fjall.pairs(n, 1_000)).collect();
                let made: Vec<Pairs> = (0..COUNT / 10_000).map(pairs).collect();
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

//! Reads that the cache does not hold, beside fjall's own with the same bytes decoded.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bson::Bson;
use criterion::{Criterion, criterion_group, criterion_main};
use orlop::Settings;
use orlop::cache::CacheSettings;
use orlop_bench::baseline::Fjall;
use orlop_bench::{Store, Task, id, mix, runtime};

const COUNT: u64 = 100_000;
const USERS: u64 = 1_000;

fn cold_get(c: &mut Criterion) {
    let runtime = runtime();
    let fjall = Fjall::new().filled(COUNT, USERS);
    // A cache of one document in twenty: nearly every read misses, is kept, and pushes one out.
    let settings = Settings {
        cache: CacheSettings {
            bytes_max: 4 * 1024 * 1024,
            ..CacheSettings::default()
        },
        ..Settings::default()
    };
    let store = Store::with(&runtime, settings);
    let store = store.filled(&runtime, COUNT, USERS).reopened(&runtime);
    let mut group = c.benchmark_group("cold_get");
    group.measurement_time(Duration::from_secs(5));
    // Outside of what criterion calls for each sample, so that no key comes again soon.
    let mut at = 0;
    group.bench_function("fjall_and_decode", |b| {
        b.iter_custom(|count| {
            let started = Instant::now();
            for _ in 0..count {
                at += 1;
                let found = fjall.get(&Bson::ObjectId(id(mix(at) % COUNT)));
                let found = found.expect("it is stored");
                let task: Task = bson::deserialize_from_slice(&found).expect("it is a task");
                black_box(task);
            }
            started.elapsed()
        });
    });
    group.bench_function("orlop", |b| {
        let tasks = store.tasks();
        b.iter_custom(|count| {
            runtime.block_on(async {
                let started = Instant::now();
                for _ in 0..count {
                    at += 1;
                    let found = tasks.get(&id(mix(at) % COUNT).into()).await;
                    black_box(found.expect("it is read").expect("it is there"));
                }
                started.elapsed()
            })
        });
    });
    group.finish();
}

criterion_group!(benches, cold_get);
criterion_main!(benches);

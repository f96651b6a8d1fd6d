//! What the benchmarks share: documents of a stated size, stores in temporary folders, many callers.
//!
//! Every benchmark group holds a baseline and ours under the same load; `cargo run -p orlop-bench
//! --bin ratios` prints their ratios from the last run. docs/benchmarks.md has the figures and what
//! they taught.

pub mod baseline;
#[cfg(feature = "rivals")]
pub mod sqlite;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bson::{Document, doc, oid::ObjectId};
use orlop::cache::Docs;
use orlop::collection::Collection;
use orlop::document::{self, Declaration, Id, Timestamp};
use orlop::{Orlop, Settings};
use tokio::runtime::Runtime;

/// The documents of every benchmark, as an application declares them.
#[derive(document::Document, Debug, Clone)]
#[document(collection = "tasks", scope(user_id))]
#[index(user_id, priority desc)]
#[index(user_id, due_date)]
pub struct Task {
    /// The id.
    #[document(id)]
    pub id: Id<Task>,
    /// A line.
    pub title: String,
    /// Most of the bytes.
    pub description: String,
    /// Whose it is.
    pub user_id: Id<User>,
    /// 0 to 9.
    pub priority: f64,
    /// Some day in two weeks.
    pub due_date: Timestamp,
    /// Always the same.
    pub status: String,
    /// Two of them.
    pub tags: Vec<String>,
    /// The task to read after this one, for chains of reads that depend on each other.
    pub next: Option<Id<Task>>,
}

/// Whoever a task belongs to.
#[derive(document::Document, Debug, Clone)]
#[document(collection = "users")]
pub struct User {
    /// The id.
    #[document(id)]
    pub id: Id<User>,
}

/// A runtime as a service has it.
pub fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime starts")
}

/// What [`Task`] declares, its two indexes and its scope, but for the schema: what is compared to
/// in the benchmarks of writes checks no rules either.
pub fn declaration() -> Declaration {
    Declaration {
        schema: None,
        ..<Task as document::Document>::declaration().clone()
    }
}

/// The id of document `n`: twelve bytes that do not rise with `n`, as ids of many clients do not.
pub fn id(n: u64) -> ObjectId {
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&mix(n).to_be_bytes());
    bytes[8..].copy_from_slice(&(n as u32).to_be_bytes());
    ObjectId::from_bytes(bytes)
}

/// The first 50 tasks of user `n` by falling priority.
pub async fn mine(tasks: &Collection<Task>, n: u64) -> Docs<Task> {
    let user: Id<User> = id(n).into();
    let mine = tasks.find(Task::user_id().eq(user));
    let found = mine.sort(Task::priority().desc()).limit(50).await;
    found.expect("the query runs")
}

/// Document `n` of `users` users: a task of about 500 bytes of BSON.
pub fn task(n: u64, users: u64) -> Document {
    doc! {
        "_id": id(n),
        "title": format!("task number {n}"),
        "description": WORDS[(n % 4) as usize].repeat(4),
        "userId": id(n % users),
        "priority": (mix(n) % 10) as f64,
        "dueDate": bson::DateTime::from_millis(1_700_000_000_000 + (mix(n) % 1_000_000) as i64 * 1_000),
        "status": "TODO",
        "tags": ["deck", "stores"],
    }
}

const WORDS: [&str; 4] = [
    "caulk the seams of the orlop and count the casks; ",
    "mend what the storm has torn before the tide turns; ",
    "write to the owners about the rigging and its price; ",
    "ask the carpenter for planks, nails and a saw blade; ",
];

/// A number that looks random and is the same in every run.
pub fn mix(n: u64) -> u64 {
    let mut z = n
        .wrapping_mul(0x9E37_79B9_7F4A_7C15)
        .wrapping_add(0x1234_5678_9ABC_DEF1);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A store in a temporary folder, with the collection `tasks` declared. The folder goes with it.
pub struct Store {
    /// The store.
    pub db: Orlop,
    /// Its folder.
    pub folder: tempfile::TempDir,
    settings: Settings,
}

impl Store {
    /// Opens an empty store.
    pub fn new(runtime: &Runtime) -> Self {
        Self::with(runtime, Settings::default())
    }

    /// Opens an empty store with settings.
    pub fn with(runtime: &Runtime, settings: Settings) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder is made");
        let db = open(runtime, &folder, &settings);
        let declared = runtime.block_on(db.declare("tasks", &declaration()));
        declared.expect("the declaration is sound");
        Self {
            db,
            folder,
            settings,
        }
    }

    /// Its tasks, typed.
    pub fn tasks(&self) -> Collection<Task> {
        self.db.collection()
    }

    /// The same store closed and opened again: nothing cached, everything in files.
    pub fn reopened(self, runtime: &Runtime) -> Self {
        let closed = runtime.block_on(self.db.close());
        closed.expect("the store closes");
        let db = open(runtime, &self.folder, &self.settings);
        Self { db, ..self }
    }

    /// Fills it with documents `0..count` of `users` users.
    pub fn filled(self, runtime: &Runtime, count: u64, users: u64) -> Self {
        let documents = (0..count).map(|n| task(n, users));
        let written = runtime.block_on(self.db.raw("tasks").put_many(documents));
        assert_eq!(written.expect("the documents are stored"), count);
        self
    }
}

fn open(runtime: &Runtime, folder: &tempfile::TempDir, settings: &Settings) -> Orlop {
    let path = folder.path().join("store");
    let path = path.to_str().expect("temporary paths are UTF-8");
    let opened = runtime.block_on(Orlop::open_with(path, settings.clone()));
    opened.expect("the store opens")
}

/// Runs `work(n)` for `n` in `0..count`, split over `callers` tasks; the wall-clock time of all.
pub fn timed<F, Fut>(runtime: &Runtime, callers: u64, count: u64, work: F) -> Duration
where
    F: Fn(u64) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send,
{
    let work = Arc::new(work);
    runtime.block_on(async {
        let started = Instant::now();
        let tasks: Vec<_> = (0..callers)
            .map(|caller| {
                let work = Arc::clone(&work);
                tokio::spawn(async move {
                    let mut n = caller;
                    while n < count {
                        work(n).await;
                        n += callers;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("a caller does not panic");
        }
        started.elapsed()
    })
}

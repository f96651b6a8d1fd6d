//! The cache over an engine whose reads can be held back, so that every order is forced.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bson::{Bson, doc};
use futures_util::StreamExt;
use futures_util::future::join_all;
use tokio::sync::Semaphore;

use super::*;
use crate::document::{CacheMode, Declaration, Policy, Revision};
use crate::engine::{
    Applied, Batch, Capabilities, CollectionInfo, Commit, Effect, Explain, Feed, Query, Read,
    Reply, Report, Resume, Rows, Stored, Tag, Tags,
};
use crate::query::{Expr, Pred, Sort};
use crate::{Error, ErrorKind};

type Documents = BTreeMap<i64, Stored>;

/// One collection of documents with whole-number ids. Reads wait for `gate`.
#[derive(Debug)]
struct Fake {
    clocks: Arc<Clocks>,
    state: Mutex<(Seq, Arc<Documents>)>,
    declaration: Mutex<Declaration>,
    gate: Arc<Semaphore>,
    reads: Arc<AtomicU64>,
    broken: Arc<AtomicBool>,
}

struct FakeSnapshot {
    seq: Seq,
    documents: Arc<Documents>,
    declaration: Declaration,
    gate: Arc<Semaphore>,
    reads: Arc<AtomicU64>,
    broken: Arc<AtomicBool>,
}

const OPEN: usize = 1 << 20;

impl Fake {
    fn open() -> Arc<Self> {
        Arc::new(Self {
            clocks: Arc::new(Clocks::starting_at(0)),
            state: Mutex::default(),
            declaration: Mutex::default(),
            gate: Arc::new(Semaphore::new(OPEN)),
            reads: Arc::default(),
            broken: Arc::default(),
        })
    }

    fn shut(&self) {
        self.gate.forget_permits(OPEN);
    }

    fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    fn write(&self, id: i64, value: Option<i64>) -> Commit {
        let mut state = self.state.lock().unwrap();
        let seq = state.0 + 1;
        let tags = Tags::of("tasks");
        self.clocks.advance(key(id), seq);
        self.clocks.advance(tags.collection(), seq);
        state.0 = seq;
        let stored = value.map(|value| Stored {
            revision: Revision(seq),
            body: body(id, value, seq),
        });
        let before = match &stored {
            Some(stored) => Arc::make_mut(&mut state.1).insert(id, stored.clone()),
            None => Arc::make_mut(&mut state.1).remove(&id),
        };
        let effect = match (before, &stored) {
            (Some(_), Some(_)) => Effect::Updated,
            (Some(_), None) => Effect::Deleted,
            (None, Some(_)) => Effect::Inserted,
            (None, None) => Effect::Missing,
        };
        Commit {
            seq,
            applied: vec![Applied {
                effect,
                revision: stored.as_ref().map(|stored| stored.revision),
                document: stored.map(|stored| stored.body),
            }],
        }
    }

    fn policy(&self, policy: Policy) {
        self.declaration.lock().unwrap().policy = policy;
    }

    fn now(&self) -> FakeSnapshot {
        let state = self.state.lock().unwrap();
        FakeSnapshot {
            seq: state.0,
            documents: state.1.clone(),
            declaration: self.declaration.lock().unwrap().clone(),
            gate: self.gate.clone(),
            reads: self.reads.clone(),
            broken: self.broken.clone(),
        }
    }
}

fn key(id: i64) -> Tag {
    Tag::document("tasks", &crate::pack::keys::encoded(&Bson::Int64(id)))
}

fn body(id: i64, value: i64, seq: Seq) -> Body {
    let document = bson::RawDocumentBuf::try_from(&doc! { "n": value }).unwrap();
    Body::seal(
        Body::pack(&document, &Bson::Int64(id)).unwrap(),
        Revision(seq),
    )
}

impl FakeSnapshot {
    async fn pass(&self) -> Result<()> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        drop(self.gate.acquire().await.unwrap());
        if self.broken.load(Ordering::Relaxed) {
            return Err(Error::corrupt("the disk is gone"));
        }
        Ok(())
    }

    fn matching(&self, filter: &Expr) -> Vec<Stored> {
        let wanted = |id: &i64| match filter {
            Expr::Field(_, Pred::Eq(wanted)) => *wanted == Bson::Int64(*id),
            _ => true,
        };
        let found = self.documents.iter().filter(|(id, _)| wanted(id));
        found.map(|(_, stored)| stored.clone()).collect()
    }
}

impl Read for FakeSnapshot {
    fn get_many<'a>(&'a self, _: &'a str, ids: &'a [Bson]) -> Reply<'a, Vec<Option<Stored>>> {
        Box::pin(async move {
            self.pass().await?;
            let found = ids.iter().map(|id| {
                let id = id.as_i64().expect("ids here are whole numbers");
                self.documents.get(&id).cloned()
            });
            Ok(found.collect())
        })
    }

    fn query(&self, query: Query) -> Reply<'_, Rows> {
        Box::pin(async move {
            self.pass().await?;
            let found = self.matching(&query.filter).into_iter().map(Ok);
            Ok(futures_util::stream::iter(found).boxed() as Rows)
        })
    }

    fn aggregate<'a>(&'a self, _: &'a str, _: &'a [bson::Document]) -> Reply<'a, Rows> {
        unreachable!()
    }

    fn count(&self, query: Query) -> Reply<'_, u64> {
        Box::pin(async move {
            self.pass().await?;
            Ok(self.matching(&query.filter).len() as u64)
        })
    }

    fn explain(&self, _: Query) -> Reply<'_, Explain> {
        unreachable!()
    }
}

impl Snapshot for FakeSnapshot {
    fn seq(&self) -> Option<Seq> {
        Some(self.seq)
    }

    fn declaration(&self, _: &str) -> Arc<Declaration> {
        Arc::new(self.declaration.clone())
    }
}

impl Read for Fake {
    fn get_many<'a>(&'a self, _: &'a str, _: &'a [Bson]) -> Reply<'a, Vec<Option<Stored>>> {
        unreachable!()
    }

    fn query(&self, _: Query) -> Reply<'_, Rows> {
        unreachable!()
    }

    fn aggregate<'a>(&'a self, _: &'a str, _: &'a [bson::Document]) -> Reply<'a, Rows> {
        unreachable!()
    }

    fn count(&self, _: Query) -> Reply<'_, u64> {
        unreachable!()
    }

    fn explain(&self, _: Query) -> Reply<'_, Explain> {
        unreachable!()
    }
}

impl Engine for Fake {
    fn capabilities(&self) -> Capabilities {
        unreachable!()
    }

    fn commit(&self, _: Batch) -> Reply<'_, Commit> {
        unreachable!()
    }

    fn snapshot(&self) -> Reply<'_, Arc<dyn Snapshot>> {
        let snapshot: Arc<dyn Snapshot> = Arc::new(self.now());
        Box::pin(async move { Ok(snapshot) })
    }

    fn changes(&self, _: Option<Resume>) -> Reply<'_, Feed> {
        unreachable!()
    }

    fn position(&self) -> Reply<'_, Resume> {
        unreachable!()
    }

    fn declare<'a>(&'a self, _: &'a str, _: &'a Declaration) -> Reply<'a, CollectionInfo> {
        unreachable!()
    }

    fn collections(&self) -> Reply<'_, Vec<CollectionInfo>> {
        unreachable!()
    }

    fn check(&self) -> Reply<'_, Report> {
        unreachable!()
    }

    fn ping(&self) -> Reply<'_, ()> {
        unreachable!()
    }

    fn close(&self) -> Reply<'_, ()> {
        unreachable!()
    }

    fn clocks(&self) -> Option<&Arc<Clocks>> {
        Some(&self.clocks)
    }
}

#[derive(Debug, Clone, PartialEq)]
struct Task(i64);

fn task(body: &Body) -> Result<Task> {
    Ok(Task(body.raw().get_i64("n").unwrap()))
}

struct Desk {
    fake: Arc<Fake>,
    cache: Cache,
    space: Arc<Space>,
}

impl Desk {
    fn with(settings: &CacheSettings) -> Self {
        let fake = Fake::open();
        let cache = Cache::new(fake.clone(), settings);
        let space = cache.space("tasks");
        Self { fake, cache, space }
    }

    fn new() -> Self {
        Self::with(&CacheSettings::default())
    }

    async fn get(&self, id: i64) -> (Option<i64>, Served) {
        let (doc, served) = self
            .cache
            .get(&self.space, id, task)
            .served()
            .await
            .unwrap();
        (doc.map(|doc| doc.0.value.0), served)
    }

    async fn list(&self, filter: Expr) -> (Vec<i64>, Served, Seq) {
        let query = all(filter);
        let (docs, served) = self.cache.list(&self.space, query, task).await.unwrap();
        let values = docs.iter().map(|doc| doc.0.value.0).collect();
        (values, served, docs.version().unwrap())
    }
}

fn all(filter: Expr) -> Query {
    Query {
        collection: "tasks".into(),
        filter,
        sort: Sort::default(),
        projection: None,
        skip: 0,
        limit: None,
        after: None,
    }
}

fn by_id(id: i64) -> Expr {
    Expr::Field("_id".into(), Pred::Eq(Bson::Int64(id)))
}

/// Polls once.
async fn pends<F: Future + Unpin>(future: &mut F) -> bool {
    std::future::poll_fn(|cx| {
        let polled = std::pin::Pin::new(&mut *future).poll(cx);
        std::task::Poll::Ready(polled.is_pending())
    })
    .await
}

#[tokio::test]
async fn a_document_is_loaded_once_and_again_only_after_it_changed() {
    let desk = Desk::new();
    desk.fake.write(1, Some(10));
    desk.fake.write(2, Some(20));
    assert_eq!(desk.get(1).await, (Some(10), Served::Miss));
    assert_eq!(desk.get(1).await, (Some(10), Served::Hit));
    desk.fake.write(2, Some(21));
    assert_eq!(desk.get(1).await, (Some(10), Served::Hit));
    desk.fake.write(1, Some(11));
    assert_eq!(desk.get(1).await, (Some(11), Served::Miss));
    assert_eq!(desk.cache.stats().stale_avoided, 1);
    let first = desk.cache.get(&desk.space, 1, task).await.unwrap().unwrap();
    let again = desk.cache.get(&desk.space, 1, task).await.unwrap().unwrap();
    assert!(first.same(&again));
    assert_eq!(first.revision(), Revision(4));
}

#[tokio::test]
async fn absence_is_cached_and_gone_when_the_document_is_added() {
    let desk = Desk::new();
    assert_eq!(desk.get(7).await, (None, Served::Miss));
    assert_eq!(desk.get(7).await, (None, Served::Hit));
    desk.fake.write(7, Some(70));
    assert_eq!(desk.get(7).await, (Some(70), Served::Miss));
    desk.fake.write(7, None);
    assert_eq!(desk.get(7).await, (None, Served::Miss));
}

#[tokio::test]
async fn a_thousand_misses_of_one_document_load_it_once() {
    let desk = Desk::new();
    desk.fake.write(1, Some(10));
    desk.fake.shut();
    let release = async {
        tokio::task::yield_now().await;
        desk.fake.gate.add_permits(OPEN);
    };
    let (found, ()) = tokio::join!(join_all((0..1000).map(|_| desk.get(1))), release);
    assert_eq!(found.len(), 1000);
    assert!(found.iter().all(|found| *found == (Some(10), Served::Miss)));
    assert_eq!(desk.fake.reads(), 1);
}

#[tokio::test]
async fn a_thousand_misses_of_one_list_run_it_once() {
    let desk = Desk::new();
    desk.fake.write(1, Some(10));
    desk.fake.shut();
    let release = async {
        tokio::task::yield_now().await;
        desk.fake.gate.add_permits(OPEN);
    };
    let lists = join_all((0..1000).map(|_| desk.list(Expr::All)));
    let (found, ()) = tokio::join!(lists, release);
    assert!(found.iter().all(|found| found.0 == [10]));
    assert_eq!(desk.fake.reads(), 1);
}

#[tokio::test]
async fn who_begins_behind_a_write_does_not_take_the_value_of_a_load_before_it() {
    let desk = Desk::new();
    desk.fake.write(1, Some(10));
    desk.fake.shut();
    let late = async {
        desk.fake.write(1, Some(11));
        let release = async { desk.fake.gate.add_permits(OPEN) };
        tokio::join!(desk.get(1), release).0
    };
    let (early, late) = tokio::join!(desk.get(1), late);
    assert_eq!(early, (Some(10), Served::Miss));
    assert_eq!(late, (Some(11), Served::Miss));
    assert_eq!(desk.fake.reads(), 2);
}

#[tokio::test]
async fn what_was_read_before_a_write_and_stored_behind_it_is_not_served() {
    let desk = Desk::new();
    desk.fake.write(1, Some(10));
    desk.fake.shut();
    let write = async {
        desk.fake.write(1, Some(11));
        desk.fake.gate.add_permits(OPEN);
    };
    let (early, ()) = tokio::join!(desk.get(1), write);
    assert_eq!(early, (Some(10), Served::Miss));
    assert_eq!(desk.get(1).await, (Some(11), Served::Miss));
}

#[tokio::test]
async fn a_leader_that_is_cancelled_leaves_its_followers_to_load() {
    let desk = Desk::new();
    desk.fake.write(1, Some(10));
    desk.fake.shut();
    let mut leader = Box::pin(desk.get(1));
    assert!(pends(&mut leader).await);
    let mut follower = Box::pin(desk.get(1));
    assert!(pends(&mut follower).await);
    drop(leader);
    desk.fake.gate.add_permits(OPEN);
    assert_eq!(follower.await, (Some(10), Served::Miss));
    assert_eq!(desk.fake.reads(), 2);
}

#[tokio::test]
async fn an_error_reaches_all_who_wait_and_is_not_cached() {
    let desk = Desk::new();
    desk.fake.write(1, Some(10));
    desk.fake.broken.store(true, Ordering::Relaxed);
    desk.fake.shut();
    let release = async { desk.fake.gate.add_permits(OPEN) };
    let reads = join_all((0..3).map(|_| async { desk.cache.get(&desk.space, 1, task).await }));
    let (outcomes, ()) = tokio::join!(reads, release);
    for outcome in outcomes {
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Corrupt);
    }
    assert_eq!(desk.fake.reads(), 1);
    desk.fake.broken.store(false, Ordering::Relaxed);
    assert_eq!(desk.get(1).await, (Some(10), Served::Miss));
}

#[tokio::test]
async fn a_type_is_decoded_from_the_cached_body_and_lives_by_its_stamp() {
    let desk = Desk::new();
    desk.fake.write(1, Some(10));
    let raw = desk
        .cache
        .get(&desk.space, 1, Cache::own_body)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(raw.revision(), Revision(1));
    assert_eq!(desk.get(1).await, (Some(10), Served::Hit));
    assert_eq!(desk.fake.reads(), 1);
    desk.fake.write(1, Some(11));
    assert_eq!(desk.get(1).await, (Some(11), Served::Miss));
}

#[tokio::test]
async fn several_documents_are_read_as_of_one_instant() {
    let desk = Desk::new();
    desk.fake.write(1, Some(10));
    desk.fake.write(2, Some(20));
    let ids = [1.into(), 2.into(), 3.into()];
    let read = async || {
        let read = desk.cache.get_many(&desk.space, &ids, task).await;
        let (docs, served) = read.unwrap();
        let values = docs.iter().map(|doc| doc.as_ref().map(|doc| doc.0.value.0));
        (values.collect::<Vec<_>>(), served)
    };
    assert_eq!(read().await, (vec![Some(10), Some(20), None], Served::Miss));
    assert_eq!(read().await, (vec![Some(10), Some(20), None], Served::Hit));
    // The snapshot is taken, then both are written, and 1 is cached anew: 1 must not be taken
    // from the cache with 2 from the snapshot.
    desk.fake.write(2, Some(21));
    desk.fake.shut();
    let write = async {
        desk.fake.write(1, Some(12));
        desk.fake.write(2, Some(22));
        desk.fake.gate.add_permits(OPEN);
    };
    let (torn, ()) = tokio::join!(read(), write);
    assert_eq!(torn.0, [Some(10), Some(21), None]);
    assert!(counts(Some(Revision(3)), 9, 5, true));
    assert!(!counts(Some(Revision(6)), 9, 5, true));
    assert!(!counts(None, 9, 5, true));
    assert!(!counts(None, 5, 5, false));
}

#[tokio::test]
async fn a_list_lives_until_what_it_depends_on_changes() {
    let desk = Desk::new();
    desk.fake.write(1, Some(10));
    desk.fake.write(2, Some(20));
    assert_eq!(desk.list(Expr::All).await, (vec![10, 20], Served::Miss, 2));
    assert_eq!(desk.list(Expr::All).await, (vec![10, 20], Served::Hit, 2));
    assert_eq!(desk.list(by_id(1)).await, (vec![10], Served::Miss, 1));
    desk.fake.write(2, Some(21));
    assert_eq!(desk.list(by_id(1)).await, (vec![10], Served::Hit, 1));
    assert_eq!(desk.list(Expr::All).await, (vec![10, 21], Served::Miss, 3));
    assert_eq!(
        *desk
            .cache
            .count(&desk.space, all(Expr::All))
            .await
            .unwrap()
            .0,
        2
    );
    desk.fake.write(2, None);
    assert_eq!(
        *desk
            .cache
            .count(&desk.space, all(Expr::All))
            .await
            .unwrap()
            .0,
        1
    );
}

#[tokio::test]
async fn a_collection_that_is_not_cached_is_read_through() {
    let desk = Desk::new();
    desk.fake.policy(Policy {
        cache: CacheMode::Off,
        ttl_ms: None,
    });
    desk.fake.write(1, Some(10));
    for _ in 0..2 {
        assert_eq!(desk.get(1).await, (Some(10), Served::Bypass));
        assert_eq!(desk.get(2).await, (None, Served::Bypass));
        assert_eq!(desk.list(Expr::All).await.1, Served::Bypass);
    }
    assert_eq!(desk.cache.stats().entries, 0);
}

#[tokio::test]
async fn an_entry_with_a_longest_life_leaves_at_most_a_tenth_before_its_end() {
    let now = Arc::new(AtomicU64::new(1));
    let read = now.clone();
    let desk = Desk::with(&CacheSettings {
        timer: Timer::reading(move || read.load(Ordering::Relaxed)),
        ..CacheSettings::default()
    });
    desk.fake.policy(Policy {
        cache: CacheMode::CacheAside,
        ttl_ms: Some(1000),
    });
    let hits = async || {
        let mut hits = 0;
        for id in 0..100 {
            hits += u32::from(desk.get(id).await.1 == Served::Hit);
        }
        hits
    };
    assert_eq!(hits().await, 0);
    now.store(900, Ordering::Relaxed);
    assert_eq!(hits().await, 100);
    now.store(950, Ordering::Relaxed);
    let left = hits().await;
    assert!((10..90).contains(&left), "{left} of 100 are left");
    now.store(1951, Ordering::Relaxed);
    assert_eq!(hits().await, 0);
}

#[tokio::test]
async fn what_is_written_through_is_a_hit_until_it_is_overtaken() {
    let desk = Desk::new();
    desk.fake.policy(Policy {
        cache: CacheMode::WriteThrough,
        ttl_ms: None,
    });
    let write = async |id: i64, value: Option<i64>| {
        let change = crate::engine::Change {
            collection: "tasks".into(),
            id: Bson::Int64(id),
            guard: crate::engine::Guard::Any,
            action: crate::engine::Action::Delete,
        };
        let batch = Batch {
            changes: vec![change],
            ..Batch::default()
        };
        let noted = desk.cache.before_commit(&batch).await.unwrap().unwrap();
        (noted, desk.fake.write(id, value))
    };
    let (noted, commit) = write(1, Some(10)).await;
    desk.cache.after_commit(noted, &commit);
    assert_eq!(desk.get(1).await, (Some(10), Served::Hit));
    let (noted, commit) = write(1, None).await;
    desk.cache.after_commit(noted, &commit);
    assert_eq!(desk.get(1).await, (None, Served::Hit));
    // A second writer is done before the first one's entry is put in.
    let (noted, commit) = write(1, Some(11)).await;
    let (_, _) = write(1, Some(12)).await;
    desk.cache.after_commit(noted, &commit);
    assert_eq!(desk.get(1).await, (Some(12), Served::Miss));
}

#[tokio::test]
async fn a_scan_of_ten_times_the_bound_stays_under_it_and_leaves_the_hot_set() {
    const BYTES: u64 = 1024 * 1024;
    let desk = Desk::with(&CacheSettings {
        bytes_max: BYTES,
        ..CacheSettings::default()
    });
    for id in 0..40_000 {
        desk.fake.write(id, Some(id));
    }
    let hot = 0..1000;
    for _ in 0..3 {
        for id in hot.clone() {
            desk.get(id).await;
        }
    }
    for id in 1000..40_000 {
        desk.get(id).await;
        assert!(desk.cache.stats().bytes <= BYTES);
        if id % 10 == 0 {
            desk.get(id % 1000).await;
        }
    }
    let mut hits = 0;
    for id in hot {
        hits += u32::from(desk.get(id).await.1 == Served::Hit);
    }
    assert!(hits >= 950, "{hits} of 1000 hot documents are left");
}

#[tokio::test]
async fn nothing_is_kept_in_a_cache_of_no_bytes() {
    let desk = Desk::with(&CacheSettings {
        bytes_max: 0,
        ..CacheSettings::default()
    });
    desk.fake.write(1, Some(10));
    assert_eq!(desk.get(1).await, (Some(10), Served::Miss));
    assert_eq!(desk.get(1).await, (Some(10), Served::Miss));
    assert_eq!(desk.cache.stats().bytes, 0);
}

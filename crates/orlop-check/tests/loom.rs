//! The order of clocks, commit, fill and hit under every interleaving of small programs.
//!
//! The clocks and the rules that decide (`current`, `answers`, `counts`) are the ones that run in
//! the product; what surrounds them is modelled: a snapshot is a number, and its content a function
//! of the number. Each right order passes, each wrong one is caught.
//!
//! Loom explores the orders of the C++ memory model up to three preemptions.

use loom::sync::atomic::{AtomicU64, Ordering};
use loom::sync::{Arc, Condvar, Mutex, MutexGuard};
use loom::thread;
use orlop::cache::{answers, counts};
use orlop::document::Revision;
use orlop::engine::{Cell, Clocks, Seq, Tag};

/// A clock that loom watches.
struct Watched(AtomicU64);

impl Cell for Watched {
    fn standing_at(seq: Seq) -> Self {
        Self(AtomicU64::new(seq))
    }

    fn read(&self) -> Seq {
        self.0.load(Ordering::Acquire)
    }

    fn write(&self, seq: Seq) {
        self.0.store(seq, Ordering::Release);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no holder panics and goes on")
}

fn explore(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

const COLLECTION: Tag = Tag(0);
const X: Tag = Tag(0);
const Y: Tag = Tag(1);

/// A deviation from the right order.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Right,
    ClockAfterVisibility,
    StampAfterRead,
    CounterComparedForEquality,
    WriteThrough,
    WriteThroughBeforeVisibility,
    AcknowledgedBeforeVisibility,
}

#[derive(Clone, Copy)]
struct Entry {
    stamp: Seq,
    revision: Seq,
}

/// A store of documents that every commit writes: at snapshot `n` each is at revision `n`.
struct World {
    clocks: Clocks<Watched>,
    published: AtomicU64,
    acknowledged: AtomicU64,
    entries: [Mutex<Option<Entry>>; 2],
    order: Order,
}

impl World {
    fn new(places: usize, order: Order) -> Arc<Self> {
        Arc::new(Self {
            clocks: Clocks::with_places(places, 1, 0),
            published: AtomicU64::new(0),
            acknowledged: AtomicU64::new(0),
            entries: [Mutex::new(None), Mutex::new(None)],
            order,
        })
    }

    fn entry(&self, tag: Tag) -> &Mutex<Option<Entry>> {
        &self.entries[tag.0 as usize]
    }

    fn commit(&self, seq: Seq, tags: &[Tag]) {
        let clocks = || tags.iter().for_each(|tag| self.clocks.advance(*tag, seq));
        let visible = || self.published.store(seq, Ordering::Release);
        let acknowledge = || self.acknowledged.store(seq, Ordering::Release);
        let written = || {
            let entry = Entry {
                stamp: seq,
                revision: seq,
            };
            tags.iter()
                .for_each(|tag| *lock(self.entry(*tag)) = Some(entry));
        };
        match self.order {
            Order::ClockAfterVisibility => {
                visible();
                clocks();
                acknowledge();
            }
            Order::AcknowledgedBeforeVisibility => {
                clocks();
                acknowledge();
                visible();
            }
            Order::WriteThrough => {
                clocks();
                visible();
                written();
                acknowledge();
            }
            Order::WriteThroughBeforeVisibility => {
                clocks();
                written();
                visible();
                acknowledge();
            }
            _ => {
                clocks();
                visible();
                acknowledge();
            }
        }
    }

    /// The revision of a document, through the cache.
    fn get(&self, tag: Tag) -> Seq {
        let cached = *lock(self.entry(tag));
        if let Some(entry) = cached {
            let valid = match self.order {
                Order::CounterComparedForEquality => self.clocks.read(tag) == entry.stamp,
                _ => self.clocks.current(tag, COLLECTION, entry.stamp),
            };
            if valid {
                return entry.revision;
            }
        }
        let counter = self.clocks.read(tag);
        let revision = self.published.load(Ordering::Acquire);
        let stamp = match self.order {
            Order::StampAfterRead => self.published.load(Ordering::Acquire),
            Order::CounterComparedForEquality => counter,
            _ => revision,
        };
        *lock(self.entry(tag)) = Some(Entry { stamp, revision });
        revision
    }

    /// Two reads: not behind what was acknowledged before them, nor behind each other.
    fn read_twice(&self, tag: Tag) {
        let floor = self.acknowledged.load(Ordering::Acquire);
        let first = self.get(tag);
        assert!(
            first >= floor,
            "read {first} behind the acknowledged {floor}"
        );
        let second = self.get(tag);
        assert!(second >= first, "read {second} after {first}");
    }
}

fn one_writer(order: Order, commits: Seq, readers: usize) {
    explore(move || {
        let world = World::new(1, order);
        let writer = world.clone();
        let mut threads = vec![thread::spawn(move || {
            (1..=commits).for_each(|seq| writer.commit(seq, &[X]));
        })];
        for _ in 1..readers {
            let reader = world.clone();
            threads.push(thread::spawn(move || reader.read_twice(X)));
        }
        world.read_twice(X);
        for thread in threads {
            thread.join().expect("it runs to its end");
        }
    });
}

#[test]
fn one_commit_and_two_readers() {
    one_writer(Order::Right, 1, 2);
}

#[test]
fn two_commits_and_a_reader() {
    one_writer(Order::Right, 2, 1);
}

#[test]
fn written_through_behind_visibility() {
    one_writer(Order::WriteThrough, 1, 2);
}

#[test]
#[should_panic(expected = "read 0 after 1")]
fn wrong_clock_moved_after_visibility() {
    // A reader that fills from the old snapshot, another that sees the new one and then the entry.
    one_writer(Order::ClockAfterVisibility, 1, 2);
}

#[test]
#[should_panic(expected = "behind the acknowledged")]
fn wrong_stamped_after_the_read() {
    one_writer(Order::StampAfterRead, 1, 2);
}

#[test]
#[should_panic(expected = "behind the acknowledged")]
fn wrong_counter_noted_before_the_read_and_compared_for_equality() {
    one_writer(Order::CounterComparedForEquality, 1, 2);
}

#[test]
#[should_panic(expected = "after 1")]
fn wrong_written_through_before_visibility() {
    one_writer(Order::WriteThroughBeforeVisibility, 1, 2);
}

#[test]
#[should_panic(expected = "behind the acknowledged")]
fn wrong_acknowledged_before_visibility() {
    one_writer(Order::AcknowledgedBeforeVisibility, 1, 1);
}

/// Two documents whose tags share the only place: one commit each, by one writer.
#[test]
fn two_documents_on_one_clock() {
    explore(|| {
        let world = World::new(1, Order::Right);
        let writer = world.clone();
        let thread = thread::spawn(move || {
            writer.commit(1, &[X]);
            writer.commit(2, &[Tag(X.0 + 2)]);
        });
        world.read_twice(X);
        world.read_twice(Y);
        thread.join().expect("it runs to its end");
    });
}

// Several committers.

/// A commit's number and its visibility are one critical section; the clocks move inside it, or not.
struct Committers {
    clocks: Clocks<Watched>,
    published: Mutex<Seq>,
    acknowledged: AtomicU64,
    entry: Mutex<Option<Entry>>,
}

impl Committers {
    fn commit(&self, inside: bool) {
        let mut published = lock(&self.published);
        let seq = *published + 1;
        if inside {
            self.clocks.advance(X, seq);
            *published = seq;
            self.acknowledged.fetch_max(seq, Ordering::AcqRel);
            return;
        }
        *published = seq;
        drop(published);
        self.clocks.advance(X, seq);
        self.acknowledged.fetch_max(seq, Ordering::AcqRel);
    }

    fn get(&self) -> Seq {
        let cached = *lock(&self.entry);
        if let Some(entry) = cached.filter(|entry| self.clocks.read(X) <= entry.stamp) {
            return entry.revision;
        }
        let revision = *lock(&self.published);
        *lock(&self.entry) = Some(Entry {
            stamp: revision,
            revision,
        });
        revision
    }
}

fn two_committers(inside: bool) {
    explore(move || {
        let world = Arc::new(Committers {
            clocks: Clocks::with_places(1, 1, 0),
            published: Mutex::new(0),
            acknowledged: AtomicU64::new(0),
            entry: Mutex::new(None),
        });
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let world = world.clone();
                thread::spawn(move || world.commit(inside))
            })
            .collect();
        for _ in 0..2 {
            let floor = world.acknowledged.load(Ordering::Acquire);
            let read = world.get();
            assert!(read >= floor, "read {read} behind the acknowledged {floor}");
        }
        for thread in threads {
            thread.join().expect("it runs to its end");
        }
    });
}

#[test]
fn two_committers_under_one_lock() {
    two_committers(true);
}

#[test]
#[should_panic(expected = "behind the acknowledged")]
fn wrong_two_committers_move_clocks_outside_the_lock() {
    two_committers(false);
}

// Scopes: one document, in scope X at snapshot 0, in scope Y from snapshot 1 on.

struct Scopes {
    world: Arc<World>,
    moved: &'static [Tag],
}

impl Scopes {
    /// Whether the list of a scope has the document.
    fn list(&self, scope: Tag) -> bool {
        let at = self.world.get(scope);
        (scope == X) == (at == 0)
    }
}

fn a_document_moves(moved: &'static [Tag]) {
    explore(move || {
        let world = World::new(2, Order::Right);
        let scopes = Scopes {
            world: world.clone(),
            moved,
        };
        // Both lists are cached before.
        assert!(scopes.list(X) && !scopes.list(Y));
        let writer = world.clone();
        let moved = scopes.moved;
        let thread = thread::spawn(move || writer.commit(1, moved));
        let acknowledged = world.acknowledged.load(Ordering::Acquire) == 1;
        let (old, new) = (scopes.list(X), scopes.list(Y));
        assert!(!acknowledged || (!old && new), "an old list is served");
        thread.join().expect("it runs to its end");
        assert!(!scopes.list(X) && scopes.list(Y), "an old list is served");
    });
}

#[test]
fn a_move_between_scopes_moves_both_clocks() {
    a_document_moves(&[X, Y]);
}

#[test]
#[should_panic(expected = "an old list is served")]
fn wrong_only_the_clock_of_the_new_scope() {
    a_document_moves(&[Y]);
}

// Single flight, without a cache: what a follower may take.

#[derive(Default)]
struct Flight {
    landed: Mutex<Option<Entry>>,
    news: Condvar,
}

struct Flights {
    world: Arc<World>,
    table: Mutex<Option<Arc<Flight>>>,
    takes_any: bool,
}

impl Flights {
    fn get(&self) -> Seq {
        let start = self.world.published.load(Ordering::Acquire);
        for _ in 0..2 {
            let mut table = lock(&self.table);
            let Some(flight) = table.clone() else {
                let flight = Arc::new(Flight::default());
                *table = Some(flight.clone());
                drop(table);
                return self.lead(&flight);
            };
            drop(table);
            let landed = flight.wait();
            let current = self.world.clocks.current(X, COLLECTION, landed.stamp);
            if self.takes_any || answers(landed.stamp, start, current) {
                return landed.revision;
            }
        }
        unreachable!("a second flight always answers");
    }

    fn lead(&self, flight: &Flight) -> Seq {
        let revision = self.world.published.load(Ordering::Acquire);
        // The table is left before the answer.
        *lock(&self.table) = None;
        *lock(&flight.landed) = Some(Entry {
            stamp: revision,
            revision,
        });
        flight.news.notify_all();
        revision
    }
}

impl Flight {
    fn wait(&self) -> Entry {
        let mut landed = lock(&self.landed);
        loop {
            if let Some(entry) = *landed {
                return entry;
            }
            landed = self.news.wait(landed).expect("no holder panics");
        }
    }
}

fn two_callers_of_one_flight(takes_any: bool) {
    explore(move || {
        let flights = Arc::new(Flights {
            world: World::new(1, Order::Right),
            table: Mutex::new(None),
            takes_any,
        });
        let writer = flights.world.clone();
        let other = flights.clone();
        let threads = [
            thread::spawn(move || writer.commit(1, &[X])),
            thread::spawn(move || {
                other.get();
            }),
        ];
        let floor = flights.world.acknowledged.load(Ordering::Acquire);
        let read = flights.get();
        assert!(read >= floor, "read {read} behind the acknowledged {floor}");
        for thread in threads {
            thread.join().expect("it runs to its end");
        }
    });
}

#[test]
fn a_follower_takes_what_is_no_older_than_its_call() {
    two_callers_of_one_flight(false);
}

#[test]
#[should_panic(expected = "behind the acknowledged")]
fn wrong_a_follower_takes_any_flight() {
    two_callers_of_one_flight(true);
}

// Several documents at once: every commit writes both.

fn many(world: &World, snapshot_first: bool) -> (Seq, Seq) {
    let noted = world.published.load(Ordering::Acquire);
    let [x, y] = [X, Y].map(|tag| {
        let cached = *lock(world.entry(tag));
        cached.filter(|entry| {
            let current = world.clocks.current(tag, COLLECTION, entry.stamp);
            let revision = Some(Revision(entry.revision));
            if snapshot_first {
                counts(revision, entry.stamp, noted, current)
            } else {
                current
            }
        })
    });
    let published = match snapshot_first {
        true => noted,
        false => world.published.load(Ordering::Acquire),
    };
    let revision = |entry: Option<Entry>| entry.map_or(published, |entry| entry.revision);
    (revision(x), revision(y))
}

fn both_at_once(snapshot_first: bool) {
    explore(move || {
        let world = World::new(2, Order::Right);
        let writer = world.clone();
        let other = world.clone();
        let threads = [
            thread::spawn(move || writer.commit(1, &[X, Y])),
            thread::spawn(move || {
                other.get(X);
            }),
        ];
        let floor = world.acknowledged.load(Ordering::Acquire);
        let (x, y) = many(&world, snapshot_first);
        assert_eq!(x, y, "half of a commit is read");
        assert!(x >= floor, "read {x} behind the acknowledged {floor}");
        for thread in threads {
            thread.join().expect("it runs to its end");
        }
    });
}

#[test]
fn several_documents_are_read_as_of_one_commit() {
    both_at_once(true);
}

#[test]
#[should_panic(expected = "half of a commit is read")]
fn wrong_several_documents_without_a_snapshot_noted_first() {
    both_at_once(false);
}

// What touches a collection as a whole.

#[test]
fn a_collection_emptied_is_not_served_from_the_cache() {
    explore(|| {
        let world = World::new(1, Order::Right);
        world.get(X);
        let writer = world.clone();
        let thread = thread::spawn(move || {
            writer.clocks.advance_whole(COLLECTION, 1);
            writer.published.store(1, Ordering::Release);
            writer.acknowledged.store(1, Ordering::Release);
        });
        world.read_twice(X);
        thread.join().expect("it runs to its end");
    });
}

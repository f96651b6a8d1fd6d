//! The committer: one thread that turns queued batches into groups, and a group into one write.
//!
//! The order of a group's steps is the engine's contract, each named in [`Committer::write`]:
//! log, sync, key-value store, clocks, visibility, answers. docs/consistency.md "Clocks" says what
//! goes wrong in any other order.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::{oneshot, watch};

use super::catalog::Catalog;
use super::group::Group;
use super::housekeeping::Chore;
use super::prepare::{Prepared, Step};
use crate::defences::{Defence, pause};
use crate::engine::kv::{KeyRange, Kv, Pairs, View};
use crate::engine::log::Log;
use crate::engine::{Clocks, Commit, Durability, Seq};
use crate::{Error, ErrorKind, Outcome, Result};

/// Most batches in one group.
///
/// # Source
/// Groups larger than a few hundred gained nothing; see docs/benchmarks.md "Group commit".
const GROUP_BATCHES_MAX: usize = 1_024;
/// A group that holds this many pairs takes no more batches.
const GROUP_PAIRS_MAX: usize = 50_000;
/// How often free space is asked for.
const SPACE_CHECK: Duration = Duration::from_secs(1);

/// What readers see: one pointer, swapped by the committer.
pub(crate) struct Published {
    pub(crate) seq: Seq,
    pub(crate) view: Arc<dyn View>,
    pub(crate) catalog: Arc<Catalog>,
}

/// What the committer and its callers share.
pub(crate) struct Shared {
    pub(crate) published: ArcSwap<Published>,
    pub(crate) clocks: Arc<Clocks>,
    pub(crate) log: Log,
    /// None once the store is closed, so that its files are free.
    kv: RwLock<Option<Box<dyn Kv>>>,
    /// Tells feeds what was published last; none once the store is closed.
    pub(crate) news: watch::Sender<Option<Seq>>,
    queue: Mutex<Queue>,
    wake: Condvar,
    /// Writes are refused below this many free bytes.
    pub(crate) space_floor_bytes: u64,
    /// History kept, in bytes.
    pub(crate) feed_bytes: u64,
}

/// One thing for the committer to do.
pub(crate) enum Request {
    /// A caller's batch.
    Batch(Prepared, oneshot::Sender<Result<Commit>>),
    /// A step of upkeep; changes no document.
    Chore(Chore, oneshot::Sender<Result<bool>>),
}

struct Queue {
    requests: VecDeque<Request>,
    /// The committer is parked: only then does a push have to wake it.
    parked: bool,
    closed: bool,
    /// Why nothing can be written any more, for those who ask.
    poison: Option<Error>,
}

impl Shared {
    pub(crate) fn new(
        published: Published,
        clocks: Arc<Clocks>,
        log: Log,
        kv: Box<dyn Kv>,
        space_floor_bytes: u64,
        feed_bytes: u64,
    ) -> Self {
        Self {
            news: watch::Sender::new(Some(published.seq)),
            published: ArcSwap::from_pointee(published),
            clocks,
            log,
            kv: RwLock::new(Some(kv)),
            queue: Mutex::new(Queue {
                requests: VecDeque::new(),
                parked: false,
                closed: false,
                poison: None,
            }),
            wake: Condvar::new(),
            space_floor_bytes,
            feed_bytes,
        }
    }

    /// Queues a request.
    ///
    /// # Errors
    /// `Closed` after [`Shared::close`].
    pub(crate) fn push(&self, request: Request) -> Result<()> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.closed {
            return Err(closed());
        }
        queue.requests.push_back(request);
        let parked = queue.parked;
        drop(queue);
        if parked {
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Does something with the key-value store.
    ///
    /// # Errors
    /// `Closed` after [`Shared::release`].
    pub(crate) fn with_kv<T>(&self, work: impl FnOnce(&dyn Kv) -> Result<T>) -> Result<T> {
        let kv = self.kv.read().unwrap_or_else(PoisonError::into_inner);
        match kv.as_deref() {
            Some(kv) => work(kv),
            None => Err(closed()),
        }
    }

    /// What is published now.
    ///
    /// # Errors
    /// `Closed` after [`Shared::release`].
    pub(crate) fn now(&self) -> Result<Arc<Published>> {
        let published = self.published.load_full();
        match self.news.borrow().is_some() {
            true => Ok(published),
            false => Err(closed()),
        }
    }

    /// Lets go of the files and ends the feeds. Snapshots that are held stay readable.
    pub(crate) fn release(&self) {
        self.news.send_replace(None);
        let seq = self.published.load().seq;
        self.published.store(Arc::new(Published {
            seq,
            view: Arc::new(ClosedView),
            catalog: Arc::default(),
        }));
        self.kv
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }

    /// Whether the store takes requests.
    ///
    /// # Errors
    /// `Closed` after [`Shared::close`], `Unavailable` after a failed write.
    pub(crate) fn health(&self) -> Result<()> {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        match (queue.closed, &queue.poison) {
            (true, _) => Err(closed()),
            (false, Some(error)) => Err(refusal(error)),
            (false, None) => Ok(()),
        }
    }

    /// Takes no more requests; the committer finishes what is queued and ends.
    pub(crate) fn close(&self) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.closed = true;
        drop(queue);
        self.wake.notify_one();
    }

    /// The queued requests; none at once when `wait` is false, none for ever when closed.
    fn take(&self, wait: bool, most: usize) -> Vec<Request> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        while wait && queue.requests.is_empty() && !queue.closed {
            queue.parked = true;
            queue = self
                .wake
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
            queue.parked = false;
        }
        let most = most.min(queue.requests.len());
        queue.requests.drain(..most).collect()
    }
}

/// What readers find after the close.
struct ClosedView;

impl View for ClosedView {
    fn get(&self, _: &[u8]) -> Result<Option<bytes::Bytes>> {
        Err(closed())
    }

    fn range(&self, _: &KeyRange, _: bool) -> Pairs {
        Box::new(std::iter::once(Err(closed())))
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the store is closed")
}

/// The committer's own state.
pub(crate) struct Committer {
    shared: Arc<Shared>,
    /// Why nothing can be written any more.
    poison: Option<Error>,
    space_asked: Option<Instant>,
    space_left: u64,
}

/// Answers held back until the group is visible.
#[derive(Default)]
struct Answers {
    batches: Vec<(oneshot::Sender<Result<Commit>>, Result<Commit>)>,
    chores: Vec<(oneshot::Sender<Result<bool>>, Result<bool>)>,
}

impl Committer {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            poison: None,
            space_asked: None,
            space_left: u64::MAX,
        }
    }

    /// Serves requests until the store is closed.
    pub(crate) fn run(mut self) {
        loop {
            let first = self.shared.take(true, GROUP_BATCHES_MAX);
            if first.is_empty() {
                return;
            }
            self.serve(first);
        }
    }

    /// Makes one group of `requests` and of what arrives while they are checked.
    fn serve(&mut self, mut requests: Vec<Request>) {
        let published = self.shared.published.load_full();
        let mut group = Group::new(
            Arc::clone(&published.view),
            Some(Arc::clone(&self.shared.clocks)),
            Arc::clone(&published.catalog),
            published.seq,
        );
        let mut answers = Answers::default();
        let mut sync = false;
        let mut taken = 0;
        while !requests.is_empty() {
            taken += requests.len();
            for request in requests {
                sync |= self.add(&mut group, request, &mut answers);
            }
            // What arrived meanwhile shares the sync: this is what makes a group.
            let full = taken >= GROUP_BATCHES_MAX || group.pairs.len() >= GROUP_PAIRS_MAX;
            requests = match full {
                true => Vec::new(),
                false => self.shared.take(false, GROUP_BATCHES_MAX - taken),
            };
        }
        let written = self.write(&published, group, sync);
        answers.send(written);
    }

    /// Adds one request to the group; says whether it needs a sync.
    fn add(&mut self, group: &mut Group, request: Request, answers: &mut Answers) -> bool {
        match request {
            Request::Batch(batch, answer) => {
                let durability = batch.durability;
                let result = self.admit(&batch).and_then(|()| group.add(batch));
                let sync = result.is_ok() && durability == Durability::Sync;
                answers.batches.push((answer, result));
                sync
            }
            Request::Chore(chore, answer) => {
                let result = match &self.poison {
                    Some(error) => Err(refusal(error)),
                    None => chore.run(group),
                };
                group.keep();
                answers.chores.push((answer, result));
                false
            }
        }
    }

    /// Whether a batch may be looked at: the store is sound, there is time and space left.
    fn admit(&mut self, batch: &Prepared) -> Result<()> {
        if let Some(error) = &self.poison {
            return Err(refusal(error));
        }
        if batch
            .deadline
            .is_some_and(|deadline| Instant::now() > deadline)
        {
            return Err(Error::unavailable(
                "the batch waited past its deadline",
                Outcome::NotApplied,
            ));
        }
        let floor = self.shared.space_floor_bytes;
        if floor == 0 || self.space_left() >= floor {
            return Ok(());
        }
        // Room must be made somehow: what only removes is let through until half the floor.
        let removes = |step: &Step| matches!(step, Step::Delete | Step::Truncate | Step::Drop);
        let frees = batch.changes.iter().all(|change| removes(&change.step));
        if frees && self.space_left >= floor / 2 {
            return Ok(());
        }
        Err(Error::unavailable(
            format!(
                "the disk has {} bytes free, below the floor of {floor}: free space, or delete documents",
                self.space_left
            ),
            Outcome::NotApplied,
        ))
    }

    fn space_left(&mut self) -> u64 {
        if self
            .space_asked
            .is_none_or(|asked| asked.elapsed() > SPACE_CHECK)
        {
            self.space_left = self.shared.log.space().map_or(u64::MAX, |space| space.free);
            self.space_asked = Some(Instant::now());
        }
        self.space_left
    }

    /// The steps of a group, in the order that must not change.
    fn write(&mut self, published: &Published, mut group: Group, sync: bool) -> Result<()> {
        let idle = group.pairs.is_empty() && group.catalog.changed.is_empty();
        if idle && group.seq == published.seq {
            return Ok(());
        }
        // 1. The log. After a failure nothing below happens, now or ever.
        if !group.records.is_empty() {
            let logged = self.shared.log.append(&group.records);
            let logged = logged.and_then(|()| match sync {
                true => self.shared.log.sync(),
                false => Ok(()),
            });
            logged.map_err(|error| self.poisoned(error))?;
        }
        // 2. The key-value store. The log holds the group already, so a failure here loses
        //    nothing, but what readers would see is unknown: stop as well.
        let view = self
            .store(&mut group)
            .map_err(|error| self.poisoned(error))?;
        let clocks = &self.shared.clocks;
        let move_clocks = || {
            for (tag, seq) in &group.tags {
                clocks.advance(*tag, *seq);
            }
            for (collection, seq) in &group.wholes {
                if Defence::WholeHasAClock.stands() {
                    clocks.advance_whole(*collection, *seq);
                }
            }
            if let Some(seq) = group.all_tags {
                clocks.advance_all(seq);
            }
        };
        // 3. IMPORTANT: the clocks move before the group is visible. A reader that sees the
        //    new snapshot would else find an old entry still valid.
        let ordered = Defence::ClocksBeforeVisibility.stands();
        if ordered {
            move_clocks();
        }
        pause();
        // 4. Visibility.
        self.shared.published.store(Arc::new(Published {
            seq: group.seq,
            view,
            catalog: group.catalog,
        }));
        if !ordered {
            pause();
            move_clocks();
        }
        // 5. The feed; the answers follow.
        self.shared.news.send_replace(Some(group.seq));
        Ok(())
    }

    fn store(&self, group: &mut Group) -> Result<Arc<dyn View>> {
        self.shared.with_kv(|kv| {
            kv.write(&mut group.drain_pairs())?;
            kv.view()
        })
    }

    fn poisoned(&mut self, error: Error) -> Error {
        tracing::error!(%error, "the store refuses writes from now on");
        let kept = Error::unavailable(
            format!("the store refuses writes since a failure: {error}"),
            Outcome::NotApplied,
        );
        let mut queue = self
            .shared
            .queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        queue.poison = Some(refusal(&kept));
        drop(queue);
        self.poison = Some(kept);
        Error::unavailable(format!("the write failed: {error}"), Outcome::Unknown)
            .with_source(error)
    }
}

/// The error of a poisoned store, for one more caller.
fn refusal(error: &Error) -> Error {
    Error::unavailable(error.message(), Outcome::NotApplied)
}

impl Answers {
    /// Answers everybody. A caller that went away is not missed.
    fn send(self, written: Result<()>) {
        let again = |error: &Error| Error::unavailable(error.message(), Outcome::Unknown);
        for (answer, result) in self.batches {
            let result = match (&written, result) {
                (Err(error), Ok(_)) => Err(again(error)),
                (_, result) => result,
            };
            let _ = answer.send(result);
        }
        for (answer, result) in self.chores {
            let result = match (&written, result) {
                (Err(error), Ok(_)) => Err(again(error)),
                (_, result) => result,
            };
            let _ = answer.send(result);
        }
    }
}

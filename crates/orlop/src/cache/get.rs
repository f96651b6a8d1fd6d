//! One document: the hit without allocation, the miss boxed.

use std::any::TypeId;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::flight::{Leader, Seat, answers};
use super::key::{Address, IdKey, IdRef};
use super::many::counts;
use super::node::{Absent, Cached, Doc, Head, Node};
use super::space::Space;
use super::trace;
use super::{Cache, Decode, Served, store};
use crate::defences::{Defence, pause};
use crate::document::{CacheMode, Declaration, Revision};
use crate::engine::{Seq, Stored};
use crate::pack::Body;
use crate::{Error, Result};

/// Flights a caller waits for before it loads by itself. A second one always answers; a third
/// would come from leaders that were cancelled.
const WAITS_MAX: usize = 2;

type Slow<'a, T> = Pin<Box<dyn Future<Output = Result<(Option<Doc<T>>, Served)>> + Send + 'a>>;

/// The read of one document. Looks into the cache when first polled.
#[must_use = "a read does nothing until it is awaited"]
pub struct Get<'a, T>(GetServed<'a, T>);

/// The read of one document that also tells how it was served.
#[must_use = "a read does nothing until it is awaited"]
pub struct GetServed<'a, T> {
    cache: &'a Cache,
    space: &'a Arc<Space>,
    id: IdRef<'a>,
    decode: Decode<T>,
    /// Boxed, so that a hit moves few bytes.
    slow: Option<Slow<'a, T>>,
}

impl<'a, T> Get<'a, T> {
    /// The same read, telling how it was served too.
    pub fn served(self) -> GetServed<'a, T> {
        self.0
    }
}

impl<T: Send + Sync + 'static> Future for Get<'_, T> {
    type Output = Result<Option<Doc<T>>>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0
            .poll_read(cx)
            .map(|outcome| outcome.map(|(doc, _)| doc))
    }
}

impl<T: Send + Sync + 'static> Future for GetServed<'_, T> {
    type Output = Result<(Option<Doc<T>>, Served)>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_read(cx)
    }
}

impl<T: Send + Sync + 'static> GetServed<'_, T> {
    #[inline]
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<(Option<Doc<T>>, Served)>> {
        if let Some(slow) = &mut self.slow {
            return slow.as_mut().poll(cx);
        }
        let address = Address::of(self.space, &self.id);
        if let Some(found) = self.cache.look::<T>(self.space, &address) {
            self.cache.counters.hits.add();
            trace::hit(self.space.name());
            return Poll::Ready(Ok((found, Served::Hit)));
        }
        self.go_slow(address, cx)
    }

    #[cold]
    #[inline(never)]
    fn go_slow(
        &mut self,
        address: Address,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(Option<Doc<T>>, Served)>> {
        let (cache, space, decode) = (self.cache, self.space, self.decode);
        let id = std::mem::replace(&mut self.id, IdRef::Int64(0));
        let slow = self.slow.insert(Box::pin(trace::operation(
            space.name(),
            "get",
            cache.load(space, id, address, decode),
        )));
        slow.as_mut().poll(cx)
    }
}

/// What a flight brings of one document, for callers of any representation.
pub(super) struct Loaded {
    pub(super) stored: Option<Stored>,
    pub(super) declaration: Arc<Declaration>,
}

impl Cache {
    /// Reads one document: from the cache when it holds a current one, else from the engine.
    ///
    /// Linearizable: what it returns was the stored state at some instant between first poll and
    /// completion. None when the document is absent, which is cached too.
    ///
    /// # Errors
    /// Those of the engine, and of `decode`; neither is cached.
    ///
    /// # Cost
    /// A hit: one hash, one look-up, two loads, no allocation for ids up to 22 bytes. A miss: one
    /// engine read for all callers that miss it together.
    pub fn get<'a, T: Send + Sync + 'static>(
        &'a self,
        space: &'a Arc<Space>,
        id: impl Into<IdRef<'a>>,
        decode: Decode<T>,
    ) -> Get<'a, T> {
        Get(GetServed {
            cache: self,
            space,
            id: id.into(),
            decode,
            slow: None,
        })
    }

    /// The document when the cache holds a current one: some none when it is known to be absent.
    #[inline]
    pub(super) fn look<T: Send + Sync + 'static>(
        &self,
        space: &Arc<Space>,
        address: &Address,
    ) -> Option<Option<Doc<T>>> {
        self.look_as_of(space, address, Seq::MAX)
    }

    /// As [`Cache::look`], for what the snapshot `published` holds too.
    #[inline]
    pub(super) fn look_as_of<T: Send + Sync + 'static>(
        &self,
        space: &Arc<Space>,
        address: &Address,
        published: Seq,
    ) -> Option<Option<Doc<T>>> {
        let cached = self.store.get::<T>(address.tag.0)?;
        match store::node::<T>(cached) {
            Ok(node) => {
                let head = &node.head;
                let usable = self.usable(space, address, head);
                counts(Some(head.revision), head.stamp, published, usable).then(|| Some(Doc(node)))
            }
            Err(other) => {
                let absent = store::node::<Absent>(other).ok()?;
                let usable = self.usable(space, address, &absent.head)
                    || !Defence::AbsenceHasAClock.stands() && absent.head.id == address.key;
                counts(None, absent.head.stamp, published, usable).then_some(None)
            }
        }
    }

    /// Whether an entry is the document asked for, and current.
    #[inline]
    fn usable(&self, space: &Arc<Space>, address: &Address, head: &Head) -> bool {
        Arc::ptr_eq(&head.space, space) && head.id == address.key && self.current(head)
    }

    /// Counts an entry that is there and that a clock has overtaken. On the slow path only, once
    /// a read.
    pub(super) fn note_overtaken<T: 'static>(&self, space: &Arc<Space>, hash: u64, key: &IdKey) {
        let (Some(clocks), Some(cached)) = (&self.clocks, self.store.peek::<T>(hash)) else {
            return;
        };
        let head = cached.head();
        let same = Arc::ptr_eq(&head.space, space) && head.id == *key;
        if same && !clocks.current(head.tag, space.collection, head.stamp) {
            self.counters.stale_avoided.add();
        }
    }

    /// Whether an entry is current, by its clocks alone; one past its life is not used either.
    #[inline]
    pub(super) fn current(&self, head: &Head) -> bool {
        let Some(clocks) = &self.clocks else {
            return false;
        };
        let current = clocks.current(head.tag, head.space.collection, head.stamp);
        if !current && Defence::HitLooksAtClocks.stands() {
            return false;
        }
        head.expires_ms == 0 || self.timer.now_ms() < head.expires_ms
    }

    async fn load<T: Send + Sync + 'static>(
        &self,
        space: &Arc<Space>,
        id: IdRef<'_>,
        address: Address,
        decode: Decode<T>,
    ) -> Result<(Option<Doc<T>>, Served)> {
        if let Some(found) = self.decode_raw(space, &address, Seq::MAX, decode)? {
            self.counters.hits.add();
            return Ok((found, Served::Hit));
        }
        self.counters.misses.add();
        self.note_overtaken::<T>(space, address.tag.0, &address.key);
        // Noted before a flight is joined: what it brings may be older than this call.
        let Some(start) = self.published().await?.map(|published| published.seq) else {
            return self.bypass(space, &id, decode).await;
        };
        for _ in 0..WAITS_MAX {
            match self.flights.board(address.tag.0) {
                Seat::Leader(leader) => {
                    // A flight may have landed between the look and the boarding. Who boarded
                    // behind this one in the meantime is sent to look as well.
                    if let Some(found) = self.look(space, &address) {
                        return Ok((found, Served::Miss));
                    }
                    return self.lead(leader, space, &id, &address, decode).await;
                }
                Seat::Follower(flight) => {
                    let landed = flight.landing().await.transpose()?;
                    if let Some(found) = self.look(space, &address) {
                        return Ok((found, Served::Miss));
                    }
                    let landed =
                        landed.and_then(|landed| self.landed(landed, space, &address, start));
                    if let Some(loaded) = landed {
                        return self.keep(&loaded, decode);
                    }
                }
            }
        }
        let loaded = self.fetch(space, &id, &address).await?;
        self.keep(&loaded, decode)
    }

    /// Loads for itself and all followers.
    async fn lead<T: Send + Sync + 'static>(
        &self,
        leader: Leader<'_>,
        space: &Arc<Space>,
        id: &IdRef<'_>,
        address: &Address,
        decode: Decode<T>,
    ) -> Result<(Option<Doc<T>>, Served)> {
        match self.fetch(space, id, address).await {
            Ok(loaded) => {
                // Kept before it lands: followers of the same type find it decoded.
                let kept = self.keep(&loaded, decode);
                leader.land(Ok(loaded));
                kept
            }
            Err(error) => {
                leader.land(Err(&error));
                Err(error)
            }
        }
    }

    /// What a flight brought, if it is this document and no older than this call.
    fn landed(
        &self,
        landed: Arc<dyn Cached>,
        space: &Arc<Space>,
        address: &Address,
        start: Seq,
    ) -> Option<Arc<Node<Loaded>>> {
        let loaded = store::node::<Loaded>(landed).ok()?;
        let head = &loaded.head;
        let same = Arc::ptr_eq(&head.space, space) && head.id == address.key;
        let clocks = self.clocks.as_ref()?;
        let current = clocks.current(head.tag, space.collection, head.stamp);
        let answers =
            answers(head.stamp, start, current) || !Defence::FollowerLooksAtStamp.stands();
        (same && answers).then_some(loaded)
    }

    /// Reads from the engine: the snapshot first, and the value stamped with it.
    async fn fetch(
        &self,
        space: &Arc<Space>,
        id: &IdRef<'_>,
        address: &Address,
    ) -> Result<Arc<Node<Loaded>>> {
        let published = self
            .published()
            .await?
            .ok_or_else(|| Error::unsupported("snapshots of this engine lost their numbers"))?;
        self.counters.loads.add();
        pause();
        let ids = [id.to_bson()];
        let found = published.snapshot.get_many(&space.name, &ids).await?;
        let stored = found.into_iter().next().flatten();
        pause();
        let stamp = self.stamp(&published).await?;
        let revision = stored
            .as_ref()
            .map_or(Revision(0), |stored| stored.revision);
        Ok(Arc::new(Node {
            head: Head {
                space: space.clone(),
                tag: address.tag,
                stamp,
                revision,
                expires_ms: 0,
                weight: 0,
                id: address.key.clone(),
            },
            value: Loaded {
                stored,
                declaration: published.declaration(space),
            },
        }))
    }

    /// Decodes what was loaded and keeps it, as the collection's policy says.
    fn keep<T: Send + Sync + 'static>(
        &self,
        loaded: &Node<Loaded>,
        decode: Decode<T>,
    ) -> Result<(Option<Doc<T>>, Served)> {
        let declaration = &loaded.value.declaration;
        let cached = declaration.policy.cache != CacheMode::Off;
        let expires_ms = self.expiry(declaration.policy.ttl_ms, &loaded.head);
        let served = if cached { Served::Miss } else { Served::Bypass };
        let Some(stored) = &loaded.value.stored else {
            if cached {
                self.keep_absent::<T>(&loaded.head, expires_ms);
            }
            return Ok((None, served));
        };
        let doc = decoded(&loaded.head, &stored.body, expires_ms, decode)?;
        if cached {
            self.store.insert::<T>(loaded.head.tag.0, doc.0.clone());
        }
        Ok((Some(doc), served))
    }

    /// Keeps that a document is absent, in the representation `T`.
    pub(super) fn keep_absent<T: 'static>(&self, head: &Head, expires_ms: u64) {
        let absent = Node {
            head: Head {
                expires_ms,
                revision: Revision(0),
                weight: Node::<Absent>::weight(&head.id, 0),
                ..head.clone()
            },
            value: Absent,
        };
        self.store.insert::<T>(head.tag.0, Arc::new(absent));
    }

    /// The document decoded from the cached body, when there is a current one, inheriting its stamp.
    pub(super) fn decode_raw<T: Send + Sync + 'static>(
        &self,
        space: &Arc<Space>,
        address: &Address,
        published: Seq,
        decode: Decode<T>,
    ) -> Result<Option<Option<Doc<T>>>> {
        if TypeId::of::<T>() == TypeId::of::<Body>() {
            return Ok(None);
        }
        match self.look_as_of::<Body>(space, address, published) {
            None => Ok(None),
            Some(None) => Ok(Some(None)),
            Some(Some(raw)) => {
                let head = &raw.0.head;
                let doc = decoded(head, &raw, head.expires_ms, decode)?;
                self.store.insert::<T>(address.tag.0, doc.0.clone());
                Ok(Some(Some(doc)))
            }
        }
    }

    /// When an entry that may live for `ttl_ms` leaves; zero for never. Up to a tenth earlier, so
    /// that what was loaded together does not leave together.
    pub(super) fn expiry(&self, ttl_ms: Option<u64>, head: &Head) -> u64 {
        let Some(ttl_ms) = ttl_ms else { return 0 };
        let spread = (head.tag.0 ^ head.stamp).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        let jitter = (ttl_ms / 10).saturating_mul(spread) >> 32;
        self.timer.now_ms().saturating_add(ttl_ms - jitter)
    }

    async fn bypass<T>(
        &self,
        space: &Space,
        id: &IdRef<'_>,
        decode: Decode<T>,
    ) -> Result<(Option<Doc<T>>, Served)> {
        self.counters.loads.add();
        let ids = [id.to_bson()];
        let found = self.engine.get_many(&space.name, &ids).await?;
        let doc = match found.into_iter().next().flatten() {
            Some(stored) => Some(Doc::new(decode(&stored.body)?, stored.revision)),
            None => None,
        };
        Ok((doc, Served::Bypass))
    }
}

/// A document decoded from its body, stamped as the body was.
pub(super) fn decoded<T: Send + Sync + 'static>(
    head: &Head,
    body: &Body,
    expires_ms: u64,
    decode: Decode<T>,
) -> Result<Doc<T>> {
    // What the value holds outside itself is not known: its encoded size stands for it, and half
    // as much again for what lists of small things add.
    let heap_bytes = body.bytes().len() * 3 / 2;
    Ok(Doc(Arc::new(Node {
        head: Head {
            expires_ms,
            weight: Node::<T>::weight(&head.id, heap_bytes),
            ..head.clone()
        },
        value: decode(body)?,
    })))
}

//! What is derived from a query: lists, counts, distinct values. Valid by the clock of what the
//! query depends on: one document, one value of a declared scope, or the whole collection.

use std::any::Any;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use futures_util::StreamExt;

use super::flight::{Seat, answers};
use super::hash::query_hash;
use super::key::IdKey;
use super::node::{Doc, Head, Node};
use super::space::Space;
use super::{Cache, Decode, Published, Served, store};
use crate::defences::{Defence, pause};
use crate::document::{CacheMode, Declaration, Revision};
use crate::engine::{Query, Read, Reply, Seq, Tag};
use crate::pack::keys::pinned_scope;
use crate::query::Expr;
use crate::{Error, Result};

/// Bytes assumed of a query kept beside its result.
const QUERY_BYTES: usize = 512;
/// See `get`: a second flight always answers.
const WAITS_MAX: usize = 2;

/// A result with the query it answers.
pub struct Listed<V> {
    query: Query,
    also: Box<str>,
    version: Option<Seq>,
    value: V,
}

/// A shared, immutable result. One pointer; derefs to the value.
pub struct Derived<V>(Arc<Node<Listed<V>>>);

/// The documents of a list, in order.
pub type Docs<T> = Derived<Box<[Doc<T>]>>;

/// A result and the bytes it holds outside itself.
pub type Weighed<V> = (V, usize);

impl<V> Derived<V> {
    /// Names the state of what the result depends on: the same number, the same result. None when
    /// the engine has no commit numbers.
    pub fn version(&self) -> Option<Seq> {
        self.0.value.version
    }
}

impl<V> Clone for Derived<V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<V> Deref for Derived<V> {
    type Target = V;

    fn deref(&self) -> &V {
        &self.0.value.value
    }
}

impl<V: fmt::Debug> fmt::Debug for Derived<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.deref().fmt(f)
    }
}

impl Cache {
    /// The documents that match, in order.
    ///
    /// It equals running the query at some instant inside the call.
    ///
    /// # Errors
    /// Those of the engine, and of `decode`; neither is cached.
    ///
    /// # Cost
    /// A hit: hashing the query, one look-up, comparing the queries. A miss: one engine query for
    /// all callers that miss it together. The whole result is held in memory.
    pub async fn list<T: Send + Sync + 'static>(
        &self,
        space: &Arc<Space>,
        query: Query,
        decode: Decode<T>,
    ) -> Result<(Docs<T>, Served)> {
        self.derived(space, query, "", move |read, query| {
            Box::pin(async move {
                let mut rows = read.query(query).await?;
                let mut docs = Vec::new();
                let mut bytes = 0;
                while let Some(stored) = rows.next().await.transpose()? {
                    bytes += Node::<T>::weight(&IdKey::NONE, stored.body.bytes().len() * 3 / 2);
                    docs.push(Doc::new(decode(&stored.body)?, stored.revision));
                }
                Ok((docs.into_boxed_slice(), bytes as usize))
            })
        })
        .await
    }

    /// How many documents match. As [`Cache::list`].
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn count(&self, space: &Arc<Space>, query: Query) -> Result<(Derived<u64>, Served)> {
        self.derived(space, query, "count", |read, query| {
            Box::pin(async move { Ok((read.count(query).await?, 0)) })
        })
        .await
    }

    /// What `load` makes of a query, cached under the query and `also`, which names what is made.
    ///
    /// # Errors
    /// Those of `load`; not cached.
    pub async fn derived<V, F>(
        &self,
        space: &Arc<Space>,
        query: Query,
        also: &str,
        load: F,
    ) -> Result<(Derived<V>, Served)>
    where
        V: Send + Sync + 'static,
        F: for<'r> Fn(&'r dyn Read, Query) -> Reply<'r, Weighed<V>> + Send + Sync,
    {
        let hash = query_hash(space.collection.0, &query, also);
        if let Some(found) = self.look_derived(space, hash, &query, also) {
            self.counters.hits.add();
            return Ok((found, Served::Hit));
        }
        Box::pin(self.load_derived(space, hash, query, also, load)).await
    }

    #[inline]
    fn look_derived<V: Send + Sync + 'static>(
        &self,
        space: &Arc<Space>,
        hash: u64,
        query: &Query,
        also: &str,
    ) -> Option<Derived<V>> {
        let found = answer::<V>(self.store.get::<Listed<V>>(hash)?, space, query, also)?;
        self.current(&found.0.head).then_some(found)
    }

    async fn load_derived<V, F>(
        &self,
        space: &Arc<Space>,
        hash: u64,
        query: Query,
        also: &str,
        load: F,
    ) -> Result<(Derived<V>, Served)>
    where
        V: Send + Sync + 'static,
        F: for<'r> Fn(&'r dyn Read, Query) -> Reply<'r, Weighed<V>> + Send + Sync,
    {
        self.counters.misses.add();
        self.note_overtaken::<Listed<V>>(space, hash, &IdKey::NONE);
        let Some(start) = self.published().await?.map(|published| published.seq) else {
            self.counters.loads.add();
            let engine: &dyn Read = &*self.engine;
            let (value, _) = load(engine, query.clone()).await?;
            let alone = Head::nowhere();
            return Ok((listed(alone, query, also, None, value), Served::Bypass));
        };
        for _ in 0..WAITS_MAX {
            match self.flights.board(hash) {
                Seat::Leader(leader) => {
                    // A flight may have landed between the look and the boarding.
                    if let Some(found) = self.look_derived(space, hash, &query, also) {
                        return Ok((found, Served::Miss));
                    }
                    let loaded = self.fetch_derived(space, hash, &query, also, &load).await;
                    match &loaded {
                        Ok((found, _)) => leader.land(Ok(found.0.clone())),
                        Err(error) => leader.land(Err(error)),
                    }
                    return loaded;
                }
                Seat::Follower(flight) => {
                    let landed = flight.landing().await.transpose()?;
                    let landed = landed
                        .and_then(|landed| answer::<V>(landed, space, &query, also))
                        .filter(|found| self.answers(&found.0.head, start))
                        .or_else(|| self.look_derived(space, hash, &query, also));
                    if let Some(found) = landed {
                        return Ok((found, Served::Miss));
                    }
                }
            }
        }
        self.fetch_derived(space, hash, &query, also, &load).await
    }

    fn answers(&self, head: &Head, start: Seq) -> bool {
        self.clocks.as_ref().is_some_and(|clocks| {
            let current = clocks.current(head.tag, head.space.collection, head.stamp);
            answers(head.stamp, start, current) || !Defence::FollowerLooksAtStamp.stands()
        })
    }

    /// Runs the query on a snapshot and keeps the result, stamped with the snapshot's number.
    async fn fetch_derived<V, F>(
        &self,
        space: &Arc<Space>,
        hash: u64,
        query: &Query,
        also: &str,
        load: &F,
    ) -> Result<(Derived<V>, Served)>
    where
        V: Send + Sync + 'static,
        F: for<'r> Fn(&'r dyn Read, Query) -> Reply<'r, Weighed<V>> + Send + Sync,
    {
        let published = self
            .published()
            .await?
            .ok_or_else(|| Error::unsupported("snapshots of this engine lost their numbers"))?;
        let declaration = published.declaration(space);
        self.counters.loads.add();
        let snapshot: &dyn Read = &*published.snapshot;
        pause();
        let (value, bytes) = load(snapshot, query.clone()).await?;
        pause();
        let mut head = Head {
            space: space.clone(),
            tag: depends_on(space, &query.filter, &declaration),
            stamp: self.stamp(&published).await?,
            revision: Revision(0),
            expires_ms: 0,
            weight: Node::<Listed<V>>::weight(&IdKey::NONE, bytes + QUERY_BYTES),
            id: IdKey::NONE,
        };
        head.expires_ms = self.expiry(declaration.policy.ttl_ms, &head);
        let version = self.version(&head, &published);
        let found = listed(head, query.clone(), also, Some(version), value);
        if declaration.policy.cache == CacheMode::Off || !repeatable(query) {
            return Ok((found, Served::Bypass));
        }
        self.store.insert::<Listed<V>>(hash, found.0.clone());
        Ok((found, Served::Miss))
    }

    /// The commit that last moved what the result depends on. When it moved since the snapshot,
    /// the snapshot's own number names the same state.
    fn version(&self, head: &Head, published: &Published) -> Seq {
        self.clocks.as_ref().map_or(published.seq, |clocks| {
            let moved = clocks
                .read(head.tag)
                .max(clocks.read_whole(head.space.collection));
            moved.min(published.seq)
        })
    }
}

fn listed<V>(head: Head, query: Query, also: &str, version: Option<Seq>, value: V) -> Derived<V> {
    Derived(Arc::new(Node {
        head,
        value: Listed {
            query,
            also: also.into(),
            version,
            value,
        },
    }))
}

/// The result, if it is one of this very query.
fn answer<V: Send + Sync + 'static>(
    cached: Arc<dyn Any + Send + Sync>,
    space: &Arc<Space>,
    query: &Query,
    also: &str,
) -> Option<Derived<V>> {
    let node = store::node::<Listed<V>>(cached).ok()?;
    let (asked, kept) = (query, &node.value.query);
    let same = Arc::ptr_eq(&node.head.space, space)
        && *node.value.also == *also
        && asked.skip == kept.skip
        && asked.limit == kept.limit
        && asked.filter == kept.filter
        && asked.sort == kept.sort
        && asked.after == kept.after
        && asked.projection == kept.projection;
    same.then_some(Derived(node))
}

/// The one clock that moves whenever a result of this filter may change.
fn depends_on(space: &Space, filter: &Expr, declaration: &Declaration) -> Tag {
    if let Some(id_key) = pinned_scope(filter, &["_id".to_owned()]) {
        return space.tags.document(&id_key);
    }
    let pinned = declaration.scopes.iter().find_map(|paths| {
        let values = pinned_scope(filter, paths)?;
        Some(space.tags.scope(paths, &values))
    });
    pinned.unwrap_or(space.collection)
}

/// Whether the same documents give the same result again: not if the query asks the time or
/// for chance, which no clock of ours moves with.
fn repeatable(query: &Query) -> bool {
    let steady = |text: &str| {
        ["$$NOW", "$$CLUSTER_TIME", "$rand", "$sampleRate"]
            .iter()
            .all(|asks| !text.contains(asks))
    };
    let projected = query.projection.as_ref();
    evaluates(&query.filter).is_none_or(|text| steady(&text))
        && projected.is_none_or(|projection| steady(&format!("{projection:?}")))
}

/// The readable form of a filter that evaluates expressions.
fn evaluates(filter: &Expr) -> Option<String> {
    match filter {
        Expr::And(parts) | Expr::Or(parts) | Expr::Nor(parts) => parts
            .iter()
            .find_map(evaluates)
            .map(|_| format!("{filter:?}")),
        Expr::Aggregation(_) => Some(format!("{filter:?}")),
        _ => None,
    }
}

//! Several documents as of one instant.

use std::sync::Arc;

use super::get::decoded;
use super::key::{Address, IdRef};
use super::node::{Doc, Head};
use super::space::Space;
use super::{Cache, Decode, Published, Served};
use crate::Result;
use crate::defences::{Defence, pause};
use crate::document::{CacheMode, Revision};
use crate::engine::{Seq, Stored};

/// Whether an entry is what the snapshot of `published` holds: it existed by then (one that is
/// absent: was seen absent by then), and its clock, loaded after the snapshot was taken, has not
/// moved.
pub fn counts(revision: Option<Revision>, stamp: Seq, published: Seq, current: bool) -> bool {
    current && revision.map_or(stamp, |revision| revision.0) <= published
}

impl Cache {
    /// Reads several documents as of one instant, in the order of `ids`.
    ///
    /// # Errors
    /// Those of the engine, and of `decode`.
    ///
    /// # Cost
    /// A hash and a look-up each; what is not cached is read together.
    pub async fn get_many<T: Send + Sync + 'static>(
        &self,
        space: &Arc<Space>,
        ids: &[IdRef<'_>],
        decode: Decode<T>,
    ) -> Result<(Vec<Option<Doc<T>>>, Served)> {
        // The snapshot first: what is taken from the cache must fit it, not the other way round.
        let Some(published) = self.published().await? else {
            return self.bypass_many(space, ids, decode).await;
        };
        pause();
        let as_of = match Defence::ManyFitOneSnapshot.stands() {
            true => published.seq,
            false => Seq::MAX,
        };
        let mut docs = Vec::with_capacity(ids.len());
        let mut missing = Vec::new();
        for (at, id) in ids.iter().enumerate() {
            let address = Address::of(space, id);
            let found = match self.look_as_of(space, &address, as_of) {
                Some(found) => Some(found),
                None => self.decode_raw(space, &address, as_of, decode)?,
            };
            if found.is_none() {
                missing.push((at, address));
            }
            docs.push(found.flatten());
        }
        for _ in missing.len()..ids.len() {
            self.counters.hits.add();
        }
        if missing.is_empty() {
            return Ok((docs, Served::Hit));
        }
        let served = self
            .fill(space, ids, missing, &published, decode, &mut docs)
            .await?;
        Ok((docs, served))
    }

    /// Reads the rest from the snapshot and keeps it.
    async fn fill<T: Send + Sync + 'static>(
        &self,
        space: &Arc<Space>,
        ids: &[IdRef<'_>],
        missing: Vec<(usize, Address)>,
        published: &Published,
        decode: Decode<T>,
        docs: &mut [Option<Doc<T>>],
    ) -> Result<Served> {
        let wanted: Vec<_> = missing.iter().map(|(at, _)| ids[*at].to_bson()).collect();
        self.counters.loads.add();
        let found = published.snapshot.get_many(&space.name, &wanted).await?;
        let policy = &published.declaration(space).policy;
        let cached = policy.cache != CacheMode::Off;
        for ((at, address), stored) in missing.into_iter().zip(found) {
            self.counters.misses.add();
            self.note_overtaken::<T>(space, address.tag.0, &address.key);
            let head = head_of(space, address, published.seq, stored.as_ref());
            let expires_ms = self.expiry(policy.ttl_ms, &head);
            match stored {
                Some(stored) => {
                    let doc = decoded(&head, &stored.body, expires_ms, decode)?;
                    if cached {
                        self.store.insert::<T>(head.tag.0, doc.0.clone());
                    }
                    docs[at] = Some(doc);
                }
                None if cached => self.keep_absent::<T>(&head, expires_ms),
                None => {}
            }
        }
        Ok(if cached { Served::Miss } else { Served::Bypass })
    }

    async fn bypass_many<T: Send + Sync + 'static>(
        &self,
        space: &Space,
        ids: &[IdRef<'_>],
        decode: Decode<T>,
    ) -> Result<(Vec<Option<Doc<T>>>, Served)> {
        self.counters.loads.add();
        let ids: Vec<_> = ids.iter().map(|id| id.to_bson()).collect();
        let found = self.engine.get_many(&space.name, &ids).await?;
        let docs = found
            .into_iter()
            .map(|stored| {
                stored
                    .map(|stored| Ok(Doc::new(decode(&stored.body)?, stored.revision)))
                    .transpose()
            })
            .collect::<Result<_>>()?;
        Ok((docs, Served::Bypass))
    }
}

/// What is known of a document read at `stamp`.
pub(super) fn head_of(
    space: &Arc<Space>,
    address: Address,
    stamp: Seq,
    stored: Option<&Stored>,
) -> Head {
    Head {
        space: space.clone(),
        tag: address.tag,
        stamp,
        revision: stored.map_or(Revision(0), |stored| stored.revision),
        expires_ms: 0,
        weight: 0,
        id: address.key,
    }
}

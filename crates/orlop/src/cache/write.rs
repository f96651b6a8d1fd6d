//! What a write does to the cache: nothing but move clocks, and put in what it wrote if asked to.

use std::sync::Arc;

use bson::Bson;

use super::get::decoded;
use super::key::Address;
use super::many::head_of;
use super::space::Space;
use super::{Cache, Decode};
use crate::Result;
use crate::defences::{Defence, pause};
use crate::document::{CacheMode, Declaration, Revision};
use crate::engine::{Action, Applied, Batch, Commit, Effect, Seq};
use crate::pack::Body;

/// The changes of a batch whose documents enter the cache when it is committed.
#[derive(Debug)]
pub struct WriteThrough(Vec<Option<Kept>>);

#[derive(Debug)]
struct Kept {
    space: Arc<Space>,
    declaration: Arc<Declaration>,
    id: Bson,
}

impl Cache {
    /// Notes what of the batch is to enter the cache; none when nothing is, which costs a snapshot.
    ///
    /// # Errors
    /// Those of taking a snapshot.
    pub async fn before_commit(&self, batch: &Batch) -> Result<Option<WriteThrough>> {
        let whole = |action: &Action| matches!(action, Action::Truncate | Action::Drop);
        // What such a batch put before it emptied the collection is gone: leave it to the reader.
        if batch.changes.iter().any(|change| whole(&change.action)) {
            return Ok(None);
        }
        let Some(published) = self.published().await? else {
            return Ok(None);
        };
        let through = |collection: &str| {
            let declaration = published.snapshot.declaration(collection);
            let through = declaration.policy.cache == CacheMode::WriteThrough;
            through.then(|| (self.space(collection), declaration))
        };
        let mut last = None;
        let mut kept = Vec::with_capacity(batch.changes.len());
        for change in &batch.changes {
            let known = last
                .as_ref()
                .is_some_and(|(name, _)| *name == &change.collection);
            if !known {
                last = Some((&change.collection, through(&change.collection)));
            }
            let wanted = last.as_ref().and_then(|(_, wanted)| wanted.as_ref());
            kept.push(wanted.map(|(space, declaration)| Kept {
                space: space.clone(),
                declaration: declaration.clone(),
                id: change.id.clone(),
            }));
        }
        let any = kept.iter().any(Option::is_some);
        Ok(any.then_some(WriteThrough(kept)))
    }

    /// Puts what a commit stored into the cache, stamped with the commit's number.
    ///
    /// It comes behind the commit's visibility, and its clocks stand at its number at least: an
    /// entry that another commit has overtaken is not current from the start.
    pub fn after_commit(&self, noted: WriteThrough, commit: &Commit) {
        for (kept, applied) in noted.0.into_iter().zip(&commit.applied) {
            if let Some(kept) = kept {
                self.keep_written(&kept, applied, commit.seq);
            }
        }
    }

    fn keep_written(&self, kept: &Kept, applied: &Applied, seq: Seq) {
        let address = Address::of(&kept.space, &(&kept.id).into());
        pause();
        let stamp = match &self.clocks {
            Some(clocks) if !Defence::WrittenThroughWithItsNumber.stands() => {
                clocks.read(address.tag)
            }
            _ => seq,
        };
        let mut head = head_of(&kept.space, address, stamp, None);
        head.revision = applied.revision.unwrap_or(Revision(0));
        let expires_ms = self.expiry(kept.declaration.policy.ttl_ms, &head);
        match (&applied.document, applied.effect) {
            (Some(body), _) => {
                let own: Decode<Body> = Cache::own_body;
                if let Ok(doc) = decoded(&head, body, expires_ms, own) {
                    self.store.insert::<Body>(head.tag.0, doc.0);
                }
            }
            (None, Effect::Deleted | Effect::Missing) => {
                self.keep_absent::<Body>(&head, expires_ms);
            }
            (None, _) => {}
        }
    }

    /// A body that holds its bytes alone. What an engine returns may be a small part of a large
    /// block, which the cache would hold without counting it.
    ///
    /// # Errors
    /// None but those of a body that is not one.
    pub fn own_body(body: &Body) -> Result<Body> {
        Body::from_stored(bytes::Bytes::copy_from_slice(body.bytes()))
    }
}

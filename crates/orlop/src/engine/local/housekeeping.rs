//! Upkeep: index builds, erasing what is gone, expiry, retention of the log.
//!
//! One thread of low urgency. Whatever it changes goes through the committer: expired documents
//! are deleted by ordinary batches, the rest touches no document.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use bson::Bson;
use bytes::Bytes;
use tokio::sync::oneshot;

use super::catalog::{Collection, Index, Progress};
use super::committer::{Published, Request, Shared};
use super::group::Group;
use super::prepare::prepare;
use crate::engine::kv::KeyRange;
use crate::engine::{Action, Batch, Change, Durability, Guard, IndexState, Query, records};
use crate::query::{Expr, Pred, Sort};
use crate::{Error, Result};

/// Documents indexed, or keys erased, in one step: a step holds the committer for a few ms.
const STEP: usize = 512;
/// How often old history is looked for while the log is within its bytes.
const RETAIN_INTERVAL: Duration = Duration::from_secs(60 * 60);
/// Expired documents deleted in one batch.
const EXPIRE_BATCH: u64 = 500;

/// One step of upkeep, run by the committer inside a group. Says whether more is left.
pub(crate) enum Chore {
    /// Index the next documents for a building index.
    Build {
        collection: Arc<str>,
        index: records::IndexNumber,
    },
    /// Remove the next keys of a range nobody reaches.
    Erase([u8; 5]),
}

impl Chore {
    pub(super) fn run(&self, group: &mut Group) -> Result<bool> {
        match self {
            Self::Build { collection, index } => build_step(group, collection, *index),
            Self::Erase(prefix) => erase_step(group, *prefix),
        }
    }
}

/// Does what there is to do, then sleeps for `interval` or until it is told of more.
pub(super) fn run(shared: &Shared, interval: Duration, nudges: &Receiver<()>) {
    let mut retained = Instant::now();
    loop {
        if let Err(error) = round(shared, &mut retained) {
            tracing::warn!(%error, "upkeep is put off");
        }
        match nudges.recv_timeout(interval) {
            Ok(()) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn round(shared: &Shared, retained: &mut Instant) -> Result<()> {
    while let Some(chore) = next_chore(&shared.published.load()) {
        if shared.push_chore(chore)?.is_none() {
            return Ok(());
        }
    }
    expire(shared)?;
    if shared.log.bytes() > shared.feed_bytes || retained.elapsed() > RETAIN_INTERVAL {
        *retained = Instant::now();
        retain(shared)?;
    }
    Ok(())
}

/// Drops old history, once what it says is durable in the key-value store.
fn retain(shared: &Shared) -> Result<()> {
    let floor = shared.published.load().seq;
    shared.with_kv(|kv| kv.flush())?;
    let now_ms = bson::DateTime::now().timestamp_millis();
    shared.log.retain(floor, now_ms).map(|_| ())
}

fn next_chore(published: &Published) -> Option<Chore> {
    for collection in published.catalog.all() {
        for index in &collection.indexes {
            if matches!(index.progress.state, IndexState::Building { .. }) {
                return Some(Chore::Build {
                    collection: Arc::clone(&collection.name),
                    index: index.number,
                });
            }
        }
    }
    published.catalog.to_erase().map(Chore::Erase)
}

impl Shared {
    /// Has the committer do one step; none when the store closed meanwhile.
    fn push_chore(&self, chore: Chore) -> Result<Option<bool>> {
        let (answer, answered) = oneshot::channel();
        if self.push(Request::Chore(chore, answer)).is_err() {
            return Ok(None);
        }
        answered.blocking_recv().ok().transpose()
    }
}

/// Indexes the next documents. Runs in the committer, so what it sees is the latest.
fn build_step(group: &mut Group, name: &str, number: records::IndexNumber) -> Result<bool> {
    let Some((collection, index)) = find(group, name, number) else {
        return Ok(false);
    };
    let IndexState::Building { done, total } = index.progress.state else {
        return Ok(false);
    };
    let mut range = records::documents(collection.number);
    if !index.progress.cursor.is_empty() {
        // Behind the last one: its key and the lowest byte.
        range.low = records::document_key(collection.number, &index.progress.cursor).to_vec();
        range.low.push(0);
    }
    let mut progress = index.progress.clone();
    let mut seen = 0;
    for (key, body) in group.documents(&range, STEP)? {
        let id_key = key.slice(records::document_prefix(collection.number).len()..);
        match group.index_existing(&collection, &index, &id_key, &body) {
            Ok(multikey) => progress.multikey |= multikey,
            Err(error) => {
                fail(group, name, &index, &error);
                return Ok(false);
            }
        }
        progress.cursor = id_key.to_vec();
        seen += 1;
    }
    progress.multikey |= find(group, name, number).is_some_and(|(_, now)| now.progress.multikey);
    progress.state = match seen < STEP {
        true => IndexState::Ready,
        false => IndexState::Building {
            done: done + seen as u64,
            total: total.max(done + seen as u64),
        },
    };
    if progress.state == IndexState::Ready {
        progress.cursor.clear();
    }
    let more = progress.state != IndexState::Ready;
    Arc::make_mut(&mut group.catalog).set_progress(name, number, progress);
    Ok(more)
}

fn fail(group: &mut Group, name: &str, index: &Index, error: &Error) {
    tracing::warn!(collection = name, index = index.spec.name, %error, "the index cannot be built");
    let progress = Progress {
        state: IndexState::Failed(error.message().to_owned()),
        ..index.progress.clone()
    };
    Arc::make_mut(&mut group.catalog).set_progress(name, index.number, progress);
}

fn find(
    group: &Group,
    name: &str,
    number: records::IndexNumber,
) -> Option<(Arc<Collection>, Index)> {
    let collection = group.catalog.get(name)?;
    let index = collection
        .indexes
        .iter()
        .find(|index| index.number == number)?;
    Some((Arc::clone(collection), index.clone()))
}

fn erase_step(group: &mut Group, prefix: [u8; 5]) -> Result<bool> {
    let keys = group.keys(&KeyRange::prefix(&prefix), STEP * 4)?;
    let more = keys.len() == STEP * 4;
    for key in keys {
        group.set(key, None);
    }
    if !more {
        Arc::make_mut(&mut group.catalog).erased(prefix);
    }
    Ok(more)
}

/// Deletes what its TTL index says has expired, by ordinary guarded batches.
fn expire(shared: &Shared) -> Result<()> {
    let now_ms = bson::DateTime::now().timestamp_millis();
    let published = shared.published.load_full();
    for collection in published.catalog.all() {
        for index in &collection.indexes {
            let Some(seconds) = index.spec.expire_after_seconds else {
                continue;
            };
            let Some((path, _)) = index.spec.keys.first() else {
                continue;
            };
            let before_ms = now_ms.saturating_sub_unsigned(seconds.saturating_mul(1_000));
            let cutoff = Bson::DateTime(bson::DateTime::from_millis(before_ms));
            let expired = Expr::Field(path.clone().into(), Pred::Lte(cutoff));
            while expire_some(shared, &collection.name, &expired)? == EXPIRE_BATCH {}
        }
    }
    Ok(())
}

fn expire_some(shared: &Shared, name: &Arc<str>, expired: &Expr) -> Result<u64> {
    let published = shared.published.load_full();
    let query = Query {
        collection: Arc::clone(name),
        filter: expired.clone(),
        sort: Sort::default(),
        projection: None,
        skip: 0,
        limit: Some(EXPIRE_BATCH),
        after: None,
    };
    let mut changes = Vec::new();
    for row in super::reads::run(&published, &query)? {
        changes.push(Change {
            collection: Arc::clone(name),
            id: row?.body.id()?,
            // Whoever moved the date meanwhile keeps the document.
            guard: Guard::Matches(expired.clone()),
            action: Action::Delete,
        });
    }
    let found = changes.len() as u64;
    let mut answers = Vec::with_capacity(changes.len());
    for change in changes {
        // One batch each: a document that was kept refuses nobody else.
        let batch = Batch {
            changes: vec![change],
            durability: Durability::Os,
            origin: Some("expiry".into()),
            ..Batch::default()
        };
        let (answer, answered) = oneshot::channel();
        shared.push(Request::Batch(prepare(batch)?, answer))?;
        answers.push(answered);
    }
    for answered in answers {
        if answered.blocking_recv().is_err() {
            return Ok(0);
        }
    }
    Ok(found)
}

impl Group {
    /// The first documents of a range, as this group leaves them so far.
    fn documents(&self, range: &KeyRange, most: usize) -> Result<Vec<(Bytes, crate::pack::Body)>> {
        let mut found = Vec::new();
        for key in self.keys(range, most)? {
            if let Some(record) = self.value(&key)? {
                found.push((key.clone(), records::decode_record(&key, &record)?));
            }
        }
        Ok(found)
    }
}

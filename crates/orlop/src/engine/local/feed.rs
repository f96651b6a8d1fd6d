//! The change feed: the log, read behind a position and then as it grows.

use std::sync::Arc;

use futures_util::stream;
use tokio::sync::watch;

use super::committer::Shared;
use super::group::DOCUMENT;
use crate::engine::log::{Reader, Record, RecordChange};
use crate::engine::{Committed, CommittedChange, Effect, Feed, Resume, Seq};
use crate::pack::Body;
use crate::{Error, Result};

/// Opens the feed behind `after`, or from now on.
///
/// # Errors
/// `NotFound` when `after` is of another life of the store or older than the history kept;
/// `Invalid` when it is no position at all.
pub(super) fn open(shared: &Arc<Shared>, incarnation: u128, after: Option<Resume>) -> Result<Feed> {
    let news = shared.news.subscribe();
    let after = match after {
        Some(resume) => position(&resume, incarnation)?,
        None => shared.now()?.seq,
    };
    let state = State {
        reader: shared.log.read_from(after)?,
        news,
        incarnation,
    };
    Ok(Box::pin(stream::try_unfold(state, next)))
}

/// The position behind the last visible commit.
///
/// # Errors
/// `Closed` when the store is.
pub(super) fn now(shared: &Shared, incarnation: u128) -> Result<Resume> {
    Ok(resume(incarnation, shared.now()?.seq))
}

struct State {
    reader: Reader,
    news: watch::Receiver<Option<Seq>>,
    incarnation: u128,
}

async fn next(mut state: State) -> Result<Option<(Committed, State)>> {
    loop {
        let Some(published) = *state.news.borrow_and_update() else {
            // The store closed: the feed ends where it is.
            return Ok(None);
        };
        match state.reader.next(published)? {
            Some(record) if record.changes.is_empty() => {}
            Some(record) => {
                return Ok(Some((committed(&record, state.incarnation)?, state)));
            }
            None if state.news.changed().await.is_err() => return Ok(None),
            None => {}
        }
    }
}

/// The position behind a commit.
fn resume(incarnation: u128, seq: Seq) -> Resume {
    let mut bytes = incarnation.to_be_bytes().to_vec();
    bytes.extend_from_slice(&seq.to_be_bytes());
    Resume(bytes)
}

fn position(resume: &Resume, incarnation: u128) -> Result<Seq> {
    let halves: Option<([u8; 16], [u8; 8])> = resume
        .0
        .split_at_checked(16)
        .and_then(|(life, seq)| Some((life.try_into().ok()?, seq.try_into().ok()?)));
    let Some((life, seq)) = halves else {
        return Err(Error::invalid("the position is not one of this feed's"));
    };
    if u128::from_be_bytes(life) != incarnation {
        return Err(Error::not_found(
            "the position is of another life of the store: read everything again, then follow from now",
        ));
    }
    Ok(u64::from_be_bytes(seq))
}

fn committed(record: &Record, incarnation: u128) -> Result<Committed> {
    Ok(Committed {
        resume: resume(incarnation, record.seq),
        seq: record.seq,
        at_ms: record.at_ms,
        origin: record.origin.clone(),
        changes: record
            .changes
            .iter()
            .map(feed_change)
            .collect::<Result<_>>()?,
    })
}

fn feed_change(change: &RecordChange) -> Result<CommittedChange> {
    let before = change.before.clone().map(Body::from_stored).transpose()?;
    let after = change.after.clone().map(Body::from_stored).transpose()?;
    let effect = match (change.kind, &before, &after) {
        (DOCUMENT, None, Some(_)) => Effect::Inserted,
        (DOCUMENT, Some(_), Some(_)) => Effect::Updated,
        (DOCUMENT, _, None) => Effect::Deleted,
        _ => Effect::Collection,
    };
    Ok(CommittedChange {
        collection: Arc::clone(&change.collection),
        id: change.id()?,
        before,
        after,
        effect,
    })
}

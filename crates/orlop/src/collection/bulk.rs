//! Many changes in several batches, one behind the other: while one is committed, the caller's
//! thread makes the next.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use super::Raw;
use crate::Result;
use crate::engine::{Change, Commit};

/// Changes of one atomic batch; more are written in several.
pub(super) const BATCH_CHANGES: usize = 10_000;

type Commits<'a> = Pin<Box<dyn Future<Output = Result<Commit>> + Send + 'a>>;

/// Takes changes, writes them in batches of [`BATCH_CHANGES`]. A batch is handed over only when
/// the one before it has succeeded.
pub(super) struct Bulk<'a> {
    collection: &'a Raw,
    changes: Vec<Change>,
    under_way: Option<Commits<'a>>,
    written: u64,
}

impl<'a> Bulk<'a> {
    pub(super) fn new(collection: &'a Raw) -> Self {
        Self {
            collection,
            changes: Vec::new(),
            under_way: None,
            written: 0,
        }
    }

    pub(super) async fn push(&mut self, change: Change) -> Result<()> {
        self.changes.push(change);
        match self.changes.len() {
            BATCH_CHANGES => self.turn().await,
            _ => Ok(()),
        }
    }

    /// Writes what is left; says how many changes there were.
    pub(super) async fn finish(mut self) -> Result<u64> {
        if !self.changes.is_empty() {
            self.turn().await?;
        }
        self.settle().await?;
        Ok(self.written)
    }

    /// Waits for the batch under way and hands over the next.
    async fn turn(&mut self) -> Result<()> {
        let changes = std::mem::take(&mut self.changes);
        self.settle().await?;
        self.written += changes.len() as u64;
        let mut commit: Commits<'a> = Box::pin(self.collection.commit(changes));
        // The first poll hands it to the engine.
        match poll_fn(|cx| Poll::Ready(commit.as_mut().poll(cx))).await {
            Poll::Ready(done) => done.map(|_| ()),
            Poll::Pending => {
                self.under_way = Some(commit);
                Ok(())
            }
        }
    }

    async fn settle(&mut self) -> Result<()> {
        match self.under_way.take() {
            Some(commit) => commit.await.map(|_| ()),
            None => Ok(()),
        }
    }
}

//! Watching a collection: its part of the change feed, typed.

use std::pin::Pin;
use std::task::{Context, Poll};

use bson::Bson;
use futures_util::{Stream, StreamExt};

use super::Collection;
use super::read::decode_body;
use crate::cache::Doc;
use crate::document::{Document, Key, Revision};
use crate::engine::{Committed, CommittedChange, Effect, Resume};
use crate::pack::Body;
use crate::query::Matcher;
use crate::query::typed::Filter;
use crate::{Error, Result};

/// One change of a watched collection.
#[derive(Debug, Clone)]
pub enum Event<T: Document> {
    /// A document that matches was stored.
    Put {
        /// Resumes behind the batch this was in.
        resume: Resume,
        /// The document.
        document: Doc<T>,
        /// The document before; none when it was added.
        before: Option<Doc<T>>,
    },
    /// A document that matched is gone, or matches no more.
    Gone {
        /// Resumes behind the batch this was in.
        resume: Resume,
        /// Its id.
        id: T::Id,
        /// The document before.
        before: Option<Doc<T>>,
    },
    /// The collection was emptied or dropped.
    Emptied {
        /// Resumes behind the batch this was in.
        resume: Resume,
    },
}

/// The changes of a collection, in order, as they are committed. Ends when the store is closed.
pub struct Watch<T: Document> {
    events: Pin<Box<dyn Stream<Item = Result<Event<T>>> + Send>>,
}

impl<T: Document> Collection<T> {
    /// Changes of documents that match, behind `after`, then as they come; from now on when none.
    ///
    /// A change comes once; after a break, resume with the last event's token. A batch of several
    /// changes resumes as a whole.
    ///
    /// # Errors
    /// `NotFound` when `after` is older than the history kept, or of another life of the store.
    pub async fn watch(
        &self,
        filter: impl Into<Filter<T>>,
        after: Option<Resume>,
    ) -> Result<Watch<T>> {
        self.declare().await?;
        let matcher = Matcher::new(&filter.into().into_expr()?)?;
        let feed = self.db().changes(after).await?;
        let events = feed
            .map(move |committed| match committed {
                Ok(committed) => events(&matcher, committed),
                Err(error) => vec![Err(error)],
            })
            .flat_map(futures_util::stream::iter);
        Ok(Watch {
            events: Box::pin(events),
        })
    }
}

impl<T: Document> Stream for Watch<T> {
    type Item = Result<Event<T>>;
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.events.as_mut().poll_next(cx)
    }
}

impl<T: Document> Watch<T> {
    /// The next change; none when the store is closed.
    pub async fn next(&mut self) -> Option<Result<Event<T>>> {
        self.events.next().await
    }
}

impl<T: Document> std::fmt::Debug for Watch<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Watch").field(&T::COLLECTION).finish()
    }
}

fn events<T: Document>(matcher: &Matcher, committed: Committed) -> Vec<Result<Event<T>>> {
    let resume = committed.resume;
    let mine = committed.changes.into_iter();
    let mine = mine.filter(|change| *change.collection == *T::COLLECTION);
    mine.filter_map(|change| event(matcher, &resume, change).transpose())
        .collect()
}

fn event<T: Document>(
    matcher: &Matcher,
    resume: &Resume,
    change: CommittedChange,
) -> Result<Option<Event<T>>> {
    let resume = resume.clone();
    if change.effect == Effect::Collection {
        return Ok(Some(Event::Emptied { resume }));
    }
    let matching = |body: Option<Body>| match body {
        Some(body) if matcher.matches(body.raw())? => Ok::<_, Error>(Some(body)),
        _ => Ok(None),
    };
    let (before, after) = (matching(change.before)?, matching(change.after)?);
    let was_there = before.is_some();
    let before = before.as_ref().map(doc).transpose()?;
    Ok(match after {
        Some(body) => Some(Event::Put {
            resume,
            document: doc(&body)?,
            before,
        }),
        None if was_there => Some(Event::Gone {
            resume,
            id: id(&change.id)?,
            before,
        }),
        None => None,
    })
}

fn doc<T: Document>(body: &Body) -> Result<Doc<T>> {
    let revision = body.revision().unwrap_or(Revision(0));
    Ok(Doc::new(decode_body(body)?, revision))
}

fn id<K: Key>(id: &Bson) -> Result<K> {
    K::from_bson(id)
}

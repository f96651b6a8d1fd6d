//! The feed of one collection as server-sent events.
//!
//! A client that is slow to read slows down its own feed only: events are made when its socket
//! takes them. One that falls behind the history kept is told so and must read anew.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderName, header};
use axum::response::{IntoResponse, Response};
use bson::Bson;
use futures_util::{StreamExt as _, stream};
use orlop::ErrorKind;
use orlop::engine::{Committed, CommittedChange, Effect, Feed, Resume, Seq};
use orlop::pack::Body as Stored;
use orlop::query::{Expr, Matcher};
use tokio::sync::watch;

use crate::app::App;
use crate::call::{Call, check_collection};
use crate::ejson::{self, Hide, Style};
use crate::problem::Problem;
use crate::tokens::{self, Place};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const PARAMS: &[&str] = &[
    "filter",
    "after",
    "before",
    "includeRevision",
    "includeSensitive",
];
/// Milliseconds a browser waits before it connects again.
const RETRY_MS: u32 = 1_000;

pub(super) async fn get(
    State(app): State<Arc<App>>,
    Path(collection): Path<String>,
    headers: axum::http::HeaderMap,
    call: Call,
) -> Result<Response, Problem> {
    call.only(PARAMS)?;
    check_collection(&collection)?;
    let filter = match call.param("filter") {
        None => Expr::All,
        Some(text) => {
            let filter = ejson::document(text.as_bytes())
                .map_err(|error| Problem::unparsable(format!("filter: {}", error.message())))?;
            Expr::parse(&filter)?
        }
    };
    let token = match headers.get(LAST_EVENT_ID) {
        Some(token) => Some(
            token
                .to_str()
                .map_err(|_| Problem::unparsable("the header last-event-id is not text"))?,
        ),
        None => call.param("after"),
    };
    let place = match token.filter(|token| !token.is_empty()) {
        None => Place {
            resume: app.db.position().await?,
            passed: 0,
        },
        Some(token) => tokens::read_place(app.incarnation(), token)?,
    };
    let feed = app.db.changes(Some(place.resume.clone())).await;
    let feed = feed.map_err(too_old)?;
    // The first block carries a place too: whoever loses the connection before the first event
    // resumes where it began.
    let greeting = format!(
        "retry: {RETRY_MS}\nid: {}\n: connected\n\n",
        tokens::place(app.incarnation(), &place)
    );
    let mut hide = call.hide(&app, &collection, call.flag("includeSensitive")?);
    hide.revision = !call.flag("includeRevision")?;
    let events = Events {
        feed,
        incarnation: app.incarnation(),
        collection,
        matcher: Matcher::new(&filter)?,
        hide,
        style: call.style,
        before: call.flag("before")?,
        behind: place.resume,
        pass: place.passed,
        pending: VecDeque::from([Bytes::from(greeting)]),
        keep_alive: app.settings.keep_alive,
        draining: app.draining.clone(),
        ended: false,
    };
    let body = stream::unfold(events, async |mut events: Events| {
        let next = events.next().await?;
        Some((Ok::<_, std::convert::Infallible>(next), events))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        // A proxy that buffers would hold events back.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((headers, Body::from_stream(body)).into_response())
}

/// A place that the history no longer reaches is gone, not absent.
fn too_old(error: orlop::Error) -> Problem {
    match error.kind() {
        ErrorKind::NotFound => Problem::gone(error.message()),
        _ => error.into(),
    }
}

struct Events {
    feed: Feed,
    incarnation: u128,
    collection: String,
    matcher: Matcher,
    hide: Hide,
    style: Style,
    before: bool,
    /// Resumes before the batch that comes next.
    behind: Resume,
    /// Changes of the next batch that the client has seen already.
    pass: u32,
    pending: VecDeque<Bytes>,
    keep_alive: Duration,
    draining: watch::Receiver<bool>,
    ended: bool,
}

impl Events {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                return Some(event);
            }
            if self.ended {
                return None;
            }
            let batch = tokio::select! {
                batch = self.feed.next() => batch,
                () = tokio::time::sleep(self.keep_alive) => {
                    return Some(Bytes::from_static(b": keep-alive\n\n"));
                }
                // The sender gone means the service is gone.
                _ = self.draining.wait_for(|draining| *draining) => return None,
            };
            self.take(batch);
        }
    }

    fn take(&mut self, batch: Option<orlop::Result<Committed>>) {
        let made = match batch {
            None => {
                self.ended = true;
                return;
            }
            Some(Ok(batch)) => self.batch(&batch),
            Some(Err(error)) => Err(error),
        };
        if let Err(error) = made {
            self.ended = true;
            let problem = too_old(error);
            let data = problem.body("");
            self.pending
                .push_back(Bytes::from(format!("event: error\ndata: {data}\n\n")));
        }
    }

    fn batch(&mut self, batch: &Committed) -> orlop::Result<()> {
        let pass = std::mem::take(&mut self.pass) as usize;
        let mine = |change: &CommittedChange| *change.collection == *self.collection;
        let last = batch.changes.iter().rposition(mine);
        for (position, change) in batch.changes.iter().enumerate().skip(pass) {
            if !mine(change) || !self.concerns(change)? {
                continue;
            }
            // Behind its last change of this collection the batch is done with.
            let place = match last == Some(position) {
                true => Place {
                    resume: batch.resume.clone(),
                    passed: 0,
                },
                false => Place {
                    resume: self.behind.clone(),
                    passed: u32::try_from(position + 1).unwrap_or(u32::MAX),
                },
            };
            let event = self.event(batch.seq, change, &place)?;
            self.pending.push_back(event.into());
        }
        self.behind = batch.resume.clone();
        Ok(())
    }

    /// Whether the document matches the filter, before or after: one that leaves is told too.
    fn concerns(&self, change: &CommittedChange) -> orlop::Result<bool> {
        if change.effect == Effect::Collection {
            return Ok(true);
        }
        for image in [&change.after, &change.before].into_iter().flatten() {
            if self.matcher.matches(image.raw())? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn event(&self, seq: Seq, change: &CommittedChange, place: &Place) -> orlop::Result<Vec<u8>> {
        let name = match (change.effect, &change.after) {
            (Effect::Collection, _) => "clear",
            (_, Some(_)) => "put",
            (_, None) => "delete",
        };
        let mut out = Vec::new();
        out.extend(format!("id: {}\n", tokens::place(self.incarnation, place)).bytes());
        out.extend(format!("event: {name}\ndata: {{\"id\":").bytes());
        self.id(&mut out, &change.id)?;
        let revision = change.after.as_ref().and_then(Stored::revision);
        let revision = revision.map_or(seq, |revision| revision.0);
        out.extend(format!(",\"revision\":{revision},\"document\":").bytes());
        self.image(&mut out, change.after.as_ref())?;
        if self.before {
            out.extend(b",\"before\":");
            self.image(&mut out, change.before.as_ref())?;
        }
        out.extend(b"}\n\n");
        Ok(out)
    }

    fn id(&self, out: &mut Vec<u8>, id: &Bson) -> orlop::Result<()> {
        let raw = bson::raw::RawBson::try_from(id.clone())
            .map_err(|error| orlop::Error::corrupt(format!("malformed id in the feed: {error}")))?;
        ejson::write_value(out, raw.as_raw_bson_ref(), self.style)
    }

    fn image(&self, out: &mut Vec<u8>, image: Option<&Stored>) -> orlop::Result<()> {
        match image {
            Some(image) => ejson::write_document(out, image.raw(), self.style, &self.hide),
            None => {
                out.extend(b"null");
                Ok(())
            }
        }
    }
}

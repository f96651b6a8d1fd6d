//! Every write of the service: one batch through `Orlop::commit`, its refusals told as data.

use std::sync::Arc;

use axum::http::{StatusCode, header};
use bson::{Bson, Document};
use orlop::document::Revision;
use orlop::engine::{Action, Applied, Batch, Change, Commit, Guard, Put};
use orlop::{Error, ErrorKind, RefusalReason};

use crate::answer;
use crate::app::App;
use crate::call::{Call, Tags, etag};
use crate::once::Record;
use crate::problem::{Problem, Refused};

/// Changes of one atomic batch.
pub(crate) const BATCH_CHANGES: usize = 10_000;
/// How often a write that depends on what it read starts over.
pub(crate) const ATTEMPTS: usize = 16;

/// Commits the changes, with the record of an idempotent write in the same batch.
///
/// # Errors
/// 409 with the refused changes; the store's own errors; [`Record::raced`] when another request
/// with the same key was faster.
pub(crate) async fn commit(
    app: &App,
    call: &Call,
    changes: Vec<Change>,
    record: &Record,
) -> Result<Commit, Problem> {
    commit_as(app, call, changes, record, false).await
}

/// As [`commit`]; documents of a verbatim batch are stored without declared defaults and instants.
pub(crate) async fn commit_as(
    app: &App,
    call: &Call,
    changes: Vec<Change>,
    record: &Record,
    verbatim: bool,
) -> Result<Commit, Problem> {
    let asked = changes.len();
    let guards: Vec<&'static str> = changes.iter().map(|change| name(&change.guard)).collect();
    let mut batch = Batch {
        changes,
        durability: app.db.durability(),
        deadline: Some(call.ticket.deadline()),
        origin: Some(Arc::from("http")),
        verbatim,
        ..Batch::default()
    };
    batch.changes.extend(record.change());
    call.ticket.committing();
    match app.db.commit(batch).await {
        Ok(mut commit) => {
            commit.applied.truncate(asked);
            Ok(commit)
        }
        Err(error) if error.kind() == ErrorKind::Conflict => {
            if error
                .refused()
                .iter()
                .any(|refusal| refusal.change >= asked)
            {
                return Err(record.raced());
            }
            Err(refused(&error, &guards))
        }
        Err(error) => Err(error.into()),
    }
}

fn refused(error: &Error, guards: &[&'static str]) -> Problem {
    let refused = error.refused().iter().map(|refusal| Refused {
        change: refusal.change,
        guard: guards.get(refusal.change).copied().unwrap_or("any"),
        reason: refusal.reason,
        stored: refusal.stored,
    });
    Problem::refused(StatusCode::CONFLICT, error.message(), refused.collect())
}

fn name(guard: &Guard) -> &'static str {
    match guard {
        Guard::Any => "any",
        Guard::Absent => "absent",
        Guard::Present => "present",
        Guard::Revision(_) => "revision",
        Guard::Matches(_) => "matches",
    }
}

/// The outcome of a batch of one change.
pub(crate) fn only(commit: Commit) -> Result<Applied, Problem> {
    let mut applied = commit.applied.into_iter();
    applied
        .next()
        .ok_or_else(|| Problem::internal("a commit without outcomes"))
}

/// Storing `document` whole under `id`.
pub(crate) fn put(document: &Document) -> Result<Action, Problem> {
    Ok(Action::Put(Put {
        document: answer::raw(document)?,
        keep: None,
    }))
}

/// One change.
pub(crate) fn change(collection: &str, id: Bson, guard: Guard, action: Action) -> Change {
    Change {
        collection: Arc::from(collection),
        id,
        guard,
        action,
    }
}

/// What `If-Match` and `If-None-Match` demand of a write of one document.
///
/// A guard names one revision, so of several tags the one that is stored now is taken.
///
/// # Errors
/// 412 when no tag can match; 400 when both headers are sent.
pub(crate) async fn precondition(
    app: &App,
    call: &Call,
    collection: &str,
    id: &Bson,
) -> Result<Option<Guard>, Problem> {
    match (&call.if_match, &call.if_none_match) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(Problem::unparsable(
            "send one of If-Match and If-None-Match",
        )),
        (Some(Tags::Any), None) => Ok(Some(Guard::Present)),
        (None, Some(Tags::Any)) => Ok(Some(Guard::Absent)),
        (Some(tags), None) => match tags.revisions().as_slice() {
            [only] => Ok(Some(Guard::Revision(*only))),
            wanted => match revision(app, collection, id).await? {
                Some(stored) if wanted.contains(&stored) => Ok(Some(Guard::Revision(stored))),
                stored => Err(failed(stored)),
            },
        },
        (None, Some(tags)) => match revision(app, collection, id).await? {
            None => Ok(Some(Guard::Absent)),
            Some(stored) if tags.revisions().contains(&stored) => Err(failed(Some(stored))),
            Some(stored) => Ok(Some(Guard::Revision(stored))),
        },
    }
}

/// A refusal as the answer to a conditional header: 412 with the stored tag.
pub(crate) fn as_precondition(problem: Problem) -> Problem {
    match problem.refusals() {
        [one] => failed(one.stored),
        _ => problem,
    }
}

/// A refusal of a write without conditional headers whose guard was ours: absent means 404.
pub(crate) fn as_missing(problem: Problem, collection: &str) -> Problem {
    match problem.refusals() {
        [one] if one.reason == RefusalReason::Missing => no_document(collection),
        _ => problem,
    }
}

/// 404 for a document.
pub(crate) fn no_document(collection: &str) -> Problem {
    Problem::absent(format!(
        "collection {collection} has no document of that id"
    ))
}

fn failed(stored: Option<Revision>) -> Problem {
    let (detail, tag) = match stored {
        Some(revision) => (
            format!("the document is at revision {revision}"),
            Some(etag(revision)),
        ),
        None => ("there is no such document".to_owned(), None),
    };
    let problem = Problem::refused(StatusCode::PRECONDITION_FAILED, detail, Vec::new());
    match tag {
        Some(tag) => problem.with_header(header::ETAG, &tag),
        None => problem,
    }
}

/// The stored revision, past the cache.
pub(crate) async fn revision(
    app: &App,
    collection: &str,
    id: &Bson,
) -> Result<Option<Revision>, Problem> {
    let found = app
        .db
        .engine()
        .get_many(collection, std::slice::from_ref(id))
        .await?;
    Ok(found
        .into_iter()
        .next()
        .flatten()
        .map(|stored| stored.revision))
}

//! Adding documents: one, or many as lines.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use bson::{Bson, Document};
use orlop::RefusalReason;
use orlop::document::Revision;
use orlop::engine::{Change, Guard};
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::app::App;
use crate::call::{Call, Media, Payload, check_collection, etag};
use crate::ejson::{self, Hide};
use crate::ids;
use crate::once::{self, Record};
use crate::problem::Problem;
use crate::writes::{self, BATCH_CHANGES};

const PARAMS: &[&str] = &["mode", "defaults", "includeRevision", "includeSensitive"];

pub(super) async fn post(
    State(app): State<Arc<App>>,
    Path(collection): Path<String>,
    call: Call,
    payload: Payload,
) -> Result<Answer, Problem> {
    call.only(PARAMS)?;
    check_collection(&collection)?;
    match payload.media {
        Media::Json => one(&app, &call, &collection, &payload).await,
        Media::Lines => many(&app, &call, &collection, &payload).await,
        Media::MergePatch => Err(Problem::media_type(
            "documents are added as application/json, many as application/x-ndjson",
        )),
    }
}

async fn one(
    app: &App,
    call: &Call,
    collection: &str,
    payload: &Payload,
) -> Result<Answer, Problem> {
    let mut hide = call.hide(app, collection, call.flag("includeSensitive")?);
    hide.revision = !call.flag("includeRevision")?;
    let (document, hide) = (&payload.document()?, &hide);
    if let Some(id) = document.get("_id") {
        ids::check(id)?;
    }
    let write = |record: Record| async move {
        let (id, action) = identified(document, || record.new_id())?;
        let change = writes::change(collection, id.clone(), Guard::Absent, action);
        let applied = writes::commit(app, call, vec![change], &record).await;
        let applied = writes::only(applied.map_err(taken)?)?;
        let revision = applied.revision.unwrap_or_default();
        created(
            call,
            collection,
            &id,
            revision,
            applied.document.as_ref(),
            hide,
        )
    };
    let again = |seq, record: Record| async move {
        let (id, _) = identified(document, || record.new_id())?;
        let found = app
            .db
            .engine()
            .get_many(collection, std::slice::from_ref(&id))
            .await?;
        let stored = found.into_iter().next().flatten();
        let body = stored.as_ref().map(|stored| &stored.body);
        created(call, collection, &id, Revision(seq), body, hide)
    };
    once::run(app, call, &payload.bytes, write, again).await
}

fn created(
    call: &Call,
    collection: &str,
    id: &Bson,
    revision: Revision,
    body: Option<&orlop::pack::Body>,
    hide: &Hide,
) -> Result<Answer, Problem> {
    let answer = match body {
        Some(body) => Answer::stored(StatusCode::CREATED, body, call.style, hide)?,
        None => Answer::empty(StatusCode::CREATED),
    };
    let collection = ids::plain(collection);
    let location = format!(
        "/api/v1/collections/{collection}/documents/{}",
        ids::segment(id)?
    );
    Ok(answer
        .with(header::LOCATION, location)
        .with(header::ETAG, etag(revision)))
}

/// The document with its id, which `new_id` makes when it has none.
fn identified(
    document: &Document,
    new_id: impl FnOnce() -> Bson,
) -> Result<(Bson, orlop::engine::Action), Problem> {
    match document.get("_id") {
        Some(id) => Ok((id.clone(), writes::put(document)?)),
        None => {
            let id = new_id();
            let mut whole = Document::new();
            whole.insert("_id", id.clone());
            whole.extend(document.clone());
            Ok((id, writes::put(&whole)?))
        }
    }
}

/// Adding what is there is `already_exists`, as for a unique index.
fn taken(problem: Problem) -> Problem {
    let exists = |reason| reason == RefusalReason::Exists;
    match problem
        .refusals()
        .iter()
        .any(|refused| exists(refused.reason))
    {
        true => problem.with_code("already_exists"),
        false => problem,
    }
}

/// How lines are added.
struct How {
    guard: Guard,
    verbatim: bool,
}

/// What became of the lines.
#[derive(Default)]
struct Outcome {
    inserted: usize,
    errors: BTreeMap<usize, Value>,
}

async fn many(
    app: &App,
    call: &Call,
    collection: &str,
    payload: &Payload,
) -> Result<Answer, Problem> {
    let guard = match call.param("mode") {
        None | Some("insert") => Guard::Absent,
        Some("replace") => Guard::Any,
        Some(_) => return Err(Problem::rule("mode is insert or replace")),
    };
    // Many lines are an import: they are stored as they are, unless asked otherwise.
    let how = &How {
        guard,
        verbatim: !call.flag("defaults")?,
    };
    let write = |record: Record| async move {
        let mut outcome = Outcome::default();
        let lines = parse(&payload.bytes, &mut outcome);
        let mut chunks: Vec<&[(usize, Document)]> = lines.chunks(BATCH_CHANGES).collect();
        let last = chunks.pop();
        for chunk in chunks {
            let none = Record::default();
            insert(app, call, collection, how, chunk, &none, &mut outcome).await?;
        }
        // The record goes with the last batch: repeated after a crash in between, the earlier
        // lines are told as already there.
        let last = last.unwrap_or_default();
        insert(app, call, collection, how, last, &record, &mut outcome).await?;
        Ok(told(&outcome))
    };
    let again = |_, _| async move {
        let mut outcome = Outcome::default();
        outcome.inserted = parse(&payload.bytes, &mut outcome).len();
        Ok(told(&outcome))
    };
    once::run(app, call, &payload.bytes, write, again).await
}

fn told(outcome: &Outcome) -> Answer {
    let errors: Vec<&Value> = outcome.errors.values().collect();
    let status = match (outcome.inserted, errors.is_empty()) {
        (0, false) => StatusCode::UNPROCESSABLE_ENTITY,
        _ => StatusCode::CREATED,
    };
    let body = json!({ "inserted": outcome.inserted, "errors": errors });
    Answer::plain(status, &body)
}

fn parse(text: &[u8], outcome: &mut Outcome) -> Vec<(usize, Document)> {
    let mut documents = Vec::new();
    for (position, line) in text.split(|byte| *byte == b'\n').enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let document = ejson::document(line).and_then(|document| {
            if let Some(id) = document.get("_id") {
                ids::check(id)?;
            }
            Ok(document)
        });
        match document {
            Ok(document) => documents.push((position + 1, document)),
            Err(error) => {
                let problem = Problem::unparsable(error.message());
                outcome.refuse(position + 1, &problem);
            }
        }
    }
    documents
}

impl Outcome {
    fn refuse(&mut self, line: usize, problem: &Problem) {
        let mut told = problem.body("");
        let mut error = json!({ "line": line });
        for name in ["code", "detail", "errors"] {
            if let Some(value) = told.get_mut(name) {
                error[name] = value.take();
            }
        }
        self.errors.insert(line, error);
    }
}

/// Adds the lines in one batch, without those that are refused.
///
/// A refusal by guard names its lines, which are left out. An error that names none makes the
/// lines be added in halves, so that one bad line costs a logarithm of batches, not all of them.
async fn insert(
    app: &App,
    call: &Call,
    collection: &str,
    how: &How,
    lines: &[(usize, Document)],
    record: &Record,
    outcome: &mut Outcome,
) -> Result<(), Problem> {
    let mut pending: Vec<(usize, Change)> = Vec::with_capacity(lines.len());
    for (line, document) in lines {
        match identified(document, || Record::default().new_id()) {
            Ok((id, action)) => {
                let change = writes::change(collection, id, how.guard.clone(), action);
                pending.push((*line, change));
            }
            Err(problem) => outcome.refuse(*line, &problem),
        }
    }
    let mut stack = vec![pending];
    while let Some(mut batch) = stack.pop() {
        let last = stack.is_empty();
        let none = Record::default();
        let with = if last { record } else { &none };
        if batch.is_empty() && with.change().is_none() {
            continue;
        }
        let changes = batch.iter().map(|(_, change)| change.clone()).collect();
        match writes::commit_as(app, call, changes, with, how.verbatim).await {
            Ok(_) => outcome.inserted += batch.len(),
            Err(problem) if !problem.refusals().is_empty() => {
                let told = taken(problem.clone());
                for refused in problem.refusals().iter().rev() {
                    if refused.change < batch.len() {
                        let (line, _) = batch.remove(refused.change);
                        outcome.refuse(line, &told.one("a document of that id is already there"));
                    }
                }
                stack.push(batch);
            }
            Err(problem) if problem.is_about_a_document() && batch.len() > 1 => {
                let behind = batch.split_off(batch.len() / 2);
                stack.push(behind);
                stack.push(batch);
            }
            Err(problem) if problem.is_about_a_document() && batch.len() == 1 => {
                outcome.refuse(batch[0].0, &problem);
                if last {
                    stack.push(Vec::new());
                }
            }
            Err(problem) => return Err(problem),
        }
    }
    Ok(())
}

//! Collections: what there is, what they declare, how far their indexes are.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use bson::{Bson, Document, doc};
use orlop::document::Declaration;
use orlop::engine::{Action, CollectionInfo, Guard, IndexState};

use crate::answer::{Answer, raw};
use crate::app::{App, RESERVED};
use crate::call::{Call, Payload, check_collection};
use crate::ejson::{self, Hide};
use crate::once;
use crate::problem::Problem;
use crate::writes;

pub(super) async fn all(State(app): State<Arc<App>>, call: Call) -> Result<Answer, Problem> {
    call.only(&[])?;
    let collections = visible(&app).await?;
    let summaries = collections.iter().map(|info| Bson::Document(summary(info)));
    let body = doc! { "collections": summaries.collect::<Vec<_>>() };
    rendered(StatusCode::OK, &call, &body)
}

pub(super) async fn one(
    State(app): State<Arc<App>>,
    Path(collection): Path<String>,
    call: Call,
) -> Result<Answer, Problem> {
    call.only(&[])?;
    check_collection(&collection)?;
    let info = find(&app, &collection).await?;
    rendered(StatusCode::OK, &call, &details(&info))
}

pub(super) async fn declare(
    State(app): State<Arc<App>>,
    Path(collection): Path<String>,
    call: Call,
    payload: Payload,
) -> Result<Answer, Problem> {
    call.only(&[])?;
    check_collection(&collection)?;
    let declaration = Declaration::from_document(&payload.optional()?)?;
    let (app, call, collection, declaration) = (&*app, &call, &collection, &declaration);
    // Declaring the same again changes nothing, so a repeated request simply declares again.
    let write = |_| async move {
        let known = visible(app)
            .await?
            .iter()
            .any(|info| info.name == *collection);
        let info = app.db.declare(collection, declaration).await?;
        app.note(collection, info.declaration.clone());
        let status = if known {
            StatusCode::OK
        } else {
            StatusCode::CREATED
        };
        rendered(status, call, &details(&info))
    };
    once::run(app, call, &payload.bytes, write, |_, record| write(record)).await
}

pub(super) async fn drop(
    State(app): State<Arc<App>>,
    Path(collection): Path<String>,
    call: Call,
) -> Result<Answer, Problem> {
    call.only(&[])?;
    check_collection(&collection)?;
    let (app, call, collection) = (&*app, &call, &collection);
    let write = |record| async move {
        find(app, collection).await?;
        let change = writes::change(collection, Bson::Null, Guard::Any, Action::Drop);
        writes::commit(app, call, vec![change], &record).await?;
        app.forget(collection);
        Ok(Answer::empty(StatusCode::NO_CONTENT))
    };
    let again = |_, _| async { Ok(Answer::empty(StatusCode::NO_CONTENT)) };
    once::run(app, call, b"", write, again).await
}

/// The collections that are not the store's own.
pub(super) async fn visible(app: &App) -> Result<Vec<CollectionInfo>, Problem> {
    let mut collections = app.db.collections().await?;
    collections.retain(|info| !info.name.starts_with(RESERVED));
    collections.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(collections)
}

async fn find(app: &App, collection: &str) -> Result<CollectionInfo, Problem> {
    let found = app
        .db
        .collections()
        .await?
        .into_iter()
        .find(|info| info.name == collection);
    found.ok_or_else(|| Problem::absent(format!("there is no collection {collection}")))
}

pub(super) fn rendered(
    status: StatusCode,
    call: &Call,
    body: &Document,
) -> Result<Answer, Problem> {
    let mut out = Vec::new();
    ejson::write_document(&mut out, &raw(body)?, call.style, &Hide::default())?;
    Ok(Answer::json(status, call.style, out))
}

fn summary(info: &CollectionInfo) -> Document {
    let mut summary = doc! {
        "name": &info.name,
        "documents": whole(info.documents),
        "bytes": whole(info.bytes),
        "indexes": indexes(info),
    };
    state(info, &mut summary);
    summary
}

fn details(info: &CollectionInfo) -> Document {
    let mut details = summary(info);
    for (name, value) in info.declaration.to_document() {
        if name != "indexes" {
            details.insert(name, value);
        }
    }
    details
}

/// A count; no store holds 2^63 of anything.
fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn indexes(info: &CollectionInfo) -> Vec<Bson> {
    let indexes = info.indexes.iter().map(|(index, state)| {
        let mut form = index.to_document();
        match state {
            IndexState::Ready => {
                form.insert("state", "ready");
            }
            IndexState::Building { done, total } => {
                form.insert("state", "building");
                form.insert("progress", fraction(*done, *total));
            }
            IndexState::Failed(why) => {
                form.insert("state", "failed");
                form.insert("reason", why);
            }
        }
        Bson::Document(form)
    });
    indexes.collect()
}

/// The collection is building while one of its indexes is.
fn state(info: &CollectionInfo, form: &mut Document) {
    let (mut all_done, mut all_total, mut building, mut failed) = (0, 0, false, false);
    for (_, state) in &info.indexes {
        match state {
            IndexState::Ready => (),
            IndexState::Building { done, total } => {
                building = true;
                all_done += done;
                all_total += total;
            }
            IndexState::Failed(_) => failed = true,
        }
    }
    let word = match (building, failed) {
        (true, _) => "building",
        (false, true) => "failed",
        (false, false) => "ready",
    };
    form.insert("state", word);
    if building {
        form.insert("progress", fraction(all_done, all_total));
    }
}

fn fraction(done: u64, total: u64) -> f64 {
    match total {
        0 => 0.0,
        _ => (done as f64 / total as f64).min(1.0),
    }
}

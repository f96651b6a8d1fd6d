//! The store as a whole: counts, a check, the cache.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use orlop::engine::Touch;
use serde_json::json;

use super::collections::visible;
use crate::answer::Answer;
use crate::app::App;
use crate::call::Call;
use crate::problem::Problem;

pub(super) async fn stats(State(app): State<Arc<App>>, call: Call) -> Result<Answer, Problem> {
    call.only(&[])?;
    let collections = visible(&app).await?;
    let documents: u64 = collections.iter().map(|info| info.documents).sum();
    let bytes: u64 = collections.iter().map(|info| info.bytes).sum();
    let collections: Vec<_> = collections
        .iter()
        .map(|info| {
            json!({
                "name": info.name,
                "documents": info.documents,
                "bytes": info.bytes,
                "indexes": info.indexes.len(),
            })
        })
        .collect();
    let body = json!({
        "engine": app.db.engine().capabilities().engine,
        "documents": documents,
        "bytes": bytes,
        "collections": collections,
    });
    Ok(Answer::plain(StatusCode::OK, &body))
}

/// Reads everything and verifies it.
pub(super) async fn check(State(app): State<Arc<App>>, call: Call) -> Result<Answer, Problem> {
    call.only(&[])?;
    let report = app.db.check().await?;
    let body = json!({
        "clean": report.damage.is_empty(),
        "documents": report.documents,
        "indexEntries": report.entries,
        "damage": report.damage,
    });
    Ok(Answer::plain(StatusCode::OK, &body))
}

pub(super) async fn cache(State(app): State<Arc<App>>, call: Call) -> Result<Answer, Problem> {
    call.only(&[])?;
    let stats = app.db.cache().stats();
    let body = json!({
        "hits": stats.hits,
        "misses": stats.misses,
        "staleAvoided": stats.stale_avoided,
        "loads": stats.loads,
        "entries": stats.entries,
        "bytes": stats.bytes,
        "bytesMax": stats.bytes_max,
    });
    Ok(Answer::plain(StatusCode::OK, &body))
}

pub(super) async fn invalidate_all(
    State(app): State<Arc<App>>,
    call: Call,
) -> Result<Answer, Problem> {
    call.only(&[])?;
    app.db.invalidate(Touch::All).await?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

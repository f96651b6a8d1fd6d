//! What needs no credentials: the page, health, metrics, the description of the interface.

use std::path::Path;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use serde_json::json;

use crate::answer::Answer;
use crate::app::App;
use crate::metrics::{line, single};
use crate::problem::Problem;

const PAGE: &str = include_str!("page.html");
const OPENAPI: &str = include_str!("openapi.json");

pub(super) async fn page(State(app): State<Arc<App>>) -> Html<String> {
    Html(PAGE.replace("{name}", &app.settings.name))
}

pub(super) async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}

/// 200 while the process lives.
pub(super) async fn alive() -> Answer {
    Answer::plain(StatusCode::OK, &json!({ "status": "alive" }))
}

/// 200 while it can serve, with the state of what it depends on.
pub(super) async fn ready(State(app): State<Arc<App>>) -> Answer {
    let draining = *app.draining.borrow();
    let store = app.db.engine().ping().await;
    let engine = app.db.engine().capabilities().engine;
    let ready = store.is_ok() && !draining;
    let status = match ready {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    let store = match &store {
        Ok(()) => json!({ "state": "ready", "engine": engine }),
        Err(error) => {
            tracing::warn!(%error, "the store does not answer");
            json!({ "state": "unavailable", "engine": engine })
        }
    };
    let body = json!({
        "status": if draining { "draining" } else if ready { "ready" } else { "unavailable" },
        "store": store,
        "cache": { "state": "ready", "tier": "local" },
    });
    Answer::plain(status, &body)
}

pub(super) async fn metrics(State(app): State<Arc<App>>) -> Result<Response, Problem> {
    let mut out = String::new();
    app.requests.render(&mut out);
    cache(&app, &mut out);
    disk(&app, &mut out).await;
    let seq = app.seq().await;
    single(
        &mut out,
        "orlop_commit_seq",
        "gauge",
        "Number of the last visible commit.",
        seq,
    );
    let collections = app.db.collections().await?;
    out.push_str("# HELP orlop_collection_documents Documents stored.\n");
    out.push_str("# TYPE orlop_collection_documents gauge\n");
    for info in &collections {
        let labels = format!("collection={:?}", info.name);
        line(
            &mut out,
            "orlop_collection_documents",
            &labels,
            info.documents,
        );
    }
    out.push_str("# HELP orlop_collection_bytes Bytes of the stored documents.\n");
    out.push_str("# TYPE orlop_collection_bytes gauge\n");
    for info in &collections {
        let labels = format!("collection={:?}", info.name);
        line(&mut out, "orlop_collection_bytes", &labels, info.bytes);
    }
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], out).into_response())
}

/// Bytes of each part of the store's folder, the log among them.
async fn disk(app: &App, out: &mut String) {
    let Some(folder) = app.settings.folder.clone() else {
        return;
    };
    // Reading a folder may wait for the disk.
    let sizes = tokio::task::spawn_blocking(move || parts(&folder)).await;
    out.push_str("# HELP orlop_disk_bytes Bytes of the store on disk, by part of its folder.\n");
    out.push_str("# TYPE orlop_disk_bytes gauge\n");
    for (part, bytes) in sizes.unwrap_or_default() {
        line(out, "orlop_disk_bytes", &format!("part={part:?}"), bytes);
    }
}

/// What stands at the top of a folder, with all it holds. Files that go away meanwhile count none.
fn parts(folder: &Path) -> Vec<(String, u64)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut parts: Vec<_> = entries
        .map(|entry| {
            (
                entry.file_name().to_string_lossy().into_owned(),
                size(&entry.path()),
            )
        })
        .collect();
    parts.sort();
    parts
}

fn size(path: &Path) -> u64 {
    match std::fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => {
            let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
            entries.map(|entry| size(&entry.path())).sum()
        }
        Ok(meta) => meta.len(),
        Err(_) => 0,
    }
}

fn cache(app: &App, out: &mut String) {
    let stats = app.db.cache().stats();
    let counters = [
        ("hits", "Reads served from the cache.", stats.hits),
        ("misses", "Reads that needed the engine.", stats.misses),
        (
            "stale_avoided",
            "Entries not used because a clock had moved.",
            stats.stale_avoided,
        ),
        ("loads", "Times the engine was asked.", stats.loads),
    ];
    for (name, help, value) in counters {
        single(
            out,
            &format!("orlop_cache_{name}_total"),
            "counter",
            help,
            value,
        );
    }
    single(
        out,
        "orlop_cache_entries",
        "gauge",
        "Entries held.",
        stats.entries,
    );
    single(
        out,
        "orlop_cache_bytes",
        "gauge",
        "Bytes held.",
        stats.bytes,
    );
    single(
        out,
        "orlop_cache_bytes_max",
        "gauge",
        "Most bytes held.",
        stats.bytes_max,
    );
}

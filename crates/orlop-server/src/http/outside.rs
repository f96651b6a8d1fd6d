//! What needs no credentials: the page, health, metrics, the description of the interface.

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

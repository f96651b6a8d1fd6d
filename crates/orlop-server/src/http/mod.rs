//! The routes, one file for each group.

mod admin;
mod bulk;
mod changes;
mod collections;
mod commit;
mod document;
mod insert;
mod invalidate;
mod outside;
mod page;
pub(crate) mod query;
mod served;

pub(crate) use page::Known;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use crate::app::App;
use crate::problem::Problem;

/// Routes that need no credentials.
pub(crate) fn outside() -> Router<Arc<App>> {
    Router::new()
        .route("/", get(outside::page))
        .route("/healthz", get(outside::alive))
        .route("/readyz", get(outside::ready))
        .route("/metrics", get(outside::metrics))
}

/// Routes under `/api/v1`.
pub(crate) fn data_plane() -> Router<Arc<App>> {
    let collection = get(collections::one)
        .put(collections::declare)
        .delete(collections::drop);
    let documents = get(query::list).post(insert::post);
    let document = get(document::get)
        .put(document::put)
        .patch(document::patch)
        .delete(document::delete);
    Router::new()
        .route("/openapi.json", get(outside::openapi))
        .route("/commit", post(commit::post))
        .route("/stats", get(admin::stats))
        .route("/check", post(admin::check))
        .route("/cache", get(admin::cache))
        .route("/cache/invalidate", post(admin::invalidate_all))
        .route("/collections", get(collections::all))
        .route("/collections/{collection}", collection)
        .route("/collections/{collection}/query", post(query::post))
        .route("/collections/{collection}/explain", post(query::explain))
        .route("/collections/{collection}/count", post(query::count))
        .route("/collections/{collection}/distinct", post(query::distinct))
        .route("/collections/{collection}/update", post(bulk::update))
        .route("/collections/{collection}/delete", post(bulk::delete))
        .route(
            "/collections/{collection}/invalidate",
            post(invalidate::post),
        )
        .route("/collections/{collection}/changes", get(changes::get))
        .route("/collections/{collection}/documents", documents)
        .route("/collections/{collection}/documents/{id}", document)
}

pub(crate) async fn no_such_route() -> Problem {
    Problem::absent("there is no such route; /api/v1/openapi.json lists them")
}

pub(crate) async fn no_such_method() -> Problem {
    Problem::new(
        axum::http::StatusCode::METHOD_NOT_ALLOWED,
        "invalid",
        "this route does not take that method",
    )
}

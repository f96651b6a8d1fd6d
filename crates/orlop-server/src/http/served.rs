//! Reads through the cache, and the header that tells how they were served.

use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use orlop::cache::Served;

pub(super) const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// The `Cache-Status` of RFC 9211.
pub(super) fn status(served: Served) -> HeaderValue {
    HeaderValue::from_static(match served {
        Served::Hit => "orlop; hit; detail=local",
        Served::Miss => "orlop; fwd=miss",
        Served::Bypass => "orlop; fwd=bypass",
    })
}

/// The answer with its `Cache-Status`.
pub(super) fn mark(mut response: Response, served: Served) -> Response {
    response.headers_mut().insert(CACHE_STATUS, status(served));
    response
}

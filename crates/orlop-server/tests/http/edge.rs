//! What holds for every request: token, ids, problems, health, metrics.

use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use crate::support::{Server, TOKEN};

async fn ask(
    server: &Server,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> (u16, axum::http::HeaderMap, String) {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = server
        .raw(request.body(Body::empty()).expect("a request"))
        .await;
    let (parts, body) = answer.into_parts();
    let bytes = body.collect().await.expect("the whole body").to_bytes();
    (
        parts.status.as_u16(),
        parts.headers,
        String::from_utf8(bytes.to_vec()).expect("UTF-8"),
    )
}

#[tokio::test]
async fn the_data_plane_needs_the_token_and_the_rest_does_not() {
    let server = Server::new().await;
    let bearer = |token: &str| format!("Bearer {token}");
    for (header, status) in [
        (None, 401),
        (Some(bearer("wrong")), 401),
        (Some(bearer(&format!("{TOKEN}x"))), 401),
        (Some(format!("Basic {TOKEN}")), 401),
        (Some(bearer(TOKEN)), 200),
        (Some(format!("bearer {TOKEN}")), 200),
    ] {
        let headers: Vec<(&str, &str)> = header
            .iter()
            .map(|value| ("authorization", value.as_str()))
            .collect();
        let (got, headers, body) = ask(&server, "GET", "/api/v1/collections", &headers).await;
        assert_eq!(got, status, "{header:?}: {body}");
        if status == 401 {
            assert_eq!(headers["www-authenticate"], "Bearer");
            let problem: Value = serde_json::from_str(&body).expect("a problem");
            assert_eq!(problem["code"], "denied");
        }
    }
    for path in [
        "/",
        "/healthz",
        "/readyz",
        "/metrics",
        "/api/v1/openapi.json",
    ] {
        assert_eq!(ask(&server, "GET", path, &[]).await.0, 200, "{path}");
    }
    let (_, _, page) = ask(&server, "GET", "/", &[]).await;
    assert_eq!(page.matches("<pre>curl").count(), 3, "three lines to copy");
}

#[tokio::test]
async fn a_request_id_is_taken_or_made_and_always_echoed() {
    let server = Server::new().await;
    let (_, headers, _) = ask(&server, "GET", "/healthz", &[("x-request-id", "mine-1")]).await;
    assert_eq!(headers["x-request-id"], "mine-1");
    let mut made = std::collections::HashSet::new();
    for given in ["", "with space", &"x".repeat(129)] {
        let (_, headers, _) = ask(&server, "GET", "/healthz", &[("x-request-id", given)]).await;
        assert!(
            made.insert(headers["x-request-id"].clone()),
            "a new one for {given:?}"
        );
    }
}

#[tokio::test]
async fn every_failure_is_a_problem_the_routers_own_too() {
    let server = Server::new().await;
    let token = format!("Bearer {TOKEN}");
    let auth = [("authorization", token.as_str())];
    let (status, headers, body) = ask(&server, "GET", "/nowhere", &[]).await;
    assert_eq!(
        (status, &headers["content-type"]),
        (404, &"application/problem+json".parse().expect("a header"))
    );
    assert!(body.contains("openapi.json"), "{body}");
    let (status, headers, body) = ask(&server, "DELETE", "/api/v1/commit", &auth).await;
    assert_eq!(
        (status, headers["allow"].to_str().ok()),
        (405, Some("POST")),
        "{body}"
    );
    assert!(body.contains("requestId"), "{body}");
}

#[tokio::test]
async fn a_session_token_is_given_and_taken_back() {
    let server = Server::new().await;
    server.put("/collections/c/documents/1", json!({})).await;
    let first = server.get("/collections").await;
    let token = first.header("orlop-session");
    server
        .send("GET", "/collections", &[("orlop-session", token)], "")
        .await
        .is(200);
    let other = Server::new().await;
    other
        .send("GET", "/collections", &[("orlop-session", token)], "")
        .await
        .is(200);
}

#[tokio::test]
async fn metrics_tell_the_space_a_folder_takes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().to_str().expect("a path in UTF-8");
    let db = orlop::Orlop::open(path).await.expect("a store in a folder");
    let settings = orlop_server::app::AppSettings {
        folder: Some(folder.path().to_owned()),
        ..Default::default()
    };
    let server = Server::over(db, settings).await;
    server.put("/collections/c/documents/1", json!({})).await;
    let (_, _, text) = ask(&server, "GET", "/metrics", &[]).await;
    let taken: u64 = text
        .lines()
        .filter_map(|line| line.strip_prefix("orlop_disk_bytes{"))
        .filter_map(|line| line.split_once("} ")?.1.parse::<u64>().ok())
        .sum();
    assert!(taken > 0, "{text}");
}

#[tokio::test]
async fn readiness_says_no_while_draining() {
    let server = Server::new().await;
    let (status, _, body) = ask(&server, "GET", "/readyz", &[]).await;
    assert_eq!(status, 200);
    let body: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(
        (&body["store"]["engine"], &body["cache"]["state"]),
        (&json!("memory"), &json!("ready"))
    );
    server.drain();
    let (status, _, body) = ask(&server, "GET", "/readyz", &[]).await;
    assert_eq!(status, 503, "{body}");
    assert_eq!(ask(&server, "GET", "/healthz", &[]).await.0, 200);
}

#[tokio::test]
async fn metrics_count_requests_by_route_and_reads_by_the_cache() {
    let server = Server::new().await;
    server.put("/collections/c/documents/1", json!({})).await;
    server.get("/collections/c/documents/1").await;
    server.get("/collections/c/documents/1").await;
    let (_, _, text) = ask(&server, "GET", "/metrics", &[]).await;
    let route =
        r#"method="GET",route="/api/v1/collections/{collection}/documents/{id}",status="200""#;
    for line in [
        format!("orlop_http_request_duration_seconds_count{{{route}}} 2"),
        "orlop_cache_hits_total 1".to_owned(),
        "orlop_collection_documents{collection=\"c\"} 1".to_owned(),
    ] {
        assert!(text.contains(&line), "{line} is not in\n{text}");
    }
}

#[tokio::test]
async fn the_store_is_counted_checked_and_its_cache_told() {
    let server = Server::new().await;
    server.put("/collections/c/documents/1", json!({})).await;
    let stats = server.get("/stats").await.is(200).json();
    assert_eq!(
        (&stats["documents"], &stats["collections"][0]["name"]),
        (&json!(1), &json!("c"))
    );
    let report = server.post("/check", json!({})).await.is(200).json();
    assert_eq!(report["clean"], true, "{report}");
    assert!(
        server.get("/cache").await.is(200).json()["bytesMax"]
            .as_u64()
            .expect("bytes")
            > 0
    );
}

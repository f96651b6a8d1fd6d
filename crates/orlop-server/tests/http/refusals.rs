//! What a client can get wrong: always a problem, never a 500.

use serde_json::json;

use crate::support::Server;

const DOCUMENT: &str = "/collections/c/documents/1";
const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test]
async fn bodies_that_do_not_parse_are_400() {
    let server = Server::new().await;
    let deep = format!("{}1{}", r#"{"a":"#.repeat(100_000), "}".repeat(100_000));
    let bodies: [&[u8]; 12] = [
        b"",
        b"{",
        b"[]",
        b"7",
        b"{\"a\": \"\xff\xfe\"}",
        br#"{"a": "\ud800"}"#,
        br#"{"a": 1, "a": 2}"#,
        br#"{"a": 1e400}"#,
        br#"{"a": {"$oid": "x"}}"#,
        br#"{"a\u0000": 1}"#,
        br#"{"a": 1} tail"#,
        deep.as_bytes(),
    ];
    for body in bodies {
        let reply = server.send("PUT", DOCUMENT, &[JSON], body.to_vec()).await;
        reply.problem(400, "invalid", "");
        server
            .send(
                "POST",
                "/collections/c/query",
                &[JSON],
                [b"!", body].concat(),
            )
            .await
            .is(400);
    }
}

#[tokio::test]
async fn numbers_at_the_edge_are_kept_or_refused() {
    let server = Server::new().await;
    let kept = r#"{"a":9223372036854775807,"b":-9223372036854775808,"c":1.7976931348623157e308,"d":5e-324}"#;
    server.send("PUT", DOCUMENT, &[JSON], kept).await.is(201);
    assert_eq!(
        server.get(DOCUMENT).await.text,
        kept.replace('{', r#"{"_id":1,"#)
    );
    let long = format!("{{\"a\": {}}}", "9".repeat(400));
    server.send("PUT", DOCUMENT, &[JSON], long).await.is(400);
}

#[tokio::test]
async fn media_types_that_are_not_taken_are_415_and_406() {
    let server = Server::new().await;
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/bson",
        "application/json; charset=latin1",
    ] {
        let reply = server
            .send("PUT", DOCUMENT, &[("content-type", kind)], "{}")
            .await;
        reply.problem(415, "invalid", "");
    }
    server
        .send(
            "PUT",
            DOCUMENT,
            &[("content-type", "application/x-ndjson")],
            "{}",
        )
        .await
        .is(415);
    let charset = [("content-type", "application/json; charset=UTF-8")];
    server.send("PUT", DOCUMENT, &charset, "{}").await.is(201);
}

#[tokio::test]
async fn bodies_over_the_limit_are_413() {
    let settings = orlop_server::app::AppSettings {
        body_bytes_max: 1000,
        ..Default::default()
    };
    let server = Server::with(settings).await;
    let large = json!({"a": "x".repeat(1000)}).to_string();
    server
        .send("PUT", DOCUMENT, &[JSON], large.clone())
        .await
        .problem(413, "invalid", "1000 bytes");
    let chunks = futures_util::stream::iter([Ok::<_, std::io::Error>(large)]);
    let chunked = axum::body::Body::from_stream(chunks);
    server.send("PUT", DOCUMENT, &[JSON], chunked).await.is(413);
}

#[tokio::test]
async fn a_document_over_16_mib_is_422() {
    let server = Server::new().await;
    let large = json!({"a": "x".repeat(17 * 1024 * 1024)}).to_string();
    server
        .send("PUT", DOCUMENT, &[JSON], large)
        .await
        .problem(422, "invalid", "16777216");
}

#[tokio::test]
async fn operators_nobody_knows_are_named() {
    let server = Server::new().await;
    server.put(DOCUMENT, json!({"a": 1})).await;
    let query = json!({"filter": {"a": {"$gtx": 1}}});
    let reply = server.post("/collections/c/query", query).await;
    assert!(
        matches!(reply.status, 422 | 501) && reply.text.contains("$gtx"),
        "{reply:?}"
    );
    let update = json!({"update": {"$sett": {"a": 1}}});
    let reply = server.json("PATCH", DOCUMENT, update).await;
    assert!(
        matches!(reply.status, 422 | 501) && reply.text.contains("$sett"),
        "{reply:?}"
    );
    server
        .json("PATCH", DOCUMENT, json!({"update": {"$inc": {"a": "x"}}}))
        .await
        .is(422);
    server
        .json("PATCH", DOCUMENT, json!({"update": {"$set": {"_id": 5}}}))
        .await
        .is(422);
}

#[tokio::test]
async fn fields_and_parameters_nobody_knows_are_refused() {
    let server = Server::new().await;
    for (path, body) in [
        ("/collections/c/query", json!({"filtr": {}})),
        ("/collections/c/query", json!({"limit": 0})),
        ("/collections/c/query", json!({"limit": 10_001})),
        ("/collections/c/query", json!({"limit": 1.5})),
        ("/collections/c/query", json!({"skip": -1})),
        ("/collections/c/query", json!({"filter": []})),
        ("/collections/c/count", json!({"limit": 1})),
        ("/collections/c/distinct", json!({})),
        ("/collections/c/update", json!({"filter": {}})),
    ] {
        server
            .post(path, body.clone())
            .await
            .problem(422, "invalid", "");
    }
    server
        .get("/collections/c/documents/1?includRevision=true")
        .await
        .is(422);
    server
        .send("GET", DOCUMENT, &[("orlop-read", "sometimes")], "")
        .await
        .problem(400, "invalid", "Orlop-Read");
    server
        .send("GET", DOCUMENT, &[("orlop-session", "x")], "")
        .await
        .is(400);
    server
        .send("PUT", DOCUMENT, &[JSON, ("idempotency-key", "")], "{}")
        .await
        .is(400);
}

#[tokio::test]
async fn a_broken_rule_of_the_schema_names_its_field() {
    let server = Server::new().await;
    let schema = json!({"schema": {"type": "object", "required": ["title"], "properties": {"title": {"type": "string"}}}});
    server.json("PUT", "/collections/c", schema).await.is(201);
    let refused = server
        .json("PUT", DOCUMENT, json!({"title": 5}))
        .await
        .problem(422, "invalid", "");
    assert_eq!(refused.json()["errors"][0]["field"], "title", "{refused:?}");
    server
        .post("/collections/c/documents", json!({}))
        .await
        .is(422);
}

#[tokio::test]
async fn a_taken_unique_value_is_already_exists() {
    let server = Server::new().await;
    let unique = json!({"indexes": [{"key": {"email": 1}, "unique": true}]});
    server.json("PUT", "/collections/c", unique).await.is(201);
    server.put(DOCUMENT, json!({"email": "a"})).await;
    server
        .json("PUT", "/collections/c/documents/2", json!({"email": "a"}))
        .await
        .problem(409, "already_exists", "email");
}

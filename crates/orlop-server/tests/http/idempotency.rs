//! A repeated key: the first answer, and nothing written again.

use serde_json::{Value, json};

use crate::support::{Reply, Server};

async fn keyed(server: &Server, method: &str, path: &str, key: &str, body: Value) -> Reply {
    let headers = [
        ("content-type", "application/json"),
        ("idempotency-key", key),
    ];
    server.send(method, path, &headers, body.to_string()).await
}

#[tokio::test]
async fn a_repeated_write_is_answered_as_the_first_and_changes_nothing() {
    let server = Server::new().await;
    server
        .put("/collections/t/documents/1", json!({"n": 1}))
        .await;
    let update = json!({"update": {"$inc": {"n": 1}}});
    let path = "/collections/t/documents/1";
    let first = keyed(&server, "PATCH", path, "k1", update.clone())
        .await
        .is(200);
    let again = keyed(&server, "PATCH", path, "k1", update).await.is(200);
    assert_eq!(
        (&again.text, again.header("etag")),
        (&first.text, first.header("etag"))
    );
    assert_eq!(server.get(path).await.json()["n"], 2);
    let made = keyed(
        &server,
        "POST",
        "/collections/t/documents",
        "k2",
        json!({"a": 1}),
    )
    .await
    .is(201);
    let same = keyed(
        &server,
        "POST",
        "/collections/t/documents",
        "k2",
        json!({"a": 1}),
    )
    .await
    .is(201);
    assert_eq!(same.header("location"), made.header("location"));
    let commit = json!({"changes": [{"collection": "t", "id": 1, "update": {"$inc": {"n": 1}}}]});
    let first = keyed(&server, "POST", "/commit", "k3", commit.clone())
        .await
        .is(200);
    let again = keyed(&server, "POST", "/commit", "k3", commit)
        .await
        .is(200);
    assert_eq!(first.text, again.text);
    let many = json!({"filter": {}, "update": {"$inc": {"n": 1}}});
    let first = keyed(&server, "POST", "/collections/t/update", "k4", many.clone())
        .await
        .is(200);
    let again = keyed(&server, "POST", "/collections/t/update", "k4", many)
        .await
        .is(200);
    assert_eq!(first.text, again.text);
    assert_eq!(server.get(path).await.json()["n"], 4);
    let first = keyed(&server, "DELETE", path, "k5", json!({}))
        .await
        .is(204);
    let again = keyed(&server, "DELETE", path, "k5", json!({}))
        .await
        .is(204);
    assert_eq!(first.text, again.text);
}

#[tokio::test]
async fn a_key_used_for_another_request_is_refused() {
    let server = Server::new().await;
    let path = "/collections/t/documents/1";
    keyed(&server, "PUT", path, "k", json!({"a": 1}))
        .await
        .is(201);
    keyed(&server, "PUT", path, "k", json!({"a": 2}))
        .await
        .problem(422, "invalid", "new key");
    keyed(
        &server,
        "PUT",
        "/collections/t/documents/2",
        "k",
        json!({"a": 1}),
    )
    .await
    .is(422);
    assert_eq!(server.get(path).await.json()["a"], 1);
}

#[tokio::test]
async fn a_refused_write_stays_refused_under_its_key() {
    let server = Server::new().await;
    let change = json!({"changes": [{"collection": "t", "id": 1, "guard": "present", "update": {"$inc": {"n": 1}}}]});
    keyed(&server, "POST", "/commit", "k", change.clone())
        .await
        .is(409);
    server
        .put("/collections/t/documents/1", json!({"n": 1}))
        .await;
    let again = keyed(&server, "POST", "/commit", "k", change).await.is(409);
    assert_eq!(again.json()["refused"][0]["reason"], "missing");
    assert_eq!(
        server.get("/collections/t/documents/1").await.json()["n"],
        1
    );
}

#[tokio::test]
async fn of_many_at_once_with_one_key_one_writes() {
    let server = Server::new().await;
    server
        .put("/collections/t/documents/1", json!({"n": 0}))
        .await;
    let update = json!({"update": {"$inc": {"n": 1}}});
    let path = "/collections/t/documents/1";
    let calls = (0..16).map(|_| keyed(&server, "PATCH", path, "k", update.clone()));
    let replies = futures_util::future::join_all(calls).await;
    for reply in replies {
        assert_eq!(reply.is(200).json()["n"], 1);
    }
    assert_eq!(server.get(path).await.json()["n"], 1);
}

#[tokio::test]
async fn an_answer_that_was_lost_is_made_anew_without_writing() {
    let server = Server::new().await;
    server
        .put("/collections/t/documents/1", json!({"n": 0}))
        .await;
    let calls = [
        ("POST", "/collections/t/documents", json!({"own": 1})),
        (
            "PATCH",
            "/collections/t/documents/1",
            json!({"update": {"$inc": {"n": 1}}}),
        ),
        (
            "POST",
            "/commit",
            json!({"changes": [{"collection": "t", "id": 1, "update": {"$inc": {"n": 1}}}]}),
        ),
        (
            "POST",
            "/collections/t/update",
            json!({"filter": {"own": 1}, "update": {"$inc": {"m": 1}}}),
        ),
        ("DELETE", "/collections/t/documents/1", json!({})),
    ];
    for (position, (method, path, body)) in calls.into_iter().enumerate() {
        let key = format!("k{position}");
        let first = keyed(&server, method, path, &key, body.clone()).await;
        // What a crash between the commit and the keeping of its answer leaves behind.
        let records = server.db.raw("_orlop.idempotency");
        let forget = orlop::query::Update::parse(&bson::bson!({"$unset": {"answer": ""}}), &[])
            .expect("an update");
        let many = orlop::collection::UpdateMany {
            filter: orlop::query::Expr::All,
            update: std::sync::Arc::new(forget),
            upsert: false,
            chunked: false,
            limit: None,
        };
        let before = server
            .post("/collections/t/query", json!({"includeRevision": true}))
            .await
            .text;
        records.update_many(many).await.expect("forgetting");
        let again = keyed(&server, method, path, &key, body).await;
        assert_eq!(first.status, again.status, "{again:?}");
        if method != "POST" || path != "/commit" {
            assert_eq!(first.headers.get("location"), again.headers.get("location"));
        }
        let after = server
            .post("/collections/t/query", json!({"includeRevision": true}))
            .await
            .text;
        assert_eq!(before, after, "{method} {path}");
    }
}

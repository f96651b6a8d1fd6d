//! Guarded changes, all or none.

use serde_json::json;

use crate::support::Server;

#[tokio::test]
async fn changes_happen_in_order_and_guards_see_the_earlier_ones() {
    let server = Server::new().await;
    let changes = json!({"changes": [
        {"collection": "a", "id": 1, "guard": "absent", "put": {"n": 1}},
        {"collection": "a", "id": 1, "guard": {"matches": {"n": 1}}, "update": {"$inc": {"n": 1}}},
        {"collection": "b", "id": "x", "put": {"_id": "x"}},
        {"collection": "b", "id": "y", "delete": true},
    ]});
    let done = server.post("/commit", changes).await.is(200).json();
    let revisions = done["revisions"].as_array().expect("revisions");
    assert_eq!(revisions.len(), 4);
    assert!(revisions[0].is_u64() && revisions[3].is_null(), "{done}");
    assert_eq!(
        server.get("/collections/a/documents/1").await.json(),
        json!({"_id": 1, "n": 2})
    );
    let tag = server
        .get("/collections/a/documents/1")
        .await
        .header("etag")
        .to_owned();
    assert_eq!(tag, format!("\"{}\"", revisions[1]));
}

#[tokio::test]
async fn one_refused_guard_refuses_the_whole_and_is_told_as_data() {
    let server = Server::new().await;
    let tag = server
        .put("/collections/acc/documents/1", json!({"balance": 5}))
        .await;
    let stored: u64 = tag.trim_matches('"').parse().expect("a revision");
    let changes = json!({"changes": [
        {"collection": "acc", "id": 2, "put": {"balance": 1}},
        {"collection": "acc", "id": 1, "guard": {"matches": {"balance": {"$gte": 10}}}, "update": {"$inc": {"balance": -10}}},
    ]});
    let refused = server
        .post("/commit", changes)
        .await
        .problem(409, "conflict", "")
        .json();
    assert_eq!(
        refused["refused"],
        json!([{"change": 1, "guard": "matches", "reason": "condition", "stored": stored}])
    );
    server.get("/collections/acc/documents/2").await.is(404);
    let check = async |guard: serde_json::Value, id: u64, reason: &str| {
        let change =
            json!({"changes": [{"collection": "acc", "id": id, "guard": guard, "delete": true}]});
        let refused = server.post("/commit", change).await.is(409).json();
        assert_eq!(refused["refused"][0]["reason"], reason, "{refused}");
    };
    check(json!("absent"), 1, "exists").await;
    check(json!("present"), 9, "missing").await;
    check(json!({"revision": 1_000_000}), 1, "revision").await;
    check(json!({"matches": {}}), 9, "missing").await;
}

#[tokio::test]
async fn a_malformed_change_is_told_by_its_place() {
    let server = Server::new().await;
    for (change, says) in [
        (json!({"collection": "a", "id": 1}), "one of put, update"),
        (json!({"collection": "a", "put": {}}), "\"id\""),
        (
            json!({"collection": "a", "id": 1, "put": {"_id": 2}}),
            "_id",
        ),
        (
            json!({"collection": "a", "id": 1, "delete": true, "put": {}}),
            "one of",
        ),
        (
            json!({"collection": "a", "id": 1, "delete": true, "guard": "maybe"}),
            "guard",
        ),
        (
            json!({"collection": "a", "id": 1, "delete": true, "extra": 1}),
            "extra",
        ),
        (
            json!({"collection": "a", "id": [1], "delete": true}),
            "array",
        ),
    ] {
        let body = json!({"changes": [{"collection": "a", "id": 0, "put": {}}, change]});
        let reply = server.post("/commit", body).await;
        let text = reply.is(422).text;
        assert!(
            text.contains("change 1") && text.contains(&says.replace('"', "\\\"")),
            "{says}: {text}"
        );
    }
    server.post("/commit", json!({"changes": []})).await.is(422);
}

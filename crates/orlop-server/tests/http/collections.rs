//! Collections: declared, listed, dropped, invalidated.

use serde_json::json;

use crate::support::Server;

#[tokio::test]
async fn a_collection_is_declared_listed_and_dropped() {
    let server = Server::new().await;
    let declaration = json!({
        "indexes": [{"key": {"userId": 1, "priority": -1}}, {"key": {"email": 1}, "unique": true}],
        "scope": ["userId"],
        "sensitive": ["secret"],
    });
    let created = server
        .json("PUT", "/collections/tasks", declaration.clone())
        .await
        .is(201)
        .json();
    assert_eq!(created["indexes"][0]["name"], "userId_1_priority_-1");
    assert_eq!(created["indexes"][0]["state"], "ready");
    server
        .json("PUT", "/collections/tasks", declaration)
        .await
        .is(200);
    server
        .put("/collections/tasks/documents/1", json!({"userId": 7}))
        .await;
    let one = server.get("/collections/tasks").await.is(200).json();
    assert_eq!(
        (&one["documents"], &one["state"]),
        (&json!(1), &json!("ready")),
        "{one}"
    );
    assert_eq!(one["sensitive"], json!(["secret"]));
    let all = server.get("/collections").await.is(200).json();
    let names: Vec<_> = all["collections"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|c| &c["name"])
        .collect();
    assert_eq!(names, ["tasks"], "the store's own are not told");
    server
        .send("DELETE", "/collections/tasks", &[], "")
        .await
        .is(204);
    server
        .get("/collections/tasks")
        .await
        .problem(404, "not_found", "tasks");
    server
        .send("DELETE", "/collections/tasks", &[], "")
        .await
        .is(404);
    server.get("/collections/tasks/documents/1").await.is(404);
}

#[tokio::test]
async fn a_collection_nobody_declared_works_and_is_told() {
    let server = Server::new().await;
    server
        .put("/collections/free.form/documents/x", json!({"a": 1}))
        .await;
    let one = server.get("/collections/free.form").await.is(200).json();
    assert_eq!(one["documents"], 1, "{one}");
}

#[tokio::test]
async fn a_declaration_that_is_wrong_is_refused_by_its_field() {
    let server = Server::new().await;
    for declaration in [
        json!({"indices": []}),
        json!({"indexes": [{"key": {}}]}),
        json!({"indexes": [{"key": {"a": 0}}]}),
        json!({"sensitive": 5}),
    ] {
        let reply = server
            .json("PUT", "/collections/c", declaration.clone())
            .await;
        assert!(
            matches!(reply.status, 422 | 501),
            "{declaration}: {reply:?}"
        );
    }
}

#[tokio::test]
async fn names_of_the_stores_own_collections_are_refused_everywhere() {
    let server = Server::new().await;
    let own = "/collections/_orlop.idempotency";
    server
        .get(own)
        .await
        .problem(422, "invalid", "the store's own");
    server.get(&format!("{own}/documents/1")).await.is(422);
    server
        .post(&format!("{own}/query"), json!({}))
        .await
        .is(422);
    let change = json!({"changes": [{"collection": "_orlop.secrets", "id": 1, "delete": true}]});
    server
        .post("/commit", change)
        .await
        .problem(422, "invalid", "change 0");
}

#[tokio::test]
async fn an_invalidation_reaches_every_scope_its_filter_pins() {
    let server = Server::new().await;
    let scopes = json!({"scope": [["a", "b"], ["a"], ["b"]]});
    server.json("PUT", "/collections/t", scopes).await.is(201);
    let how = async |filter: &serde_json::Value| {
        let reply = server
            .post("/collections/t/query", json!({"filter": filter}))
            .await;
        reply.header("cache-status").to_owned()
    };
    let filters = [json!({"a": 1}), json!({"b": 2}), json!({"a": 1, "b": 2})];
    for filter in &filters {
        how(filter).await;
        assert_eq!(how(filter).await, "orlop; hit; detail=local", "{filter}");
    }
    let pins = json!({"filter": {"a": 1, "b": 2}});
    server.post("/collections/t/invalidate", pins).await.is(204);
    for filter in &filters {
        assert_eq!(how(filter).await, "orlop; fwd=miss", "{filter}");
    }
}

#[tokio::test]
async fn a_field_declared_sensitive_later_is_left_out_of_lists_asked_for_before() {
    let server = Server::new().await;
    server
        .put("/collections/t/documents/1", json!({"secret": 4711}))
        .await;
    let list = async || {
        server
            .get("/collections/t/documents?limit=5")
            .await
            .is(200)
            .text
    };
    assert!(list().await.contains("4711"), "it is no secret yet");
    server
        .json("PUT", "/collections/t", json!({"sensitive": ["secret"]}))
        .await
        .is(200);
    assert!(!list().await.contains("4711"), "it is one now");
}

#[tokio::test]
async fn an_invalidation_costs_a_miss_and_nothing_else() {
    let server = Server::new().await;
    server
        .json("PUT", "/collections/t", json!({"scope": ["userId"]}))
        .await
        .is(201);
    server
        .put("/collections/t/documents/1", json!({"userId": 7}))
        .await;
    let query = json!({"filter": {"userId": 7}});
    let one = async || {
        server
            .get("/collections/t/documents/1")
            .await
            .header("cache-status")
            .to_owned()
    };
    let list = async || {
        let reply = server.post("/collections/t/query", query.clone()).await;
        reply.header("cache-status").to_owned()
    };
    let warm = async || {
        one().await;
        list().await;
        assert_eq!(
            (one().await.as_str(), list().await.as_str()),
            ("orlop; hit; detail=local", "orlop; hit; detail=local")
        );
    };
    let invalidate = "/collections/t/invalidate";
    warm().await;
    server.post(invalidate, json!({"id": 1})).await.is(204);
    assert_eq!(one().await, "orlop; fwd=miss");
    warm().await;
    server
        .post(invalidate, json!({"filter": {"userId": 7}}))
        .await
        .is(204);
    assert_eq!(list().await, "orlop; fwd=miss");
    warm().await;
    server.post(invalidate, json!({})).await.is(204);
    assert_eq!(
        (one().await.as_str(), list().await.as_str()),
        ("orlop; fwd=miss", "orlop; fwd=miss")
    );
    warm().await;
    server.post("/cache/invalidate", json!({})).await.is(204);
    assert_eq!(
        (one().await.as_str(), list().await.as_str()),
        ("orlop; fwd=miss", "orlop; fwd=miss")
    );
    server
        .post(invalidate, json!({"filter": {"other": 7}}))
        .await
        .problem(422, "invalid", "userId");
}

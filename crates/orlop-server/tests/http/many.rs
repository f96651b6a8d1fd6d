//! Lines, and writes by filter.

use serde_json::{Value, json};

use crate::support::{Reply, Server};

async fn lines(server: &Server, path: &str, text: &str) -> Reply {
    let headers = [("content-type", "application/x-ndjson")];
    server.send("POST", path, &headers, text.to_owned()).await
}

#[tokio::test]
async fn lines_are_added_and_the_bad_ones_are_told_by_their_numbers() {
    let server = Server::new().await;
    let unique = json!({"indexes": [{"key": {"email": 1}, "unique": true, "sparse": true}]});
    server.json("PUT", "/collections/u", unique).await.is(201);
    server
        .put("/collections/u/documents/1", json!({"email": "taken"}))
        .await;
    let text = [
        r#"{"_id": 2, "email": "a"}"#,
        "",
        r#"{"_id": 3"#,
        r#"{"_id": 1}"#,
        r#"{"_id": [1]}"#,
        r#"{"_id": 4, "email": "taken"}"#,
        r#"{"_id": 5}"#,
        r#"{"_id": 5}"#,
        r#"{"text": "own id"}"#,
    ]
    .join("\n");
    let reply = lines(&server, "/collections/u/documents", &text)
        .await
        .is(201)
        .json();
    assert_eq!(reply["inserted"], 3, "{reply}");
    let told: Vec<(u64, &str)> = reply["errors"]
        .as_array()
        .expect("errors")
        .iter()
        .map(|error| {
            (
                error["line"].as_u64().expect("a line"),
                error["code"].as_str().expect("a code"),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (3, "invalid"),
            (4, "already_exists"),
            (5, "invalid"),
            (6, "already_exists"),
            (8, "already_exists")
        ]
    );
    let count = server.post("/collections/u/count", json!({})).await.json();
    assert_eq!(count["count"], 4);
    let none = lines(&server, "/collections/u/documents", r#"{"_id": 1}"#)
        .await
        .is(422)
        .json();
    assert_eq!(none["inserted"], 0);
}

#[tokio::test]
async fn lines_replace_what_is_there_when_asked() {
    let server = Server::new().await;
    server
        .put("/collections/u/documents/1", json!({"a": 1}))
        .await;
    let path = "/collections/u/documents?mode=replace";
    let reply = lines(&server, path, "{\"_id\": 1, \"a\": 2}\n{\"_id\": 2}")
        .await
        .is(201)
        .json();
    assert_eq!(reply, json!({"inserted": 2, "errors": []}));
    assert_eq!(
        server.get("/collections/u/documents/1").await.json()["a"],
        2
    );
}

#[tokio::test]
async fn lines_are_stored_as_they_are_unless_defaults_are_asked_for() {
    let server = Server::new().await;
    let declaration = json!({"defaults": {"n": 5}, "timestamps": true});
    server
        .json("PUT", "/collections/d", declaration)
        .await
        .is(201);
    let path = "/collections/d/documents";
    lines(&server, path, r#"{"_id": 1}"#).await.is(201);
    lines(&server, &format!("{path}?defaults=true"), r#"{"_id": 2}"#)
        .await
        .is(201);
    server.post(path, json!({"_id": 3})).await.is(201);
    let read = async |id: u8| server.get(&format!("{path}/{id}")).await.is(200).json();
    assert_eq!(read(1).await, json!({"_id": 1}));
    for id in [2, 3] {
        let document = read(id).await;
        assert_eq!(document["n"], 5, "{document}");
        assert!(document["createdAt"]["$date"].is_string(), "{document}");
    }
}

#[tokio::test]
async fn an_update_by_filter_changes_all_that_match_at_once() {
    let server = Server::new().await;
    for n in 0..5 {
        server
            .put(
                &format!("/collections/t/documents/{n}"),
                json!({"n": n, "tags": ["a", "b"]}),
            )
            .await;
    }
    let update = json!({"filter": {"n": {"$gte": 2}}, "update": {"$set": {"done": true}}});
    let done = server
        .post("/collections/t/update", update.clone())
        .await
        .is(200)
        .json();
    assert_eq!(
        (&done["matched"], &done["modified"]),
        (&json!(3), &json!(3)),
        "{done}"
    );
    let again = server
        .post("/collections/t/update", update)
        .await
        .is(200)
        .json();
    assert_eq!(
        (&again["matched"], &again["modified"]),
        (&json!(3), &json!(0)),
        "{again}"
    );
    let positional = json!({"filter": {"tags": "b"}, "update": {"$set": {"tags.$": "c"}}});
    server
        .post("/collections/t/update", positional)
        .await
        .is(200);
    assert_eq!(
        server.get("/collections/t/documents/0").await.json()["tags"],
        json!(["a", "c"])
    );
    let pipeline = json!({"filter": {}, "update": [{"$set": {"m": {"$add": ["$n", 10]}}}]});
    server.post("/collections/t/update", pipeline).await.is(200);
    assert_eq!(
        server.get("/collections/t/documents/4").await.json()["m"],
        14
    );
    let filters = json!({
        "filter": {}, "update": {"$set": {"tags.$[x]": "z"}}, "arrayFilters": [{"x": "a"}]
    });
    server.post("/collections/t/update", filters).await.is(200);
    assert_eq!(
        server.get("/collections/t/documents/0").await.json()["tags"],
        json!(["z", "c"])
    );
}

#[tokio::test]
async fn an_upsert_creates_what_the_filter_and_the_update_make() {
    let server = Server::new().await;
    let update = json!({
        "filter": {"_id": 9, "kind": "x"}, "update": {"$set": {"a": 1}, "$setOnInsert": {"b": 2}}, "upsert": true
    });
    let made = server
        .post("/collections/t/update", update.clone())
        .await
        .is(200)
        .json();
    assert_eq!(
        (&made["matched"], &made["upserted"]),
        (&json!(0), &json!(9)),
        "{made}"
    );
    let stored = server
        .get("/collections/t/documents/9")
        .await
        .is(200)
        .json();
    assert_eq!(stored, json!({"_id": 9, "kind": "x", "a": 1, "b": 2}));
    let again = server
        .post("/collections/t/update", update)
        .await
        .is(200)
        .json();
    assert_eq!(again["matched"], 1, "{again}");
}

#[tokio::test]
async fn a_delete_by_filter_needs_its_filter() {
    let server = Server::new().await;
    for n in 0..4 {
        server
            .put(&format!("/collections/t/documents/{n}"), json!({"n": n}))
            .await;
    }
    server
        .post("/collections/t/delete", json!({}))
        .await
        .problem(422, "invalid", "filter");
    let done = server
        .post(
            "/collections/t/delete",
            json!({"filter": {"n": {"$lt": 3}}}),
        )
        .await
        .is(200)
        .json();
    assert_eq!(done["deleted"], 3, "{done}");
    let rest = server.post("/collections/t/query", json!({})).await.json();
    assert_eq!(rest["documents"], json!([{"_id": 3, "n": 3}]));
}

#[tokio::test]
async fn more_than_a_batch_is_written_only_in_chunks() {
    let server = Server::new().await;
    let text: String = (0..10_001).map(|n| format!("{{\"_id\": {n}}}\n")).collect();
    let added = lines(&server, "/collections/t/documents", &text)
        .await
        .is(201)
        .json();
    assert_eq!(added["inserted"], 10_001, "{added}");
    let mut update = json!({"filter": {}, "update": {"$set": {"a": 1}}});
    server
        .post("/collections/t/update", update.clone())
        .await
        .problem(422, "invalid", "chunked");
    assert_eq!(
        server
            .post("/collections/t/count", json!({"filter": {"a": 1}}))
            .await
            .json()["count"],
        0
    );
    update["chunked"] = Value::Bool(true);
    let done = server
        .post("/collections/t/update", update)
        .await
        .is(200)
        .json();
    assert_eq!(
        (&done["matched"], &done["modified"]),
        (&json!(10_001), &json!(10_001))
    );
    let page = server
        .post("/collections/t/query", json!({"limit": 10_000}))
        .await
        .json();
    assert!(page["cursor"].is_string(), "one remains");
}

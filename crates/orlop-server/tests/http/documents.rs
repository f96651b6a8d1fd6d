//! One document: its id, its forms, its conditional headers.

use serde_json::json;

use crate::support::Server;

const TASK: &str = "/collections/tasks/documents/7";

#[tokio::test]
async fn a_document_is_put_read_and_deleted_by_its_id() {
    let server = Server::new().await;
    server.get(TASK).await.problem(404, "not_found", "tasks");
    let created = server
        .json("PUT", TASK, json!({"title": "a"}))
        .await
        .is(201);
    assert_eq!(created.json(), json!({"_id": 7, "title": "a"}));
    let read = server.get(TASK).await.is(200);
    assert_eq!(read.header("content-type"), "application/json");
    assert_eq!(read.header("etag"), created.header("etag"));
    assert_eq!(read.json(), json!({"_id": 7, "title": "a"}));
    let replaced = server
        .json("PUT", TASK, json!({"_id": 7, "b": 1}))
        .await
        .is(200);
    assert_ne!(replaced.header("etag"), created.header("etag"));
    assert_eq!(server.get(TASK).await.json(), json!({"_id": 7, "b": 1}));
    let deleted = server.send("DELETE", TASK, &[], "").await.is(204);
    assert_eq!(deleted.text, "");
    server
        .send("DELETE", TASK, &[], "")
        .await
        .problem(404, "not_found", "tasks");
    server.get(TASK).await.is(404);
}

#[tokio::test]
async fn the_revision_is_shown_when_asked_for_and_ignored_when_sent() {
    let server = Server::new().await;
    let tag = server.put(TASK, json!({"a": 1, "_v": 999})).await;
    let shown = server
        .get(&format!("{TASK}?includeRevision=true"))
        .await
        .is(200)
        .json();
    assert_eq!(format!("\"{}\"", shown["_v"]), tag);
    assert!(
        server.get(TASK).await.json().get("_v").is_none(),
        "left out by default"
    );
}

#[tokio::test]
async fn a_miss_is_followed_by_a_hit_until_the_document_changes() {
    let server = Server::new().await;
    server.put(TASK, json!({"a": 1})).await;
    let how = async || server.get(TASK).await.header("cache-status").to_owned();
    assert_eq!(how().await, "orlop; fwd=miss");
    assert_eq!(how().await, "orlop; hit; detail=local");
    server.put(TASK, json!({"a": 2})).await;
    assert_eq!(how().await, "orlop; fwd=miss");
    assert_eq!(server.get(TASK).await.json()["a"], 2);
}

#[tokio::test]
async fn canonical_form_keeps_types_that_plain_json_has_not() {
    let server = Server::new().await;
    let body = r#"{"long": {"$numberLong": "1"}, "double": 1.0, "big": 9223372036854775807}"#;
    let json = [("content-type", "application/ejson")];
    server.send("PUT", TASK, &json, body).await.is(201);
    let canonical = server
        .send("GET", TASK, &[("accept", "application/ejson")], "")
        .await
        .is(200);
    assert_eq!(canonical.header("content-type"), "application/ejson");
    assert_eq!(
        canonical.text,
        r#"{"_id":{"$numberInt":"7"},"long":{"$numberLong":"1"},"double":{"$numberDouble":"1.0"},"big":{"$numberLong":"9223372036854775807"}}"#
    );
    assert_eq!(
        server.get(TASK).await.text,
        r#"{"_id":7,"long":1,"double":1.0,"big":9223372036854775807}"#
    );
}

#[tokio::test]
async fn one_is_one_id_in_every_width_and_the_text_one_is_another() {
    let server = Server::new().await;
    let path = |id: &str| format!("/collections/c/documents/{id}");
    server.put(&path("1"), json!({"a": "number"})).await;
    for id in ["1.0", "%7B%22$numberLong%22:%221%22%7D", "1e0"] {
        assert_eq!(
            server.get(&path(id)).await.is(200).json()["a"],
            "number",
            "{id}"
        );
    }
    server.get(&path("%221%22")).await.is(404);
    server.put(&path("%221%22"), json!({"a": "text"})).await;
    assert_eq!(server.get(&path("1")).await.json()["a"], "number");
    server
        .get(&path("%5B1%5D"))
        .await
        .problem(400, "invalid", "array");
    server.get(&path("%FF")).await.is(400);
}

#[tokio::test]
async fn conditional_headers_guard_writes_and_spare_reads() {
    let server = Server::new().await;
    let put = async |headers: &[(&str, &str)]| {
        let body = json!({"n": 1}).to_string();
        let json = [("content-type", "application/json")];
        server
            .send("PUT", TASK, &[&json, headers].concat(), body)
            .await
    };
    let absent = put(&[("if-match", "*")])
        .await
        .problem(412, "conflict", "no such document");
    assert!(!absent.has("etag"), "none when absent");
    put(&[("if-match", "\"1\"")]).await.is(412);
    let first = put(&[("if-none-match", "*")])
        .await
        .is(201)
        .header("etag")
        .to_owned();
    let taken = put(&[("if-none-match", "*")])
        .await
        .problem(412, "conflict", "revision");
    assert_eq!(taken.header("etag"), first);
    let unchanged = server
        .send("GET", TASK, &[("if-none-match", &first)], "")
        .await
        .is(304);
    assert_eq!(
        (unchanged.text.as_str(), unchanged.header("etag")),
        ("", first.as_str())
    );
    let changed = server
        .json("PATCH", TASK, json!({"update": {"$inc": {"n": 1}}}))
        .await
        .is(200);
    let second = changed.header("etag").to_owned();
    server
        .send("GET", TASK, &[("if-none-match", &first)], "")
        .await
        .is(200);
    assert_eq!(
        put(&[("if-match", &first)]).await.is(412).header("etag"),
        second
    );
    let delete = server
        .send("DELETE", TASK, &[("if-match", &first)], "")
        .await;
    assert_eq!(delete.is(412).header("etag"), second);
    put(&[("if-match", &format!("{first}, {second}"))])
        .await
        .is(200);
    put(&[("if-match", "7")])
        .await
        .problem(400, "invalid", "quotes");
    put(&[("if-match", "*"), ("if-none-match", "*")])
        .await
        .is(400);
}

#[tokio::test]
async fn a_patch_merges_or_updates() {
    let server = Server::new().await;
    server
        .put(TASK, json!({"a": {"b": 1, "c": 2}, "d": 3}))
        .await;
    let merge = [("content-type", "application/merge-patch+json")];
    let patch = json!({"a": {"b": null, "e": {"$numberLong": "5"}}, "d": [1], "_v": 5, "_id": 7.0});
    let patched = server
        .send("PATCH", TASK, &merge, patch.to_string())
        .await
        .is(200);
    assert_eq!(
        patched.json(),
        json!({"_id": 7, "a": {"c": 2, "e": 5}, "d": [1]})
    );
    let update = json!({"update": {"$set": {"a.c": 9}, "$push": {"d": 2}}});
    let updated = server.json("PATCH", TASK, update).await.is(200);
    assert_eq!(
        updated.json(),
        json!({"_id": 7, "a": {"c": 9, "e": 5}, "d": [1, 2]})
    );
    let missing = "/collections/tasks/documents/8";
    server.send("PATCH", missing, &merge, "{}").await.is(404);
    server
        .json("PATCH", missing, json!({"update": {"$set": {"a": 1}}}))
        .await
        .is(404);
    server
        .json("PATCH", TASK, json!({"a": 1}))
        .await
        .problem(422, "invalid", "merge-patch+json");
    server
        .send("PATCH", TASK, &merge, r#"{"_id": 8}"#)
        .await
        .problem(422, "invalid", "_id");
}

#[tokio::test]
async fn a_posted_document_gets_an_id_and_a_taken_one_is_refused() {
    let server = Server::new().await;
    let made = server
        .post("/collections/notes/documents", json!({"text": "x"}))
        .await
        .is(201);
    let path = made
        .header("location")
        .strip_prefix("/api/v1")
        .expect("a path here")
        .to_owned();
    let read = server.get(&path).await.is(200);
    assert_eq!(read.header("etag"), made.header("etag"));
    assert_eq!(read.json()["text"], "x");
    assert!(
        read.json()["_id"]["$oid"].is_string(),
        "an ObjectId: {read:?}"
    );
    let own = server
        .post("/collections/notes/documents", json!({"_id": "a/b c"}))
        .await
        .is(201);
    let path = own
        .header("location")
        .strip_prefix("/api/v1")
        .expect("a path here")
        .to_owned();
    assert_eq!(server.get(&path).await.is(200).json()["_id"], "a/b c");
    server
        .post("/collections/notes/documents", json!({"_id": "a/b c"}))
        .await
        .problem(409, "already_exists", "");
}

#[tokio::test]
async fn a_location_leads_to_collections_of_any_name() {
    let server = Server::new().await;
    for name in ["42", "true", "a%2Fb", "a%20b", "%C3%BC"] {
        let made = server
            .post(&format!("/collections/{name}/documents"), json!({"_id": 1}))
            .await
            .is(201);
        let path = made.header("location").strip_prefix("/api/v1");
        let read = server.get(path.expect("a path here")).await.is(200);
        assert_eq!(read.json(), json!({"_id": 1}), "{name}");
    }
}

#[tokio::test]
async fn sensitive_fields_are_left_out_unless_asked_for() {
    let server = Server::new().await;
    server
        .json(
            "PUT",
            "/collections/users",
            json!({"sensitive": ["password", "keys.secret"]}),
        )
        .await
        .is(201);
    let path = "/collections/users/documents/1";
    let secret = json!({"name": "a", "password": "p4ss", "keys": [{"secret": "k3y", "id": 1}]});
    let put = server.json("PUT", path, secret).await.is(201);
    let patch = server
        .json("PATCH", path, json!({"update": {"$set": {"name": "b"}}}))
        .await;
    let query = server
        .post("/collections/users/query", json!({"includeRevision": true}))
        .await;
    let listed = server.get("/collections/users/documents").await;
    for reply in [put, patch, query, listed, server.get(path).await] {
        assert!(reply.text.contains("name"), "{reply:?}");
        assert!(
            !reply.text.contains("p4ss") && !reply.text.contains("k3y"),
            "{reply:?}"
        );
    }
    let asked = server
        .get(&format!("{path}?includeSensitive=true"))
        .await
        .is(200);
    assert_eq!(asked.json()["password"], "p4ss");
    let sorted = json!({"sort": {"password": 1}});
    server
        .post("/collections/users/query", sorted)
        .await
        .problem(422, "invalid", "sensitive");
    let distinct = json!({"field": "keys.secret"});
    server
        .post("/collections/users/distinct", distinct)
        .await
        .problem(422, "invalid", "sensitive");
}

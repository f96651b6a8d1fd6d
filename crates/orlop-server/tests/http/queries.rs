//! Pages, counts, plans, and lists from the cache.

use serde_json::{Value, json};

use crate::support::Server;

async fn with_tasks(count: i64) -> Server {
    let server = Server::new().await;
    let index = json!({"indexes": [{"key": {"userId": 1, "n": -1}}], "scope": ["userId"]});
    server.json("PUT", "/collections/t", index).await.is(201);
    for n in 0..count {
        let body = json!({"n": n, "userId": n % 2, "tags": ["x", n % 3]});
        server
            .put(&format!("/collections/t/documents/{n}"), body)
            .await;
    }
    server
}

fn ids(page: &Value) -> Vec<i64> {
    let documents = page["documents"].as_array().expect("documents");
    documents
        .iter()
        .map(|document| document["_id"].as_i64().expect("a number"))
        .collect()
}

#[tokio::test]
async fn a_query_filters_sorts_projects_and_skips() {
    let server = with_tasks(10).await;
    let query = json!({
        "filter": {"userId": 1}, "sort": {"n": -1}, "projection": {"n": 1}, "skip": 1, "limit": 2
    });
    let page = server
        .post("/collections/t/query", query)
        .await
        .is(200)
        .json();
    assert_eq!(
        page["documents"],
        json!([{"_id": 7, "n": 7}, {"_id": 5, "n": 5}])
    );
    assert!(page["cursor"].is_string(), "more remain: {page}");
    let all = server
        .post("/collections/t/query", json!({}))
        .await
        .is(200)
        .json();
    assert_eq!((ids(&all).len(), &all["cursor"]), (10, &Value::Null));
}

#[tokio::test]
async fn the_same_list_is_read_by_get() {
    let server = with_tasks(6).await;
    let path = "/collections/t/documents?filter=%7B%22userId%22:1%7D&sort=%7B%22n%22:-1%7D&limit=2";
    assert_eq!(ids(&server.get(path).await.is(200).json()), [5, 3]);
    server
        .get("/collections/t/documents?filtr=%7B%7D")
        .await
        .problem(422, "invalid", "filtr");
    server
        .get("/collections/t/documents?filter=%7B")
        .await
        .problem(400, "invalid", "filter");
}

#[tokio::test]
async fn pages_show_every_document_once_while_others_write() {
    let server = with_tasks(25).await;
    for sort in [
        json!({}),
        json!({"userId": 1}),
        json!({"userId": -1, "n": 1}),
    ] {
        let mut seen = Vec::new();
        let mut cursor = Value::Null;
        let mut extra = 1000;
        loop {
            let query =
                json!({"filter": {"n": {"$lt": 25}}, "sort": sort, "limit": 4, "cursor": cursor});
            let page = server
                .post("/collections/t/query", query)
                .await
                .is(200)
                .json();
            seen.extend(ids(&page));
            extra += 1;
            server
                .put(
                    &format!("/collections/t/documents/{extra}"),
                    json!({"n": extra}),
                )
                .await;
            cursor = page["cursor"].clone();
            if cursor.is_null() {
                break;
            }
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..25).collect::<Vec<_>>(), "{sort}");
    }
}

#[tokio::test]
async fn documents_passed_over_are_passed_over_once() {
    let server = with_tasks(10).await;
    let mut seen = Vec::new();
    let mut cursor = Value::Null;
    loop {
        let query = json!({"skip": 3, "limit": 2, "cursor": cursor});
        let page = server
            .post("/collections/t/query", query)
            .await
            .is(200)
            .json();
        seen.extend(ids(&page));
        cursor = page["cursor"].clone();
        if cursor.is_null() {
            break;
        }
    }
    assert_eq!(seen, [3, 4, 5, 6, 7, 8, 9]);
}

#[tokio::test]
async fn a_cursor_of_another_query_or_another_life_is_refused() {
    let server = with_tasks(5).await;
    let query = json!({"limit": 2});
    let page = server.post("/collections/t/query", query).await.json();
    let cursor = &page["cursor"];
    let other = json!({"filter": {"n": 1}, "cursor": cursor});
    server
        .post("/collections/t/query", other)
        .await
        .problem(422, "invalid", "another query");
    server
        .post("/collections/t/query", json!({"cursor": "x"}))
        .await
        .problem(400, "invalid", "cursor");
    let life = with_tasks(5).await;
    let again = json!({"limit": 2, "cursor": cursor});
    life.post("/collections/t/query", again)
        .await
        .problem(410, "not_found", "earlier life");
}

#[tokio::test]
async fn a_list_is_cached_until_its_scope_changes_and_its_tag_says_so() {
    let server = with_tasks(4).await;
    let query = json!({"filter": {"userId": 1}});
    let send = async |headers: &[(&str, &str)]| {
        let json = [("content-type", "application/json")];
        server
            .send(
                "POST",
                "/collections/t/query",
                &[&json, headers].concat(),
                query.to_string(),
            )
            .await
    };
    let first = send(&[]).await.is(200);
    assert_eq!(first.header("cache-status"), "orlop; fwd=miss");
    let tag = first.header("etag").to_owned();
    assert!(tag.starts_with("W/\""), "{tag}");
    assert_eq!(
        send(&[]).await.header("cache-status"),
        "orlop; hit; detail=local"
    );
    send(&[("if-none-match", &tag)]).await.is(304);
    server
        .put("/collections/t/documents/0", json!({"userId": 0, "n": 9}))
        .await;
    send(&[("if-none-match", &tag)]).await.is(304);
    server
        .put("/collections/t/documents/0", json!({"userId": 1, "n": 9}))
        .await;
    let moved = send(&[("if-none-match", &tag)]).await.is(200);
    assert_eq!(ids(&moved.json()), [0, 1, 3]);
    assert_ne!(moved.header("etag"), tag);
}

#[tokio::test]
async fn explain_names_the_index_and_what_it_cost() {
    let server = with_tasks(10).await;
    let query = json!({"filter": {"userId": 1}, "sort": {"n": -1}, "limit": 3});
    let plan = server
        .post("/collections/t/explain", query)
        .await
        .is(200)
        .json();
    assert_eq!(plan["index"], "userId_1_n_-1", "{plan}");
    assert_eq!(plan["returned"], 3, "{plan}");
    assert!(
        plan["documentsExamined"].as_i64().expect("a number") <= 4,
        "{plan}"
    );
    let scan = server
        .post("/collections/t/explain", json!({"filter": {"tags": "x"}}))
        .await
        .json();
    assert_eq!(
        (&scan["index"], &scan["documentsExamined"]),
        (&Value::Null, &json!(10)),
        "{scan}"
    );
}

#[tokio::test]
async fn counts_and_distinct_values_are_read() {
    let server = with_tasks(7).await;
    let count = async |body: Value| {
        server
            .post("/collections/t/count", body)
            .await
            .is(200)
            .json()["count"]
            .clone()
    };
    assert_eq!(count(json!({})).await, 7);
    assert_eq!(count(json!({"filter": {"userId": 1}})).await, 3);
    let distinct = json!({"field": "tags", "filter": {"n": {"$lt": 5}}});
    let values = server
        .post("/collections/t/distinct", distinct)
        .await
        .is(200)
        .json();
    let mut values: Vec<String> = values["values"]
        .as_array()
        .expect("values")
        .iter()
        .map(Value::to_string)
        .collect();
    values.sort();
    assert_eq!(values, ["\"x\"", "0", "1", "2"]);
}

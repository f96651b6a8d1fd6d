//! The feed: order, resuming, filters, and how it ends.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::Request;
use futures_util::StreamExt as _;
use orlop_server::app::AppSettings;
use serde_json::{Value, json};

use crate::support::{Server, TOKEN};

/// A feed as a client reads it.
struct Feed {
    body: BodyDataStream,
    text: String,
}

#[derive(Debug)]
struct Event {
    id: Option<String>,
    name: String,
    data: Value,
}

impl Feed {
    async fn open(server: &Server, query: &str, last: Option<&str>) -> Self {
        let (status, feed) = Self::ask(server, query, last).await;
        assert_eq!(status, 200);
        feed
    }

    async fn ask(server: &Server, query: &str, last: Option<&str>) -> (u16, Self) {
        let mut request = Request::builder()
            .uri(format!("/api/v1/collections/t/changes{query}"))
            .header("authorization", format!("Bearer {TOKEN}"));
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let answer = server
            .raw(request.body(Body::empty()).expect("a request"))
            .await;
        let status = answer.status().as_u16();
        let body = answer.into_body().into_data_stream();
        let text = String::new();
        (status, Self { body, text })
    }

    /// The next block; none when the feed has ended.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let block = block.to_owned();
                self.text = rest.to_owned();
                return Some(block);
            }
            let chunk = self.body.next().await?.expect("a chunk");
            self.text
                .push_str(std::str::from_utf8(&chunk).expect("UTF-8"));
        }
    }

    /// The next event, comments passed over.
    async fn event(&mut self) -> Event {
        loop {
            let block = self.block().await.expect("the feed goes on");
            let field = |name: &str| {
                let start = format!("{name}: ");
                block
                    .lines()
                    .find_map(|line| line.strip_prefix(&start))
                    .map(str::to_owned)
            };
            if let (Some(name), Some(data)) = (field("event"), field("data")) {
                let data = serde_json::from_str(&data).expect("JSON");
                return Event {
                    id: field("id"),
                    name,
                    data,
                };
            }
        }
    }
}

#[tokio::test]
async fn puts_and_deletes_are_told_in_order_and_resumed_behind_any() {
    let server = Server::new().await;
    let mut feed = Feed::open(&server, "?before=true", None).await;
    let greeting = feed.block().await.expect("the greeting");
    let place = greeting.lines().find_map(|line| line.strip_prefix("id: "));
    let place = place.expect("a place to resume at");
    server
        .put("/collections/t/documents/1", json!({"n": 1}))
        .await;
    server
        .put("/collections/other/documents/1", json!({}))
        .await;
    let batch = json!({"changes": [
        {"collection": "t", "id": 1, "update": {"$inc": {"n": 1}}},
        {"collection": "t", "id": 2, "put": {"n": 5}},
        {"collection": "t", "id": 3, "put": {"n": 6}},
    ]});
    server.post("/commit", batch).await.is(200);
    server
        .send("DELETE", "/collections/t/documents/2", &[], "")
        .await
        .is(204);
    let mut events = Vec::new();
    for _ in 0..5 {
        events.push(feed.event().await);
    }
    let told: Vec<(&str, &Value, &Value)> = events
        .iter()
        .map(|e| (e.name.as_str(), &e.data["id"], &e.data["document"]["n"]))
        .collect();
    assert_eq!(
        told,
        [
            ("put", &json!(1), &json!(1)),
            ("put", &json!(1), &json!(2)),
            ("put", &json!(2), &json!(5)),
            ("put", &json!(3), &json!(6)),
            ("delete", &json!(2), &Value::Null),
        ]
    );
    assert_eq!(events[1].data["before"]["n"], 1);
    assert_eq!(events[4].data["before"]["n"], 5);
    let mut resumed = Feed::open(&server, "", Some(place)).await;
    assert_eq!(
        resumed.event().await.id,
        events[0].id,
        "from where it began"
    );
    for behind in 0..4 {
        let id = events[behind].id.as_deref().expect("every event has an id");
        let mut resumed = Feed::open(&server, "", Some(id)).await;
        for expected in &events[behind + 1..] {
            let event = resumed.event().await;
            assert_eq!(
                (
                    &event.name,
                    &event.data["id"],
                    &event.data["revision"],
                    &event.id
                ),
                (
                    &expected.name,
                    &expected.data["id"],
                    &expected.data["revision"],
                    &expected.id
                ),
                "behind {behind}"
            );
        }
    }
}

#[tokio::test]
async fn a_filter_tells_documents_that_match_or_just_did() {
    let server = Server::new().await;
    server
        .put("/collections/t/documents/1", json!({"n": 1}))
        .await;
    let mut feed = Feed::open(&server, "?filter=%7B%22n%22:1%7D", None).await;
    server
        .put("/collections/t/documents/2", json!({"n": 2}))
        .await;
    server
        .put("/collections/t/documents/1", json!({"n": 3}))
        .await;
    server
        .put("/collections/t/documents/1", json!({"n": 4}))
        .await;
    server
        .put("/collections/t/documents/3", json!({"n": 1}))
        .await;
    assert_eq!(
        feed.event().await.data["document"],
        json!({"_id": 1, "n": 3})
    );
    assert_eq!(
        feed.event().await.data["document"],
        json!({"_id": 3, "n": 1})
    );
}

#[tokio::test]
async fn sensitive_fields_stay_out_of_the_feed() {
    let server = Server::new().await;
    server
        .json("PUT", "/collections/t", json!({"sensitive": ["secret"]}))
        .await
        .is(201);
    let mut feed = Feed::open(&server, "?before=true", None).await;
    server
        .put(
            "/collections/t/documents/1",
            json!({"secret": "s3cret", "a": 1}),
        )
        .await;
    server
        .put(
            "/collections/t/documents/1",
            json!({"secret": "s3cret", "a": 2}),
        )
        .await;
    feed.event().await;
    let event = feed.event().await;
    assert_eq!(
        (&event.data["document"], &event.data["before"]),
        (&json!({"_id": 1, "a": 2}), &json!({"_id": 1, "a": 1}))
    );
}

#[tokio::test]
async fn a_token_of_another_life_is_gone_and_a_mangled_one_is_malformed() {
    let server = Server::new().await;
    let mut feed = Feed::open(&server, "", None).await;
    server.put("/collections/t/documents/1", json!({})).await;
    let id = feed.event().await.id.expect("an id");
    let other = Server::new().await;
    assert_eq!(Feed::ask(&other, "", Some(&id)).await.0, 410);
    assert_eq!(Feed::ask(&other, "", Some("x")).await.0, 400);
}

#[tokio::test]
async fn a_quiet_feed_is_kept_open_and_ends_when_the_service_drains() {
    let settings = AppSettings {
        keep_alive: Duration::from_millis(1),
        request_timeout: Duration::from_millis(20),
        ..AppSettings::default()
    };
    let server = Server::with(settings).await;
    let mut feed = Feed::open(&server, "", None).await;
    feed.block().await.expect("the greeting");
    // Longer than a request may take: feeds are not bound by it.
    for _ in 0..50 {
        assert_eq!(feed.block().await.as_deref(), Some(": keep-alive"));
    }
    server.drain();
    while feed.block().await.is_some() {}
}

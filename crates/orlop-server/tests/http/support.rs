//! A service over a store in memory, and answers that are checked as they come.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request};
use http_body_util::BodyExt as _;
use jsonschema::Validator;
use orlop::Orlop;
use orlop_server::app::{App, AppSettings, router};
use orlop_server::auth::Auth;
use serde_json::{Value, json};
use tokio::sync::watch;
use tower::ServiceExt as _;

pub(crate) const TOKEN: &str = "a-service-token-for-tests-of-the-http-interface";

pub(crate) struct Server {
    pub(crate) db: Orlop,
    router: Router,
    draining: watch::Sender<bool>,
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Server {
    pub(crate) async fn new() -> Self {
        Self::with(AppSettings::default()).await
    }

    pub(crate) async fn with(settings: AppSettings) -> Self {
        let db = Orlop::open("memory:").await.expect("a store in memory");
        Self::over(db, settings).await
    }

    pub(crate) async fn over(db: Orlop, settings: AppSettings) -> Self {
        let (draining, told) = watch::channel(false);
        let auth = Auth::from_token(TOKEN).expect("long enough");
        let app = App::new(db.clone(), auth, settings, told)
            .await
            .expect("a service");
        Self {
            db,
            router: router(Arc::clone(&app)),
            draining,
        }
    }

    pub(crate) fn drain(&self) {
        self.draining.send_replace(true);
    }

    /// Sends what is given, as it is.
    pub(crate) async fn raw(&self, request: Request<Body>) -> axum::response::Response {
        let answer = self.router.clone().oneshot(request).await;
        answer.unwrap_or_else(|never| match never {})
    }

    /// Sends a call of the data plane, path behind `/api/v1`, and checks the answer.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Reply {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/api/v1{path}"))
            .header("authorization", format!("Bearer {TOKEN}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = self
            .raw(request.body(body.into()).expect("a request"))
            .await;
        let (parts, body) = answer.into_parts();
        let bytes = body.collect().await.expect("the whole body").to_bytes();
        let reply = Reply {
            status: parts.status.as_u16(),
            headers: parts.headers,
            text: String::from_utf8(bytes.to_vec()).expect("UTF-8"),
        };
        conforms(method, path, &reply);
        reply
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[], Body::empty()).await
    }

    /// Sends JSON.
    pub(crate) async fn json(&self, method: &str, path: &str, body: Value) -> Reply {
        let headers = [("content-type", "application/json")];
        self.send(method, path, &headers, body.to_string()).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Reply {
        self.json("POST", path, body).await
    }

    /// Stores a document whole and returns its tag.
    pub(crate) async fn put(&self, path: &str, body: Value) -> String {
        let reply = self.json("PUT", path, body).await;
        assert!(matches!(reply.status, 200 | 201), "{reply:?}");
        reply.header("etag").to_owned()
    }
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self
            .headers
            .get(name)
            .unwrap_or_else(|| panic!("no {name}: {self:?}"));
        value.to_str().expect("a header of text")
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.headers.contains_key(name)
    }

    /// Checks the status, and shows the answer when it is another.
    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    /// Checks that it is a problem with this status and code, whose detail says `says`.
    #[track_caller]
    pub(crate) fn problem(self, status: u16, code: &str, says: &str) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json");
        let body = self.json();
        assert_eq!(body["status"], status, "{body}");
        assert_eq!(body["code"], code, "{body}");
        assert_eq!(body["requestId"], self.header("x-request-id"), "{body}");
        let detail = body["detail"].as_str().expect("a detail");
        assert!(detail.contains(says), "{says:?} is not in {detail:?}");
        self
    }
}

fn openapi() -> &'static Value {
    static OPENAPI: OnceLock<Value> = OnceLock::new();
    OPENAPI.get_or_init(|| {
        serde_json::from_str(include_str!("../../src/http/openapi.json")).expect("JSON")
    })
}

/// Whether the answer is one that the description names for this route.
fn conforms(method: &str, path: &str, reply: &Reply) {
    assert!(
        reply.has("x-request-id") && reply.has("orlop-session"),
        "{reply:?}"
    );
    let path = path.split('?').next().unwrap_or_default();
    let Some((template, operation)) = operation(method, path) else {
        return;
    };
    let status = reply.status.to_string();
    let Some(mut response) = operation["responses"].get(&status) else {
        panic!("{method} {template} does not describe {status}: {reply:?}");
    };
    let mut pointer = format!(
        "/paths/{}/{}/responses/{status}",
        escape(&template),
        method.to_lowercase()
    );
    if let Some(reference) = response.get("$ref").and_then(Value::as_str) {
        pointer = reference.trim_start_matches('#').to_owned();
        response = openapi()
            .pointer(&pointer)
            .expect("a response that is described");
    }
    if reply.text.is_empty() {
        return;
    }
    let kind = reply.header("content-type");
    assert!(
        response["content"].get(kind).is_some(),
        "{method} {template} {status} does not describe {kind}: {reply:?}"
    );
    pointer = format!("#{pointer}/content/{}/schema", escape(kind));
    check(&pointer, &reply.json(), reply);
}

fn operation(method: &str, path: &str) -> Option<(String, &'static Value)> {
    let paths = openapi()["paths"].as_object().expect("paths");
    let parts: Vec<&str> = path.split('/').collect();
    let fits = |template: &str| {
        let template: Vec<&str> = template.split('/').collect();
        template.len() == parts.len()
            && template
                .iter()
                .zip(&parts)
                .all(|(t, p)| t.starts_with('{') || t == p)
    };
    let (template, item) = paths.iter().find(|(template, _)| fits(template))?;
    let operation = item.get(method.to_lowercase())?;
    Some((template.clone(), operation))
}

fn escape(part: &str) -> String {
    part.replace('~', "~0")
        .replace('/', "~1")
        .replace('{', "%7B")
        .replace('}', "%7D")
}

fn check(pointer: &str, body: &Value, reply: &Reply) {
    static VALIDATORS: OnceLock<Mutex<HashMap<String, Arc<Validator>>>> = OnceLock::new();
    let validators = VALIDATORS.get_or_init(Mutex::default);
    let mut validators = validators
        .lock()
        .expect("no test panics while it holds this");
    let validator = validators.entry(pointer.to_owned()).or_insert_with(|| {
        let mut root = openapi().clone();
        root["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
        root["$ref"] = json!(pointer);
        Arc::new(
            jsonschema::validator_for(&root).unwrap_or_else(|error| panic!("{pointer}: {error}")),
        )
    });
    let validator = Arc::clone(validator);
    let errors: Vec<String> = validator
        .iter_errors(body)
        .map(|error| error.to_string())
        .collect();
    assert!(errors.is_empty(), "{pointer}: {errors:?}: {reply:?}");
}

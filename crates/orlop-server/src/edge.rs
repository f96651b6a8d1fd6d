//! What holds for every request: its id, who calls, its time, its log line, its problem's body.
//!
//! One middleware, because each layer more costs an allocation on the fastest path.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::body::{Body, HttpBody as _};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt as _;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use orlop::Outcome;

use crate::answer::Complete;
use crate::app::App;
use crate::problem::Problem;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const SESSION: HeaderName = HeaderName::from_static("orlop-session");
/// Longest request id that is taken from a client.
const REQUEST_ID_CHARS_MAX: usize = 128;
/// Successful reads logged each second; more are counted. Failures and writes are always logged.
///
/// # Source
/// A log line costs about as much as a cached read; see docs/benchmarks.md "HTTP".
const READS_LOGGED_A_SECOND: u64 = 200;

/// What a handler knows of its request from the edge.
#[derive(Clone)]
pub(crate) struct Ticket(Arc<TicketInner>);

struct TicketInner {
    deadline: Instant,
    committing: AtomicBool,
}

impl Ticket {
    fn new(deadline: Instant) -> Self {
        Self(Arc::new(TicketInner {
            deadline,
            committing: AtomicBool::new(false),
        }))
    }

    /// When the request must be answered.
    pub(crate) fn deadline(&self) -> Instant {
        self.0.deadline
    }

    /// From here on a time-out leaves the outcome of a write unknown.
    pub(crate) fn committing(&self) {
        self.0.committing.store(true, Ordering::Relaxed);
    }

    fn outcome(&self) -> Outcome {
        match self.0.committing.load(Ordering::Relaxed) {
            true => Outcome::Unknown,
            false => Outcome::NotApplied,
        }
    }
}

pub(crate) async fn edge(
    State(app): State<Arc<App>>,
    mut request: Request,
    next: Next,
) -> Response {
    let begun = Instant::now();
    let _in_flight = app.requests.begin();
    let facts = Facts::of(&request);
    let mut response = match admit(&app, &request) {
        Err(problem) => {
            pass_over(request.into_body()).await;
            problem.into_response()
        }
        Ok(()) => {
            let ticket = Ticket::new(begun + app.settings.request_timeout);
            request.extensions_mut().insert(ticket.clone());
            let limit = app.settings.body_bytes_max;
            answer(request, next, &ticket, &facts, limit).await
        }
    };
    response.headers_mut().insert(SESSION, app.session().await);
    let mut response = finish(response, &facts);
    let took = begun.elapsed();
    let status = response.status();
    let route = facts.route();
    app.requests
        .record(&facts.method, route, status.as_u16(), took);
    app.access_log.write(&facts, status, took);
    response.headers_mut().insert(REQUEST_ID, facts.id);
    response
}

/// Of the request, what outlives it.
struct Facts {
    id: HeaderValue,
    method: Method,
    route: Option<MatchedPath>,
    /// Shares the bytes of the request's; parsed for the log only.
    uri: Uri,
}

impl Facts {
    fn of(request: &Request) -> Self {
        Self {
            id: request_id(request),
            method: request.method().clone(),
            route: request.extensions().get::<MatchedPath>().cloned(),
            uri: request.uri().clone(),
        }
    }

    fn route(&self) -> &str {
        self.route.as_ref().map_or("none", MatchedPath::as_str)
    }

    fn id(&self) -> &str {
        self.id.to_str().unwrap_or_default()
    }

    fn reads(&self) -> bool {
        let asks = ["/query", "/count", "/distinct", "/explain"];
        let route = self.route();
        self.method == Method::GET
            || self.method == Method::HEAD
            || asks.iter().any(|ask| route.ends_with(ask))
    }

    /// Feeds and the check of a whole store take as long as they take.
    fn unbounded(&self) -> bool {
        let route = self.route();
        route.ends_with("/changes") || route.ends_with("/check")
    }
}

fn collection(path: &str) -> Option<&str> {
    let (_, rest) = path.split_once("/collections/")?;
    rest.split('/').next()
}

fn request_id(request: &Request) -> HeaderValue {
    let given = request.headers().get(&REQUEST_ID).filter(|id| {
        let id = id.as_bytes();
        (1..=REQUEST_ID_CHARS_MAX).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic)
    });
    given.cloned().unwrap_or_else(new_request_id)
}

/// Ids made here: a random start for the process, then one more each, spread over 64 bits.
fn new_request_id() -> HeaderValue {
    static START: std::sync::OnceLock<u64> = std::sync::OnceLock::new();
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let start = *START.get_or_init(|| getrandom::u64().unwrap_or(0));
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    // An odd factor makes this a permutation: no id twice in one process.
    let id = start.wrapping_add(count.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    HeaderValue::from_str(&format!("{id:016x}")).unwrap_or(HeaderValue::from_static("none"))
}

/// Everything under `/api/v1` but its own description needs the token.
fn admit(app: &App, request: &Request) -> Result<(), Problem> {
    let path = request.uri().path();
    let inside = path.strip_prefix("/api/v1");
    if inside.is_none_or(|rest| rest == "/openapi.json") {
        return Ok(());
    }
    let given = request.headers().get(header::AUTHORIZATION);
    let token = given
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim());
    if token.is_some_and(|token| app.auth.accepts(token)) {
        return Ok(());
    }
    let detail = match given {
        None => "credentials are needed: send `Authorization: Bearer TOKEN`",
        Some(_) => "the credentials are not valid here",
    };
    Err(Problem::new(StatusCode::UNAUTHORIZED, "denied", detail)
        .with_header(header::WWW_AUTHENTICATE, "Bearer"))
}

async fn answer(
    request: Request,
    next: Next,
    ticket: &Ticket,
    facts: &Facts,
    limit: usize,
) -> Response {
    let handled = async {
        match whole(request, limit).await {
            Ok(request) => next.run(request).await,
            // What is left of the body is not read, so the connection cannot go on.
            Err(problem) => problem
                .with_header(header::CONNECTION, "close")
                .into_response(),
        }
    };
    let handled = AssertUnwindSafe(handled).catch_unwind();
    let handled = match facts.unbounded() {
        true => Ok(handled.await),
        false => tokio::time::timeout_at(ticket.deadline().into(), handled).await,
    };
    match handled {
        Ok(Ok(response)) => response,
        // The panic's own message went to standard error by its hook.
        Ok(Err(_)) => Problem::internal("a handler panicked").into_response(),
        Err(_) => Problem::timed_out(ticket.outcome()).into_response(),
    }
}

/// The request with its body in memory.
///
/// A request that is refused before its body was read would close the connection under the client's
/// next one, so every body is read first; only one over the limit is not.
async fn whole(request: Request, limit: usize) -> Result<Request, Problem> {
    if request.body().is_end_stream() {
        return Ok(request);
    }
    let (parts, body) = request.into_parts();
    let declared = parts.headers.get(header::CONTENT_LENGTH);
    let declared = declared.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|length| length > limit) {
        return Err(Problem::too_large(limit));
    }
    match Limited::new(body, limit).collect().await {
        Ok(body) => Ok(Request::from_parts(parts, Body::from(body.to_bytes()))),
        Err(error) if error.is::<LengthLimitError>() => Err(Problem::too_large(limit)),
        Err(_) => Err(Problem::unparsable("the body was cut off")),
    }
}

/// Reads a small body of somebody who may not call, for the same reason; a large one is left.
async fn pass_over(body: Body) {
    const BYTES_MAX: usize = 64 * 1024;
    const TIME_MAX: Duration = Duration::from_secs(1);
    let _ = tokio::time::timeout(TIME_MAX, Limited::new(body, BYTES_MAX).collect()).await;
}

/// Gives a problem its body; makes one of every bare failure, so that clients read one form.
fn finish(response: Response, facts: &Facts) -> Response {
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    if response.extensions().get::<Complete>().is_some() {
        return response;
    }
    let (mut parts, _) = response.into_parts();
    let problem = match parts.extensions.remove::<Arc<Problem>>() {
        Some(problem) => Arc::unwrap_or_clone(problem),
        None => bare(status),
    };
    if let Some(cause) = problem.cause() {
        tracing::error!(
            request_id = facts.id(),
            code = problem.code(),
            detail = problem.detail(),
            cause,
            "request failed"
        );
    }
    let body = problem.body(facts.id()).to_string();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    Response::from_parts(parts, Body::from(body))
}

/// What the router itself, or an extractor, refused.
fn bare(status: StatusCode) -> Problem {
    match status.as_u16() {
        400 => Problem::unparsable("the path or a header does not parse"),
        404 => Problem::absent("there is no such route"),
        405 => Problem::new(status, "invalid", "this route does not take that method"),
        _ if status.is_server_error() => Problem::internal(format!("bare answer {status}")),
        _ => Problem::new(status, "invalid", "the request was refused"),
    }
}

/// One line a request; of successful reads a bounded number a second.
#[derive(Debug)]
pub(crate) struct AccessLog {
    begun: Instant,
    second: AtomicU64,
    logged: AtomicU64,
    passed_over: AtomicU64,
}

impl Default for AccessLog {
    fn default() -> Self {
        Self {
            begun: Instant::now(),
            second: AtomicU64::new(0),
            logged: AtomicU64::new(0),
            passed_over: AtomicU64::new(0),
        }
    }
}

impl AccessLog {
    fn write(&self, facts: &Facts, status: StatusCode, took: Duration) {
        if facts.reads() && !status.is_client_error() && !status.is_server_error() && !self.admits()
        {
            return;
        }
        let passed_over = self.passed_over.swap(0, Ordering::Relaxed);
        if passed_over > 0 {
            tracing::info!(
                reads = passed_over,
                "more reads were answered than are logged"
            );
        }
        tracing::info!(
            request_id = facts.id(),
            method = facts.method.as_str(),
            route = facts.route(),
            collection = collection(facts.uri.path()),
            status = status.as_u16(),
            us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            "request"
        );
    }

    fn admits(&self) -> bool {
        let second = self.begun.elapsed().as_secs();
        if self.second.swap(second, Ordering::Relaxed) != second {
            self.logged.store(0, Ordering::Relaxed);
        }
        let admitted = self.logged.fetch_add(1, Ordering::Relaxed) < READS_LOGGED_A_SECOND;
        if !admitted {
            self.passed_over.fetch_add(1, Ordering::Relaxed);
        }
        admitted
    }
}

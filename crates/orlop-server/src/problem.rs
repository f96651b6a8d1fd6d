//! Errors as `application/problem+json` (RFC 9457).
//!
//! A handler answers with a [`Problem`]; `edge` writes its body, because only the edge knows the
//! request's id. The client sees a code, a safe sentence and that id; the rest is logged.

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use orlop::document::Revision;
use orlop::{Error, ErrorKind, FieldError, Outcome, RefusalReason};
use serde_json::{Value, json};

/// Seconds a client waits before it tries again after 503.
pub(crate) const RETRY_AFTER_SECONDS: u64 = 1;

/// One guard that refused its change.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Refused {
    pub(crate) change: usize,
    pub(crate) guard: &'static str,
    pub(crate) reason: RefusalReason,
    pub(crate) stored: Option<Revision>,
}

/// An answer that says what went wrong.
#[derive(Debug, Clone)]
pub(crate) struct Problem(Box<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    status: StatusCode,
    code: &'static str,
    detail: String,
    fields: Vec<FieldError>,
    refused: Vec<Refused>,
    outcome: Option<Outcome>,
    headers: HeaderMap,
    /// For the log only.
    cause: Option<String>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            status,
            code,
            detail: detail.into(),
            fields: Vec::new(),
            refused: Vec::new(),
            outcome: None,
            headers: HeaderMap::new(),
            cause: None,
        }))
    }

    /// 400: the request does not parse.
    pub(crate) fn unparsable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid", detail)
    }

    /// 422: the request parses and breaks a rule.
    pub(crate) fn rule(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail)
    }

    /// 404.
    pub(crate) fn absent(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    /// 410: a token or cursor of another life of the store, or older than its history.
    pub(crate) fn gone(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::GONE, "not_found", detail)
    }

    /// 413.
    pub(crate) fn too_large(limit: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "invalid",
            format!("the body is over the limit of {limit} bytes"),
        )
    }

    /// 415.
    pub(crate) fn media_type(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "invalid", detail)
    }

    /// 503: not finished in time.
    pub(crate) fn timed_out(outcome: Outcome) -> Self {
        let mut problem = Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            "the request was not finished in time",
        );
        problem.0.outcome = Some(outcome);
        problem.retry_after()
    }

    /// 500, with what is logged.
    pub(crate) fn internal(cause: impl Into<String>) -> Self {
        let mut problem = Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "the server failed; its log has the details under this request's id",
        );
        problem.0.cause = Some(cause.into());
        problem
    }

    /// 409, or 412 when a conditional header asked: a guard refused.
    pub(crate) fn refused(
        status: StatusCode,
        detail: impl Into<String>,
        refused: Vec<Refused>,
    ) -> Self {
        let mut problem = Self::new(status, "conflict", detail);
        problem.0.refused = refused;
        problem
    }

    pub(crate) fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.0.headers.insert(name, value);
        }
        self
    }

    pub(crate) fn with_code(mut self, code: &'static str) -> Self {
        self.0.code = code;
        self
    }

    fn retry_after(self) -> Self {
        self.with_header(header::RETRY_AFTER, &RETRY_AFTER_SECONDS.to_string())
    }

    /// The same problem, of the change at this position of a batch.
    pub(crate) fn at(mut self, change: usize) -> Self {
        self.0.detail = format!("change {change}: {}", self.0.detail);
        self
    }

    /// The same refusal, told of one document.
    pub(crate) fn one(&self, detail: &str) -> Self {
        Self::new(self.0.status, self.0.code, detail)
    }

    /// Whether one document of a batch may be the cause: without it the others can be stored.
    pub(crate) fn is_about_a_document(&self) -> bool {
        matches!(self.0.status.as_u16(), 409 | 422 | 501)
    }

    pub(crate) fn refusals(&self) -> &[Refused] {
        &self.0.refused
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.0.status
    }

    pub(crate) fn code(&self) -> &'static str {
        self.0.code
    }

    pub(crate) fn detail(&self) -> &str {
        &self.0.detail
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }

    pub(crate) fn cause(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }

    /// The body, for the request of this id.
    pub(crate) fn body(&self, request_id: &str) -> Value {
        let inner = &self.0;
        let mut body = json!({
            "type": format!("urn:orlop:problem:{}", inner.code),
            "title": title(inner.code),
            "status": inner.status.as_u16(),
            "detail": inner.detail,
            "code": inner.code,
            "requestId": request_id,
        });
        if !inner.fields.is_empty() {
            body["errors"] = inner.fields.iter().map(field).collect();
        }
        if !inner.refused.is_empty() {
            body["refused"] = inner.refused.iter().map(refusal).collect();
        }
        if let Some(outcome) = inner.outcome {
            body["outcome"] = match outcome {
                Outcome::NotApplied => "not_applied",
                Outcome::Unknown => "unknown",
            }
            .into();
        }
        body
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let status = match error.kind() {
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
            ErrorKind::AlreadyExists | ErrorKind::Conflict => StatusCode::CONFLICT,
            ErrorKind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
            ErrorKind::Unsupported => StatusCode::NOT_IMPLEMENTED,
            ErrorKind::Unavailable | ErrorKind::Closed => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::Denied => StatusCode::FORBIDDEN,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            let problem = Self::internal(format!("{error:?}"));
            return match error.kind() {
                ErrorKind::Corrupt => {
                    let mut problem = problem.with_code("corrupt");
                    problem.0.detail = "stored data is damaged; run `check`".into();
                    problem
                }
                _ => problem,
            };
        }
        let mut problem = Self::new(status, code(error.kind()), error.message());
        problem.0.fields = error.fields().to_vec();
        problem.0.outcome = error.outcome();
        problem.0.refused = error.refused().iter().map(bare_refusal).collect();
        problem.0.cause = std::error::Error::source(&error).map(ToString::to_string);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            problem.0.outcome.get_or_insert(Outcome::NotApplied);
            problem = problem.retry_after();
        }
        problem
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.0.status.into_response();
        *response.headers_mut() = self.0.headers.clone();
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

/// The code of an error's kind, in snake case.
pub(crate) fn code(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::NotFound => "not_found",
        ErrorKind::AlreadyExists => "already_exists",
        ErrorKind::Conflict => "conflict",
        ErrorKind::Invalid => "invalid",
        ErrorKind::Unsupported => "unsupported",
        ErrorKind::Unavailable => "unavailable",
        ErrorKind::Corrupt => "corrupt",
        ErrorKind::Closed => "closed",
        ErrorKind::Denied => "denied",
        _ => "internal",
    }
}

fn title(code: &str) -> &'static str {
    match code {
        "not_found" => "Not found",
        "already_exists" => "Already exists",
        "conflict" => "A condition was not met",
        "invalid" => "The request is invalid",
        "unsupported" => "Not supported",
        "unavailable" => "Unavailable",
        "corrupt" => "Stored data is damaged",
        "closed" => "Shutting down",
        "denied" => "Denied",
        _ => "The server failed",
    }
}

fn field(error: &FieldError) -> Value {
    json!({ "field": error.field, "rule": error.rule, "message": error.message })
}

fn refusal(refused: &Refused) -> Value {
    json!({
        "change": refused.change,
        "guard": refused.guard,
        "reason": reason(refused.reason),
        "stored": refused.stored.map(|revision| revision.0),
    })
}

/// The guard of a refusal whose batch is not at hand: the one that gives such a reason.
fn bare_refusal(refusal: &orlop::Refusal) -> Refused {
    Refused {
        change: refusal.change,
        guard: match refusal.reason {
            RefusalReason::Exists => "absent",
            RefusalReason::Missing => "present",
            RefusalReason::Revision => "revision",
            RefusalReason::Condition => "matches",
        },
        reason: refusal.reason,
        stored: refusal.stored,
    }
}

fn reason(reason: RefusalReason) -> &'static str {
    match reason {
        RefusalReason::Missing => "missing",
        RefusalReason::Exists => "exists",
        RefusalReason::Revision => "revision",
        RefusalReason::Condition => "condition",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_status_and_code() {
        let check = |kind, status, code| {
            let problem = Problem::from(Error::new(kind, "x"));
            assert_eq!((problem.status().as_u16(), problem.code()), (status, code));
        };
        check(ErrorKind::NotFound, 404, "not_found");
        check(ErrorKind::AlreadyExists, 409, "already_exists");
        check(ErrorKind::Conflict, 409, "conflict");
        check(ErrorKind::Invalid, 422, "invalid");
        check(ErrorKind::Unsupported, 501, "unsupported");
        check(ErrorKind::Unavailable, 503, "unavailable");
        check(ErrorKind::Closed, 503, "closed");
        check(ErrorKind::Denied, 403, "denied");
        check(ErrorKind::Corrupt, 500, "corrupt");
        check(ErrorKind::Internal, 500, "internal");
    }

    #[test]
    fn what_went_wrong_inside_is_not_told_to_the_client() {
        let problem = Problem::from(Error::new(ErrorKind::Internal, "the secret 4711 leaked"));
        assert!(!problem.body("r").to_string().contains("4711"));
        assert!(problem.cause().expect("a cause").contains("4711"));
    }

    #[test]
    fn an_unavailable_store_says_the_outcome_and_when_to_retry() {
        let problem = Problem::from(Error::unavailable("the disk failed", Outcome::Unknown));
        assert_eq!(problem.body("r")["outcome"], "unknown");
        assert_eq!(problem.headers()["retry-after"], "1");
    }
}

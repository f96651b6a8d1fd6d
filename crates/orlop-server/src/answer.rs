//! An answer as data: what a handler returns, and what an idempotent write remembers.

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bson::raw::{RawArrayBuf, RawDocumentBuf};
use bson::{Bson, Document};
use orlop::pack::Body as Stored;

use crate::ejson::{self, Hide, Style};
use crate::problem::Problem;

/// Marks an answer whose body stands as it is, though its status says failure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Complete;

/// Status, headers and body of an answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    status: StatusCode,
    headers: Vec<(HeaderName, String)>,
    body: Bytes,
}

impl Answer {
    /// An answer without a body.
    pub(crate) fn empty(status: StatusCode) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Bytes::new(),
        }
    }

    /// An answer with a body of Extended JSON.
    pub(crate) fn json(status: StatusCode, style: Style, body: impl Into<Bytes>) -> Self {
        Self {
            status,
            headers: vec![(header::CONTENT_TYPE, media_type(style).to_owned())],
            body: body.into(),
        }
    }

    /// An answer whose body is made here, so that it is the same in either form: numbers in it
    /// are plain.
    pub(crate) fn plain(status: StatusCode, body: &serde_json::Value) -> Self {
        Self::json(status, Style::Relaxed, body.to_string())
    }

    /// An answer with one stored document.
    pub(crate) fn stored(
        status: StatusCode,
        document: &Stored,
        style: Style,
        hide: &Hide,
    ) -> Result<Self, Problem> {
        let mut body = Vec::with_capacity(document.bytes().len() * 2);
        ejson::write_document(&mut body, document.raw(), style, hide)?;
        Ok(Self::json(status, style, body))
    }

    pub(crate) fn with(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The answer that a problem comes to, for a request that is repeated.
    pub(crate) fn of_problem(problem: &Problem, request_id: &str) -> Self {
        let mut headers = vec![(header::CONTENT_TYPE, "application/problem+json".to_owned())];
        for (name, value) in problem.headers() {
            if let Ok(value) = value.to_str() {
                headers.push((name.clone(), value.to_owned()));
            }
        }
        Self {
            status: problem.status(),
            headers,
            body: problem.body(request_id).to_string().into(),
        }
    }

    /// As it is stored.
    pub(crate) fn to_document(&self) -> Document {
        let headers = self
            .headers
            .iter()
            .map(|(name, value)| Bson::Array(vec![name.as_str().into(), value.as_str().into()]));
        let mut document = Document::new();
        document.insert("status", i32::from(self.status.as_u16()));
        document.insert("headers", headers.collect::<Vec<_>>());
        document.insert(
            "body",
            bson::Binary {
                subtype: bson::spec::BinarySubtype::Generic,
                bytes: self.body.to_vec(),
            },
        );
        document
    }

    /// As it was stored; none when it is not one.
    pub(crate) fn from_document(document: &Document) -> Option<Self> {
        let status = u16::try_from(document.get_i32("status").ok()?).ok()?;
        let headers = document.get_array("headers").ok()?.iter().map(|pair| {
            let pair = pair.as_array()?;
            let name = HeaderName::try_from(pair.first()?.as_str()?).ok()?;
            Some((name, pair.get(1)?.as_str()?.to_owned()))
        });
        Some(Self {
            status: StatusCode::from_u16(status).ok()?,
            headers: headers.collect::<Option<_>>()?,
            body: document.get_binary_generic("body").ok()?.clone().into(),
        })
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        response.extensions_mut().insert(Complete);
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::try_from(value) {
                response.headers_mut().append(name, value);
            }
        }
        response
    }
}

/// The `Content-Type` of Extended JSON in this form.
pub(crate) fn media_type(style: Style) -> &'static str {
    match style {
        Style::Relaxed => "application/json",
        Style::Canonical => "application/ejson",
    }
}

/// Writes values as an array of Extended JSON.
pub(crate) fn write_array(out: &mut Vec<u8>, values: &[Bson], style: Style) -> Result<(), Problem> {
    let array = RawArrayBuf::try_from(values.to_vec())
        .map_err(|error| Problem::internal(error.to_string()))?;
    ejson::write_value(out, bson::raw::RawBsonRef::Array(&array), style)?;
    Ok(())
}

/// A document's bytes, as a write takes them.
///
/// # Errors
/// 422 when a value has no BSON form.
pub(crate) fn raw(document: &Document) -> Result<RawDocumentBuf, Problem> {
    RawDocumentBuf::try_from(document)
        .map_err(|error| Problem::rule(format!("the document has no BSON form: {error}")))
}

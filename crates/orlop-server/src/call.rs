//! What a handler reads of a request: headers, query string and body.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use bson::{Bson, Document};
use http_body_util::BodyExt as _;
use orlop::document::Revision;
use percent_encoding::percent_decode_str;

use crate::app::{App, RESERVED};
use crate::edge::Ticket;
use crate::ejson::{self, Hide, Style};
use crate::problem::Problem;
use crate::tokens;

const READ: HeaderName = HeaderName::from_static("orlop-read");
const SESSION: HeaderName = HeaderName::from_static("orlop-session");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Longest key of an idempotent write.
const KEY_CHARS_MAX: usize = 255;

/// What the headers and the query string of a request ask for.
pub(crate) struct Call {
    /// The form of Extended JSON in the answer.
    pub(crate) style: Style,
    pub(crate) ticket: Ticket,
    /// `Idempotency-Key`.
    pub(crate) key: Option<String>,
    /// Method, path and query: with the body, what a repeated key must repeat. Empty without one.
    pub(crate) target: String,
    pub(crate) if_match: Option<Tags>,
    pub(crate) if_none_match: Option<Tags>,
    /// The query string, decoded.
    pub(crate) params: Vec<(String, String)>,
}

/// The value of `If-Match` or `If-None-Match`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Tags {
    Any,
    /// Tags as sent, quotes and `W/` included.
    These(Vec<String>),
}

impl Tags {
    /// The revisions among the strong tags; other tags match no document.
    pub(crate) fn revisions(&self) -> Vec<Revision> {
        let Self::These(tags) = self else {
            return Vec::new();
        };
        tags.iter().filter_map(|tag| revision(tag)).collect()
    }

    /// Whether `tag` is among them, weak and strong told apart by nothing but their text.
    pub(crate) fn names(&self, tag: &str) -> bool {
        match self {
            Self::Any => true,
            Self::These(tags) => tags.iter().any(|one| one == tag),
        }
    }
}

fn revision(tag: &str) -> Option<Revision> {
    let digits = tag.strip_prefix('"')?.strip_suffix('"')?;
    digits.parse().ok().map(Revision)
}

/// The `ETag` of one document.
pub(crate) fn etag(revision: Revision) -> String {
    format!("\"{revision}\"")
}

impl Call {
    /// The value of one parameter of the query string.
    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        let found = self.params.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Refuses parameters the route does not have: a misspelt filter must not read everything.
    pub(crate) fn only(&self, allowed: &[&str]) -> Result<(), Problem> {
        match self
            .params
            .iter()
            .find(|(name, _)| !allowed.contains(&name.as_str()))
        {
            None => Ok(()),
            Some((name, _)) if allowed.is_empty() => Err(Problem::rule(format!(
                "the parameter {name:?} is not known; this route has none"
            ))),
            Some((name, _)) => Err(Problem::rule(format!(
                "the parameter {name:?} is not known; there are {}",
                allowed.join(", ")
            ))),
        }
    }

    /// Whether a flag of the query string is set.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, Problem> {
        match self.param(name) {
            None | Some("false") => Ok(false),
            Some("" | "true") => Ok(true),
            Some(_) => Err(Problem::rule(format!("{name} is true or false"))),
        }
    }

    /// What answers about a collection leave out. Whoever holds the service token may see
    /// sensitive fields, and must ask.
    pub(crate) fn hide(&self, app: &App, collection: &str, sensitive: bool) -> Hide {
        let declaration = app.declaration(collection);
        let paths = declaration.sensitive.iter().filter(|_| !sensitive);
        Hide {
            revision: true,
            paths: paths
                .map(|path| path.split('.').map(str::to_owned).collect())
                .collect(),
        }
    }
}

impl FromRequestParts<Arc<App>> for Call {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self, Problem> {
        let ticket = parts.extensions.get::<Ticket>().cloned();
        let headers = &parts.headers;
        check_level(headers)?;
        check_session(headers)?;
        let key = idempotency_key(headers)?;
        let target = key
            .as_ref()
            .map(|_| format!("{} {}", parts.method, parts.uri));
        Ok(Self {
            style: style(headers)?,
            ticket: ticket.ok_or_else(|| Problem::internal("a request passed the edge by"))?,
            key,
            target: target.unwrap_or_default(),
            if_match: tags(headers, &header::IF_MATCH)?,
            if_none_match: tags(headers, &header::IF_NONE_MATCH)?,
            params: params(parts.uri.query().unwrap_or_default())?,
        })
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Problem> {
    match headers.get(name).map(|value| value.to_str()) {
        None => Ok(None),
        Some(Ok(text)) => Ok(Some(text.trim())),
        Some(Err(_)) => Err(Problem::unparsable(format!(
            "the header {name} is not text"
        ))),
    }
}

fn style(headers: &HeaderMap) -> Result<Style, Problem> {
    let Some(accept) = text(headers, &header::ACCEPT)? else {
        return Ok(Style::Relaxed);
    };
    let mut bson = false;
    for range in accept.split(',') {
        match range.split(';').next().unwrap_or_default().trim() {
            "application/ejson" => return Ok(Style::Canonical),
            "application/bson" => bson = true,
            _ => return Ok(Style::Relaxed),
        }
    }
    if bson {
        return Err(Problem::new(
            StatusCode::NOT_ACCEPTABLE,
            "unsupported",
            "answers in BSON are not supported; accept application/json or application/ejson",
        ));
    }
    Ok(Style::Relaxed)
}

/// On an engine in this process every level is served as the strongest, so it is only checked.
fn check_level(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(level) = text(headers, &READ)? else {
        return Ok(());
    };
    let bounded = level.strip_prefix("bounded=").is_some_and(|bound| {
        let digits = bound.strip_suffix("ms").or_else(|| bound.strip_suffix('s'));
        digits.is_some_and(|digits| digits.parse::<u64>().is_ok())
    });
    match level {
        "strong" | "session" => Ok(()),
        _ if bounded => Ok(()),
        _ => Err(Problem::unparsable(
            "Orlop-Read is strong, session or bounded=500ms",
        )),
    }
}

/// On an engine in this process every commit a token names is seen already, so it is only checked.
/// What it names beyond the last commit was lost in a crash, by the durability its writer chose.
fn check_session(headers: &HeaderMap) -> Result<(), Problem> {
    match text(headers, &SESSION)? {
        None => Ok(()),
        Some(token) => tokens::read_seq(token).map(|_| ()),
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(key) = text(headers, &IDEMPOTENCY_KEY)? else {
        return Ok(None);
    };
    if key.is_empty() || key.len() > KEY_CHARS_MAX {
        return Err(Problem::unparsable(format!(
            "Idempotency-Key has 1 to {KEY_CHARS_MAX} characters"
        )));
    }
    Ok(Some(key.to_owned()))
}

fn tags(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Tags>, Problem> {
    let mut tags = Vec::new();
    let mut given = false;
    for value in headers.get_all(name) {
        given = true;
        let malformed = || {
            Problem::unparsable(format!(
                "the header {name} is * or tags in quotes, such as \"5\""
            ))
        };
        let mut rest = value.to_str().map_err(|_| malformed())?.trim();
        if rest == "*" {
            return Ok(Some(Tags::Any));
        }
        while !rest.is_empty() {
            let start = if rest.starts_with("W/\"") { 3 } else { 1 };
            if start == 1 && !rest.starts_with('"') {
                return Err(malformed());
            }
            let length = rest[start..].find('"').ok_or_else(malformed)? + start + 1;
            let (tag, behind) = rest.split_at(length);
            tags.push(tag.to_owned());
            rest = behind.trim_start_matches([',', ' ', '\t']);
        }
    }
    Ok(given.then_some(Tags::These(tags)))
}

/// The decoded names and values of a query string, in order.
///
/// # Errors
/// 400 when they are not UTF-8.
pub(crate) fn params(query: &str) -> Result<Vec<(String, String)>, Problem> {
    let decode = |text: &str| {
        let text = text.replace('+', " ");
        let decoded = percent_decode_str(&text)
            .decode_utf8()
            .map(|text| text.into_owned());
        decoded.map_err(|_| Problem::unparsable("the query string is not UTF-8"))
    };
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(name)?, decode(value)?))
        })
        .collect()
}

/// The name of a collection in a path.
///
/// # Errors
/// 422 for names that are the store's own.
pub(crate) fn check_collection(name: &str) -> Result<(), Problem> {
    if name.starts_with(RESERVED) {
        return Err(Problem::rule(format!(
            "collection names that begin with {RESERVED} are the store's own"
        )));
    }
    Ok(())
}

/// What the body is said to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Media {
    Json,
    MergePatch,
    Lines,
}

/// A request's body, whole.
pub(crate) struct Payload {
    pub(crate) media: Media,
    pub(crate) bytes: Bytes,
}

impl Payload {
    /// The body as one document of Extended JSON.
    pub(crate) fn document(&self) -> Result<Document, Problem> {
        if self.media == Media::Lines {
            return Err(Problem::media_type(
                "this route takes one document: send Content-Type: application/json",
            ));
        }
        ejson::document(&self.bytes).map_err(|error| Problem::unparsable(error.message()))
    }

    /// The body as one document; an empty body is an empty document.
    pub(crate) fn optional(&self) -> Result<Document, Problem> {
        match self.bytes.is_empty() {
            true => Ok(Document::new()),
            false => self.document(),
        }
    }
}

impl FromRequest<Arc<App>> for Payload {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &Arc<App>) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let media = media(&parts.headers)?;
        // The edge has read it.
        let body = body
            .collect()
            .await
            .map_err(|_| Problem::internal("a body was read twice"))?;
        Ok(Self {
            media,
            bytes: body.to_bytes(),
        })
    }
}

fn media(headers: &HeaderMap) -> Result<Media, Problem> {
    let refused = || {
        Problem::media_type(
            "send Content-Type: application/json (or application/ejson, \
             application/merge-patch+json, application/x-ndjson where the route takes them)",
        )
    };
    let Some(kind) = text(headers, &header::CONTENT_TYPE)? else {
        return Ok(Media::Json);
    };
    let mut parts = kind.split(';').map(str::trim);
    let media = match parts
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase()
        .as_str()
    {
        "application/json" | "application/ejson" => Media::Json,
        "application/merge-patch+json" => Media::MergePatch,
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Media::Lines,
        _ => return Err(refused()),
    };
    for parameter in parts {
        let charset = parameter.to_ascii_lowercase();
        let charset = charset
            .strip_prefix("charset=")
            .map(|name| name.trim_matches('"'));
        if charset.is_some_and(|name| name != "utf-8") {
            return Err(Problem::media_type("the charset of a body is UTF-8"));
        }
    }
    Ok(media)
}

/// Takes the fields of a request's document apart and refuses those nobody asked for.
pub(crate) struct Fields {
    document: Document,
    what: &'static str,
}

impl Fields {
    pub(crate) fn of(document: Document, what: &'static str) -> Self {
        Self { document, what }
    }

    pub(crate) fn take(&mut self, name: &str) -> Option<Bson> {
        self.document.remove(name)
    }

    /// A field that must be there.
    pub(crate) fn need(&mut self, name: &str) -> Result<Bson, Problem> {
        self.take(name)
            .ok_or_else(|| Problem::rule(format!("{} needs the field {name:?}", self.what)))
    }

    /// A document; empty when the field is missing or null.
    pub(crate) fn document(&mut self, name: &str) -> Result<Document, Problem> {
        match self.take(name) {
            None | Some(Bson::Null) => Ok(Document::new()),
            Some(Bson::Document(document)) => Ok(document),
            Some(_) => Err(Problem::rule(format!("{name} is a document"))),
        }
    }

    pub(crate) fn flag(&mut self, name: &str) -> Result<bool, Problem> {
        match self.take(name) {
            None | Some(Bson::Null) => Ok(false),
            Some(Bson::Boolean(flag)) => Ok(flag),
            Some(_) => Err(Problem::rule(format!("{name} is true or false"))),
        }
    }

    pub(crate) fn text(&mut self, name: &str) -> Result<Option<String>, Problem> {
        match self.take(name) {
            None | Some(Bson::Null) => Ok(None),
            Some(Bson::String(text)) => Ok(Some(text)),
            Some(_) => Err(Problem::rule(format!("{name} is a string"))),
        }
    }

    /// A whole number from 0, in whichever numeric type it came.
    pub(crate) fn number(&mut self, name: &str) -> Result<Option<u64>, Problem> {
        let number = match self.take(name) {
            None | Some(Bson::Null) => return Ok(None),
            Some(Bson::Int32(number)) => u64::try_from(number).ok(),
            Some(Bson::Int64(number)) => u64::try_from(number).ok(),
            Some(Bson::Double(number))
                if number >= 0.0 && number.fract() == 0.0 && number < 9e15 =>
            {
                Some(number as u64)
            }
            Some(_) => None,
        };
        match number {
            Some(number) => Ok(Some(number)),
            None => Err(Problem::rule(format!("{name} is a whole number from 0"))),
        }
    }

    /// Documents, none when the field is missing.
    pub(crate) fn documents(&mut self, name: &str) -> Result<Vec<Document>, Problem> {
        let refused = || Problem::rule(format!("{name} is an array of documents"));
        match self.take(name) {
            None | Some(Bson::Null) => Ok(Vec::new()),
            Some(Bson::Array(items)) => items
                .into_iter()
                .map(|item| match item {
                    Bson::Document(document) => Ok(document),
                    _ => Err(refused()),
                })
                .collect(),
            Some(_) => Err(refused()),
        }
    }

    /// Refuses what was not taken.
    pub(crate) fn end(self) -> Result<(), Problem> {
        match self.document.keys().next() {
            None => Ok(()),
            Some(name) => Err(Problem::rule(format!(
                "{} has no field {name:?}",
                self.what
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header_tags(value: &'static str) -> Result<Option<Tags>, Problem> {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::IF_MATCH,
            axum::http::HeaderValue::from_static(value),
        );
        tags(&headers, &header::IF_MATCH)
    }

    #[test]
    fn conditional_headers_are_read_as_rfc_9110_writes_them() {
        assert_eq!(header_tags("*").expect("any"), Some(Tags::Any));
        let some = header_tags(r#""5", W/"6" ,"x,y""#)
            .expect("tags")
            .expect("given");
        assert!(some.names("W/\"6\"") && some.names("\"x,y\""), "{some:?}");
        assert_eq!(
            some.revisions(),
            [Revision(5)],
            "weak tags match no document"
        );
        header_tags("5").expect_err("no quotes");
        header_tags("\"5").expect_err("one quote");
    }

    #[test]
    fn the_accept_header_chooses_the_form() {
        let style_of = |accept: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, axum::http::HeaderValue::from_static(accept));
            style(&headers)
        };
        assert_eq!(style_of("*/*").expect("any"), Style::Relaxed);
        assert_eq!(
            style_of("application/ejson").expect("canonical"),
            Style::Canonical
        );
        assert_eq!(
            style_of("application/json, application/ejson;q=0.5").expect("first"),
            Style::Relaxed
        );
        assert_eq!(
            style_of("application/bson")
                .expect_err("bson alone")
                .status(),
            406
        );
    }
}

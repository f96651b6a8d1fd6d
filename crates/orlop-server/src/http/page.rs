//! A page of a query: what was asked for, read once and remembered, and its JSON.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::{Arc, PoisonError, RwLock};

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bson::Document;
use bson::raw::{RawDocument, RawDocumentBuf};
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use orlop::document::Declaration;
use orlop::engine::{Query, Read, Rows};
use orlop::pack::keys::sort_position;
use orlop::query::{Expr, Matcher, Projection, Sort};

use super::served;
use crate::answer::{media_type, raw};
use crate::app::App;
use crate::call::{Call, Fields, Tags, check_collection};
use crate::ejson::{self, Hide, Style};
use crate::problem::Problem;
use crate::tokens;

/// Documents on a page when the request does not say.
const PAGE: u64 = 1_000;
/// Most documents on a page.
const PAGE_MAX: u64 = 10_000;
/// A page ends early, with a cursor, when its JSON is over this many bytes.
const PAGE_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Requests whose reading is remembered, and the longest text of one that is, in bytes.
const KNOWN_MAX: usize = 1_024;
const KNOWN_BYTES_MAX: usize = 4_096;

/// A page as JSON, as the cache keeps it.
struct Page(Bytes);

/// Where a request says what it asks for.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Text<'a> {
    Body(&'a [u8]),
    Params(&'a str),
}

impl Text<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Body(bytes) => bytes,
            Self::Params(text) => text.as_bytes(),
        }
    }
}

/// Requests that were read before. A client that polls a list sends the same text each time, and
/// reading it costs more than finding the page in the cache.
#[derive(Default)]
pub(crate) struct Known {
    hasher: RandomState,
    asks: RwLock<HashMap<u64, Arc<Remembered>>>,
}

struct Remembered {
    in_body: bool,
    text: Vec<u8>,
    /// The declaration it was read under: it says which fields are sensitive.
    declaration: Arc<Declaration>,
    ask: Arc<Ask>,
}

/// What the request asks for: remembered, or read from `document`.
///
/// # Errors
/// 400 and 422 for what cannot be asked.
pub(super) fn prepare(
    app: &App,
    call: &Call,
    collection: &str,
    text: Text<'_>,
    document: impl FnOnce() -> Result<Document, Problem>,
) -> Result<Arc<Ask>, Problem> {
    let known = &app.known;
    let declaration = app.declaration(collection);
    let hash = known.hasher.hash_one((collection, call.style, text));
    let in_body = matches!(text, Text::Body(_));
    {
        let asks = known.asks.read().unwrap_or_else(PoisonError::into_inner);
        let found = asks.get(&hash).filter(|found| {
            found.in_body == in_body
                && found.text == text.bytes()
                && *found.ask.query.collection == *collection
                && found.ask.style == call.style
                && Arc::ptr_eq(&found.declaration, &declaration)
        });
        if let Some(found) = found {
            return Ok(Arc::clone(&found.ask));
        }
    }
    let ask = Arc::new(Ask::of_document(app, call, collection, document()?)?);
    // A cursor is asked for once.
    if text.bytes().len() <= KNOWN_BYTES_MAX && ask.query.after.is_none() {
        let remembered = Remembered {
            in_body,
            text: text.bytes().to_vec(),
            declaration,
            ask: Arc::clone(&ask),
        };
        let mut asks = known.asks.write().unwrap_or_else(PoisonError::into_inner);
        if asks.len() >= KNOWN_MAX {
            asks.clear();
        }
        asks.insert(hash, Arc::new(remembered));
    }
    Ok(ask)
}

/// The fields of a request for a page.
struct Form {
    filter: Document,
    sort: Document,
    projection: Document,
    skip: u64,
    limit: u64,
    cursor: Option<String>,
    include_revision: bool,
    sensitive: bool,
}

impl Form {
    fn read(document: Document) -> Result<Self, Problem> {
        let mut fields = Fields::of(document, "a query");
        let form = Self {
            filter: fields.document("filter")?,
            sort: fields.document("sort")?,
            projection: fields.document("projection")?,
            skip: fields.number("skip")?.unwrap_or(0),
            limit: fields.number("limit")?.unwrap_or(PAGE),
            cursor: fields.text("cursor")?,
            include_revision: fields.flag("includeRevision")?,
            sensitive: fields.flag("includeSensitive")?,
        };
        fields.end()?;
        if !(1..=PAGE_MAX).contains(&form.limit) {
            return Err(Problem::rule(format!(
                "limit is the size of a page, 1 to {PAGE_MAX}; the cursor leads to the next"
            )));
        }
        Ok(form)
    }
}

/// A page that was asked for.
pub(super) struct Ask {
    query: Query,
    projection: Option<Shown>,
    limit: u64,
    /// Says which queries a cursor may go on with.
    hash: [u8; 8],
    hide: Hide,
    style: Style,
    /// What, beside the query, a cached page depends on.
    also: String,
    /// Tells apart pages of one query that differ in form, size or fields; ends their tags.
    shape: String,
}

impl Ask {
    fn of_document(
        app: &App,
        call: &Call,
        collection: &str,
        document: Document,
    ) -> Result<Self, Problem> {
        check_collection(collection)?;
        let form = Form::read(document)?;
        let mut hide = call.hide(app, collection, form.sensitive);
        hide.revision = !form.include_revision;
        let sort = Sort::parse(&form.sort)?;
        for (path, _) in &sort.keys {
            refuse_sensitive(&hide, path)?;
        }
        let (limit, skip) = (form.limit, form.skip);
        let hash = tokens::query_hash(&[
            collection.as_bytes(),
            raw(&form.filter)?.as_bytes(),
            raw(&form.sort)?.as_bytes(),
            &skip.to_le_bytes(),
        ]);
        let after = match form.cursor {
            Some(token) => Some(tokens::read_cursor(app.incarnation(), hash, &token)?),
            None => None,
        };
        let filter = Expr::parse(&form.filter)?;
        let projection = match form.projection.is_empty() {
            true => None,
            false => Some(Shown::of(&form.projection, &filter)?),
        };
        let projected = raw(&form.projection)?;
        let also = format!(
            "page {:?} {} {:?} {:?}",
            call.style,
            hide.revision,
            hide.paths,
            projected.as_bytes()
        );
        let place = format!("{after:?} {limit}");
        let shape = tokens::query_hash(&[also.as_bytes(), place.as_bytes()]);
        let shape = format!(
            "{:x}-{:x}",
            u64::from_le_bytes(hash),
            u64::from_le_bytes(shape)
        );
        Ok(Self {
            query: Query {
                collection: Arc::from(collection),
                filter,
                sort,
                projection: None,
                // Behind a cursor the first page has done the skipping.
                skip: if after.is_some() { 0 } else { skip },
                // One more tells whether there is a next page.
                limit: Some(limit + 1),
                after,
            },
            projection,
            limit,
            hash,
            hide,
            style: call.style,
            also,
            shape,
        })
    }

    /// The query as it is explained: without the row that looks for the next page.
    pub(super) fn to_explain(&self) -> Query {
        let mut query = self.query.clone();
        query.limit = Some(self.limit);
        query
    }

    /// The page as JSON: as many rows as were asked for, or as [`PAGE_BYTES_MAX`] holds.
    async fn write(&self, mut rows: Rows, incarnation: u128) -> orlop::Result<Vec<u8>> {
        let mut out = b"{\"documents\":[".to_vec();
        let (mut written, mut last, mut more) = (0, None, false);
        while let Some(row) = rows.try_next().await? {
            if written == self.limit || out.len() > PAGE_BYTES_MAX {
                more = true;
                break;
            }
            if written > 0 {
                out.push(b',');
            }
            match &self.projection {
                None => ejson::write_document(&mut out, row.body.raw(), self.style, &self.hide)?,
                Some(projection) => {
                    let projected = projection.of_document(row.body.raw())?;
                    ejson::write_document(&mut out, &projected, self.style, &self.hide)?;
                }
            }
            written += 1;
            last = Some(row);
        }
        out.extend(b"],\"cursor\":");
        match last.filter(|_| more) {
            None => out.extend(b"null"),
            Some(last) => {
                let mut after = sort_position(&self.query.sort, last.body.raw())?;
                after.push(last.body.id()?);
                let token = tokens::cursor(incarnation, self.hash, after)?;
                out.extend(format!("\"{token}\"").as_bytes());
            }
        }
        out.push(b'}');
        out.shrink_to_fit();
        Ok(out)
    }
}

/// The fields that a page shows. Applied here, not in the engine: the cursor needs the whole document.
struct Shown {
    projection: Projection,
    /// Finds the element that a positional projection means.
    matcher: Option<Matcher>,
}

impl Shown {
    fn of(form: &Document, filter: &Expr) -> orlop::Result<Self> {
        let projection = Projection::parse(form, Some(filter))?;
        let matcher = match projection.is_positional() {
            true => Some(Matcher::new(filter)?),
            false => None,
        };
        Ok(Self {
            projection,
            matcher,
        })
    }

    fn of_document(&self, document: &RawDocument) -> orlop::Result<RawDocumentBuf> {
        let matched = match &self.matcher {
            None => None,
            Some(matcher) => matcher
                .matches_at(document)?
                .and_then(|found| found.position),
        };
        self.projection.project(document, matched)
    }
}

/// The order and the distinct values of a field tell its values.
pub(super) fn refuse_sensitive(hide: &Hide, path: &str) -> Result<(), Problem> {
    let parts: Vec<&str> = path.split('.').collect();
    let covers = |hidden: &Vec<String>| hidden.iter().zip(&parts).all(|(a, b)| a == b);
    if hide.paths.iter().any(covers) {
        return Err(Problem::rule(format!(
            "the field {path} is sensitive; ask with includeSensitive"
        )));
    }
    Ok(())
}

/// The answer with a page, from the cache when it holds a current one.
pub(super) async fn page(app: &App, call: &Call, ask: &Arc<Ask>) -> Result<Response, Problem> {
    let cache = app.db.cache();
    let space = cache.space(&ask.query.collection);
    let incarnation = app.incarnation();
    let loading = Arc::clone(ask);
    let (page, how) = cache
        .derived(
            &space,
            ask.query.clone(),
            &ask.also,
            move |read: &dyn Read, query| {
                let ask = Arc::clone(&loading);
                Box::pin(async move {
                    let rows = read.query(query).await?;
                    let page = ask.write(rows, incarnation).await?;
                    let bytes = page.len();
                    Ok((Page(page.into()), bytes))
                })
            },
        )
        .await?;
    let tag = page
        .version()
        .map(|version| format!("W/\"{incarnation:x}-{version}-{}\"", ask.shape));
    let unchanged = match (&call.if_none_match, &tag) {
        (Some(Tags::Any), _) => true,
        (Some(tags), Some(tag)) => tags.names(tag),
        _ => false,
    };
    let mut response = match unchanged {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => {
            let kind = HeaderValue::from_static(media_type(ask.style));
            ([(header::CONTENT_TYPE, kind)], page.0.clone()).into_response()
        }
    };
    if let Some(tag) = tag.and_then(|tag| HeaderValue::try_from(tag).ok()) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    Ok(served::mark(response, how))
}

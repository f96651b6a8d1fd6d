//! Reading many: pages of a query, counts, distinct values, explanations.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bson::raw::{RawDocument, RawDocumentBuf};
use bson::{Bson, Document, doc};
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use orlop::engine::{Query, Read, Rows};
use orlop::pack::keys::sort_position;
use orlop::query::{Expr, Matcher, Projection, Sort};

use super::collections::rendered;
use super::served;
use crate::answer::{Answer, media_type, raw, write_array};
use crate::app::App;
use crate::call::{Call, Fields, Payload, Tags, check_collection};
use crate::ejson::{self, Hide, Style};
use crate::problem::Problem;
use crate::tokens;

/// Documents on a page when the request does not say.
const PAGE: u64 = 1_000;
/// Most documents on a page.
const PAGE_MAX: u64 = 10_000;
/// A page ends early, with a cursor, when its JSON is over this many bytes.
const PAGE_BYTES_MAX: usize = 32 * 1024 * 1024;
const PARAMS: &[&str] = &[
    "filter",
    "sort",
    "projection",
    "skip",
    "limit",
    "cursor",
    "includeRevision",
    "includeSensitive",
];

/// A page as JSON, as the cache keeps it.
struct Page(Bytes);

pub(super) async fn post(
    State(app): State<Arc<App>>,
    Path(collection): Path<String>,
    call: Call,
    payload: Payload,
) -> Result<Response, Problem> {
    call.only(&[])?;
    let ask = Ask::of_document(&app, &call, &collection, payload.optional()?)?;
    page(&app, &call, ask).await
}

/// The same by `GET`, with the fields as parameters.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Path(collection): Path<String>,
    call: Call,
) -> Result<Response, Problem> {
    call.only(PARAMS)?;
    let mut fields = Document::new();
    for (name, value) in &call.params {
        let value = match name.as_str() {
            "cursor" => Bson::String(value.clone()),
            _ if value.is_empty() => Bson::Boolean(true),
            _ => ejson::value(value.as_bytes())
                .map_err(|error| Problem::unparsable(format!("{name}: {}", error.message())))?,
        };
        if fields.insert(name, value).is_some() {
            return Err(Problem::unparsable(format!("{name} is given twice")));
        }
    }
    let ask = Ask::of_document(&app, &call, &collection, fields)?;
    page(&app, &call, ask).await
}

pub(super) async fn explain(
    State(app): State<Arc<App>>,
    Path(collection): Path<String>,
    call: Call,
    payload: Payload,
) -> Result<Answer, Problem> {
    call.only(&[])?;
    let ask = Ask::of_document(&app, &call, &collection, payload.optional()?)?;
    let mut query = ask.query;
    query.limit = Some(ask.limit);
    let explain = app.db.engine().explain(query).await?;
    let whole = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let body = doc! {
        "plan": explain.plan,
        "index": explain.index,
        "bounds": explain.bounds,
        "keysExamined": whole(explain.keys_examined),
        "documentsExamined": whole(explain.documents_examined),
        "returned": whole(explain.returned),
    };
    rendered(StatusCode::OK, &call, &body)
}

pub(super) async fn count(
    State(app): State<Arc<App>>,
    Path(collection): Path<String>,
    call: Call,
    payload: Payload,
) -> Result<Response, Problem> {
    call.only(&[])?;
    check_collection(&collection)?;
    let mut fields = Fields::of(payload.optional()?, "a count");
    let filter = Expr::parse(&fields.document("filter")?)?;
    fields.end()?;
    let cache = app.db.cache();
    let space = cache.space(&collection);
    let (count, how) = cache.count(&space, all(&collection, filter)).await?;
    let body = doc! { "count": i64::try_from(*count).unwrap_or(i64::MAX) };
    let answer = rendered(StatusCode::OK, &call, &body)?;
    Ok(served::mark(answer.into_response(), how))
}

pub(super) async fn distinct(
    State(app): State<Arc<App>>,
    Path(collection): Path<String>,
    call: Call,
    payload: Payload,
) -> Result<Answer, Problem> {
    call.only(&[])?;
    check_collection(&collection)?;
    let mut fields = Fields::of(payload.document()?, "distinct");
    let field = match fields.need("field")? {
        Bson::String(field) if !field.is_empty() => field,
        _ => return Err(Problem::rule("field is the path of a field")),
    };
    let filter = Expr::parse(&fields.document("filter")?)?;
    let sensitive = fields.flag("includeSensitive")?;
    fields.end()?;
    let hide = call.hide(&app, &collection, sensitive);
    refuse_sensitive(&hide, &field)?;
    let collection = app.db.raw(collection.as_str());
    let values = collection.distinct(&[&field], filter).await?;
    let mut out = b"{\"values\":".to_vec();
    write_array(&mut out, &values, call.style)?;
    out.push(b'}');
    Ok(Answer::json(StatusCode::OK, call.style, out))
}

/// A page that was asked for.
struct Ask {
    query: Query,
    projection: Option<Shown>,
    /// The projection's text, which is part of what a cached page answers.
    projected: Vec<u8>,
    limit: u64,
    /// Says which queries a cursor may go on with.
    hash: [u8; 8],
    hide: Hide,
}

impl Ask {
    fn of_document(
        app: &App,
        call: &Call,
        collection: &str,
        document: Document,
    ) -> Result<Self, Problem> {
        check_collection(collection)?;
        let mut fields = Fields::of(document, "a query");
        let filter_form = fields.document("filter")?;
        let sort_form = fields.document("sort")?;
        let projection_form = fields.document("projection")?;
        let skip = fields.number("skip")?.unwrap_or(0);
        let limit = fields.number("limit")?.unwrap_or(PAGE);
        let cursor = fields.text("cursor")?;
        let include_revision = fields.flag("includeRevision")?;
        let sensitive = fields.flag("includeSensitive")?;
        fields.end()?;
        if !(1..=PAGE_MAX).contains(&limit) {
            return Err(Problem::rule(format!(
                "limit is the size of a page, 1 to {PAGE_MAX}; the cursor leads to the next"
            )));
        }
        let mut hide = call.hide(app, collection, sensitive);
        hide.revision = !include_revision;
        let sort = Sort::parse(&sort_form)?;
        for (path, _) in &sort.keys {
            refuse_sensitive(&hide, path)?;
        }
        let (filter_bytes, sort_bytes) = (raw(&filter_form)?, raw(&sort_form)?);
        let hash = tokens::query_hash(&[
            collection.as_bytes(),
            filter_bytes.as_bytes(),
            sort_bytes.as_bytes(),
            &skip.to_le_bytes(),
        ]);
        let after = match cursor {
            Some(token) => Some(tokens::read_cursor(app.incarnation(), hash, &token)?),
            None => None,
        };
        let filter = Expr::parse(&filter_form)?;
        let projection = match projection_form.is_empty() {
            true => None,
            false => Some(Shown::of(&projection_form, &filter)?),
        };
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
            projected: raw(&projection_form)?.into_bytes(),
            limit,
            hash,
            hide,
        })
    }

    /// The page as JSON: as many rows as were asked for, or as [`PAGE_BYTES_MAX`] holds.
    async fn write(
        &self,
        mut rows: Rows,
        style: Style,
        incarnation: u128,
    ) -> orlop::Result<Vec<u8>> {
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
                None => ejson::write_document(&mut out, row.body.raw(), style, &self.hide)?,
                Some(projection) => {
                    let projected = projection.of_document(row.body.raw())?;
                    ejson::write_document(&mut out, &projected, style, &self.hide)?;
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

    /// Tells apart pages of one query that differ in form, size or fields.
    fn shape(&self, style: Style) -> u64 {
        let after = format!("{:?} {}", self.query.after, self.limit);
        let hash = tokens::query_hash(&[self.also(style).as_bytes(), after.as_bytes()]);
        u64::from_le_bytes(hash)
    }

    /// What, beside the query, a cached page depends on.
    fn also(&self, style: Style) -> String {
        format!(
            "page {style:?} {} {:?} {:?}",
            self.hide.revision, self.hide.paths, self.projected
        )
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
fn refuse_sensitive(hide: &Hide, path: &str) -> Result<(), Problem> {
    let parts: Vec<&str> = path.split('.').collect();
    let covers = |hidden: &Vec<String>| hidden.iter().zip(&parts).all(|(a, b)| a == b);
    if hide.paths.iter().any(covers) {
        return Err(Problem::rule(format!(
            "the field {path} is sensitive; ask with includeSensitive"
        )));
    }
    Ok(())
}

async fn page(app: &App, call: &Call, ask: Ask) -> Result<Response, Problem> {
    let cache = app.db.cache();
    let space = cache.space(&ask.query.collection);
    let (style, incarnation) = (call.style, app.incarnation());
    let (query, also) = (ask.query.clone(), ask.also(style));
    let ask = Arc::new(ask);
    let loading = Arc::clone(&ask);
    let (page, how) = cache
        .derived(&space, query, &also, move |read: &dyn Read, query| {
            let ask = Arc::clone(&loading);
            Box::pin(async move {
                let rows = read.query(query).await?;
                let page = ask.write(rows, style, incarnation).await?;
                let bytes = page.len();
                Ok((Page(page.into()), bytes))
            })
        })
        .await?;
    let tag = page.version().map(|version| {
        let query = u64::from_le_bytes(ask.hash);
        let shape = ask.shape(style);
        format!("W/\"{incarnation:x}-{version}-{query:x}-{shape:x}\"")
    });
    let unchanged = match (&call.if_none_match, &tag) {
        (Some(Tags::Any), _) => true,
        (Some(tags), Some(tag)) => tags.names(tag),
        _ => false,
    };
    let mut response = match unchanged {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => {
            let kind = HeaderValue::from_static(media_type(style));
            ([(header::CONTENT_TYPE, kind)], page.0.clone()).into_response()
        }
    };
    if let Some(tag) = tag.and_then(|tag| HeaderValue::try_from(tag).ok()) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    Ok(served::mark(response, how))
}

/// Every document of a collection that matches.
fn all(collection: &str, filter: Expr) -> Query {
    Query {
        collection: Arc::from(collection),
        filter,
        sort: Sort::default(),
        projection: None,
        skip: 0,
        limit: None,
        after: None,
    }
}

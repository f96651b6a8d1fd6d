//! Reading many: pages of a query, counts, distinct values, explanations.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bson::{Bson, Document, doc};
use orlop::engine::Query;
use orlop::query::{Expr, Sort};

use super::collections::rendered;
use super::page::{Text, page, prepare, refuse_sensitive};
use super::served;
use crate::answer::{Answer, write_array};
use crate::app::App;
use crate::call::{Call, Fields, Payload, check_collection};
use crate::ejson;
use crate::problem::Problem;

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

pub(super) async fn post(
    State(app): State<Arc<App>>,
    Path(collection): Path<String>,
    call: Call,
    payload: Payload,
) -> Result<Response, Problem> {
    call.only(&[])?;
    let text = Text::Body(&payload.bytes);
    let ask = prepare(&app, &call, &collection, text, || payload.optional())?;
    page(&app, &call, &ask).await
}

/// The same by `GET`, with the fields as parameters.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Path(collection): Path<String>,
    RawQuery(query): RawQuery,
    call: Call,
) -> Result<Response, Problem> {
    let text = Text::Params(query.as_deref().unwrap_or_default());
    let ask = prepare(&app, &call, &collection, text, || {
        call.only(PARAMS)?;
        fields_of(&call.params)
    })?;
    page(&app, &call, &ask).await
}

/// What the parameters of a query string ask for, as the body of a query says it.
///
/// # Errors
/// 400 when a value is no Extended JSON or a name is given twice.
pub(crate) fn fields_of(params: &[(String, String)]) -> Result<Document, Problem> {
    let mut fields = Document::new();
    for (name, value) in params {
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
    Ok(fields)
}

pub(super) async fn explain(
    State(app): State<Arc<App>>,
    Path(collection): Path<String>,
    call: Call,
    payload: Payload,
) -> Result<Answer, Problem> {
    call.only(&[])?;
    let text = Text::Body(&payload.bytes);
    let ask = prepare(&app, &call, &collection, text, || payload.optional())?;
    let query = ask.to_explain();
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

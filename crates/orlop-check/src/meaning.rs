//! What a find and an update mean, over documents in memory: what every engine is held to.
//!
//! Nothing but `orlop::query` and a list; no index, no plan, no store. What is asked comes as a
//! document, as MongoDB's commands have it: `filter`, `sort`, `projection`, `skip`, `limit`; or
//! `filter`, `update`, `arrayFilters`, `upsert`, `multi`.

use bson::oid::ObjectId;
use bson::raw::{RawDocument, RawDocumentBuf};
use bson::{Bson, DateTime, Document};
use orlop::engine::Query;
use orlop::query::{Expr, Match, Matcher, Projection, Sort, Update, Updated, value};
use orlop::{Error, ErrorKind, Result};

/// The instant `$currentDate` and `$$NOW` give: later than any in generated documents.
pub const NOW_MS: i64 = 1_800_000_000_000;

/// What an update did to a list of documents.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// How many matched, an inserted one included.
    pub matched: i64,
    /// How many are other than before.
    pub modified: i64,
    /// All documents afterwards, by `_id`.
    pub documents: Vec<RawDocumentBuf>,
}

/// A document that matches, and how it sorts.
type Row<'a> = (Vec<Bson>, &'a RawDocument, Match);

/// The query of an engine that asks the same.
///
/// # Errors
/// What the parsers refuse.
pub fn query(collection: &str, asked: &Document) -> Result<Query> {
    let filter = Expr::parse(&part(asked, "filter"))?;
    let projection = asked.get_document("projection");
    Ok(Query {
        collection: collection.into(),
        sort: Sort::parse(&part(asked, "sort"))?,
        projection: match projection {
            Ok(projection) => Some(Projection::parse(projection, Some(&filter))?),
            Err(_) => None,
        },
        skip: number(asked, "skip").unwrap_or(0),
        limit: number(asked, "limit"),
        after: None,
        filter,
    })
}

/// The documents that match, in order, projected.
///
/// # Errors
/// What MongoDB refuses.
pub fn find(documents: &[RawDocumentBuf], asked: &Document) -> Result<Vec<RawDocumentBuf>> {
    let query = query("", asked)?;
    let matcher = Matcher::at(&query.filter, DateTime::from_millis(NOW_MS))?;
    let mut rows: Vec<Row<'_>> = Vec::new();
    for document in documents {
        if let Some(matched) = matcher.matches_at(document)? {
            rows.push((query.sort.sort_key(document)?, document, matched));
        }
    }
    rows.sort_by(|(a, _, _), (b, _, _)| query.sort.compare_keys(a, b));
    let limit = query.limit.map_or(usize::MAX, |limit| limit as usize);
    rows.into_iter()
        .skip(query.skip as usize)
        .take(limit)
        .map(|(_, document, matched)| match &query.projection {
            Some(projection) => projection.project(document, matched.position),
            None => Ok(document.to_owned()),
        })
        .collect()
}

/// What an update makes of the first document that matches, by `_id`, or of all with `multi`.
///
/// # Errors
/// What MongoDB refuses; `AlreadyExists` when an upsert's id is taken.
pub fn update(documents: &[RawDocumentBuf], asked: &Document) -> Result<Outcome> {
    let flag = |name| asked.get_bool(name).unwrap_or(false);
    let filter = Expr::parse(&part(asked, "filter"))?;
    let now = DateTime::from_millis(NOW_MS);
    let matcher = Matcher::at(&filter, now)?;
    let update = parse_update(asked)?;
    let mut outcome = Outcome {
        matched: 0,
        modified: 0,
        documents: in_order(documents.to_vec()),
    };
    for document in &mut outcome.documents {
        if outcome.matched > 0 && !flag("multi") {
            break;
        }
        let Some(matched) = matcher.matches_at(document)? else {
            continue;
        };
        outcome.matched += 1;
        if let Updated::Changed(after) = update.apply(document, matched.position, now)? {
            outcome.modified += 1;
            *document = after;
        }
    }
    if outcome.matched == 0 && flag("upsert") {
        outcome.matched = 1;
        let created = create(&update, &filter, now)?;
        let taken = |other| value::compare(&id(other), &id(&created)).is_eq();
        if outcome.documents.iter().any(|other| taken(other)) {
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                "there is one with that id",
            ));
        }
        outcome.documents.push(created);
        outcome.documents = in_order(outcome.documents);
    }
    Ok(outcome)
}

/// The update that is asked for.
///
/// # Errors
/// What the parser refuses.
pub fn parse_update(asked: &Document) -> Result<Update> {
    let filters = asked.get_array("arrayFilters").into_iter().flatten();
    let filters: Vec<_> = filters.filter_map(Bson::as_document).cloned().collect();
    Update::parse(asked.get("update").unwrap_or(&Bson::Null), &filters)
}

/// The document an upsert inserts, with an id of its own if nothing gives one.
///
/// # Errors
/// What the update refuses.
pub fn create(update: &Update, filter: &Expr, now: DateTime) -> Result<RawDocumentBuf> {
    let created = update.insert(None, filter, now)?;
    if created.get("_id").is_ok_and(|id| id.is_some()) {
        return Ok(created);
    }
    update.insert(Some(&Bson::ObjectId(ObjectId::new())), filter, now)
}

/// Documents by `_id`, as a collection holds them.
pub fn in_order(mut documents: Vec<RawDocumentBuf>) -> Vec<RawDocumentBuf> {
    documents.sort_by(|a, b| value::compare(&id(a), &id(b)));
    documents
}

/// The `_id` of a document; null when it has none.
pub fn id(document: &RawDocument) -> Bson {
    let id = document.get("_id").ok().flatten();
    id.and_then(|id| Bson::try_from(id).ok())
        .unwrap_or(Bson::Null)
}

fn part(fields: &Document, name: &str) -> Document {
    fields.get_document(name).cloned().unwrap_or_default()
}

fn number(asked: &Document, name: &str) -> Option<u64> {
    asked
        .get_i64(name)
        .ok()
        .and_then(|number| number.try_into().ok())
}

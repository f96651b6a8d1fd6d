//! What `orlop::query` answers: the meaning that every engine is held to.

use bson::oid::ObjectId;
use bson::raw::{RawDocument, RawDocumentBuf};
use bson::{Bson, DateTime, Document};
use orlop::Result;
use orlop::query::{Expr, Match, Matcher, Projection, Sort, Update, Updated, value};

use super::answer::Answer;
use super::case::documents;

/// Later than every generated instant; see `answer`.
const NOW_MS: i64 = 1_800_000_000_000;

/// A document that matches, and how it sorts.
type Row<'a> = (Vec<Bson>, &'a RawDocument, Match);

/// The documents that match, in order, projected.
pub(crate) fn find(case: &Document) -> Answer {
    let answer = |rows| Answer::Documents {
        counts: None,
        documents: rows,
    };
    try_find(case).map_or_else(|error| Answer::Refused(error.to_string()), answer)
}

fn try_find(case: &Document) -> Result<Vec<RawDocumentBuf>> {
    let asked = part(case, "find");
    let filter = Expr::parse(&part(&asked, "filter"))?;
    let matcher = Matcher::at(&filter, DateTime::from_millis(NOW_MS))?;
    let sort = Sort::parse(&part(&asked, "sort"))?;
    let projection = match asked.get_document("projection") {
        Ok(projection) => Some(Projection::parse(projection, Some(&filter))?),
        Err(_) => None,
    };
    let stored = stored(case)?;
    let mut rows = matching(&stored, &matcher, &sort)?;
    rows.sort_by(|(a, _, _), (b, _, _)| sort.compare_keys(a, b));
    let number = |name, otherwise| {
        asked
            .get_i64(name)
            .map_or(otherwise, |n| usize::try_from(n).unwrap_or(0))
    };
    rows.into_iter()
        .skip(number("skip", 0))
        .take(number("limit", usize::MAX))
        .map(|(_, document, matched)| match &projection {
            Some(projection) => projection.project(document, matched.position),
            None => Ok(document.to_owned()),
        })
        .collect()
}

/// What an update makes of the first document that matches, by `_id`, or of all with `multi`.
pub(crate) fn update(case: &Document) -> Answer {
    try_update(case).unwrap_or_else(|error| Answer::Refused(error.to_string()))
}

fn try_update(case: &Document) -> Result<Answer> {
    let asked = part(case, "update");
    let flag = |name| asked.get_bool(name).unwrap_or(false);
    let filter = Expr::parse(&part(&asked, "filter"))?;
    let now = DateTime::from_millis(NOW_MS);
    let matcher = Matcher::at(&filter, now)?;
    let filters: Vec<_> = asked
        .get_array("arrayFilters")
        .into_iter()
        .flatten()
        .collect();
    let filters: Vec<_> = filters
        .into_iter()
        .filter_map(Bson::as_document)
        .cloned()
        .collect();
    let update = Update::parse(asked.get("update").unwrap_or(&Bson::Null), &filters)?;
    let mut stored = stored(case)?;
    let mut counts = (0, 0);
    for document in &mut stored {
        if counts.0 > 0 && !flag("multi") {
            break;
        }
        let Some(matched) = matcher.matches_at(document)? else {
            continue;
        };
        counts.0 += 1;
        if let Updated::Changed(after) = update.apply(document, matched.position, now)? {
            counts.1 += 1;
            *document = after;
        }
    }
    if counts.0 == 0 && flag("upsert") {
        counts.0 = 1;
        let created = created(&update, &filter, now)?;
        if stored
            .iter()
            .any(|other| value::compare(&id(other), &id(&created)).is_eq())
        {
            return Ok(Answer::Refused(
                "there is a document with that id".to_owned(),
            ));
        }
        stored.push(created);
        stored.sort_by(|a, b| value::compare(&id(a), &id(b)));
    }
    Ok(Answer::Documents {
        counts: Some(counts),
        documents: stored,
    })
}

fn created(update: &Update, filter: &Expr, now: DateTime) -> Result<RawDocumentBuf> {
    let created = update.insert(None, filter, now)?;
    if created.get("_id").is_ok_and(|id| id.is_some()) {
        return Ok(created);
    }
    // Whoever stores it gives the id that neither the filter nor the update gave.
    update.insert(Some(&Bson::ObjectId(ObjectId::new())), filter, now)
}

fn part(fields: &Document, name: &str) -> Document {
    fields.get_document(name).cloned().unwrap_or_default()
}

/// The case's documents as a collection holds them: in order of `_id`.
fn stored(case: &Document) -> Result<Vec<RawDocumentBuf>> {
    let mut documents: Vec<_> = documents(case)
        .unwrap_or_default()
        .iter()
        .map(|document| RawDocumentBuf::try_from(document).expect("a case is BSON"))
        .collect();
    documents.sort_by(|a, b| value::compare(&id(a), &id(b)));
    Ok(documents)
}

fn id(document: &RawDocument) -> Bson {
    let id = document.get("_id").expect("a document is BSON");
    id.map_or(Bson::Null, |id| {
        Bson::try_from(id).expect("a document is BSON")
    })
}

fn matching<'a>(
    stored: &'a [RawDocumentBuf],
    matcher: &Matcher,
    sort: &Sort,
) -> Result<Vec<Row<'a>>> {
    let mut rows = Vec::new();
    for document in stored {
        if let Some(matched) = matcher.matches_at(document)? {
            rows.push((sort.sort_key(document)?, document.as_ref(), matched));
        }
    }
    Ok(rows)
}

//! The plainest way to answer a query: read the whole collection, keep what matches, sort it.

use std::sync::Arc;

use crate::document::IndexSpec;
use crate::engine::kv::View;
use crate::engine::records::{self, CollectionNumber, IndexNumber};
use crate::engine::{Explain, Query, Stored};
use crate::pack::{Body, keys};
use crate::query::{Expr, Matcher};
use crate::{Error, Result};

/// An index that is complete.
#[allow(dead_code)]
pub(crate) struct PlanIndex {
    pub(crate) number: IndexNumber,
    pub(crate) spec: Arc<IndexSpec>,
    pub(crate) multikey: bool,
}

/// What a query runs on.
#[allow(dead_code)]
pub(crate) struct Source {
    pub(crate) view: Arc<dyn View>,
    pub(crate) collection: CollectionNumber,
    pub(crate) indexes: Vec<PlanIndex>,
}

/// Rows of a query.
pub(crate) struct Cursor(std::vec::IntoIter<Stored>);

impl Cursor {
    pub(crate) fn empty() -> Self {
        Self(Vec::new().into_iter())
    }

    pub(crate) fn is_short(&self) -> bool {
        true
    }
}

impl Iterator for Cursor {
    type Item = Result<Stored>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(Ok)
    }
}

pub(crate) fn run(source: &Source, query: &Query) -> Result<Cursor> {
    let matcher = match query.filter {
        Expr::All => None,
        ref filter => Some(Matcher::new(filter)?),
    };
    let prefix = records::document_prefix(source.collection).len();
    let after = query
        .after
        .as_ref()
        .map(|after| keys::sort_key_of(&query.sort, after));
    let mut rows = Vec::new();
    for pair in source
        .view
        .range(&records::documents(source.collection), false)
    {
        let (key, record) = pair?;
        let body: Body = records::decode_record(&key, &record)?;
        if let Some(matcher) = &matcher
            && !matcher.matches(body.raw())?
        {
            continue;
        }
        let mut order = keys::sort_key(&query.sort, body.raw())?;
        order.extend_from_slice(&key[prefix..]);
        if after.as_ref().is_some_and(|after| order <= *after) {
            continue;
        }
        let revision = body
            .revision()
            .ok_or_else(|| Error::corrupt("stored document has no revision"))?;
        rows.push((order, Stored { revision, body }));
    }
    rows.sort_by(|a, b| a.0.cmp(&b.0));
    let skip = usize::try_from(query.skip).unwrap_or(usize::MAX);
    let limit = usize::try_from(query.limit.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
    let rows: Vec<Stored> = rows
        .into_iter()
        .skip(skip)
        .take(limit)
        .map(|(_, row)| row)
        .collect();
    Ok(Cursor(rows.into_iter()))
}

pub(crate) fn count(source: &Source, query: &Query) -> Result<u64> {
    Ok(run(source, query)?.count() as u64)
}

pub(crate) fn explain(source: &Source, query: &Query) -> Result<Explain> {
    let returned = count(source, query)?;
    Ok(Explain {
        plan: "COLLSCAN".to_owned(),
        index: None,
        bounds: Vec::new(),
        keys_examined: 0,
        documents_examined: returned,
        returned,
    })
}

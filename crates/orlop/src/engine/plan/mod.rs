//! Answers queries from a view: chooses a way, walks it, gives documents in order.
//!
//! Pure of I/O but for reads of the view. The whole filter is evaluated on every document fetched,
//! unless the ranges scanned provably hold nothing else. A result without a sort is in order of
//! id, however it was found.

mod access;
mod bounds;
mod choose;
mod feed;
mod interval;
mod order;
mod scan;
mod sorter;
mod terms;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;

use super::kv::View;
use super::records::{self, CollectionNumber, IndexNumber};
use super::{Explain, Query, Stored};
use crate::document::IndexSpec;
use crate::pack::Body;
use crate::query::{Matcher, Projection};
use crate::{Error, Result};

use choose::Plan;
use feed::{Feed, Row, Started};
use order::Order;
use sorter::Sorter;

/// Memory one query may take to bring documents in order, in bytes: MongoDB's limit.
const SORT_BYTES_MAX: usize = 100 * 1024 * 1024;
/// Most documents of a cursor that [`Cursor::is_short`] promises to read.
const SHORT: u64 = 1_000;

/// An index that is complete.
#[derive(Debug, Clone)]
pub(crate) struct PlanIndex {
    pub(crate) number: IndexNumber,
    pub(crate) spec: Arc<IndexSpec>,
    /// Some key came from an array.
    pub(crate) multikey: bool,
}

/// A collection at one instant.
pub(crate) struct Source {
    pub(crate) view: Arc<dyn View>,
    pub(crate) collection: CollectionNumber,
    pub(crate) indexes: Vec<PlanIndex>,
}

/// The documents of a query, in order. Reads as it is asked; holds its view.
pub(crate) struct Cursor {
    view: Arc<dyn View>,
    collection: CollectionNumber,
    plan: Option<Plan>,
    matcher: Option<Matcher>,
    /// What is scanned matches.
    exact: bool,
    state: State,
    projection: Option<Projection>,
    skip: u64,
    limit: Option<u64>,
    bytes_max: usize,
    /// Documents are compared with the place to continue behind.
    check_after: bool,
    keys: u64,
    documents: u64,
    returned: u64,
}

enum State {
    Waiting,
    Scanning(Box<Feed>),
    Sorted(Box<dyn Iterator<Item = Stored> + Send>),
    Ended,
}

/// Plans a query. Nothing is read before the first document is asked for.
///
/// # Errors
/// `Invalid` when `after` does not fit the sort or an expression of the filter does not compile.
pub(crate) fn run(source: &Source, query: &Query) -> Result<Cursor> {
    run_within(source, query, SORT_BYTES_MAX)
}

/// How many documents [`run`] would give.
///
/// # Cost
/// No document is read when an index without arrays covers the filter, or there is none.
pub(crate) fn count(source: &Source, query: &Query) -> Result<u64> {
    // Order matters only to the place to continue behind.
    if query.after.is_some() {
        return run(source, query)?.try_fold(0, |count, row| row.map(|_| count + 1));
    }
    let unordered = Query {
        sort: crate::query::Sort::default(),
        skip: 0,
        limit: None,
        ..query.clone()
    };
    let mut cursor = run(source, &unordered)?;
    cursor.forget_order();
    let most = query.skip.saturating_add(query.limit.unwrap_or(u64::MAX));
    let mut count = 0;
    cursor.start()?;
    while count < most && cursor.next_counted()? {
        count += 1;
    }
    Ok(count.saturating_sub(query.skip))
}

/// Runs the query and says how.
pub(crate) fn explain(source: &Source, query: &Query) -> Result<Explain> {
    let mut cursor = run(source, query)?;
    let mut explain = cursor.describe();
    for row in cursor.by_ref() {
        row?;
    }
    explain.keys_examined = cursor.keys_examined();
    explain.documents_examined = cursor.documents;
    explain.returned = cursor.returned;
    Ok(explain)
}

fn run_within(source: &Source, query: &Query, bytes_max: usize) -> Result<Cursor> {
    // Compiled even where it is not needed: a bad expression is an error, whatever the plan.
    let matcher = Matcher::at(&query.filter, bson::DateTime::now())?;
    let plan = choose::choose(source, query)?;
    Ok(Cursor {
        view: Arc::clone(&source.view),
        collection: source.collection,
        matcher: Some(matcher),
        exact: plan.exact,
        plan: Some(plan),
        state: State::Waiting,
        projection: query.projection.clone(),
        skip: query.skip,
        limit: query.limit,
        bytes_max,
        check_after: false,
        keys: 0,
        documents: 0,
        returned: 0,
    })
}

impl Cursor {
    /// No documents.
    pub(crate) fn empty() -> Self {
        Self {
            view: Arc::new(Nothing),
            collection: 0,
            plan: None,
            matcher: None,
            exact: true,
            state: State::Ended,
            projection: None,
            skip: 0,
            limit: None,
            bytes_max: 0,
            check_after: false,
            keys: 0,
            documents: 0,
            returned: 0,
        }
    }

    /// Whether it reads few documents and entries, so that another thread is not worth it.
    pub(crate) fn is_short(&self) -> bool {
        let Some(plan) = &self.plan else {
            return true;
        };
        let named = |scan: &access::Access| scan.ids().map(|ids| ids.len() as u64);
        match plan.scans.as_slice() {
            [] => true,
            [scan] if named(scan).is_some_and(|count| count <= SHORT) => true,
            [_] => {
                let last = self.limit.map(|limit| limit.saturating_add(self.skip));
                let in_order = matches!(plan.order, Order::Stream { ties: None, .. });
                in_order && plan.exact && last.is_some_and(|last| last <= SHORT)
            }
            _ => false,
        }
    }

    /// Index entries looked at so far.
    pub(crate) fn keys_examined(&self) -> u64 {
        match &self.state {
            State::Scanning(feed) => feed.keys_examined(),
            _ => self.keys,
        }
    }

    fn describe(&self) -> Explain {
        let mut stages = Vec::new();
        let (mut index, mut bounds) = (Vec::new(), Vec::new());
        let plan = self.plan.as_ref().filter(|plan| !plan.scans.is_empty());
        if let Some(plan) = plan {
            stages.extend(self.limit.map(|_| "LIMIT"));
            stages.extend(Some("SKIP").filter(|_| self.skip > 0));
            stages.extend(Some("SORT").filter(|_| plan.order == Order::Sorted));
            stages.extend(Some("FILTER").filter(|_| !self.exact));
            let fetch = plan.scans.iter().any(|scan| scan.stages() == "IXSCAN");
            stages.extend(Some("FETCH").filter(|_| fetch || plan.scans.len() > 1));
            let one = plan.scans.len() == 1 && plan.scans[0].ids().is_some();
            let by_id = plan.order == Order::ById && !one;
            stages.extend(Some("ORDER_BY_ID").filter(|_| by_id && plan.scans.len() == 1));
            let ties = matches!(plan.order, Order::Stream { ties: Some(_), .. });
            stages.extend(Some("ORDER_TIES").filter(|_| ties));
            stages.extend(Some("OR").filter(|_| plan.scans.len() > 1));
            for scan in &plan.scans {
                bounds.extend(scan.shown());
                index.extend(scan.name());
            }
        }
        let scans = plan.map_or_else(Vec::new, |plan| {
            plan.scans.iter().map(access::Access::stages).collect()
        });
        let scans = match scans.as_slice() {
            [] => "EOF".to_owned(),
            scans => scans.join(", "),
        };
        stages.push(&scans);
        Explain {
            plan: stages.join(" > "),
            index: Some(index.join(", ")).filter(|names| !names.is_empty()),
            bounds,
            keys_examined: 0,
            documents_examined: 0,
            returned: 0,
        }
    }

    /// Rows may be passed over or counted unread.
    fn may_skip_documents(&self) -> bool {
        let sorted = self
            .plan
            .as_ref()
            .is_some_and(|plan| plan.order == Order::Sorted);
        let named = |plan: &Plan| matches!(plan.scans.as_slice(), [scan] if scan.ids().is_some());
        // An id the filter names may have no document.
        self.exact && !sorted && !self.plan.as_ref().is_some_and(named)
    }

    /// Lets rows come as they are found, where each comes once.
    fn forget_order(&mut self) {
        if let Some(plan) = &mut self.plan
            && let [scan] = plan.scans.as_slice()
            && !scan.multikey
        {
            plan.order = Order::Stream {
                reverse: false,
                ties: None,
            };
        }
    }

    /// Whether there is one more; reads its document only when it must.
    fn next_counted(&mut self) -> Result<bool> {
        match self.may_skip_documents() {
            true => Ok(self.next_row()?.is_some()),
            false => Ok(self.next_match()?.is_some()),
        }
    }

    fn start(&mut self) -> Result<()> {
        let Some(plan) = self.plan.as_ref().filter(|plan| !plan.scans.is_empty()) else {
            self.state = State::Ended;
            return Ok(());
        };
        let started = Feed::start(plan, &self.view, self.collection, self.bytes_max)?;
        let Started {
            feed,
            sought,
            exact,
        } = started;
        let sorted = plan.order == Order::Sorted;
        self.state = State::Scanning(Box::new(feed));
        self.check_after = !sought;
        self.exact &= exact;
        if sorted {
            self.sort()?;
        } else if self.may_skip_documents() && sought {
            while self.skip > 0 && self.next_row()?.is_some() {
                self.skip -= 1;
            }
        }
        Ok(())
    }

    /// Reads everything and sorts it.
    fn sort(&mut self) -> Result<()> {
        let first = self.limit.map(|limit| limit.saturating_add(self.skip));
        let first = first.map(|first| usize::try_from(first).unwrap_or(usize::MAX));
        let mut sorter = Sorter::new(first, self.bytes_max);
        while let Some((id, stored)) = self.next_match()? {
            if let Some(plan) = &self.plan {
                let key = plan.wanted.key(stored.body.raw(), &id)?;
                if plan
                    .wanted
                    .after
                    .as_ref()
                    .is_none_or(|place| key > place.key)
                {
                    sorter.push(key, stored, &plan.advice)?;
                }
            }
        }
        self.keys = self.keys_examined();
        self.state = State::Sorted(Box::new(sorter.finish()));
        Ok(())
    }

    fn next_row(&mut self) -> Result<Option<Row>> {
        match &mut self.state {
            State::Scanning(feed) => feed.next(),
            _ => Ok(None),
        }
    }

    /// The next document that matches, with its id's key.
    fn next_match(&mut self) -> Result<Option<(Bytes, Stored)>> {
        while let Some(row) = self.next_row()? {
            let Some((id, stored)) = self.fetch(row)? else {
                continue;
            };
            let document = stored.body.raw();
            if !self.exact
                && let Some(matcher) = &self.matcher
                && !matcher.matches(document)?
            {
                continue;
            }
            return Ok(Some((id, stored)));
        }
        Ok(None)
    }

    fn fetch(&mut self, row: Row) -> Result<Option<(Bytes, Stored)>> {
        let (id, key, record) = match row {
            Row::Document(key, record) => {
                let prefix = records::document_prefix(self.collection).len();
                (key.slice(prefix..), key, Some(record))
            }
            Row::Id(id) => {
                let key = records::document_key(self.collection, &id);
                let record = self.view.get(&key)?;
                (id, key, record)
            }
        };
        self.documents += 1;
        match record {
            Some(record) => Ok(Some((id, stored(&key, &record)?))),
            None => self.missing().map(|()| None),
        }
    }

    /// An id without a document: fine when the filter named it, damage when an index did.
    fn missing(&self) -> Result<()> {
        match &self.state {
            State::Scanning(feed) if self.is_of_indexes() => Err(Error::corrupt(format!(
                "index {}: an entry names a document that is not there",
                feed.index
            ))),
            _ => Ok(()),
        }
    }

    fn is_of_indexes(&self) -> bool {
        let scans = self.plan.iter().flat_map(|plan| &plan.scans);
        scans.into_iter().all(|scan| scan.stages() == "IXSCAN")
    }

    fn next_in_order(&mut self) -> Result<Option<Stored>> {
        if matches!(self.state, State::Waiting) {
            self.start()?;
        }
        loop {
            let stored = match &mut self.state {
                State::Sorted(rows) => rows.next(),
                State::Scanning(_) => match self.next_match()? {
                    Some((id, stored)) if self.check_after => match self.is_after(&id, &stored)? {
                        true => Some(stored),
                        false => continue,
                    },
                    found => found.map(|(_, stored)| stored),
                },
                State::Waiting | State::Ended => None,
            };
            if stored.is_none() || self.skip == 0 {
                return Ok(stored);
            }
            self.skip -= 1;
        }
    }

    /// The fields that were asked for.
    fn project(&self, stored: Stored) -> Result<Stored> {
        let Some(projection) = &self.projection else {
            return Ok(stored);
        };
        let document = stored.body.raw();
        let matched = match &self.matcher {
            Some(matcher) if projection.is_positional() => matcher.matches_at(document)?,
            _ => None,
        };
        let fields = projection.project(document, matched.and_then(|matched| matched.position))?;
        Ok(Stored {
            revision: stored.revision,
            body: Body::from_stored(fields.into_bytes().into())?,
        })
    }

    fn is_after(&self, id: &[u8], stored: &Stored) -> Result<bool> {
        let Some(plan) = &self.plan else {
            return Ok(true);
        };
        let key = plan.wanted.key(stored.body.raw(), id)?;
        Ok(plan
            .wanted
            .after
            .as_ref()
            .is_none_or(|place| key > place.key))
    }

    fn end(&mut self) {
        self.keys = self.keys_examined();
        self.state = State::Ended;
    }
}

impl Iterator for Cursor {
    type Item = Result<Stored>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.limit.is_some_and(|limit| self.returned >= limit) {
            self.end();
        }
        let next = match self.next_in_order() {
            Ok(Some(stored)) => self.project(stored).map(Some),
            next => next,
        };
        match &next {
            Ok(Some(_)) => self.returned += 1,
            // After an error the scan stands nowhere.
            Ok(None) | Err(_) => self.end(),
        }
        next.transpose()
    }
}

fn stored(key: &[u8], record: &Bytes) -> Result<Stored> {
    let body = records::decode_record(key, record)?;
    let revision = body
        .revision()
        .ok_or_else(|| Error::corrupt("stored document has no revision"))?;
    Ok(Stored { revision, body })
}

/// A view of an empty store.
struct Nothing;

impl View for Nothing {
    fn get(&self, _: &[u8]) -> Result<Option<Bytes>> {
        Ok(None)
    }

    fn range(&self, _: &super::kv::KeyRange, _: bool) -> super::kv::Pairs {
        Box::new(std::iter::empty())
    }
}

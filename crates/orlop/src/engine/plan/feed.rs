//! The ids or documents a plan scans, in the order it gives them.

use std::sync::Arc;

use bytes::Bytes;

use super::access::{Access, Target};
use super::choose::Plan;
use super::order::{Order, Place};
use super::scan::{IdList, Layout, Ranges, Ties, is_behind};
use crate::Result;
use crate::document::Direction;
use crate::engine::kv::{KeyRange, View, after_prefix};
use crate::engine::records;
use crate::pack::keys;

/// One thing found.
pub(super) enum Row {
    /// The key of an id; the document is to be fetched.
    Id(Bytes),
    /// A document's key and record.
    Document(Bytes, Bytes),
}

/// A scan that has begun.
pub(super) struct Started {
    pub(super) feed: Feed,
    /// It begins behind the place to continue behind; else documents are compared with it.
    pub(super) sought: bool,
    /// All it gives matches.
    pub(super) exact: bool,
}

/// Rows of a plan.
pub(super) struct Feed {
    rows: Rows,
    /// Key examined before the current part.
    examined: u64,
    /// Name of the index the ids come from, for a message.
    pub(super) index: String,
}

enum Rows {
    Ids(IdList),
    Documents(Ranges),
    Entries(Ranges, Layout),
    Ties(Box<Ties>),
}

impl Feed {
    /// Starts the scan.
    pub(super) fn start(
        plan: &Plan,
        view: &Arc<dyn View>,
        collection: u32,
        bytes_max: usize,
    ) -> Result<Started> {
        let index: Vec<String> = plan.scans.iter().filter_map(Access::name).collect();
        let mut feed = Self {
            rows: Rows::Ids(IdList::default()),
            examined: 0,
            index: index.join(", "),
        };
        let after = plan.wanted.after.as_ref();
        let id_after = after.filter(|_| plan.order == Order::ById);
        let mut sought = id_after.is_some() || after.is_none();
        let mut exact = plan.exact;
        let one = match plan.scans.as_slice() {
            [one] => Some(one),
            _ => None,
        };
        let named = one
            .and_then(Access::ids)
            .filter(|_| plan.wanted.sort.keys.is_empty());
        if let Some(ids) = named {
            // Ids come in any order; looking them up one by one needs none of the store.
            let mut list = IdList::default();
            ids.iter().for_each(|id| _ = list.push(id, usize::MAX));
            list.order(plan.wanted.id, after.map(|place| place.id.as_slice()));
            feed.rows = Rows::Ids(list);
            let sought = true;
            return Ok(Started {
                feed,
                sought,
                exact,
            });
        }
        feed.rows = match (plan.order, one) {
            (Order::Stream { reverse, ties }, Some(access)) => {
                let rows;
                (rows, sought) = stream(plan, access, view, reverse, ties, bytes_max);
                rows
            }
            (Order::Sorted, Some(access)) if !access.multikey => {
                let ranges = Ranges::new(Arc::clone(view), access.ranges.clone(), false);
                match Layout::of(access, 0) {
                    Some(layout) => Rows::Entries(ranges, layout),
                    None => Rows::Documents(ranges),
                }
            }
            _ => {
                let after = id_after.map(|place| place.id.as_slice());
                match feed.collect(plan, view, after, bytes_max)? {
                    Some(list) => Rows::Ids(list),
                    // Too many to hold: then reading all documents in order is no worse.
                    None => {
                        exact = false;
                        documents(plan, view, collection, after)
                    }
                }
            }
        };
        Ok(Started {
            feed,
            sought,
            exact,
        })
    }

    pub(super) fn next(&mut self) -> Result<Option<Row>> {
        Ok(match &mut self.rows {
            Rows::Ids(list) => list.next().map(Row::Id),
            Rows::Documents(ranges) => ranges
                .next()?
                .map(|(key, record)| Row::Document(key, record)),
            Rows::Entries(ranges, layout) => match ranges.next()? {
                Some((key, _)) => Some(Row::Id(layout.id(&key)?)),
                None => None,
            },
            Rows::Ties(ties) => ties.next()?.map(Row::Id),
        })
    }

    /// Index entries read so far.
    pub(super) fn keys_examined(&self) -> u64 {
        self.examined
            + match &self.rows {
                Rows::Ids(_) | Rows::Documents(_) => 0,
                Rows::Entries(ranges, _) => ranges.examined,
                Rows::Ties(ties) => ties.examined(),
            }
    }

    /// All ids of all scans, in order, each once; none when they take too much memory.
    fn collect(
        &mut self,
        plan: &Plan,
        view: &Arc<dyn View>,
        after: Option<&[u8]>,
        bytes_max: usize,
    ) -> Result<Option<IdList>> {
        let mut list = IdList::default();
        for access in &plan.scans {
            let mut ranges = Ranges::new(Arc::clone(view), access.ranges.clone(), false);
            let layout = Layout::of(access, 0);
            while let Some((key, _)) = ranges.next()? {
                let id = match &layout {
                    Some(layout) => layout.id(&key)?,
                    None => key.slice(access.prefix.len()..),
                };
                if after.is_some_and(|place| !is_behind(&id, place, plan.wanted.id)) {
                    continue;
                }
                if !list.push(&id, bytes_max) {
                    return Ok(None);
                }
            }
            if layout.is_some() {
                self.examined += ranges.examined;
            }
        }
        list.order(plan.wanted.id, after);
        Ok(Some(list))
    }
}

/// All documents in order of id.
fn documents(plan: &Plan, view: &Arc<dyn View>, collection: u32, after: Option<&[u8]>) -> Rows {
    let mut range = records::documents(collection);
    if let Some(id) = after {
        let place = records::document_key(collection, id);
        cut(&mut range, &place, plan.wanted.is_descending());
    }
    let reverse = plan.wanted.is_descending();
    Rows::Documents(Ranges::new(Arc::clone(view), vec![range], reverse))
}

/// A scan whose order is the one wanted, from `after` on where that can be found by its key; false
/// when it cannot.
fn stream(
    plan: &Plan,
    access: &Access,
    view: &Arc<dyn View>,
    reverse: bool,
    ties: Option<usize>,
    bytes_max: usize,
) -> (Rows, bool) {
    let wanted = &plan.wanted;
    let mut ranges = access.ranges.clone();
    let place = wanted.after.as_ref();
    let group = place.map(|place| place_in(plan, access, place, ties));
    let sought = !matches!(group, Some(None));
    if let (Some(place), Some(Some(group))) = (place, &group) {
        let key = [&group[..], &place.id].concat();
        for range in &mut ranges {
            match (ties, reverse) {
                (None, _) => cut(range, &key, reverse),
                // The group of the place is entered whole.
                (Some(_), false) => raise(range, group),
                (Some(_), true) => lower(range, &after_prefix(group)),
            }
        }
        ranges.retain(|range| !range.is_empty());
    }
    let scan = Ranges::new(Arc::clone(view), ranges, reverse);
    let rows = match (Layout::of(access, ties.unwrap_or(0)), ties) {
        (None, _) => Rows::Documents(scan),
        (Some(layout), None) => Rows::Entries(scan, layout),
        (Some(layout), Some(_)) => {
            let mut scan = Ties::new(scan, layout, wanted.id, bytes_max);
            if let (Some(place), Some(Some(group))) = (place, group) {
                scan = scan.after(group, place.id.clone());
            }
            Rows::Ties(Box::new(scan))
        }
    };
    (rows, sought)
}

/// Leaves what lies behind `place` in the direction of the walk.
fn cut(range: &mut KeyRange, place: &[u8], reverse: bool) {
    match reverse {
        true => lower(range, place),
        false => raise(range, &after_prefix(place)),
    }
}

fn raise(range: &mut KeyRange, low: &[u8]) {
    if range.low.as_slice() < low {
        range.low = low.to_vec();
    }
}

fn lower(range: &mut KeyRange, high: &[u8]) {
    if range.high.as_slice() > high {
        range.high = high.to_vec();
    }
}

/// The beginning of the keys that tie with a place: values of the leading fields. None when the
/// place says another value than the filter, so that it lies nowhere in the scan.
fn place_in(plan: &Plan, access: &Access, place: &Place, ties: Option<usize>) -> Option<Vec<u8>> {
    let mut key = access.prefix.to_vec();
    if matches!(access.target, Target::Documents) {
        return Some(key);
    }
    let leading = ties.unwrap_or(access.fields.len());
    for (at, (path, direction)) in access.fields.iter().take(leading).enumerate() {
        let sort = &plan.wanted.sort.keys;
        let given = sort.iter().position(|(known, _)| known == path);
        let given = given.and_then(|at| place.values.get(at));
        let pinned = access.bounds.get(at).filter(|_| at < access.pinned);
        let pinned = pinned.and_then(|set| set.first()?.single());
        let value = match (pinned, given.map(keys::encoded)) {
            (Some(pinned), Some(given)) if pinned != given => return None,
            (Some(pinned), _) => pinned.to_vec(),
            (None, given) => given?,
        };
        match direction {
            Direction::Ascending => key.extend_from_slice(&value),
            Direction::Descending => key.extend(value.iter().map(|byte| !*byte)),
        }
    }
    Some(key)
}

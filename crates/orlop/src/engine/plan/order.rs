//! The order of a result, and how a scan gives it.

use bson::Bson;
use bson::raw::RawDocument;

use super::access::{Access, Target};
use crate::document::Direction;
use crate::engine::Query;
use crate::pack::keys;
use crate::query::Sort;
use crate::{Error, Result};

/// The order asked for: the sort's keys up to the id, then the id.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) sort: Sort,
    pub(super) id: Direction,
    /// Only what lies behind this place.
    pub(super) after: Option<Place>,
}

/// A place in the order.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// Values of the sort's keys.
    pub(super) values: Vec<Bson>,
    /// The id's key.
    pub(super) id: Vec<u8>,
    /// The whole place as bytes that order like the places.
    pub(super) key: Vec<u8>,
}

/// How the order comes about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// As scanned.
    Stream {
        reverse: bool,
        /// Entries with the same values in so many leading fields are brought in order of id.
        ties: Option<usize>,
    },
    /// All ids found are brought in order before the first document is read.
    ById,
    /// Documents are sorted in memory.
    Sorted,
}

impl Wanted {
    /// # Errors
    /// `Invalid` when `after` has another number of values than the sort, and the id.
    pub(super) fn of(query: &Query) -> Result<Self> {
        let mut sort = Sort::default();
        let mut id = Direction::Ascending;
        for (path, direction) in &query.sort.keys {
            // Ids are different: nothing behind one in a sort can matter.
            if path == "_id" {
                id = *direction;
                break;
            }
            if !sort.keys.iter().any(|(known, _)| known == path) {
                sort.keys.push((path.clone(), *direction));
            }
        }
        let mut wanted = Self {
            sort,
            id,
            after: None,
        };
        if let Some(values) = &query.after {
            wanted.after = Some(wanted.place(query, values)?);
        }
        Ok(wanted)
    }

    fn place(&self, query: &Query, values: &[Bson]) -> Result<Place> {
        let expected = query.sort.keys.len() + 1;
        let [given @ .., id] = values else {
            return Err(Error::invalid("after needs an id"));
        };
        if values.len() != expected {
            return Err(Error::invalid(format!(
                "after has {} values, the sort and the id need {expected}",
                values.len()
            )));
        }
        let value = |path: &str| {
            let at = query.sort.keys.iter().position(|(known, _)| known == path);
            at.and_then(|at| given.get(at))
                .cloned()
                .unwrap_or(Bson::Null)
        };
        let values: Vec<Bson> = self.sort.keys.iter().map(|(path, _)| value(path)).collect();
        let id = keys::encode_id(id)?;
        let mut key = keys::sort_key_of(&self.sort, &values);
        self.push_id(&mut key, &id);
        Ok(Place { values, id, key })
    }

    /// The place of a document, as bytes that order like the places.
    pub(super) fn key(&self, document: &RawDocument, id: &[u8]) -> Result<Vec<u8>> {
        let mut key = if self.sort.keys.is_empty() {
            Vec::new()
        } else {
            keys::sort_key(&self.sort, document)?
        };
        self.push_id(&mut key, id);
        Ok(key)
    }

    pub(super) fn is_descending(&self) -> bool {
        self.id == Direction::Descending
    }

    fn push_id(&self, key: &mut Vec<u8>, id: &[u8]) {
        match self.id {
            Direction::Ascending => key.extend_from_slice(id),
            Direction::Descending => key.extend(id.iter().map(|byte| !*byte)),
        }
    }

    /// How the order comes out of a scan.
    ///
    /// Fields bound to one value may be passed over. What follows the sort's fields in the key
    /// would order ties before their ids, and a backward scan gives the ids backward: then ties
    /// are put in order. An index with elements of arrays gives no order: a document's place is
    /// that of its first element, and it is met at each of them.
    pub(super) fn from(&self, access: &Access) -> Order {
        let fallback = match self.sort.keys.is_empty() {
            true => Order::ById,
            false => Order::Sorted,
        };
        if access.multikey {
            return fallback;
        }
        if matches!(access.target, Target::Documents) {
            return match self.sort.keys.is_empty() {
                true => Order::Stream {
                    reverse: self.is_descending(),
                    ties: None,
                },
                false => Order::Sorted,
            };
        }
        let Some((consumed, reverse)) = self.consumed(access) else {
            return fallback;
        };
        let reverse = reverse.unwrap_or(self.is_descending());
        let rest = consumed.max(access.pinned) < access.fields.len();
        match rest || reverse != self.is_descending() {
            // Nothing but the id orders them: every tie is a tie of all.
            true if self.sort.keys.is_empty() => Order::ById,
            true => Order::Stream {
                reverse,
                ties: Some(consumed.max(access.pinned)),
            },
            false => Order::Stream {
                reverse,
                ties: None,
            },
        }
    }

    /// How many leading fields of the key give the order, and whether backward; none if they
    /// do not.
    fn consumed(&self, access: &Access) -> Option<(usize, Option<bool>)> {
        let mut at = 0;
        let mut reverse = None;
        for (path, direction) in &self.sort.keys {
            let pinned = |upto: usize| {
                let leading = access.fields.iter().take(upto);
                leading.take(access.pinned).any(|(known, _)| known == path)
            };
            if pinned(access.pinned) {
                continue;
            }
            at = at.max(access.pinned);
            let (known, own) = access.fields.get(at)?;
            let backward = own != direction;
            if known != path || *reverse.get_or_insert(backward) != backward {
                return None;
            }
            at += 1;
        }
        Some((at, reverse))
    }
}

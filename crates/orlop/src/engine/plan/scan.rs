//! Walks the ranges of an access: keys in order, entries of an index with their ids, ties in order.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::access::{Access, Target};
use crate::document::{Direction, IndexSpec};
use crate::engine::kv::{KeyRange, Pair, Pairs, View, after_prefix};
use crate::pack::keys;
use crate::{Error, Result};

/// Ties collected before they are read again in the other direction instead.
const TIES_BUFFERED: usize = 64;

/// The pairs of several ranges, one after the other.
pub(super) struct Ranges {
    view: Arc<dyn View>,
    /// Not yet entered, in the order of the walk.
    ranges: VecDeque<KeyRange>,
    current: Option<(KeyRange, Pairs)>,
    reverse: bool,
    /// Pairs given.
    pub(super) examined: u64,
}

impl Ranges {
    pub(super) fn new(view: Arc<dyn View>, ranges: Vec<KeyRange>, reverse: bool) -> Self {
        let mut ranges = VecDeque::from(ranges);
        if reverse {
            ranges.make_contiguous().reverse();
        }
        Self {
            view,
            ranges,
            current: None,
            reverse,
            examined: 0,
        }
    }

    pub(super) fn next(&mut self) -> Result<Option<Pair>> {
        loop {
            if let Some((_, pairs)) = &mut self.current
                && let Some(pair) = pairs.next()
            {
                self.examined += 1;
                return pair.map(Some);
            }
            let Some(range) = self.ranges.pop_front() else {
                self.current = None;
                return Ok(None);
            };
            let pairs = self.view.range(&range, self.reverse);
            self.current = Some((range, pairs));
        }
    }

    /// Continues behind all keys that begin with `prefix`, in the direction of the walk.
    fn pass(&mut self, prefix: &[u8]) {
        let Some((mut range, _)) = self.current.take() else {
            return;
        };
        match self.reverse {
            true => range.high = prefix.to_vec(),
            false => range.low = after_prefix(prefix),
        }
        if !range.is_empty() {
            self.ranges.push_front(range);
        }
    }
}

/// Where the parts of an entry's key lie.
pub(super) struct Layout {
    spec: Arc<IndexSpec>,
    prefix: usize,
    /// Leading fields whose values make entries tie.
    ties: usize,
}

impl Layout {
    /// The layout of an index's entries; none for documents.
    pub(super) fn of(access: &Access, ties: usize) -> Option<Self> {
        match &access.target {
            Target::Documents => None,
            Target::Index(spec) => Some(Self {
                spec: Arc::clone(spec),
                prefix: access.prefix.len(),
                ties,
            }),
        }
    }

    /// The id's key.
    pub(super) fn id(&self, key: &Bytes) -> Result<Bytes> {
        let entry = key.get(self.prefix..).unwrap_or_default();
        let id = keys::entry_id(&self.spec, entry)?;
        Ok(key.slice(key.len() - id.len()..))
    }

    /// The part of the key that tied entries share.
    fn group(&self, key: &Bytes) -> Result<Range<usize>> {
        let mut end = self.prefix;
        for (_, direction) in self.spec.keys.iter().take(self.ties) {
            let rest = key.get(end..).unwrap_or_default();
            end += keys::value_len(rest, *direction).ok_or_else(|| {
                Error::corrupt(format!("index {}: an entry cannot be read", self.spec.name))
            })?;
        }
        Ok(0..end)
    }

    fn is_whole(&self) -> bool {
        self.ties == self.spec.keys.len()
    }

    pub(super) fn name(&self) -> &str {
        &self.spec.name
    }
}

/// Ids of index entries, ties in order of id.
pub(super) struct Ties {
    entries: Ranges,
    layout: Layout,
    id: Direction,
    bytes_max: usize,
    /// Read and not yet grouped.
    next: Option<Bytes>,
    /// Of the current group, last first.
    ready: Vec<Bytes>,
    /// The current group, read again in the direction of the ids.
    again: Option<Ranges>,
    /// In this group only what lies behind this id.
    after: Option<(Vec<u8>, Vec<u8>)>,
}

impl Ties {
    pub(super) fn new(entries: Ranges, layout: Layout, id: Direction, bytes_max: usize) -> Self {
        Self {
            entries,
            layout,
            id,
            bytes_max,
            next: None,
            ready: Vec::new(),
            again: None,
            after: None,
        }
    }

    /// Leaves out what ties with `group` and does not lie behind `id`.
    pub(super) fn after(mut self, group: Vec<u8>, id: Vec<u8>) -> Self {
        self.after = Some((group, id));
        self
    }

    pub(super) fn examined(&self) -> u64 {
        self.entries.examined + self.again.as_ref().map_or(0, |again| again.examined)
    }

    pub(super) fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            if let Some(id) = self.ready.pop() {
                return Ok(Some(id));
            }
            if let Some(again) = &mut self.again {
                if let Some((key, _)) = again.next()? {
                    return self.layout.id(&key).map(Some);
                }
                self.entries.examined += again.examined;
                self.again = None;
            }
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    /// Reads the next group; false at the end.
    fn fill(&mut self) -> Result<bool> {
        let first = match self.next.take() {
            Some(key) => Some(key),
            None => self.entries.next()?.map(|(key, _)| key),
        };
        let Some(first) = first else {
            return Ok(false);
        };
        let group = first.slice(self.layout.group(&first)?);
        let mut bytes = 0;
        let mut key = Some(first);
        while let Some(entry) = key.take() {
            if !entry.starts_with(&group) {
                self.next = Some(entry);
                break;
            }
            bytes += entry.len() + size_of::<Bytes>();
            self.ready.push(self.layout.id(&entry)?);
            if self.ready.len() >= TIES_BUFFERED && self.layout.is_whole() {
                self.read_again(&group);
                return Ok(true);
            }
            if bytes > self.bytes_max {
                return Err(Error::invalid(format!(
                    "index {}: entries that tie take over {} bytes of memory to bring in order; \
                     set a narrower filter",
                    self.layout.name(),
                    self.bytes_max
                )));
            }
            key = self.entries.next()?.map(|(key, _)| key);
        }
        if let Some((_, after)) = self.after.take_if(|(tied, _)| *tied == group[..]) {
            let id = self.id;
            self.ready.retain(|one| is_behind(one, &after, id));
        }
        match self.id {
            Direction::Ascending => self.ready.sort_unstable_by(|a, b| b.cmp(a)),
            Direction::Descending => self.ready.sort_unstable(),
        }
        Ok(true)
    }

    /// With nothing but the id behind the group, its keys are in order in the other direction.
    fn read_again(&mut self, group: &Bytes) {
        self.ready.clear();
        let mut range = KeyRange::prefix(group);
        if let Some((_, after)) = self.after.take_if(|(tied, _)| *tied == group[..]) {
            let place = [&group[..], &after].concat();
            match self.id {
                Direction::Ascending => range.low = after_prefix(&place),
                Direction::Descending => range.high = place,
            }
        }
        let view = Arc::clone(&self.entries.view);
        let reverse = self.id == Direction::Descending;
        self.again = Some(Ranges::new(view, vec![range], reverse));
        self.entries.pass(group);
    }
}

/// Whether an id lies behind another one.
pub(super) fn is_behind(id: &[u8], place: &[u8], direction: Direction) -> bool {
    match direction {
        Direction::Ascending => id > place,
        Direction::Descending => id < place,
    }
}

/// Ids in order, each once, side by side in one allocation.
#[derive(Default)]
pub(super) struct IdList {
    bytes: Vec<u8>,
    /// Where each id begins; its end is the next one's beginning before the ids are ordered.
    ids: Vec<(u32, u32)>,
    at: usize,
}

impl IdList {
    /// Adds an id; false when that takes more than `bytes_max`.
    pub(super) fn push(&mut self, id: &[u8], bytes_max: usize) -> bool {
        let taken = self.bytes.len() + id.len() + (self.ids.len() + 1) * size_of::<(u32, u32)>();
        let (Ok(start), Ok(length)) = (u32::try_from(self.bytes.len()), u32::try_from(id.len()))
        else {
            return false;
        };
        if taken > bytes_max {
            return false;
        }
        self.bytes.extend_from_slice(id);
        self.ids.push((start, length));
        true
    }

    /// Orders them and leaves out all up to `after`.
    pub(super) fn order(&mut self, direction: Direction, after: Option<&[u8]>) {
        let bytes = &self.bytes;
        let id = |(start, length): (u32, u32)| {
            let start = start as usize;
            bytes
                .get(start..start + length as usize)
                .unwrap_or_default()
        };
        match direction {
            Direction::Ascending => self.ids.sort_unstable_by(|a, b| id(*a).cmp(id(*b))),
            Direction::Descending => self.ids.sort_unstable_by(|a, b| id(*b).cmp(id(*a))),
        }
        self.ids.dedup_by(|a, b| id(*a) == id(*b));
        if let Some(after) = after {
            self.at = self
                .ids
                .partition_point(|one| !is_behind(id(*one), after, direction));
        }
    }

    pub(super) fn next(&mut self) -> Option<Bytes> {
        let (start, length) = *self.ids.get(self.at)?;
        self.at += 1;
        let start = start as usize;
        self.bytes
            .get(start..start + length as usize)
            .map(Bytes::copy_from_slice)
    }
}

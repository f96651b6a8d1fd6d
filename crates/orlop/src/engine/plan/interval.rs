//! Sets of values as intervals between cuts in the encoded, ascending order.

use std::cmp::Ordering;

use bson::Bson;

use crate::document::Direction;
use crate::engine::kv::after_prefix;
use crate::pack::keys::{self, tag};

/// A place between encoded values: before or after all that begin with some bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cut {
    pub(super) bytes: Vec<u8>,
    pub(super) after: bool,
}

/// The values between two cuts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Interval {
    pub(super) low: Cut,
    pub(super) high: Cut,
}

impl Cut {
    pub(super) fn before(bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            bytes: bytes.into(),
            after: false,
        }
    }

    pub(super) fn after(bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            bytes: bytes.into(),
            after: true,
        }
    }

    /// The first key at or behind the cut, in the space of keys that begin with `prefix`.
    pub(super) fn key(&self, prefix: &[u8]) -> Vec<u8> {
        let key = [prefix, &self.bytes].concat();
        if self.after { after_prefix(&key) } else { key }
    }

    /// The same place in the order of descending encodings, which is the complement.
    fn mirrored(&self) -> Self {
        Self {
            bytes: self.bytes.iter().map(|byte| !*byte).collect(),
            after: !self.after,
        }
    }

    fn order(&self, other: &Self) -> Ordering {
        self.key(&[]).cmp(&other.key(&[]))
    }
}

impl Interval {
    pub(super) fn new(low: Cut, high: Cut) -> Self {
        Self { low, high }
    }

    /// One value.
    pub(super) fn point(encoded: Vec<u8>) -> Self {
        Self::new(Cut::before(encoded.clone()), Cut::after(encoded))
    }

    /// All values of one type.
    pub(super) fn of_tag(tag: u8) -> Self {
        Self::new(Cut::before([tag]), Cut::before([tag::after(tag)]))
    }

    /// All values.
    pub(super) fn all() -> Self {
        Self::new(Cut::before([tag::MIN_KEY]), Cut::after([tag::MAX_KEY]))
    }

    /// The one value it holds, encoded; none when there may be more.
    pub(super) fn single(&self) -> Option<&[u8]> {
        let (low, high) = (&self.low, &self.high);
        let same = low.bytes == high.bytes && !low.after && high.after;
        let whole = || keys::value_len(&low.bytes, Direction::Ascending) == Some(low.bytes.len());
        (same && whole()).then_some(&low.bytes)
    }

    /// The interval in the order of keys of that direction.
    pub(super) fn directed(&self, direction: Direction) -> Self {
        match direction {
            Direction::Ascending => self.clone(),
            Direction::Descending => Self::new(self.high.mirrored(), self.low.mirrored()),
        }
    }

    fn is_empty(&self) -> bool {
        self.low.order(&self.high) != Ordering::Less
    }
}

/// Null as a condition finds it: null, missing (indexed as null) and undefined.
pub(super) fn null() -> Vec<Interval> {
    [Bson::Undefined, Bson::Null]
        .map(|value| Interval::point(keys::encoded(&value)))
        .to_vec()
}

/// Ordered and free of overlaps. Points that touch stay points.
pub(super) fn union(mut parts: Vec<Interval>) -> Vec<Interval> {
    parts.retain(|part| !part.is_empty());
    parts.sort_by(|a, b| a.low.order(&b.low).then_with(|| b.high.order(&a.high)));
    let mut merged: Vec<Interval> = Vec::with_capacity(parts.len());
    for part in parts {
        match merged.last_mut() {
            Some(last) if part.low.order(&last.high) == Ordering::Less => {
                if part.high.order(&last.high) == Ordering::Greater {
                    last.high = part.high;
                }
            }
            _ => merged.push(part),
        }
    }
    merged
}

/// What is in both; each must be ordered and free of overlaps.
pub(super) fn intersection(a: &[Interval], b: &[Interval]) -> Vec<Interval> {
    let (mut at_a, mut at_b) = (a.iter().peekable(), b.iter().peekable());
    let mut both = Vec::new();
    while let (Some(one), Some(other)) = (at_a.peek(), at_b.peek()) {
        let low = later(&one.low, &other.low);
        let first_ends = one.high.order(&other.high) != Ordering::Greater;
        let high = if first_ends { &one.high } else { &other.high };
        let part = Interval::new(low.clone(), high.clone());
        if !part.is_empty() {
            both.push(part);
        }
        if first_ends {
            at_a.next();
        } else {
            at_b.next();
        }
    }
    both
}

/// All values but these, which must be ordered and free of overlaps.
pub(super) fn complement(parts: &[Interval]) -> Vec<Interval> {
    let all = Interval::all();
    let mut low = all.low;
    let mut rest = Vec::with_capacity(parts.len() + 1);
    for part in parts {
        rest.push(Interval::new(low, part.low.clone()));
        low = part.high.clone();
    }
    rest.push(Interval::new(low, all.high));
    rest.retain(|part| !part.is_empty());
    rest
}

/// The intervals of one field, for people.
pub(super) fn describe(path: &str, parts: &[Interval]) -> String {
    let shown: Vec<String> = parts.iter().map(shown).collect();
    format!("{path}: {}", shown.join(", "))
}

fn shown(part: &Interval) -> String {
    format!(
        "{}{}, {}{}",
        if part.low.after { '(' } else { '[' },
        keys::describe(&part.low.bytes),
        keys::describe(&part.high.bytes),
        if part.high.after { ']' } else { ')' },
    )
}

fn later<'c>(a: &'c Cut, b: &'c Cut) -> &'c Cut {
    if a.order(b) == Ordering::Less { b } else { a }
}

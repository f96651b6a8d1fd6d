//! The order of a result: parsed as MongoDB does, with its rule for arrays.
//!
//! An array sorts by its least element, downward by its greatest; of several paths through one
//! array the elements are taken together. Missing is null, an empty array is below null.

use std::cmp::Ordering;

use bson::raw::RawDocument;
use bson::{Bson, Document};

use super::value::{Fields, Number, Rounding, View, array_index, compare, compare_views};
use super::{Path, Sort};
use crate::document::Direction;
use crate::{Error, Result};

/// Most paths of a sort.
///
/// # Source
/// MongoDB's "too many compound keys".
const KEYS_MAX: usize = 32;

impl Sort {
    /// Reads a sort in MongoDB's syntax: paths with 1 or -1.
    ///
    /// # Errors
    /// `Invalid` when MongoDB refuses it too; `Unsupported` for `$meta` and `$natural`.
    pub fn parse(sort: &Document) -> Result<Self> {
        if sort.len() > KEYS_MAX {
            return Err(Error::invalid(format!(
                "sort has more than {KEYS_MAX} paths"
            )));
        }
        let key = |(path, value): (&String, &Bson)| {
            check_path(path)?;
            Ok((Path::Owned(path.clone()), direction(path, value)?))
        };
        Ok(Self {
            keys: sort.iter().map(key).collect::<Result<_>>()?,
        })
    }

    /// The sort in MongoDB's syntax; [`Sort::parse`] of it is the same.
    pub fn to_document(&self) -> Document {
        let key = |(path, direction): &(Path, Direction)| {
            let direction = if is_down(*direction) { -1 } else { 1 };
            (path.clone().into_owned(), Bson::Int32(direction))
        };
        self.keys.iter().map(key).collect()
    }

    /// What a document sorts by: one value a path, then its `_id`, which decides ties.
    ///
    /// # Errors
    /// `Invalid` when two of the paths lead through arrays that are beside each other, as in
    /// MongoDB; `Corrupt` when the document is not BSON.
    pub fn sort_key(&self, document: &RawDocument) -> Result<Vec<Bson>> {
        self.key(Fields::of(document))
    }

    /// [`Sort::sort_key`] of an owned document.
    ///
    /// # Errors
    /// As [`Sort::sort_key`].
    pub fn sort_key_document(&self, document: &Document) -> Result<Vec<Bson>> {
        self.key(Fields::Document(document))
    }

    fn key(&self, document: Fields<'_>) -> Result<Vec<Bson>> {
        let ends: Vec<End<'_, '_>> = self
            .keys
            .iter()
            .map(|(path, _)| End::Path(path.as_ref()))
            .collect();
        let mut best: Option<Vec<View<'_>>> = None;
        expand(ends, Some(document), None, &mut |key| {
            let better = best
                .as_ref()
                .is_none_or(|best| self.order(&key, best).is_lt());
            if better {
                best = Some(key);
            }
        })?;
        let key = best.unwrap_or_default();
        let id = document.get(b"_id")?.unwrap_or(View::Null);
        let values = key.into_iter().chain([id]).map(View::to_bson);
        Ok(values.collect::<Result<_, _>>()?)
    }

    fn order(&self, a: &[View<'_>], b: &[View<'_>]) -> Ordering {
        let pairs = a.iter().zip(b).zip(&self.keys);
        let mut orders = pairs.map(|((a, b), (_, direction))| {
            let order = compare_views(*a, *b);
            if is_down(*direction) {
                order.reverse()
            } else {
                order
            }
        });
        orders
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    }

    /// The order of two documents by their sort keys; equal for one document only.
    pub fn compare_keys(&self, a: &[Bson], b: &[Bson]) -> Ordering {
        let directions = self.keys.iter().map(|(_, direction)| is_down(*direction));
        // The `_id` at the end is ascending.
        let directions = directions.chain(std::iter::once(false));
        let mut orders = a.iter().zip(b).zip(directions).map(|((a, b), down)| {
            let order = compare(a, b);
            if down { order.reverse() } else { order }
        });
        orders
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    }
}

fn is_down(direction: Direction) -> bool {
    direction == Direction::Descending
}

fn check_path(path: &str) -> Result<()> {
    if path == "$natural" {
        return Err(Error::unsupported("sort by $natural is not supported"));
    }
    if path.split('.').any(str::is_empty) {
        return Err(Error::invalid("sort: a path cannot have empty parts"));
    }
    if path.split('.').any(|part| part.starts_with('$')) {
        return Err(Error::invalid(
            "sort: the parts of a path cannot start with '$'",
        ));
    }
    Ok(())
}

fn direction(path: &str, value: &Bson) -> Result<Direction> {
    if matches!(value, Bson::Document(it) if it.contains_key("$meta")) {
        return Err(Error::unsupported("sort by $meta is not supported"));
    }
    let whole = match Number::of(value) {
        // MongoDB cuts doubles and rounds decimals.
        Some(Number::Decimal(it)) => it.round_to(0, Rounding::HalfEven).to_i64(),
        number => number.and_then(Number::truncate),
    };
    match whole {
        Some(1) => Ok(Direction::Ascending),
        Some(-1) => Ok(Direction::Descending),
        _ => Err(Error::invalid(format!(
            "sort: the order of {path} must be 1 or -1"
        ))),
    }
}

/// How far a path of the sort has been followed.
#[derive(Debug, Clone, Copy)]
enum End<'p, 'a> {
    /// What is left of it, below the present document.
    Path(&'p str),
    /// Its value.
    Value(View<'a>),
}

/// Calls `each` with every key of a document: one for each element of the array that paths lead
/// through. `picked` is the array the document is an element of.
fn expand<'a>(
    mut ends: Vec<End<'_, 'a>>,
    document: Option<Fields<'a>>,
    picked: Option<Fields<'a>>,
    each: &mut dyn FnMut(Vec<View<'a>>),
) -> Result<()> {
    let (mut array, mut known): (Option<Fields<'a>>, Option<&str>) = (None, None);
    // Paths that arrived at the array, with what is left of each: nothing, at its end.
    let mut through: Vec<(usize, &str)> = Vec::new();
    for (at, end) in ends.iter_mut().enumerate() {
        let End::Path(path) = *end else {
            continue;
        };
        let (value, rest, whole) = follow(path, document, picked)?;
        let Some(View::Array(items)) = value else {
            *end = End::Value(value.unwrap_or(View::Null));
            continue;
        };
        // Below one document the way tells arrays apart.
        let way = path.get(..path.len() - rest.len()).unwrap_or_default();
        let way = way.trim_end_matches('.');
        if *known.get_or_insert(way) != way {
            return Err(Error::invalid(
                "cannot sort by paths through parallel arrays",
            ));
        }
        if whole {
            // An array picked by its place is not taken apart, but empty is empty.
            let empty = items.count() == 0;
            *end = End::Value(if empty {
                View::Undefined
            } else {
                View::Array(items)
            });
        } else {
            array = Some(items);
            through.push((at, rest));
        }
    }
    let Some(items) = array else {
        let values = ends.iter().map(|end| match end {
            End::Value(value) => *value,
            End::Path(_) => View::Null,
        });
        each(values.collect());
        return Ok(());
    };
    let mut elements: Vec<View<'a>> = Vec::new();
    for item in items.iter() {
        elements.push(item?.1);
    }
    if elements.is_empty() {
        elements.push(View::Undefined);
    }
    for element in elements {
        let mut ends = ends.clone();
        for (at, rest) in &through {
            if let Some(end) = ends.get_mut(*at) {
                *end = if rest.is_empty() {
                    End::Value(element)
                } else {
                    End::Path(rest)
                };
            }
        }
        let inner = match element {
            View::Document(fields) => Some(fields),
            _ => None,
        };
        expand(ends, inner, Some(items), each)?;
    }
    Ok(())
}

/// Follows a path to its value or the first array: the value, what is left behind it, and
/// whether an array there is taken whole.
fn follow<'p, 'a>(
    path: &'p str,
    document: Option<Fields<'a>>,
    picked: Option<Fields<'a>>,
) -> Result<(Option<View<'a>>, &'p str, bool)> {
    let first = path.split('.').next().unwrap_or_default();
    let own = match document {
        Some(fields) => fields.get(first.as_bytes())?,
        None => None,
    };
    // A numeric part picks from the array that the document is an element of.
    let element = match picked {
        Some(items) if array_index(first).is_some() => nth(items, first)?,
        _ => None,
    };
    if own.is_some() && element.is_some() {
        return Err(Error::invalid(format!(
            "sort: {first} is both a place in an array and a field of its elements"
        )));
    }
    let nested = matches!(element, Some(View::Array(_)));
    let mut value = own.or(element);
    let mut rest = path.get(first.len() + 1..).unwrap_or_default();
    while let (Some(View::Document(fields)), false) = (value, rest.is_empty()) {
        let part = rest.split('.').next().unwrap_or_default();
        value = fields.get(part.as_bytes())?;
        rest = rest.get(part.len() + 1..).unwrap_or_default();
    }
    let ended = rest.is_empty() || matches!(value, Some(View::Array(_)));
    Ok((
        if ended { value } else { None },
        rest,
        nested && rest.is_empty(),
    ))
}

fn nth<'a>(items: Fields<'a>, place: &str) -> Result<Option<View<'a>>> {
    let place = array_index(place).unwrap_or(usize::MAX);
    match items.iter().nth(place) {
        Some(item) => Ok(Some(item?.1)),
        None => Ok(None),
    }
}

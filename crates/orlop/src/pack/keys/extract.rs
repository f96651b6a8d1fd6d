//! The keys a document has under an index or a sort, by MongoDB's rules.
//!
//! One array at most is expanded at each level: every element gives a key, an empty array gives
//! undefined, a missing field gives null. Two arrays side by side are refused.

use bson::Bson;
use bson::raw::RawDocument;

use super::{KEY_BYTES_MAX, encode_directed};
use crate::document::{Direction, IndexSpec};
use crate::query::Sort;
use crate::query::value::{Fields, Malformed, View};
use crate::{Error, ErrorKind, Result};

/// What a document puts into one index.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IndexKeys {
    /// The encoded keys, ascending, each once.
    pub keys: Vec<Vec<u8>>,
    /// Whether a path met an array.
    pub multikey: bool,
}

/// The keys of a document in an index.
///
/// # Errors
/// `Invalid` when two of the paths meet different arrays, when a numeric path part names both an
/// element and a field of an element, and when a key is over [`KEY_BYTES_MAX`]; it names the index.
pub fn index_keys(spec: &IndexSpec, document: &RawDocument) -> Result<IndexKeys> {
    let paths = spec.keys.iter().map(|(path, _)| path.as_str());
    let found = Tuples::of(paths, document).map_err(|error| named(error, &spec.name))?;
    let mut keys = Vec::with_capacity(found.tuples.len());
    for tuple in &found.tuples {
        if spec.sparse && tuple.iter().all(|slot| matches!(slot, Slot::Missing)) {
            continue;
        }
        let directions = spec.keys.iter().map(|(_, direction)| *direction);
        let key = encode_tuple(tuple, directions);
        if key.len() > KEY_BYTES_MAX {
            return Err(Error::invalid(format!(
                "index {}: key of {} bytes is over the limit of {KEY_BYTES_MAX}",
                spec.name,
                key.len()
            )));
        }
        keys.push(key);
    }
    keys.sort_unstable();
    keys.dedup();
    let multikey = found.multikey;
    Ok(IndexKeys { keys, multikey })
}

/// The encoded place of a document in a sort, without its id. Of several keys the first counts.
///
/// # Errors
/// `Invalid` when two of the sort's paths meet different arrays.
pub fn sort_key(sort: &Sort, document: &RawDocument) -> Result<Vec<u8>> {
    Ok(first_tuple(sort, document)?.0)
}

/// The values of a document that place it in a sort, one a key of the sort.
///
/// # Errors
/// As [`sort_key`].
pub fn sort_position(sort: &Sort, document: &RawDocument) -> Result<Vec<Bson>> {
    let (_, tuple) = first_tuple(sort, document)?;
    let values = tuple.into_iter().map(|slot| slot.view().to_bson());
    Ok(values.collect::<Result<_, Malformed>>()?)
}

/// The encoded place that values have in a sort; the reverse of [`sort_position`].
pub fn sort_key_of(sort: &Sort, values: &[Bson]) -> Vec<u8> {
    let mut key = Vec::new();
    for ((_, direction), value) in sort.keys.iter().zip(values) {
        encode_directed(&mut key, value, *direction);
    }
    key
}

fn first_tuple<'a>(sort: &Sort, document: &'a RawDocument) -> Result<(Vec<u8>, Vec<Slot<'a>>)> {
    let paths = sort.keys.iter().map(|(path, _)| path.as_ref());
    let found = Tuples::of(paths, document).map_err(|error| named(error, "of the sort"))?;
    let directions = || sort.keys.iter().map(|(_, direction)| *direction);
    let keyed = found.tuples.into_iter();
    keyed
        .map(|tuple| (encode_tuple(&tuple, directions()), tuple))
        .min_by(|a, b| a.0.cmp(&b.0))
        .ok_or_else(|| Error::new(ErrorKind::Internal, "a document has no sort key"))
}

fn named(error: Error, name: &str) -> Error {
    error.context(format_args!("index {name}"))
}

fn encode_tuple(tuple: &[Slot<'_>], directions: impl Iterator<Item = Direction>) -> Vec<u8> {
    let mut key = Vec::with_capacity(16 * tuple.len());
    for (slot, direction) in tuple.iter().zip(directions) {
        encode_directed(&mut key, slot.view(), direction);
    }
    key
}

/// What a path gives.
#[derive(Debug, Clone, Copy)]
enum Slot<'a> {
    Missing,
    Value(View<'a>),
}

impl<'a> Slot<'a> {
    fn view(self) -> View<'a> {
        match self {
            Self::Missing => View::Null,
            Self::Value(value) => value,
        }
    }
}

/// All tuples of values a document has under some paths.
struct Tuples<'a> {
    tuples: Vec<Vec<Slot<'a>>>,
    multikey: bool,
}

/// The walk of all paths through one level of arrays.
#[derive(Clone)]
struct Level<'p, 'a> {
    /// What is left of each path; none when its value is fixed.
    rest: Vec<Option<&'p str>>,
    fixed: Vec<Slot<'a>>,
    /// For paths whose next part is an index into the array being expanded.
    positions: Vec<Option<Position<'p, 'a>>>,
}

/// The element a numeric path part names, and how far the path leads from it.
#[derive(Clone, Copy)]
struct Position<'p, 'a> {
    found: Found<'p, 'a>,
    /// The element itself is an array.
    nested: bool,
}

/// A value on a path: the end of the path, or an array in its middle.
#[derive(Clone, Copy)]
struct Found<'p, 'a> {
    value: Option<View<'a>>,
    rest: Option<&'p str>,
}

impl<'a> Tuples<'a> {
    fn of<'p>(paths: impl Iterator<Item = &'p str>, document: &'a RawDocument) -> Result<Self> {
        let rest: Vec<_> = paths.map(Some).collect();
        let level = Level {
            fixed: vec![Slot::Missing; rest.len()],
            positions: vec![None; rest.len()],
            rest,
        };
        let mut tuples = Self {
            tuples: Vec::new(),
            multikey: false,
        };
        tuples.expand(level, Fields::of(document))?;
        Ok(tuples)
    }

    fn expand(&mut self, mut level: Level<'_, 'a>, object: Fields<'a>) -> Result<()> {
        let mut array = None;
        let mut through = Vec::new();
        let mut unwind = true;
        for at in 0..level.rest.len() {
            let Some(path) = level.rest[at] else { continue };
            let (found, nested) = next(object, path, level.positions[at])?;
            level.rest[at] = found.rest;
            match found.value {
                None => (level.fixed[at], level.rest[at]) = (Slot::Missing, None),
                Some(View::Array(elements)) => {
                    let same = array.is_none_or(|known| same_array(known, elements));
                    if !same {
                        return Err(Error::invalid("cannot index parallel arrays"));
                    }
                    array = Some(elements);
                    through.push(at);
                    unwind &= !nested;
                }
                Some(value) => (level.fixed[at], level.rest[at]) = (Slot::Value(value), None),
            }
        }
        match array {
            None => self.tuples.push(level.fixed),
            Some(elements) => {
                self.multikey = true;
                self.expand_array(level, elements, &through, unwind)?;
            }
        }
        Ok(())
    }

    fn expand_array(
        &mut self,
        mut level: Level<'_, 'a>,
        elements: Fields<'a>,
        through: &[usize],
        unwind: bool,
    ) -> Result<()> {
        level.positions.fill(None);
        let mut empty = true;
        for (at, path) in level.rest.iter().enumerate() {
            let Some(path) = *path else { continue };
            let part = path.split_once('.').map_or(path, |(part, _)| part);
            if let Some(element) = elements.get(part.as_bytes())? {
                level.positions[at] = Some(Position {
                    found: walk(elements, path)?,
                    nested: matches!(element, View::Array(_)),
                });
            }
        }
        for element in elements.iter() {
            let (_, element) = element?;
            empty = false;
            // An array reached by position is a value as a whole.
            let value = if unwind {
                element
            } else {
                View::Array(elements)
            };
            self.expand_element(level.clone(), element, value, through)?;
        }
        if empty {
            self.expand_element(level, View::Undefined, View::Undefined, through)?;
        }
        Ok(())
    }

    fn expand_element(
        &mut self,
        mut level: Level<'_, 'a>,
        element: View<'a>,
        value: View<'a>,
        through: &[usize],
    ) -> Result<()> {
        for at in through {
            if level.rest[*at].is_none() {
                level.fixed[*at] = Slot::Value(value);
            }
        }
        let object = match element {
            View::Document(fields) => fields,
            _ => Fields::Raw(&[]),
        };
        self.expand(level, object)
    }
}

/// The next value of a path in an object, and whether it is an array inside an array.
fn next<'p, 'a>(
    object: Fields<'a>,
    path: &'p str,
    position: Option<Position<'p, 'a>>,
) -> Result<(Found<'p, 'a>, bool)> {
    let part = path.split_once('.').map_or(path, |(part, _)| part);
    let here = object.get(part.as_bytes())?.is_some();
    match position {
        Some(_) if here => Err(Error::invalid(format!(
            "{part} is both a position of an array and a field of one of its elements"
        ))),
        Some(position) => Ok((position.found, position.nested)),
        None => Ok((walk(object, path)?, false)),
    }
}

/// Follows a path through documents up to its end or the first array.
fn walk<'p, 'a>(mut object: Fields<'a>, mut path: &'p str) -> Result<Found<'p, 'a>> {
    loop {
        let (part, rest) = match path.split_once('.') {
            Some((part, rest)) => (part, Some(rest)),
            None => (path, None),
        };
        let value = object.get(part.as_bytes())?;
        match (value, rest) {
            (Some(View::Document(inner)), Some(rest)) => (object, path) = (inner, rest),
            (Some(View::Array(_)), _) | (Some(_), None) => return Ok(Found { value, rest }),
            _ => {
                return Ok(Found {
                    value: None,
                    rest: None,
                });
            }
        }
    }
}

/// Whether both are the same stored bytes, not merely equal ones.
fn same_array(a: Fields<'_>, b: Fields<'_>) -> bool {
    match (a, b) {
        (Fields::Raw(a), Fields::Raw(b)) => std::ptr::eq(a, b),
        _ => false,
    }
}

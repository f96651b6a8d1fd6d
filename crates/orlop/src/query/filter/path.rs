//! The values a dotted path leads to, as MongoDB walks documents and arrays.
//!
//! An array at the end gives its elements, then itself; in the middle it is passed through to
//! the documents in it, and a numeric part also picks the element at that place.

use crate::Result;
use crate::query::value::{Fields, View, array_index};

/// What is done with an array at the end of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leaf {
    /// Its elements first, then it.
    Elements,
    /// Only it.
    Whole,
}

/// One value a path leads to; missing where a document on the way has no such field.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found<'a> {
    pub(super) value: Option<View<'a>>,
    /// Index in the outermost array that was passed through.
    pub(super) offset: Option<usize>,
}

/// Asked about each value in turn; true ends the walk.
pub(super) type Visit<'v, 'a> = &'v mut dyn FnMut(Found<'a>) -> Result<bool>;

/// Visits what `parts` lead to below a value that the first part of the path already found.
/// True when a visit said so.
pub(super) fn walk<'a>(
    value: Option<View<'a>>,
    parts: &[Box<str>],
    leaf: Leaf,
    visit: Visit<'_, 'a>,
) -> Result<bool> {
    let (mut value, mut parts) = (value, parts);
    loop {
        match (value, parts.split_first()) {
            (Some(View::Array(array)), _) => return walk_array(array, parts, leaf, visit),
            (Some(View::Document(fields)), Some((part, rest))) => {
                value = fields.get(part.as_bytes())?;
                parts = rest;
            }
            (value, None) => {
                return visit(Found {
                    value,
                    offset: None,
                });
            }
            (_, Some(_)) => {
                return visit(Found {
                    value: None,
                    offset: None,
                });
            }
        }
    }
}

fn walk_array<'a>(
    array: Fields<'a>,
    parts: &[Box<str>],
    leaf: Leaf,
    visit: Visit<'_, 'a>,
) -> Result<bool> {
    let Some((part, rest)) = parts.split_first().filter(|(part, rest)| {
        // MongoDB takes a path that ends in a dot to end at the array before it.
        !(part.is_empty() && rest.is_empty())
    }) else {
        return walk_leaf(array, leaf, visit);
    };
    let picked = array_index(part);
    for (at, item) in array.iter().enumerate() {
        let (_, item) = item?;
        if let View::Document(fields) = item {
            let value = fields.get(part.as_bytes())?;
            let outer = &mut |found: Found<'a>| {
                visit(Found {
                    offset: Some(at),
                    ..found
                })
            };
            if walk(value, rest, leaf, outer)? {
                return Ok(true);
            }
        }
        if picked == Some(at) && walk_picked(item, rest, leaf, visit)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// An element picked by its index: an array there is not expanded at the end of the path.
fn walk_picked<'a>(
    item: View<'a>,
    rest: &[Box<str>],
    leaf: Leaf,
    visit: Visit<'_, 'a>,
) -> Result<bool> {
    match (item, rest.split_first()) {
        (_, None) => visit(Found {
            value: Some(item),
            offset: None,
        }),
        (View::Array(array), Some(_)) => walk_array(array, rest, leaf, visit),
        (View::Document(fields), Some((part, rest))) => {
            walk(fields.get(part.as_bytes())?, rest, leaf, visit)
        }
        _ => Ok(false),
    }
}

fn walk_leaf<'a>(array: Fields<'a>, leaf: Leaf, visit: Visit<'_, 'a>) -> Result<bool> {
    if leaf == Leaf::Elements {
        for (at, item) in array.iter().enumerate() {
            let (_, item) = item?;
            if visit(Found {
                value: Some(item),
                offset: Some(at),
            })? {
                return Ok(true);
            }
        }
    }
    visit(Found {
        value: Some(View::Array(array)),
        offset: None,
    })
}

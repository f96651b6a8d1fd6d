//! Update paths: their parts, and which of them MongoDB refuses.

use std::cmp::Ordering;

use crate::{Error, Result};

/// Most levels of documents and arrays in one document.
///
/// # Source
/// MongoDB's "maximum nesting depth of 180".
pub(super) const DEPTH_MAX: usize = 180;

/// Most parts of a path, also where nothing is created: walking it is recursive.
const PARTS_MAX: usize = 1000;

/// One part of an update path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// A field, or an index when it meets an array.
    Name(&'a str),
    /// `$`: the element the filter matched.
    Matched,
    /// `$[name]`, or `$[]` when the name is empty.
    Each(&'a str),
}

/// Splits and checks a path.
///
/// # Errors
/// `Invalid`: empty, an empty part, a NUL, array positions first, or more than one `$`.
pub(super) fn parts(path: &str) -> Result<Vec<Part<'_>>> {
    if path.is_empty() {
        return Err(Error::invalid("an empty update path is not valid"));
    }
    if path.contains('\0') {
        return Err(Error::invalid("an update path may not contain NUL"));
    }
    let mut parts = Vec::new();
    for name in path.split('.') {
        if name.is_empty() {
            return Err(Error::invalid(format!(
                "the update path '{path}' contains an empty field name"
            )));
        }
        parts.push(part(name));
    }
    if parts.len() > PARTS_MAX {
        return Err(Error::invalid(format!(
            "an update path of {} parts is over the limit of {PARTS_MAX}",
            parts.len()
        )));
    }
    if !matches!(parts.first(), Some(Part::Name(_))) {
        return Err(Error::invalid(format!(
            "the update path '{path}' may not start with an array position"
        )));
    }
    if parts.iter().filter(|part| **part == Part::Matched).count() > 1 {
        return Err(Error::invalid(format!(
            "the update path '{path}' has more than one positional '$'"
        )));
    }
    Ok(parts)
}

/// Whether a path holds `$` or `$[..]`.
pub(super) fn is_dynamic(parts: &[Part<'_>]) -> bool {
    parts.iter().any(|part| !matches!(part, Part::Name(_)))
}

/// MongoDB's order of update paths: whole numbers by value, everything else by bytes.
///
/// New fields are appended in this order, whatever the order they were written in.
pub(super) fn order(left: &str, right: &str) -> Ordering {
    if is_number(left) && is_number(right) {
        return left.len().cmp(&right.len()).then_with(|| left.cmp(right));
    }
    left.cmp(right)
}

/// The array index a part means, when it is one. Leading zeros are allowed, as in MongoDB.
pub(super) fn index(name: &str) -> Option<usize> {
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    name.parse::<u32>()
        .ok()
        .and_then(|index| index.try_into().ok())
}

fn is_number(name: &str) -> bool {
    name == "0" || (!name.starts_with('0') && name.bytes().all(|byte| byte.is_ascii_digit()))
}

fn part(name: &str) -> Part<'_> {
    if name == "$" {
        return Part::Matched;
    }
    match name
        .strip_prefix("$[")
        .and_then(|rest| rest.strip_suffix(']'))
    {
        Some(name) => Part::Each(name),
        None => Part::Name(name),
    }
}

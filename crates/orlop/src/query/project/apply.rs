//! Copies what a projection leaves of a document.

use bson::raw::{CStr, RawArray, RawArrayBuf, RawBsonRef, RawDocument, RawDocumentBuf};

use crate::query::Matcher;
use crate::{Error, Result};

use super::{Kind, Part, Parts, Slice};

/// Where the walk is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope {
    /// The array position the filter matched.
    matched: Option<usize>,
    /// The matched element was chosen further up: the first array on the way is the one.
    is_chosen: bool,
    /// In an array that is itself an element: `$slice` does not reach there.
    is_deep: bool,
}

impl Scope {
    /// The whole document.
    pub(super) fn new(matched: Option<usize>) -> Self {
        Self {
            matched,
            is_chosen: false,
            is_deep: false,
        }
    }
}

/// The document a projection leaves.
///
/// # Errors
/// As [`super::Projection::project`].
pub(super) fn project(
    kind: Kind,
    parts: &Parts,
    document: &RawDocument,
    scope: Scope,
) -> Result<RawDocumentBuf> {
    let mut projected = RawDocumentBuf::new();
    for element in document.iter_elements() {
        let element = element.map_err(malformed)?;
        let value = element.value().map_err(malformed)?;
        let name = element.key();
        let part = parts
            .iter()
            .find(|(part, _)| part == name.as_str())
            .map(|(_, part)| part);
        match part {
            None if kind == Kind::Include => {}
            None | Some(Part::Keep) => projected.append(name, value),
            Some(Part::Drop) => {}
            Some(Part::Slice(slice)) => match value {
                RawBsonRef::Array(array) if !scope.is_deep => {
                    projected.append(name, slice.of(array)?)
                }
                other => projected.append(name, other),
            },
            Some(Part::Positional) => match value {
                RawBsonRef::Array(array) if !scope.is_chosen => {
                    let mut only = RawArrayBuf::new();
                    only.push(chosen(array, scope)?);
                    projected.append(name, only);
                }
                other => projected.append(name, other),
            },
            // When including, these come behind the fields that are just kept.
            Some(Part::ElemMatch(_)) if kind == Kind::Include => {}
            Some(Part::ElemMatch(matcher)) => {
                if let RawBsonRef::Array(array) = value
                    && let Some(array) = first(name, array, matcher)?
                {
                    projected.append(name, array);
                }
            }
            Some(Part::Below(parts)) => match value {
                RawBsonRef::Document(document) => {
                    projected.append(name, project(kind, parts, document, scope)?);
                }
                RawBsonRef::Array(array) if !scope.is_chosen && is_positional(parts) => {
                    let mut only = RawArrayBuf::new();
                    let scope_below = Scope {
                        is_chosen: true,
                        ..scope
                    };
                    push_projected(kind, parts, chosen(array, scope)?, scope_below, &mut only)?;
                    if only.is_empty() {
                        return Err(mismatch());
                    }
                    projected.append(name, only);
                }
                RawBsonRef::Array(array) => {
                    projected.append(name, each(kind, parts, array, scope)?);
                }
                other if kind == Kind::Exclude => projected.append(name, other),
                _ => {}
            },
        }
    }
    if kind == Kind::Include {
        matches(parts, document, &mut projected)?;
    }
    Ok(projected)
}

/// Appends the `$elemMatch` fields in the order they were written.
fn matches(parts: &Parts, document: &RawDocument, projected: &mut RawDocumentBuf) -> Result<()> {
    for (name, part) in parts {
        let Part::ElemMatch(matcher) = part else {
            continue;
        };
        let Some(RawBsonRef::Array(array)) = document.get(name).map_err(malformed)? else {
            continue;
        };
        let name: &CStr = name.as_str().try_into().map_err(malformed)?;
        if let Some(array) = first(name, array, matcher)? {
            projected.append(name, array);
        }
    }
    Ok(())
}

/// The elements of an array, each projected.
fn each(kind: Kind, parts: &Parts, array: &RawArray, scope: Scope) -> Result<RawArrayBuf> {
    let mut projected = RawArrayBuf::new();
    for item in array.iter_elements() {
        let value = item.map_err(malformed)?.value().map_err(malformed)?;
        push_projected(kind, parts, value, scope, &mut projected)?;
    }
    Ok(projected)
}

/// One element, projected; what has no fields stays only when excluding.
fn push_projected(
    kind: Kind,
    parts: &Parts,
    value: RawBsonRef<'_>,
    scope: Scope,
    projected: &mut RawArrayBuf,
) -> Result<()> {
    match value {
        RawBsonRef::Document(document) => projected.push(project(kind, parts, document, scope)?),
        RawBsonRef::Array(array) => {
            let scope = Scope {
                is_deep: true,
                ..scope
            };
            projected.push(each(kind, parts, array, scope)?);
        }
        other if kind == Kind::Exclude => projected.push(other),
        _ => {}
    }
    Ok(())
}

fn is_positional(parts: &Parts) -> bool {
    parts.iter().any(|(_, part)| match part {
        Part::Positional => true,
        Part::Below(parts) => is_positional(parts),
        _ => false,
    })
}

/// The matched element.
fn chosen(array: &RawArray, scope: Scope) -> Result<RawBsonRef<'_>> {
    let Some(matched) = scope.matched else {
        return Err(Error::invalid(
            "the positional projection did not find a matched array element",
        ));
    };
    array.get(matched).map_err(malformed)?.ok_or_else(mismatch)
}

fn mismatch() -> Error {
    Error::invalid("the positional projection meets an array without the matched element")
}

/// The first element that matches, alone; none when none does.
fn first(name: &CStr, array: &RawArray, matcher: &Matcher) -> Result<Option<RawArrayBuf>> {
    for element in array.iter_elements() {
        let element = element.map_err(malformed)?;
        let mut single = RawArrayBuf::new();
        single.push(element.value().map_err(malformed)?);
        let mut probe = RawDocumentBuf::new();
        probe.append(name, &single);
        if matcher.matches(&probe)? {
            return Ok(Some(single));
        }
    }
    Ok(None)
}

impl Slice {
    fn of(self, array: &RawArray) -> Result<RawArrayBuf> {
        let length = array.iter_elements().count();
        let (start, count) = match self.skip {
            Some(skip) => (from(skip, length), magnitude(self.limit)),
            None if self.limit < 0 => (from(self.limit, length), length),
            None => (0, magnitude(self.limit)),
        };
        let mut part = RawArrayBuf::new();
        for element in array.iter_elements().skip(start).take(count) {
            part.push(element.map_err(malformed)?.value().map_err(malformed)?);
        }
        Ok(part)
    }
}

fn from(skip: i64, length: usize) -> usize {
    if skip < 0 {
        length.saturating_sub(magnitude(skip))
    } else {
        magnitude(skip)
    }
}

fn magnitude(count: i64) -> usize {
    usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX)
}

fn malformed(error: bson::error::Error) -> Error {
    Error::corrupt(format!("malformed document: {error}"))
}

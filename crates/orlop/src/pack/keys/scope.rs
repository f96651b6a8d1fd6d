//! Scopes: the value tuples under which a document can be found by equality.

use bson::Bson;
use bson::raw::RawDocument;

use super::encode;
use crate::query::value::{Fields, View, array_index};
use crate::query::{Expr, Pred};
use crate::{Error, Result};

/// Most value tuples of one document in one scope.
pub(super) const SCOPE_TUPLES_MAX: usize = 10_000;

/// All value tuples a document has under a scope: whatever [`pinned_scope`] of a filter that
/// matches the document gives is among them. Arrays give each element and the whole; missing is
/// null.
///
/// # Errors
/// `Invalid` over 10 000 tuples; `Corrupt` when the document is not BSON.
pub fn scope_keys(paths: &[String], document: &RawDocument) -> Result<Vec<Vec<u8>>> {
    let mut tuples = vec![Vec::new()];
    for path in paths {
        let mut values = Vec::new();
        collect(
            View::Document(Fields::of(document)),
            Some(path),
            &mut values,
        )?;
        values.sort_unstable();
        values.dedup();
        let count = tuples.len().saturating_mul(values.len());
        if count > SCOPE_TUPLES_MAX {
            return Err(Error::invalid(format!(
                "scope {}: {count} combinations of values in one document are over the limit of \
                 {SCOPE_TUPLES_MAX}",
                paths.join(", ")
            )));
        }
        let longer = |tuple: &Vec<u8>| {
            let tuple = tuple.clone();
            values.iter().map(move |value| [&tuple[..], value].concat())
        };
        tuples = tuples.iter().flat_map(longer).collect();
    }
    Ok(tuples)
}

/// The tuple a filter pins: each path equal to one scalar, in a conjunction at the top.
pub fn pinned_scope(filter: &Expr, paths: &[String]) -> Option<Vec<u8>> {
    let mut tuple = Vec::new();
    for path in paths {
        push(&mut tuple, pinned(filter, path)?);
    }
    Some(tuple)
}

fn pinned<'a>(filter: &'a Expr, path: &str) -> Option<View<'a>> {
    match filter {
        Expr::And(terms) => terms.iter().find_map(|term| pinned(term, path)),
        Expr::Field(at, Pred::Eq(value)) if at == path => scalar(value),
        Expr::Field(at, Pred::In(values, patterns)) if at == path && patterns.is_empty() => {
            match values.as_slice() {
                [value] => scalar(value),
                _ => None,
            }
        }
        _ => None,
    }
}

fn scalar(value: &Bson) -> Option<View<'_>> {
    match value {
        Bson::Array(_) | Bson::Document(_) | Bson::RegularExpression(_) => None,
        value => Some(View::from(value)),
    }
}

/// Null finds undefined too, so both are one value here.
fn push(out: &mut Vec<u8>, value: View<'_>) {
    match value {
        View::Undefined => encode(out, View::Null),
        value => encode(out, value),
    }
}

/// Every value that a path can be equal to, and null wherever something is missing.
fn collect(value: View<'_>, path: Option<&str>, values: &mut Vec<Vec<u8>>) -> Result<()> {
    let Some(path) = path else {
        values.push(one(value));
        if let View::Array(elements) = value {
            for element in elements.iter() {
                values.push(one(element?.1));
            }
        }
        return Ok(());
    };
    let (part, rest) = match path.split_once('.') {
        Some((part, rest)) => (part, Some(rest)),
        None => (path, None),
    };
    match value {
        View::Document(fields) => match fields.get(part.as_bytes())? {
            Some(value) => collect(value, rest, values)?,
            None => values.push(one(View::Null)),
        },
        View::Array(elements) => {
            let position = array_index(part);
            // Null once, for an array without documents.
            values.push(one(View::Null));
            for (at, element) in elements.iter().enumerate() {
                let (_, element) = element?;
                if matches!(element, View::Document(_)) {
                    collect(element, Some(path), values)?;
                }
                if position == Some(at) {
                    collect(element, rest, values)?;
                }
            }
        }
        _ => values.push(one(View::Null)),
    }
    Ok(())
}

fn one(value: View<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    push(&mut out, value);
    out
}

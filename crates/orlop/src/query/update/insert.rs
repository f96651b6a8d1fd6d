//! The document an upsert starts from: what the filter says its fields are equal to.

use bson::Bson;
use bson::raw::{RawDocument, RawDocumentBuf, cstr};

use crate::query::value::compare;
use crate::query::{Expr, Pred};
use crate::{Error, Result};

use super::leaf::raw;
use super::path::DEPTH_MAX;
use super::value::{Opened, Value, close, identical, malformed, open};

/// The fields a filter pins, as a document.
///
/// # Errors
/// `Invalid` when one path is pinned twice, or a path and one below it, or there is `$expr`.
pub(super) fn seed(filter: &Expr) -> Result<RawDocumentBuf> {
    let mut equalities = Vec::new();
    collect(filter, &mut equalities)?;
    // MongoDB sets them in the order of the paths' bytes, whatever the order of the filter.
    equalities.sort_by_key(|(path, _)| *path);
    for (at, (path, _)) in equalities.iter().enumerate() {
        for (other, _) in equalities.iter().skip(at + 1) {
            if path == other {
                return Err(Error::invalid(format!(
                    "cannot infer fields of the upsert: '{path}' is matched twice"
                )));
            }
            if is_below(other, path) {
                return Err(Error::invalid(format!(
                    "cannot infer fields of the upsert: both '{path}' and '{other}' are matched"
                )));
            }
        }
    }
    let values = equalities
        .iter()
        .map(|(path, value)| Ok((*path, raw(value)?)))
        .collect::<Result<Vec<_>>>()?;
    let mut fields = Opened::new();
    for (path, value) in &values {
        if path.split('.').count() > DEPTH_MAX {
            return Err(Error::invalid(format!(
                "a path of the upsert's filter is over the limit of {DEPTH_MAX} levels"
            )));
        }
        if path.is_empty() {
            return Err(Error::invalid(
                "cannot infer fields of the upsert: a condition on the empty path",
            ));
        }
        put(&mut fields, path, Value::Raw(value.as_raw_bson_ref()));
    }
    close(&fields)
}

/// The document with `_id` first; `id` when it has none, or as it is when there is none either.
///
/// # Errors
/// `Invalid` when the document's own `_id` is another one, or of a type an id may not have.
pub(super) fn with_id(document: &RawDocument, id: Option<&Bson>) -> Result<RawDocumentBuf> {
    let given = id.map(raw).transpose()?;
    let own = document.get("_id").map_err(malformed)?;
    if let (Some(own), Some(given)) = (own, &given)
        && !identical(own, given.as_raw_bson_ref())
    {
        return Err(Error::invalid(
            "the upsert would give the document another '_id' than the one it was called with",
        ));
    }
    let Some(id) = own.or(given.as_ref().map(|given| given.as_raw_bson_ref())) else {
        return Ok(document.to_owned());
    };
    check_id(id)?;
    let mut ordered = RawDocumentBuf::new();
    ordered.append(cstr!("_id"), id);
    for element in document.iter_elements() {
        let element = element.map_err(malformed)?;
        if element.key().as_str() != "_id" {
            ordered.append(element.key(), element.value().map_err(malformed)?);
        }
    }
    Ok(ordered)
}

fn check_id(id: bson::RawBsonRef<'_>) -> Result<()> {
    use bson::RawBsonRef::{Array, Document, RegularExpression, Undefined};
    match id {
        Array(_) | RegularExpression(_) | Undefined => Err(Error::invalid(format!(
            "the '_id' may not be of type {:?}",
            id.element_type()
        ))),
        Document(document) => {
            for (name, value) in open(document)? {
                if name.starts_with('$') {
                    return Err(Error::invalid(
                        "the '_id' may not have field names that start with '$'",
                    ));
                }
                if let Value::Raw(value @ Document(_)) = value {
                    check_id(value)?;
                }
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn collect<'e>(expr: &'e Expr, found: &mut Vec<(&'e str, &'e Bson)>) -> Result<()> {
    refuse_aggregation(expr)?;
    match expr {
        Expr::And(_) if never(expr) => Ok(()),
        Expr::And(parts) => parts.iter().try_for_each(|part| collect(part, found)),
        Expr::Or(parts) => {
            let mut open = parts.iter().filter(|part| !never(part));
            match (open.next(), open.next()) {
                (Some(only), None) => collect(only, found),
                _ => Ok(()),
            }
        }
        Expr::Field(path, pred) => {
            equal(path, pred, found);
            Ok(())
        }
        Expr::Nor(_) | Expr::Aggregation(_) | Expr::All => Ok(()),
    }
}

/// Whether MongoDB sees beforehand that the filter holds for nothing: then it pins nothing.
fn never(expr: &Expr) -> bool {
    match expr {
        Expr::Field(_, Pred::All(preds)) => preds.is_empty(),
        Expr::And(parts) => parts.iter().any(never),
        Expr::Or(parts) => !parts.is_empty() && parts.iter().all(never),
        Expr::All | Expr::Nor(_) | Expr::Field(..) | Expr::Aggregation(_) => false,
    }
}

fn equal<'e>(path: &'e str, pred: &'e Pred, found: &mut Vec<(&'e str, &'e Bson)>) {
    match pred {
        Pred::Eq(value) => found.push((path, value)),
        Pred::In(values, patterns) if patterns.is_empty() => {
            let mut values = values.iter();
            if let Some(first) = values.next()
                && values.all(|value| compare(first, value).is_eq())
            {
                found.push((path, first));
            }
        }
        Pred::All(preds) => {
            for pred in preds {
                if let Pred::Eq(_) = pred {
                    equal(path, pred, found);
                }
            }
        }
        _ => {}
    }
}

fn refuse_aggregation(expr: &Expr) -> Result<()> {
    match expr {
        Expr::Aggregation(_) => Err(Error::invalid("$expr is not allowed in an upsert's filter")),
        Expr::And(parts) | Expr::Or(parts) | Expr::Nor(parts) => {
            parts.iter().try_for_each(refuse_aggregation)
        }
        Expr::All | Expr::Field(..) => Ok(()),
    }
}

fn is_below(path: &str, parent: &str) -> bool {
    path.strip_prefix(parent)
        .is_some_and(|rest| rest.starts_with('.'))
}

fn put<'a>(fields: &mut Opened<'a>, path: &'a str, value: Value<'a>) {
    let Some((name, rest)) = path.split_once('.') else {
        fields.push((path.into(), value));
        return;
    };
    let at = fields
        .iter()
        .position(|(field, _)| field == name)
        .unwrap_or_else(|| {
            fields.push((name.into(), Value::Document(Opened::new())));
            fields.len() - 1
        });
    if let Some((_, Value::Document(below))) = fields.get_mut(at) {
        put(below, rest, value);
    }
}

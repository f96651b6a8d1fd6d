//! Conditions on array elements: array filters, and those of `$pull`.

use std::sync::Arc;

use bson::raw::{CStr, RawBsonRef, RawDocumentBuf, cstr};
use bson::{Bson, Document, doc};

use crate::query::filter::is_condition;
use crate::query::{Expr, Matcher, Pred};
use crate::{Error, Result};

use super::value::Value;

/// The array filters of an update.
#[derive(Debug, Clone, Default)]
pub(super) struct Filters {
    named: Vec<(String, Arc<Matcher>)>,
}

/// A condition on one element.
#[derive(Debug, Clone)]
pub(super) enum Condition {
    /// On the fields of an element that is a document; no other element passes.
    Fields(Arc<Matcher>),
    /// On the element itself, as the only field, without a name, of a document.
    Element(Arc<Matcher>),
}

impl Filters {
    /// Parses array filters.
    ///
    /// # Errors
    /// `Invalid` when one has no single top-level name, or two have the same.
    pub(super) fn parse(filters: &[Document]) -> Result<Self> {
        let mut named: Vec<(String, Arc<Matcher>)> = Vec::new();
        for filter in filters {
            let expr = Expr::parse(filter).map_err(|error| error.context("in an array filter"))?;
            let mut name = None;
            only_name(&expr, &mut name)?;
            let name =
                name.ok_or_else(|| Error::invalid("an array filter needs the name of an element"))?;
            if named.iter().any(|(other, _)| other == name) {
                return Err(Error::invalid(format!("two array filters for '{name}'")));
            }
            named.push((name.to_owned(), Arc::new(Matcher::new(&expr)?)));
        }
        Ok(Self { named })
    }

    /// Whether there is a filter of that name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.names().any(|named| named == name)
    }

    /// The names.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.named.iter().map(|(name, _)| name.as_str())
    }

    /// Whether an element passes the filter of that name; the empty name passes all.
    pub(super) fn holds(&self, name: &str, element: &Value<'_>) -> Result<bool> {
        if name.is_empty() {
            return Ok(true);
        }
        match self.named.iter().find(|(named, _)| named == name) {
            Some((_, matcher)) => {
                let name: &CStr = name
                    .try_into()
                    .map_err(|_| Error::invalid("an array filter may not contain NUL"))?;
                holds(matcher, name, element)
            }
            None => Ok(false),
        }
    }
}

impl Condition {
    /// What `$pull` takes out for a document or a regular expression.
    ///
    /// # Errors
    /// What a filter refuses.
    pub(super) fn parse(condition: &Bson) -> Result<Self> {
        let fields = match condition {
            Bson::Document(document) => Some(document).filter(|document| {
                !document
                    .keys()
                    .next()
                    .is_some_and(|name| is_condition(name))
            }),
            _ => None,
        };
        let expr = match fields {
            Some(fields) => Expr::parse(fields)?,
            None => Expr::parse(&doc! { "": condition.clone() })?,
        };
        if has_aggregation(&expr) {
            return Err(Error::invalid("$expr is not allowed in $pull"));
        }
        let matcher = Arc::new(Matcher::new(&expr)?);
        Ok(match fields {
            Some(_) => Self::Fields(matcher),
            None => Self::Element(matcher),
        })
    }

    /// Whether an element passes.
    pub(super) fn holds(&self, element: &Value<'_>) -> Result<bool> {
        match self {
            Self::Fields(matcher) => match element.raw() {
                Some(RawBsonRef::Document(document)) => matcher.matches(document),
                _ => Ok(false),
            },
            Self::Element(matcher) => holds(matcher, cstr!(""), element),
        }
    }
}

fn holds(matcher: &Matcher, name: &CStr, element: &Value<'_>) -> Result<bool> {
    let raw = element
        .raw()
        .ok_or_else(|| Error::invalid("the update has two steps at one array element"))?;
    let mut probe = RawDocumentBuf::new();
    probe.append(name, raw);
    matcher.matches(&probe)
}

/// Finds the one top-level name of a filter.
fn only_name<'e>(expr: &'e Expr, found: &mut Option<&'e str>) -> Result<()> {
    match expr {
        Expr::All => Ok(()),
        Expr::And(parts) | Expr::Or(parts) | Expr::Nor(parts) => {
            parts.iter().try_for_each(|part| only_name(part, found))
        }
        Expr::Aggregation(_) => Err(Error::invalid("$expr is not allowed in an array filter")),
        Expr::Field(_, pred) if is_constant(pred) => Ok(()),
        Expr::Field(path, _) => {
            let name = path.split('.').next().unwrap_or_default();
            if let Some(other) = found
                && *other != name
            {
                return Err(Error::invalid(format!(
                    "an array filter has two top-level names, '{other}' and '{name}'"
                )));
            }
            let is_name = name.starts_with(|first: char| first.is_ascii_lowercase())
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
            if !is_name {
                return Err(Error::invalid(format!(
                    "the name '{name}' of an array filter must be letters and digits, with a \
                     small letter first"
                )));
            }
            *found = Some(name);
            Ok(())
        }
    }
}

/// Whether MongoDB takes a condition for one that always or never holds, on no field.
fn is_constant(pred: &Pred) -> bool {
    match pred {
        Pred::All(preds) => preds.is_empty(),
        Pred::Not(preds) => preds.iter().all(is_constant),
        _ => false,
    }
}

fn has_aggregation(expr: &Expr) -> bool {
    match expr {
        Expr::Aggregation(_) => true,
        Expr::And(parts) | Expr::Or(parts) | Expr::Nor(parts) => parts.iter().any(has_aggregation),
        Expr::All | Expr::Field(..) => false,
    }
}

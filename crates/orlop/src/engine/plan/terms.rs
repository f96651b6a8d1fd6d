//! A filter as the conditions that must all hold, for a planner that looks them up by path.

use std::borrow::Cow;

use super::bounds::{self, Bounds};
use crate::query::{ElemMatch, Expr, Pred};

/// One condition.
#[derive(Debug)]
pub(super) struct Term<'q> {
    pub(super) path: Cow<'q, str>,
    test: Test<'q>,
    /// The `$elemMatch`es around it, from the outside in: number, and length of its path.
    around: Vec<(usize, usize)>,
}

#[derive(Debug, Clone, Copy)]
enum Test<'q> {
    One(&'q Pred),
    /// All of them on one element of the array at the path.
    Element(&'q [Pred]),
}

/// The conditions of a filter.
#[derive(Debug, Default)]
pub(super) struct Terms<'q> {
    pub(super) all: Vec<Term<'q>>,
    /// The `$or`s among them.
    pub(super) ors: Vec<&'q [Expr]>,
    /// Some condition is in neither list.
    pub(super) more: bool,
    elements: usize,
}

impl<'q> Terms<'q> {
    /// The conditions of filters that must all match.
    pub(super) fn of(filters: impl IntoIterator<Item = &'q Expr>) -> Self {
        let mut terms = Self::default();
        for filter in filters {
            terms.collect(filter, "", &[]);
        }
        terms
    }

    fn collect(&mut self, filter: &'q Expr, base: &str, around: &[(usize, usize)]) {
        match filter {
            Expr::All => (),
            Expr::And(parts) => {
                for part in parts {
                    self.collect(part, base, around);
                }
            }
            Expr::Or(parts) if parts.len() == 1 => self.collect(&parts[0], base, around),
            Expr::Or(parts) if around.is_empty() => self.ors.push(parts),
            Expr::Field(path, pred) => {
                let path = if base.is_empty() {
                    Cow::Borrowed(path.as_ref())
                } else {
                    Cow::Owned(format!("{base}.{path}"))
                };
                self.collect_field(path, pred, around);
            }
            Expr::Or(_) | Expr::Nor(_) | Expr::Aggregation(_) => self.more = true,
        }
    }

    fn collect_field(&mut self, path: Cow<'q, str>, pred: &'q Pred, around: &[(usize, usize)]) {
        let test = match pred {
            Pred::All(preds) if !preds.is_empty() => {
                for pred in preds {
                    self.collect_field(path.clone(), pred, around);
                }
                return;
            }
            Pred::ElemMatch(ElemMatch::Value(preds)) => Test::Element(preds),
            Pred::ElemMatch(ElemMatch::Document(inner)) => {
                self.elements += 1;
                let mut within = around.to_vec();
                within.push((self.elements, path.len()));
                self.collect(inner, &path, &within);
                Test::One(pred)
            }
            pred => Test::One(pred),
        };
        self.all.push(Term {
            path,
            test,
            around: around.to_vec(),
        });
    }
}

impl Term<'_> {
    pub(super) fn bounds(&self, multikey: bool) -> Bounds {
        let mut found = match self.test {
            Test::One(pred) => bounds::of(pred, multikey),
            Test::Element(preds) => bounds::of_element(preds),
        };
        found.exact &= self.around.is_empty() && matches!(self.test, Test::One(_));
        found
    }

    /// Whether both bounds may restrict one key of an index that holds elements of arrays.
    ///
    /// Keys hold every combination of what different fields at the root give. Fields below one
    /// array meet in a key only when one element has both, which only an `$elemMatch` around
    /// both conditions says.
    pub(super) fn meets(&self, other: &Self) -> bool {
        let shared = self
            .around
            .iter()
            .rev()
            .find(|it| other.around.contains(it));
        let base = shared.map_or(0, |(_, length)| length + 1);
        let part = |path: &str| {
            let rest = path.get(base..).unwrap_or_default();
            rest.split('.').next().unwrap_or_default().to_owned()
        };
        part(&self.path) != part(&other.path)
    }
}

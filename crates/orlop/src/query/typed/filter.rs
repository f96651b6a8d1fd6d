//! `Filter<D>`.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{BitAnd, BitOr, Not};

use bson::Bson;

use crate::document::{Document, VariantOf};
use crate::query::{ElemMatch, Expr, Path, Pred};
use crate::{Error, ErrorKind, Result};

/// Which documents of type `D`. Combine with `&`, `|` and `!`.
///
/// Also made from MongoDB's own syntax, a `bson::Document`. What is wrong with it is told by the
/// call that uses it.
pub struct Filter<D> {
    expr: Result<Expr, (ErrorKind, String)>,
    of: PhantomData<fn() -> D>,
}

impl<D> Filter<D> {
    /// Every document.
    pub fn all() -> Self {
        Self::of(Expr::All)
    }

    /// The filter with this syntax tree.
    pub fn of(expr: Expr) -> Self {
        Self {
            expr: Ok(expr),
            of: PhantomData,
        }
    }

    /// A filter that is refused with this error by the call that uses it.
    pub fn refused(error: &Error) -> Self {
        Self {
            expr: Err((error.kind(), error.message().to_owned())),
            of: PhantomData,
        }
    }

    /// The syntax tree.
    ///
    /// # Errors
    /// What was wrong where the filter was made: `Invalid` or `Unsupported`.
    pub fn into_expr(self) -> Result<Expr> {
        self.expr
            .map_err(|(kind, message)| Error::new(kind, message))
    }

    /// None of the filters.
    pub fn none_of(filters: impl IntoIterator<Item = Self>) -> Self {
        let mut none = Vec::new();
        for filter in filters {
            match filter.expr {
                Ok(expr) => none.push(expr),
                Err(refused) => {
                    return Self {
                        expr: Err(refused),
                        of: PhantomData,
                    };
                }
            }
        }
        Self::of(Expr::Nor(none))
    }

    pub(super) fn field(path: &Path, pred: Pred) -> Self {
        Self::of(Expr::Field(path.clone(), pred))
    }

    fn with(self, other: Self, join: impl FnOnce(Expr, Expr) -> Expr) -> Self {
        let expr = match (self.expr, other.expr) {
            (Ok(one), Ok(other)) => Ok(join(one, other)),
            (Err(refused), _) | (_, Err(refused)) => Err(refused),
        };
        Self {
            expr,
            of: PhantomData,
        }
    }

    fn rerooted<E>(self) -> Filter<E> {
        Filter {
            expr: self.expr,
            of: PhantomData,
        }
    }
}

impl<V: Document> Filter<V> {
    /// The same filter on the whole enum, on documents of that variant only.
    pub fn variant<E: Document>(self) -> Filter<E>
    where
        V: VariantOf<E>,
    {
        let tag = Expr::Field(V::TAG_FIELD.into(), Pred::Eq(Bson::from(V::TAG)));
        Filter::of(tag) & self.rerooted()
    }

    /// The same filter on the whole enum, whatever the variant: a field that a variant lacks is
    /// missing there.
    pub fn any_variant<E: Document>(self) -> Filter<E>
    where
        V: VariantOf<E>,
    {
        self.rerooted()
    }
}

impl<D> From<bson::Document> for Filter<D> {
    /// Reads MongoDB's syntax.
    fn from(filter: bson::Document) -> Self {
        match Expr::parse(&filter) {
            Ok(expr) => Self::of(expr),
            Err(error) => Self::refused(&error),
        }
    }
}

impl<D> From<Expr> for Filter<D> {
    fn from(expr: Expr) -> Self {
        Self::of(expr)
    }
}

impl<D> BitAnd for Filter<D> {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        self.with(other, |one, other| match (one, other) {
            (Expr::All, only) | (only, Expr::All) => only,
            (Expr::And(mut all), Expr::And(more)) => {
                all.extend(more);
                Expr::And(all)
            }
            (Expr::And(mut all), other) => {
                all.push(other);
                Expr::And(all)
            }
            (one, other) => Expr::And(vec![one, other]),
        })
    }
}

impl<D> BitOr for Filter<D> {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        self.with(other, |one, other| match (one, other) {
            (Expr::Or(mut any), Expr::Or(more)) => {
                any.extend(more);
                Expr::Or(any)
            }
            (Expr::Or(mut any), other) => {
                any.push(other);
                Expr::Or(any)
            }
            (one, other) => Expr::Or(vec![one, other]),
        })
    }
}

impl<D> Not for Filter<D> {
    type Output = Self;
    fn not(self) -> Self {
        Self::none_of([self])
    }
}

impl<D> Default for Filter<D> {
    fn default() -> Self {
        Self::all()
    }
}

impl<D> Clone for Filter<D> {
    fn clone(&self) -> Self {
        Self {
            expr: self.expr.clone(),
            of: PhantomData,
        }
    }
}

impl<D> fmt::Debug for Filter<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.expr.fmt(f)
    }
}

/// What one element must meet, from a filter on the element's own fields.
///
/// The empty path is the element itself: conditions on scalars.
pub(super) fn element<R>(filter: Filter<R>) -> Result<ElemMatch, (ErrorKind, String)> {
    let expr = filter.expr?;
    if !names_itself(&expr) {
        return Ok(ElemMatch::Document(Box::new(expr)));
    }
    let mut preds = Vec::new();
    if scalar(expr, &mut preds) {
        return Ok(ElemMatch::Value(preds));
    }
    Err((
        ErrorKind::Unsupported,
        "conditions on an element that is no document are joined by `&` only; use two of them joined by `|`"
            .to_owned(),
    ))
}

fn names_itself(expr: &Expr) -> bool {
    match expr {
        Expr::Field(path, _) => path.is_empty(),
        Expr::And(all) | Expr::Or(all) | Expr::Nor(all) => all.iter().any(names_itself),
        Expr::All | Expr::Aggregation(_) => false,
    }
}

fn scalar(expr: Expr, preds: &mut Vec<Pred>) -> bool {
    match expr {
        Expr::Field(path, pred) if path.is_empty() => {
            preds.push(pred);
            true
        }
        Expr::And(all) => all.into_iter().all(|one| scalar(one, preds)),
        // Not one of them: each is negated by itself.
        Expr::Nor(all) => all.into_iter().all(|one| {
            let mut inner = Vec::new();
            let plain = scalar(one, &mut inner);
            preds.push(Pred::Not(inner));
            plain
        }),
        Expr::All => true,
        Expr::Field(..) | Expr::Or(_) | Expr::Aggregation(_) => false,
    }
}

//! Chooses how a query is answered. Pure, and without statistics.
//!
//! Of all ways the one with the most points wins, the first of equals (documents, then indexes in
//! order of declaration, the shorter key first):
//! - ids named by the filter: 10 000; every field of a unique index bound to one value: 5 000
//! - each leading field bound to values: 100
//! - a range on the field behind them: 40
//! - the order of the sort: 30, or 50 with a limit behind an equality, where it ends the scan early
//!
//! An `$or` whose terms can each use an index is a union, unless an equality beside it bounds an
//! index.

use super::Source;
use super::access::Access;
use super::order::{Order, Wanted};
use super::terms::Terms;
use crate::Result;
use crate::engine::Query;
use crate::query::Expr;

/// How a query is answered.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    /// What is scanned: several for a union, none when nothing can match.
    pub(super) scans: Vec<Access>,
    pub(super) order: Order,
    pub(super) wanted: Wanted,
    /// What is scanned matches; the filter need not be evaluated.
    pub(super) exact: bool,
    /// Name of an index that would give the order, for the message when memory runs out.
    pub(super) advice: String,
}

pub(super) fn choose(source: &Source, query: &Query) -> Result<Plan> {
    let wanted = Wanted::of(query)?;
    let terms = Terms::of([&query.filter]);
    let limited = query.limit.is_some();
    let single = best(source, &terms, &wanted, limited);
    let advice = advice(&single, &wanted);
    let plan = |scans: Vec<Access>, order, exact| Plan {
        scans,
        order,
        exact,
        advice,
        wanted: wanted.clone(),
    };
    if single.ranges.is_empty() {
        return Ok(plan(Vec::new(), Order::ById, true));
    }
    if single.equal == 0
        && let Some(scans) = union(source, query, &terms, &single)
    {
        let order = match wanted.sort.keys.is_empty() {
            true => Order::ById,
            false => Order::Sorted,
        };
        return Ok(plan(scans, order, false));
    }
    let order = wanted.from(&single);
    let exact = single.exact;
    Ok(plan(vec![single], order, exact))
}

/// The best single way; the scan of all documents if there is none.
fn best(source: &Source, terms: &Terms<'_>, wanted: &Wanted, limited: bool) -> Access {
    let mut best = Access::documents(source.collection, terms);
    let mut most = points(&best, wanted, limited, false);
    let mut indexes: Vec<_> = source.indexes.iter().collect();
    indexes.sort_by_key(|index| index.spec.keys.len());
    for index in indexes {
        let Some(access) = Access::index(index, terms) else {
            continue;
        };
        let points = points(&access, wanted, limited, index.spec.unique);
        if points > most {
            (best, most) = (access, points);
        }
    }
    best
}

fn points(access: &Access, wanted: &Wanted, limited: bool, unique: bool) -> usize {
    if access.ranges.is_empty() {
        return usize::MAX;
    }
    if access.ids().is_some() {
        return 10_000;
    }
    if unique && access.pinned == access.fields.len() {
        return 5_000;
    }
    let order = match wanted.from(access) {
        Order::Stream { .. } if limited && access.equal > 0 => 50,
        Order::Stream { .. } => 30,
        Order::ById | Order::Sorted => 0,
    };
    let range = if access.ranged { 40 } else { 0 };
    access.equal * 100 + range + order
}

/// A scan for each term of an `$or`, each bound by something; and by values, all of them, where
/// the best single way has a range at least.
fn union(
    source: &Source,
    query: &Query,
    terms: &Terms<'_>,
    single: &Access,
) -> Option<Vec<Access>> {
    let of_one = |parts: &&[Expr]| -> Option<Vec<Access>> {
        let mut scans = Vec::new();
        for part in *parts {
            let filters = [part].into_iter().chain(beside(&query.filter, parts));
            let terms = Terms::of(filters);
            let by_id = Wanted {
                sort: Default::default(),
                id: crate::document::Direction::Ascending,
                after: None,
            };
            let access = best(source, &terms, &by_id, false);
            if access.ranges.is_empty() {
                continue;
            }
            let enough = access.equal > 0 || (!single.is_bound() && access.is_bound());
            scans.push(Some(access).filter(|_| enough)?);
        }
        Some(scans)
    };
    terms.ors.iter().find_map(of_one)
}

/// The conditions of a conjunction beside that `$or`.
fn beside<'q>(filter: &'q Expr, or: &[Expr]) -> Vec<&'q Expr> {
    match filter {
        Expr::And(parts) => parts.iter().flat_map(|part| beside(part, or)).collect(),
        Expr::Or(parts) if std::ptr::eq(parts.as_slice(), or) => Vec::new(),
        filter => vec![filter],
    }
}

/// The index that would give the order behind the equalities of the filter, by MongoDB's name.
fn advice(single: &Access, wanted: &Wanted) -> String {
    let bound = single.fields.iter().take(single.pinned);
    let keys = bound
        .map(|(path, direction)| (path.as_str(), *direction))
        .chain(
            wanted
                .sort
                .keys
                .iter()
                .map(|(path, direction)| (path.as_ref(), *direction)),
        );
    let named = keys.map(|(path, direction)| match direction {
        crate::document::Direction::Ascending => format!("{path}_1"),
        crate::document::Direction::Descending => format!("{path}_-1"),
    });
    named.collect::<Vec<_>>().join("_")
}

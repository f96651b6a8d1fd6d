//! One way to reach the documents of a filter: ranges of the documents' keys or of an index.

use std::sync::Arc;

use super::PlanIndex;
use super::interval::{self, Interval};
use super::terms::{Term, Terms};
use crate::document::{Direction, IndexSpec};
use crate::engine::kv::KeyRange;
use crate::engine::records;

/// Most ranges that equalities on several fields may multiply to; further fields are left to the
/// filter.
const RANGES_MAX: usize = 10_000;

/// What is scanned.
#[derive(Debug, Clone)]
pub(super) enum Target {
    /// The documents themselves, in order of their ids.
    Documents,
    /// An index.
    Index(Arc<IndexSpec>),
}

/// Ranges to scan, and what is known of them.
#[derive(Debug, Clone)]
pub(super) struct Access {
    pub(super) target: Target,
    pub(super) prefix: [u8; 5],
    /// Paths and directions of the key.
    pub(super) fields: Vec<(String, Direction)>,
    pub(super) multikey: bool,
    /// Ascending and apart.
    pub(super) ranges: Vec<KeyRange>,
    /// Bounds of the leading fields, for people and for the order.
    pub(super) bounds: Vec<Vec<Interval>>,
    /// Leading fields bound to values, each to one or several.
    pub(super) equal: usize,
    /// Leading fields bound to one value each.
    pub(super) pinned: usize,
    /// The field behind the equal ones is bound to a range.
    pub(super) ranged: bool,
    /// What is within the ranges matches the whole filter.
    pub(super) exact: bool,
}

/// A key whose order could be used.
struct Candidate<'i> {
    target: Target,
    prefix: [u8; 5],
    fields: &'i [(String, Direction)],
    multikey: bool,
    sparse: bool,
}

impl Access {
    /// The documents, within what the filter says about ids.
    pub(super) fn documents(collection: u32, terms: &Terms<'_>) -> Self {
        let fields = [("_id".to_owned(), Direction::Ascending)];
        let candidate = Candidate {
            target: Target::Documents,
            prefix: records::document_prefix(collection),
            fields: &fields,
            multikey: false,
            sparse: false,
        };
        candidate.bind(terms, &[])
    }

    /// An index, within what the filter says about its fields; none when it may lack a document
    /// that matches.
    pub(super) fn index(index: &PlanIndex, terms: &Terms<'_>) -> Option<Self> {
        let candidate = Candidate {
            target: Target::Index(Arc::clone(&index.spec)),
            prefix: records::entry_prefix(index.number),
            fields: &index.spec.keys,
            multikey: index.multikey,
            sparse: index.spec.sparse,
        };
        // A numeric part is a field or a place in an array; with arrays about, keys and filters
        // see different values there.
        let numeric = |path: &str| path.split('.').any(|part| part.parse::<u64>().is_ok());
        if candidate.multikey && candidate.fields.iter().any(|(path, _)| numeric(path)) {
            return None;
        }
        let chosen = candidate.chosen(terms);
        if candidate.sparse && !candidate.finds_all(terms, &chosen) {
            return None;
        }
        Some(candidate.bind(terms, &chosen))
    }

    /// Whether the filter restricts it at all.
    pub(super) fn is_bound(&self) -> bool {
        self.equal > 0 || self.ranged
    }

    /// Ids to look up, when the filter names them.
    pub(super) fn ids(&self) -> Option<Vec<Vec<u8>>> {
        match (&self.target, self.bounds.as_slice()) {
            (Target::Documents, [ids]) => ids
                .iter()
                .map(|id| id.single().map(<[u8]>::to_vec))
                .collect(),
            _ => None,
        }
    }

    /// The name that `explain` gives.
    pub(super) fn name(&self) -> Option<String> {
        match &self.target {
            Target::Documents => self.is_bound().then(|| "_id_".to_owned()),
            Target::Index(spec) => Some(spec.name.clone()),
        }
    }

    /// Its stages, for `explain`.
    pub(super) fn stages(&self) -> &'static str {
        match self.target {
            Target::Documents if self.ids().is_some() => "IDHACK",
            Target::Documents if self.is_bound() => "IDSCAN",
            Target::Documents => "COLLSCAN",
            Target::Index(_) => "IXSCAN",
        }
    }

    /// Its bounds, a line a field, for `explain`.
    pub(super) fn shown(&self) -> Vec<String> {
        if matches!(self.target, Target::Documents) && !self.is_bound() {
            return Vec::new();
        }
        let all = [Interval::all()];
        let fields = self.fields.iter().enumerate();
        fields
            .map(|(at, (path, _))| {
                let bounds = self.bounds.get(at).map_or(&all[..], Vec::as_slice);
                interval::describe(path, bounds)
            })
            .collect()
    }
}

impl Candidate<'_> {
    /// For an index with elements of arrays: the one condition that bounds each field. Two on one
    /// field may be met by different elements, and have no key in common.
    fn chosen<'t, 'q>(&self, terms: &'t Terms<'q>) -> Vec<&'t Term<'q>> {
        let mut chosen: Vec<&Term<'_>> = Vec::new();
        if !self.multikey {
            return chosen;
        }
        for (path, _) in self.fields {
            let fitting = terms.all.iter().filter(|term| {
                term.path == path.as_str() && chosen.iter().all(|other| term.meets(other))
            });
            let best = fitting.filter_map(|term| Some((cost(&term.bounds(true).set?), term)));
            match best.min_by_key(|(cost, _)| *cost) {
                Some((_, term)) => chosen.push(term),
                // Fields behind an unbound one cannot be used.
                None => break,
            }
        }
        chosen
    }

    /// Whether every document that matches has a key in a sparse index, where the bounds look.
    fn finds_all(&self, terms: &Terms<'_>, chosen: &[&Term<'_>]) -> bool {
        terms.all.iter().any(|term| {
            let here = self
                .fields
                .iter()
                .any(|(path, _)| term.path == path.as_str());
            let is = |other: &&Term<'_>| std::ptr::eq(*other, term);
            here && term.bounds(self.multikey).present
                && (chosen.iter().any(is) || chosen.iter().all(|other| term.meets(other)))
        })
    }

    fn bind(self, terms: &Terms<'_>, chosen: &[&Term<'_>]) -> Access {
        let mut used = vec![false; terms.all.len()];
        let mut access = Access {
            target: self.target.clone(),
            prefix: self.prefix,
            fields: self.fields.to_vec(),
            multikey: self.multikey,
            ranges: Vec::new(),
            bounds: Vec::new(),
            equal: 0,
            pinned: 0,
            ranged: false,
            exact: false,
        };
        let mut prefixes = vec![self.prefix.to_vec()];
        for (path, direction) in self.fields {
            let set = match self.multikey {
                true => chosen
                    .iter()
                    .find(|term| term.path == path.as_str())
                    .and_then(|term| term.bounds(true).set),
                false => meeting(terms, path, &mut used),
            };
            let Some(set) = set else { break };
            let singles = set.iter().all(|part| part.single().is_some());
            let many = prefixes.len().saturating_mul(set.len()) > RANGES_MAX;
            if many && access.equal > 0 {
                used.fill(false);
                break;
            }
            prefixes = extend(&mut access, prefixes, &set, *direction, singles);
            access.bounds.push(set);
            if !singles {
                access.ranged = true;
                break;
            }
            access.equal += 1;
            if access.bounds.iter().all(|set| set.len() == 1) {
                access.pinned = access.equal;
            }
        }
        if !access.ranged {
            access.ranges = prefixes.iter().map(|it| KeyRange::prefix(it)).collect();
        }
        access.ranges.sort_unstable();
        let all_used = used.iter().all(|used| *used);
        access.exact = !self.multikey && !terms.more && terms.ors.is_empty() && all_used;
        access
    }
}

/// The prefixes with one more value each, or the final ranges when the field is bound to ranges.
fn extend(
    access: &mut Access,
    prefixes: Vec<Vec<u8>>,
    set: &[Interval],
    direction: Direction,
    singles: bool,
) -> Vec<Vec<u8>> {
    let mut longer = Vec::new();
    for prefix in &prefixes {
        for part in set {
            let part = part.directed(direction);
            if singles {
                longer.push(part.low.key(prefix));
            } else {
                access.ranges.push(KeyRange {
                    low: part.low.key(prefix),
                    high: part.high.key(prefix),
                });
            }
        }
    }
    longer
}

/// Everything the filter says about a path without arrays. Marks the conditions it covers.
fn meeting(terms: &Terms<'_>, path: &str, used: &mut [bool]) -> Option<Vec<Interval>> {
    let mut set: Option<Vec<Interval>> = None;
    for (term, used) in terms.all.iter().zip(used) {
        if term.path != path {
            continue;
        }
        let bounds = term.bounds(false);
        let Some(one) = bounds.set else { continue };
        *used = bounds.exact;
        set = Some(match set {
            Some(set) => interval::intersection(&set, &one),
            None => one,
        });
    }
    set
}

/// Values are cheaper than ranges, and few cheaper than many.
fn cost(set: &[Interval]) -> (bool, usize) {
    let singles = set.iter().all(|part| part.single().is_some());
    (!singles, set.len())
}

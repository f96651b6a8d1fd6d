//! The meaning of a filter: compiled once, then asked about many documents.

use std::cmp::Ordering;

use bson::raw::RawDocument;
use bson::{Bson, DateTime, Document};

use super::bits::Bits;
use super::compile::{Node, Op, Program, Set, Test};
use super::path::{Found, Leaf, walk};
use crate::Result;
use crate::query::Expr;
use crate::query::value::{Fields, Number, View, compare_views, raw_element};

/// A compiled filter.
///
/// # Cost
/// One walk over the document, up to the last field the filter names; no allocation, but for
/// filters over more than 16 fields, decimals and `$expr`.
#[derive(Debug)]
pub struct Matcher {
    program: Program,
}

/// A document that matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Match {
    /// Index of the array element through which it matched: what `$` stands for in updates and
    /// projections. Of several conditions on arrays, MongoDB's choice.
    pub position: Option<usize>,
}

impl Matcher {
    /// Compiles a filter. `$$NOW` in `$expr` is the start of 1970; see [`Matcher::at`].
    ///
    /// # Errors
    /// `Invalid` when a regular expression does not compile.
    pub fn new(expr: &Expr) -> Result<Self> {
        Self::at(expr, DateTime::from_millis(0))
    }

    /// [`Matcher::new`] with the instant that `$$NOW` in `$expr` stands for.
    ///
    /// # Errors
    /// As [`Matcher::new`].
    pub fn at(expr: &Expr, now: DateTime) -> Result<Self> {
        Ok(Self {
            program: Program::new(expr, now)?,
        })
    }

    /// Whether the document matches.
    ///
    /// # Errors
    /// `Corrupt` when the document is not BSON; `Invalid` when a regular expression backtracks
    /// beyond its bound, or `$expr` fails.
    pub fn matches(&self, document: &RawDocument) -> Result<bool> {
        self.program.run(Fields::of(document), &mut None)
    }

    /// Whether an owned document matches.
    ///
    /// # Errors
    /// As [`Matcher::matches`].
    pub fn matches_document(&self, document: &Document) -> Result<bool> {
        self.program.run(Fields::Document(document), &mut None)
    }

    /// Whether, and through which array element, the document matches.
    ///
    /// # Errors
    /// As [`Matcher::matches`].
    pub fn matches_at(&self, document: &RawDocument) -> Result<Option<Match>> {
        self.run_at(Fields::of(document))
    }

    /// Whether, and through which array element, an owned document matches.
    ///
    /// # Errors
    /// As [`Matcher::matches`].
    pub fn matches_document_at(&self, document: &Document) -> Result<Option<Match>> {
        self.run_at(Fields::Document(document))
    }

    fn run_at(&self, fields: Fields<'_>) -> Result<Option<Match>> {
        let mut position = None;
        Ok(self
            .program
            .run(fields, &mut position)?
            .then_some(Match { position }))
    }
}

/// Where the array index of a match is noted.
type Position<'p> = &'p mut Option<usize>;

impl Program {
    fn run(&self, fields: Fields<'_>, position: Position<'_>) -> Result<bool> {
        match self.roots.len() {
            0 => self.node.eval(fields, &[], position),
            1 => self.run_with(fields, &mut [None; 1], position),
            2..=4 => self.run_with(fields, &mut [None; 4], position),
            5..=16 => self.run_with(fields, &mut [None; 16], position),
            count => self.run_with(fields, &mut vec![None; count], position),
        }
    }

    /// Finds the values at the root in one walk, then evaluates.
    fn run_with<'a>(
        &self,
        fields: Fields<'a>,
        values: &mut [Option<View<'a>>],
        position: Position<'_>,
    ) -> Result<bool> {
        if let Fields::Raw(mut rest) = fields {
            let mut missing = self.roots.len();
            while missing > 0 {
                let Some(element) = raw_element(&mut rest)? else {
                    break;
                };
                let mut wanted = self.roots.iter().zip(values.iter_mut());
                let slot = wanted.find(|(root, _)| root.as_bytes() == element.key);
                // The first of two fields of one name counts.
                if let Some((_, slot @ None)) = slot {
                    *slot = Some(element.view()?);
                    missing -= 1;
                }
            }
        } else {
            for (root, slot) in self.roots.iter().zip(values.iter_mut()) {
                *slot = fields.get(root.as_bytes())?;
            }
        }
        self.node.eval(fields, values, position)
    }
}

impl Node {
    fn eval(
        &self,
        document: Fields<'_>,
        values: &[Option<View<'_>>],
        position: Position<'_>,
    ) -> Result<bool> {
        match self {
            Self::All => Ok(true),
            Self::And(parts) => {
                for part in parts {
                    if !part.eval(document, values, position)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Self::Or(parts) => any(parts, document, values),
            Self::Nor(parts) => Ok(!any(parts, document, values)?),
            Self::Field { root, rest, test } => {
                let value = values.get(*root).copied().flatten();
                test.at_path(value, rest, position)
            }
            Self::Expression(expression) => expression.is_true(document),
        }
    }
}

/// Whether one of them holds. None of them gives a position.
fn any(parts: &[Node], document: Fields<'_>, values: &[Option<View<'_>>]) -> Result<bool> {
    for part in parts {
        if part.eval(document, values, &mut None)? {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Test {
    /// Whether one of the values that the path leads to passes; `value` is what its first part
    /// found.
    fn at_path(
        &self,
        value: Option<View<'_>>,
        rest: &[Box<str>],
        position: Position<'_>,
    ) -> Result<bool> {
        match self {
            Self::Not(test) => return Ok(!test.at_path(value, rest, &mut None)?),
            Self::Never => return Ok(false),
            Self::Every(tests) => {
                for test in tests {
                    if !test.at_path(value, rest, position)? {
                        return Ok(false);
                    }
                }
                return Ok(true);
            }
            _ => {}
        }
        let scalar = !matches!(value, Some(View::Array(_) | View::Document(_)));
        if scalar {
            let value = if rest.is_empty() { value } else { None };
            return self.one(value, position);
        }
        let leaf = match self {
            Self::Size(_) | Self::ElemDocument(_) | Self::ElemValue(_) => Leaf::Whole,
            _ => Leaf::Elements,
        };
        walk(value, rest, leaf, &mut |found: Found<'_>| {
            let passes = self.one(found.value, position)?;
            if passes && found.offset.is_some() {
                *position = found.offset;
            }
            Ok(passes)
        })
    }

    /// Whether one value passes, with no look into arrays but by `$elemMatch`.
    fn one(&self, value: Option<View<'_>>, position: Position<'_>) -> Result<bool> {
        Ok(match (self, value) {
            (Self::Not(test), value) => !test.one(value, &mut None)?,
            (Self::Never, _) => false,
            (Self::Every(tests), value) => return every(tests, value),
            (Self::Compare(op, other), value) => compares(*op, value, View::from(other)),
            (Self::In(set), value) => return set.contains(value),
            (Self::Exists, value) => value.is_some(),
            (_, None) => false,
            (Self::Type(codes), Some(value)) => codes.contains(&value.type_code()),
            (Self::Regex(regex), Some(View::Str(text) | View::Symbol(text))) => {
                return regex.is_match(text);
            }
            (Self::Regex(regex), Some(View::Regex(pattern, options))) => {
                regex.is_same(pattern, options)
            }
            (Self::Size(size), Some(View::Array(items))) => {
                i64::try_from(items.count()) == Ok(*size)
            }
            (Self::Mod(divisor, remainder), Some(value)) => {
                let whole = value.number().and_then(Number::truncate);
                whole.is_some_and(|whole| whole.wrapping_rem(*divisor) == *remainder)
            }
            (
                Self::Bits {
                    positions,
                    every,
                    set,
                },
                Some(value),
            ) => Bits::of(value).is_some_and(|bits| {
                let mut positions = positions.iter();
                let as_wanted = |bit: &u64| bits.get(*bit) == *set;
                if *every {
                    positions.all(as_wanted)
                } else {
                    positions.any(as_wanted)
                }
            }),
            (Self::ElemDocument(program), Some(View::Array(items))) => {
                return first(items, position, |item| match item {
                    View::Document(fields) | View::Array(fields) => program.run(fields, &mut None),
                    _ => Ok(false),
                });
            }
            (Self::ElemValue(tests), Some(View::Array(items))) => {
                return first(items, position, |item| every(tests, Some(item)));
            }
            _ => false,
        })
    }
}

fn every(tests: &[Test], value: Option<View<'_>>) -> Result<bool> {
    for test in tests {
        if !test.one(value, &mut None)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether an element passes; notes the first that does.
fn first<'a>(
    items: Fields<'a>,
    position: Position<'_>,
    mut passes: impl FnMut(View<'a>) -> Result<bool>,
) -> Result<bool> {
    for (at, item) in items.iter().enumerate() {
        let (_, item) = item?;
        if passes(item)? {
            *position = Some(at);
            return Ok(true);
        }
    }
    Ok(false)
}

/// A comparison with a constant: within its type, and with MongoDB's exceptions for null,
/// MinKey, MaxKey and NaN.
fn compares(op: Op, value: Option<View<'_>>, other: View<'_>) -> bool {
    let nothing = matches!(value, None | Some(View::Undefined));
    if nothing && matches!(other, View::Null) {
        return matches!(op, Op::Eq | Op::Gte | Op::Lte);
    }
    let Some(value) = value.filter(|value| value.rank() == other.rank()) else {
        return matches!(
            (op, other),
            (Op::Lt | Op::Lte, View::MaxKey) | (Op::Gt | Op::Gte, View::MinKey)
        );
    };
    if op != Op::Eq && (value.is_nan() || other.is_nan()) {
        return matches!(op, Op::Gte | Op::Lte) && value.is_nan() && other.is_nan();
    }
    let order = compare_views(value, other);
    match op {
        Op::Eq => order == Ordering::Equal,
        Op::Gt => order == Ordering::Greater,
        Op::Gte => order != Ordering::Less,
        Op::Lt => order == Ordering::Less,
        Op::Lte => order != Ordering::Greater,
    }
}

impl Set {
    fn contains(&self, value: Option<View<'_>>) -> Result<bool> {
        let Some(value) = value else {
            return Ok(self.null);
        };
        if self.null && matches!(value, View::Undefined) {
            return Ok(true);
        }
        let found = self
            .values
            .binary_search_by(|it: &Bson| compare_views(View::from(it), value));
        if found.is_ok() {
            return Ok(true);
        }
        for regex in &self.regexes {
            let hit = match value {
                View::Str(text) | View::Symbol(text) => regex.is_match(text)?,
                View::Regex(pattern, options) => regex.is_same(pattern, options),
                _ => false,
            };
            if hit {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

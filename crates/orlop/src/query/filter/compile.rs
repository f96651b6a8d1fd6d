//! A filter in the form it is evaluated in: constants at hand, expressions compiled, the fields
//! at the root collected so that one walk over a document finds them all.

use std::cmp::Ordering;

use bson::{Bson, DateTime};

use super::pattern::Regex;
use crate::Result;
use crate::query::aggregation::Program as Expression;
use crate::query::value::compare;
use crate::query::{ElemMatch, Expr, Pattern, Pred};

/// A compiled filter over the fields of one document.
#[derive(Debug)]
pub(super) struct Program {
    /// Names of the fields at the root, each once.
    pub(super) roots: Vec<Box<str>>,
    pub(super) node: Node,
}

#[derive(Debug)]
pub(super) enum Node {
    All,
    And(Vec<Node>),
    Or(Vec<Node>),
    Nor(Vec<Node>),
    Field {
        root: usize,
        rest: Box<[Box<str>]>,
        test: Test,
    },
    Expression(Expression),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Eq,
    Gt,
    Gte,
    Lt,
    Lte,
}

#[derive(Debug)]
pub(super) enum Test {
    Compare(Op, Bson),
    In(Set),
    Exists,
    Type(Vec<i32>),
    Regex(Regex),
    Size(i64),
    Mod(i64, i64),
    /// Positions; every one or any one; set or clear.
    Bits {
        positions: Vec<u64>,
        every: bool,
        set: bool,
    },
    ElemDocument(Box<Program>),
    ElemValue(Vec<Test>),
    Every(Vec<Test>),
    Never,
    Not(Box<Test>),
}

/// The values of `$in`, sorted for a binary search, and its expressions.
#[derive(Debug)]
pub(super) struct Set {
    pub(super) values: Vec<Bson>,
    pub(super) regexes: Vec<Regex>,
    pub(super) null: bool,
}

impl Program {
    pub(super) fn new(expr: &Expr, now: DateTime) -> Result<Self> {
        let mut roots = Vec::new();
        let node = compile(expr, now, &mut roots)?;
        Ok(Self { roots, node })
    }
}

fn compile(expr: &Expr, now: DateTime, roots: &mut Vec<Box<str>>) -> Result<Node> {
    Ok(match expr {
        Expr::All => Node::All,
        Expr::And(_) => {
            let mut parts = Vec::new();
            flatten(expr, &mut parts);
            // The last part with a position gives it, and MongoDB orders the parts like this.
            parts.sort_by(|a, b| order(a).cmp(&order(b)));
            Node::And(compile_all(&parts, now, roots)?)
        }
        Expr::Or(parts) if parts.len() == 1 => compile(&parts[0], now, roots)?,
        Expr::Or(parts) => match as_in(parts) {
            Some(one) => compile(&one, now, roots)?,
            None => Node::Or(compile_all(&parts.iter().collect::<Vec<_>>(), now, roots)?),
        },
        Expr::Nor(parts) => Node::Nor(compile_all(&parts.iter().collect::<Vec<_>>(), now, roots)?),
        Expr::Field(path, pred) => {
            let mut parts = path.split('.');
            let name = parts.next().unwrap_or_default();
            let known = roots.iter().position(|root| root.as_ref() == name);
            let root = known.unwrap_or_else(|| {
                roots.push(name.into());
                roots.len() - 1
            });
            Node::Field {
                root,
                rest: parts.map(Box::from).collect(),
                test: test(pred, now)?,
            }
        }
        Expr::Aggregation(expression) => Node::Expression(Expression::folded(expression, now)?),
    })
}

fn compile_all(parts: &[&Expr], now: DateTime, roots: &mut Vec<Box<str>>) -> Result<Vec<Node>> {
    parts.iter().map(|part| compile(part, now, roots)).collect()
}

/// The parts of nested `$and` in one list. `$all` is an `$and` too.
fn flatten<'a>(expr: &'a Expr, parts: &mut Vec<&'a Expr>) {
    match expr {
        Expr::And(inner) => inner.iter().for_each(|part| flatten(part, parts)),
        Expr::Or(inner) if inner.len() == 1 => flatten(&inner[0], parts),
        expr => parts.push(expr),
    }
}

/// MongoDB's order of conditions in an `$and`: by kind, then by path.
fn order(expr: &Expr) -> (u8, &str) {
    match expr {
        Expr::Field(path, pred) => (kind(pred), path.as_ref()),
        Expr::And(_) | Expr::All => (0, ""),
        Expr::Or(parts) => match parts.first() {
            Some(Expr::Field(path, _)) if as_in(parts).is_some() => (13, path.as_ref()),
            _ => (1, ""),
        },
        Expr::Nor(_) => (19, ""),
        Expr::Aggregation(_) => (30, ""),
    }
}

fn kind(pred: &Pred) -> u8 {
    match pred {
        Pred::All(_) => 0,
        Pred::ElemMatch(ElemMatch::Document(_)) => 2,
        Pred::ElemMatch(ElemMatch::Value(_)) => 3,
        Pred::Size(_) => 4,
        Pred::Eq(_) => 5,
        Pred::Lte(_) => 6,
        Pred::Lt(_) => 7,
        Pred::Gt(_) => 8,
        Pred::Gte(_) => 9,
        Pred::Regex(_) => 10,
        Pred::Mod(..) => 11,
        Pred::Exists(true) => 12,
        // Of one member, it is that comparison.
        Pred::In(values, patterns) => match (values.len(), patterns.len()) {
            (1, 0) => 5,
            (0, 1) => 10,
            _ => 13,
        },
        Pred::BitsAllSet(_) => 14,
        Pred::BitsAllClear(_) => 15,
        Pred::BitsAnySet(_) => 16,
        Pred::BitsAnyClear(_) => 17,
        Pred::Not(_) | Pred::Ne(_) | Pred::Nin(..) | Pred::Exists(false) => 18,
        Pred::Type(_) => 20,
    }
}

/// An `$or` of equalities on one path is an `$in`, and has a position as one.
fn as_in(parts: &[Expr]) -> Option<Expr> {
    let (mut path, mut values, mut patterns) = (None, Vec::new(), Vec::new());
    for part in parts {
        let Expr::Field(name, pred) = part else {
            return None;
        };
        if path.get_or_insert(name) != &name {
            return None;
        }
        match pred {
            // A regular expression as a value would become one to match.
            Pred::Eq(Bson::RegularExpression(_)) => return None,
            Pred::Eq(value) => values.push(value.clone()),
            Pred::Regex(pattern) => patterns.push(pattern.clone()),
            _ => return None,
        }
    }
    path.map(|path| Expr::Field(path.clone(), Pred::In(values, patterns)))
}

fn test(pred: &Pred, now: DateTime) -> Result<Test> {
    let not = |test| Test::Not(Box::new(test));
    let bits = |positions: &[u64], every, set| {
        let positions = positions.to_vec();
        Test::Bits {
            positions,
            every,
            set,
        }
    };
    Ok(match pred {
        Pred::Eq(value) => Test::Compare(Op::Eq, value.clone()),
        Pred::Ne(value) => not(Test::Compare(Op::Eq, value.clone())),
        Pred::Gt(value) => Test::Compare(Op::Gt, value.clone()),
        Pred::Gte(value) => Test::Compare(Op::Gte, value.clone()),
        Pred::Lt(value) => Test::Compare(Op::Lt, value.clone()),
        Pred::Lte(value) => Test::Compare(Op::Lte, value.clone()),
        Pred::In(values, patterns) => Test::In(set(values, patterns)?),
        Pred::Nin(values, patterns) => not(Test::In(set(values, patterns)?)),
        Pred::Exists(true) => Test::Exists,
        Pred::Exists(false) => not(Test::Exists),
        Pred::Type(codes) => Test::Type(codes.clone()),
        Pred::Regex(pattern) => Test::Regex(Regex::new(pattern)?),
        Pred::All(preds) if preds.is_empty() => Test::Never,
        Pred::All(preds) => Test::Every(tests(preds, now)?),
        Pred::ElemMatch(ElemMatch::Document(inner)) => {
            Test::ElemDocument(Box::new(Program::new(inner, now)?))
        }
        Pred::ElemMatch(ElemMatch::Value(preds)) => Test::ElemValue(tests(preds, now)?),
        Pred::Size(size) => Test::Size(*size),
        Pred::Mod(divisor, remainder) => Test::Mod(*divisor, *remainder),
        Pred::BitsAllSet(positions) => bits(positions, true, true),
        Pred::BitsAnySet(positions) => bits(positions, false, true),
        Pred::BitsAllClear(positions) => bits(positions, true, false),
        Pred::BitsAnyClear(positions) => bits(positions, false, false),
        Pred::Not(preds) => not(Test::Every(tests(preds, now)?)),
    })
}

fn tests(preds: &[Pred], now: DateTime) -> Result<Vec<Test>> {
    preds.iter().map(|pred| test(pred, now)).collect()
}

fn set(values: &[Bson], patterns: &[Pattern]) -> Result<Set> {
    let mut values = values.to_vec();
    values.sort_by(compare);
    values.dedup_by(|a, b| compare(a, b) == Ordering::Equal);
    let null = values.contains(&Bson::Null);
    let regexes = patterns.iter().map(Regex::new).collect::<Result<_>>()?;
    Ok(Set {
        values,
        regexes,
        null,
    })
}

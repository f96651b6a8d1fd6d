//! The one syntax tree behind typed builders and MongoDB's own syntax.

use std::borrow::Cow;

use bson::Bson;

use crate::document::Direction;

/// A dotted path, such as `preferences.theme` or `comments.0.likes`.
pub type Path = Cow<'static, str>;

/// A filter.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// Every document.
    All,
    /// All of them; of none: every document.
    And(Vec<Expr>),
    /// One of them at least.
    Or(Vec<Expr>),
    /// None of them.
    Nor(Vec<Expr>),
    /// A condition on a path.
    Field(Path, Pred),
    /// `$expr`.
    Aggregation(Aggregation),
}

/// A condition on the values at a path.
#[derive(Debug, Clone, PartialEq)]
pub enum Pred {
    /// `$eq`; null also matches missing. A regular expression here is compared as a value.
    Eq(Bson),
    /// `$ne`.
    Ne(Bson),
    /// `$gt`.
    Gt(Bson),
    /// `$gte`.
    Gte(Bson),
    /// `$lt`.
    Lt(Bson),
    /// `$lte`.
    Lte(Bson),
    /// `$in`: values, and regular expressions to match.
    In(Vec<Bson>, Vec<Pattern>),
    /// `$nin`.
    Nin(Vec<Bson>, Vec<Pattern>),
    /// `$exists`.
    Exists(bool),
    /// `$type`, as BSON type codes; `number` is all of its four.
    Type(Vec<i32>),
    /// `$regex`, or a regular expression in place of a value.
    Regex(Pattern),
    /// `$all`: each of them matches.
    All(Vec<Pred>),
    /// `$elemMatch`.
    ElemMatch(ElemMatch),
    /// `$size`.
    Size(i64),
    /// `$mod`: divisor, remainder.
    Mod(i64, i64),
    /// `$bitsAllSet`: bit positions.
    BitsAllSet(Vec<u64>),
    /// `$bitsAnySet`.
    BitsAnySet(Vec<u64>),
    /// `$bitsAllClear`.
    BitsAllClear(Vec<u64>),
    /// `$bitsAnyClear`.
    BitsAnyClear(Vec<u64>),
    /// `$not`: not all of them.
    Not(Vec<Pred>),
}

/// What one element of an array must meet.
#[derive(Debug, Clone, PartialEq)]
pub enum ElemMatch {
    /// The element is a document (or array) that matches.
    Document(Box<Expr>),
    /// The element itself meets all of these.
    Value(Vec<Pred>),
}

/// A regular expression with MongoDB's options (`i m s x`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// The expression.
    pub pattern: String,
    /// Its options, sorted.
    pub options: String,
}

/// An expression of the aggregation language, as `$expr` and update pipelines use it.
#[derive(Debug, Clone, PartialEq)]
pub struct Aggregation(pub Bson);

/// The order of a result.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sort {
    /// Paths with their directions, most significant first. Ties are in order of `_id`.
    pub keys: Vec<(Path, Direction)>,
}

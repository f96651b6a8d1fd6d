//! Evaluates the constant parts of an expression once, where and in the order MongoDB does.
//!
//! Not only for speed: a constant part that fails is refused before any document is looked at, and
//! constants of `$add` and `$multiply` are taken together behind the other operands, which shows
//! in the type of the result and in whether null or a wrong type is met first.

use bson::{Bson, DateTime, Document};

use super::compile::Node;
use super::eval::Scope;
use super::is_true;
use crate::Result;
use crate::query::value::Fields;

/// Operators whose operands may be grouped and ordered at will, and which end at the first null.
pub(super) const FREE: [&str; 2] = ["$add", "$multiply"];

/// The expression with its constant parts evaluated.
///
/// # Errors
/// What evaluating one of them refuses.
pub(super) fn fold(node: Node) -> Result<Node> {
    match node {
        Node::Object(fields) => {
            let fold = |(name, node)| Ok((name, fold(node)?));
            let fields = fields.into_iter().map(fold).collect::<Result<Vec<_>>>()?;
            let constant = fields.iter().all(|(_, node)| is_constant(node));
            finish(Node::Object(fields), constant)
        }
        Node::Array(items) => {
            let items = all(items)?;
            let constant = items.iter().all(is_constant);
            finish(Node::Array(items), constant)
        }
        Node::Call(function, operands) => {
            let mut operands = all(operands)?;
            let constant = operands.iter().all(is_constant);
            if !constant && FREE.contains(&function.name) {
                operands = regroup(operands, &|node| match node {
                    Node::Call(inner, operands) if inner.name == function.name => Ok(operands),
                    node => Err(node),
                });
                let combine = |constants| constant_of(&Node::Call(function, constants));
                operands = combine_last(operands, combine)?;
            }
            finish(Node::Call(function, operands), constant)
        }
        Node::And(parts) => junction(parts, true),
        Node::Or(parts) => junction(parts, false),
        Node::IfNull(parts) => {
            let parts = all(parts)?;
            let constant = parts.iter().all(is_constant);
            finish(Node::IfNull(parts), constant)
        }
        Node::Switch(cases, default) => {
            let fold_case = |(case, then)| Ok((fold(case)?, fold(then)?));
            let cases = cases.into_iter().map(fold_case).collect::<Result<_>>()?;
            let default = default.map(|it| boxed(*it)).transpose()?;
            Ok(Node::Switch(cases, default))
        }
        Node::Let(values, inner) => Ok(Node::Let(all(values)?, boxed(*inner)?)),
        Node::Map(input, inner) => Ok(Node::Map(boxed(*input)?, boxed(*inner)?)),
        Node::Filter { input, cond, limit } => Ok(Node::Filter {
            input: boxed(*input)?,
            cond: boxed(*cond)?,
            limit: limit.map(|it| boxed(*it)).transpose()?,
        }),
        Node::Reduce {
            input,
            initial,
            each,
        } => Ok(Node::Reduce {
            input: boxed(*input)?,
            initial: boxed(*initial)?,
            each: boxed(*each)?,
        }),
        node @ (Node::Literal(_) | Node::Path(..)) => Ok(node),
    }
}

fn all(nodes: Vec<Node>) -> Result<Vec<Node>> {
    nodes.into_iter().map(fold).collect()
}

fn boxed(node: Node) -> Result<Box<Node>> {
    fold(node).map(Box::new)
}

fn is_constant(node: &Node) -> bool {
    matches!(node, Node::Literal(_))
}

/// The node, or its value when all below it is constant.
fn finish(node: Node, constant: bool) -> Result<Node> {
    if constant {
        constant_of(&node)
    } else {
        Ok(node)
    }
}

fn constant_of(node: &Node) -> Result<Node> {
    let nothing = Document::new();
    let mut scope = Scope::new(Fields::Document(&nothing), DateTime::from_millis(0));
    // A missing constant reads as null wherever one can stand.
    Ok(Node::Literal(scope.eval(node)?.unwrap_or(Bson::Null)))
}

/// `$and` (with `neutral` true) or `$or`: a constant that decides it is its value; one that cannot
/// matter is left out.
fn junction(parts: Vec<Node>, neutral: bool) -> Result<Node> {
    let make = |parts| {
        if neutral {
            Node::And(parts)
        } else {
            Node::Or(parts)
        }
    };
    let parts = all(parts)?;
    if parts.iter().all(is_constant) {
        return constant_of(&make(parts));
    }
    let mut parts = regroup(parts, &|node| match (node, neutral) {
        (Node::And(inner), true) | (Node::Or(inner), false) => Ok(inner),
        (node, _) => Err(node),
    });
    parts = combine_last(parts, |constants| constant_of(&make(constants)))?;
    if let Some(Node::Literal(value)) = parts.last() {
        if is_true(Some(value)) != neutral {
            return Ok(Node::Literal(Bson::Boolean(!neutral)));
        }
        parts.pop();
    }
    Ok(make(parts))
}

/// Operands of the same operator in place of it, and constants behind all others.
fn regroup(
    operands: Vec<Node>,
    inner: &impl Fn(Node) -> std::result::Result<Vec<Node>, Node>,
) -> Vec<Node> {
    let mut flat = Vec::new();
    for operand in operands {
        match inner(operand) {
            Ok(operands) => flat.extend(regroup(operands, inner)),
            Err(operand) => flat.push(operand),
        }
    }
    let (constants, mut others): (Vec<_>, Vec<_>) = flat.into_iter().partition(is_constant);
    others.extend(constants);
    others
}

/// The constants at the end as one.
fn combine_last(
    mut operands: Vec<Node>,
    combine: impl FnOnce(Vec<Node>) -> Result<Node>,
) -> Result<Vec<Node>> {
    let first = operands.iter().position(is_constant);
    let first = first.unwrap_or(operands.len());
    if operands.len() - first > 1 {
        let constants = operands.split_off(first);
        operands.push(combine(constants)?);
    }
    Ok(operands)
}

//! The steps of an update merged by path, so that conflicts show and fields are met in order.

use std::cmp::Ordering;

use crate::{Error, Result};

use super::path::{Part, order};

/// What happens at one place of a document.
#[derive(Debug, Clone)]
pub(super) enum Node {
    /// Something below: fields, or indexes when the place is an array.
    Fields(Fields),
    /// Something at elements of an array, by array filter; the empty name is all of them.
    Each(Vec<(String, Node)>),
    /// The step of this number.
    Step(usize),
    /// The source of a rename: nothing else may touch it.
    Source,
}

/// The parts below one place, in MongoDB's order.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields {
    /// By name.
    pub(super) named: Vec<(String, Node)>,
    /// `$`.
    pub(super) matched: Option<Box<Node>>,
}

/// Puts `leaf` at `parts` below `root`.
///
/// # Errors
/// `Invalid` when another step is at, above or below that path.
pub(super) fn insert(root: &mut Node, path: &str, parts: &[Part<'_>], leaf: Node) -> Result<()> {
    let mut node = root;
    for (depth, part) in parts.iter().enumerate() {
        let last = depth + 1 == parts.len();
        let fresh = match parts.get(depth + 1) {
            None => leaf.clone(),
            Some(Part::Each(_)) => Node::Each(Vec::new()),
            Some(_) => Node::Fields(Fields::default()),
        };
        let (child, is_new) = match (node, part) {
            (Node::Fields(fields), Part::Name(name)) => named(&mut fields.named, name, fresh),
            (Node::Each(children), Part::Each(name)) => named(children, name, fresh),
            (Node::Fields(fields), Part::Matched) => {
                let is_new = fields.matched.is_none();
                (
                    &mut **fields.matched.get_or_insert_with(|| Box::new(fresh)),
                    is_new,
                )
            }
            _ => return Err(conflict(path, depth)),
        };
        if last && !is_new {
            return Err(conflict(path, depth + 1));
        }
        node = child;
    }
    Ok(())
}

/// Both of two nodes that turn out to be at one place of a document.
///
/// # Errors
/// `Invalid` when they cannot both be.
pub(super) fn merge(left: &Node, right: &Node, path: &str) -> Result<Node> {
    match (left, right) {
        (Node::Fields(left), Node::Fields(right)) => {
            let mut merged = left.clone();
            for (name, node) in &right.named {
                add(&mut merged.named, name, node, path)?;
            }
            merged.matched = match (merged.matched, &right.matched) {
                (Some(left), Some(right)) => {
                    Some(Box::new(merge(&left, right, &format!("{path}.$"))?))
                }
                (left, right) => left.or_else(|| right.clone()),
            };
            Ok(Node::Fields(merged))
        }
        (Node::Each(left), Node::Each(right)) => {
            let mut merged = left.clone();
            for (name, node) in right {
                add(&mut merged, name, node, path)?;
            }
            Ok(Node::Each(merged))
        }
        _ => Err(Error::invalid(format!(
            "the update has two steps at '{path}'"
        ))),
    }
}

/// Adds `node` under `name`, merged with what is there.
///
/// # Errors
/// As [`merge`].
pub(super) fn add(
    children: &mut Vec<(String, Node)>,
    name: &str,
    node: &Node,
    path: &str,
) -> Result<()> {
    let (child, is_new) = named(children, name, node.clone());
    if !is_new {
        *child = merge(child, node, &format!("{path}.{name}"))?;
    }
    Ok(())
}

/// The child of that name, and whether it was put there just now.
fn named<'n>(
    children: &'n mut Vec<(String, Node)>,
    name: &str,
    fresh: Node,
) -> (&'n mut Node, bool) {
    let (at, is_new) = match children.iter().position(|(child, _)| child == name) {
        Some(at) => (at, false),
        None => {
            let at = children
                .iter()
                .position(|(child, _)| order(child, name) == Ordering::Greater)
                .unwrap_or(children.len());
            children.insert(at, (name.to_owned(), fresh));
            (at, true)
        }
    };
    (&mut children[at].1, is_new)
}

fn conflict(path: &str, depth: usize) -> Error {
    let at: Vec<&str> = path.split('.').take(depth).collect();
    Error::invalid(format!(
        "updating the path '{path}' would create a conflict at '{}'",
        at.join(".")
    ))
}

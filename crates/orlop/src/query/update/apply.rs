//! Walks a document along the tree of an update and changes what the steps say.

use std::borrow::Cow;

use bson::DateTime;
use bson::raw::{RawBsonRef, RawDocument, RawDocumentBuf};

use crate::{Error, Result};

use super::filter::Filters;
use super::leaf::{Leaf, Slot, put};
use super::path::index;
use super::tree::{self, Fields, Node};
use super::value::{Opened, Value, close, identical, malformed, open};

/// Most nulls one step may fill an array up with: MongoDB's limit.
const PADDING_MAX: usize = 1_500_000;

/// What the steps need to know besides the document.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    /// The steps, made ready.
    pub(super) leaves: &'a [Leaf],
    /// The paths of the steps, for renames.
    pub(super) paths: &'a [String],
    /// The array filters.
    pub(super) filters: &'a Filters,
    /// The element the filter matched.
    pub(super) matched: Option<usize>,
    /// The time for `$currentDate`.
    pub(super) now: DateTime,
    /// Whether the document is one an upsert makes.
    pub(super) inserting: bool,
}

/// Applies a tree to a document; none when nothing changed.
///
/// # Errors
/// `Invalid` naming the path of the step that cannot be applied.
pub(super) fn apply<'a>(
    tree: &Node,
    before: &'a RawDocument,
    context: Context<'a>,
) -> Result<Option<RawDocumentBuf>> {
    let mut run = Run {
        context,
        sources: sources(before, context)?,
        arrays: 0,
        path: String::new(),
        renamed: Vec::new(),
    };
    let mut slot = Some(Value::Document(open(before)?));
    if !run.visit(tree, &mut slot)? {
        return Ok(None);
    }
    let Some(Value::Document(mut fields)) = slot else {
        return Err(Error::invalid("an update may not remove the document"));
    };
    for path in run.renamed {
        remove(&mut fields, path);
    }
    let after = close(&fields)?;
    keep_id(before, &after)?;
    Ok(Some(after))
}

struct Run<'a> {
    context: Context<'a>,
    /// What each rename moves, by step.
    sources: Vec<Option<RawBsonRef<'a>>>,
    /// How many arrays lead to the place that is visited.
    arrays: usize,
    /// Where that is.
    path: String,
    /// Sources to remove in the end.
    renamed: Vec<&'a str>,
}

impl<'a> Run<'a> {
    fn visit(&mut self, node: &Node, slot: &mut Slot<'a>) -> Result<bool> {
        match node {
            Node::Source => Ok(false),
            Node::Step(step) => self.step(*step, slot),
            Node::Each(children) => self.each(children, slot),
            Node::Fields(fields) => {
                let children = self.children(fields)?;
                match slot {
                    None => {
                        // Kept only when something is set in it.
                        let mut fresh = Opened::new();
                        let changed = self.document(&children, &mut fresh)?;
                        if changed {
                            *slot = Some(Value::Document(fresh));
                        }
                        Ok(changed)
                    }
                    Some(value) => {
                        value.open()?;
                        match value {
                            Value::Document(fields) => self.document(&children, fields),
                            Value::Array(elements) => {
                                self.arrays += 1;
                                let changed = self.array(&children, elements);
                                self.arrays -= 1;
                                changed
                            }
                            Value::Raw(_) => {
                                for (name, node) in children.iter() {
                                    self.below(name, |run| run.blocked(node))?;
                                }
                                Ok(false)
                            }
                        }
                    }
                }
            }
        }
    }

    /// The children of a place, with `$` as the index it stands for.
    fn children<'n>(&self, fields: &'n Fields) -> Result<Cow<'n, [(String, Node)]>> {
        let Some(node) = &fields.matched else {
            return Ok(Cow::Borrowed(&fields.named));
        };
        let matched = self.context.matched.ok_or_else(|| {
            Error::invalid(format!(
                "the positional '$' after '{}' did not find the match needed from the filter",
                self.path
            ))
        })?;
        let mut children = fields.named.clone();
        tree::add(&mut children, &matched.to_string(), node, &self.path)?;
        Ok(Cow::Owned(children))
    }

    fn document(&mut self, children: &[(String, Node)], fields: &mut Opened<'a>) -> Result<bool> {
        let mut changed = false;
        for (name, node) in children {
            let at = fields.iter().position(|(field, _)| field == name);
            let mut slot = at
                .and_then(|at| fields.get_mut(at))
                .map(|(_, value)| std::mem::replace(value, Value::Raw(RawBsonRef::Null)));
            let is_top = self.path.is_empty();
            let child_changed = self.below(name, |run| run.visit(node, &mut slot))?;
            let is_set = at.is_none() || matches!(node, Node::Step(_));
            if child_changed && is_top && is_set && name.starts_with('$') && slot.is_some() {
                return Err(Error::invalid(format!(
                    "the dollar prefixed field '{name}' may not be stored"
                )));
            }
            changed |= child_changed;
            match (at, slot) {
                (Some(at), Some(value)) => fields[at].1 = value,
                (Some(at), None) => {
                    fields.remove(at);
                }
                (None, Some(value)) => fields.push((Cow::Owned(name.clone()), value)),
                (None, None) => {}
            }
        }
        Ok(changed)
    }

    fn array(
        &mut self,
        children: &[(String, Node)],
        elements: &mut Vec<Value<'a>>,
    ) -> Result<bool> {
        let mut changed = false;
        for (name, node) in children {
            let Some(at) = index(name) else {
                self.below(name, |run| run.blocked(node))?;
                continue;
            };
            let mut slot = elements
                .get_mut(at)
                .map(|value| std::mem::replace(value, Value::Raw(RawBsonRef::Null)));
            let is_there = slot.is_some();
            changed |= self.below(name, |run| run.visit(node, &mut slot))?;
            match slot {
                // A removed element stays as null, so that the others keep their positions.
                None => {}
                Some(value) if is_there => elements[at] = value,
                Some(value) => {
                    if at - elements.len() > PADDING_MAX {
                        return Err(Error::invalid(format!(
                            "'{}.{name}' would fill an array with more than {PADDING_MAX} nulls",
                            self.path
                        )));
                    }
                    elements.resize(at, Value::Raw(RawBsonRef::Null));
                    elements.push(value);
                }
            }
        }
        Ok(changed)
    }

    fn each(&mut self, children: &[(String, Node)], slot: &mut Slot<'a>) -> Result<bool> {
        if let Some(value) = slot {
            value.open()?;
        }
        let elements = match slot {
            Some(Value::Array(elements)) => elements,
            None => {
                return Err(Error::invalid(format!(
                    "the path '{}' must exist in the document to apply array updates",
                    self.path
                )));
            }
            Some(_) => {
                return Err(Error::invalid(format!(
                    "array updates at '{}' need an array",
                    self.path
                )));
            }
        };
        self.arrays += 1;
        let mut changed = false;
        for (at, element) in elements.iter_mut().enumerate() {
            let mut node: Option<Cow<'_, Node>> = None;
            for (filter, child) in children {
                if !self.context.filters.holds(filter, element)? {
                    continue;
                }
                node = Some(match node {
                    None => Cow::Borrowed(child),
                    Some(other) => {
                        let path = format!("{}.{at}", self.path);
                        Cow::Owned(tree::merge(&other, child, &path)?)
                    }
                });
            }
            let Some(node) = node else { continue };
            let mut slot = Some(std::mem::replace(element, Value::Raw(RawBsonRef::Null)));
            changed |= self.below(&at.to_string(), |run| run.visit(&node, &mut slot))?;
            if let Some(value) = slot {
                *element = value;
            }
        }
        self.arrays -= 1;
        Ok(changed)
    }

    fn step(&mut self, step: usize, slot: &mut Slot<'a>) -> Result<bool> {
        let context = self.context;
        let Some(leaf) = context.leaves.get(step) else {
            return Ok(false);
        };
        if let Leaf::Rename = leaf {
            let Some(source) = self.sources.get(step).copied().flatten() else {
                return Ok(false);
            };
            if self.arrays > 0 {
                return Err(Error::invalid(format!(
                    "the destination '{}' of $rename may not be in an array",
                    self.path
                )));
            }
            let is_id = self.path == "_id" || self.path.starts_with("_id.");
            if is_id && !context.inserting {
                return Err(immutable_id());
            }
            self.renamed
                .extend(context.paths.get(step).map(String::as_str));
            return Ok(put(slot, source));
        }
        leaf.apply(slot, context.inserting, context.now, &self.path)
    }

    /// Refuses what lies beyond a value that has no fields, but for steps that do not mind.
    fn blocked(&mut self, node: &Node) -> Result<()> {
        match node {
            Node::Source => Ok(()),
            Node::Step(step) => {
                let ignored = match self.context.leaves.get(*step) {
                    Some(Leaf::Rename) => self.sources.get(*step).copied().flatten().is_none(),
                    Some(leaf) => leaf.ignores_blocked_path() && !self.sets_on_insert(leaf),
                    None => true,
                };
                if ignored {
                    return Ok(());
                }
                Err(Error::invalid(format!(
                    "cannot create field '{}': the path leads through a value without fields",
                    self.path
                )))
            }
            Node::Each(_) => Err(Error::invalid(format!(
                "the path '{}' must exist in the document to apply array updates",
                self.path
            ))),
            Node::Fields(fields) => {
                for (name, node) in self.children(fields)?.iter() {
                    self.below(name, |run| run.blocked(node))?;
                }
                Ok(())
            }
        }
    }

    fn sets_on_insert(&self, leaf: &Leaf) -> bool {
        self.context.inserting && matches!(leaf, Leaf::SetOnInsert(_))
    }

    fn below<T>(&mut self, name: &str, act: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.path.len();
        if length > 0 {
            self.path.push('.');
        }
        self.path.push_str(name);
        let result = act(self);
        self.path.truncate(length);
        result
    }
}

/// What the renames move, by step.
fn sources<'a>(
    before: &'a RawDocument,
    context: Context<'a>,
) -> Result<Vec<Option<RawBsonRef<'a>>>> {
    if !context
        .leaves
        .iter()
        .any(|leaf| matches!(leaf, Leaf::Rename))
    {
        return Ok(Vec::new());
    }
    context
        .leaves
        .iter()
        .zip(context.paths)
        .map(|(leaf, path)| match leaf {
            Leaf::Rename => source(before, path),
            _ => Ok(None),
        })
        .collect()
}

/// The value a rename moves; none when it is missing.
fn source<'a>(before: &'a RawDocument, path: &str) -> Result<Option<RawBsonRef<'a>>> {
    let mut value = RawBsonRef::Document(before);
    let mut in_array = false;
    for name in path.split('.') {
        let found = match value {
            RawBsonRef::Document(document) => document.get(name).map_err(malformed)?,
            RawBsonRef::Array(array) if index(name).is_some() => {
                in_array = true;
                match index(name) {
                    Some(at) => array.get(at).map_err(malformed)?,
                    None => None,
                }
            }
            _ => {
                return Err(Error::invalid(format!(
                    "the source '{path}' of $rename leads through a value without fields"
                )));
            }
        };
        match found {
            Some(found) => value = found,
            None => return Ok(None),
        }
    }
    if in_array {
        return Err(Error::invalid(format!(
            "the source '{path}' of $rename may not be in an array"
        )));
    }
    Ok(Some(value))
}

fn remove(fields: &mut Opened<'_>, path: &str) {
    let (name, rest) = match path.split_once('.') {
        Some((name, rest)) => (name, Some(rest)),
        None => (path, None),
    };
    let Some(at) = fields.iter().position(|(field, _)| field == name) else {
        return;
    };
    match rest {
        None => {
            fields.remove(at);
        }
        Some(rest) => {
            // It was found on the same path before, so this opens.
            if fields[at].1.open().is_ok()
                && let Value::Document(fields) = &mut fields[at].1
            {
                remove(fields, rest);
            }
        }
    }
}

/// Refuses a change of `_id`.
fn keep_id(before: &RawDocument, after: &RawDocument) -> Result<()> {
    let Some(old) = before.get("_id").map_err(malformed)? else {
        return Ok(());
    };
    match after.get("_id").map_err(malformed)? {
        Some(new) if identical(old, new) => Ok(()),
        _ => Err(immutable_id()),
    }
}

fn immutable_id() -> Error {
    Error::invalid("the update would modify the immutable field '_id'")
}

//! Updates: MongoDB's operators and update pipelines, applied to one document.
//!
//! Knows: paths, operators, which changes MongoDB refuses, what counts as a change. Does not
//! know: where documents are stored, what a revision is, what time it is.

mod apply;
mod filter;
mod leaf;
mod list;
mod number;
mod parse;
mod path;
mod step;
#[cfg(test)]
mod tests;
mod tree;
mod value;

use bson::raw::{RawDocument, RawDocumentBuf};
use bson::{Bson, DateTime, Document};

use crate::{Error, Result};

use apply::Context;
use filter::Filters;
use leaf::Leaf;
use path::{Part, is_dynamic, parts};
use tree::{Fields, Node};

pub use step::{Bit, Clock, End, Op, Push, PushSort, Step};

/// What an update does. Checked when it is made; applying it may still be refused by a document.
#[derive(Debug, Clone)]
pub struct Update {
    steps: Vec<Step>,
    array_filters: Vec<Document>,
    filters: Filters,
    leaves: Vec<Leaf>,
    paths: Vec<String>,
    tree: Node,
}

/// What an update made of a document.
#[derive(Debug, Clone, PartialEq)]
pub enum Updated {
    /// The document is as it was: MongoDB counts it as matched, not as modified.
    Unchanged,
    /// The new document.
    Changed(RawDocumentBuf),
}

impl Update {
    /// An update of these steps.
    ///
    /// # Errors
    /// `Invalid` naming the path: malformed paths, two steps at one place, operands of the wrong
    /// type, array filters that are missing or not used.
    pub fn new(steps: Vec<Step>, array_filters: Vec<Document>) -> Result<Self> {
        let filters = Filters::parse(&array_filters)?;
        let mut tree = Node::Fields(Fields::default());
        let mut used = Vec::new();
        for (number, step) in steps.iter().enumerate() {
            parse::check(step)?;
            let at = parts(&step.path)?;
            for part in &at {
                if let Part::Each(name) = part
                    && !name.is_empty()
                {
                    if !filters.has(name) {
                        return Err(Error::invalid(format!(
                            "no array filter for '{name}' in the path '{}'",
                            step.path
                        )));
                    }
                    used.push((*name).to_owned());
                }
            }
            if let Op::Rename(to) = &step.op {
                let target = parts(to)?;
                check_rename(&step.path, &at, to, &target)?;
                tree::insert(&mut tree, &step.path, &at, Node::Source)?;
                tree::insert(&mut tree, to, &target, Node::Step(number))?;
            } else {
                tree::insert(&mut tree, &step.path, &at, Node::Step(number))?;
            }
        }
        if let Some(unused) = filters.names().find(|name| !used.iter().any(|u| u == name)) {
            return Err(Error::invalid(format!(
                "the array filter for '{unused}' is not used in the update"
            )));
        }
        Ok(Self {
            leaves: steps.iter().map(Leaf::of).collect::<Result<_>>()?,
            paths: steps.iter().map(|step| step.path.to_string()).collect(),
            steps,
            array_filters,
            filters,
            tree,
        })
    }

    /// Reads MongoDB's syntax: a document of operators, or an array of pipeline stages.
    ///
    /// # Errors
    /// `Unsupported` naming an operator there is not; `Invalid` for what MongoDB refuses.
    pub fn parse(update: &Bson, array_filters: &[Document]) -> Result<Self> {
        match update {
            Bson::Document(update) => Self::new(parse::steps(update)?, array_filters.to_vec()),
            Bson::Array(_) => Err(Error::unsupported("update pipelines")),
            _ => Err(Error::invalid(
                "an update is a document of operators or an array of stages",
            )),
        }
    }

    /// The update in MongoDB's syntax.
    pub fn to_bson(&self) -> Bson {
        let mut update = Document::new();
        for step in &self.steps {
            let name = step.op.name();
            if !update.contains_key(name) {
                update.insert(name, Document::new());
            }
            if let Ok(fields) = update.get_document_mut(name) {
                fields.insert(step.path.to_string(), step.op.operand());
            }
        }
        Bson::Document(update)
    }

    /// The array filters.
    pub fn array_filters(&self) -> &[Document] {
        &self.array_filters
    }

    /// Every path the update may touch, as written.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().flat_map(|step| {
            let target = match &step.op {
                Op::Rename(to) => Some(to.as_ref()),
                _ => None,
            };
            std::iter::once(step.path.as_ref()).chain(target)
        })
    }

    /// Applies the update to a document.
    ///
    /// `matched` is the array position the filter matched, for `$` in a path. Fields that are
    /// not touched keep their bytes; new ones are appended in the order of their paths.
    ///
    /// # Errors
    /// `Invalid` naming the path: a value of the wrong type, a path through a scalar, a changed
    /// `_id`, a number out of range, two steps that meet at one element.
    ///
    /// # Cost
    /// `O(size of the document)`: it is copied once when something changes.
    pub fn apply(
        &self,
        before: &RawDocument,
        matched: Option<usize>,
        now: DateTime,
    ) -> Result<Updated> {
        let after = apply::apply(&self.tree, before, self.context(matched, now, false))?;
        Ok(after.map_or(Updated::Unchanged, Updated::Changed))
    }

    fn context(&self, matched: Option<usize>, now: DateTime, inserting: bool) -> Context<'_> {
        Context {
            leaves: &self.leaves,
            paths: &self.paths,
            filters: &self.filters,
            matched,
            now,
            inserting,
        }
    }
}

impl PartialEq for Update {
    fn eq(&self, other: &Self) -> bool {
        // The rest is made from these.
        self.steps == other.steps && self.array_filters == other.array_filters
    }
}

fn check_rename(from: &str, source: &[Part<'_>], to: &str, target: &[Part<'_>]) -> Result<()> {
    if is_dynamic(source) || is_dynamic(target) {
        return Err(Error::invalid(format!(
            "$rename of '{from}' to '{to}' may not have array positions"
        )));
    }
    if source.starts_with(target) || target.starts_with(source) {
        return Err(Error::invalid(format!(
            "$rename of '{from}' to '{to}' needs two paths that are apart"
        )));
    }
    Ok(())
}

impl Update {
    /// The document an upsert creates.
    ///
    /// # Errors
    /// `Unsupported`, for now.
    pub fn insert(
        &self,
        _id: Option<&Bson>,
        _filter: &crate::query::Expr,
        _now: DateTime,
    ) -> Result<RawDocumentBuf> {
        Err(crate::Error::unsupported("upserts"))
    }
}

//! Updates: MongoDB's operators and update pipelines, applied to one document.
//!
//! Knows: paths, operators, which changes MongoDB refuses, what counts as a change. Does not
//! know: where documents are stored, what a revision is, what time it is.

mod apply;
mod filter;
mod insert;
mod leaf;
mod list;
mod number;
mod parse;
mod path;
mod pipeline;
mod step;
#[cfg(test)]
mod tests;
mod tree;
mod value;

use bson::raw::{RawDocument, RawDocumentBuf};
use bson::{Bson, DateTime, Document};

use crate::query::Expr;
use crate::{Error, Result};

use apply::Context;
use filter::Filters;
use leaf::Leaf;
use path::{Part, is_dynamic, parts};
use pipeline::Pipeline;
use tree::{Fields, Node};

pub use step::{Bit, Clock, End, Op, Push, PushSort, Step};

/// What an update does. Checked when it is made; applying it may still be refused by a document.
#[derive(Debug, Clone)]
pub struct Update {
    form: Form,
    array_filters: Vec<Document>,
    touched: Vec<String>,
}

#[derive(Debug, Clone)]
enum Form {
    Steps(Steps),
    Pipeline(Pipeline),
}

/// Steps made ready.
#[derive(Debug, Clone)]
struct Steps {
    steps: Vec<Step>,
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
        let touched = steps.iter().flat_map(touched).collect();
        Ok(Self {
            form: Form::Steps(Steps::new(steps, &array_filters)?),
            array_filters,
            touched,
        })
    }

    /// Reads MongoDB's syntax: a document of operators, or an array of pipeline stages.
    ///
    /// # Errors
    /// `Unsupported` naming an operator there is not; `Invalid` for what MongoDB refuses.
    pub fn parse(update: &Bson, array_filters: &[Document]) -> Result<Self> {
        match update {
            Bson::Document(update) => Self::new(parse::steps(update)?, array_filters.to_vec()),
            Bson::Array(_) if !array_filters.is_empty() => Err(Error::invalid(
                "array filters do not go with an update pipeline",
            )),
            Bson::Array(stages) => {
                let mut touched = Vec::new();
                Ok(Self {
                    form: Form::Pipeline(Pipeline::parse(stages, &mut touched)?),
                    array_filters: Vec::new(),
                    touched,
                })
            }
            _ => Err(Error::invalid(
                "an update is a document of operators or an array of stages",
            )),
        }
    }

    /// The update in MongoDB's syntax.
    pub fn to_bson(&self) -> Bson {
        match &self.form {
            Form::Steps(steps) => steps.to_bson(),
            Form::Pipeline(pipeline) => pipeline.to_bson(),
        }
    }

    /// The steps; none of a pipeline.
    pub fn steps(&self) -> &[Step] {
        match &self.form {
            Form::Steps(steps) => &steps.steps,
            Form::Pipeline(_) => &[],
        }
    }

    /// The array filters.
    pub fn array_filters(&self) -> &[Document] {
        &self.array_filters
    }

    /// Every path the update may touch, as written. What `$replaceWith` writes is not among
    /// them: it touches everything.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.touched.iter().map(String::as_str)
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
        let after = match &self.form {
            Form::Steps(steps) => steps.apply(before, matched, now, false)?,
            Form::Pipeline(pipeline) => pipeline.apply(before, now)?,
        };
        Ok(after.map_or(Updated::Unchanged, Updated::Changed))
    }

    /// The document an upsert inserts when its filter matches none.
    ///
    /// It starts with the fields the filter pins by equality, in the order of their paths; then
    /// the update is applied, `$setOnInsert` too. `_id` comes first: the one the filter or the
    /// update gives, else `id`; with none of them the document has none yet, and the caller
    /// makes one.
    ///
    /// # Errors
    /// As [`Update::apply`]; `Invalid` also when the filter pins a path twice or holds `$expr`,
    /// when `_id` is of a type ids may not have, or is another one than `id`.
    pub fn insert(
        &self,
        id: Option<&Bson>,
        filter: &Expr,
        now: DateTime,
    ) -> Result<RawDocumentBuf> {
        let seed = insert::seed(filter)?;
        let document = match &self.form {
            Form::Steps(steps) => steps.apply(&seed, None, now, true)?.unwrap_or(seed),
            Form::Pipeline(pipeline) => pipeline.apply(&seed, now)?.unwrap_or(seed),
        };
        insert::with_id(&document, id)
    }
}

/// An update that sets these fields, whole: the short form of `$set` for names without dots.
///
/// # Errors
/// `Invalid` when a name is empty, holds a dot or NUL, or starts with `$`.
pub fn update_fields(fields: &Document) -> Result<Update> {
    let steps = fields
        .iter()
        .map(|(name, value)| {
            if name.contains('.') || name.starts_with('$') {
                return Err(Error::invalid(format!("'{name}' is no field name")));
            }
            Ok(Step::new(name.clone(), Op::Set(value.clone())))
        })
        .collect::<Result<_>>()?;
    Update::new(steps, Vec::new())
}

impl Steps {
    fn new(steps: Vec<Step>, array_filters: &[Document]) -> Result<Self> {
        let filters = Filters::parse(array_filters)?;
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
            filters,
            tree,
        })
    }

    fn apply(
        &self,
        before: &RawDocument,
        matched: Option<usize>,
        now: DateTime,
        inserting: bool,
    ) -> Result<Option<RawDocumentBuf>> {
        let context = Context {
            leaves: &self.leaves,
            paths: &self.paths,
            filters: &self.filters,
            matched,
            now,
            inserting,
        };
        apply::apply(&self.tree, before, context)
    }

    fn to_bson(&self) -> Bson {
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
}

impl PartialEq for Update {
    fn eq(&self, other: &Self) -> bool {
        // The rest is made from these.
        self.to_bson() == other.to_bson() && self.array_filters == other.array_filters
    }
}

fn touched(step: &Step) -> Vec<String> {
    let mut touched = vec![step.path.to_string()];
    if let Op::Rename(to) = &step.op {
        touched.push(to.to_string());
    }
    touched
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

//! Updates in the form of a pipeline: `$set`, `$unset`, `$replaceWith` and their other names.

use bson::raw::{RawArray, RawArrayBuf, RawBsonRef, RawDocument, RawDocumentBuf, cstr};
use bson::{Bson, DateTime, Document};

use crate::query::Aggregation;
use crate::query::project::{Projection, excluding};
use crate::query::value::compare_raw;
use crate::{Error, Result};

use super::leaf::raw;
use super::path::DEPTH_MAX;
use super::value::malformed;

/// The stages of an update pipeline.
#[derive(Debug, Clone)]
pub(super) struct Pipeline {
    written: Vec<Bson>,
    stages: Vec<Stage>,
}

#[derive(Debug, Clone)]
enum Stage {
    Set(Parts),
    Unset(Projection),
    Replace(Aggregation),
}

/// The fields one level of `$set` computes, in the order they were written.
type Parts = Vec<(String, Part)>;

#[derive(Debug, Clone)]
enum Part {
    Value(Aggregation),
    Below(Parts),
}

impl Pipeline {
    /// Reads the stages; adds the paths they touch to `touched`.
    ///
    /// # Errors
    /// `Unsupported` naming a stage that is not here, `Invalid` for what MongoDB refuses.
    pub(super) fn parse(stages: &[Bson], touched: &mut Vec<String>) -> Result<Self> {
        Ok(Self {
            stages: stages
                .iter()
                .map(|stage| Stage::parse(stage, touched))
                .collect::<Result<_>>()?,
            written: stages.to_vec(),
        })
    }

    /// The stages in MongoDB's syntax.
    pub(super) fn to_bson(&self) -> Bson {
        Bson::Array(self.written.clone())
    }

    /// The document after all stages, its `_id` first; none when nothing changed.
    ///
    /// # Errors
    /// `Invalid` when an expression fails, a replacement is no document, or `_id` changed.
    pub(super) fn apply(
        &self,
        before: &RawDocument,
        now: DateTime,
    ) -> Result<Option<RawDocumentBuf>> {
        let mut document = before.to_owned();
        for stage in &self.stages {
            document = stage.apply(&document, now)?;
        }
        // Before the id is put back: MongoDB counts a pipeline that drops it as a change.
        if document.as_bytes() == before.as_bytes() {
            return Ok(None);
        }
        keep_id(before, &document).map(Some)
    }
}

impl Stage {
    fn parse(stage: &Bson, touched: &mut Vec<String>) -> Result<Self> {
        let Bson::Document(stage) = stage else {
            return Err(Error::invalid("a stage of an update is a document"));
        };
        let (Some((name, operand)), 1) = (stage.iter().next(), stage.len()) else {
            return Err(Error::invalid("a stage of an update has exactly one field"));
        };
        match (name.as_str(), operand) {
            ("$set" | "$addFields", Bson::Document(fields)) => {
                let mut parts = Parts::new();
                for (path, value) in fields {
                    check(path)?;
                    add(&mut parts, path, value, touched)?;
                }
                Ok(Self::Set(parts))
            }
            ("$set" | "$addFields", _) => {
                Err(Error::invalid(format!("{name} takes a document of fields")))
            }
            ("$unset", operand) => {
                let paths = unset_paths(operand)?;
                touched.extend(paths.iter().map(|path| (*path).to_owned()));
                Ok(Self::Unset(excluding(&paths)?))
            }
            ("$replaceWith", expression) => Ok(Self::Replace(Aggregation::parse(expression)?)),
            ("$replaceRoot", Bson::Document(options)) => match options.iter().next() {
                Some((name, expression)) if name == "newRoot" && options.len() == 1 => {
                    Ok(Self::Replace(Aggregation::parse(expression)?))
                }
                _ => Err(Error::invalid(
                    "$replaceRoot takes newRoot and nothing else",
                )),
            },
            ("$replaceRoot", _) => Err(Error::invalid("$replaceRoot takes a document")),
            _ => Err(Error::unsupported(format!(
                "the stage {name} in an update; $set, $unset and $replaceWith are there"
            ))),
        }
    }

    fn apply(&self, document: &RawDocument, now: DateTime) -> Result<RawDocumentBuf> {
        match self {
            Self::Set(parts) => set(parts, document, document, now),
            Self::Unset(projection) => projection.project(document, None),
            Self::Replace(expression) => match expression.evaluate(document, now)? {
                Some(Bson::Document(replacement)) => RawDocumentBuf::try_from(&replacement)
                    .map_err(|error| Error::invalid(format!("malformed replacement: {error}"))),
                _ => Err(Error::invalid(
                    "the replacement of an update does not evaluate to a document",
                )),
            },
        }
    }
}

fn unset_paths(operand: &Bson) -> Result<Vec<&str>> {
    let refused = || Error::invalid("$unset takes a path or an array of at least one");
    match operand {
        Bson::String(path) => Ok(vec![path]),
        Bson::Array(paths) if !paths.is_empty() => paths
            .iter()
            .map(|path| path.as_str().ok_or_else(refused))
            .collect(),
        _ => Err(refused()),
    }
}

fn check(path: &str) -> Result<()> {
    if path.split('.').count() > DEPTH_MAX {
        return Err(Error::invalid(format!(
            "a path of an update stage is over the limit of {DEPTH_MAX} levels"
        )));
    }
    let is_bad = |name: &str| name.is_empty() || name.starts_with('$') || name.contains('\0');
    if path.split('.').any(is_bad) {
        return Err(Error::invalid(format!(
            "the path '{path}' of an update stage has an empty name or one that starts with '$'"
        )));
    }
    Ok(())
}

/// Adds what `value` computes at `path`: a document that is no expression is more fields.
fn add(parts: &mut Parts, path: &str, value: &Bson, touched: &mut Vec<String>) -> Result<()> {
    let fields = match value {
        Bson::Document(fields) => fields,
        value => return put(parts, path, value, touched),
    };
    match fields.keys().next() {
        None => Err(Error::invalid(format!(
            "the empty document at '{path}' is no value of an update stage"
        ))),
        Some(name) if name.starts_with('$') => put(parts, path, value, touched),
        Some(_) => add_fields(parts, path, fields, touched),
    }
}

fn add_fields(
    parts: &mut Parts,
    path: &str,
    fields: &Document,
    touched: &mut Vec<String>,
) -> Result<()> {
    for (name, value) in fields {
        let below = format!("{path}.{name}");
        check(&below)?;
        if name.contains('.') {
            return Err(Error::invalid(format!(
                "the dotted name '{name}' below '{path}' in an update stage"
            )));
        }
        add(parts, &below, value, touched)?;
    }
    Ok(())
}

fn put(parts: &mut Parts, path: &str, value: &Bson, touched: &mut Vec<String>) -> Result<()> {
    let conflict = || {
        Error::invalid(format!(
            "the path '{path}' is in conflict with another one of the stage"
        ))
    };
    let mut level = parts;
    let mut names = path.split('.').peekable();
    while let Some(name) = names.next() {
        let at = level.iter().position(|(other, _)| other == name);
        if names.peek().is_none() {
            if at.is_some() {
                return Err(conflict());
            }
            level.push((name.to_owned(), Part::Value(Aggregation::parse(value)?)));
            touched.push(path.to_owned());
            return Ok(());
        }
        let at = at.unwrap_or_else(|| {
            level.push((name.to_owned(), Part::Below(Parts::new())));
            level.len() - 1
        });
        match level.get_mut(at) {
            Some((_, Part::Below(below))) => level = below,
            _ => return Err(conflict()),
        }
    }
    Ok(())
}

/// Existing fields keep their places, new ones follow in the order they were written. Every
/// expression sees the whole document as it was before the stage.
fn set(
    parts: &Parts,
    document: &RawDocument,
    root: &RawDocument,
    now: DateTime,
) -> Result<RawDocumentBuf> {
    let mut result = RawDocumentBuf::new();
    let mut is_there = vec![false; parts.len()];
    for element in document.iter_elements() {
        let element = element.map_err(malformed)?;
        let name = element.key();
        let value = element.value().map_err(malformed)?;
        let at = parts.iter().position(|(part, _)| part == name.as_str());
        let Some((at, (_, part))) = at.and_then(|at| Some((at, parts.get(at)?))) else {
            result.append(name, value);
            continue;
        };
        is_there[at] = true;
        match part {
            Part::Value(expression) => {
                if let Some(value) = expression.evaluate(root, now)? {
                    result.append(name, raw(&value)?);
                }
            }
            Part::Below(parts) => match value {
                RawBsonRef::Document(document) => {
                    result.append(name, set(parts, document, root, now)?);
                }
                RawBsonRef::Array(array) => result.append(name, each(parts, array, root, now)?),
                _ => result.append(name, set(parts, &RawDocumentBuf::new(), root, now)?),
            },
        }
    }
    for ((name, part), is_there) in parts.iter().zip(is_there) {
        if is_there {
            continue;
        }
        let name: &bson::raw::CStr = name.as_str().try_into().map_err(malformed)?;
        match part {
            Part::Value(expression) => {
                if let Some(value) = expression.evaluate(root, now)? {
                    result.append(name, raw(&value)?);
                }
            }
            Part::Below(parts) => {
                result.append(name, set(parts, &RawDocumentBuf::new(), root, now)?);
            }
        }
    }
    Ok(result)
}

fn each(parts: &Parts, array: &RawArray, root: &RawDocument, now: DateTime) -> Result<RawArrayBuf> {
    let mut result = RawArrayBuf::new();
    for element in array.iter_elements() {
        let element = element.map_err(malformed)?;
        match element.value().map_err(malformed)? {
            RawBsonRef::Document(document) => result.push(set(parts, document, root, now)?),
            RawBsonRef::Array(array) => result.push(each(parts, array, root, now)?),
            _ => result.push(set(parts, &RawDocumentBuf::new(), root, now)?),
        }
    }
    Ok(result)
}

/// Puts `_id` in front, the old one when the pipeline dropped it.
fn keep_id(before: &RawDocument, after: &RawDocument) -> Result<RawDocumentBuf> {
    let old = before.get("_id").map_err(malformed)?;
    let new = after.get("_id").map_err(malformed)?;
    if let (Some(old), Some(new)) = (old, new)
        && compare_raw(old, new).is_ne()
    {
        return Err(Error::invalid(
            "the update would modify the immutable field '_id'",
        ));
    }
    let Some(id) = new.or(old) else {
        return Ok(after.to_owned());
    };
    let mut ordered = RawDocumentBuf::new();
    ordered.append(cstr!("_id"), id);
    for element in after.iter_elements() {
        let element = element.map_err(malformed)?;
        if element.key().as_str() != "_id" {
            ordered.append(element.key(), element.value().map_err(malformed)?);
        }
    }
    Ok(ordered)
}

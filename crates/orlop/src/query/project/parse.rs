//! Projections in MongoDB's syntax.

use std::sync::Arc;

use bson::{Bson, Document, doc};

use crate::query::value::{Number, Rounding};
use crate::query::{Expr, Matcher};
use crate::{Error, Result};

use super::{Kind, Part, Parts, Projection, Slice};

/// Most parts of a projected path.
///
/// # Source
/// MongoDB's "FieldPath is too long".
const PARTS_MAX: usize = 200;

/// What was said so far.
#[derive(Default)]
struct Parsed {
    tree: Parts,
    id: Option<bool>,
    /// The first field that was included or excluded, which the others must agree with.
    kind: Option<Kind>,
    has_slice: bool,
    has_elem_match: bool,
    positional: usize,
}

/// Reads a projection.
///
/// # Errors
/// As [`Projection::parse`].
pub(super) fn projection(spec: &Document) -> Result<Projection> {
    let mut parsed = Parsed::default();
    for (name, value) in spec {
        parsed.field("", name, value)?;
    }
    if parsed.positional > 1 {
        return Err(Error::invalid("more than one positional projection"));
    }
    if parsed.positional > 0 && parsed.has_elem_match {
        return Err(Error::invalid(
            "a positional projection does not go with $elemMatch",
        ));
    }
    let kind = parsed.kind.unwrap_or_else(|| parsed.default_kind());
    let mut tree = parsed.tree;
    if parsed.id.is_some() && tree.iter().any(|(name, _)| name == "_id") {
        return Err(collision("_id"));
    }
    if !tree.iter().any(|(name, _)| name == "_id") {
        match (kind, parsed.id) {
            (Kind::Include, None | Some(true)) => tree.push(("_id".to_owned(), Part::Keep)),
            (Kind::Exclude, Some(false)) => tree.push(("_id".to_owned(), Part::Drop)),
            _ => {}
        }
    }
    Ok(Projection {
        spec: spec.clone(),
        kind,
        tree,
        positional: parsed.positional > 0,
    })
}

impl Parsed {
    fn default_kind(&self) -> Kind {
        if self.id == Some(true) || (self.has_elem_match && !self.has_slice) {
            Kind::Include
        } else {
            Kind::Exclude
        }
    }

    fn field(&mut self, prefix: &str, name: &str, value: &Bson) -> Result<()> {
        let path = if prefix.is_empty() {
            name.to_owned()
        } else {
            format!("{prefix}.{name}")
        };
        if let Some(array) = path.strip_suffix(".$") {
            return self.positional(array, &path, value);
        }
        check(&path)?;
        match value {
            Bson::Document(document) => self.document(&path, document),
            _ => {
                let Some(included) = truth(value) else {
                    return Err(Error::unsupported(format!(
                        "an expression in the projection at '{path}'"
                    )));
                };
                if path == "_id" {
                    if self.id.is_some() {
                        return Err(collision(&path));
                    }
                    self.id = Some(included);
                    return Ok(());
                }
                self.agree(&path, included)?;
                let part = if included { Part::Keep } else { Part::Drop };
                self.put(&path, part)
            }
        }
    }

    fn positional(&mut self, array: &str, path: &str, value: &Bson) -> Result<()> {
        check(array)?;
        if truth(value) != Some(true) {
            return Err(Error::invalid(format!(
                "the positional projection '{path}' can only include"
            )));
        }
        self.agree(path, true)?;
        self.positional += 1;
        self.put(array, Part::Positional)
    }

    fn document(&mut self, path: &str, document: &Document) -> Result<()> {
        let Some((name, operand)) = document.iter().next() else {
            return Err(Error::invalid(format!(
                "the projection at '{path}' is an empty document"
            )));
        };
        if !name.starts_with('$') {
            for (name, value) in document {
                self.field(path, name, value)?;
            }
            return Ok(());
        }
        if document.len() > 1 {
            return Err(Error::invalid(format!(
                "the projection at '{path}' has more than one operator"
            )));
        }
        match name.as_str() {
            "$slice" => {
                self.has_slice = true;
                self.put(path, Part::Slice(slice(path, operand)?))
            }
            "$elemMatch" => self.elem_match(path, operand),
            _ => Err(Error::unsupported(format!(
                "{name} in the projection at '{path}'"
            ))),
        }
    }

    fn elem_match(&mut self, path: &str, operand: &Bson) -> Result<()> {
        if path.contains('.') {
            return Err(Error::invalid(format!(
                "$elemMatch in a projection does not go with the nested field '{path}'"
            )));
        }
        if !matches!(operand, Bson::Document(_)) {
            return Err(Error::invalid(format!(
                "$elemMatch in the projection at '{path}' takes a document"
            )));
        }
        // The filter's own $elemMatch decides, on an array of the one element.
        let condition = Expr::parse(&doc! { path: { "$elemMatch": operand.clone() } })?;
        self.has_elem_match = true;
        self.put(path, Part::ElemMatch(Arc::new(Matcher::new(&condition)?)))
    }

    fn agree(&mut self, path: &str, included: bool) -> Result<()> {
        let kind = if included {
            Kind::Include
        } else {
            Kind::Exclude
        };
        match *self.kind.get_or_insert(kind) {
            other if other == kind => Ok(()),
            Kind::Include => Err(Error::invalid(format!(
                "cannot exclude '{path}' in a projection that includes"
            ))),
            Kind::Exclude => Err(Error::invalid(format!(
                "cannot include '{path}' in a projection that excludes"
            ))),
        }
    }

    fn put(&mut self, path: &str, part: Part) -> Result<()> {
        let mut parts = &mut self.tree;
        let mut names = path.split('.').peekable();
        while let Some(name) = names.next() {
            let at = parts.iter().position(|(other, _)| other == name);
            if names.peek().is_none() {
                if at.is_some() {
                    return Err(collision(path));
                }
                parts.push((name.to_owned(), part));
                return Ok(());
            }
            let at = at.unwrap_or_else(|| {
                parts.push((name.to_owned(), Part::Below(Parts::new())));
                parts.len() - 1
            });
            match parts.get_mut(at) {
                Some((_, Part::Below(below))) => parts = below,
                _ => return Err(collision(path)),
            }
        }
        Ok(())
    }
}

fn check(path: &str) -> Result<()> {
    if path.split('.').count() > PARTS_MAX {
        return Err(Error::invalid(format!(
            "a projected path is over the limit of {PARTS_MAX} parts"
        )));
    }
    if path.is_empty() || path.split('.').any(str::is_empty) {
        return Err(Error::invalid(format!(
            "the projection has an empty field name in '{path}'"
        )));
    }
    if path.contains('\0') {
        return Err(Error::invalid("a projected path may not contain NUL"));
    }
    if path.split('.').any(|name| name.starts_with('$')) {
        return Err(Error::invalid(format!(
            "the projected path '{path}' may not have a name that starts with '$'"
        )));
    }
    Ok(())
}

/// Whether a value includes (true) or excludes; none when it is an expression.
fn truth(value: &Bson) -> Option<bool> {
    match value {
        Bson::Boolean(value) => Some(*value),
        _ => Number::of(value).map(|number| !number.is_zero()),
    }
}

fn slice(path: &str, operand: &Bson) -> Result<Slice> {
    let refused = || {
        Error::invalid(format!(
            "$slice in the projection at '{path}' takes a count, or a start and a positive count"
        ))
    };
    match operand {
        Bson::Array(arguments) => match arguments.as_slice() {
            [first, ..] if Number::of(first).is_none() => Err(Error::unsupported(format!(
                "$slice as an expression in the projection at '{path}'"
            ))),
            [skip, limit] => {
                let skip = count(skip).ok_or_else(refused)?;
                let limit = count(limit)
                    .filter(|limit| *limit > 0)
                    .ok_or_else(refused)?;
                Ok(Slice {
                    skip: Some(skip),
                    limit,
                })
            }
            _ => Err(refused()),
        },
        _ => Ok(Slice {
            skip: None,
            limit: count(operand).ok_or_else(refused)?,
        }),
    }
}

/// A number as a whole one: MongoDB cuts a double and rounds a decimal.
fn count(value: &Bson) -> Option<i64> {
    Number::of(value).map(|number| match number {
        Number::Int32(value) => i64::from(value),
        Number::Int64(value) => value,
        Number::Double(value) => value as i64,
        Number::Decimal(value) => value.round_to(0, Rounding::HalfEven).to_f64() as i64,
    })
}

fn collision(path: &str) -> Error {
    Error::invalid(format!("paths of the projection collide at '{path}'"))
}

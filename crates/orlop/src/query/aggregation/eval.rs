//! The value of a compiled expression over one document.

use bson::{Bson, DateTime, Document};

use super::compile::{Node, Variable};
use super::fold::FREE;
use super::is_true;
use crate::query::value::{Fields, Number, View};
use crate::{Error, Result};

/// What an expression sees: the document, the instant, and the values of variables.
pub(super) struct Scope<'a> {
    document: Fields<'a>,
    now: DateTime,
    locals: Vec<Option<Bson>>,
}

impl<'a> Scope<'a> {
    pub(super) fn new(document: Fields<'a>, now: DateTime) -> Self {
        Self {
            document,
            now,
            locals: Vec::new(),
        }
    }

    /// The value; none when it is missing.
    pub(super) fn eval(&mut self, node: &Node) -> Result<Option<Bson>> {
        Ok(match node {
            Node::Literal(value) => Some(value.clone()),
            Node::Path(variable, parts) => self.path(*variable, parts)?,
            Node::Object(fields) => {
                let mut document = Document::new();
                for (name, node) in fields {
                    if let Some(value) = self.eval(node)? {
                        document.insert(name, value);
                    }
                }
                Some(Bson::Document(document))
            }
            Node::Array(items) => {
                let items = self
                    .all(items)?
                    .into_iter()
                    .map(|it| it.unwrap_or(Bson::Null));
                Some(Bson::Array(items.collect()))
            }
            Node::Call(function, operands) => {
                let operands = if FREE.contains(&function.name) {
                    self.until_null(operands)?
                } else {
                    self.all(operands)?
                };
                (function.call)(function.name, operands)?
            }
            Node::And(parts) => Some(Bson::Boolean(self.any(parts, false)?.is_none())),
            Node::Or(parts) => Some(Bson::Boolean(self.any(parts, true)?.is_some())),
            Node::IfNull(parts) => self.if_null(parts)?,
            Node::Switch(cases, default) => self.switch(cases, default.as_deref())?,
            Node::Let(values, inner) => {
                let values = self.all(values)?;
                self.within(values, |scope| scope.eval(inner))?
            }
            Node::Map(input, inner) => self.map(input, inner)?,
            Node::Filter { input, cond, limit } => self.filter(input, cond, limit.as_deref())?,
            Node::Reduce {
                input,
                initial,
                each,
            } => self.reduce(input, initial, each)?,
        })
    }

    fn all(&mut self, nodes: &[Node]) -> Result<Vec<Option<Bson>>> {
        nodes.iter().map(|node| self.eval(node)).collect()
    }

    /// The values up to the first that is null or missing; what follows it is not evaluated.
    fn until_null(&mut self, nodes: &[Node]) -> Result<Vec<Option<Bson>>> {
        let mut values = Vec::with_capacity(nodes.len());
        for node in nodes {
            let value = self.eval(node)?;
            let is_null = matches!(value, None | Some(Bson::Null | Bson::Undefined));
            values.push(value);
            if is_null {
                break;
            }
        }
        Ok(values)
    }

    /// The first part that is as true as `wanted`; what follows it is not evaluated.
    fn any(&mut self, parts: &[Node], wanted: bool) -> Result<Option<()>> {
        for part in parts {
            if is_true(self.eval(part)?.as_ref()) == wanted {
                return Ok(Some(()));
            }
        }
        Ok(None)
    }

    fn if_null(&mut self, parts: &[Node]) -> Result<Option<Bson>> {
        let mut value = None;
        for part in parts {
            value = self.eval(part)?;
            if !matches!(value, None | Some(Bson::Null | Bson::Undefined)) {
                break;
            }
        }
        Ok(value)
    }

    fn switch(&mut self, cases: &[(Node, Node)], default: Option<&Node>) -> Result<Option<Bson>> {
        for (case, then) in cases {
            if is_true(self.eval(case)?.as_ref()) {
                return self.eval(then);
            }
        }
        match default {
            Some(default) => self.eval(default),
            None => Err(Error::invalid(
                "$switch has no branch for a document, and no default",
            )),
        }
    }

    fn within<T>(
        &mut self,
        values: Vec<Option<Bson>>,
        body: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        let outer = self.locals.len();
        self.locals.extend(values);
        let result = body(self);
        self.locals.truncate(outer);
        result
    }

    /// An array to go through; none of null and missing.
    fn items(&mut self, operator: &str, input: &Node) -> Result<Option<Vec<Bson>>> {
        match self.eval(input)? {
            None | Some(Bson::Null | Bson::Undefined) => Ok(None),
            Some(Bson::Array(items)) => Ok(Some(items)),
            Some(_) => Err(Error::invalid(format!(
                "input to {operator} must be an array"
            ))),
        }
    }

    fn map(&mut self, input: &Node, inner: &Node) -> Result<Option<Bson>> {
        let Some(items) = self.items("$map", input)? else {
            return Ok(Some(Bson::Null));
        };
        let mut mapped = Vec::with_capacity(items.len());
        for item in items {
            let value = self.within(vec![Some(item)], |scope| scope.eval(inner))?;
            mapped.push(value.unwrap_or(Bson::Null));
        }
        Ok(Some(Bson::Array(mapped)))
    }

    fn filter(&mut self, input: &Node, cond: &Node, limit: Option<&Node>) -> Result<Option<Bson>> {
        let Some(items) = self.items("$filter", input)? else {
            return Ok(Some(Bson::Null));
        };
        let limit = match limit.map(|limit| self.eval(limit)).transpose()?.flatten() {
            None | Some(Bson::Null) => usize::MAX,
            Some(limit) => {
                let limit = Number::of(&limit)
                    .and_then(Number::to_i64)
                    .filter(|it| *it > 0);
                let limit = limit.and_then(|it| usize::try_from(it).ok());
                limit.ok_or_else(|| Error::invalid("$filter: limit must be a positive integer"))?
            }
        };
        let mut kept = Vec::new();
        for item in items {
            if kept.len() == limit {
                break;
            }
            let keep = self.within(vec![Some(item.clone())], |scope| scope.eval(cond))?;
            if is_true(keep.as_ref()) {
                kept.push(item);
            }
        }
        Ok(Some(Bson::Array(kept)))
    }

    fn reduce(&mut self, input: &Node, initial: &Node, each: &Node) -> Result<Option<Bson>> {
        let Some(items) = self.items("$reduce", input)? else {
            return Ok(Some(Bson::Null));
        };
        let mut value = self.eval(initial)?;
        for item in items {
            value = self.within(vec![Some(item), value], |scope| scope.eval(each))?;
        }
        Ok(value)
    }

    fn path(&self, variable: Variable, parts: &[Box<str>]) -> Result<Option<Bson>> {
        let value = match variable {
            Variable::Remove => return Ok(None),
            Variable::Root => View::Document(self.document),
            Variable::Now if parts.is_empty() => return Ok(Some(Bson::DateTime(self.now))),
            Variable::Now => return Ok(None),
            Variable::Local(at) => match self.locals.get(at) {
                Some(Some(value)) => View::from(value),
                _ => return Ok(None),
            },
        };
        below(value, parts)
    }
}

/// What a path leads to; an array on the way gives an array of what its documents lead to.
fn below(value: View<'_>, parts: &[Box<str>]) -> Result<Option<Bson>> {
    let Some((part, rest)) = parts.split_first() else {
        return Ok(Some(value.to_bson()?));
    };
    match value {
        View::Document(fields) => match fields.get(part.as_bytes())? {
            Some(value) => below(value, rest),
            None => Ok(None),
        },
        View::Array(items) => {
            let mut found = Vec::new();
            for item in items.iter() {
                let (_, item) = item?;
                // Arrays right inside arrays are passed over.
                if matches!(item, View::Document(_)) {
                    found.extend(below(item, parts)?);
                }
            }
            Ok(Some(Bson::Array(found)))
        }
        _ => Ok(None),
    }
}

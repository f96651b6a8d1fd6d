//! From the syntax to a tree of operators, checked.

use bson::{Bson, Document};

use super::functions::{self, Function};
use crate::{Error, Result};

/// Deepest nesting of an expression. Above what a stored document may nest.
const DEPTH_MAX: usize = 200;

/// A compiled expression.
#[derive(Debug)]
pub(super) enum Node {
    Literal(Bson),
    /// A variable, and a path below it.
    Path(Variable, Vec<Box<str>>),
    Object(Vec<(String, Node)>),
    Array(Vec<Node>),
    Call(&'static Function, Vec<Node>),
    And(Vec<Node>),
    Or(Vec<Node>),
    IfNull(Vec<Node>),
    /// Cases with their values, and the value when none is true; without one it is an error.
    Switch(Vec<(Node, Node)>, Option<Box<Node>>),
    Let(Vec<Node>, Box<Node>),
    Map(Box<Node>, Box<Node>),
    Filter {
        input: Box<Node>,
        cond: Box<Node>,
        limit: Option<Box<Node>>,
    },
    Reduce {
        input: Box<Node>,
        initial: Box<Node>,
        each: Box<Node>,
    },
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Variable {
    Root,
    Now,
    Remove,
    /// Place in the stack of values.
    Local(usize),
}

pub(super) fn compile(expression: &Bson) -> Result<Node> {
    Compiler {
        names: Vec::new(),
        depth: 0,
    }
    .expression(expression)
}

/// Names of the variables in scope; the last of a name counts.
struct Compiler {
    names: Vec<String>,
    depth: usize,
}

fn invalid(message: impl Into<String>) -> Error {
    Error::invalid(message)
}

impl Compiler {
    fn expression(&mut self, expression: &Bson) -> Result<Node> {
        if self.depth == DEPTH_MAX {
            return Err(invalid(format!(
                "expression is nested deeper than {DEPTH_MAX}"
            )));
        }
        self.depth += 1;
        let node = match expression {
            Bson::String(text) if text.starts_with('$') => self.path(text),
            Bson::Array(items) => self.all(items).map(Node::Array),
            Bson::Document(document) => self.document(document),
            value => Ok(Node::Literal(value.clone())),
        };
        self.depth -= 1;
        node
    }

    fn all(&mut self, items: &[Bson]) -> Result<Vec<Node>> {
        items.iter().map(|item| self.expression(item)).collect()
    }

    fn boxed(&mut self, expression: &Bson) -> Result<Box<Node>> {
        self.expression(expression).map(Box::new)
    }

    fn path(&self, text: &str) -> Result<Node> {
        let Some(variable) = text.strip_prefix("$$") else {
            let path = text.get(1..).unwrap_or_default();
            if path.is_empty() {
                return Err(invalid("'$' by itself is not a path"));
            }
            return Ok(Node::Path(Variable::Root, parts(path)?));
        };
        let (name, path) = match variable.split_once('.') {
            Some((name, path)) => (name, parts(path)?),
            None => (variable, Vec::new()),
        };
        let local = self.names.iter().rposition(|it| it == name);
        let variable = match (name, local) {
            (_, Some(at)) => Variable::Local(at),
            ("ROOT" | "CURRENT", None) => Variable::Root,
            ("NOW", None) => Variable::Now,
            ("REMOVE", None) => Variable::Remove,
            ("", None) => return Err(invalid("empty variable names are not allowed")),
            _ => return Err(invalid(format!("undefined variable {name}"))),
        };
        Ok(Node::Path(variable, path))
    }

    fn document(&mut self, document: &Document) -> Result<Node> {
        if let Some((name, operand)) = document.iter().next().filter(|it| it.0.starts_with('$')) {
            if document.len() > 1 {
                return Err(invalid(format!(
                    "{name} must be the only field of its expression"
                )));
            }
            return self.operator(name, operand);
        }
        let field = |(name, value): (&String, &Bson)| {
            if name.contains('.') {
                return Err(invalid("field names of an expression cannot contain a dot"));
            }
            check_part(name)?;
            Ok((name.clone(), self.expression(value)?))
        };
        document
            .iter()
            .map(field)
            .collect::<Result<_>>()
            .map(Node::Object)
    }

    fn operator(&mut self, name: &str, operand: &Bson) -> Result<Node> {
        match name {
            "$literal" | "$const" => Ok(Node::Literal(operand.clone())),
            "$and" => self.operands(operand).map(Node::And),
            "$or" => self.operands(operand).map(Node::Or),
            "$ifNull" => {
                let operands = self.operands(operand)?;
                if operands.len() < 2 {
                    return Err(invalid("$ifNull needs at least two arguments"));
                }
                Ok(Node::IfNull(operands))
            }
            "$cond" => self.cond(operand),
            "$switch" => self.switch(operand),
            "$let" => self.bind(operand),
            "$map" => self.map(operand),
            "$filter" => self.filter(operand),
            "$reduce" => self.reduce(operand),
            _ => {
                let function = functions::find(name)
                    .ok_or_else(|| Error::unsupported(format!("unknown operator {name}")))?;
                let operands = self.operands(operand)?;
                if !(function.least..=function.most).contains(&operands.len()) {
                    return Err(invalid(format!(
                        "{name} does not take {} arguments",
                        operands.len()
                    )));
                }
                Ok(Node::Call(function, operands))
            }
        }
    }

    /// A list of operands; one alone needs no list.
    fn operands(&mut self, operand: &Bson) -> Result<Vec<Node>> {
        match operand {
            Bson::Array(items) => self.all(items),
            operand => Ok(vec![self.expression(operand)?]),
        }
    }

    fn cond(&mut self, operand: &Bson) -> Result<Node> {
        let (case, then, otherwise) = match operand {
            Bson::Document(it) => {
                let [case, then, otherwise] = named("$cond", it, ["if", "then", "else"], 3)?;
                (case, then, otherwise)
            }
            Bson::Array(items) => match items.as_slice() {
                [case, then, otherwise] => (Some(case), Some(then), Some(otherwise)),
                _ => return Err(invalid("$cond takes three arguments")),
            },
            _ => return Err(invalid("$cond takes three arguments")),
        };
        let case = self.expression(case.unwrap_or(&Bson::Null))?;
        let then = self.expression(then.unwrap_or(&Bson::Null))?;
        let otherwise = self.boxed(otherwise.unwrap_or(&Bson::Null))?;
        Ok(Node::Switch(vec![(case, then)], Some(otherwise)))
    }

    fn switch(&mut self, operand: &Bson) -> Result<Node> {
        let operand = document("$switch", operand)?;
        let [branches, default] = named("$switch", operand, ["branches", "default"], 1)?;
        let Some(Bson::Array(branches)) = branches else {
            return Err(invalid("$switch: branches must be an array"));
        };
        let mut cases = Vec::new();
        for branch in branches {
            let branch = document("$switch", branch)?;
            let [case, then] = named("$switch", branch, ["case", "then"], 2)?;
            let case = self.expression(case.unwrap_or(&Bson::Null))?;
            cases.push((case, self.expression(then.unwrap_or(&Bson::Null))?));
        }
        if cases.is_empty() {
            return Err(invalid("$switch needs at least one branch"));
        }
        let default = default.map(|it| self.boxed(it)).transpose()?;
        Ok(Node::Switch(cases, default))
    }

    /// Compiles `inner` where `names` are known.
    fn within(&mut self, names: &[&str], inner: &Bson) -> Result<Box<Node>> {
        let outer = self.names.len();
        self.names
            .extend(names.iter().map(|name| (*name).to_owned()));
        let node = self.boxed(inner);
        self.names.truncate(outer);
        node
    }

    fn bind(&mut self, operand: &Bson) -> Result<Node> {
        let [vars, inner] = named("$let", document("$let", operand)?, ["vars", "in"], 2)?;
        let vars = document("$let", vars.unwrap_or(&Bson::Null))?;
        let names: Vec<&str> = vars.keys().map(String::as_str).collect();
        names.iter().try_for_each(|name| check_name(name))?;
        let values = vars
            .values()
            .map(|it| self.expression(it))
            .collect::<Result<_>>()?;
        Ok(Node::Let(
            values,
            self.within(&names, inner.unwrap_or(&Bson::Null))?,
        ))
    }

    fn map(&mut self, operand: &Bson) -> Result<Node> {
        let operand = document("$map", operand)?;
        let [input, inner, name] = named("$map", operand, ["input", "in", "as"], 2)?;
        let name = variable_name(name)?;
        let input = self.boxed(input.unwrap_or(&Bson::Null))?;
        Ok(Node::Map(
            input,
            self.within(&[name], inner.unwrap_or(&Bson::Null))?,
        ))
    }

    fn filter(&mut self, operand: &Bson) -> Result<Node> {
        let operand = document("$filter", operand)?;
        let names = ["input", "cond", "as", "limit"];
        let [input, cond, name, limit] = named("$filter", operand, names, 2)?;
        let name = variable_name(name)?;
        let input = self.boxed(input.unwrap_or(&Bson::Null))?;
        let limit = limit.map(|it| self.boxed(it)).transpose()?;
        let cond = self.within(&[name], cond.unwrap_or(&Bson::Null))?;
        Ok(Node::Filter { input, cond, limit })
    }

    fn reduce(&mut self, operand: &Bson) -> Result<Node> {
        let operand = document("$reduce", operand)?;
        let names = ["input", "initialValue", "in"];
        let [input, initial, each] = named("$reduce", operand, names, 3)?;
        let input = self.boxed(input.unwrap_or(&Bson::Null))?;
        let initial = self.boxed(initial.unwrap_or(&Bson::Null))?;
        let each = self.within(&["this", "value"], each.unwrap_or(&Bson::Null))?;
        Ok(Node::Reduce {
            input,
            initial,
            each,
        })
    }
}

fn document<'a>(operator: &str, value: &'a Bson) -> Result<&'a Document> {
    match value {
        Bson::Document(document) => Ok(document),
        _ => Err(invalid(format!("{operator} takes a document"))),
    }
}

/// The parameters of an operator, by name; the first `needed` of them must be there.
fn named<'a, const N: usize>(
    operator: &str,
    document: &'a Document,
    names: [&str; N],
    needed: usize,
) -> Result<[Option<&'a Bson>; N]> {
    if let Some(name) = document.keys().find(|name| !names.contains(&name.as_str())) {
        return Err(invalid(format!("{operator} has no parameter {name}")));
    }
    if let Some(name) = names
        .iter()
        .take(needed)
        .find(|name| !document.contains_key(*name))
    {
        return Err(invalid(format!("{operator} needs its parameter {name}")));
    }
    Ok(names.map(|name| document.get(name)))
}

fn variable_name(name: Option<&Bson>) -> Result<&str> {
    match name {
        None => Ok("this"),
        Some(Bson::String(name)) => check_name(name).map(|()| name.as_str()),
        Some(_) => Err(invalid("the name of a variable must be a string")),
    }
}

fn check_name(name: &str) -> Result<()> {
    let letter = |it: char| it.is_ascii_alphanumeric() || it == '_' || !it.is_ascii();
    let start = name.starts_with(|it: char| it.is_ascii_lowercase() || !it.is_ascii());
    if start && name.chars().all(letter) || name == "CURRENT" {
        Ok(())
    } else {
        Err(invalid(format!("{name} is no name for a variable")))
    }
}

/// The parts of a path. Numbers are names here: no part picks an element.
fn parts(path: &str) -> Result<Vec<Box<str>>> {
    path.split('.')
        .map(|part| check_part(part).map(|()| part.into()))
        .collect()
}

fn check_part(part: &str) -> Result<()> {
    if part.is_empty() {
        return Err(invalid("field names of a path cannot be empty"));
    }
    if part.starts_with('$') {
        return Err(invalid("field names of a path cannot start with '$'"));
    }
    if part.contains('\0') {
        return Err(invalid("field names of a path cannot contain NUL"));
    }
    Ok(())
}

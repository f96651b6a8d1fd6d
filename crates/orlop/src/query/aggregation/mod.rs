//! Expressions of MongoDB's aggregation language: `$expr` in filters, and update pipelines.

mod arithmetic;
mod compile;
mod eval;
mod fold;
mod functions;

use bson::raw::RawDocument;
use bson::{Bson, DateTime, Document};

use super::Aggregation;
use super::filter::truth;
use super::value::{Fields, View};
use crate::Result;
use compile::Node;

impl Aggregation {
    /// Checks an expression in MongoDB's syntax.
    ///
    /// # Errors
    /// - `Invalid`: MongoDB refuses it too; the message says why.
    /// - `Unsupported`: an operator we do not have; the message names it.
    pub fn parse(expression: &Bson) -> Result<Self> {
        compile::compile(expression)?;
        Ok(Self(expression.clone()))
    }

    /// Its value over a stored document; none when it is missing. Compiles each time: for many
    /// documents use [`Program`].
    ///
    /// # Errors
    /// `Invalid` when an operator does not take its operands; `Corrupt` when the document is not
    /// BSON.
    pub fn evaluate(&self, document: &RawDocument, now: DateTime) -> Result<Option<Bson>> {
        Program::new(self, now)?.evaluate(Fields::of(document))
    }

    /// Its value over an owned document; none when it is missing.
    ///
    /// # Errors
    /// As [`Aggregation::evaluate`].
    pub fn evaluate_document(&self, document: &Document, now: DateTime) -> Result<Option<Bson>> {
        Program::new(self, now)?.evaluate(Fields::Document(document))
    }
}

/// A compiled expression.
#[derive(Debug)]
pub struct Program {
    node: Node,
    now: DateTime,
}

impl Program {
    /// Compiles an expression; `now` is what `$$NOW` stands for.
    ///
    /// # Errors
    /// As [`Aggregation::parse`].
    pub fn new(expression: &Aggregation, now: DateTime) -> Result<Self> {
        Ok(Self {
            node: compile::compile(&expression.0)?,
            now,
        })
    }

    /// Compiles an expression of a filter: MongoDB evaluates its constant parts beforehand, and
    /// refuses it when one of them fails. It does not in update pipelines.
    ///
    /// # Errors
    /// As [`Aggregation::parse`], and what a constant part refuses.
    pub fn folded(expression: &Aggregation, now: DateTime) -> Result<Self> {
        let node = fold::fold(compile::compile(&expression.0)?)?;
        Ok(Self { node, now })
    }

    /// Its value over the fields of a document; none when it is missing.
    ///
    /// # Errors
    /// As [`Aggregation::evaluate`].
    pub fn evaluate(&self, document: Fields<'_>) -> Result<Option<Bson>> {
        eval::Scope::new(document, self.now).eval(&self.node)
    }

    /// Whether its value is true, as `$expr` counts it.
    ///
    /// # Errors
    /// As [`Aggregation::evaluate`].
    pub fn is_true(&self, document: Fields<'_>) -> Result<bool> {
        Ok(is_true(self.evaluate(document)?.as_ref()))
    }
}

/// A missing value is false; NaN is true.
fn is_true(value: Option<&Bson>) -> bool {
    value.is_some_and(|value| truth(View::from(value)))
}

//! `Update<D>` and its steps.

use std::fmt;
use std::marker::PhantomData;

use bson::{Bson, Document};

use crate::Result;
use crate::query::{self, Path};

/// One operator on one field of documents of type `D`.
pub struct Step<D> {
    operator: &'static str,
    path: Path,
    operand: Bson,
    of: PhantomData<fn() -> D>,
}

/// What is done to documents of type `D`: steps, or MongoDB's own syntax.
pub struct Update<D> {
    form: Bson,
    of: PhantomData<fn() -> D>,
}

impl<D> Step<D> {
    pub(super) fn new(operator: &'static str, path: &Path, operand: Bson) -> Self {
        Self {
            operator,
            path: path.clone(),
            operand,
            of: PhantomData,
        }
    }
}

impl<D> Update<D> {
    /// The update in MongoDB's syntax.
    pub fn form(&self) -> &Bson {
        &self.form
    }

    /// The untyped update.
    ///
    /// # Errors
    /// As [`query::Update::parse`]: two steps at one place, operators there are not.
    pub fn into_untyped(self) -> Result<query::Update> {
        query::Update::parse(&self.form, &[])
    }

    fn of(form: Bson) -> Self {
        Self {
            form,
            of: PhantomData,
        }
    }
}

impl<D> FromIterator<Step<D>> for Update<D> {
    /// All of the steps; of two alike on one field the later counts.
    fn from_iter<I: IntoIterator<Item = Step<D>>>(steps: I) -> Self {
        let mut form = Document::new();
        for step in steps {
            let operand = match form.get_mut(step.operator) {
                Some(Bson::Document(operand)) => operand,
                _ => {
                    form.insert(step.operator, Document::new());
                    match form.get_mut(step.operator) {
                        Some(Bson::Document(operand)) => operand,
                        _ => continue,
                    }
                }
            };
            operand.insert(step.path.into_owned(), step.operand);
        }
        Self::of(Bson::Document(form))
    }
}

impl<D> From<Step<D>> for Update<D> {
    fn from(step: Step<D>) -> Self {
        [step].into_iter().collect()
    }
}

impl<D, const N: usize> From<[Step<D>; N]> for Update<D> {
    fn from(steps: [Step<D>; N]) -> Self {
        steps.into_iter().collect()
    }
}

impl<D> From<Vec<Step<D>>> for Update<D> {
    fn from(steps: Vec<Step<D>>) -> Self {
        steps.into_iter().collect()
    }
}

impl<D> From<Document> for Update<D> {
    fn from(form: Document) -> Self {
        Self::of(Bson::Document(form))
    }
}

impl<D> From<Vec<Document>> for Update<D> {
    /// The stages of an update pipeline.
    fn from(stages: Vec<Document>) -> Self {
        Self::of(Bson::from(stages))
    }
}

impl<D> fmt::Debug for Step<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the operand: it may be a secret.
        write!(f, "{} {}", self.operator, self.path)
    }
}

impl<D> fmt::Debug for Update<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.form {
            Bson::Document(form) => f.debug_list().entries(form.keys()).finish(),
            _ => f.write_str("a pipeline"),
        }
    }
}

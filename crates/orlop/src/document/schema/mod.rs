//! JSON Schema over BSON: the subset of docs/schema.md, compiled once, checked on every write.
//!
//! Where a word is MongoDB's `$jsonSchema` too, it means what it means there.

mod check;
mod compile;
mod cursor;

use bson::{Bson, Document, RawDocument, RawDocumentBuf};

use crate::{Error, FieldError, Result};

use compile::Node;

/// Broken rules reported of one document at most.
const ERRORS_MAX: usize = 32;

/// A compiled schema.
///
/// # Cost
/// [`Validator::check`] walks the document once and allocates only to report: about a microsecond
/// for a task of ten fields.
///
/// # Example
/// ```
/// use bson::{doc, rawdoc};
/// use orlop::document::schema::Validator;
/// let schema = doc! {"required": ["title"], "properties": {"title": {"bsonType": "string", "minLength": 1}}};
/// let validator = Validator::new(&schema)?;
/// assert!(validator.check(&rawdoc! {"title": "caulk"}).is_empty());
/// let broken = validator.check(&rawdoc! {"title": ""});
/// assert_eq!((broken[0].field.as_str(), broken[0].rule.as_str()), ("title", "min_length"));
/// # Ok::<(), orlop::Error>(())
/// ```
#[derive(Debug)]
pub struct Validator {
    root: Node,
}

impl Validator {
    /// Compiles a schema.
    ///
    /// # Errors
    /// - `Unsupported` naming a word that is not in docs/schema.md.
    /// - `Invalid` naming a word whose value is malformed.
    pub fn new(schema: &Document) -> Result<Self> {
        Ok(Self {
            root: compile::node(schema, "")?,
        })
    }

    /// The rules the document breaks, in the order of its fields; empty when it meets them all.
    ///
    /// A `_v` at the top is ours and not looked at. At most 32 are reported.
    pub fn check(&self, document: &RawDocument) -> Vec<FieldError> {
        check::document(&self.root, document.as_bytes())
    }

    /// Refuses a document that breaks a rule.
    ///
    /// # Errors
    /// `Invalid` with [`Error::fields`]; the message names the collection, the first field and its rule.
    pub fn enforce(&self, collection: &str, document: &RawDocument) -> Result<()> {
        let broken = self.check(document);
        if broken.is_empty() {
            return Ok(());
        }
        Err(refusal(collection, broken))
    }

    /// Whether the schema takes `value` at the dotted `path`; what it says nothing of, it takes.
    pub fn accepts(&self, path: &str, value: &Bson) -> bool {
        let Some(node) = self.root.at(path) else {
            return true;
        };
        let mut alone = Document::new();
        alone.insert("", value.clone());
        RawDocumentBuf::try_from(&alone)
            .is_ok_and(|alone| check::only_field(node, alone.as_bytes()).is_empty())
    }
}

/// The error of a document of `collection` that breaks these rules.
pub fn refusal(collection: &str, broken: Vec<FieldError>) -> Error {
    let message = match broken.first() {
        None => format!("collection {collection}: a document is refused"),
        Some(first) => {
            let what = format!(
                "collection {collection}: field {} breaks rule {}: {}",
                first.field, first.rule, first.message
            );
            match broken.len() - 1 {
                0 => what,
                more => format!("{what}; {more} more"),
            }
        }
    };
    Error::invalid(message).with_fields(broken)
}

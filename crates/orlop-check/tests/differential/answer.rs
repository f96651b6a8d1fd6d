//! What a side answers, and when two answers agree.

use bson::raw::RawDocumentBuf;
use bson::{Bson, Document};

/// Later than every instant of the generated documents: read from a clock.
const NOW_MS_MIN: i64 = 1_750_000_000_000;
/// First byte of the generated ObjectIds.
const OBJECT_ID_MARK: u8 = 0x65;

/// Documents in order, or a refusal with its reason.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// For a find what is returned; for an update how many matched and changed, then all documents.
    Documents {
        /// Matched and modified, for an update.
        counts: Option<(i64, i64)>,
        /// The documents.
        documents: Vec<RawDocumentBuf>,
    },
    /// Refused.
    Refused(String),
    /// The case could not be set up: it says nothing about anybody.
    Void,
}

impl Answer {
    /// Byte for byte, but for what a clock or an id generator gave.
    pub(crate) fn agrees(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Documents { counts, documents },
                Self::Documents {
                    counts: theirs,
                    documents: other,
                },
            ) => {
                counts == theirs
                    && documents.len() == other.len()
                    && documents.iter().zip(other).all(|(a, b)| same(a, b))
            }
            (Self::Refused(_), Self::Refused(_)) | (Self::Void, _) | (_, Self::Void) => true,
            _ => false,
        }
    }

    pub(crate) fn is_refused(&self) -> bool {
        matches!(self, Self::Refused(_))
    }

    /// Whether it is refused with these words.
    pub(crate) fn is_refused_for(&self, words: &str) -> bool {
        matches!(self, Self::Refused(why) if why.contains(words))
    }

    /// For people.
    pub(crate) fn show(&self) -> String {
        match self {
            Self::Documents { counts, documents } => {
                let documents: Vec<_> = documents.iter().map(show_raw).collect();
                let counts = counts
                    .map(|(matched, modified)| format!("matched {matched}, modified {modified}: "));
                format!("{}[{}]", counts.unwrap_or_default(), documents.join(", "))
            }
            Self::Refused(why) => format!("refused: {why}"),
            Self::Void => "no case".to_owned(),
        }
    }
}

fn same(a: &RawDocumentBuf, b: &RawDocumentBuf) -> bool {
    a.as_bytes() == b.as_bytes()
        || match (Document::try_from(a.clone()), Document::try_from(b.clone())) {
            (Ok(a), Ok(b)) => steady(Bson::Document(a)) == steady(Bson::Document(b)),
            _ => false,
        }
}

/// The value as bytes, with clocks and generated ids replaced by what they are.
fn steady(value: Bson) -> Option<Vec<u8>> {
    fn replace(value: Bson) -> Bson {
        match value {
            Bson::DateTime(date) if date.timestamp_millis() > NOW_MS_MIN => {
                Bson::String("<now>".into())
            }
            Bson::Timestamp(at) if i64::from(at.time) * 1000 > NOW_MS_MIN => {
                Bson::String("<now>".into())
            }
            Bson::ObjectId(id) if id.bytes()[1] != OBJECT_ID_MARK => {
                Bson::String("<new id>".into())
            }
            Bson::Array(items) => Bson::Array(items.into_iter().map(replace).collect()),
            Bson::Document(fields) => Bson::Document(
                fields
                    .into_iter()
                    .map(|(name, field)| (name, replace(field)))
                    .collect(),
            ),
            value => value,
        }
    }
    match replace(value) {
        Bson::Document(document) => document.to_vec().ok(),
        _ => None,
    }
}

fn show_raw(document: &RawDocumentBuf) -> String {
    Document::try_from(document.clone())
        .map_or_else(|error| format!("<{error}>"), |document| show(&document))
}

/// Canonical Extended JSON: every type is visible.
pub(crate) fn show(document: &Document) -> String {
    Bson::Document(document.clone())
        .into_canonical_extjson()
        .to_string()
}

//! The operations, and what each must do to a writer's documents. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use bson::{Bson, Document, RawDocumentBuf, doc};
use orlop::engine::{Action, Batch, Change, Durability, Guard, Put};
use orlop::query::Expr;

use crate::random::Random;

/// The collections of the workload. The first has a unique index on `email`.
pub const COLLECTIONS: [&str; 2] = ["left", "right"];
const LEFT: &str = COLLECTIONS[0];
const RIGHT: &str = COLLECTIONS[1];
/// Documents that a writer has in `left`.
const KEYS: u64 = 6;
/// Documents that one batch of many puts into `right`.
const MANY: u64 = 12;

/// The documents of one writer, by collection and id, without their revisions.
pub type Docs = BTreeMap<(String, String), Document>;

/// What must hold of the stored document.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Need {
    Nothing,
    Absent,
    /// Its `n` is this.
    At(i64),
}

/// One change of an operation: a put when there is a document, else a delete.
#[derive(Debug, Clone)]
struct Step {
    collection: &'static str,
    id: String,
    need: Need,
    document: Option<Document>,
}

/// One operation: a batch.
#[derive(Debug, Clone)]
pub struct Op {
    steps: Vec<Step>,
    durability: Durability,
}

/// Operation `n` of `writer`.
pub fn op(seed: u64, writer: u64, n: u64) -> Op {
    let mut random = Random::new(seed ^ (writer << 48) ^ n);
    let key = random.below(KEYS);
    let other = random.below(KEYS);
    let at = n as i64;
    let mut document = |collection: &'static str, key: u64, email: u64, need: Need| Step {
        collection,
        id: format!("{writer}/{key}"),
        need,
        document: Some(doc! {
            "_id": format!("{writer}/{key}"),
            "writer": writer as i64,
            "n": at,
            "email": format!("{writer}-{email}"),
            "pad": "é".repeat(random.below(150) as usize),
        }),
    };
    let steps = match Random::new(seed ^ n.rotate_left(17) ^ writer).below(10) {
        0..=2 => vec![document(LEFT, key, key, Need::Nothing)],
        3 => vec![document(LEFT, key, key, Need::Absent)],
        4 => vec![document(
            LEFT,
            key,
            key,
            Need::At(at - 1 - other as i64 * 3),
        )],
        // A transfer between collections; its guard comes last, when half is decided already.
        5 => vec![
            document(RIGHT, key, key, Need::Nothing),
            document(LEFT, key, key, Need::Absent),
        ],
        6 => vec![
            document(LEFT, key, key, Need::Nothing),
            document(RIGHT, key, key, Need::Nothing),
        ],
        // Another document's value of the unique index.
        7 => vec![
            document(RIGHT, key, key, Need::Nothing),
            document(LEFT, key, other, Need::Nothing),
        ],
        8 => (0..MANY)
            .map(|many| document(RIGHT, KEYS + many, many, Need::Nothing))
            .collect(),
        _ => COLLECTIONS
            .map(|collection| Step {
                collection,
                id: format!("{writer}/{key}"),
                need: Need::Nothing,
                document: None,
            })
            .to_vec(),
    };
    // The page cache outlives a killed process, so this level is held to the same.
    let durability = match writer % 3 {
        2 => Durability::Os,
        _ => Durability::Sync,
    };
    Op { steps, durability }
}

impl Op {
    /// The batch to commit.
    ///
    /// # Errors
    /// Only when the workload itself is wrong.
    pub fn batch(&self) -> orlop::Result<Batch> {
        let changes: orlop::Result<Vec<Change>> = self.steps.iter().map(Step::change).collect();
        Ok(Batch {
            changes: changes?,
            durability: self.durability,
            ..Batch::default()
        })
    }

    /// The same operation, acknowledged as this level says.
    #[must_use]
    pub fn with_durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Does it to `docs`, or leaves them as they are and says false: it must be refused.
    pub fn apply(&self, docs: &mut Docs) -> bool {
        let mut after = docs.clone();
        let applied = self.steps.iter().all(|step| step.apply(&mut after));
        if applied {
            *docs = after;
        }
        applied
    }
}

impl Step {
    fn change(&self) -> orlop::Result<Change> {
        let action = match &self.document {
            None => Action::Delete,
            Some(document) => Action::Put(Put {
                document: RawDocumentBuf::try_from(document)
                    .map_err(|error| orlop::Error::invalid(error.to_string()))?,
                keep: None,
            }),
        };
        let guard = match self.need {
            Need::Nothing => Guard::Any,
            Need::Absent => Guard::Absent,
            Need::At(n) => Guard::Matches(Expr::parse(&doc! { "n": n })?),
        };
        Ok(Change {
            collection: Arc::from(self.collection),
            id: Bson::String(self.id.clone()),
            guard,
            action,
        })
    }

    fn apply(&self, docs: &mut Docs) -> bool {
        let place = (self.collection.to_owned(), self.id.clone());
        let stored = docs.get(&place);
        let holds = match self.need {
            Need::Nothing => true,
            Need::Absent => stored.is_none(),
            Need::At(n) => stored.is_some_and(|stored| stored.get_i64("n").ok() == Some(n)),
        };
        let Some(document) = &self.document else {
            docs.remove(&place);
            return holds;
        };
        let email = document.get("email");
        let taken = self.collection == LEFT
            && docs.iter().any(|((collection, id), other)| {
                collection == LEFT && *id != self.id && other.get("email") == email
            });
        docs.insert(place, document.clone());
        holds && !taken
    }
}

//! What the caller's thread does for the committer: keys, compiled guards, packed bodies.

use std::sync::Arc;
use std::time::Instant;

use bson::Bson;

use crate::document::{Declaration, Revision};
use crate::engine::{Action, Batch, Change, Durability, Guard, Tag, Touch, Unmoved};
use crate::pack::{Body, Shape, keys};
use crate::query::{Matcher, Update};
use crate::{Error, Result};

/// Most changes in one batch.
pub(super) const CHANGES_MAX: usize = 10_000;
/// Most bytes of packed bodies in one batch: a group's frame in the log is held in memory.
const BATCH_BYTES_MAX: usize = 256 * 1024 * 1024;

/// A batch ready for the committer.
pub(super) struct Prepared {
    pub(super) changes: Vec<PreparedChange>,
    pub(super) touches: Vec<Touched>,
    pub(super) durability: Durability,
    pub(super) deadline: Option<Instant>,
    pub(super) origin: Option<Arc<str>>,
    pub(super) verbatim: bool,
    pub(super) unmoved: Option<Unmoved>,
}

/// One change ready for the committer.
pub(super) struct PreparedChange {
    pub(super) collection: Arc<str>,
    pub(super) id: Bson,
    pub(super) id_key: Vec<u8>,
    pub(super) guard: Test,
    pub(super) step: Step,
}

/// A compiled guard.
pub(super) enum Test {
    Any,
    Absent,
    Present,
    Revision(Revision),
    Matches(Box<Matcher>),
}

/// What a change does, ready to be done.
pub(super) enum Step {
    Put {
        packed: Vec<u8>,
        keep: Option<&'static Shape>,
    },
    Update {
        update: Arc<Update>,
        upsert: bool,
    },
    Delete,
    Truncate,
    Drop,
    Declare(Arc<Declaration>),
}

/// A clock to move.
pub(super) enum Touched {
    Tag(Tag),
    Whole(Tag),
    All,
}

/// Checks and prepares a batch.
///
/// # Errors
/// `Invalid`: an id that cannot be one, malformed BSON, a document or batch over its limit.
pub(super) fn prepare(batch: Batch) -> Result<Prepared> {
    if batch.changes.len() > CHANGES_MAX {
        return Err(Error::invalid(format!(
            "batch of {} changes is over the limit of {CHANGES_MAX}",
            batch.changes.len()
        )));
    }
    let mut bytes = 0;
    let mut changes = Vec::with_capacity(batch.changes.len());
    for change in batch.changes {
        let change = prepare_change(change)?;
        if let Step::Put { packed, .. } = &change.step {
            bytes += packed.len();
        }
        changes.push(change);
    }
    if bytes > BATCH_BYTES_MAX {
        return Err(Error::invalid(format!(
            "batch of {bytes} bytes is over the limit of {BATCH_BYTES_MAX}; write it in parts"
        )));
    }
    Ok(Prepared {
        changes,
        touches: batch.touches.iter().map(touched).collect::<Result<_>>()?,
        durability: batch.durability,
        deadline: batch.deadline,
        origin: batch.origin,
        verbatim: batch.verbatim,
        unmoved: batch.unmoved,
    })
}

/// The batch that declares a collection.
pub(super) fn prepare_declare(collection: &str, declaration: &Declaration) -> Result<Prepared> {
    check_name(collection)?;
    Ok(Prepared {
        changes: vec![PreparedChange {
            collection: collection.into(),
            id: Bson::Null,
            id_key: Vec::new(),
            guard: Test::Any,
            step: Step::Declare(Arc::new(declaration.clone())),
        }],
        touches: Vec::new(),
        durability: Durability::Sync,
        deadline: None,
        origin: None,
        verbatim: true,
        unmoved: None,
    })
}

fn prepare_change(change: Change) -> Result<PreparedChange> {
    check_name(&change.collection)?;
    let whole = matches!(change.action, Action::Truncate | Action::Drop);
    let id_key = match whole {
        true => Vec::new(),
        false => keys::encode_id(&change.id)
            .map_err(|error| error.context(format!("collection {}", change.collection)))?,
    };
    let guard = match change.guard {
        Guard::Any => Test::Any,
        Guard::Absent => Test::Absent,
        Guard::Present => Test::Present,
        Guard::Revision(revision) => Test::Revision(revision),
        Guard::Matches(filter) => {
            Test::Matches(Box::new(Matcher::at(&filter, bson::DateTime::now())?))
        }
    };
    let step = match change.action {
        Action::Put(put) => Step::Put {
            packed: Body::pack(&put.document, &change.id)
                .map_err(|error| error.context(format!("collection {}", change.collection)))?,
            keep: put.keep,
        },
        Action::Update { update, upsert } => {
            if update.paths().any(is_revision) {
                return Err(Error::invalid(
                    "an update may not touch _v: the store keeps it",
                ));
            }
            Step::Update { update, upsert }
        }
        Action::Delete => Step::Delete,
        Action::Truncate => Step::Truncate,
        Action::Drop => Step::Drop,
    };
    Ok(PreparedChange {
        collection: change.collection,
        id: change.id,
        id_key,
        guard,
        step,
    })
}

fn is_revision(path: &str) -> bool {
    path == "_v" || path.starts_with("_v.")
}

/// MongoDB's rules for a collection's name, and a length that fits every store.
fn check_name(name: &str) -> Result<()> {
    let fault = match name {
        "" => "is empty",
        name if name.len() > 200 => "is longer than 200 bytes",
        name if name.contains('\0') => "holds a NUL",
        name if name.contains('$') => "holds a $",
        name if name.starts_with("system.") => "begins with system.",
        name if name.starts_with('.') || name.ends_with('.') => "begins or ends with a dot",
        _ => return Ok(()),
    };
    Err(Error::invalid(format!("collection name {name:?} {fault}")))
}

fn touched(touch: &Touch) -> Result<Touched> {
    Ok(match touch {
        Touch::Document(collection, id) => {
            Touched::Tag(Tag::document(collection, &keys::encode_id(id)?))
        }
        Touch::Scope(collection, pins) => {
            let paths: Vec<String> = pins.iter().map(|(path, _)| path.clone()).collect();
            let mut values = Vec::new();
            for (_, value) in pins {
                keys::encode(&mut values, value);
            }
            Touched::Tag(Tag::scope(collection, &paths, &values))
        }
        Touch::Collection(collection) => Touched::Whole(Tag::collection(collection)),
        Touch::All => Touched::All,
    })
}

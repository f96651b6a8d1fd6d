//! `Idempotency-Key`: the same key, body and caller is answered as the first time, and nothing
//! changes again.
//!
//! The record of a key commits in the batch of its write, so either both happened or neither. The
//! answer itself is known only afterwards and is added to the record without waiting for the disk;
//! should the process die in between, a repeated request has its answer made anew from what the
//! record and the store say. Records expire after a day.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::StatusCode;
use bson::{Bson, Document, doc};
use orlop::document::{Declaration, Direction, IndexSpec, Policy};
use orlop::engine::{Action, Batch, Change, Durability, Guard, Put, Seq};
use orlop::{Orlop, Result};
use sha2::{Digest, Sha256};
use tokio::sync::OwnedMutexGuard;

use crate::answer::{self, Answer};
use crate::app::App;
use crate::call::Call;
use crate::problem::Problem;

/// Where records are kept.
pub(crate) const RECORDS: &str = "_orlop.idempotency";
/// How long a key is remembered.
const KEPT_SECONDS: u64 = 24 * 60 * 60;
const RACED: &str = "idempotency_raced";
const ATTEMPTS: usize = 8;

/// Keys whose request is under way in this process: a second one waits for the first.
#[derive(Debug, Default)]
pub(crate) struct InFlightKeys(Mutex<HashMap<Id, Arc<tokio::sync::Mutex<()>>>>);

type Id = [u8; 32];

/// Declares the collection of records.
///
/// # Errors
/// Those of declaring a collection.
pub(crate) async fn declare(db: &Orlop) -> Result<()> {
    let mut expiry = IndexSpec::on([("at", Direction::Ascending)]);
    expiry.expire_after_seconds = Some(KEPT_SECONDS);
    let declaration = Declaration {
        indexes: vec![expiry],
        policy: Policy {
            cache: orlop::document::CacheMode::Off,
            ttl_ms: None,
        },
        ..Declaration::default()
    };
    db.declare(RECORDS, &declaration).await.map(|_| ())
}

/// The record that a write puts into its batch; none for a write without a key.
#[derive(Debug, Clone, Default)]
pub(crate) struct Record {
    change: Option<Change>,
    /// What the write noted in the record that was found.
    note: Document,
}

impl Record {
    pub(crate) fn change(&self) -> Option<Change> {
        self.change.clone()
    }

    /// The same record with a note, for the case that the answer is lost.
    pub(crate) fn noting(&self, note: Document) -> Self {
        let mut record = self.clone();
        if let Some(Change {
            action: Action::Put(put),
            ..
        }) = &mut record.change
            && let Ok(note) = answer::raw(&note)
        {
            put.document.append(bson::cstr!("note"), note);
        }
        record
    }

    /// A whole number that the write noted.
    pub(crate) fn noted(&self, name: &str) -> i64 {
        self.note.get_i64(name).unwrap_or(0)
    }

    /// The id of a document the request makes, told by its key: a repeated request whose first
    /// answer was lost finds it again.
    pub(crate) fn new_id(&self) -> Bson {
        let Some(Bson::Binary(key)) = self.change.as_ref().map(|change| &change.id) else {
            return Bson::ObjectId(bson::oid::ObjectId::new());
        };
        let mut bytes = [0; 12];
        bytes.copy_from_slice(&key.bytes[..12]);
        Bson::ObjectId(bson::oid::ObjectId::from_bytes(bytes))
    }

    /// The error that starts the request over: another one with the same key was faster.
    pub(crate) fn raced(&self) -> Problem {
        Problem::new(
            StatusCode::CONFLICT,
            RACED,
            "another request with the same Idempotency-Key is under way",
        )
    }
}

/// Runs a write once for its key.
///
/// `write` commits with the record it is given. `again` makes the answer of a write that happened
/// at a commit but whose answer was lost.
///
/// # Errors
/// 422 when the key was used with another request; else those of `write`.
pub(crate) async fn run<W, WF, A, AF>(
    app: &App,
    call: &Call,
    body: &[u8],
    write: W,
    again: A,
) -> Result<Answer, Problem>
where
    W: Fn(Record) -> WF,
    WF: Future<Output = Result<Answer, Problem>> + Send,
    A: FnOnce(Seq, Record) -> AF,
    AF: Future<Output = Result<Answer, Problem>> + Send,
{
    let Some(key) = &call.key else {
        return write(Record::default()).await;
    };
    let id = digest(&[b"service", key.as_bytes()]);
    let print = digest(&[call.target.as_bytes(), body]);
    let _alone = app.keys.enter(id).await;
    for _ in 0..ATTEMPTS {
        let record = match look(app, id, print).await? {
            Seen::Answered(answer) => return Ok(answer),
            Seen::Written(seq, record) => return again(seq, record).await,
            Seen::Never(record) => record,
        };
        match write(record.clone()).await {
            Ok(answer) => {
                remember(app, id, print, &answer).await;
                return Ok(answer);
            }
            Err(problem) if problem.code() == RACED => (),
            Err(problem) => {
                if stands(problem.status()) {
                    let answer = Answer::of_problem(&problem, "");
                    remember(app, id, print, &answer).await;
                }
                return Err(problem);
            }
        }
    }
    Err(Record::default().raced().with_code("conflict"))
}

enum Seen {
    Answered(Answer),
    Written(Seq, Record),
    Never(Record),
}

async fn look(app: &App, id: Id, print: Id) -> Result<Seen, Problem> {
    let key = binary(id);
    let found = app
        .db
        .engine()
        .get_many(RECORDS, std::slice::from_ref(&key))
        .await?;
    let fresh = |guard| -> Result<Record, Problem> {
        let document = answer::raw(&record(id, print, None))?;
        let put = Action::Put(Put {
            document,
            keep: None,
        });
        let change = Change {
            collection: Arc::from(RECORDS),
            id: key.clone(),
            guard,
            action: put,
        };
        Ok(Record {
            change: Some(change),
            note: Document::new(),
        })
    };
    let Some(stored) = found.into_iter().next().flatten() else {
        return Ok(Seen::Never(fresh(Guard::Absent)?));
    };
    let document = Document::try_from(stored.body.raw())
        .map_err(|error| Problem::internal(error.to_string()))?;
    let at = document
        .get_datetime("at")
        .map_or(0, |at| at.timestamp_millis());
    let age_ms = bson::DateTime::now().timestamp_millis().saturating_sub(at);
    if age_ms > KEPT_SECONDS as i64 * 1000 {
        // Expired and not yet swept.
        return Ok(Seen::Never(fresh(Guard::Revision(stored.revision))?));
    }
    let same = document
        .get_binary_generic("print")
        .is_ok_and(|bytes| *bytes == print);
    if !same {
        return Err(Problem::rule(
            "this Idempotency-Key was used with another request; take a new key",
        ));
    }
    let answer = document.get_document("answer").ok();
    match answer.and_then(Answer::from_document) {
        Some(answer) => Ok(Seen::Answered(answer)),
        None => {
            let mut record = fresh(Guard::Any)?;
            record.note = document.get_document("note").cloned().unwrap_or_default();
            Ok(Seen::Written(stored.revision.0, record))
        }
    }
}

/// Adds the answer to the record. A failure is no harm: the answer is then made anew.
async fn remember(app: &App, id: Id, print: Id, answer: &Answer) {
    let Ok(document) = answer::raw(&record(id, print, Some(answer))) else {
        return;
    };
    let batch = Batch {
        changes: vec![Change {
            collection: Arc::from(RECORDS),
            id: binary(id),
            guard: Guard::Any,
            action: Action::Put(Put {
                document,
                keep: None,
            }),
        }],
        durability: Durability::Memory,
        ..Batch::default()
    };
    if let Err(error) = app.db.commit(batch).await {
        tracing::warn!(%error, "the answer of an idempotent write was not kept");
    }
}

/// Whether a failure is the answer to this request for good, not of this moment.
fn stands(status: StatusCode) -> bool {
    matches!(status.as_u16(), 404 | 409 | 412 | 422)
}

fn record(id: Id, print: Id, answer: Option<&Answer>) -> Document {
    let mut record = doc! {
        "_id": binary(id),
        "print": binary(print),
        "at": bson::DateTime::now(),
    };
    if let Some(answer) = answer {
        record.insert("answer", answer.to_document());
    }
    record
}

fn binary(bytes: Id) -> Bson {
    Bson::Binary(bson::Binary {
        subtype: bson::spec::BinarySubtype::Generic,
        bytes: bytes.to_vec(),
    })
}

fn digest(parts: &[&[u8]]) -> Id {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

impl InFlightKeys {
    async fn enter(&self, id: Id) -> OwnedMutexGuard<()> {
        let gate = {
            let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // Gates nobody waits at are let go here, so the map holds only what is under way.
            keys.retain(|_, gate| Arc::strong_count(gate) > 1);
            Arc::clone(keys.entry(id).or_default())
        };
        gate.lock_owned().await
    }
}

//! The reference: a real `mongod`, asked many cases a round trip.

use bson::raw::{RawDocument, RawDocumentBuf};
use bson::{Bson, Document, doc};
use orlop_check::servers::{Mongod, ServerError, Wire};

use super::answer::{Answer, show};
use super::case::{Kind, documents};

const DATABASE: &str = "differential";
const COLLECTION: &str = "c";

/// What `mongod` answers to cases.
pub(crate) struct Server {
    mongod: Mongod,
    wire: Wire,
}

impl Server {
    /// Starts one.
    pub(crate) fn start() -> Result<Self, ServerError> {
        let mongod = Mongod::start()?;
        let wire = mongod.wire()?;
        Ok(Self { mongod, wire })
    }

    /// One answer a case; all of one kind, and finds over the same documents.
    ///
    /// MongoDB 6.0.5 can be made to crash: by some projections, for one. Such a case is void.
    pub(crate) fn ask(
        &mut self,
        kind: Kind,
        cases: &[Document],
    ) -> Result<Vec<Answer>, ServerError> {
        if let Ok(answers) = self.try_ask(kind, cases) {
            return Ok(answers);
        }
        self.restart()?;
        cases
            .iter()
            .map(
                |case| match self.try_ask(kind, std::slice::from_ref(case)) {
                    Ok(answers) => Ok(answers.into_iter().next().unwrap_or(Answer::Void)),
                    Err(error) => {
                        eprintln!("mongod crashes ({error}): {}", show(case));
                        self.restart()?;
                        Ok(Answer::Void)
                    }
                },
            )
            .collect()
    }

    fn restart(&mut self) -> Result<(), ServerError> {
        self.mongod.restart()?;
        self.wire = self.mongod.wire()?;
        Ok(())
    }

    fn try_ask(&mut self, kind: Kind, cases: &[Document]) -> Result<Vec<Answer>, ServerError> {
        match kind {
            Kind::Find => self.find_all(cases),
            Kind::Update => self.update_all(cases),
        }
    }

    fn find_all(&mut self, cases: &[Document]) -> Result<Vec<Answer>, ServerError> {
        let Some(case) = cases.first() else {
            return Ok(Vec::new());
        };
        let mut commands = load(case);
        commands.extend(cases.iter().map(find));
        let mut replies = self.wire.run_all(DATABASE, &commands)?.into_iter();
        let loaded = replies.by_ref().take(2).all(|reply| is_clean(&reply));
        Ok(replies
            .map(|reply| if loaded { rows(&reply) } else { Answer::Void })
            .collect())
    }

    fn update_all(&mut self, cases: &[Document]) -> Result<Vec<Answer>, ServerError> {
        let commands: Vec<_> = cases.iter().flat_map(update).collect();
        let replies = self.wire.run_all(DATABASE, &commands)?;
        Ok(replies.chunks(4).map(updated).collect())
    }
}

/// Empties the collection and fills it with the documents of `case`.
fn load(case: &Document) -> Vec<Document> {
    let documents = documents(case).unwrap_or_default();
    let mut commands = vec![doc! { "delete": COLLECTION, "deletes": [{ "q": {}, "limit": 0 }] }];
    // An insert of nothing is refused; a ping keeps the count of replies.
    commands.push(if documents.is_empty() {
        doc! { "ping": 1 }
    } else {
        doc! { "insert": COLLECTION, "documents": documents }
    });
    commands
}

fn find(case: &Document) -> Document {
    let asked = case.get_document("find").cloned().unwrap_or_default();
    let mut sort = asked.get_document("sort").cloned().unwrap_or_default();
    // Ties are ours to decide: by `_id`. A sort that has it is complete.
    if !sort.contains_key("_id") {
        sort.insert("_id", 1);
    }
    let mut command = doc! { "find": COLLECTION, "batchSize": 1000, "singleBatch": true };
    for name in ["filter", "projection", "skip", "limit"] {
        if let Some(value) = asked.get(name) {
            command.insert(name, value.clone());
        }
    }
    command.insert("sort", sort);
    command
}

fn update(case: &Document) -> Vec<Document> {
    let asked = case.get_document("update").cloned().unwrap_or_default();
    let mut update = doc! {
        "q": asked.get("filter").cloned().unwrap_or(Bson::Null),
        "u": asked.get("update").cloned().unwrap_or(Bson::Null),
        // Of several matches the first by `_id` is changed, not whichever is found first.
        "hint": { "_id": 1 },
    };
    for name in ["arrayFilters", "upsert", "multi"] {
        if let Some(value) = asked.get(name) {
            update.insert(name, value.clone());
        }
    }
    let mut commands = load(case);
    commands.push(doc! { "update": COLLECTION, "updates": [update] });
    commands.push(
        doc! { "find": COLLECTION, "sort": { "_id": 1 }, "batchSize": 1000, "singleBatch": true },
    );
    commands
}

fn is_clean(reply: &RawDocument) -> bool {
    failure(reply).is_none()
}

/// Why a command, or one write of it, failed.
fn failure(reply: &RawDocument) -> Option<String> {
    if reply.get_f64("ok").is_ok_and(|ok| ok != 1.0) {
        return Some(reply.get_str("errmsg").unwrap_or_default().to_owned());
    }
    let errors = reply.get_array("writeErrors").ok()?;
    let first = errors.into_iter().next()?.ok()?;
    let first = first.as_document()?;
    Some(first.get_str("errmsg").unwrap_or_default().to_owned())
}

fn rows(reply: &RawDocument) -> Answer {
    match failure(reply) {
        Some(why) => Answer::Refused(why),
        None => Answer::Documents {
            counts: None,
            documents: batch(reply),
        },
    }
}

fn batch(reply: &RawDocument) -> Vec<RawDocumentBuf> {
    let cursor = reply.get_document("cursor").expect("a find has a cursor");
    let batch = cursor
        .get_array("firstBatch")
        .expect("a cursor has a batch");
    batch
        .into_iter()
        .map(|row| {
            let row = row.expect("a reply is BSON");
            row.as_document().expect("a row is a document").to_owned()
        })
        .collect()
}

/// The replies to emptying, filling, updating and reading.
fn updated(replies: &[RawDocumentBuf]) -> Answer {
    let [emptied, filled, updated, read] = replies else {
        return Answer::Void;
    };
    if !is_clean(emptied) || !is_clean(filled) {
        return Answer::Void;
    }
    if let Some(why) = failure(updated) {
        return Answer::Refused(why);
    }
    let count = |name| i64::from(updated.get_i32(name).unwrap_or_default());
    Answer::Documents {
        counts: Some((count("n"), count("nModified"))),
        documents: batch(read),
    }
}

//! Writes by filter: every document that matches, in one atomic batch.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use bson::Bson;
use futures_util::TryStreamExt as _;
use orlop::engine::{Action, Effect, Guard, Query, Seq, Stored};
use orlop::query::{Expr, Sort, Update};
use serde_json::json;

use crate::answer::Answer;
use crate::app::App;
use crate::call::{Call, Fields, Payload, check_collection};
use crate::ids;
use crate::once::{self, Record};
use crate::problem::Problem;
use crate::tokens;
use crate::writes::{self, ATTEMPTS, BATCH_CHANGES};

pub(super) async fn update(
    State(app): State<Arc<App>>,
    Path(collection): Path<String>,
    call: Call,
    payload: Payload,
) -> Result<Answer, Problem> {
    call.only(&[])?;
    check_collection(&collection)?;
    let mut fields = Fields::of(payload.document()?, "an update");
    let filter = Expr::parse(&fields.document("filter")?)?;
    let update = fields.need("update")?;
    let filters = fields.documents("arrayFilters")?;
    let upsert = fields.flag("upsert")?;
    let chunked = fields.flag("chunked")?;
    fields.end()?;
    let update = Arc::new(Update::parse(&update, &filters)?);
    let many = Many {
        collection: &collection,
        filter,
        action: Action::Update {
            update: Arc::clone(&update),
            upsert: false,
        },
        chunked,
    };
    let (app, call, many, update) = (&*app, &call, &many, &update);
    let write = |record: Record| async move {
        let done = many.write(app, call, &record).await?;
        let mut body = json!({ "matched": done.matched, "modified": done.modified });
        let mut seq = done.seq;
        if done.matched == 0 && upsert {
            let (id, at) = many.upsert(app, call, update, &record).await?;
            body["upserted"] = id;
            seq = Some(at);
        }
        body["seq"] = seq_token(app, seq).await.into();
        Ok(Answer::plain(StatusCode::OK, &body))
    };
    let again = |seq, record: Record| async move {
        let seq = seq_token(app, Some(seq)).await;
        let (matched, modified) = (record.noted("matched"), record.noted("matched"));
        let body = json!({ "matched": matched, "modified": modified, "seq": seq });
        Ok(Answer::plain(StatusCode::OK, &body))
    };
    once::run(app, call, &payload.bytes, write, again).await
}

pub(super) async fn delete(
    State(app): State<Arc<App>>,
    Path(collection): Path<String>,
    call: Call,
    payload: Payload,
) -> Result<Answer, Problem> {
    call.only(&[])?;
    check_collection(&collection)?;
    let mut fields = Fields::of(payload.document()?, "a delete");
    // Everything is deleted by saying so: {}.
    let filter = match fields.need("filter")? {
        Bson::Document(filter) => Expr::parse(&filter)?,
        _ => return Err(Problem::rule("filter is a document")),
    };
    let chunked = fields.flag("chunked")?;
    fields.end()?;
    let many = Many {
        collection: &collection,
        filter,
        action: Action::Delete,
        chunked,
    };
    let (app, call, many) = (&*app, &call, &many);
    let write = |record: Record| async move {
        let done = many.write(app, call, &record).await?;
        let seq = seq_token(app, done.seq).await;
        let body = json!({ "deleted": done.modified, "seq": seq });
        Ok(Answer::plain(StatusCode::OK, &body))
    };
    let again = |seq, record: Record| async move {
        let seq = seq_token(app, Some(seq)).await;
        let body = json!({ "deleted": record.noted("matched"), "seq": seq });
        Ok(Answer::plain(StatusCode::OK, &body))
    };
    once::run(app, call, &payload.bytes, write, again).await
}

struct Many<'a> {
    collection: &'a str,
    filter: Expr,
    action: Action,
    chunked: bool,
}

#[derive(Default)]
struct Done {
    matched: usize,
    modified: usize,
    seq: Option<Seq>,
}

impl Many<'_> {
    /// Writes what matches. The filter is each change's guard, so that the batch does what it would
    /// do at its own instant; when somebody was faster, what matches is read again.
    async fn write(&self, app: &App, call: &Call, record: &Record) -> Result<Done, Problem> {
        let mut done = Done::default();
        let mut after = None;
        let mut attempt = 1;
        loop {
            let mut rows = self.matching(app, after.clone()).await?;
            let more = rows.len() > BATCH_CHANGES;
            if more && !self.chunked {
                return Err(Problem::rule(format!(
                    "the filter matches more than {BATCH_CHANGES} documents; send \"chunked\": true \
                     to write them in several batches, each atomic and not the whole"
                )));
            }
            rows.truncate(BATCH_CHANGES);
            let Some(last) = rows.last() else {
                return self.nothing(app, call, record, done).await;
            };
            let last = last.body.id()?;
            let none = Record::default();
            let with = if more { &none } else { record };
            match self.batch(app, call, rows, with, &mut done).await {
                Err(problem) if !problem.refusals().is_empty() && attempt < ATTEMPTS => {
                    attempt += 1
                }
                Err(problem) => return Err(problem),
                Ok(()) if more => after = Some(vec![last]),
                Ok(()) => return Ok(done),
            }
        }
    }

    async fn batch(
        &self,
        app: &App,
        call: &Call,
        rows: Vec<Stored>,
        record: &Record,
        done: &mut Done,
    ) -> Result<(), Problem> {
        let matched = rows.len();
        let mut changes = Vec::with_capacity(matched);
        for row in rows {
            let guard = Guard::Matches(self.filter.clone());
            let id = row.body.id()?;
            changes.push(writes::change(
                self.collection,
                id,
                guard,
                self.action.clone(),
            ));
        }
        let record = record.noting(bson::doc! { "matched": (done.matched + matched) as i64 });
        let commit = writes::commit(app, call, changes, &record).await?;
        let moved = |effect| matches!(effect, Effect::Updated | Effect::Deleted);
        done.matched += matched;
        done.modified += commit
            .applied
            .iter()
            .filter(|one| moved(one.effect))
            .count();
        done.seq = Some(commit.seq);
        Ok(())
    }

    /// Nothing matches (any more): the record of the key is all there is to commit.
    async fn nothing(
        &self,
        app: &App,
        call: &Call,
        record: &Record,
        mut done: Done,
    ) -> Result<Done, Problem> {
        let upserts = matches!(&self.action, Action::Update { .. }) && done.matched == 0;
        if record.change().is_some() && !upserts {
            done.seq = Some(writes::commit(app, call, Vec::new(), record).await?.seq);
        }
        Ok(done)
    }

    /// What matches now, in order of id; one more than a batch takes.
    async fn matching(&self, app: &App, after: Option<Vec<Bson>>) -> Result<Vec<Stored>, Problem> {
        let query = Query {
            collection: Arc::from(self.collection),
            filter: self.filter.clone(),
            sort: Sort::default(),
            projection: None,
            skip: 0,
            limit: Some(BATCH_CHANGES as u64 + 1),
            after,
        };
        let rows = app.db.engine().query(query).await?;
        Ok(rows.try_collect().await?)
    }

    /// Creates the document that the filter's equalities and the update make.
    async fn upsert(
        &self,
        app: &App,
        call: &Call,
        update: &Update,
        record: &Record,
    ) -> Result<(serde_json::Value, Seq), Problem> {
        let made = update.insert(None, &self.filter, bson::DateTime::now())?;
        let mut document = bson::Document::try_from(made.as_ref())
            .map_err(|error| Problem::internal(error.to_string()))?;
        let id = match document.get("_id") {
            Some(id) => id.clone(),
            None => {
                let id = record.new_id();
                document.insert("_id", id.clone());
                id
            }
        };
        ids::check(&id)?;
        let change = writes::change(
            self.collection,
            id.clone(),
            Guard::Absent,
            writes::put(&document)?,
        );
        let commit = writes::commit(app, call, vec![change], record).await?;
        let raw = bson::raw::RawBson::try_from(id)
            .map_err(|error| Problem::internal(error.to_string()))?;
        let mut text = Vec::new();
        crate::ejson::write_value(&mut text, raw.as_raw_bson_ref(), call.style)?;
        let id =
            serde_json::from_slice(&text).map_err(|error| Problem::internal(error.to_string()))?;
        Ok((id, commit.seq))
    }
}

/// The commit, or the store's state when there was nothing to commit.
async fn seq_token(app: &App, seq: Option<Seq>) -> String {
    let seq = match seq {
        Some(seq) => seq,
        None => app.seq().await,
    };
    tokens::seq(app.incarnation(), seq)
}

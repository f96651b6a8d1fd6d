//! Guarded changes to several documents, all or none.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use bson::{Bson, Document};
use orlop::document::Revision;
use orlop::engine::{Action, Change, Guard};
use orlop::query::{Expr, Update};
use serde_json::json;

use super::document::same_id;
use crate::answer::Answer;
use crate::app::App;
use crate::call::{Call, Fields, Payload, check_collection};
use crate::ids;
use crate::once::{self, Record};
use crate::problem::Problem;
use crate::tokens;
use crate::writes::{self, BATCH_CHANGES};

pub(super) async fn post(
    State(app): State<Arc<App>>,
    call: Call,
    payload: Payload,
) -> Result<Answer, Problem> {
    call.only(&[])?;
    let mut fields = Fields::of(payload.document()?, "a commit");
    let changes = fields.documents("changes")?;
    fields.end()?;
    if changes.is_empty() {
        return Err(Problem::rule("changes holds one change at least"));
    }
    if changes.len() > BATCH_CHANGES {
        return Err(Problem::rule(format!(
            "{} changes are over the limit of {BATCH_CHANGES}",
            changes.len()
        )));
    }
    let changes: Vec<Change> = changes
        .into_iter()
        .enumerate()
        .map(|(position, form)| change(form).map_err(|problem| problem.at(position)))
        .collect::<Result<_, _>>()?;
    let (app, call, changes) = (&*app, &call, &changes);
    let write = |record: Record| async move {
        let commit = writes::commit(app, call, changes.clone(), &record).await?;
        let revisions = commit.applied.iter().map(|one| one.revision);
        Ok(told(app, commit.seq, revisions.collect()))
    };
    let again = |seq, _| async move {
        let mut revisions = Vec::with_capacity(changes.len());
        for change in changes {
            // What was changed again since is told at this commit, what was not at its own.
            let stored = writes::revision(app, &change.collection, &change.id).await?;
            let deleted = matches!(change.action, Action::Delete);
            let at = stored.map_or(Revision(seq), |stored| stored.min(Revision(seq)));
            revisions.push((!deleted).then_some(at));
        }
        Ok(told(app, seq, revisions))
    };
    once::run(app, call, &payload.bytes, write, again).await
}

fn told(app: &App, seq: u64, revisions: Vec<Option<Revision>>) -> Answer {
    let revisions: Vec<Option<u64>> = revisions
        .into_iter()
        .map(|revision| revision.map(|revision| revision.0))
        .collect();
    let body = json!({ "seq": tokens::seq(app.incarnation(), seq), "revisions": revisions });
    Answer::plain(StatusCode::OK, &body)
}

fn change(form: Document) -> Result<Change, Problem> {
    let mut fields = Fields::of(form, "a change");
    let collection = match fields.need("collection")? {
        Bson::String(name) => name,
        _ => return Err(Problem::rule("collection is a string")),
    };
    check_collection(&collection)?;
    let guard = guard(fields.take("guard"))?;
    let asked = fields.take("id");
    let mut actions = Vec::new();
    let mut own_id = None;
    match fields.take("put") {
        None => (),
        Some(Bson::Document(mut document)) => {
            match (&asked, document.get("_id")) {
                (Some(id), None) => {
                    document.insert("_id", id.clone());
                }
                (Some(id), Some(own)) if !same_id(id, own) => {
                    return Err(Problem::rule(
                        "the put document's _id is another one than id",
                    ));
                }
                (_, own) => own_id = own.cloned(),
            }
            actions.push(writes::put(&document)?);
        }
        Some(_) => return Err(Problem::rule("put is a document")),
    }
    let filters = fields.documents("arrayFilters")?;
    let upsert = fields.flag("upsert")?;
    if let Some(update) = fields.take("update") {
        let update = Arc::new(Update::parse(&update, &filters)?);
        actions.push(Action::Update { update, upsert });
    }
    if fields.flag("delete")? {
        actions.push(Action::Delete);
    }
    fields.end()?;
    let (Some(action), true) = (actions.pop(), actions.is_empty()) else {
        return Err(Problem::rule(
            "a change has one of put, update and \"delete\": true",
        ));
    };
    let id = asked.or(own_id);
    let id = id.ok_or_else(|| Problem::rule("a change needs the field \"id\""))?;
    ids::check(&id)?;
    Ok(writes::change(&collection, id, guard, action))
}

fn guard(form: Option<Bson>) -> Result<Guard, Problem> {
    let refused = || {
        Problem::rule(
            "guard is \"any\", \"absent\", \"present\", {\"revision\": n} or {\"matches\": {filter}}",
        )
    };
    match form {
        None | Some(Bson::Null) => Ok(Guard::Any),
        Some(Bson::String(word)) => match word.as_str() {
            "any" => Ok(Guard::Any),
            "absent" => Ok(Guard::Absent),
            "present" => Ok(Guard::Present),
            _ => Err(refused()),
        },
        Some(Bson::Document(form)) if form.len() == 1 => {
            let mut fields = Fields::of(form, "a guard");
            if let Some(revision) = fields.number("revision")? {
                return Ok(Guard::Revision(Revision(revision)));
            }
            match fields.take("matches") {
                Some(Bson::Document(filter)) => Ok(Guard::Matches(Expr::parse(&filter)?)),
                _ => Err(refused()),
            }
        }
        Some(_) => Err(refused()),
    }
}

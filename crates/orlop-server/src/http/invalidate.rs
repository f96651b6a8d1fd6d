//! Moving clocks: what is cached of a document, a scope or a collection is not used again.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use bson::Bson;
use orlop::engine::{Batch, Durability, Touch};
use orlop::query::{Expr, Pred};

use crate::answer::Answer;
use crate::app::App;
use crate::call::{Call, Fields, Payload, check_collection};
use crate::ids;
use crate::problem::Problem;

pub(super) async fn post(
    State(app): State<Arc<App>>,
    Path(collection): Path<String>,
    call: Call,
    payload: Payload,
) -> Result<Answer, Problem> {
    call.only(&[])?;
    check_collection(&collection)?;
    let mut fields = Fields::of(payload.optional()?, "an invalidation");
    let (id, filter) = (fields.take("id"), fields.take("filter"));
    fields.end()?;
    let name: Arc<str> = Arc::from(collection.as_str());
    let touches = match (id, filter) {
        (None, None) => vec![Touch::Collection(name)],
        (Some(id), None) => {
            ids::check(&id)?;
            vec![Touch::Document(name, id)]
        }
        (None, Some(Bson::Document(filter))) => {
            let scopes = &app.declaration(&collection).scopes;
            let pinned = pinned(&Expr::parse(&filter)?, scopes)?;
            let touch = |values| Touch::Scope(Arc::clone(&name), values);
            pinned.into_iter().map(touch).collect()
        }
        _ => return Err(Problem::rule("send {}, {\"id\"} or {\"filter\": {..}}")),
    };
    // Doing it twice is doing it once, so a key needs no record.
    let batch = Batch {
        touches,
        durability: Durability::Memory,
        deadline: Some(call.ticket.deadline()),
        ..Batch::default()
    };
    app.db.commit(batch).await?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

/// Paths with their values.
type Pinned = Vec<(String, Bson)>;

/// Every declared scope that the filter pins by equality, with its values.
fn pinned(filter: &Expr, scopes: &[Vec<String>]) -> Result<Vec<Pinned>, Problem> {
    let mut equal = Vec::new();
    equalities(filter, &mut equal);
    let values = |scope: &Vec<String>| -> Option<Pinned> {
        let value = |path: &String| {
            let found = equal.iter().find(|(name, _)| name == path);
            found.map(|(_, value)| (path.clone(), (*value).clone()))
        };
        scope.iter().map(value).collect()
    };
    let found: Vec<Pinned> = scopes.iter().filter_map(values).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let scopes: Vec<String> = scopes.iter().map(|scope| scope.join("+")).collect();
    Err(Problem::rule(match scopes.is_empty() {
        true => "the collection declares no scope; send {} or {\"id\"}".to_owned(),
        false => format!(
            "the filter pins no declared scope by equality; there are {}",
            scopes.join(", ")
        ),
    }))
}

fn equalities<'a>(filter: &'a Expr, found: &mut Vec<(&'a str, &'a Bson)>) {
    match filter {
        Expr::And(all) => all.iter().for_each(|one| equalities(one, found)),
        Expr::Field(path, Pred::Eq(value)) => found.push((path, value)),
        _ => (),
    }
}

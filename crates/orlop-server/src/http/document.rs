//! One document by its id.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bson::{Bson, Document};
use bytes::Bytes;
use orlop::Result as StoreResult;
use orlop::document::Revision;
use orlop::engine::{Action, Applied, Effect, Guard, Seq};
use orlop::pack::Body;
use orlop::query::{Update, merge_patch};

use super::served;
use crate::answer::{Answer, media_type};
use crate::app::App;
use crate::call::{Call, Fields, Media, Payload, Tags, check_collection, etag};
use crate::ejson::{self, Hide, Style};
use crate::ids;
use crate::once::{self, Record};
use crate::problem::Problem;
use crate::writes::{self, as_missing, as_precondition, no_document};

/// Parameters of every route of one document.
const PARAMS: &[&str] = &["includeRevision", "includeSensitive"];

/// A document's answer bytes in the relaxed form, as the cache keeps them.
struct Relaxed(Bytes);
/// The same in the canonical form.
struct Canonical(Bytes);

pub(super) async fn get(
    State(app): State<Arc<App>>,
    Path((collection, id)): Path<(String, String)>,
    call: Call,
) -> Result<Response, Problem> {
    call.only(PARAMS)?;
    check_collection(&collection)?;
    let id = path_id(&id)?;
    let mut hide = call.hide(&app, &collection, call.flag("includeSensitive")?);
    hide.revision = !call.flag("includeRevision")?;
    let cache = app.db.cache();
    let space = cache.space(&collection);
    // Answers that leave nothing out but the revision are the same for everyone: the cache keeps
    // their bytes. The others are written anew from the cached document.
    let common = hide.revision && hide.paths.is_empty();
    let (found, served) = match (common, call.style) {
        (true, Style::Relaxed) => {
            let (found, served) = cache.get::<Relaxed>(&space, &id, relaxed).served().await?;
            (found.map(|doc| (doc.revision(), doc.0.clone())), served)
        }
        (true, Style::Canonical) => {
            let (found, served) = cache
                .get::<Canonical>(&space, &id, canonical)
                .served()
                .await?;
            (found.map(|doc| (doc.revision(), doc.0.clone())), served)
        }
        (false, style) => {
            let (found, served) = cache.get::<Body>(&space, &id, itself).served().await?;
            let written = found.map(|doc| -> Result<_, Problem> {
                let mut out = Vec::new();
                ejson::write_document(&mut out, doc.raw(), style, &hide)?;
                Ok((doc.revision(), Bytes::from(out)))
            });
            (written.transpose()?, served)
        }
    };
    let Some((revision, body)) = found else {
        let problem = no_document(&collection);
        return Ok(served::mark(problem.into_response(), served));
    };
    let unchanged = call.if_none_match.as_ref().is_some_and(|tags| {
        *tags == Tags::Any
            || tags.names(&etag(revision))
            || tags.names(&format!("W/{}", etag(revision)))
    });
    let mut response = match unchanged {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => {
            let kind = HeaderValue::from_static(media_type(call.style));
            ([(header::CONTENT_TYPE, kind)], body).into_response()
        }
    };
    if let Ok(tag) = HeaderValue::from_str(&etag(revision)) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    Ok(served::mark(response, served))
}

fn relaxed(body: &Body) -> StoreResult<Relaxed> {
    written(body, Style::Relaxed).map(Relaxed)
}

fn canonical(body: &Body) -> StoreResult<Canonical> {
    written(body, Style::Canonical).map(Canonical)
}

fn itself(body: &Body) -> StoreResult<Body> {
    Ok(body.clone())
}

fn written(body: &Body, style: Style) -> StoreResult<Bytes> {
    let hide = Hide {
        revision: true,
        paths: Vec::new(),
    };
    let mut out = Vec::with_capacity(body.bytes().len() * 2);
    ejson::write_document(&mut out, body.raw(), style, &hide)?;
    out.shrink_to_fit();
    Ok(out.into())
}

pub(super) async fn put(
    State(app): State<Arc<App>>,
    Path((collection, id)): Path<(String, String)>,
    call: Call,
    payload: Payload,
) -> Result<Answer, Problem> {
    let target = Target::of(&app, &call, &collection, &id)?;
    let mut document = payload.document()?;
    target.own_id(&mut document)?;
    let (app, call, target, document) = (&*app, &call, &target, &document);
    let write = |record: Record| async move {
        let asked = writes::precondition(app, call, &target.collection, &target.id).await?;
        let conditional = asked.is_some();
        let guard = asked.unwrap_or(Guard::Any);
        let action = writes::put(document)?;
        let applied = target.write(app, call, guard, action, &record).await;
        let applied = applied.map_err(|problem| match conditional {
            true => as_precondition(problem),
            false => problem,
        })?;
        target.answer(call, applied)
    };
    let again = |seq, _| async move { target.again(app, call, seq).await };
    once::run(app, call, &payload.bytes, write, again).await
}

pub(super) async fn patch(
    State(app): State<Arc<App>>,
    Path((collection, id)): Path<(String, String)>,
    call: Call,
    payload: Payload,
) -> Result<Answer, Problem> {
    let target = Target::of(&app, &call, &collection, &id)?;
    let patch = Patch::read(&payload, &target)?;
    let (app, call, target, patch) = (&*app, &call, &target, &patch);
    let write = |record: Record| async move {
        let asked = writes::precondition(app, call, &target.collection, &target.id).await?;
        let conditional = asked.is_some();
        let applied = match patch {
            Patch::Update(update) => {
                let guard = asked.unwrap_or(Guard::Present);
                let action = Action::Update {
                    update: Arc::clone(update),
                    upsert: false,
                };
                target.write(app, call, guard, action, &record).await
            }
            Patch::Merge(patch) => target.merge(app, call, asked, patch, &record).await,
        };
        let applied = applied.map_err(|problem| match conditional {
            true => as_precondition(problem),
            false => as_missing(problem, &target.collection),
        })?;
        match applied.effect {
            Effect::Missing => Err(no_document(&target.collection)),
            _ => target.answer(call, applied),
        }
    };
    let again = |seq, _| async move { target.again(app, call, seq).await };
    once::run(app, call, &payload.bytes, write, again).await
}

pub(super) async fn delete(
    State(app): State<Arc<App>>,
    Path((collection, id)): Path<(String, String)>,
    call: Call,
) -> Result<Answer, Problem> {
    let target = Target::of(&app, &call, &collection, &id)?;
    let (app, call, target) = (&*app, &call, &target);
    let write = |record: Record| async move {
        let asked = writes::precondition(app, call, &target.collection, &target.id).await?;
        let conditional = asked.is_some();
        let guard = asked.unwrap_or(Guard::Present);
        let applied = target
            .write(app, call, guard, Action::Delete, &record)
            .await;
        let applied = applied.map_err(|problem| match conditional {
            true => as_precondition(problem),
            false => as_missing(problem, &target.collection),
        })?;
        match applied.effect {
            Effect::Missing => Err(no_document(&target.collection)),
            _ => Ok(Answer::empty(StatusCode::NO_CONTENT)),
        }
    };
    let again = |_, _| async { Ok(Answer::empty(StatusCode::NO_CONTENT)) };
    once::run(app, call, b"", write, again).await
}

/// The document a write is about, and what its answer leaves out.
struct Target {
    collection: String,
    id: Bson,
    hide: Hide,
}

impl Target {
    fn of(app: &App, call: &Call, collection: &str, id: &str) -> Result<Self, Problem> {
        call.only(PARAMS)?;
        check_collection(collection)?;
        let mut hide = call.hide(app, collection, call.flag("includeSensitive")?);
        hide.revision = !call.flag("includeRevision")?;
        Ok(Self {
            collection: collection.to_owned(),
            id: path_id(id)?,
            hide,
        })
    }

    /// Gives the document the id of the path; refuses another one.
    fn own_id(&self, document: &mut Document) -> Result<(), Problem> {
        match document.get("_id") {
            None => {
                document.insert("_id", self.id.clone());
                Ok(())
            }
            Some(id) if same_id(id, &self.id) => Ok(()),
            Some(_) => Err(Problem::rule(
                "the document's _id is another one than the path's",
            )),
        }
    }

    async fn write(
        &self,
        app: &App,
        call: &Call,
        guard: Guard,
        action: Action,
        record: &Record,
    ) -> Result<Applied, Problem> {
        let change = writes::change(&self.collection, self.id.clone(), guard, action);
        writes::only(writes::commit(app, call, vec![change], record).await?)
    }

    /// Reads, merges and writes back, guarded by what was read; again when somebody was faster.
    async fn merge(
        &self,
        app: &App,
        call: &Call,
        asked: Option<Guard>,
        patch: &Document,
        record: &Record,
    ) -> Result<Applied, Problem> {
        let mut attempt = 1;
        loop {
            let Some((revision, document)) = self.stored(app).await? else {
                // The guard that was asked for, if any, says how the absence is told.
                let guard = asked.unwrap_or(Guard::Present);
                return self.write(app, call, guard, Action::Delete, record).await;
            };
            let document = merge_patch(&document, patch);
            let guard = match &asked {
                Some(Guard::Revision(wanted)) => Guard::Revision(*wanted),
                Some(Guard::Absent) => Guard::Absent,
                _ => Guard::Revision(revision),
            };
            let moved = matches!(guard, Guard::Revision(wanted) if wanted == revision);
            let action = writes::put(&document)?;
            match self.write(app, call, guard, action, record).await {
                Err(problem)
                    if moved && !problem.refusals().is_empty() && attempt < writes::ATTEMPTS =>
                {
                    attempt += 1;
                }
                outcome => return outcome,
            }
        }
    }

    async fn stored(&self, app: &App) -> Result<Option<(Revision, Document)>, Problem> {
        let ids = std::slice::from_ref(&self.id);
        let found = app.db.engine().get_many(&self.collection, ids).await?;
        let Some(stored) = found.into_iter().next().flatten() else {
            return Ok(None);
        };
        let document = Document::try_from(stored.body.raw())
            .map_err(|error| Problem::internal(error.to_string()))?;
        Ok(Some((stored.revision, document)))
    }

    fn answer(&self, call: &Call, applied: Applied) -> Result<Answer, Problem> {
        let status = match applied.effect {
            Effect::Inserted => StatusCode::CREATED,
            _ => StatusCode::OK,
        };
        let revision = applied.revision.unwrap_or_default();
        let answer = match &applied.document {
            Some(body) => Answer::stored(status, body, call.style, &self.hide)?,
            None => Answer::empty(status),
        };
        Ok(answer.with(header::ETAG, etag(revision)))
    }

    /// The answer of a write whose first answer was lost: what is stored now.
    async fn again(&self, app: &App, call: &Call, seq: Seq) -> Result<Answer, Problem> {
        let ids = std::slice::from_ref(&self.id);
        let found = app.db.engine().get_many(&self.collection, ids).await?;
        match found.into_iter().next().flatten() {
            Some(stored) => {
                let answer = Answer::stored(StatusCode::OK, &stored.body, call.style, &self.hide)?;
                Ok(answer.with(header::ETAG, etag(stored.revision)))
            }
            None => Ok(Answer::empty(StatusCode::OK).with(header::ETAG, etag(Revision(seq)))),
        }
    }
}

enum Patch {
    Merge(Document),
    Update(Arc<Update>),
}

impl Patch {
    fn read(payload: &Payload, target: &Target) -> Result<Self, Problem> {
        let mut document = payload.document()?;
        if payload.media == Media::MergePatch {
            let id = document.remove("_id");
            if id.is_some_and(|id| !same_id(&id, &target.id)) {
                return Err(Problem::rule("a patch does not change _id"));
            }
            document.remove("_v");
            return Ok(Self::Merge(document));
        }
        let mut fields = Fields::of(document, "a patch in JSON");
        let update = fields.need("update").map_err(|_| {
            Problem::rule(
                "a patch in JSON is {\"update\": {\"$set\": ..}}; for a merge patch send \
                 Content-Type: application/merge-patch+json",
            )
        })?;
        let filters = fields.documents("arrayFilters")?;
        fields.end()?;
        Ok(Self::Update(Arc::new(Update::parse(&update, &filters)?)))
    }
}

fn path_id(id: &str) -> Result<Bson, Problem> {
    ids::read(id).map_err(|error| Problem::unparsable(error.message()))
}

/// 1, 1.0 and a 64-bit 1 are one id.
pub(super) fn same_id(a: &Bson, b: &Bson) -> bool {
    match (
        orlop::pack::keys::encode_id(a),
        orlop::pack::keys::encode_id(b),
    ) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    }
}

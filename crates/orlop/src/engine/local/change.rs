//! What one change makes of one document. Pure.

use bson::{Bson, RawDocumentBuf};

use super::prepare::{Step, Test};
use crate::document::{Declaration, Revision};
use crate::engine::Effect;
use crate::pack::{Body, merge};
use crate::query::Updated;
use crate::{Refusal, RefusalReason, Result};

/// Why a guard refused, and the stored revision.
pub(super) type Refused = (RefusalReason, Option<Revision>);

/// What a change starts from.
pub(super) struct Images<'a> {
    pub(super) before: Option<&'a Body>,
    /// Which array element the guard's filter matched, for positional updates.
    pub(super) matched: Option<usize>,
    pub(super) now: bson::DateTime,
    /// Timestamps and defaults to apply; none for a verbatim batch.
    pub(super) declaration: Option<&'a Declaration>,
}

/// What a change ends in: a packed body to store, or none.
pub(super) struct After {
    pub(super) effect: Effect,
    pub(super) packed: Option<Vec<u8>>,
}

/// Tests a guard; gives the array position its filter matched at.
pub(super) fn test(guard: &Test, before: Option<&Body>) -> Result<Result<Option<usize>, Refused>> {
    let stored = before.and_then(Body::revision);
    let refuse = |reason| Ok(Err((reason, stored)));
    match (guard, before) {
        (Test::Any, _) | (Test::Absent, None) | (Test::Present, Some(_)) => Ok(Ok(None)),
        (Test::Absent, Some(_)) => refuse(RefusalReason::Exists),
        (Test::Present | Test::Revision(_) | Test::Matches(_), None) => {
            refuse(RefusalReason::Missing)
        }
        (Test::Revision(expected), Some(_)) if stored == Some(*expected) => Ok(Ok(None)),
        (Test::Revision(_), Some(_)) => refuse(RefusalReason::Revision),
        (Test::Matches(matcher), Some(body)) => match matcher.matches_at(body.raw())? {
            Some(matched) => Ok(Ok(matched.position)),
            None => refuse(RefusalReason::Condition),
        },
    }
}

/// What the step makes of the images.
pub(super) fn after(id: &Bson, step: Step, images: &Images<'_>) -> Result<After> {
    match step {
        Step::Put { packed, keep } => put(id, packed, keep, images),
        Step::Update { update, upsert } => match images.before {
            Some(before) => match update.apply(before.raw(), images.matched, images.now)? {
                Updated::Unchanged => Ok(nothing(Effect::Unchanged)),
                Updated::Changed(document) => {
                    Ok(stored(Effect::Updated, finish(id, document, images)?))
                }
            },
            None if upsert => {
                let document = update.insert(Some(id), &crate::query::Expr::All, images.now)?;
                Ok(stored(Effect::Inserted, finish(id, document, images)?))
            }
            None => Ok(nothing(Effect::Missing)),
        },
        Step::Delete if images.before.is_some() => Ok(nothing(Effect::Deleted)),
        Step::Delete => Ok(nothing(Effect::Missing)),
        Step::Truncate | Step::Drop | Step::Declare(_) => Ok(nothing(Effect::Collection)),
    }
}

fn put(
    id: &Bson,
    packed: Vec<u8>,
    keep: Option<&'static crate::pack::Shape>,
    images: &Images<'_>,
) -> Result<After> {
    let effect = match images.before {
        Some(_) => Effect::Updated,
        None => Effect::Inserted,
    };
    let merged = match (images.before, keep) {
        (Some(before), Some(shape)) => {
            let new = bson::RawDocument::from_bytes(&packed)
                .map_err(|error| crate::Error::invalid(format!("malformed document: {error}")))?;
            Some(merge(before.raw(), new, shape)?)
        }
        _ => None,
    };
    if merged.is_none() && images.declaration.is_none_or(|rules| !moves_fields(rules)) {
        return Ok(stored(effect, packed));
    }
    let document = match merged {
        Some(document) => document,
        None => RawDocumentBuf::from_bytes(packed)
            .map_err(|error| crate::Error::invalid(format!("malformed document: {error}")))?,
    };
    Ok(stored(effect, finish(id, document, images)?))
}

fn moves_fields(rules: &Declaration) -> bool {
    rules.timestamps.is_some() || !rules.defaults.is_empty()
}

/// Applies timestamps and defaults, and packs.
fn finish(id: &Bson, document: RawDocumentBuf, images: &Images<'_>) -> Result<Vec<u8>> {
    let Some(rules) = images.declaration.filter(|rules| moves_fields(rules)) else {
        return Body::pack(&document, id);
    };
    let mut document = bson::Document::try_from(document)
        .map_err(|error| crate::Error::invalid(format!("malformed document: {error}")))?;
    if images.before.is_none() {
        fill_defaults(&mut document, &rules.defaults, images.now);
    }
    stamp(&mut document, rules, images)?;
    let document = RawDocumentBuf::try_from(&document)
        .map_err(|error| crate::Error::invalid(format!("malformed document: {error}")))?;
    Body::pack(&document, id)
}

/// Creation keeps the instants it is given; a later write keeps the creation's and moves the other.
fn stamp(document: &mut bson::Document, rules: &Declaration, images: &Images<'_>) -> Result<()> {
    let Some(timestamps) = &rules.timestamps else {
        return Ok(());
    };
    let now = Bson::DateTime(images.now);
    if let Some(name) = &timestamps.created {
        let created = match images.before.map(|before| before.raw().get(name)) {
            Some(Ok(Some(created))) => Bson::try_from(created).ok(),
            // A stored document that never had one is not given an invented one.
            Some(_) => None,
            None => Some(now.clone()),
        };
        if let (false, Some(created)) = (document.contains_key(name), created) {
            document.insert(name, created);
        }
    }
    if let Some(name) = &timestamps.updated
        && (images.before.is_some() || !document.contains_key(name))
    {
        document.insert(name, now);
    }
    Ok(())
}

/// Gives a created document the declared values it lacks. `"$$NOW"` is the instant of the commit.
fn fill_defaults(document: &mut bson::Document, defaults: &bson::Document, now: bson::DateTime) {
    for (path, value) in defaults {
        let value = match value {
            Bson::String(text) if text == "$$NOW" => Bson::DateTime(now),
            value => value.clone(),
        };
        fill(document, path, value);
    }
}

fn fill(document: &mut bson::Document, path: &str, value: Bson) {
    match path.split_once('.') {
        None => {
            if !document.contains_key(path) {
                document.insert(path, value);
            }
        }
        Some((head, rest)) => {
            if !document.contains_key(head) {
                document.insert(head, bson::Document::new());
            }
            if let Some(Bson::Document(inner)) = document.get_mut(head) {
                fill(inner, rest, value);
            }
        }
    }
}

fn stored(effect: Effect, packed: Vec<u8>) -> After {
    After {
        effect,
        packed: Some(packed),
    }
}

fn nothing(effect: Effect) -> After {
    After {
        effect,
        packed: None,
    }
}

/// A sentence on what was refused, with counts and revisions, never contents.
pub(super) fn conflict_message(refused: &[Refusal]) -> String {
    let first = refused.first().expect("a conflict has a refusal");
    let why = match (first.reason, first.stored) {
        (RefusalReason::Missing, _) => "there is no such document".to_owned(),
        (RefusalReason::Exists, _) => "the document is there already".to_owned(),
        (RefusalReason::Revision, Some(stored)) => {
            format!("the document is at revision {stored}")
        }
        (RefusalReason::Revision, None) => "the document has no revision".to_owned(),
        (RefusalReason::Condition, _) => "the document does not match the condition".to_owned(),
    };
    match refused.len() {
        1 => format!("change {} was refused: {why}", first.change),
        n => format!(
            "{n} changes were refused, first change {}: {why}",
            first.change
        ),
    }
}

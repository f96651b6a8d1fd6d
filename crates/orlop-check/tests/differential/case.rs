//! One case: documents, and what is asked of them. Kept as BSON so that it shrinks and prints.

use bson::{Bson, Document, doc};
use orlop::query::value;
use orlop_check::generate::{self, World};
use orlop_check::random::Random;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Which documents, in which order, with which fields.
    Find,
    /// What an update makes of the first document that matches, or of all.
    Update,
}

/// Random cases over the same documents: a collection is loaded once for several finds.
pub(crate) fn cases(random: &mut Random, kind: Kind) -> Vec<Document> {
    let world = World::new(random, 8);
    let count = if kind == Kind::Find { 16 } else { 4 };
    (0..count)
        .map(|_| {
            let mut case = doc! { "documents": world.documents.clone() };
            match kind {
                Kind::Find => case.insert("find", find(random, &world)),
                Kind::Update => case.insert("update", update(random, &world)),
            };
            case
        })
        .collect()
}

fn find(random: &mut Random, world: &World) -> Document {
    let mut find = doc! { "filter": generate::filter(random, world, 2) };
    if random.chance(45) {
        find.insert("sort", generate::sort(random));
    }
    if random.chance(30) {
        find.insert("projection", generate::projection(random, world));
    }
    if random.chance(12) {
        find.insert("skip", random.index(4) as i64);
    }
    if random.chance(12) {
        find.insert("limit", 1 + random.index(4) as i64);
    }
    find
}

fn update(random: &mut Random, world: &World) -> Document {
    let case = generate::update(random, world);
    // Most updates should find something to change.
    let mut filter = if random.chance(35) {
        Document::new()
    } else {
        generate::filter(random, world, 1)
    };
    if case.upsert && has(&Bson::Document(filter.clone()), "$expr") {
        // Refused beforehand, whether or not there is something to update.
        filter = Document::new();
    }
    let mut update = doc! { "filter": filter, "update": case.update };
    if !case.array_filters.is_empty() {
        update.insert("arrayFilters", case.array_filters);
    }
    if case.upsert {
        update.insert("upsert", true);
    } else if random.chance(20) {
        update.insert("multi", true);
    }
    update
}

/// The documents of a case.
pub(crate) fn documents(case: &Document) -> Option<Vec<Document>> {
    let list = case.get_array("documents").ok()?;
    list.iter()
        .map(|document| match document {
            Bson::Document(document) => Some(document.clone()),
            _ => None,
        })
        .collect()
}

/// Whether a shrunk case still is one: documents with ids, and all its required parts.
pub(crate) fn is_valid(case: &Document) -> bool {
    let identified = documents(case).is_some_and(|documents| {
        let first = |document: &Document| document.keys().next().is_some_and(|name| name == "_id");
        let ids: Vec<_> = documents
            .iter()
            .filter_map(|document| document.get("_id"))
            .collect();
        let differs = |(at, id): (usize, &&Bson)| {
            ids.iter()
                .skip(at + 1)
                .all(|other| value::compare(id, other).is_ne())
        };
        documents.iter().all(first) && ids.iter().enumerate().all(differs)
    });
    let whole = match (case.get_document("find"), case.get_document("update")) {
        (Ok(find), _) => {
            let fields = ["filter", "sort", "projection"];
            let others = fields.iter().all(|name| is_document_or_absent(find, name));
            let numbers = ["skip", "limit"];
            let numbers = numbers
                .iter()
                .all(|name| find.get(name).is_none_or(|n| n.as_i64().is_some()));
            find.contains_key("filter") && others && numbers
        }
        (_, Ok(update)) => {
            let filters = update.get("arrayFilters").is_none_or(|filters| {
                filters
                    .as_array()
                    .is_some_and(|list| list.iter().all(|one| one.as_document().is_some()))
            });
            let flags = ["upsert", "multi"];
            let flags = flags
                .iter()
                .all(|name| update.get(name).is_none_or(|flag| flag.as_bool().is_some()));
            update.get_document("filter").is_ok()
                && is_update(update.get("update"))
                && filters
                && flags
        }
        _ => false,
    };
    identified && whole
}

/// A document without an operator would be taken for a whole document.
fn is_update(update: Option<&Bson>) -> bool {
    match update {
        Some(Bson::Document(update)) => update
            .keys()
            .next()
            .is_some_and(|name| name.starts_with('$')),
        update => update.is_some_and(|update| update.as_array().is_some()),
    }
}

/// Whether the filter has an `$expr` that may not be evaluated for every document.
pub(crate) fn may_skip_expr(case: &Document) -> bool {
    ["find", "update"].iter().any(|kind| {
        let asked = case.get_document(kind).cloned().unwrap_or_default();
        let filter = asked.get_document("filter").cloned().unwrap_or_default();
        let first = *kind == "update" && !asked.get_bool("multi").unwrap_or(false);
        let alone = filter.len() == 1 && filter.contains_key("$expr") && !first;
        (!alone || asked.contains_key("limit")) && has(&Bson::Document(filter), "$expr")
    })
}

pub(crate) fn is_upsert(case: &Document) -> bool {
    let update = case.get_document("update");
    update.is_ok_and(|update| update.get_bool("upsert").unwrap_or(false))
}

fn has(value: &Bson, name: &str) -> bool {
    match value {
        Bson::Document(fields) => fields
            .iter()
            .any(|(key, field)| key == name || has(field, name)),
        Bson::Array(items) => items.iter().any(|item| has(item, name)),
        _ => false,
    }
}

fn is_document_or_absent(fields: &Document, name: &str) -> bool {
    fields
        .get(name)
        .is_none_or(|value| value.as_document().is_some())
}

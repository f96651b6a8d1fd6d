//! What an engine answers over collections without indexes, with single and with compound ones.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bson::raw::{RawDocument, RawDocumentBuf};
use bson::{Bson, Document};
use futures_util::TryStreamExt;
use orlop::Result;
use orlop::document::{Declaration, Direction, IndexSpec};
use orlop::engine::{
    Action, Batch, Change, Durability, Effect, Engine, Guard, Local, LocalSettings, Put, Query,
    Read,
};
use orlop::query::Expr;
use orlop_check::meaning;
use tokio::runtime::Runtime;

use super::answer::Answer;
use super::ours;

/// One collection for each set of indexes. Paths with a minus sort downward.
const COLLECTIONS: &[(&str, &[&str])] = &[
    ("plain", &[]),
    (
        "single",
        &["a", "-b", "c", "d", "a.b", "d.a", "b.0", "~c.a"],
    ),
    ("compound", &["a,-b", "b,c,a", "-a.a,b", "~c,d", "d.a,a"]),
];

/// An engine in memory with its collections declared.
struct Store {
    runtime: Runtime,
    engine: Local,
    /// What is loaded in each, to load the same documents once only.
    loaded: Vec<Option<(Vec<RawDocumentBuf>, bool)>>,
}

/// The engine's answer to a find: the same over each collection, or the first that is not what the
/// query means.
pub(crate) fn find(case: &Document) -> Answer {
    let asked = case.get_document("find").cloned().unwrap_or_default();
    let meant = ours::find(case);
    with_store(|store| {
        for (number, (name, _)) in COLLECTIONS.iter().enumerate() {
            if !store.load(number, &ours::stored(case)) {
                continue;
            }
            let answer = match store.find(name, &asked) {
                Ok(documents) => Answer::Documents {
                    counts: None,
                    documents,
                },
                Err(error) => Answer::Refused(format!("{name}: {error}")),
            };
            if !answer.agrees(&meant) {
                return answer;
            }
        }
        meant.clone()
    })
}

/// The engine's answer to an update, likewise. What an upsert creates is the caller's to make.
pub(crate) fn update(case: &Document) -> Answer {
    let asked = case.get_document("update").cloned().unwrap_or_default();
    let meant = ours::update(case);
    with_store(|store| {
        for (number, (name, _)) in COLLECTIONS.iter().enumerate() {
            if !store.load(number, &ours::stored(case)) {
                continue;
            }
            store.loaded[number] = None;
            let answer = match store.update(name, &asked) {
                Ok(Some(answer)) => answer,
                Ok(None) => return meant.clone(),
                // An index refuses some documents, as MongoDB's do: two arrays beside each other.
                Err(error) if error.message().contains("index i_") => continue,
                Err(error) => Answer::Refused(format!("{name}: {error}")),
            };
            if !answer.agrees(&meant) {
                return answer;
            }
        }
        meant.clone()
    })
}

fn with_store<T>(run: impl FnOnce(&mut Store) -> T) -> T {
    static STORE: OnceLock<Mutex<Store>> = OnceLock::new();
    let store = STORE.get_or_init(|| Mutex::new(Store::new().expect("a store in memory opens")));
    run(&mut store.lock().unwrap_or_else(PoisonError::into_inner))
}

impl Store {
    fn new() -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime starts");
        let engine = Local::memory(&LocalSettings::default())?;
        for (name, paths) in COLLECTIONS {
            let declaration = Declaration {
                indexes: paths.iter().map(|paths| index(paths)).collect(),
                ..Declaration::default()
            };
            runtime.block_on(engine.declare(name, &declaration))?;
        }
        Ok(Self {
            runtime,
            engine,
            loaded: vec![None; COLLECTIONS.len()],
        })
    }

    /// Makes the collection hold just these documents. False when its indexes refuse them.
    fn load(&mut self, number: usize, documents: &[RawDocumentBuf]) -> bool {
        if let Some((loaded, accepted)) = &self.loaded[number]
            && loaded == documents
        {
            return *accepted;
        }
        let (name, _) = COLLECTIONS[number];
        let mut changes = vec![change(name, Bson::Null, Guard::Any, Action::Truncate)];
        changes.extend(documents.iter().map(|document| {
            let put = Put {
                document: document.clone(),
                keep: None,
            };
            change(name, meaning::id(document), Guard::Absent, Action::Put(put))
        }));
        let accepted = match self.commit(changes) {
            Ok(_) => true,
            Err(error) if error.message().contains("index i_") => false,
            Err(error) => panic!("loading {name}: {error:?}"),
        };
        self.loaded[number] = Some((documents.to_vec(), accepted));
        accepted
    }

    fn commit(&self, changes: Vec<Change>) -> Result<Vec<Effect>> {
        let batch = Batch {
            changes,
            durability: Durability::Memory,
            ..Batch::default()
        };
        let commit = self.runtime.block_on(self.engine.commit(batch))?;
        Ok(commit
            .applied
            .iter()
            .map(|applied| applied.effect)
            .collect())
    }

    fn rows(&self, query: Query) -> Result<Vec<RawDocumentBuf>> {
        self.runtime.block_on(async {
            let rows = self.engine.query(query).await?;
            rows.map_ok(|stored| without_revision(stored.body.raw()))
                .try_collect()
                .await
        })
    }

    fn find(&self, name: &str, asked: &Document) -> Result<Vec<RawDocumentBuf>> {
        self.rows(meaning::query(name, asked)?)
    }

    /// None for an upsert that creates.
    fn update(&self, name: &str, asked: &Document) -> Result<Option<Answer>> {
        let flag = |flag| asked.get_bool(flag).unwrap_or(false);
        let mut query = meaning::query(name, asked)?;
        let filter = query.filter.clone();
        let update = Arc::new(meaning::parse_update(asked)?);
        query.limit = if flag("multi") { None } else { Some(1) };
        let matching = self.rows(query)?;
        if matching.is_empty() && flag("upsert") {
            return Ok(None);
        }
        let changes = matching.iter().map(|document| {
            let action = Action::Update {
                update: Arc::clone(&update),
                upsert: false,
            };
            change(
                name,
                meaning::id(document),
                Guard::Matches(filter.clone()),
                action,
            )
        });
        let effects = self.commit(changes.collect())?;
        let modified = effects
            .iter()
            .filter(|effect| **effect == Effect::Updated)
            .count();
        let all = Query {
            filter: Expr::All,
            ..meaning::query(name, &Document::new())?
        };
        Ok(Some(Answer::Documents {
            counts: Some((effects.len() as i64, modified as i64)),
            documents: self.rows(all)?,
        }))
    }
}

fn change(collection: &str, id: Bson, guard: Guard, action: Action) -> Change {
    Change {
        collection: collection.into(),
        id,
        guard,
        action,
    }
}

/// An index from its short form: `a,-b`; sparse with a tilde before it.
fn index(paths: &str) -> IndexSpec {
    let sparse = paths.starts_with('~');
    let keys = paths
        .trim_start_matches('~')
        .split(',')
        .map(|path| match path.strip_prefix('-') {
            Some(path) => (path.to_owned(), Direction::Descending),
            None => (path.to_owned(), Direction::Ascending),
        });
    IndexSpec {
        name: format!("i_{paths}"),
        keys: keys.collect(),
        unique: false,
        sparse,
        expire_after_seconds: None,
    }
}

fn without_revision(document: &RawDocument) -> RawDocumentBuf {
    let mut kept = RawDocumentBuf::new();
    for element in document.iter_elements().flatten() {
        if element.key().as_str() != "_v"
            && let Ok(value) = element.value()
        {
            kept.append(element.key(), value);
        }
    }
    kept
}

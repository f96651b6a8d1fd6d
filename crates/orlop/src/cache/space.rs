//! One collection, as the cache knows it: its name and what the name hashes to.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::engine::{Tag, Tags};

/// Spaces kept before those that nothing uses are looked for.
const SWEEP_FROM: usize = 1024;

/// A collection in a cache. Entries hold it, so two of them are of one collection exactly when
/// they point to one space: names are never compared on the hot path.
#[derive(Debug)]
pub struct Space {
    pub(super) name: Arc<str>,
    pub(super) tags: Tags,
    pub(super) collection: Tag,
}

impl Space {
    /// The collection's name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }
}

/// The spaces in use, by name.
#[derive(Debug, Default)]
pub(super) struct Spaces(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    by_name: HashMap<Arc<str>, Weak<Space>>,
    sweep_at: usize,
}

impl Spaces {
    /// The space of this name; the same one for as long as anything holds it.
    pub(super) fn of(&self, name: &str) -> Arc<Space> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(space) = known.by_name.get(name).and_then(Weak::upgrade) {
            return space;
        }
        // Anyone may ask for any name over HTTP: names that nothing holds must not pile up.
        if known.by_name.len() >= known.sweep_at.max(SWEEP_FROM) {
            known.by_name.retain(|_, space| space.strong_count() > 0);
            known.sweep_at = known.by_name.len() * 2;
        }
        let tags = Tags::of(name);
        let space = Arc::new(Space {
            name: name.into(),
            tags,
            collection: tags.collection(),
        });
        known
            .by_name
            .insert(space.name.clone(), Arc::downgrade(&space));
        space
    }
}

/// The space of documents that are in no cache.
pub(super) fn nowhere() -> Arc<Space> {
    static NOWHERE: std::sync::LazyLock<Arc<Space>> =
        std::sync::LazyLock::new(|| Spaces::default().of(""));
    NOWHERE.clone()
}

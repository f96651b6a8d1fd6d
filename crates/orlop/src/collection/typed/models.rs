//! The types a store has met: whether each is declared, and what it refers to.

use std::any::TypeId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OnceCell;

use crate::document::{Document, OnDelete, Reference};

/// A reference and the collection that holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Incoming {
    pub(crate) from: &'static str,
    pub(crate) path: &'static str,
    pub(crate) on_delete: OnDelete,
}

#[derive(Debug, Default)]
pub(crate) struct Models {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    declared: HashMap<TypeId, Arc<OnceCell<()>>>,
    incoming: HashMap<&'static str, Vec<Incoming>>,
}

impl Models {
    /// The cell of a type that says whether it is declared.
    pub(crate) fn of<T: Document>(&self) -> Arc<OnceCell<()>> {
        let mut inner = self.lock();
        if let Some(declared) = inner.declared.get(&TypeId::of::<T>()) {
            return Arc::clone(declared);
        }
        for reference in T::references() {
            inner.refer(T::COLLECTION, reference);
        }
        let declared = inner.declared.entry(TypeId::of::<T>()).or_default();
        Arc::clone(declared)
    }

    /// What refers to documents of the collection and has a rule for their delete.
    pub(crate) fn incoming(&self, collection: &str) -> Vec<Incoming> {
        self.lock()
            .incoming
            .get(collection)
            .cloned()
            .unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn refer(&mut self, from: &'static str, reference: &Reference) {
        let incoming = Incoming {
            from,
            path: reference.path,
            on_delete: reference.on_delete,
        };
        let known = self.incoming.entry(reference.collection).or_default();
        if reference.on_delete != OnDelete::Ignore && !known.contains(&incoming) {
            known.push(incoming);
        }
    }
}

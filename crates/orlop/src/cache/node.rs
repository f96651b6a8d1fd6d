//! What the cache holds: one allocation an entry, value and bookkeeping together.

use std::any::Any;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use super::key::IdKey;
use super::space::{self, Space};
use crate::document::Revision;
use crate::engine::{Seq, Tag};

/// Bytes an entry costs besides its value: a slot of the map at its usual fill, the counts of the
/// `Arc`, and what the allocator adds.
///
/// # Source
/// quick_cache states 21 bytes a slot beside key and value; tables are two thirds full on average.
const SLOT_BYTES: usize = 21 * 3 / 2 + 24 + 16 + 16;

/// What is known of an entry besides its value.
#[derive(Clone)]
pub(super) struct Head {
    /// The collection.
    pub(super) space: Arc<Space>,
    /// What it depends on, besides the collection as a whole.
    pub(super) tag: Tag,
    /// The commit whose state it was read from.
    pub(super) stamp: Seq,
    /// Revision of the document; zero when absent, or for what is not a document.
    pub(super) revision: Revision,
    /// When it leaves at the latest, by the cache's timer; zero for never.
    pub(super) expires_ms: u64,
    /// Bytes it takes.
    pub(super) weight: u32,
    /// The document's id.
    pub(super) id: IdKey,
}

impl Head {
    /// The head of what is in no cache.
    pub(super) fn nowhere() -> Self {
        Self {
            space: space::nowhere(),
            tag: Tag(0),
            stamp: 0,
            revision: Revision(0),
            expires_ms: 0,
            weight: 0,
            id: IdKey::NONE,
        }
    }
}

/// An entry of the cache.
pub(super) struct Node<T> {
    pub(super) head: Head,
    pub(super) value: T,
}

/// The place of a document that is not there.
pub(super) struct Absent;

/// An entry of any type.
pub(super) trait Cached: Any + Send + Sync {
    fn head(&self) -> &Head;
}

impl<T: Send + Sync + 'static> Cached for Node<T> {
    fn head(&self) -> &Head {
        &self.head
    }
}

impl<T> Node<T> {
    /// The weight of a node whose value holds `heap_bytes` outside itself.
    pub(super) fn weight(id: &IdKey, heap_bytes: usize) -> u32 {
        let bytes = SLOT_BYTES + size_of::<Self>() + id.heap_bytes() + heap_bytes;
        u32::try_from(bytes).unwrap_or(u32::MAX)
    }
}

/// A document as it was read: shared, immutable, one pointer. Derefs to `T`.
///
/// Holding it costs no one anything but its memory; it does not change when the stored document
/// does. A hit hands out the cache's own, so reading the same document twice gives one allocation.
pub struct Doc<T>(pub(super) Arc<Node<T>>);

impl<T> Doc<T> {
    /// A document that did not come from a cache.
    pub fn new(value: T, revision: Revision) -> Self {
        Self(Arc::new(Node {
            head: Head {
                revision,
                ..Head::nowhere()
            },
            value,
        }))
    }

    /// The revision the document was read at.
    pub fn revision(&self) -> Revision {
        self.0.head.revision
    }

    /// Whether both are the same allocation, so that one was handed out twice.
    pub fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The value, without a copy when this is the only holder.
    pub fn into_inner(self) -> T
    where
        T: Clone,
    {
        Arc::try_unwrap(self.0).map_or_else(|shared| shared.value.clone(), |own| own.value)
    }
}

impl<T> Clone for Doc<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Deref for Doc<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.value
    }
}

impl<T> AsRef<T> for Doc<T> {
    fn as_ref(&self) -> &T {
        &self.0.value
    }
}

impl<T: PartialEq> PartialEq for Doc<T> {
    fn eq(&self, other: &Self) -> bool {
        self.revision() == other.revision() && self.0.value == other.0.value
    }
}

impl<T: fmt::Debug> fmt::Debug for Doc<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Doc")
            .field("revision", &self.revision())
            .field("value", &self.0.value)
            .finish()
    }
}

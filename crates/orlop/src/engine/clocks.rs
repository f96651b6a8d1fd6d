//! Clocks: per tag, the number of the last commit that touched it.
//!
//! A fixed array of atomics. Tags that share a place cost a miss, never a stale read.
//! The order in which commit, hit and fill use them is in docs/consistency.md "Clocks".

use std::sync::atomic::{AtomicU64, Ordering};

use xxhash_rust::xxh3::Xxh3;

use super::Seq;

/// Places in the array; a power of two. 2^16 of 8 bytes are 512 KiB.
///
/// # Source
/// Arrays of 2^12 to 2^20 cost the same per hit; see docs/benchmarks.md.
const PLACES: usize = 1 << 16;

/// What a cached thing depends on: a document, a scope value, or a whole collection, as a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tag(pub u64);

impl Tag {
    /// The tag of one document, from its collection and the canonical bytes of its id.
    pub fn document(collection: &str, id_key: &[u8]) -> Self {
        Self::of(b'd', collection, |hash| hash.update(id_key))
    }

    /// The tag of one value of one scope, from the canonical bytes of the values.
    pub fn scope(collection: &str, paths: &[String], values_key: &[u8]) -> Self {
        Self::of(b's', collection, |hash| {
            for path in paths {
                hash.update(path.as_bytes());
                hash.update(&[0]);
            }
            hash.update(values_key);
        })
    }

    /// The tag of a whole collection.
    pub fn collection(collection: &str) -> Self {
        Self::of(b'c', collection, |_| ())
    }

    fn of(kind: u8, collection: &str, rest: impl FnOnce(&mut Xxh3)) -> Self {
        let mut hash = Xxh3::new();
        hash.update(&[kind]);
        // The length keeps ("home", 11) and ("home1", 1) apart.
        hash.update(&(collection.len() as u32).to_le_bytes());
        hash.update(collection.as_bytes());
        rest(&mut hash);
        Self(hash.digest())
    }
}

/// The clocks of one store in one process.
pub struct Clocks {
    places: Box<[AtomicU64]>,
}

impl Clocks {
    /// Clocks that all stand at `seq`, the number recovered from the store.
    pub fn starting_at(seq: Seq) -> Self {
        Self {
            places: (0..PLACES).map(|_| AtomicU64::new(seq)).collect(),
        }
    }

    /// The last commit that touched the tag, or one that shares its place.
    pub fn read(&self, tag: Tag) -> Seq {
        self.place(tag).load(Ordering::Acquire)
    }

    /// Moves the clock. Called by the one committer only, after the commit is durable and
    /// before it is visible.
    pub fn advance(&self, tag: Tag, seq: Seq) {
        // IMPORTANT: before `Published` is swapped; see docs/consistency.md "Clocks".
        self.place(tag).store(seq, Ordering::Release);
    }

    /// Moves every clock.
    pub fn advance_all(&self, seq: Seq) {
        for place in &self.places {
            place.store(seq, Ordering::Release);
        }
    }

    fn place(&self, tag: Tag) -> &AtomicU64 {
        &self.places[tag.0 as usize % PLACES]
    }
}

impl std::fmt::Debug for Clocks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Clocks").finish_non_exhaustive()
    }
}

//! Clocks: per tag, the number of the last commit that touched it.
//!
//! A fixed array of atomics. Tags that share a place cost a miss, never a stale read.
//! The order in which commit, hit and fill use them is in docs/consistency.md "Clocks"; the loom
//! models in `crates/orlop-check/tests/loom.rs` run this very code through [`Cell`].

use std::sync::atomic::{AtomicU64, Ordering};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::Seq;

/// Places for documents, scopes and collections; a power of two. 2^16 of 8 bytes are 512 KiB.
///
/// # Source
/// Arrays of 2^12 to 2^20 cost the same per hit; see docs/benchmarks.md.
const PLACES: usize = 1 << 16;
/// Places for collections as a whole. Few, so that the one a hit reads stays in the processor's cache.
const WHOLES: usize = 1 << 8;

/// What a cached thing depends on: a document, a scope value, or a whole collection, as a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tag(pub u64);

impl Tag {
    /// The tag of one document, from its collection and the canonical bytes of its id.
    pub fn document(collection: &str, id_key: &[u8]) -> Self {
        Tags::of(collection).document(id_key)
    }

    /// The tag of one value of one scope, from the canonical bytes of the values.
    pub fn scope(collection: &str, paths: &[String], values_key: &[u8]) -> Self {
        Tags::of(collection).scope(paths, values_key)
    }

    /// The tag of a whole collection.
    pub fn collection(collection: &str) -> Self {
        Tags::of(collection).collection()
    }
}

/// The tags of one collection: its name is hashed once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tags {
    seed: u64,
}

impl Tags {
    /// The tags of the collection of this name.
    pub fn of(collection: &str) -> Self {
        // The name is the seed of what follows, so ("home", 11) and ("home1", 1) stay apart.
        Self {
            seed: xxh3_64_with_seed(collection.as_bytes(), 0),
        }
    }

    /// The tag of one document, from the canonical bytes of its id. No allocation.
    pub fn document(self, id_key: &[u8]) -> Tag {
        Tag(xxh3_64_with_seed(id_key, self.seed))
    }

    /// The tag of one value of one scope, from the canonical bytes of the values.
    pub fn scope(self, paths: &[String], values_key: &[u8]) -> Tag {
        let mut seed = !self.seed;
        for path in paths {
            seed = xxh3_64_with_seed(path.as_bytes(), seed);
        }
        Tag(xxh3_64_with_seed(values_key, seed))
    }

    /// The tag of the collection: every change of one of its documents moves it.
    pub fn collection(self) -> Tag {
        Tag(self.seed)
    }
}

/// The atomic under a clock, so that a model checker can put its own in place.
pub trait Cell: Send + Sync {
    /// A clock that stands at `seq`.
    fn standing_at(seq: Seq) -> Self;
    /// Reads with acquire order.
    fn read(&self) -> Seq;
    /// Writes with release order.
    fn write(&self, seq: Seq);
}

impl Cell for AtomicU64 {
    fn standing_at(seq: Seq) -> Self {
        Self::new(seq)
    }

    fn read(&self) -> Seq {
        self.load(Ordering::Acquire)
    }

    fn write(&self, seq: Seq) {
        self.store(seq, Ordering::Release);
    }
}

/// The clocks of one store in one process.
///
/// What a commit moves: for each changed document, of the image before and the one after, its own
/// tag, its collection's, and the value of each declared scope. What touches a collection as a
/// whole (emptied, dropped, declared anew, invalidated) moves that one clock with
/// [`Clocks::advance_whole`].
pub struct Clocks<C: Cell = AtomicU64> {
    places: Box<[C]>,
    wholes: Box<[C]>,
}

impl Clocks {
    /// Clocks that all stand at `seq`, the number recovered from the store.
    pub fn starting_at(seq: Seq) -> Self {
        Self::with_places(PLACES, WHOLES, seq)
    }
}

impl<C: Cell> Clocks<C> {
    /// As [`Clocks::starting_at`], with these numbers of places, powers of two; for model checkers.
    pub fn with_places(places: usize, wholes: usize, seq: Seq) -> Self {
        let stand = |count: usize| (0..count).map(|_| C::standing_at(seq)).collect();
        Self {
            places: stand(places),
            wholes: stand(wholes),
        }
    }

    /// The last commit that touched the tag, or one that shares its place.
    pub fn read(&self, tag: Tag) -> Seq {
        self.place(tag).read()
    }

    /// The last commit that touched the whole of the collection, or of one that shares its place.
    pub fn read_whole(&self, collection: Tag) -> Seq {
        self.whole(collection).read()
    }

    /// Whether what was read of the tag at `stamp` is what a read would give now.
    pub fn current(&self, tag: Tag, collection: Tag, stamp: Seq) -> bool {
        self.read(tag) <= stamp && self.read_whole(collection) <= stamp
    }

    /// Moves the clock. Called by the one committer only, after the commit is durable and
    /// before it is visible.
    pub fn advance(&self, tag: Tag, seq: Seq) {
        // IMPORTANT: before `Published` is swapped; see docs/consistency.md "Clocks".
        self.place(tag).write(seq);
    }

    /// Moves the clock of a collection as a whole: nothing cached of it is used again, neither
    /// its documents nor its lists. One store, whatever the collection holds.
    pub fn advance_whole(&self, collection: Tag, seq: Seq) {
        self.whole(collection).write(seq);
    }

    /// Moves every clock.
    pub fn advance_all(&self, seq: Seq) {
        // Every hit reads the clock of its collection, so these are enough; the others move for
        // the readers of one clock alone.
        for place in self.wholes.iter().chain(&self.places) {
            place.write(seq);
        }
    }

    fn place(&self, tag: Tag) -> &C {
        &self.places[tag.0 as usize & (self.places.len() - 1)]
    }

    fn whole(&self, collection: Tag) -> &C {
        &self.wholes[collection.0 as usize & (self.wholes.len() - 1)]
    }
}

impl<C: Cell> std::fmt::Debug for Clocks<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Clocks").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_ids_that_join_to_the_same_text_have_other_tags() {
        assert_ne!(Tag::document("home", b"11"), Tag::document("home1", b"1"));
        let paths = ["a".to_owned(), "b".to_owned()];
        let joined = ["ab".to_owned()];
        assert_ne!(
            Tag::scope("home", &paths, b"1"),
            Tag::scope("home", &joined, b"1")
        );
        assert_ne!(Tag::collection("home"), Tag::document("home", b""));
    }

    #[test]
    fn what_was_read_before_a_commit_is_not_current_behind_it() {
        let clocks = Clocks::starting_at(5);
        let tags = Tags::of("tasks");
        let (one, two) = (tags.document(b"1"), tags.document(b"2"));
        assert!(!clocks.current(one, tags.collection(), 4));
        assert!(clocks.current(one, tags.collection(), 5));
        clocks.advance(one, 6);
        assert!(!clocks.current(one, tags.collection(), 5));
        assert!(clocks.current(two, tags.collection(), 5));
        clocks.advance_whole(tags.collection(), 7);
        assert!(!clocks.current(two, tags.collection(), 6));
        assert!(clocks.current(two, tags.collection(), 7));
        clocks.advance_all(8);
        assert!(!clocks.current(one, tags.collection(), 7));
    }
}

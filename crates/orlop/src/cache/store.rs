//! The map under the cache: hashes to entries, one bound in bytes, eviction by use over all.

use std::any::{Any, TypeId};
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};

use super::node::{Cached, Node};
use super::settings::CacheSettings;

/// Mean weight assumed of an entry, in bytes. Sizes the list of recently evicted keys; anything
/// within two orders of magnitude does.
const ENTRY_BYTES_ASSUMED: u64 = 512;
/// Fewest bytes of one of the map's parts: an entry larger than its part is not kept.
const PART_BYTES_MIN: u64 = 4 * 1024 * 1024;
/// Most parts. More than the threads that meet in the map.
const PARTS_MAX: u64 = 64;

/// The entries. A hash that two things share costs a miss: whoever finds an entry compares it.
pub(super) struct Store {
    map: Cache<u64, Arc<dyn Cached>, ByWeight, BuildHasherDefault<AsIs>>,
    bytes_max: u64,
}

impl Store {
    pub(super) fn new(settings: &CacheSettings) -> Self {
        let parts = (settings.bytes_max / PART_BYTES_MIN).clamp(1, PARTS_MAX);
        let options = OptionsBuilder::new()
            .shards(1 << parts.ilog2())
            .hot_allocation(settings.hot_fraction.clamp(0.0, 1.0))
            .estimated_items_capacity((settings.bytes_max / ENTRY_BYTES_ASSUMED) as usize)
            .weight_capacity(settings.bytes_max)
            .build()
            .expect("both capacities are set");
        Self {
            map: Cache::with_options(
                options,
                ByWeight,
                BuildHasherDefault::default(),
                DefaultLifecycle::default(),
            ),
            bytes_max: settings.bytes_max,
        }
    }

    /// The entry under `hash` in the representation `T`, whatever its type is.
    #[inline]
    pub(super) fn get<T: 'static>(&self, hash: u64) -> Option<Arc<dyn Any + Send + Sync>> {
        let cached = self.map.get(&(hash ^ salt::<T>()))?;
        Some(cached)
    }

    /// The same without making it count as used.
    pub(super) fn peek<T: 'static>(&self, hash: u64) -> Option<Arc<dyn Cached>> {
        self.map.peek(&(hash ^ salt::<T>()))
    }

    /// Keeps an entry under `hash` in the representation `T`, unless a newer one of the same thing
    /// is there.
    pub(super) fn insert<T: 'static>(&self, hash: u64, cached: Arc<dyn Cached>) {
        let key = hash ^ salt::<T>();
        let newer = self.map.peek(&key).is_some_and(|there| {
            let (there, new) = (there.head(), cached.head());
            Arc::ptr_eq(&there.space, &new.space) && there.id == new.id && there.stamp > new.stamp
        });
        // Between look and insert another may come in: then the older one stays, and costs a miss.
        if !newer {
            self.map.insert(key, cached);
        }
    }

    pub(super) fn entries(&self) -> u64 {
        self.map.len() as u64
    }

    pub(super) fn bytes(&self) -> u64 {
        self.map.weight()
    }

    pub(super) fn bytes_max(&self) -> u64 {
        self.bytes_max
    }
}

/// The node when the entry is one of `T`.
pub(super) fn node<T: Send + Sync + 'static>(
    cached: Arc<dyn Any + Send + Sync>,
) -> Result<Arc<Node<T>>, Arc<dyn Any + Send + Sync>> {
    cached.downcast()
}

#[derive(Clone)]
struct ByWeight;

impl Weighter<u64, Arc<dyn Cached>> for ByWeight {
    fn weight(&self, _: &u64, cached: &Arc<dyn Cached>) -> u64 {
        u64::from(cached.head().weight)
    }
}

/// Takes keys for their own hashes: they are.
#[derive(Default)]
pub(super) struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 ^= word;
    }
}

/// Keeps the representations of one document apart.
#[inline]
fn salt<T: 'static>() -> u64 {
    let mut salt = AsIs::default();
    TypeId::of::<T>().hash(&mut salt);
    salt.finish()
}

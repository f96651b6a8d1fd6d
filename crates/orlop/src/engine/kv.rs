//! The ordered key-value store under an engine: views, ranges and one atomic write.
//!
//! Knows: bytes. Does not know: documents, indexes, the log. Two implementations, a persistent map
//! in memory and one fjall keyspace; everything above is the same code for both.

#[cfg(feature = "embedded")]
mod fjall_files;
#[cfg(feature = "embedded")]
pub(crate) mod fjall_store;
mod memory;

use std::sync::Arc;

use bytes::Bytes;

use crate::Result;

#[allow(unused_imports)]
pub(crate) use memory::MemoryKv;

/// A key with its value.
pub(crate) type Pair = (Bytes, Bytes);

/// The pairs of a range, in order. Holds its view itself.
pub(crate) type Pairs = Box<dyn Iterator<Item = Result<Pair>> + Send>;

/// A half-open range of keys: `low <= key < high`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct KeyRange {
    /// First key of the range.
    pub(crate) low: Vec<u8>,
    /// First key behind the range.
    pub(crate) high: Vec<u8>,
}

impl KeyRange {
    /// All keys that begin with `prefix`.
    pub(crate) fn prefix(prefix: &[u8]) -> Self {
        Self {
            low: prefix.to_vec(),
            high: after_prefix(prefix),
        }
    }

    /// Whether no key can be in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.low >= self.high
    }
}

/// The first key behind all keys that begin with `prefix`.
///
/// Every prefix begins with a space byte below 0xFF, so there is one.
pub(crate) fn after_prefix(prefix: &[u8]) -> Vec<u8> {
    let mut high = prefix.to_vec();
    while let Some(last) = high.pop() {
        if last < 0xFF {
            high.push(last + 1);
            break;
        }
    }
    high
}

/// The store at one instant. Cheap to hold; never blocks a writer.
pub(crate) trait View: Send + Sync {
    /// The value under `key`.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>>;
    /// The pairs of `range`, from its end when `reverse`.
    fn range(&self, range: &KeyRange, reverse: bool) -> Pairs;
}

/// A store of pairs. One caller writes.
pub(crate) trait Kv: Send + Sync {
    /// What was written so far.
    fn view(&self) -> Result<Arc<dyn View>>;
    /// Writes (some) and removes (none) all pairs together. Not durable: the log is.
    fn write(&self, pairs: &mut dyn Iterator<Item = (Bytes, Option<Bytes>)>) -> Result<()>;
    /// Makes everything written so far durable, so that the log behind it may be dropped.
    fn flush(&self) -> Result<()>;
    /// Bytes taken on disk; 0 in memory.
    fn disk_bytes(&self) -> u64;
}

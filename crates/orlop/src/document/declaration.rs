//! What a collection declares: indexes, schema, scopes, policies. Plain data, in any process.

use serde::{Deserialize, Serialize};

/// Order of one key of an index or a sort.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Lowest first; `1` in MongoDB's syntax.
    Ascending,
    /// Highest first; `-1` in MongoDB's syntax.
    Descending,
}

impl Direction {
    /// `1` or `-1`.
    pub const fn sign(self) -> i32 {
        match self {
            Self::Ascending => 1,
            Self::Descending => -1,
        }
    }
}

/// One index of a collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexSpec {
    /// Name, by MongoDB's rule when none is given: `userId_1_priority_-1`.
    pub name: String,
    /// Dotted paths with their directions, most significant first.
    pub keys: Vec<(String, Direction)>,
    /// Refuses a second document with the same key.
    pub unique: bool,
    /// Leaves out documents in which every key is missing.
    pub sparse: bool,
    /// Documents expire this many seconds after the date in the (single) key.
    pub expire_after_seconds: Option<u64>,
}

impl IndexSpec {
    /// A plain index on these keys, named by MongoDB's rule.
    ///
    /// # Example
    /// ```
    /// use orlop::document::{Direction, IndexSpec};
    /// let index = IndexSpec::on([("userId", Direction::Ascending), ("priority", Direction::Descending)]);
    /// assert_eq!(index.name, "userId_1_priority_-1");
    /// ```
    pub fn on<P: Into<String>>(keys: impl IntoIterator<Item = (P, Direction)>) -> Self {
        let keys: Vec<_> = keys
            .into_iter()
            .map(|(path, direction)| (path.into(), direction))
            .collect();
        Self {
            name: Self::default_name(&keys),
            keys,
            unique: false,
            sparse: false,
            expire_after_seconds: None,
        }
    }

    /// The name MongoDB gives an index on these keys.
    pub fn default_name(keys: &[(String, Direction)]) -> String {
        let parts: Vec<_> = keys
            .iter()
            .map(|(path, direction)| format!("{path}_{}", direction.sign()))
            .collect();
        parts.join("_")
    }
}

/// Names of the two instants a collection keeps of its documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timestamps {
    /// Set when the document is created; `createdAt` by default.
    pub created: Option<String>,
    /// Set on every write; `updatedAt` by default.
    pub updated: Option<String>,
}

impl Default for Timestamps {
    fn default() -> Self {
        Self {
            created: Some("createdAt".to_owned()),
            updated: Some("updatedAt".to_owned()),
        }
    }
}

/// How a collection is cached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Policy {
    /// `off`, `cacheAside` (default) or `writeThrough`.
    pub cache: CacheMode,
    /// Longest life of an entry, in milliseconds; none by default. Jitter takes off up to a tenth.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl_ms: Option<u64>,
}

/// Whether and when documents enter the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CacheMode {
    /// Never.
    Off,
    /// When they are read.
    #[default]
    CacheAside,
    /// When they are read, and when they are written.
    WriteThrough,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            cache: CacheMode::CacheAside,
            ttl_ms: None,
        }
    }
}

/// What a collection declares of itself. Serialises as the body of `PUT /collections/{c}`.
///
/// Whoever builds one by hand calls [`Declaration::check`]; reading one from a document does.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Declaration {
    /// Secondary indexes; the one on `_id` is always there.
    pub indexes: Vec<IndexSpec>,
    /// A JSON Schema (the subset of docs/schema.md) that every stored document meets.
    pub schema: Option<bson::Document>,
    /// Scopes: each a list of paths. A cached query that pins one by equality depends on it alone.
    pub scopes: Vec<Vec<String>>,
    /// Instants kept by the collection.
    pub timestamps: Option<Timestamps>,
    /// Values given to fields that a created document lacks, by path; [`Declaration::NOW`] is the
    /// instant of the write.
    pub defaults: bson::Document,
    /// Fields left out of answers, logs and exports unless asked for with the right to.
    pub sensitive: Vec<String>,
    /// How the collection is cached.
    pub policy: Policy,
    /// Compress bodies.
    pub compress: bool,
    /// Fields that choose the shard, for a sharded MongoDB.
    pub shard_key: Vec<String>,
    /// Programs that do not move `_v` write here too.
    pub external_writers: bool,
}

impl Declaration {
    /// The default that stands for the instant of the write.
    pub const NOW: &'static str = "$$NOW";
}

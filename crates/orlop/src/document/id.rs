//! Ids of documents, typed by the document they name.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::str::FromStr;

use bson::Bson;
use bson::oid::ObjectId;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Value;
use crate::{Error, Result};

/// What a document can be named by: an [`Id`], or a bare ObjectId, string, integer or UUID.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the id of a document",
    label = "not an id",
    note = "use `Id<T>` (an ObjectId), `Id<T, String>`, `Id<T, i64>` or `Id<T, Uuid>`"
)]
pub trait Key: Value + Clone + Send + Sync + 'static {
    /// The stored value.
    fn bson(&self) -> Bson;
    /// The key that a stored value is.
    ///
    /// # Errors
    /// `Invalid` when it is of another type.
    fn from_bson(value: &Bson) -> Result<Self>;
    /// The key when it is a string, so that a look-up need not copy it.
    fn text(&self) -> Option<&str> {
        None
    }
    /// The name of its BSON type, for a schema: `objectId`, `string`, `long`, `binData`.
    const BSON_TYPE: &'static str;
}

fn other_type<T>(expected: &str, value: &Bson) -> Result<T> {
    Err(Error::invalid(format!(
        "an id of type {expected} was expected, found {:?}",
        value.element_type()
    )))
}

impl Key for ObjectId {
    const BSON_TYPE: &'static str = "objectId";
    fn bson(&self) -> Bson {
        Bson::ObjectId(*self)
    }
    fn from_bson(value: &Bson) -> Result<Self> {
        match value {
            Bson::ObjectId(id) => Ok(*id),
            other => other_type(Self::BSON_TYPE, other),
        }
    }
}

impl Key for String {
    const BSON_TYPE: &'static str = "string";
    fn text(&self) -> Option<&str> {
        Some(self)
    }
    fn bson(&self) -> Bson {
        Bson::String(self.clone())
    }
    fn from_bson(value: &Bson) -> Result<Self> {
        match value {
            Bson::String(id) => Ok(id.clone()),
            other => other_type(Self::BSON_TYPE, other),
        }
    }
}

impl Key for i64 {
    const BSON_TYPE: &'static str = "long";
    fn bson(&self) -> Bson {
        Bson::Int64(*self)
    }
    fn from_bson(value: &Bson) -> Result<Self> {
        match value {
            Bson::Int64(id) => Ok(*id),
            Bson::Int32(id) => Ok(i64::from(*id)),
            // 1, 1.0 and a 64-bit 1 are one id.
            Bson::Double(id) if (*id as i64) as f64 == *id => Ok(*id as i64),
            other => other_type(Self::BSON_TYPE, other),
        }
    }
}

impl Key for i32 {
    const BSON_TYPE: &'static str = "int";
    fn bson(&self) -> Bson {
        Bson::Int32(*self)
    }
    fn from_bson(value: &Bson) -> Result<Self> {
        i64::from_bson(value)?
            .try_into()
            .map_err(|_| Error::invalid("an id does not fit 32 bits"))
    }
}

impl Key for bson::Uuid {
    const BSON_TYPE: &'static str = "binData";
    fn bson(&self) -> Bson {
        Bson::Binary((*self).into())
    }
    fn from_bson(value: &Bson) -> Result<Self> {
        match value {
            Bson::Binary(binary) => binary
                .to_uuid()
                .map_err(|error| Error::invalid(format!("a UUID was expected: {error}"))),
            other => other_type(Self::BSON_TYPE, other),
        }
    }
}

/// The id of a document of type `T`, an ObjectId unless `K` says otherwise.
///
/// `Id<Task>` and `Id<User>` do not mix. Stored and sent as the bare key.
///
/// # Example
/// ```
/// # use orlop::document::Id;
/// # struct Task; struct Country;
/// let fresh: Id<Task> = Id::new();
/// let same: Id<Task> = fresh.to_string().parse()?;
/// assert_eq!(fresh, same);
/// let country: Id<Country, String> = Id::from("ch");
/// # Ok::<(), orlop::Error>(())
/// ```
pub struct Id<T, K = ObjectId> {
    key: K,
    of: PhantomData<fn() -> T>,
}

impl<T> Id<T> {
    /// A new id, unique across processes; later ones sort higher, to the second.
    #[expect(
        clippy::new_without_default,
        reason = "two defaults would not be equal"
    )]
    pub fn new() -> Self {
        Self::from_key(ObjectId::new())
    }
}

impl<T> Id<T, bson::Uuid> {
    /// A new random (version 4) UUID. Not called `new`, so that `Id::new()` needs no type beside it.
    pub fn random() -> Self {
        Self::from_key(bson::Uuid::new())
    }
}

impl<T, K> Id<T, K> {
    /// The id with this key.
    pub const fn from_key(key: K) -> Self {
        Self {
            key,
            of: PhantomData,
        }
    }

    /// The bare key.
    pub const fn key(&self) -> &K {
        &self.key
    }

    /// The bare key.
    pub fn into_key(self) -> K {
        self.key
    }

    /// The same key as the id of another type: for the variants of an enum and for migrations.
    pub fn cast<U>(self) -> Id<U, K> {
        Id::from_key(self.key)
    }
}

impl<T: 'static, K: Key> Key for Id<T, K> {
    const BSON_TYPE: &'static str = K::BSON_TYPE;
    fn bson(&self) -> Bson {
        self.key.bson()
    }
    fn text(&self) -> Option<&str> {
        self.key.text()
    }
    fn from_bson(value: &Bson) -> Result<Self> {
        K::from_bson(value).map(Self::from_key)
    }
}

impl<T> FromStr for Id<T> {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        ObjectId::parse_str(text)
            .map(Self::from_key)
            .map_err(|_| Error::invalid("an id of 24 hexadecimal digits was expected"))
    }
}

impl<T> FromStr for Id<T, bson::Uuid> {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        bson::Uuid::parse_str(text)
            .map(Self::from_key)
            .map_err(|_| Error::invalid("a UUID was expected"))
    }
}

impl<T, K> From<K> for Id<T, K> {
    fn from(key: K) -> Self {
        Self::from_key(key)
    }
}

impl<T> From<&str> for Id<T, String> {
    fn from(key: &str) -> Self {
        Self::from_key(key.to_owned())
    }
}

impl<T, K: Key> From<Id<T, K>> for Bson {
    fn from(id: Id<T, K>) -> Self {
        id.key.bson()
    }
}

impl<T, K: Serialize> Serialize for Id<T, K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.key.serialize(serializer)
    }
}

impl<'de, T, K: Deserialize<'de>> Deserialize<'de> for Id<T, K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        K::deserialize(deserializer).map(Self::from_key)
    }
}

// By hand: a derive would ask the same of `T`, which is only a name here.
impl<T, K: Clone> Clone for Id<T, K> {
    fn clone(&self) -> Self {
        Self::from_key(self.key.clone())
    }
}
impl<T, K: Copy> Copy for Id<T, K> {}
impl<T, K: PartialEq> PartialEq for Id<T, K> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}
impl<T, K: Eq> Eq for Id<T, K> {}
impl<T, K: PartialOrd> PartialOrd for Id<T, K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.key.partial_cmp(&other.key)
    }
}
impl<T, K: Ord> Ord for Id<T, K> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key.cmp(&other.key)
    }
}
impl<T, K: Hash> Hash for Id<T, K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}
impl<T, K: fmt::Display> fmt::Display for Id<T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.key.fmt(f)
    }
}
impl<T, K: fmt::Display> fmt::Debug for Id<T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Id({})", self.key)
    }
}

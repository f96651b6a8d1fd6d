//! The id of a document as the cache compares and hashes it. No allocation for short ids.

use std::cell::RefCell;

use bson::Bson;
use bson::oid::ObjectId;

use super::space::Space;
use crate::engine::Tag;
use crate::pack::keys::{encode, tag};
use crate::query::value::View;

/// Bytes of a canonical id kept beside the value; an ObjectId takes 13.
const INLINE: usize = 22;

/// Bytes of an encoded ObjectId: its tag and itself.
const OBJECT_ID_BYTES: usize = 13;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// An id to look up, borrowed where it can be. Numbers that are equal are one id, whatever their type.
#[derive(Debug, Clone)]
pub enum IdRef<'a> {
    /// An ObjectId.
    ObjectId(ObjectId),
    /// A string.
    String(&'a str),
    /// A whole number.
    Int64(i64),
    /// Any value.
    Bson(&'a Bson),
    /// Any value, of its own. Boxed, so that a read of a common id moves few bytes.
    Owned(Box<Bson>),
}

impl IdRef<'_> {
    /// The id as a value of its own. Allocates for a borrowed string.
    pub fn to_bson(&self) -> Bson {
        match self {
            Self::ObjectId(id) => Bson::ObjectId(*id),
            Self::String(id) => Bson::String((*id).to_owned()),
            Self::Int64(id) => Bson::Int64(*id),
            Self::Bson(id) => (*id).clone(),
            Self::Owned(id) => Bson::clone(id),
        }
    }

    #[inline]
    fn view(&self) -> View<'_> {
        match self {
            Self::ObjectId(id) => View::ObjectId(id.bytes()),
            Self::String(id) => View::Str(id.as_bytes()),
            Self::Int64(id) => View::Int64(*id),
            Self::Bson(id) => View::from(*id),
            Self::Owned(id) => View::from(&**id),
        }
    }
}

impl<'a> From<&'a Bson> for IdRef<'a> {
    fn from(id: &'a Bson) -> Self {
        Self::Bson(id)
    }
}

impl From<Bson> for IdRef<'_> {
    fn from(id: Bson) -> Self {
        match id {
            Bson::ObjectId(id) => Self::ObjectId(id),
            Bson::Int64(id) => Self::Int64(id),
            other => Self::Owned(Box::new(other)),
        }
    }
}

impl From<ObjectId> for IdRef<'_> {
    fn from(id: ObjectId) -> Self {
        Self::ObjectId(id)
    }
}

impl<'a> From<&'a str> for IdRef<'a> {
    fn from(id: &'a str) -> Self {
        Self::String(id)
    }
}

impl From<i64> for IdRef<'_> {
    fn from(id: i64) -> Self {
        Self::Int64(id)
    }
}

/// The canonical bytes of an id.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum IdKey {
    Short { length: u8, bytes: [u8; INLINE] },
    Long(Box<[u8]>),
}

impl IdKey {
    /// No id: what belongs to a whole collection.
    pub(super) const NONE: Self = Self::Short {
        length: 0,
        bytes: [0; INLINE],
    };

    fn of(encoded: &[u8]) -> Self {
        let mut bytes = [0; INLINE];
        match bytes.get_mut(..encoded.len()) {
            Some(start) => {
                start.copy_from_slice(encoded);
                Self::Short {
                    length: encoded.len() as u8,
                    bytes,
                }
            }
            None => Self::Long(encoded.into()),
        }
    }

    /// Bytes outside the key itself.
    pub(super) fn heap_bytes(&self) -> usize {
        match self {
            Self::Short { .. } => 0,
            Self::Long(bytes) => bytes.len(),
        }
    }
}

/// A document to look up: encoded and hashed once.
#[derive(Clone)]
pub(super) struct Address {
    pub(super) key: IdKey,
    pub(super) tag: Tag,
}

impl Address {
    #[inline]
    pub(super) fn of(space: &Space, id: &IdRef<'_>) -> Self {
        if let IdRef::ObjectId(id) = id {
            return Self::of_object_id(space, *id);
        }
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.clear();
            encode(scratch, id.view());
            Self {
                key: IdKey::of(scratch),
                tag: space.tags.document(scratch),
            }
        })
    }

    /// The commonest id, without a detour.
    #[inline]
    fn of_object_id(space: &Space, id: ObjectId) -> Self {
        let mut bytes = [0; INLINE];
        bytes[0] = tag::OBJECT_ID;
        bytes[1..OBJECT_ID_BYTES].copy_from_slice(&id.bytes());
        Self {
            tag: space.tags.document(&bytes[..OBJECT_ID_BYTES]),
            key: IdKey::Short {
                length: OBJECT_ID_BYTES as u8,
                bytes,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::space::Spaces;

    #[test]
    fn an_object_id_has_one_address_by_either_way() {
        let space = Spaces::default().of("tasks");
        let id = ObjectId::new();
        let bson = Bson::ObjectId(id);
        let (direct, encoded) = (
            Address::of(&space, &id.into()),
            Address::of(&space, &IdRef::Bson(&bson)),
        );
        assert_eq!(direct.tag, encoded.tag);
        assert!(direct.key == encoded.key);
        assert_eq!(
            direct.tag,
            Tag::document("tasks", &crate::pack::keys::encoded(&bson))
        );
    }
}

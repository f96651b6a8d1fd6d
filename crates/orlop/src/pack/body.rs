//! The body of a stored document: BSON, `_id` first, `_v` (an int64) last.

use std::fmt;

use bson::Bson;
use bson::raw::{RawBsonRef, RawDocument, RawDocumentBuf};
use bytes::Bytes;

use crate::document::Revision;
use crate::{Error, Result};

/// Largest BSON of one document, in bytes: MongoDB's limit.
pub(crate) const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// `_v` at the end of a body: type, name with NUL, int64, and the document's closing NUL.
const TAIL_BYTES: usize = 1 + 3 + 8 + 1;
const TAIL_HEAD: [u8; 4] = [0x12, b'_', b'v', 0];

/// A stored document's BSON, shared: a clone is a reference count.
#[derive(Clone, PartialEq, Eq)]
pub struct Body(Bytes);

impl Body {
    /// Packs `document` under `id`: `_id` moves to the front, `_v` to the end with revision 0.
    ///
    /// # Errors
    /// `Invalid` when it is over 16 MiB or its BSON is malformed.
    pub fn pack(document: &RawDocument, id: &Bson) -> Result<Vec<u8>> {
        let mut packed = RawDocumentBuf::new();
        let id = bson::raw::RawBson::try_from(id.clone())
            .map_err(|error| Error::invalid(format!("malformed _id: {error}")))?;
        packed.append(bson::cstr!("_id"), id);
        for element in document.iter_elements() {
            let element =
                element.map_err(|error| Error::invalid(format!("malformed document: {error}")))?;
            if matches!(element.key().as_str(), "_id" | "_v") {
                continue;
            }
            let value = element
                .value()
                .map_err(|error| Error::invalid(format!("malformed document: {error}")))?;
            packed.append(element.key(), value);
        }
        packed.append(bson::cstr!("_v"), 0_i64);
        let packed = packed.into_bytes();
        if packed.len() > BODY_BYTES_MAX {
            return Err(Error::invalid(format!(
                "document of {} bytes is over the limit of {BODY_BYTES_MAX}",
                packed.len()
            )));
        }
        Ok(packed)
    }

    /// Writes the revision into packed bytes and seals them.
    ///
    /// # Panics
    /// When `packed` did not come from [`Body::pack`]: a bug of ours.
    pub fn seal(mut packed: Vec<u8>, revision: Revision) -> Self {
        let at = packed.len() - TAIL_BYTES;
        assert_eq!(&packed[at..at + 4], TAIL_HEAD, "a packed body ends with _v");
        packed[at + 4..at + 12].copy_from_slice(&revision.0.to_le_bytes());
        Self(Bytes::from(packed))
    }

    /// Bytes read from a store. Checks length and terminator, not every element.
    ///
    /// # Errors
    /// `Corrupt` when they are not one document.
    pub fn from_stored(bytes: Bytes) -> Result<Self> {
        RawDocument::from_bytes(&bytes)
            .map_err(|error| Error::corrupt(format!("stored document: {error}")))?;
        Ok(Self(bytes))
    }

    /// The document.
    pub fn raw(&self) -> &RawDocument {
        RawDocument::from_bytes(&self.0).expect("a body is checked where it is made")
    }

    /// The bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// The document's id.
    ///
    /// # Errors
    /// `Corrupt` when there is none.
    pub fn id(&self) -> Result<Bson> {
        match self.raw().get("_id") {
            Ok(Some(id)) => {
                Bson::try_from(id).map_err(|error| Error::corrupt(format!("stored _id: {error}")))
            }
            _ => Err(Error::corrupt("stored document has no _id")),
        }
    }

    /// The revision in its `_v`, when it has one where we put it.
    pub fn revision(&self) -> Option<Revision> {
        let at = self.0.len().checked_sub(TAIL_BYTES)?;
        if self.0.get(at..at + 4)? == TAIL_HEAD {
            let bytes = self.0.get(at + 4..at + 12)?;
            return Some(Revision(u64::from_le_bytes(bytes.try_into().ok()?)));
        }
        match self.raw().get("_v") {
            Ok(Some(RawBsonRef::Int64(revision))) => u64::try_from(revision).ok().map(Revision),
            Ok(Some(RawBsonRef::Int32(revision))) => u64::try_from(revision).ok().map(Revision),
            _ => None,
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the contents: bodies hold secrets.
        write!(f, "Body({} bytes)", self.0.len())
    }
}

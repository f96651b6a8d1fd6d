//! The body of a stored document: BSON, `_id` first, `_v` (an int64) last.

use std::fmt;

use bson::Bson;
use bson::raw::{RawBsonRef, RawDocument, RawDocumentBuf};
use bytes::Bytes;

use crate::document::Revision;
use crate::{Error, Result};

/// Largest BSON of one document, in bytes: MongoDB's limit.
pub(crate) const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Deepest nesting of documents and arrays inside a document: MongoDB's limit for documents.
const DEPTH_MAX: usize = 100;
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
            check_nested(value, 1)?;
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

/// Refuses what is nested deeper than [`DEPTH_MAX`] or malformed somewhere inside.
fn check_nested(value: RawBsonRef<'_>, depth: usize) -> Result<()> {
    let malformed = |error| Error::invalid(format!("malformed document: {error}"));
    if !matches!(value, RawBsonRef::Document(_) | RawBsonRef::Array(_)) {
        return Ok(());
    }
    if depth > DEPTH_MAX {
        return Err(Error::invalid(format!(
            "document is nested deeper than {DEPTH_MAX} levels"
        )));
    }
    match value {
        RawBsonRef::Document(inner) => {
            for element in inner {
                let (_, value) = element.map_err(malformed)?;
                check_nested(value, depth + 1)?;
            }
        }
        RawBsonRef::Array(inner) => {
            for value in inner {
                check_nested(value.map_err(malformed)?, depth + 1)?;
            }
        }
        _ => {}
    }
    Ok(())
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the contents: bodies hold secrets.
        write!(f, "Body({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::doc;

    fn nested(depth: usize) -> bson::Document {
        (0..depth).fold(doc! {}, |inner, _| doc! { "a": inner })
    }

    #[test]
    fn nesting_is_bounded_and_the_bound_itself_is_allowed() {
        let pack = |depth| {
            let document = RawDocumentBuf::try_from(&nested(depth)).unwrap();
            Body::pack(&document, &Bson::Int32(1))
        };
        assert!(pack(DEPTH_MAX).is_ok());
        let error = pack(DEPTH_MAX + 1).unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::Invalid);
    }

    #[test]
    fn damage_deep_inside_is_refused() {
        let document = RawDocumentBuf::try_from(&doc! { "a": { "b": [{ "text": "x" }] } }).unwrap();
        let mut bytes = document.into_bytes();
        let at = bytes.windows(5).position(|five| five == b"text\0").unwrap();
        bytes[at + 5] = 0x70;
        let document = RawDocumentBuf::from_bytes(bytes).unwrap();
        let error = Body::pack(&document, &Bson::Int32(1)).unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::Invalid);
    }

    #[test]
    fn id_goes_first_and_the_revision_last() {
        let document = RawDocumentBuf::try_from(&doc! { "_v": 9, "a": 1, "_id": 7 }).unwrap();
        let packed = Body::pack(&document, &Bson::Int32(7)).unwrap();
        let body = Body::seal(packed, Revision(5));
        let expected = doc! { "_id": 7, "a": 1, "_v": 5_i64 };
        assert_eq!(bson::Document::try_from(body.raw()).unwrap(), expected);
        assert_eq!(body.revision(), Some(Revision(5)));
        assert_eq!(body.id().unwrap(), Bson::Int32(7));
    }
}

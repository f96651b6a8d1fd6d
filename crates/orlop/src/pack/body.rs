//! The body of a stored document: BSON, `_id` first, `_v` (an int64) last.

use std::fmt;

use bson::Bson;
use bson::raw::{RawBsonRef, RawDocument, RawDocumentBuf};
use bytes::Bytes;

use crate::document::Revision;
use crate::query::value::{Fields, RawElement, View, raw_element};
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
        let packed = match in_place(document, id) {
            Some(packed) => packed,
            None => Self::rebuild(document, id)?,
        };
        if packed.len() > BODY_BYTES_MAX {
            return Err(Error::invalid(format!(
                "document of {} bytes is over the limit of {BODY_BYTES_MAX}",
                packed.len()
            )));
        }
        Ok(packed)
    }

    /// [`Body::pack`] element by element.
    fn rebuild(document: &RawDocument, id: &Bson) -> Result<Vec<u8>> {
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
        Ok(packed.into_bytes())
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

/// The packed document when nothing of it has to move: `_id` is in front already, there is no `_v`,
/// and it holds only values whose form can be judged in one pass. None says nothing: look closer.
///
/// Nearly every document of an application is like this, and takes one pass and one copy.
fn in_place(document: &RawDocument, id: &Bson) -> Option<Vec<u8>> {
    let bytes = document.as_bytes();
    let mut rest = bytes.get(4..bytes.len() - 1)?;
    let first = raw_element(&mut rest).ok()??;
    if first.key != b"_id" || !same_id(first.view().ok()?, id) {
        return None;
    }
    while let Some(element) = raw_element(&mut rest).ok()? {
        if matches!(element.key, b"_id" | b"_v") || !plain(&element, 1) {
            return None;
        }
    }
    let mut packed = Vec::with_capacity(bytes.len() - 1 + TAIL_BYTES);
    packed.extend_from_slice(bytes.get(..bytes.len() - 1)?);
    packed.extend_from_slice(&TAIL_HEAD);
    packed.extend_from_slice(&[0; 9]);
    let length = i32::try_from(packed.len()).ok()?;
    packed.get_mut(..4)?.copy_from_slice(&length.to_le_bytes());
    Some(packed)
}

/// Whether a stored id is this one to the last byte.
fn same_id(stored: View<'_>, id: &Bson) -> bool {
    match (stored, id) {
        (View::ObjectId(stored), Bson::ObjectId(id)) => stored == id.bytes(),
        (View::Str(stored), Bson::String(id)) => stored == id.as_bytes(),
        (View::Int32(stored), Bson::Int32(id)) => stored == *id,
        (View::Int64(stored), Bson::Int64(id)) => stored == *id,
        _ => false,
    }
}

/// Whether an element is of a common type and sound all through.
fn plain(element: &RawElement<'_>, depth: usize) -> bool {
    if depth > DEPTH_MAX || std::str::from_utf8(element.key).is_err() {
        return false;
    }
    match element.view() {
        Ok(View::Str(text)) => std::str::from_utf8(text).is_ok(),
        Ok(View::Document(Fields::Raw(inner)) | View::Array(Fields::Raw(inner))) => {
            let mut rest = inner;
            loop {
                match raw_element(&mut rest) {
                    Ok(Some(element)) if plain(&element, depth + 1) => {}
                    Ok(None) => return true,
                    _ => return false,
                }
            }
        }
        Ok(View::Bool(_)) => element.value_is_one_of(&[0, 1]),
        Ok(
            View::Null
            | View::Double(_)
            | View::Int32(_)
            | View::Int64(_)
            | View::ObjectId(_)
            | View::Date(_),
        ) => true,
        _ => false,
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

    /// Packed both ways, of bytes that may be damaged: the short way never says anything else.
    fn packs_alike(bytes: Vec<u8>, id: &Bson) -> bool {
        let Ok(document) = RawDocumentBuf::from_bytes(bytes) else {
            return false;
        };
        let quick = in_place(&document, id);
        if let Some(quick) = &quick {
            let slow = Body::rebuild(&document, id).expect("what is plain is sound");
            assert_eq!(*quick, slow);
        }
        quick.is_some()
    }

    #[test]
    fn the_short_way_packs_as_the_long_way_or_not_at_all() {
        let oid = bson::oid::ObjectId::from_bytes([7; 12]);
        let common = doc! { "_id": oid, "a": "text", "b": [1, 2.5, { "c": true }], "d": null,
        "e": bson::DateTime::from_millis(5), "f": 1_i64, "g": { "h": "é" } };
        let bytes = common.to_vec().unwrap();
        assert!(packs_alike(bytes.clone(), &Bson::ObjectId(oid)));
        let mut quick = 0;
        for at in 4..bytes.len() {
            for value in [0, 1, 2, 3, 4, 5, 8, 0x10, 0x7F, 0x80, 0xC3, 0xFF] {
                let mut damaged = bytes.clone();
                damaged[at] = value;
                quick += usize::from(packs_alike(damaged, &Bson::ObjectId(oid)));
            }
        }
        assert!(quick > 0);
    }

    #[test]
    fn the_short_way_leaves_ids_and_revisions_elsewhere_to_the_long_way() {
        let refused = [
            doc! { "a": 1, "_id": 7 },
            doc! { "_id": 7, "_v": 1 },
            doc! { "_id": 7_i64, "a": 1 },
            doc! { "_id": 7, "a": Bson::MaxKey },
            doc! { "_id": 7, "a": nested(DEPTH_MAX) },
        ];
        for document in refused {
            assert!(
                !packs_alike(document.to_vec().unwrap(), &Bson::Int32(7)),
                "{document}"
            );
        }
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

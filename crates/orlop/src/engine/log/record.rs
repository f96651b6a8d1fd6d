//! One committed batch and its bytes. Pure; docs/format.md "Log records" describes every byte.
//!
//! Knows: the shape of a batch. Does not know: what a body or a catalog change holds.

use std::sync::Arc;

use bson::Bson;
use bytes::{BufMut, Bytes};

use crate::engine::Seq;
use crate::pack::Body;
use crate::{Error, Result};

/// First byte of an encoded record.
const RECORD_VERSION: u8 = 1;

/// One committed batch.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Record {
    /// Its number.
    pub(crate) seq: Seq,
    /// When it was committed, milliseconds since 1970 by the wall clock.
    pub(crate) at_ms: i64,
    /// Who wrote it.
    pub(crate) origin: Option<Arc<str>>,
    /// Changes of the catalog, opaque to the log, in order; replayed before `changes`.
    pub(crate) catalog: Vec<Bytes>,
    /// What changed, in order.
    pub(crate) changes: Vec<RecordChange>,
}

/// One change of a committed batch.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RecordChange {
    /// What it is, opaque to the log.
    pub(crate) kind: u8,
    /// The collection's number when it happened.
    pub(crate) number: u32,
    /// The collection's name when it happened.
    pub(crate) collection: Arc<str>,
    /// The document before; none when it was absent.
    pub(crate) before: Option<Bytes>,
    /// The document after; none when it is absent.
    pub(crate) after: Option<Bytes>,
}

impl RecordChange {
    /// The document's id, out of its images: the log does not store it twice. Null when there is
    /// neither image, as for a change of a whole collection.
    ///
    /// # Errors
    /// `Corrupt` when an image is not a document with an id.
    pub(crate) fn id(&self) -> Result<Bson> {
        match self.after.as_ref().or(self.before.as_ref()) {
            Some(image) => Body::from_stored(image.clone())?.id(),
            None => Ok(Bson::Null),
        }
    }
}

impl Record {
    /// Appends the bytes of everything but `seq`, which the frame around them carries.
    ///
    /// # Cost
    /// One copy of each image.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.put_u8(RECORD_VERSION);
        out.put_i64_le(self.at_ms);
        put_optional(out, self.origin.as_deref().map(str::as_bytes));
        put_varint(out, self.catalog.len() as u64);
        for change in &self.catalog {
            put_bytes(out, change);
        }
        let collections = Collections::of(&self.changes);
        put_varint(out, collections.0.len() as u64);
        for (number, name) in &collections.0 {
            put_varint(out, u64::from(*number));
            put_bytes(out, name.as_bytes());
        }
        put_varint(out, self.changes.len() as u64);
        for change in &self.changes {
            out.put_u8(change.kind);
            put_varint(out, collections.position(change) as u64);
            put_optional(out, change.before.as_deref());
            put_optional(out, change.after.as_deref());
        }
    }

    /// The record in `bytes`; its images share them.
    ///
    /// Never panics and never allocates more than a small multiple of the input, whatever it holds.
    ///
    /// # Errors
    /// `Corrupt` when they are not one record; `Unsupported` when a newer program wrote them.
    pub(crate) fn decode(seq: Seq, bytes: &Bytes) -> Result<Self> {
        let mut input = Input { bytes, at: 0 };
        input
            .record(seq)
            .map_err(|error| error.context(format_args!("record {seq}")))
    }
}

/// The collections of a record, each once: a bulk load says its collection's name a single time.
struct Collections<'a>(Vec<(u32, &'a str)>);

impl<'a> Collections<'a> {
    fn of(changes: &'a [RecordChange]) -> Self {
        let mut all: Vec<(u32, &str)> = Vec::new();
        for change in changes {
            let this = (change.number, &*change.collection);
            // From the end, since runs of one collection are what batches are made of.
            if !all.iter().rev().any(|known| *known == this) {
                all.push(this);
            }
        }
        Self(all)
    }

    fn position(&self, change: &RecordChange) -> usize {
        self.0
            .iter()
            .rposition(|known| *known == (change.number, &*change.collection))
            .expect("every change's collection was gathered")
    }
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.put_slice(bytes);
}

/// 0 for none, else the length plus one, then the bytes.
fn put_optional(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => out.put_u8(0),
        Some(bytes) => {
            put_varint(out, bytes.len() as u64 + 1);
            out.put_slice(bytes);
        }
    }
}

struct Input<'a> {
    bytes: &'a Bytes,
    at: usize,
}

impl Input<'_> {
    fn record(&mut self, seq: Seq) -> Result<Record> {
        let version = self.byte()?;
        if version != RECORD_VERSION {
            return Err(Error::unsupported(format!(
                "written by a newer program (version {version}, this one knows {RECORD_VERSION})"
            )));
        }
        let at_ms = i64::from_le_bytes(self.array()?);
        let origin = self.optional()?.map(|bytes| text(&bytes)).transpose()?;
        let mut catalog = Vec::new();
        for _ in 0..self.varint()? {
            catalog.push(self.prefixed()?);
        }
        let mut collections: Vec<(u32, Arc<str>)> = Vec::new();
        for _ in 0..self.varint()? {
            let number = u32::try_from(self.varint()?)
                .map_err(|_| Error::corrupt("a collection's number is over 32 bits"))?;
            collections.push((number, text(&self.prefixed()?)?));
        }
        let mut changes = Vec::new();
        for _ in 0..self.varint()? {
            let kind = self.byte()?;
            let position = usize::try_from(self.varint()?).unwrap_or(usize::MAX);
            let (number, collection) = collections
                .get(position)
                .ok_or_else(|| Error::corrupt("a change names no collection of its record"))?;
            changes.push(RecordChange {
                kind,
                number: *number,
                collection: collection.clone(),
                before: self.optional()?,
                after: self.optional()?,
            });
        }
        if self.at != self.bytes.len() {
            let rest = self.bytes.len() - self.at;
            return Err(Error::corrupt(format!("{rest} bytes behind its end")));
        }
        Ok(Record {
            seq,
            at_ms,
            origin,
            catalog,
            changes,
        })
    }

    fn byte(&mut self) -> Result<u8> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let array = self
            .bytes
            .get(self.at..)
            .and_then(|rest| rest.first_chunk::<N>())
            .ok_or_else(cut)?;
        self.at += N;
        Ok(*array)
    }

    fn varint(&mut self) -> Result<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7F);
            // The tenth byte has room for one bit.
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Error::corrupt("a number is over 64 bits"))
    }

    fn prefixed(&mut self) -> Result<Bytes> {
        let length = self.varint()?;
        self.take(length)
    }

    fn optional(&mut self) -> Result<Option<Bytes>> {
        match self.varint()? {
            0 => Ok(None),
            more => Ok(Some(self.take(more - 1)?)),
        }
    }

    fn take(&mut self, length: u64) -> Result<Bytes> {
        let end = usize::try_from(length)
            .ok()
            .and_then(|length| self.at.checked_add(length))
            .filter(|end| *end <= self.bytes.len())
            .ok_or_else(cut)?;
        let taken = self.bytes.slice(self.at..end);
        self.at = end;
        Ok(taken)
    }
}

fn text(bytes: &Bytes) -> Result<Arc<str>> {
    std::str::from_utf8(bytes)
        .map(Arc::from)
        .map_err(|_| Error::corrupt("a name is not UTF-8"))
}

fn cut() -> Error {
    Error::corrupt("ends before it is complete")
}

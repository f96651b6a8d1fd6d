//! Where an encoded value ends, and how `explain` shows one.

use super::{ESCAPED, TEXT_END, number, tag};
use crate::document::{Direction, IndexSpec};
use crate::{Error, Result};

/// Length of the encoded value at the start of `bytes`; none when there is no whole one.
pub fn value_len(bytes: &[u8], direction: Direction) -> Option<usize> {
    let flip = match direction {
        Direction::Ascending => 0x00,
        Direction::Descending => 0xFF,
    };
    let mut walk = Walk { bytes, at: 0, flip };
    walk.value()?;
    Some(walk.at)
}

/// The id's key behind the key values of an index entry, given without the entry's prefix.
///
/// # Errors
/// `Corrupt` when the key values are not those of the index, or no id follows.
pub fn entry_id<'a>(spec: &IndexSpec, entry: &'a [u8]) -> Result<&'a [u8]> {
    let mut id = entry;
    for (_, direction) in &spec.keys {
        let rest = value_len(id, *direction).and_then(|length| id.get(length..));
        id = rest.ok_or_else(|| damaged(spec, entry))?;
    }
    match value_len(id, Direction::Ascending) {
        Some(length) if length == id.len() => Ok(id),
        _ => Err(damaged(spec, entry)),
    }
}

fn damaged(spec: &IndexSpec, entry: &[u8]) -> Error {
    let (name, length) = (&spec.name, entry.len());
    Error::corrupt(format!(
        "index {name}: an entry of {length} bytes cannot be read"
    ))
}

/// An encoded ascending value, or the beginning of one, for people. Lossy.
pub fn describe(bytes: &[u8]) -> String {
    let Some((&first, rest)) = bytes.split_first() else {
        return "MinKey".into();
    };
    match first {
        tag::MIN_KEY => "MinKey".into(),
        tag::UNDEFINED => "undefined".into(),
        tag::NULL => "null".into(),
        tag::NUMBER => match rest.first_chunk() {
            Some(double) => format!("{}", number::decode_f64(*double)),
            None => "number".into(),
        },
        tag::STRING => format!("{:?}", text(rest)),
        tag::DOCUMENT => "{..}".into(),
        tag::ARRAY => "[..]".into(),
        tag::BINARY => "binary".into(),
        tag::OBJECT_ID => match rest.first_chunk() {
            Some(id) => format!("ObjectId({})", bson::oid::ObjectId::from_bytes(*id)),
            None => "ObjectId".into(),
        },
        tag::BOOL => match rest.first() {
            Some(it) => (*it != 0).to_string(),
            None => "bool".into(),
        },
        tag::DATE => match rest
            .first_chunk()
            .map(|it| u64::from_be_bytes(*it) ^ (1 << 63))
        {
            Some(it) => {
                let date = bson::DateTime::from_millis(it as i64);
                date.try_to_rfc3339_string()
                    .unwrap_or_else(|_| format!("date {}", it as i64))
            }
            None => "date".into(),
        },
        tag::TIMESTAMP => "timestamp".into(),
        tag::REGEX => format!("/{}/", text(rest)),
        tag::POINTER => "dbPointer".into(),
        tag::CODE | tag::CODE_SCOPE => "javascript".into(),
        tag::MAX_KEY => "MaxKey".into(),
        _ => "?".into(),
    }
}

/// The text at the start, without its escapes.
fn text(bytes: &[u8]) -> String {
    let mut plain = Vec::new();
    let mut rest = bytes.iter();
    while let Some(byte) = rest.next() {
        if *byte == 0 && rest.next() != Some(&ESCAPED) {
            break;
        }
        plain.push(*byte);
    }
    String::from_utf8_lossy(&plain).into_owned()
}

struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Xor of every byte: a descending encoding is the complement.
    flip: u8,
}

impl Walk<'_> {
    fn value(&mut self) -> Option<()> {
        let tag = self.byte()?;
        self.payload(tag)
    }

    fn payload(&mut self, tag: u8) -> Option<()> {
        match tag {
            tag::MIN_KEY | tag::UNDEFINED | tag::NULL | tag::MAX_KEY => Some(()),
            tag::NUMBER => {
                self.skip(number::SHORT_BYTES - 1)?;
                match self.byte()? {
                    number::AT => Some(()),
                    _ => self.skip(number::LONG_BYTES - number::SHORT_BYTES),
                }
            }
            tag::STRING | tag::CODE => self.text(),
            tag::DOCUMENT => self.fields(),
            tag::ARRAY => loop {
                match self.byte()? {
                    super::END => return Some(()),
                    tag => self.payload(tag)?,
                }
            },
            tag::BINARY => {
                let length = self.length()?;
                let kind = self.byte()?;
                self.skip(length - if kind == 2 { 4.min(length) } else { 0 })
            }
            tag::OBJECT_ID => self.skip(12),
            tag::BOOL => self.skip(1),
            tag::DATE | tag::TIMESTAMP => self.skip(8),
            tag::REGEX => self.text().and_then(|()| self.text()),
            tag::POINTER => self.length().and_then(|length| self.skip(length)),
            tag::CODE_SCOPE => self.text().and_then(|()| self.fields()),
            _ => None,
        }
    }

    fn fields(&mut self) -> Option<()> {
        loop {
            let tag = self.byte()?;
            if tag == super::END {
                return Some(());
            }
            self.text()?;
            self.payload(tag)?;
        }
    }

    fn text(&mut self) -> Option<()> {
        let nul = self.flip;
        loop {
            let rest = self.bytes.get(self.at..)?;
            self.at += rest.iter().position(|byte| *byte == nul)? + 1;
            if self.byte()? == TEXT_END[1] {
                return Some(());
            }
        }
    }

    fn length(&mut self) -> Option<usize> {
        let mut length = [0; 4];
        for byte in &mut length {
            *byte = self.byte()?;
        }
        usize::try_from(u32::from_be_bytes(length)).ok()
    }

    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte ^ self.flip)
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        self.at = self.at.checked_add(count)?;
        (self.at <= self.bytes.len()).then_some(())
    }
}

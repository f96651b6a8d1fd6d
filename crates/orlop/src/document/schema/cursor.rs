//! A walk over the elements of a BSON document: type byte, name, value bytes. Checks every bound.

/// One element.
#[derive(Debug, Clone, Copy)]
pub(super) struct Element<'a> {
    pub(super) kind: u8,
    pub(super) name: &'a [u8],
    pub(super) value: &'a [u8],
}

/// The elements of a document; ends early, with `malformed` set, at bytes that are no element.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
    pub(super) malformed: bool,
}

impl<'a> Cursor<'a> {
    /// Over the bytes of a whole document, length and closing NUL included.
    pub(super) fn new(document: &'a [u8]) -> Self {
        let inside = length(document)
            .filter(|length| *length == document.len() && *length >= 5)
            .and_then(|length| document.get(4..length - 1));
        Self {
            rest: inside.unwrap_or_default(),
            malformed: inside.is_none(),
        }
    }

    fn step(&mut self) -> Option<Element<'a>> {
        let (kind, rest) = self.rest.split_first()?;
        let end = rest.iter().position(|byte| *byte == 0)?;
        let (name, rest) = rest.split_at_checked(end)?;
        let rest = rest.get(1..)?;
        let (value, rest) = rest.split_at_checked(width(*kind, rest)?)?;
        self.rest = rest;
        Some(Element {
            kind: *kind,
            name,
            value,
        })
    }
}

impl<'a> Iterator for Cursor<'a> {
    type Item = Element<'a>;
    fn next(&mut self) -> Option<Element<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let element = self.step();
        if element.is_none() {
            self.rest = &[];
            self.malformed = true;
        }
        element
    }
}

impl<'a> Element<'a> {
    /// The text of a string, without its length and closing NUL.
    pub(super) fn text(&self) -> &'a [u8] {
        self.value
            .get(4..self.value.len().saturating_sub(1))
            .unwrap_or_default()
    }

    pub(super) fn bytes<const N: usize>(&self) -> [u8; N] {
        self.value.try_into().unwrap_or([0; N])
    }
}

fn length(bytes: &[u8]) -> Option<usize> {
    let length = i32::from_le_bytes(bytes.get(..4)?.try_into().ok()?);
    usize::try_from(length).ok()
}

/// Bytes of a value of this type at the start of `rest`. See the BSON specification, version 1.1.
fn width(kind: u8, rest: &[u8]) -> Option<usize> {
    let to_nul =
        |from: usize| Some(rest.get(from..)?.iter().position(|byte| *byte == 0)? + from + 1);
    match kind {
        0x01 | 0x09 | 0x11 | 0x12 => Some(8),
        0x02 | 0x0D | 0x0E => length(rest)?.checked_add(4).filter(|width| *width >= 5),
        0x03 | 0x04 | 0x0F => length(rest).filter(|width| *width >= 5),
        0x05 => length(rest)?.checked_add(5),
        0x06 | 0x0A | 0x7F | 0xFF => Some(0),
        0x07 => Some(12),
        0x08 => Some(1),
        0x0B => to_nul(to_nul(0)?),
        0x0C => length(rest)?.checked_add(16),
        0x10 => Some(4),
        0x13 => Some(16),
        _ => None,
    }
}

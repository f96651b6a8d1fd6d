//! The bytes around records: the head of a segment file and the head of a frame. Pure.
//!
//! docs/format.md "Log" draws both. Every checksum covers where its bytes belong: a frame that was
//! copied to another place, or that lies inside a document, is not valid there.

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::engine::Seq;

/// First bytes of every segment file, of every version.
const SEGMENT_MAGIC: [u8; 8] = *b"ORLOPLOG";
/// The version this program writes.
pub(super) const FORMAT_VERSION: u32 = 1;
/// Bytes of the head of a segment file; frames follow.
pub(super) const SEGMENT_HEAD: usize = 64;

/// First bytes of every frame.
pub(super) const FRAME_MAGIC: [u8; 4] = *b"OLFR";
/// Bytes of the head of a frame; its payload follows.
pub(super) const FRAME_HEAD: usize = 48;
/// The frame holds no record: it says only that everything before it was synced.
const FLAG_MARK: u16 = 1;
/// Longest payload.
pub(super) const PAYLOAD_MAX: usize = 1 << 30;

/// Who a segment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentHead {
    /// 1, 2, 3 .. without a gap.
    pub(super) number: u32,
    /// The store it belongs to.
    pub(super) store: [u8; 16],
    /// The last record of the segment before.
    pub(super) prev: Seq,
    /// Its records are above this. More than `prev` where records never reached the log.
    pub(super) base: Seq,
    /// When it was created, milliseconds since 1970.
    pub(super) created_ms: i64,
}

/// Why bytes are not the head of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeadFault {
    /// Not what was written.
    Damaged,
    /// Written by a newer program, in this version.
    Newer(u32),
}

impl SegmentHead {
    pub(super) fn encode(&self) -> [u8; SEGMENT_HEAD] {
        let mut head = [0; SEGMENT_HEAD];
        head[..8].copy_from_slice(&SEGMENT_MAGIC);
        head[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        head[12..16].copy_from_slice(&self.number.to_le_bytes());
        head[16..32].copy_from_slice(&self.store);
        head[32..40].copy_from_slice(&self.prev.to_le_bytes());
        head[40..48].copy_from_slice(&self.base.to_le_bytes());
        head[48..56].copy_from_slice(&self.created_ms.to_le_bytes());
        let checksum = xxh3_64(&head[..56]);
        head[56..].copy_from_slice(&checksum.to_le_bytes());
        head
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, HeadFault> {
        let head: &[u8; SEGMENT_HEAD] = bytes.first_chunk().ok_or(HeadFault::Damaged)?;
        // Magic, version and checksum stay where they are in every version, so that a flipped bit
        // in the version is damage and not a newer program.
        if head[..8] != SEGMENT_MAGIC || u64_at(head, 56) != xxh3_64(&head[..56]) {
            return Err(HeadFault::Damaged);
        }
        let version = u32_at(head, 8);
        if version != FORMAT_VERSION {
            return Err(HeadFault::Newer(version));
        }
        let mut store = [0; 16];
        store.copy_from_slice(&head[16..32]);
        let read = Self {
            number: u32_at(head, 12),
            store,
            prev: u64_at(head, 32),
            base: u64_at(head, 40),
            created_ms: u64_at(head, 48) as i64,
        };
        if read.base < read.prev {
            return Err(HeadFault::Damaged);
        }
        Ok(read)
    }

    /// What the checksums of its frames begin with.
    pub(super) fn seed(store: &[u8; 16], number: u32) -> u64 {
        let mut place = [0; 20];
        place[..16].copy_from_slice(store);
        place[16..].copy_from_slice(&number.to_le_bytes());
        xxh3_64(&place)
    }
}

/// The head of a frame, without its checksums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameHead {
    /// Whether it holds no record.
    pub(super) mark: bool,
    /// Bytes of the payload.
    pub(super) length: usize,
    /// The number of its record; of a mark, that of the record before it.
    pub(super) seq: Seq,
    /// The record before it. What lies between was never logged.
    pub(super) prev: Seq,
    /// The last record known to be synced when this was written.
    pub(super) synced_through: Seq,
    payload_checksum: u64,
}

impl FrameHead {
    /// A head for a record's payload.
    pub(super) fn record(seq: Seq, prev: Seq, synced_through: Seq) -> Self {
        Self {
            mark: false,
            length: 0,
            seq,
            prev,
            synced_through,
            payload_checksum: 0,
        }
    }

    /// A mark: everything up to `synced_through`, the last record, is synced.
    pub(super) fn mark(synced_through: Seq) -> Self {
        Self {
            mark: true,
            ..Self::record(synced_through, synced_through, synced_through)
        }
    }

    /// Fills in the head at the start of `frame`, whose payload is there already, for `offset`.
    ///
    /// # Panics
    /// When `frame` is shorter than a head or longer than the longest frame.
    pub(super) fn seal(&self, frame: &mut [u8], seed: u64, offset: u64) {
        let (head, payload) = frame.split_at_mut(FRAME_HEAD);
        let length = u32::try_from(payload.len()).expect("payloads are limited to 1 GiB");
        let flags = if self.mark { FLAG_MARK } else { 0 };
        head[..4].copy_from_slice(&FRAME_MAGIC);
        head[4..6].copy_from_slice(&flags.to_le_bytes());
        head[6..8].copy_from_slice(&[0; 2]);
        head[8..12].copy_from_slice(&length.to_le_bytes());
        head[16..24].copy_from_slice(&self.seq.to_le_bytes());
        head[24..32].copy_from_slice(&self.prev.to_le_bytes());
        head[32..40].copy_from_slice(&self.synced_through.to_le_bytes());
        let seed = seed.wrapping_add(offset);
        let payload_checksum = xxh3_64_with_seed(payload, seed);
        head[40..48].copy_from_slice(&payload_checksum.to_le_bytes());
        let checksum = head_checksum(head, seed);
        head[12..16].copy_from_slice(&checksum.to_le_bytes());
    }

    /// The head at the start of `bytes`, which lie at `offset` of their file; none when it is no
    /// head, or not one for that place. Costs a hash of 44 bytes.
    pub(super) fn decode(bytes: &[u8], seed: u64, offset: u64) -> Option<Self> {
        let head: &[u8; FRAME_HEAD] = bytes.first_chunk()?;
        if head[..4] != FRAME_MAGIC {
            return None;
        }
        if u32_at(head, 12) != head_checksum(head, seed.wrapping_add(offset)) {
            return None;
        }
        let flags = u16::from_le_bytes([head[4], head[5]]);
        let read = Self {
            mark: flags == FLAG_MARK,
            length: u32_at(head, 8) as usize,
            seq: u64_at(head, 16),
            prev: u64_at(head, 24),
            synced_through: u64_at(head, 32),
            payload_checksum: u64_at(head, 40),
        };
        let sane = flags <= FLAG_MARK
            && head[6..8] == [0; 2]
            && read.length <= PAYLOAD_MAX
            && read.synced_through <= read.prev
            && if read.mark {
                read.seq == read.prev && read.length == 0
            } else {
                read.seq > read.prev
            };
        sane.then_some(read)
    }

    /// Whether `payload` is the one the head was written for.
    pub(super) fn matches(&self, payload: &[u8], seed: u64, offset: u64) -> bool {
        payload.len() == self.length
            && xxh3_64_with_seed(payload, seed.wrapping_add(offset)) == self.payload_checksum
    }

    /// Bytes of the whole frame.
    pub(super) fn frame_bytes(&self) -> usize {
        FRAME_HEAD + self.length
    }
}

/// The low half of XXH3-64 over the head but for the checksum itself.
fn head_checksum(head: &[u8], seed: u64) -> u32 {
    let mut covered = [0; FRAME_HEAD - 4];
    covered[..12].copy_from_slice(&head[..12]);
    covered[12..].copy_from_slice(&head[16..FRAME_HEAD]);
    xxh3_64_with_seed(&covered, seed) as u32
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut four = [0; 4];
    four.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(four)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut eight = [0; 8];
    eight.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(eight)
}

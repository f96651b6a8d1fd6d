//! Walks the bytes of a whole segment: valid frames, what is damaged, what was synced. Pure.

use std::collections::VecDeque;

use super::frame::{FRAME_HEAD, FRAME_MAGIC, FrameHead, HeadFault, SEGMENT_HEAD, SegmentHead};
use crate::engine::Seq;

/// About how many bytes lie between two entries of a segment's table of places.
pub(super) const PLACE_BYTES: u64 = 256 * 1024;

/// Where a frame begins, and the record it follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FramePlace {
    pub(super) prev: Seq,
    pub(super) offset: u64,
}

/// Bytes where a frame should be and is none, or where the chain of frames breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gap {
    /// Where it begins.
    pub(super) offset: u64,
    /// The last record before it.
    pub(super) after: Seq,
    /// The record that the next valid frame follows; none when no valid frame comes.
    pub(super) until: Option<Seq>,
}

impl Gap {
    /// Whether no record can have been in it: the frame behind it follows the one before it.
    pub(super) fn is_empty(&self) -> bool {
        self.until == Some(self.after)
    }

    /// The numbers its records can have had, when some other fact says that up to `known` there
    /// were some.
    pub(super) fn lost(&self, known: Seq) -> Option<(Seq, Seq)> {
        let last = self.until.unwrap_or(known);
        (last > self.after).then_some((self.after + 1, last))
    }
}

/// What a segment holds.
#[derive(Debug)]
pub(super) struct Scan {
    /// Its head.
    pub(super) head: Result<SegmentHead, HeadFault>,
    /// The number its frames begin behind: from the head, else from the first valid frame.
    pub(super) base: Option<Seq>,
    /// Some frames, in order.
    pub(super) places: Vec<FramePlace>,
    /// What is not as it was written, in order.
    pub(super) gaps: Vec<Gap>,
    /// The last record; the base when there is none.
    pub(super) last: Seq,
    /// End of the last valid frame.
    pub(super) end: u64,
    /// End of the last byte that is not zero.
    pub(super) dirty_end: u64,
    /// The last record that some frame proves to have been synced.
    pub(super) proven: Seq,
    /// Where the records begin that nothing proves to have been synced; `end` when there are none.
    pub(super) unproven_from: u64,
}

impl Scan {
    /// Which of the gaps begins a torn tail, were this the last segment: the first that lost
    /// something and that no valid frame behind it proves to have been synced.
    pub(super) fn torn(&self) -> Option<usize> {
        let torn = |gap: &Gap| !gap.is_empty() && gap.after >= self.proven;
        self.gaps.iter().position(torn)
    }
}

/// Walks `bytes`, the whole of segment `number` of `store`.
///
/// # Cost
/// One hash of everything; where it is damaged also a search for the next frame, byte by byte.
pub(super) fn scan(bytes: &[u8], store: &[u8; 16], number: u32) -> Scan {
    let head = SegmentHead::decode(bytes).and_then(|head| {
        match head.number == number && head.store == *store {
            true => Ok(head),
            false => Err(HeadFault::Damaged),
        }
    });
    let seed = SegmentHead::seed(store, number);
    let base = head.ok().map(|head| head.base);
    let mut walk = Walk {
        bytes,
        seed,
        unproven: VecDeque::new(),
        next_place: 0,
        scan: Scan {
            head,
            base,
            places: Vec::new(),
            gaps: Vec::new(),
            last: base.unwrap_or(0),
            end: SEGMENT_HEAD as u64,
            dirty_end: dirty_end(bytes),
            proven: base.unwrap_or(0),
            unproven_from: 0,
        },
    };
    walk.run();
    walk.scan
}

/// A frame and where it begins.
pub(super) type Placed = (u64, FrameHead);

/// The first valid frame at or behind `from` that can follow `last`: never one of an older place
/// in the chain.
pub(super) fn find_frame(bytes: &[u8], seed: u64, from: u64, last: Option<Seq>) -> Option<Placed> {
    let mut at = usize::try_from(from).ok()?;
    loop {
        let rest = bytes.get(at..)?;
        let magic = rest.windows(FRAME_MAGIC.len());
        at += magic.into_iter().position(|four| four == FRAME_MAGIC)?;
        match frame_at(bytes, seed, at as u64) {
            Some(head) if last.is_none_or(|last| head.prev >= last) => {
                return Some((at as u64, head));
            }
            _ => at += 1,
        }
    }
}

fn frame_at(bytes: &[u8], seed: u64, offset: u64) -> Option<FrameHead> {
    let at = usize::try_from(offset).ok()?;
    let head = FrameHead::decode(bytes.get(at..)?, seed, offset)?;
    let payload = bytes.get(at + FRAME_HEAD..)?.get(..head.length)?;
    head.matches(payload, seed, offset).then_some(head)
}

/// End of the last byte that is not zero. Eight bytes at a time: most of it is zeros.
fn dirty_end(bytes: &[u8]) -> u64 {
    let mut end = bytes.len();
    while let Some(eight) = bytes.get(..end).and_then(|rest| rest.last_chunk::<8>()) {
        if *eight != [0; 8] {
            break;
        }
        end -= 8;
    }
    while end > 0 && bytes.get(end - 1) == Some(&0) {
        end -= 1;
    }
    end as u64
}

struct Walk<'a> {
    bytes: &'a [u8],
    seed: u64,
    scan: Scan,
    /// Numbers and offsets of records that nothing has proven yet to have been synced.
    unproven: VecDeque<(Seq, u64)>,
    next_place: u64,
}

impl Walk<'_> {
    fn run(&mut self) {
        while self.scan.end < self.bytes.len() as u64 {
            let at = self.scan.end;
            let follows =
                |head: &FrameHead| self.scan.base.is_none() || head.prev == self.scan.last;
            if let Some(head) = frame_at(self.bytes, self.seed, at).filter(follows) {
                self.accept(at, &head);
                continue;
            }
            if self.scan.dirty_end <= at {
                break;
            }
            let known = self.scan.base.map(|_| self.scan.last);
            let found = find_frame(self.bytes, self.seed, at, known);
            self.scan.gaps.push(Gap {
                offset: at,
                after: known.or(found.map(|(_, head)| head.prev)).unwrap_or(0),
                until: found.map(|(_, head)| head.prev),
            });
            match found {
                Some((offset, head)) => self.accept(offset, &head),
                None => break,
            }
        }
        let scan = &mut self.scan;
        scan.unproven_from = self.unproven.front().map_or(scan.end, |first| first.1);
    }

    fn accept(&mut self, offset: u64, head: &FrameHead) {
        let scan = &mut self.scan;
        let base = *scan.base.get_or_insert(head.prev);
        scan.last = head.seq;
        scan.end = offset + head.frame_bytes() as u64;
        // A segment begins only when the one before it was synced.
        scan.proven = scan.proven.max(head.synced_through).max(base);
        while self
            .unproven
            .front()
            .is_some_and(|first| first.0 <= scan.proven)
        {
            self.unproven.pop_front();
        }
        if head.mark {
            return;
        }
        self.unproven.push_back((head.seq, offset));
        if offset >= self.next_place {
            let prev = head.prev;
            scan.places.push(FramePlace { prev, offset });
            self.next_place = offset + PLACE_BYTES;
        }
    }
}

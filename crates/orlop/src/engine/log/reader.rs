//! Reading the log on disk while others append to it and drop its old segments.

use std::sync::Arc;

use bytes::Bytes;

use super::files::{Files, Segment, file_name, unavailable};
use super::frame::{FRAME_HEAD, FrameHead, SEGMENT_HEAD, SegmentHead};
use super::scan::find_frame;
use super::{Damage, DiskFile, Record};
use crate::engine::Seq;
use crate::{Error, Outcome, Result};

/// Bytes read ahead: little at the tail, where the next bytes are not written yet, more and more in
/// a long run.
const AHEAD_BYTES_MIN: usize = 4 * 1024;
const AHEAD_BYTES_MAX: usize = 256 * 1024;

#[derive(Debug)]
pub(super) struct FileReader {
    files: Arc<Files>,
    /// Records up to here are passed over.
    from: Seq,
    /// The last record passed.
    at: Seq,
    number: u32,
    file: Arc<dyn DiskFile>,
    seed: u64,
    /// Where the next frame begins.
    offset: u64,
    chunk: Vec<u8>,
    chunk_offset: u64,
    ahead: usize,
}

impl FileReader {
    pub(super) fn new(files: &Arc<Files>, after: Seq) -> Result<Self> {
        let (segment, offset, prev) = {
            let segments = files.segments();
            let behind = segments.iter().rev();
            let Some(segment) = behind.into_iter().find(|segment| segment.base <= after) else {
                let first = segments.front().map_or(0, |first| first.base) + 1;
                return Err(super::too_old(after, first));
            };
            let known = segment.places.partition_point(|place| place.prev <= after);
            let place = known.checked_sub(1).and_then(|at| segment.places.get(at));
            let (offset, prev) = place.map_or((SEGMENT_HEAD as u64, segment.base), |place| {
                (place.offset, place.prev)
            });
            let mut bare = segment.clone();
            bare.places = Vec::new();
            (bare, offset, prev)
        };
        Ok(Self {
            file: open(files, segment.number, after)?,
            files: files.clone(),
            from: after,
            at: prev,
            number: segment.number,
            seed: SegmentHead::seed(&files.store, segment.number),
            offset,
            chunk: Vec::new(),
            chunk_offset: 0,
            ahead: AHEAD_BYTES_MIN,
        })
    }

    pub(super) fn next(&mut self, through: Seq) -> Result<Option<Arc<Record>>> {
        loop {
            // Loaded before anything is read: what it names is in the file whole.
            let last = self.files.last_seq();
            if self.at.max(self.from) >= last.min(through) {
                self.ahead = AHEAD_BYTES_MIN;
                return Ok(None);
            }
            let Some(head) = self.frame()? else {
                self.pass_gap(last)?;
                continue;
            };
            if !head.mark && head.seq > through {
                return Ok(None);
            }
            let record = match head.mark || head.seq <= self.from {
                true => None,
                false => Some(self.record(&head)?),
            };
            self.offset += head.frame_bytes() as u64;
            self.at = head.seq;
            if record.is_some() {
                return Ok(record);
            }
        }
    }

    /// The valid frame here that follows what was read; none when there is no such.
    fn frame(&mut self) -> Result<Option<FrameHead>> {
        if let Some(head) = self.frame_in_chunk() {
            return Ok(Some(head));
        }
        // What was read ahead may be from before the frame was written.
        self.read(FRAME_HEAD)?;
        let wanted = self.head_in_chunk().map_or(0, |head| head.frame_bytes());
        if self.chunk.len() < wanted && self.holds(wanted)? {
            self.read(wanted)?;
        }
        Ok(self.frame_in_chunk())
    }

    fn frame_in_chunk(&self) -> Option<FrameHead> {
        let head = self.head_in_chunk().filter(|head| head.prev == self.at)?;
        let payload = self.here()?.get(FRAME_HEAD..head.frame_bytes())?;
        head.matches(payload, self.seed, self.offset)
            .then_some(head)
    }

    fn head_in_chunk(&self) -> Option<FrameHead> {
        FrameHead::decode(self.here()?, self.seed, self.offset)
    }

    /// What of the chunk lies at and behind the offset.
    fn here(&self) -> Option<&[u8]> {
        let skip = usize::try_from(self.offset.checked_sub(self.chunk_offset)?).ok()?;
        self.chunk.get(skip..)
    }

    fn record(&self, head: &FrameHead) -> Result<Arc<Record>> {
        let payload = self
            .here()
            .and_then(|here| here.get(FRAME_HEAD..head.frame_bytes()));
        // A copy: the record may live long, and must not hold all that was read with it.
        let payload = Bytes::copy_from_slice(payload.unwrap_or_default());
        let record = Record::decode(head.seq, &payload).map_err(|error| {
            let name = file_name(self.number);
            error.context(format!("log file {name} at offset {}", self.offset))
        })?;
        Ok(Arc::new(record))
    }

    /// Whether the file is long enough for a frame of these bytes here.
    fn holds(&self, bytes: usize) -> Result<bool> {
        let size = self.file.size().map_err(|error| self.read_error(&error))?;
        Ok(self.offset.saturating_add(bytes as u64) <= size)
    }

    fn read(&mut self, at_least: usize) -> Result<()> {
        let mut chunk = std::mem::take(&mut self.chunk);
        chunk.clear();
        if chunk.capacity() > 2 * AHEAD_BYTES_MAX {
            chunk = Vec::new();
        }
        chunk.resize(at_least.max(self.ahead), 0);
        let read = self
            .file
            .read_at(&mut chunk, self.offset)
            .map_err(|error| self.read_error(&error))?;
        chunk.truncate(read);
        self.chunk = chunk;
        self.chunk_offset = self.offset;
        self.ahead = (self.ahead * 2).min(AHEAD_BYTES_MAX);
        Ok(())
    }

    /// There is no frame here, though record `last` was appended: goes on in the next segment, or
    /// behind damage that cost no record it was asked for, or names what is lost.
    fn pass_gap(&mut self, last: Seq) -> Result<()> {
        let next = {
            let segments = self.files.segments();
            let oldest = segments.front().map_or(0, |first| first.number);
            if oldest > self.number + 1 {
                let first = segments.front().map_or(0, |first| first.base) + 1;
                return Err(super::too_old(self.at.max(self.from), first));
            }
            segments
                .iter()
                .find(|segment| segment.number > self.number)
                .map(|segment| (segment.number, segment.prev, segment.base))
        };
        // Whatever is lost up to here is none that this reader was asked for.
        let passed = self.at.max(self.from);
        if let Some((number, prev, base)) = next
            && prev <= passed
        {
            return self.cross(number, base);
        }
        let found = self.found_behind()?;
        if let Some((offset, head)) = &found
            && head.prev <= passed
        {
            self.offset = *offset;
            self.at = head.prev;
            return Ok(());
        }
        let until = found
            .map(|(_, head)| head.prev)
            .or(next.map(|(_, prev, _)| prev));
        Err(Error::from(Damage {
            file: file_name(self.number),
            offset: self.offset,
            lost: Some((passed + 1, until.unwrap_or(last))),
            what: "bytes are not what was written".to_owned(),
        }))
    }

    fn found_behind(&self) -> Result<Option<(u64, FrameHead)>> {
        let size = self.file.size().map_err(|error| self.read_error(&error))?;
        let mut rest = vec![0; usize::try_from(size.saturating_sub(self.offset)).unwrap_or(0)];
        let read = self
            .file
            .read_at(&mut rest, self.offset)
            .map_err(|error| self.read_error(&error))?;
        rest.truncate(read);
        // The seed moves with the offset, so the rest can be searched as if it began at zero.
        let seed = self.seed.wrapping_add(self.offset);
        let found = find_frame(&rest, seed, 0, Some(self.at));
        Ok(found.map(|(offset, head)| (self.offset + offset, head)))
    }

    fn cross(&mut self, number: u32, base: Seq) -> Result<()> {
        if self.from.max(self.at) < base {
            return Err(Error::not_found(format!(
                "changes {} to {base} never reached the log: start again from a snapshot",
                self.from.max(self.at) + 1
            )));
        }
        self.file = open(&self.files, number, self.at)?;
        self.number = number;
        self.seed = SegmentHead::seed(&self.files.store, number);
        self.offset = SEGMENT_HEAD as u64;
        self.at = base;
        self.chunk.clear();
        self.chunk_offset = 0;
        Ok(())
    }

    fn read_error(&self, error: &std::io::Error) -> Error {
        unavailable(error, "read", self.number, Outcome::NotApplied)
    }
}

fn open(files: &Files, number: u32, after: Seq) -> Result<Arc<dyn DiskFile>> {
    let path = files.dir.join(file_name(number));
    files.disk.open(&path, false).map_err(|error| {
        let first = files
            .segments()
            .front()
            .map(|first: &Segment| (first.number, first.base));
        match first {
            // Retention took it between the look at the list and the opening.
            Some((oldest, base)) if oldest > number => super::too_old(after, base + 1),
            _ => unavailable(&error, "read", number, Outcome::NotApplied),
        }
    })
}

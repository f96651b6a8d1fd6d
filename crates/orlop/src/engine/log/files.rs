//! The log on disk while it is open: appending, syncing, new segments, retention.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::sync::{RwLockReadGuard, RwLockWriteGuard};

use super::frame::{FRAME_HEAD, FrameHead, PAYLOAD_MAX, SEGMENT_HEAD, SegmentHead};
use super::scan::{FramePlace, PLACE_BYTES};
use super::{Disk, DiskFile, LogOptions, Record, Space};
use crate::engine::Seq;
use crate::{Error, Outcome, Result};

/// Above this the buffer of a group is given back after the group.
const BUFFER_BYTES_KEPT: usize = 4 * 1024 * 1024;

/// An open log on disk.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) dir: PathBuf,
    pub(super) options: LogOptions,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) store: [u8; 16],
    /// The segments there are, oldest first; never empty. The last one is being appended to.
    segments: RwLock<VecDeque<Segment>>,
    writer: Mutex<Writer>,
    /// The last record appended whole: readers look no further.
    last: AtomicU64,
    /// The last record known to be synced.
    synced: AtomicU64,
    /// Why nothing is written any more.
    failure: OnceLock<String>,
    /// Held while old segments are dropped.
    retaining: Mutex<()>,
}

/// One segment, as readers and retention need it.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    pub(super) number: u32,
    pub(super) prev: Seq,
    pub(super) base: Seq,
    pub(super) created_ms: i64,
    /// Bytes of the file.
    pub(super) bytes: u64,
    /// Some frames in it, in order; may be empty.
    pub(super) places: Vec<FramePlace>,
}

/// Where the next frame goes.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) number: u32,
    pub(super) seed: u64,
    /// End of the last frame.
    pub(super) end: u64,
    /// End of the file; zeros from `end` on.
    pub(super) allocated: u64,
    pub(super) last: Seq,
    /// Whether a mark already says that everything up to here was synced.
    pub(super) marked: bool,
    pub(super) next_place: u64,
    pub(super) buffer: Vec<u8>,
}

/// A frame in the buffer: where it begins and whose it is.
struct Buffered {
    at: usize,
    seq: Seq,
}

impl Files {
    pub(super) fn new(
        place: (PathBuf, LogOptions, Arc<dyn Disk>, [u8; 16]),
        segments: VecDeque<Segment>,
        writer: Writer,
        synced: Seq,
    ) -> Self {
        let (dir, options, disk, store) = place;
        Self {
            dir,
            options,
            disk,
            store,
            segments: RwLock::new(segments),
            last: AtomicU64::new(writer.last),
            synced: AtomicU64::new(synced),
            writer: Mutex::new(writer),
            failure: OnceLock::new(),
            retaining: Mutex::new(()),
        }
    }

    pub(super) fn append(&self, records: &[Arc<Record>]) -> Result<()> {
        let Some(first) = records.first() else {
            return Ok(());
        };
        let mut writer = self.writer()?;
        super::check_order(writer.last, records)?;
        let frames = writer.encode(records)?;
        let group = writer.buffer.len() as u64;
        let full = writer.end + group > self.options.segment_bytes;
        if full && writer.end > SEGMENT_HEAD as u64 {
            let base = writer.last;
            self.roll(&mut writer, base, first.at_ms)?;
        }
        writer.seal(&frames, self.synced.load(Ordering::Acquire));
        writer.pad(&self.options);
        if let Err(error) = writer.file.write_at(&writer.buffer, writer.end) {
            return Err(self.fail(&error, "append to", writer.number));
        }
        self.advance(
            &mut writer,
            group,
            frames.last().map_or(0, |frame| frame.seq),
        );
        Ok(())
    }

    pub(super) fn sync(&self) -> Result<()> {
        let (file, number, last) = {
            let writer = self.writer()?;
            (writer.file.clone(), writer.number, writer.last)
        };
        if self.synced.load(Ordering::Acquire) >= last {
            return Ok(());
        }
        // Not under the lock: the next group may be appended meanwhile. What it appends is not
        // claimed by this sync.
        if let Err(error) = file.sync() {
            return Err(self.fail(&error, "sync", number));
        }
        self.synced.fetch_max(last, Ordering::AcqRel);
        Ok(())
    }

    pub(super) fn close(&self) -> Result<()> {
        self.sync()?;
        let mut writer = self.writer()?;
        if self.synced.load(Ordering::Acquire) < writer.last {
            // Someone appended in between: their sync is theirs to ask for.
            return Ok(());
        }
        self.mark(&mut writer)
    }

    /// Begins a new segment when the last one is long enough to make the next opening slow; says
    /// whether.
    pub(super) fn begin_segment(&self, now_ms: i64) -> Result<bool> {
        let mut writer = self.writer()?;
        if writer.end <= self.options.allocate_bytes {
            return Ok(false);
        }
        let base = writer.last;
        self.roll(&mut writer, base, now_ms).map(|()| true)
    }

    /// Starts a new segment whose records are above `base`, with everything before it synced.
    pub(super) fn roll(&self, writer: &mut Writer, base: Seq, now_ms: i64) -> Result<()> {
        let number = writer.number;
        let sealed = writer
            .file
            .set_size(writer.end)
            .and_then(|()| writer.file.sync());
        // IMPORTANT: before the next file exists: damage in a segment that is not the last one is
        // never a torn tail.
        if let Err(error) = sealed {
            return Err(self.fail(&error, "sync", number));
        }
        self.synced.fetch_max(writer.last, Ordering::AcqRel);
        let head = SegmentHead {
            number: number + 1,
            store: self.store,
            prev: writer.last,
            base,
            created_ms: now_ms,
        };
        let created = create_segment(&*self.disk, &self.dir, &head, &self.options);
        let (file, bytes) = match created {
            Ok(created) => created,
            Err(error) => return Err(self.fail(&error, "create", head.number)),
        };
        let end = writer.end;
        let buffer = std::mem::take(&mut writer.buffer);
        *writer = Writer::at_start(file, &head, bytes);
        writer.buffer = buffer;
        let mut segments = self.segments_mut();
        if let Some(old) = segments.back_mut() {
            old.bytes = end;
        }
        segments.push_back(Segment::new(&head, bytes));
        drop(segments);
        self.last.fetch_max(base, Ordering::AcqRel);
        self.synced.fetch_max(base, Ordering::AcqRel);
        Ok(())
    }

    /// Appends the proof that everything so far was synced, and syncs it.
    pub(super) fn mark(&self, writer: &mut Writer) -> Result<()> {
        if writer.marked {
            return Ok(());
        }
        let mut frame = [0; FRAME_HEAD];
        FrameHead::mark(writer.last).seal(&mut frame, writer.seed, writer.end);
        let written = writer
            .file
            .write_at(&frame, writer.end)
            .and_then(|()| writer.file.sync());
        if let Err(error) = written {
            return Err(self.fail(&error, "mark", writer.number));
        }
        writer.end += FRAME_HEAD as u64;
        writer.allocated = writer.allocated.max(writer.end);
        writer.marked = true;
        Ok(())
    }

    pub(super) fn retain(&self, floor: Seq, now_ms: i64) -> Result<usize> {
        let _one = self
            .retaining
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.refuse_if_failed()?;
        let mut dropped = 0;
        while self.oldest_may_go(floor, now_ms) {
            let Some(oldest) = self.segments_mut().pop_front() else {
                break;
            };
            let path = self.dir.join(file_name(oldest.number));
            // IMPORTANT: the folder is synced for each: were a later file gone and an earlier one
            // still there after a loss of power, it would look like a missing segment.
            if let Err(error) = self.disk.remove(&path) {
                let failed = unavailable(&error, "drop", oldest.number, Outcome::NotApplied);
                self.segments_mut().push_front(oldest);
                return Err(failed);
            }
            if let Err(error) = self.disk.sync_dir(&self.dir) {
                return Err(self.fail(&error, "sync the folder of", oldest.number));
            }
            dropped += 1;
        }
        Ok(dropped)
    }

    fn oldest_may_go(&self, floor: Seq, now_ms: i64) -> bool {
        let segments = self.segments();
        let Some(second) = segments.get(1) else {
            return false;
        };
        let bytes: u64 = segments.iter().map(|segment| segment.bytes).sum();
        let age_ms = i64::try_from(self.options.retention_age.as_millis()).unwrap_or(i64::MAX);
        // The oldest segment's last record is about as old as the segment after it.
        let old = now_ms.saturating_sub(second.created_ms) > age_ms;
        second.prev <= floor && (old || bytes > self.options.retention_bytes)
    }

    pub(super) fn first_seq(&self) -> Seq {
        self.segments().front().map_or(0, |first| first.base) + 1
    }

    pub(super) fn last_seq(&self) -> Seq {
        self.last.load(Ordering::Acquire)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.segments().iter().map(|segment| segment.bytes).sum()
    }

    pub(super) fn space(&self) -> Result<Space> {
        self.disk.space(&self.dir).map_err(|error| {
            let message = format!("log folder: cannot tell the room left: {error}");
            Error::unavailable(message, Outcome::NotApplied).with_source(error)
        })
    }

    pub(super) fn segments(&self) -> RwLockReadGuard<'_, VecDeque<Segment>> {
        self.segments.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn segments_mut(&self) -> RwLockWriteGuard<'_, VecDeque<Segment>> {
        self.segments
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The writer, unless nothing is written any more.
    pub(super) fn writer(&self) -> Result<MutexGuard<'_, Writer>> {
        let writer = self.writer.lock().map_err(|_| {
            let message = "log is closed for writes: a thread panicked while it wrote";
            Error::unavailable(message, Outcome::NotApplied)
        })?;
        self.refuse_if_failed()?;
        Ok(writer)
    }

    fn refuse_if_failed(&self) -> Result<()> {
        match self.failure.get() {
            None => Ok(()),
            Some(failure) => Err(Error::unavailable(
                format!("log is closed for writes until the store is opened again: {failure}"),
                Outcome::NotApplied,
            )),
        }
    }

    /// Where the last frame ends, and the last record: what can be verified while others append.
    pub(super) fn end(&self) -> (u32, u64, Seq) {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        (writer.number, writer.end, writer.last)
    }

    fn advance(&self, writer: &mut Writer, group: u64, last: Seq) {
        let place = FramePlace {
            prev: writer.last,
            offset: writer.end,
        };
        let written_to = writer.end + writer.buffer.len() as u64;
        if writer.end >= writer.next_place || written_to > writer.allocated {
            if let Some(segment) = self.segments_mut().back_mut() {
                segment.bytes = segment.bytes.max(written_to);
                if writer.end >= writer.next_place {
                    segment.places.push(place);
                    writer.next_place = writer.end + PLACE_BYTES;
                }
            }
            writer.allocated = writer.allocated.max(written_to);
        }
        writer.end += group;
        writer.last = last;
        writer.marked = false;
        if writer.buffer.capacity() > BUFFER_BYTES_KEPT {
            writer.buffer = Vec::new();
        }
        self.last.store(last, Ordering::Release);
    }

    /// Closes the log for writes, for ever.
    ///
    /// # Source
    /// After a failed fsync the pages may be marked clean and lost; a second fsync that succeeds
    /// says nothing about them. "Can Applications Recover from fsync Failures?", USENIX ATC 2020.
    fn fail(&self, error: &io::Error, verb: &str, number: u32) -> Error {
        let failed = unavailable(error, verb, number, Outcome::Unknown);
        // The first failure is the one to tell.
        let _ = self.failure.set(failed.message().to_owned());
        tracing::error!(error = %failed, "log closed for writes");
        failed
    }
}

impl Segment {
    pub(super) fn new(head: &SegmentHead, bytes: u64) -> Self {
        Self {
            number: head.number,
            prev: head.prev,
            base: head.base,
            created_ms: head.created_ms,
            bytes,
            places: Vec::new(),
        }
    }
}

impl Writer {
    /// A writer in a new segment.
    pub(super) fn at_start(file: Arc<dyn DiskFile>, head: &SegmentHead, bytes: u64) -> Self {
        Self {
            file,
            number: head.number,
            seed: SegmentHead::seed(&head.store, head.number),
            end: SEGMENT_HEAD as u64,
            allocated: bytes,
            last: head.base,
            // The segment's existence is the proof for everything before it.
            marked: true,
            next_place: 0,
            buffer: Vec::new(),
        }
    }

    /// Fills the buffer with the frames of `records`, their heads still blank.
    fn encode(&mut self, records: &[Arc<Record>]) -> Result<Vec<Buffered>> {
        self.buffer.clear();
        let mut frames = Vec::with_capacity(records.len());
        for record in records {
            let at = self.buffer.len();
            self.buffer.resize(at + FRAME_HEAD, 0);
            record.encode(&mut self.buffer);
            let payload = self.buffer.len() - at - FRAME_HEAD;
            if payload > PAYLOAD_MAX {
                return Err(Error::invalid(format!(
                    "a batch of {payload} bytes is over the log's limit of {PAYLOAD_MAX}"
                )));
            }
            let seq = record.seq;
            frames.push(Buffered { at, seq });
        }
        Ok(frames)
    }

    /// Writes the heads of the frames in the buffer, for where they will lie.
    fn seal(&mut self, frames: &[Buffered], synced_through: Seq) {
        let mut prev = self.last;
        let mut rest = self.buffer.as_mut_slice();
        let ends = frames.iter().skip(1).map(|next| next.at);
        let ends = ends.chain([rest.len()]);
        for (frame, end) in frames.iter().zip(ends) {
            let (bytes, behind) = rest.split_at_mut(end - frame.at);
            let head = FrameHead::record(frame.seq, prev, synced_through.min(prev));
            head.seal(bytes, self.seed, self.end + frame.at as u64);
            prev = frame.seq;
            rest = behind;
        }
    }

    /// Lengthens the buffer by the next zeros, when the group passes those that are there. A group
    /// as long as the zeros goes without: it would write everything twice.
    fn pad(&mut self, options: &LogOptions) {
        let group = self.buffer.len() as u64;
        let end = self.end + group;
        if end <= self.allocated || group >= options.allocate_bytes {
            return;
        }
        let padded = end
            .next_multiple_of(options.allocate_bytes)
            .min(options.segment_bytes.max(end));
        self.buffer.resize((padded - self.end) as usize, 0);
    }
}

/// Name of a segment's file.
pub(super) fn file_name(number: u32) -> String {
    format!("{number:010}.log")
}

/// Name under which a segment's file is made, before it counts.
pub(super) const NEW_SUFFIX: &str = ".new";

/// Creates a segment, durably. Says how long its file is.
pub(super) fn create_segment(
    disk: &dyn Disk,
    dir: &std::path::Path,
    head: &SegmentHead,
    options: &LogOptions,
) -> io::Result<(Arc<dyn DiskFile>, u64)> {
    let name = file_name(head.number);
    let made = dir.join(format!("{name}{NEW_SUFFIX}"));
    let mut bytes = head.encode().to_vec();
    let allocated = options.allocate_bytes.min(options.segment_bytes) as usize;
    bytes.resize(allocated.max(bytes.len()), 0);
    let file = disk.create(&made)?;
    file.write_at(&bytes, 0)?;
    // IMPORTANT: synced before it gets its name, and the name before anything counts on it: a file
    // with a segment's name always has a whole head, so a bad head is damage.
    file.sync()?;
    disk.rename(&made, &dir.join(&name))?;
    disk.sync_dir(dir)?;
    Ok((file, bytes.len() as u64))
}

/// The error of a failed call of the system.
pub(super) fn unavailable(error: &io::Error, verb: &str, number: u32, outcome: Outcome) -> Error {
    let name = file_name(number);
    Error::unavailable(format!("cannot {verb} log file {name}: {error}"), outcome)
}

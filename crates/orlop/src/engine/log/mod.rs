//! The log of committed batches: the write-ahead log of an engine and the storage of its feed.
//!
//! Knows: records, framing, checksums, torn tails, retention. Does not know: documents, guards,
//! what a catalog change means. Layout: docs/format.md "Log". Invariants:
//!
//! - A reader returns whole records in order, and an error where one is missing: never a wrong one.
//! - What [`Log::sync`] acknowledged is there after a loss of power, or its loss is named.
//! - After a failed write or sync nothing is written again, and the sync is not retried.

pub(crate) mod disk;
pub(crate) mod faulty;
mod files;
mod frame;
mod memory;
mod open;
mod reader;
mod record;
mod scan;
mod verify;

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::Seq;
use crate::{Error, ErrorKind, Result};

#[allow(unused_imports)]
pub(crate) use disk::{Disk, DiskFile, RealDisk, Space};
#[allow(unused_imports)]
pub(crate) use record::{Record, RecordChange};

use files::Files;
use memory::{MemoryLog, MemoryReader};
use reader::FileReader;

/// How large the log's files are and how long they are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogOptions {
    /// Bytes after which a new segment file begins. Default: 64 MiB. Smaller gives room back in
    /// finer steps, larger spends fewer syncs on new files.
    pub(crate) segment_bytes: u64,
    /// Zeros written ahead of the records. Default: 1 MiB.
    ///
    /// # Source
    /// A sync of 40 KB appended into zeros that were written before takes 124 us here, into a
    /// growing or sparse file 268 us: the file's size and extents need not be made durable too.
    pub(crate) allocate_bytes: u64,
    /// Bytes kept at most, whole segments. Default: 1 GiB.
    pub(crate) retention_bytes: u64,
    /// Age up to which records are kept while `retention_bytes` allows. Default: 7 days.
    pub(crate) retention_age: Duration,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 64 * 1024 * 1024,
            allocate_bytes: 1024 * 1024,
            retention_bytes: 1024 * 1024 * 1024,
            retention_age: Duration::from_secs(7 * 24 * 3600),
        }
    }
}

/// What the engine knows when it opens its log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Opening {
    /// The store's id, random, made with the store. Files of another store are refused.
    pub(crate) store: [u8; 16],
    /// The last record that the store below already holds; 0 for none.
    ///
    /// Damage that lost only records up to here is reported and tolerated, since the store needs
    /// none of them; any other refuses to open.
    pub(crate) applied: Seq,
    /// Now, by the wall clock, for the age of a new segment.
    pub(crate) now_ms: i64,
}

/// What opening found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recovered {
    /// The oldest record that can still be there.
    pub(crate) first_seq: Seq,
    /// The last record; the next one must be higher. At least `applied`. 0 for none ever.
    pub(crate) last_seq: Seq,
    /// Damage that cost nothing the store needs. Name it to the user.
    pub(crate) damage: Vec<Damage>,
}

/// Bytes of the log that are not what was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Damage {
    /// Name of the file in the log's folder.
    pub(crate) file: String,
    /// Where in the file.
    pub(crate) offset: u64,
    /// First and last number that the lost records can have had; none when no record is lost.
    pub(crate) lost: Option<(Seq, Seq)>,
    /// What is wrong.
    pub(crate) what: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, offset, .. } = self;
        write!(f, "log file {file} at offset {offset}: {}", self.what)?;
        match self.lost {
            None => write!(f, "; no record is lost"),
            Some((first, last)) if first == last => write!(f, "; record {first} is lost"),
            Some((first, last)) => write!(f, "; records {first} to {last} are lost"),
        }
    }
}

impl From<Damage> for Error {
    fn from(damage: Damage) -> Self {
        Error::corrupt(damage.to_string())
    }
}

/// The log. A clone is another handle on the same; one thread at a time appends.
#[derive(Debug, Clone)]
pub(crate) struct Log(Place);

#[derive(Debug, Clone)]
enum Place {
    Files(Arc<Files>),
    Memory(Arc<MemoryLog>),
}

impl Log {
    /// Opens the log in `dir`, creating it when there is none, and makes durable what it recovers.
    ///
    /// A torn tail, which no later frame proves to have been synced, is cut off.
    ///
    /// # Errors
    /// - `Corrupt`: synced records beyond `opening.applied` are lost, or files of another store.
    /// - `Unsupported`: written by a newer program.
    /// - `Unavailable`: the folder cannot be read or written.
    ///
    /// # Cost
    /// Reads the last segment whole and the heads of the others.
    pub(crate) fn open(
        dir: &Path,
        options: LogOptions,
        opening: Opening,
        disk: Arc<dyn Disk>,
    ) -> Result<(Self, Recovered)> {
        let (files, recovered) = open::open(dir, options, opening, disk)?;
        Ok((Self(Place::Files(Arc::new(files))), recovered))
    }

    /// A log that lives in this process and keeps about `retention_bytes`, for the memory engine.
    /// Numbers begin behind `last_seq`.
    pub(crate) fn memory(retention_bytes: u64, last_seq: Seq) -> Self {
        Self(Place::Memory(Arc::new(MemoryLog::new(
            retention_bytes,
            last_seq,
        ))))
    }

    /// Appends records, whose numbers rise and are above all before. Not durable until
    /// [`Log::sync`]; readers may see them at once, up to the number they ask for.
    ///
    /// # Errors
    /// `Unavailable`: the write failed and the outcome of these records is unknown until the store
    /// is opened again; every later append and sync fails too, with nothing applied.
    /// `Invalid`: a record is over 1 GiB; nothing is written.
    ///
    /// # Cost
    /// One write call for all of them; a new segment costs four syncs more.
    pub(crate) fn append(&self, records: &[Arc<Record>]) -> Result<()> {
        match &self.0 {
            Place::Files(log) => log.append(records),
            Place::Memory(log) => log.append(records),
        }
    }

    /// Makes everything appended so far durable.
    ///
    /// # Errors
    /// `Unavailable`: the outcome of everything since the last sync is unknown until the store is
    /// opened again, and the log is closed for writes.
    ///
    /// # Cost
    /// One fdatasync, none when nothing was appended since the last. Other threads may append.
    pub(crate) fn sync(&self) -> Result<()> {
        match &self.0 {
            Place::Files(log) => log.sync(),
            Place::Memory(_) => Ok(()),
        }
    }

    /// Begins a new segment if the last one holds more than the zeros of a fresh one, so that the
    /// next opening, which reads the last segment whole, reads little. Says whether it did.
    ///
    /// # Errors
    /// As [`Log::sync`].
    ///
    /// # Cost
    /// Four syncs when it begins one.
    pub(crate) fn begin_segment(&self, now_ms: i64) -> Result<bool> {
        match &self.0 {
            Place::Files(log) => log.begin_segment(now_ms),
            Place::Memory(_) => Ok(false),
        }
    }

    /// Syncs, and leaves a mark that proves it: damage to the last records is then told from a torn
    /// tail. Appending afterwards is no error.
    ///
    /// # Errors
    /// As [`Log::sync`].
    pub(crate) fn close(&self) -> Result<()> {
        match &self.0 {
            Place::Files(log) => log.close(),
            Place::Memory(_) => Ok(()),
        }
    }

    /// Records behind `after`, and later ones as they come.
    ///
    /// # Errors
    /// `NotFound`: records behind `after` were dropped already; start again from a snapshot.
    pub(crate) fn read_from(&self, after: Seq) -> Result<Reader> {
        match &self.0 {
            Place::Files(log) => Ok(Reader(ReaderPlace::Files(Box::new(FileReader::new(
                log, after,
            )?)))),
            Place::Memory(log) => Ok(Reader(ReaderPlace::Memory(MemoryReader::new(log, after)?))),
        }
    }

    /// Drops whole old segments, past the bytes or the age to keep, whose records are all at or
    /// below `floor` (what the store below has made durable). Says how many.
    ///
    /// # Errors
    /// `Unavailable`: a file could not be removed, try again later; or the log is closed for writes.
    pub(crate) fn retain(&self, floor: Seq, now_ms: i64) -> Result<usize> {
        match &self.0 {
            Place::Files(log) => log.retain(floor, now_ms),
            Place::Memory(_) => Ok(0),
        }
    }

    /// The oldest record that can still be there: reading from the number before it works.
    pub(crate) fn first_seq(&self) -> Seq {
        match &self.0 {
            Place::Files(log) => log.first_seq(),
            Place::Memory(log) => log.first_seq(),
        }
    }

    /// The last record appended.
    pub(crate) fn last_seq(&self) -> Seq {
        match &self.0 {
            Place::Files(log) => log.last_seq(),
            Place::Memory(log) => log.last_seq(),
        }
    }

    /// Bytes on disk; in memory, about what the records take.
    pub(crate) fn bytes(&self) -> u64 {
        match &self.0 {
            Place::Files(log) => log.bytes(),
            Place::Memory(log) => log.bytes(),
        }
    }

    /// Room left where the log lies, for the watermark below which writes are refused
    /// ([`Space::is_low`]). Endless in memory.
    ///
    /// # Errors
    /// `Unavailable`: the file system does not say.
    ///
    /// # Cost
    /// One call of the system, about a microsecond.
    pub(crate) fn space(&self) -> Result<Space> {
        match &self.0 {
            Place::Files(log) => log.space(),
            Place::Memory(_) => Ok(Space {
                free: u64::MAX,
                total: 0,
            }),
        }
    }

    /// Reads everything appended so far and lists what is damaged. Writers go on meanwhile.
    ///
    /// # Errors
    /// `Unavailable`: a file cannot be read.
    ///
    /// # Cost
    /// Reads the whole log, one segment in memory at a time.
    pub(crate) fn verify(&self) -> Result<Vec<Damage>> {
        match &self.0 {
            Place::Files(log) => verify::verify_open(log),
            Place::Memory(_) => Ok(Vec::new()),
        }
    }
}

/// Lists what is damaged in the log in `dir`, which nobody has open. A torn tail is no damage.
/// Changes nothing.
///
/// # Errors
/// `Unavailable`: the folder or a file cannot be read. `Unsupported`: written by a newer program.
pub(crate) fn verify_folder(dir: &Path, disk: &dyn Disk) -> Result<Vec<Damage>> {
    verify::verify_folder(dir, disk)
}

/// Reads records in order. Holds its own files; never blocks a writer.
#[derive(Debug)]
pub(crate) struct Reader(ReaderPlace);

#[derive(Debug)]
enum ReaderPlace {
    Files(Box<FileReader>),
    Memory(MemoryReader),
}

impl Reader {
    /// The next record up to `through`, the published number; none when there is none yet: ask
    /// again when something was published.
    ///
    /// # Errors
    /// - `NotFound`: retention overtook this reader.
    /// - `Corrupt`: the next record is damaged or missing; the same again on every later call.
    /// - `Unavailable`: a file cannot be read.
    pub(crate) fn next(&mut self, through: Seq) -> Result<Option<Arc<Record>>> {
        match &mut self.0 {
            ReaderPlace::Files(reader) => reader.next(through),
            ReaderPlace::Memory(reader) => reader.next(through),
        }
    }
}

/// The numbers of appended records rise.
fn check_order(last: Seq, records: &[Arc<Record>]) -> Result<()> {
    let mut last = last;
    for record in records {
        if record.seq <= last {
            return Err(Error::new(
                ErrorKind::Internal,
                format!("record {} appended behind record {last}", record.seq),
            ));
        }
        last = record.seq;
    }
    Ok(())
}

fn too_old(after: Seq, first: Seq) -> Error {
    Error::not_found(format!(
        "changes after {after} are no longer kept, the oldest kept is {first}: the token is too \
         old, start again from a snapshot"
    ))
}

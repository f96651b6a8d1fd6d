//! Opening a log: which segments are there, what of the last one counts, what is lost.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use super::files::{Files, NEW_SUFFIX, Segment, Writer, create_segment, file_name, unavailable};
use super::frame::{HeadFault, SEGMENT_HEAD, SegmentHead};
use super::scan::{Scan, scan};
use super::{Damage, Disk, LogOptions, Opening, Recovered};
use crate::engine::Seq;
use crate::{Error, Outcome, Result};

pub(super) fn open(
    dir: &Path,
    options: LogOptions,
    opening: Opening,
    disk: Arc<dyn Disk>,
) -> Result<(Files, Recovered)> {
    prepare(dir, &*disk)?;
    let numbers = numbers(dir, &*disk)?;
    if numbers.is_empty() {
        create_first(dir, &options, &opening, &*disk)?;
        return open(dir, options, opening, disk);
    }
    let mut chain = Chain::read(dir, &*disk, &opening, &numbers)?;
    let tail = chain.judge_tail();
    chain.refuse_losses(&opening)?;
    chain.note_hole(&tail, &opening);
    let last = chain.segments.back().map_or(0, |last| last.number);
    let file = disk
        .open(&dir.join(file_name(last)), true)
        .map_err(|error| unavailable(&error, "open", last, Outcome::NotApplied))?;
    tail.mend(&chain)
        .map_or(Ok(()), |(bytes, offset)| {
            file.write_at(&bytes, offset)?;
            file.sync()
        })
        .map_err(|error| unavailable(&error, "mend", last, Outcome::NotApplied))?;
    let Chain {
        segments,
        scan,
        damage,
        ..
    } = chain;
    let writer = Writer {
        file,
        number: last,
        seed: SegmentHead::seed(&opening.store, last),
        end: tail.end,
        allocated: segments.back().map_or(tail.end, |last| last.bytes),
        last: tail.last,
        marked: tail.last <= scan.proven,
        next_place: scan.places.last().map_or(0, |place| place.offset) + super::scan::PLACE_BYTES,
        buffer: Vec::new(),
    };
    let place = (dir.to_owned(), options, disk, opening.store);
    let files = Files::new(place, segments, writer, tail.last);
    finish(&files, &opening, scan.head.is_err())?;
    let recovered = Recovered {
        first_seq: files.first_seq(),
        last_seq: files.last_seq().max(opening.applied),
        damage,
    };
    for damage in &recovered.damage {
        tracing::warn!(%damage, "log is damaged, the store needs none of it");
    }
    Ok((files, recovered))
}

/// Every number of `dir`'s segments, rising.
pub(super) fn numbers(dir: &Path, disk: &dyn Disk) -> Result<Vec<u32>> {
    let names = disk.list(dir).map_err(folder_error)?;
    let mut numbers: Vec<u32> = names
        .iter()
        .filter_map(|name| name.strip_suffix(".log")?.parse().ok())
        .filter(|number| names.contains(&file_name(*number)))
        .collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Reads a segment whole and walks it.
pub(super) fn examine(
    dir: &Path,
    disk: &dyn Disk,
    store: &[u8; 16],
    number: u32,
) -> Result<(Scan, Vec<u8>)> {
    let bytes = read_whole(dir, disk, number)?;
    Ok((scan(&bytes, store, number), bytes))
}

pub(super) fn read_whole(dir: &Path, disk: &dyn Disk, number: u32) -> Result<Vec<u8>> {
    let read = disk
        .open(&dir.join(file_name(number)), false)
        .and_then(|file| {
            let size = usize::try_from(file.size()?).unwrap_or(usize::MAX);
            let mut bytes = vec![0; size];
            let read = file.read_at(&mut bytes, 0)?;
            bytes.truncate(read);
            Ok(bytes)
        });
    read.map_err(|error| unavailable(&error, "read", number, Outcome::NotApplied))
}

/// Reads the head of a segment, and how long its file is.
pub(super) fn read_head(
    dir: &Path,
    disk: &dyn Disk,
    number: u32,
) -> Result<(Result<SegmentHead, HeadFault>, u64)> {
    let read = disk
        .open(&dir.join(file_name(number)), false)
        .and_then(|file| {
            let mut bytes = [0; SEGMENT_HEAD];
            file.read_at(&mut bytes, 0)?;
            Ok((SegmentHead::decode(&bytes), file.size()?))
        });
    read.map_err(|error| unavailable(&error, "read", number, Outcome::NotApplied))
}

/// The error for a segment of a newer program.
pub(super) fn newer(number: u32, version: u32) -> Error {
    Error::unsupported(format!(
        "log file {} was written by a newer program (log format {version}, this one knows {})",
        file_name(number),
        super::frame::FORMAT_VERSION
    ))
}

fn folder_error(error: std::io::Error) -> Error {
    Error::unavailable(format!("log folder: {error}"), Outcome::NotApplied).with_source(error)
}

/// Makes the folder and removes what a crash left of a segment that never counted.
fn prepare(dir: &Path, disk: &dyn Disk) -> Result<()> {
    disk.create_dir(dir).map_err(folder_error)?;
    for name in disk.list(dir).map_err(folder_error)? {
        if name.ends_with(NEW_SUFFIX) {
            disk.remove(&dir.join(name)).map_err(folder_error)?;
        }
    }
    Ok(())
}

fn create_first(
    dir: &Path,
    options: &LogOptions,
    opening: &Opening,
    disk: &dyn Disk,
) -> Result<()> {
    if opening.applied > 0 {
        return Err(Error::corrupt(format!(
            "log folder holds no log, though the store is at record {}",
            opening.applied
        )));
    }
    let head = SegmentHead {
        number: 1,
        store: opening.store,
        prev: 0,
        base: 0,
        created_ms: opening.now_ms,
    };
    create_segment(disk, dir, &head, options)
        .map_err(|error| unavailable(&error, "create", 1, Outcome::NotApplied))?;
    Ok(())
}

/// Begins a new segment where the old one must not be appended to, and proves what was recovered.
fn finish(files: &Files, opening: &Opening, head_is_damaged: bool) -> Result<()> {
    let mut writer = files.writer()?;
    if head_is_damaged || opening.applied > writer.last {
        let base = writer.last.max(opening.applied);
        return files.roll(&mut writer, base, opening.now_ms);
    }
    files.mark(&mut writer)
}

/// The segments in order, with what is wrong between and in them.
struct Chain {
    segments: VecDeque<Segment>,
    damage: Vec<Damage>,
    /// The last segment.
    scan: Scan,
    image: Vec<u8>,
}

/// What of the last segment counts.
struct Tail {
    last: Seq,
    end: u64,
}

impl Chain {
    fn read(dir: &Path, disk: &dyn Disk, opening: &Opening, numbers: &[u32]) -> Result<Self> {
        let mut segments: VecDeque<Segment> = VecDeque::new();
        let mut damage = Vec::new();
        let last_number = numbers.last().copied().unwrap_or(1);
        let (scan, image) = examine(dir, disk, &opening.store, last_number)?;
        for number in numbers.iter().copied() {
            let (head, bytes) = read_head(dir, disk, number)?;
            let head = match head {
                Ok(head) if head.store != opening.store => return Err(foreign(number)),
                Ok(head) if head.number == number => head,
                Err(HeadFault::Newer(version)) => return Err(newer(number, version)),
                Ok(_) | Err(HeadFault::Damaged) => {
                    damage.push(head_damage(number));
                    guess_head(dir, disk, opening, number, segments.back())?
                }
            };
            if let Some(before) = segments.back().filter(|before| before.number + 1 < number) {
                let (scan, _) = examine(dir, disk, &opening.store, before.number)?;
                damage.push(missing(before.number, number, scan.last, head.prev));
            }
            segments.push_back(Segment::new(&head, bytes));
        }
        if let Some(last) = segments.back_mut() {
            last.places.clone_from(&scan.places);
        }
        Ok(Self {
            segments,
            damage,
            scan,
            image,
        })
    }

    /// Tells a torn tail from damage: a record was synced if a valid frame behind it says so.
    fn judge_tail(&mut self) -> Tail {
        let scan = &self.scan;
        let torn = scan.torn().and_then(|torn| scan.gaps.get(torn));
        let tail = match torn {
            Some(torn) => Tail {
                last: torn.after,
                end: torn.offset,
            },
            None => Tail {
                last: scan.last,
                end: scan.end,
            },
        };
        let Some(last) = self.segments.back_mut() else {
            return tail;
        };
        last.places.retain(|place| place.offset < tail.end);
        let damaged = scan.gaps.iter().filter(|gap| gap.offset < tail.end);
        for gap in damaged {
            self.damage.push(Damage {
                file: file_name(last.number),
                offset: gap.offset,
                lost: gap.lost(scan.proven),
                what: "bytes are not what was written".to_owned(),
            });
        }
        tail
    }

    /// Notes that the store holds records which the log does not.
    ///
    /// That is no loss: it happens after a loss of power when commits were acknowledged before they
    /// were synced, and the store below happened to write them out.
    fn note_hole(&mut self, tail: &Tail, opening: &Opening) {
        if opening.applied > tail.last {
            self.damage.push(Damage {
                file: self
                    .segments
                    .back()
                    .map_or(String::new(), |last| file_name(last.number)),
                offset: tail.end,
                lost: Some((tail.last + 1, opening.applied)),
                what: "the log ends before what the store holds".to_owned(),
            });
        }
    }

    /// Refuses to open when records are lost that the store below does not hold.
    fn refuse_losses(&self, opening: &Opening) -> Result<()> {
        let applied = opening.applied;
        if let Some(first) = self.segments.front().filter(|first| first.base > applied) {
            return Err(Error::corrupt(format!(
                "log begins behind record {}, though the store holds only {applied}",
                first.base
            )));
        }
        let lost: Vec<&Damage> = self
            .damage
            .iter()
            .filter(|damage| damage.lost.is_some_and(|(_, last)| last > applied))
            .collect();
        match lost.as_slice() {
            [] => Ok(()),
            [one] => Err((*one).clone().into()),
            [first, others @ ..] => {
                let more = format!("{first}; and {} more places", others.len());
                Err(Error::corrupt(more))
            }
        }
    }
}

impl Tail {
    /// What to write, and where, so that the tail holds what counts and then zeros.
    ///
    /// Records that nothing proves to have been synced are written again: after a failed sync, or
    /// one that never happened, their pages can be clean in memory and not on disk.
    fn mend(&self, chain: &Chain) -> Option<(Vec<u8>, u64)> {
        let from = chain.scan.unproven_from.min(self.end);
        let to = chain.scan.dirty_end.max(self.end);
        if from >= to {
            return None;
        }
        let kept = chain.image.get(from as usize..self.end as usize)?;
        let mut bytes = kept.to_vec();
        bytes.resize((to - from) as usize, 0);
        Some((bytes, from))
    }
}

/// What the head of a segment must have said, when it is damaged.
fn guess_head(
    dir: &Path,
    disk: &dyn Disk,
    opening: &Opening,
    number: u32,
    before: Option<&Segment>,
) -> Result<SegmentHead> {
    let (scan, _) = examine(dir, disk, &opening.store, number)?;
    let before_last = match before {
        Some(before) => Some(examine(dir, disk, &opening.store, before.number)?.0.last),
        None => None,
    };
    let prev = before_last.or(scan.base).unwrap_or(opening.applied);
    Ok(SegmentHead {
        number,
        store: opening.store,
        prev,
        base: scan.base.unwrap_or(prev).max(prev),
        created_ms: opening.now_ms,
    })
}

fn head_damage(number: u32) -> Damage {
    Damage {
        file: file_name(number),
        offset: 0,
        lost: None,
        what: "the head of the file is not what was written".to_owned(),
    }
}

pub(super) fn missing(before: u32, number: u32, last: Seq, prev: Seq) -> Damage {
    let files = match number - before {
        2 => "the file is missing".to_owned(),
        more => format!("{} files from this one on are missing", more - 1),
    };
    Damage {
        file: file_name(before + 1),
        offset: 0,
        lost: (prev > last).then_some((last + 1, prev)),
        what: files,
    }
}

fn foreign(number: u32) -> Error {
    Error::corrupt(format!(
        "log file {} belongs to another store",
        file_name(number)
    ))
}

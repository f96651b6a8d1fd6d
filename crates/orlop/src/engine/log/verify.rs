//! Reads every byte of a log and lists what is damaged. Changes nothing.

use std::path::Path;

use super::files::{Files, file_name};
use super::frame::HeadFault;
use super::open::{examine, missing, newer, numbers, read_head, read_whole};
use super::scan::{Scan, scan};
use super::{Damage, Disk};
use crate::Result;
use crate::engine::Seq;

/// The damage of an open log, up to what was appended when this was called.
pub(super) fn verify_open(files: &Files) -> Result<Vec<Damage>> {
    let (active, end, last) = files.end();
    let mut list = Findings::default();
    let all: Vec<u32> = files.segments().iter().map(|one| one.number).collect();
    for number in all.into_iter().filter(|number| *number <= active) {
        let read = read_whole(&files.dir, &*files.disk, number);
        let mut bytes = match read {
            Ok(bytes) => bytes,
            // Dropped meanwhile, by retention.
            Err(_)
                if files
                    .segments()
                    .front()
                    .is_none_or(|first| first.number > number) =>
            {
                continue;
            }
            Err(error) => return Err(error),
        };
        if number == active {
            // Whatever lies behind is being written right now.
            bytes.truncate(usize::try_from(end).unwrap_or(usize::MAX));
        }
        let scan = scan(&bytes, &files.store, number);
        list.take(number, &scan)?;
        list.gaps(number, &scan, scan.gaps.len());
    }
    list.end_at(last, None);
    Ok(list.damage)
}

/// The damage of the log in `dir`, which nobody has open. A torn tail is none.
pub(super) fn verify_folder(dir: &Path, disk: &dyn Disk) -> Result<Vec<Damage>> {
    let numbers = numbers(dir, disk)?;
    let mut store = [0; 16];
    for number in &numbers {
        if let (Ok(head), _) = read_head(dir, disk, *number)? {
            store = head.store;
            break;
        }
    }
    let mut list = Findings::default();
    for number in &numbers {
        let (scan, _) = examine(dir, disk, &store, *number)?;
        list.take(*number, &scan)?;
        let torn = scan.torn();
        let known = match Some(number) == numbers.last() {
            true => torn.unwrap_or(scan.gaps.len()),
            false => scan.gaps.len(),
        };
        list.gaps(*number, &scan, known);
    }
    list.end_at(0, None);
    Ok(list.damage)
}

#[derive(Default)]
struct Findings {
    damage: Vec<Damage>,
    before: Option<Before>,
}

/// The segment before.
struct Before {
    number: u32,
    /// Its last record.
    last: Seq,
    /// End of its last frame.
    end: u64,
    /// Whether bytes behind that frame are not zeros.
    garbage: bool,
}

impl Findings {
    /// Notes the segment's head and how it follows the one before.
    fn take(&mut self, number: u32, scan: &Scan) -> Result<()> {
        let prev = match scan.head {
            Ok(head) => head.prev,
            Err(HeadFault::Newer(version)) => return Err(newer(number, version)),
            Err(HeadFault::Damaged) => {
                let what = "the head of the file is not what was written";
                self.add(number, 0, None, what);
                scan.base.unwrap_or(0)
            }
        };
        self.end_at(prev, Some(number));
        self.before = Some(Before {
            number,
            last: scan.last,
            end: scan.end,
            garbage: false,
        });
        Ok(())
    }

    /// Notes the first `count` gaps of the segment taken last.
    fn gaps(&mut self, number: u32, scan: &Scan, count: usize) {
        for gap in scan.gaps.iter().take(count) {
            match gap.until {
                Some(until) => {
                    let lost = gap.lost(until);
                    self.add(number, gap.offset, lost, "bytes are not what was written");
                }
                // What comes next tells what was lost here.
                None => {
                    if let Some(before) = &mut self.before {
                        before.garbage = true;
                    }
                }
            }
        }
    }

    /// Notes how the segment taken last ends, when `prev` is the last record it must hold and
    /// `next` the segment found behind it.
    fn end_at(&mut self, prev: Seq, next: Option<u32>) {
        let Some(before) = self.before.take() else {
            return;
        };
        let lost = (prev > before.last).then_some((before.last + 1, prev));
        match next.filter(|next| before.number + 1 < *next) {
            Some(next) => {
                self.damage
                    .push(missing(before.number, next, before.last, prev));
            }
            None if lost.is_some() => {
                let what = "records are missing at the end of the file";
                self.add(before.number, before.end, lost, what);
            }
            None if before.garbage => {
                self.add(
                    before.number,
                    before.end,
                    None,
                    "bytes are not what was written",
                );
            }
            None => {}
        }
    }

    fn add(&mut self, number: u32, offset: u64, lost: Option<(Seq, Seq)>, what: &str) {
        self.damage.push(Damage {
            file: file_name(number),
            offset,
            lost,
            what: what.to_owned(),
        });
    }
}

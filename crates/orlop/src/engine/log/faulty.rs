//! A disk in memory that loses, tears and refuses, for tests.
//!
//! It keeps two things apart: what was written, which everyone reads, and what was synced, which
//! alone survives [`FaultyDisk::crash`]. Names are kept apart the same way: a created, renamed or
//! removed file survives as such only after [`Disk::sync_dir`].

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::disk::{Disk, DiskFile, Space};

/// The unit in which a real disk writes a part of what it was given.
const SECTOR_BYTES: usize = 512;
/// `ENOSPC` of Linux.
const NO_SPACE: i32 = 28;

/// What becomes of writes that no sync covered, when the power goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// None of them reached the disk.
    Lost,
    /// Each sector did or did not, as the seed says, in no order.
    Torn(u64),
    /// Each sector did, did not, or holds noise, as the seed says.
    Scrambled(u64),
    /// All of them did: what a killed process leaves.
    Kept,
}

/// A disk in memory. A clone is the same disk.
#[derive(Debug, Clone, Default)]
pub struct FaultyDisk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    files: Vec<Content>,
    /// Names as everyone sees them.
    names: BTreeMap<PathBuf, usize>,
    /// Names as they are after a loss of power.
    durable_names: BTreeMap<PathBuf, usize>,
    writes: u64,
    syncs: u64,
    fail_write: Option<u64>,
    fail_sync: Option<u64>,
    capacity: Option<u64>,
}

#[derive(Debug, Default, Clone)]
struct Content {
    written: Vec<u8>,
    durable: Vec<u8>,
    /// Offsets of bytes that a failed sync gave up: clean in memory, never on the disk.
    given_up: Vec<usize>,
}

impl FaultyDisk {
    /// An empty disk without faults.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many syncs of files and folders succeeded.
    pub fn syncs(&self) -> u64 {
        self.state().syncs
    }

    /// How many writes succeeded.
    pub fn writes(&self) -> u64 {
        self.state().writes
    }

    /// Makes the sync after `more` successful ones fail, once. What it should have covered stays
    /// readable and is lost with the power: a later sync does not save it.
    pub fn fail_sync_after(&self, more: u64) {
        let mut state = self.state();
        state.fail_sync = Some(state.syncs + more);
    }

    /// Makes the write after `more` successful ones fail, once, when half of it is done.
    pub fn fail_write_after(&self, more: u64) {
        let mut state = self.state();
        state.fail_write = Some(state.writes + more);
    }

    /// Bytes that all files may take together; beyond them a write ends early with "no space".
    pub fn set_capacity(&self, bytes: u64) {
        self.state().capacity = Some(bytes);
    }

    /// The disk as it is after a loss of power right now. This one goes on unharmed.
    pub fn crash(&self, how: Crash) -> Self {
        let state = self.state();
        let mut noise = Noise(match how {
            Crash::Torn(seed) | Crash::Scrambled(seed) => seed,
            Crash::Lost | Crash::Kept => 0,
        });
        let names = match how {
            Crash::Kept => state.names.clone(),
            Crash::Lost => state.durable_names.clone(),
            Crash::Torn(_) | Crash::Scrambled(_) => state.mixed_names(&mut noise),
        };
        let files = state
            .files
            .iter()
            .map(|content| content.after(how, &mut noise));
        let files = files.collect();
        Self(Arc::new(Mutex::new(State {
            files,
            durable_names: names.clone(),
            names,
            ..State::default()
        })))
    }

    /// The names of all files.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.state().names.keys().cloned().collect()
    }

    /// A file's bytes; empty when there is none.
    pub fn bytes(&self, path: &Path) -> Vec<u8> {
        let state = self.state();
        let content = state.names.get(path).and_then(|at| state.files.get(*at));
        content.map_or_else(Vec::new, |content| content.written.clone())
    }

    /// Puts a file there, durably, with these bytes.
    pub fn put(&self, path: &Path, bytes: &[u8]) {
        let mut state = self.state();
        let at = state.files.len();
        state.files.push(Content {
            written: bytes.to_vec(),
            durable: bytes.to_vec(),
            given_up: Vec::new(),
        });
        state.names.insert(path.to_owned(), at);
        state.durable_names.insert(path.to_owned(), at);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk for FaultyDisk {
    fn create_dir(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = self.state();
        let inside = state.names.keys().filter(|path| path.parent() == Some(dir));
        let names = inside.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()));
        Ok(names.collect())
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        let at = state.files.len();
        state.files.push(Content::default());
        state.names.insert(path.to_owned(), at);
        drop(state);
        Ok(Arc::new(FaultyFile(self.clone(), at)))
    }

    fn open(&self, path: &Path, _write: bool) -> io::Result<Arc<dyn DiskFile>> {
        let at = self.state().names.get(path).copied();
        let at = at.ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(FaultyFile(self.clone(), at)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        let at = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.to_owned(), at);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let removed = self.state().names.remove(path);
        removed.map(|_| ()).ok_or(io::ErrorKind::NotFound.into())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.count_sync()?;
        let inside = |path: &PathBuf| path.parent() == Some(dir);
        state.durable_names.retain(|path, _| !inside(path));
        let now = state.names.iter().filter(|(path, _)| inside(path));
        let now: Vec<_> = now.map(|(path, at)| (path.clone(), *at)).collect();
        state.durable_names.extend(now);
        Ok(())
    }

    fn space(&self, _dir: &Path) -> io::Result<Space> {
        let state = self.state();
        let total = state.capacity.unwrap_or(1 << 40);
        Ok(Space {
            free: total.saturating_sub(state.used()),
            total,
        })
    }
}

#[derive(Debug)]
struct FaultyFile(FaultyDisk, usize);

impl FaultyFile {
    fn change<T>(&self, change: impl FnOnce(&mut Content) -> T) -> io::Result<T> {
        let mut state = self.0.state();
        let content = state.files.get_mut(self.1);
        content.map(change).ok_or(io::ErrorKind::NotFound.into())
    }
}

impl DiskFile for FaultyFile {
    fn size(&self) -> io::Result<u64> {
        self.change(|content| content.written.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.change(|content| {
            let rest = content.written.get(offset as usize..).unwrap_or_default();
            let read = rest.len().min(buffer.len());
            buffer[..read].copy_from_slice(&rest[..read]);
            read
        })
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let outcome = self.0.state().admit_write(bytes.len());
        let (done, error) = match outcome {
            Ok(()) => (bytes.len(), None),
            Err((done, error)) => (done, Some(error)),
        };
        self.change(|content| {
            let end = offset as usize + done;
            if content.written.len() < end {
                content.written.resize(end, 0);
            }
            content.written[offset as usize..end].copy_from_slice(&bytes[..done]);
            let again = offset as usize..end;
            content.given_up.retain(|at| !again.contains(at));
        })?;
        error.map_or(Ok(()), Err)
    }

    fn set_size(&self, bytes: u64) -> io::Result<()> {
        self.change(|content| content.written.resize(bytes as usize, 0))
    }

    fn sync(&self) -> io::Result<()> {
        let counted = self.0.state().count_sync();
        self.change(|content| match counted.is_ok() {
            true => content.make_durable(),
            false => content.give_up(),
        })?;
        counted
    }
}

impl State {
    /// Each name that no sync covered is as before or as now.
    fn mixed_names(&self, noise: &mut Noise) -> BTreeMap<PathBuf, usize> {
        let all = self.names.keys().chain(self.durable_names.keys());
        let all: BTreeSet<&PathBuf> = all.collect();
        let pick = |path: &PathBuf, now: bool| match now {
            true => self.names.get(path).copied(),
            false => self.durable_names.get(path).copied(),
        };
        all.into_iter()
            .filter_map(|path| {
                let at = pick(path, noise.next().is_multiple_of(2))?;
                Some((path.clone(), at))
            })
            .collect()
    }

    fn used(&self) -> u64 {
        let named = self.names.values().filter_map(|at| self.files.get(*at));
        named.map(|content| content.written.len() as u64).sum()
    }

    fn count_sync(&mut self) -> io::Result<()> {
        if self.fail_sync == Some(self.syncs) {
            self.fail_sync = None;
            return Err(io::Error::other("injected failure of a sync"));
        }
        self.syncs += 1;
        Ok(())
    }

    /// Whether a write may happen; else how much of it does, and its error.
    fn admit_write(&mut self, bytes: usize) -> Result<(), (usize, io::Error)> {
        if self.fail_write == Some(self.writes) {
            self.fail_write = None;
            let error = io::Error::other("injected failure of a write");
            return Err((bytes / 2, error));
        }
        // Overwriting counts as growing: tests do not need it exact.
        let free = self
            .capacity
            .map_or(u64::MAX, |capacity| capacity.saturating_sub(self.used()));
        if (bytes as u64) > free {
            return Err((free as usize, io::Error::from_raw_os_error(NO_SPACE)));
        }
        self.writes += 1;
        Ok(())
    }
}

impl Content {
    fn make_durable(&mut self) {
        let before = std::mem::replace(&mut self.durable, self.written.clone());
        for at in &self.given_up {
            if let Some(byte) = self.durable.get_mut(*at) {
                *byte = before.get(*at).copied().unwrap_or(0);
            }
        }
    }

    fn give_up(&mut self) {
        let differs = |at: &usize| self.durable.get(*at) != self.written.get(*at);
        self.given_up = (0..self.written.len()).filter(differs).collect();
    }

    fn after(&self, how: Crash, noise: &mut Noise) -> Self {
        let bytes = match how {
            Crash::Lost => self.durable.clone(),
            Crash::Kept => self.written.clone(),
            Crash::Torn(_) => self.mixed(noise, false),
            Crash::Scrambled(_) => self.mixed(noise, true),
        };
        Self {
            written: bytes.clone(),
            durable: bytes,
            given_up: Vec::new(),
        }
    }

    /// Sector by sector the durable bytes, the written ones, or noise.
    fn mixed(&self, noise: &mut Noise, scramble: bool) -> Vec<u8> {
        let long = noise.next().is_multiple_of(2);
        let bytes = if long { &self.written } else { &self.durable };
        let mut mixed = vec![0; bytes.len()];
        for (index, sector) in mixed.chunks_mut(SECTOR_BYTES).enumerate() {
            let at = index * SECTOR_BYTES;
            let part = |of: &[u8], into: &mut [u8]| {
                let of = of.get(at..).unwrap_or_default();
                let length = of.len().min(into.len());
                into[..length].copy_from_slice(&of[..length]);
            };
            part(&self.durable, sector);
            let before = sector.to_vec();
            let mut after = vec![0; sector.len()];
            part(&self.written, &mut after);
            if before == after {
                continue;
            }
            match noise.next() % 3 {
                0 => {}
                // Only what was written since the sync: a sector is whole or not, but for that.
                1 if scramble => {
                    for (byte, new) in sector.iter_mut().zip(&after) {
                        if byte != new {
                            *byte = noise.next() as u8;
                        }
                    }
                }
                _ => sector.copy_from_slice(&after),
            }
        }
        mixed
    }
}

/// SplitMix64: the same seed, the same crash.
#[derive(Debug)]
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

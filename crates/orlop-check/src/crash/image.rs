//! All files of a folder in memory: to lay it out again, torn or with a bit flipped.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::random::Random;

/// The unit in which a disk writes a part of what it was given.
const SECTOR_BYTES: usize = 512;
const BLOCK_BYTES: usize = 64 * 1024;

/// The files of a folder.
#[derive(Debug, Clone, Default)]
pub struct Image {
    files: BTreeMap<PathBuf, Content>,
}

/// One file: its bytes up to the last that is not zero, and its size. Files laid out ahead are
/// mostly zeros.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Content {
    bytes: Vec<u8>,
    size: u64,
}

impl Image {
    /// The files of `folder` as they are.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn of(folder: &Path) -> io::Result<Self> {
        let mut image = Self::default();
        image.gather(folder, Path::new(""))?;
        Ok(image)
    }

    fn gather(&mut self, folder: &Path, inside: &Path) -> io::Result<()> {
        for entry in fs::read_dir(folder.join(inside))? {
            let entry = entry?;
            let path = inside.join(entry.file_name());
            match entry.file_type()?.is_dir() {
                true => self.gather(folder, &path)?,
                false => {
                    let content = Content::read(&entry.path())?;
                    self.files.insert(path, content);
                }
            }
        }
        Ok(())
    }

    /// Writes the files into `folder`.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn lay(&self, folder: &Path) -> io::Result<()> {
        for (path, content) in &self.files {
            let path = folder.join(path);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            let mut file = File::create(path)?;
            file.write_all(&content.bytes)?;
            file.set_len(content.size)?;
        }
        Ok(())
    }

    /// The names of the files, with the bytes of each up to its last zeros.
    pub fn files(&self) -> impl Iterator<Item = (&Path, usize)> {
        let files = self.files.iter();
        files.map(|(path, content)| (path.as_path(), content.bytes.len()))
    }

    /// These files, but those in `folder` as they are in `other`.
    #[must_use]
    pub fn with(&self, other: &Self, folder: &str) -> Self {
        let here = self
            .files
            .iter()
            .filter(|(path, _)| !path.starts_with(folder));
        let there = other
            .files
            .iter()
            .filter(|(path, _)| path.starts_with(folder));
        let files = here.chain(there);
        Self {
            files: files
                .map(|(path, content)| (path.clone(), content.clone()))
                .collect(),
        }
    }

    /// Flips one bit: of any file that is not empty, anywhere in it up to a little behind its last
    /// byte that is not zero. Says where.
    pub fn flip(&mut self, random: &mut Random) -> String {
        let filled = self.files.values().filter(|content| content.size > 0);
        let chosen = random.below(filled.count() as u64) as usize;
        let mut filled = self
            .files
            .iter_mut()
            .filter(|(_, content)| content.size > 0);
        let Some((path, content)) = filled.nth(chosen) else {
            return "no file".to_owned();
        };
        let reach = (content.bytes.len() as u64 + 64).min(content.size);
        let at = random.below(reach) as usize;
        let bit = random.below(8);
        if content.bytes.len() <= at {
            content.bytes.resize(at + 1, 0);
        }
        content.bytes[at] ^= 1 << bit;
        format!("bit {bit} of byte {at} of {}", path.display())
    }

    /// What a loss of power can leave when everything up to this image was synced and nothing
    /// between it and `later` was: each sector is from here or from `later`, or, with `noise`, what
    /// changed in it is noise.
    #[must_use]
    pub fn torn(&self, later: &Self, random: &mut Random, noise: bool) -> Self {
        let mut torn = Self::default();
        for (path, new) in &later.files {
            let mixed = match self.files.get(path) {
                Some(old) if old == new => old.clone(),
                Some(old) => old.mixed(new, random, noise),
                // A name that no sync of its folder covered.
                None if random.below(2) == 0 => continue,
                None => Content::default().mixed(new, random, noise),
            };
            torn.files.insert(path.clone(), mixed);
        }
        for (path, old) in &self.files {
            if !later.files.contains_key(path) && random.below(2) == 0 {
                torn.files.insert(path.clone(), old.clone());
            }
        }
        torn
    }
}

impl Content {
    fn read(path: &Path) -> io::Result<Self> {
        static ZEROS: [u8; BLOCK_BYTES] = [0; BLOCK_BYTES];
        let mut file = File::open(path)?;
        let mut content = Self::default();
        let mut block = vec![0; BLOCK_BYTES];
        loop {
            let read = file.read(&mut block)?;
            if read == 0 {
                break;
            }
            // Zeros are taken in only when something follows them.
            if block[..read] != ZEROS[..read] {
                content.bytes.resize(content.size as usize, 0);
                content.bytes.extend_from_slice(&block[..read]);
            }
            content.size += read as u64;
        }
        let used = content.bytes.iter().rposition(|byte| *byte != 0);
        content.bytes.truncate(used.map_or(0, |at| at + 1));
        Ok(content)
    }

    fn mixed(&self, new: &Self, random: &mut Random, noise: bool) -> Self {
        let size = match random.below(2) {
            0 => self.size,
            _ => new.size,
        };
        let reach = self.bytes.len().max(new.bytes.len());
        let at = |content: &Self, at: usize| content.bytes.get(at).copied().unwrap_or(0);
        let mut bytes = vec![0; reach];
        for (number, sector) in bytes.chunks_mut(SECTOR_BYTES).enumerate() {
            let fate = random.below(3);
            for (place, byte) in (number * SECTOR_BYTES..).zip(sector) {
                let (old, new) = (at(self, place), at(new, place));
                *byte = match fate {
                    0 => old,
                    1 if noise && old != new => random.below(256) as u8,
                    _ => new,
                };
            }
        }
        bytes.truncate(size as usize);
        Self { bytes, size }
    }
}

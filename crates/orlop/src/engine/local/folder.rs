//! The folder of a store: who holds it, which format it has, where its parts lie.
//!
//! `orlop-store` says the format and the incarnation, `lock` is held while a process has the store
//! open, `log/` is the log, `pairs/` the key-value store. docs/format.md "Folder".

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use crate::engine::kv::Kv;
use crate::{Error, ErrorKind, Outcome, Result};

/// The format this program writes, and the newest it reads.
const FORMAT: u32 = 1;
/// Name of the header.
const HEADER: &str = "orlop-store";

/// How often, and after which pause, a lock that is held is tried again.
const LOCK_TRIES: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// A folder held by this process.
pub(super) struct Held {
    pub(super) lock: File,
    pub(super) incarnation: u128,
}

/// Locks the folder, creating it when absent, and reads its header.
pub(super) fn hold(folder: &Path) -> Result<Held> {
    fs::create_dir_all(folder).map_err(|error| failed("create folder", folder, &error))?;
    let lock = lock(folder)?;
    let path = folder.join(HEADER);
    let incarnation = match fs::read(&path) {
        Ok(header) => parse_header(&header)
            .map_err(|error| error.context(format!("store {}", folder.display())))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            if folder.join("log").exists() {
                return Err(Error::corrupt(format!(
                    "store {}: the file {HEADER} is missing beside a log; restore a backup",
                    folder.display()
                )));
            }
            create_header(folder)?
        }
        Err(error) => return Err(failed("read", &path, &error)),
    };
    Ok(Held { lock, incarnation })
}

/// Random; no two lives of stores share it.
pub(super) fn new_incarnation() -> u128 {
    u128::from_be_bytes(bson::Uuid::new().bytes())
}

/// Opens the key-value store. When its own journal is damaged the journal is set aside: the log
/// holds everything behind the last flush.
#[cfg(feature = "embedded")]
pub(super) fn open_pairs(folder: &Path, cache_bytes: u64) -> Result<Box<dyn Kv>> {
    use crate::engine::kv::fjall_store::FjallKv;

    let pairs = folder.join("pairs");
    match FjallKv::open(&pairs, cache_bytes) {
        Ok(kv) => Ok(Box::new(kv)),
        Err(error) if error.kind() == ErrorKind::Corrupt && set_journal_aside(folder)? => {
            tracing::warn!(%error, "the key-value store's journal is set aside; the log replays it");
            Ok(Box::new(FjallKv::open(&pairs, cache_bytes)?))
        }
        Err(error) => Err(error.context(format!("store {}", folder.display()))),
    }
}

/// Moves the key-value store's journals to `set-aside/`; says whether there were any.
#[cfg(feature = "embedded")]
fn set_journal_aside(folder: &Path) -> Result<bool> {
    let aside = folder.join("set-aside");
    let mut moved = false;
    let io = |error: std::io::Error| failed("set aside a journal in", folder, &error);
    for entry in fs::read_dir(folder.join("pairs")).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if path.extension().is_some_and(|extension| extension == "jnl") {
            fs::create_dir_all(&aside).map_err(io)?;
            let name = path.file_name().expect("an entry of a folder has a name");
            fs::rename(&path, aside.join(name)).map_err(io)?;
            moved = true;
        }
    }
    Ok(moved)
}

fn lock(folder: &Path) -> Result<File> {
    let path = folder.join("lock");
    let mut lock = OpenOptions::new()
        .create(true)
        .read(true)
        .write(true)
        .truncate(false)
        .open(&path)
        .map_err(|error| failed("open for writing", &path, &error))?;
    match try_lock(&lock) {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let _ = lock.read_to_string(&mut holder);
            return Err(Error::unavailable(
                format!(
                    "store {} is held by process {}; close it, or talk to its server",
                    folder.display(),
                    holder.trim()
                ),
                Outcome::NotApplied,
            ));
        }
        Err(TryLockError::Error(error)) => return Err(failed("lock", &path, &error)),
    }
    // For the message above only; the lock itself is the operating system's.
    let _ = lock.set_len(0);
    let _ = writeln!(lock, "{}", std::process::id());
    Ok(lock)
}

/// Takes the lock, trying for a tenth of a second: a program that is being started inherits it from
/// a process that has just let go, until it runs.
fn try_lock(lock: &File) -> std::result::Result<(), TryLockError> {
    for _ in 0..LOCK_TRIES {
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            other => return other,
        }
    }
    lock.try_lock()
}

fn create_header(folder: &Path) -> Result<u128> {
    let incarnation = new_incarnation();
    let path = folder.join(HEADER);
    let temporary = folder.join("orlop-store.new");
    let written = File::create(&temporary)
        .and_then(|mut file| {
            file.write_all(header(FORMAT, incarnation).as_bytes())?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&temporary, &path))
        // IMPORTANT: the folder too, or the name may be gone after a loss of power.
        .and_then(|()| File::open(folder)?.sync_all());
    written.map_err(|error| failed("write", &path, &error))?;
    Ok(incarnation)
}

fn header(format: u32, incarnation: u128) -> String {
    let text = format!("orlop store\nformat {format}\nincarnation {incarnation:032x}\n");
    let sum = xxhash_rust::xxh3::xxh3_64(text.as_bytes());
    format!("{text}checksum {sum:016x}\n")
}

fn parse_header(bytes: &[u8]) -> Result<u128> {
    let damaged = || Error::corrupt(format!("the file {HEADER} is damaged; restore a backup"));
    let text = std::str::from_utf8(bytes).map_err(|_| damaged())?;
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.strip_prefix(' '))
            .ok_or_else(damaged)
    };
    let format: u32 = field("format")?.parse().map_err(|_| damaged())?;
    let incarnation = u128::from_str_radix(field("incarnation")?, 16).map_err(|_| damaged())?;
    if header(format, incarnation) != text {
        return Err(damaged());
    }
    if format > FORMAT {
        return Err(Error::unsupported(format!(
            "it was written by a newer program: format {format}, this one knows up to {FORMAT}; use that program"
        )));
    }
    Ok(incarnation)
}

pub(super) fn failed(what: &str, path: &Path, error: &std::io::Error) -> Error {
    Error::unavailable(
        format!("cannot {what} {}: {error}", path.display()),
        Outcome::NotApplied,
    )
}

//! Verifies what fjall reads of its files without verifying it, before fjall does.
//!
//! Each of its keyspaces has a file `current` that names the manifest `v<number>` and holds a
//! checksum of it, written with every manifest and never looked at: a flipped bit in either makes
//! fjall panic, at worst while it unwinds, which ends the process.

use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use xxhash_rust::xxh3::xxh3_128;

use crate::{Error, Outcome, Result};

/// Checks the manifest of every keyspace in fjall's `folder`. A folder that is not there is fine.
///
/// # Errors
/// `Corrupt` naming the file, `Unavailable` when one cannot be read.
///
/// # Cost
/// Reads the manifests, some dozen bytes for each table.
pub(super) fn check_manifests(folder: &Path) -> Result<()> {
    let keyspaces = match fs::read_dir(folder.join("keyspaces")) {
        Ok(keyspaces) => keyspaces,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(unreadable(folder, &error)),
    };
    for keyspace in keyspaces {
        let keyspace = keyspace.map_err(|error| unreadable(folder, &error))?.path();
        check_manifest(&keyspace)?;
    }
    Ok(())
}

/// Does what of fjall may panic on damaged files; a panic is `Corrupt`.
///
/// # Errors
/// As `work`.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    // Nothing of what panicked is used again: the caller gives the store up.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        let what = "the store's files are damaged: reading them panicked; restore a backup";
        Err(Error::corrupt(what))
    })
}

fn check_manifest(keyspace: &Path) -> Result<()> {
    let current = keyspace.join("current");
    let named = match fs::read(&current) {
        Ok(named) => named,
        // A crash before the keyspace was complete; fjall removes it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(unreadable(&current, &error)),
    };
    // The number of the manifest, its XXH3-128, and 0 for that kind of checksum.
    let Some((number, rest)) = named.split_first_chunk::<8>() else {
        return Err(damaged(&current, "too short"));
    };
    let Some((checksum, [0])) = rest.split_first_chunk::<16>() else {
        return Err(damaged(&current, "not what was written"));
    };
    let manifest = keyspace.join(format!("v{}", u64::from_le_bytes(*number)));
    let bytes = match fs::read(&manifest) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(damaged(&current, "names a manifest that is not there"));
        }
        Err(error) => return Err(unreadable(&manifest, &error)),
    };
    if xxh3_128(&bytes) != u128::from_le_bytes(*checksum) {
        return Err(damaged(&manifest, "its checksum differs"));
    }
    Ok(())
}

fn damaged(path: &Path, what: &str) -> Error {
    Error::corrupt(format!("the file {} is damaged: {what}", path.display()))
}

fn unreadable(path: &Path, error: &io::Error) -> Error {
    Error::unavailable(
        format!("cannot read {}: {error}", path.display()),
        Outcome::NotApplied,
    )
}

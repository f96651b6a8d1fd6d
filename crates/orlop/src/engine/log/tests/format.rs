//! The bytes of format version 1, pinned by files. `ORLOP_BLESS=1` writes them anew.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{open, open_at, opening, read, records, small};
use crate::engine::log::faulty::FaultyDisk;
use crate::engine::log::{Log, RealDisk, verify_folder};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/log-v1")
}

/// Everything a log can hold: groups, skipped numbers, several segments, a mark, a hole.
fn written() -> FaultyDisk {
    let disk = FaultyDisk::new();
    let (log, _) = open(&disk);
    log.append(&records([1, 2, 3])).unwrap();
    log.sync().unwrap();
    log.append(&records([6, 10])).unwrap();
    log.append(&records([11, 12])).unwrap();
    log.close().unwrap();
    for seq in 13..=22 {
        log.append(&records([seq])).unwrap();
    }
    log.sync().unwrap();
    drop(log);
    let (log, _) = open_at(&disk, 25).unwrap();
    log.append(&records([30])).unwrap();
    log.sync().unwrap();
    disk
}

#[test]
fn version_1_is_written_byte_for_byte_as_ever() {
    let disk = written();
    for path in disk.paths() {
        let name = path.file_name().unwrap();
        let fixture = fixtures().join(name);
        let bytes = disk.bytes(&path);
        if std::env::var_os("ORLOP_BLESS").is_some() {
            std::fs::create_dir_all(fixtures()).unwrap();
            std::fs::write(&fixture, &bytes).unwrap();
        }
        let pinned = std::fs::read(&fixture).unwrap_or_else(|error| panic!("{fixture:?}: {error}"));
        let differs = pinned.iter().zip(&bytes).position(|(old, new)| old != new);
        assert_eq!(differs, None, "{name:?} differs at that offset");
        assert_eq!(pinned.len(), bytes.len(), "{name:?}");
    }
    let files = std::fs::read_dir(fixtures()).unwrap().count();
    assert_eq!(disk.paths().len(), files);
}

#[test]
fn version_1_is_read_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(fixtures()).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    assert_eq!(verify_folder(folder.path(), &RealDisk).unwrap(), []);
    let (log, recovered) =
        Log::open(folder.path(), small(), opening(0), Arc::new(RealDisk)).unwrap();
    assert_eq!((recovered.first_seq, recovered.last_seq), (1, 30));
    assert_eq!(read(&log, 25).unwrap(), records([30]));
    let mut reader = log.read_from(0).unwrap();
    for seq in [1, 2, 3, 6].into_iter().chain(10..=22) {
        assert_eq!(reader.next(30).unwrap(), Some(super::record(seq)));
    }
}

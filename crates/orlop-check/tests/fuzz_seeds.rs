//! The seeds of the fuzz targets, and a few thousand changes of each, hold what the targets claim.
//!
//! On a stable toolchain and without a fuzzer. `SEED` chooses other changes; `WRITE_SEEDS=1` writes
//! the generated seeds anew.

use std::fs;
use std::path::{Path, PathBuf};

use bson::{Bson, Document, doc};
use orlop_check::generate::{self, World};
use orlop_check::random::{Random, seed};

#[path = "../../../fuzz/checks.rs"]
mod checks;

/// Changes tried of every seed.
const CHANGES: usize = 2_000;
/// Generated seeds of each target that reads BSON.
const GENERATED: usize = 12;

#[test]
fn packing_reads_back_what_was_packed() {
    run("packing", checks::packing);
}

#[test]
fn keys_of_any_bytes_are_read_and_sort_as_their_values() {
    run("keys", checks::keys);
}

#[test]
fn filters_of_any_bytes_parse_to_what_they_say() {
    run("filter", checks::filter);
}

#[test]
fn updates_of_any_bytes_make_documents() {
    run("update", checks::update);
}

#[test]
fn query_strings_of_any_bytes_are_read_or_refused() {
    run("query_string", checks::query_string);
}

#[test]
fn log_records_of_any_bytes_are_read_or_named_corrupt() {
    run("log_record", checks::log_record);
}

fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/seeds")
        .join(target)
}

fn run(target: &str, check: fn(&[u8])) {
    let folder = folder(target);
    if std::env::var_os("WRITE_SEEDS").is_some() {
        write_seeds(target, &folder);
    }
    let seed = seed(1);
    let mut random = Random::new(seed);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .expect("every target has seeds")
        .map(|entry| entry.expect("a seed is readable").path())
        .collect();
    files.sort();
    assert!(files.len() > 3, "{target} has too few seeds");
    for file in files {
        println!("SEED={seed} {}", file.display());
        let bytes = fs::read(&file).expect("a seed is readable");
        check(&bytes);
        for _ in 0..CHANGES {
            check(&changed(&mut random, &bytes));
        }
    }
}

/// A few bytes of a seed replaced, left out or doubled.
fn changed(random: &mut Random, bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=random.index(4) {
        if bytes.is_empty() {
            break;
        }
        let at = random.index(bytes.len());
        match random.index(8) {
            0 => bytes.truncate(at),
            1 => {
                bytes.remove(at);
            }
            2 => bytes.insert(at, random.number() as u8),
            3 => bytes[at] = random.pick(&[0, 1, 0x7F, 0x80, 0xFF, b'$', b'.']),
            _ => bytes[at] ^= 1 << random.index(8),
        }
    }
    bytes
}

fn write_seeds(target: &str, folder: &Path) {
    fs::create_dir_all(folder).expect("the folder of seeds can be made");
    let mut random = Random::new(target.len() as u64);
    for number in 0..GENERATED {
        let world = World::new(&mut random, 4);
        let one = world.documents.first().cloned().unwrap_or_default();
        let document = match target {
            "packing" | "keys" => one,
            "filter" => generate::filter(&mut random, &world, 2),
            "update" => {
                let case = generate::update(&mut random, &world);
                let filters: Vec<Bson> =
                    case.array_filters.into_iter().map(Bson::Document).collect();
                doc! { "u": case.update, "f": filters, "d": one }
            }
            _ => return,
        };
        write(folder, number, &document);
    }
}

fn write(folder: &Path, number: usize, document: &Document) {
    let bytes = document.to_vec().expect("a document has bytes");
    fs::write(folder.join(format!("generated-{number:02}")), bytes).expect("a seed can be written");
}

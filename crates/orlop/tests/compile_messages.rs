//! What the compiler says of a mistake: each file of `compile_messages/` is refused, with every
//! line it names behind `//~` among the messages.
//!
//! The cases are compiled by `rustc` against the library that was just built, so they build
//! nothing again. `RUSTC` names another compiler.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn mistakes_are_told_in_words_of_the_library() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compile_messages");
    let library = library();
    let mut wrong = Vec::new();
    let mut count = 0;
    for entry in std::fs::read_dir(cases).unwrap() {
        let path = entry.unwrap().path();
        let source = std::fs::read_to_string(&path).unwrap();
        let (compiled, said) = compile(&path, &library);
        count += 1;
        let expected: Vec<_> = source
            .lines()
            .filter_map(|line| line.trim().strip_prefix("//~ "))
            .collect();
        assert!(!expected.is_empty(), "{} expects nothing", path.display());
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if compiled {
            wrong.push(format!("{name} compiles"));
        }
        for line in expected {
            if !said.contains(line) {
                wrong.push(format!("{name} does not say `{line}` but:\n{said}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(count >= 18, "only {count} cases were found");
}

#[test]
fn a_right_program_compiles() {
    let right = tempfile::Builder::new().suffix(".rs").tempfile().unwrap();
    let source = "use orlop::document::{Document, Id};
        #[derive(Document)] #[document(collection = \"a\")]
        pub struct A { #[document(id)] pub id: Id<A>, pub n: i64 }
        pub fn f() -> orlop::query::typed::Filter<A> { A::n().eq(3) }";
    std::fs::write(right.path(), source).unwrap();
    let (compiled, said) = compile(right.path(), &library());
    assert!(compiled, "{said}");
}

/// The newest build of the library in the folder this test was built into.
fn library() -> PathBuf {
    let deps = deps();
    let libraries = std::fs::read_dir(&deps).unwrap().filter_map(|entry| {
        let path = entry.ok()?.path();
        let name = path.file_name()?.to_str()?;
        let is_one = name.starts_with("liborlop-") && name.ends_with(".rlib");
        let built = std::fs::metadata(&path).ok()?.modified().ok()?;
        is_one.then_some((built, path))
    });
    libraries
        .max()
        .map(|(_, path)| path)
        .expect("the library was built before its tests")
}

fn deps() -> PathBuf {
    std::env::current_exe()
        .unwrap()
        .parent()
        .unwrap()
        .to_owned()
}

fn compile(case: &Path, library: &Path) -> (bool, String) {
    let out = tempfile::tempdir().unwrap();
    let output = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .args([
            "--edition",
            "2024",
            "--crate-type",
            "lib",
            "--emit",
            "metadata",
        ])
        .args([
            "--crate-name",
            "case",
            "--error-format",
            "human",
            "--color",
            "never",
        ])
        .arg("--out-dir")
        .arg(out.path())
        .arg("-L")
        .arg(format!("dependency={}", deps().display()))
        .arg("--extern")
        .arg(format!("orlop={}", library.display()))
        .arg(case)
        .output()
        .unwrap();
    // Where a type was imported from is not what the messages are about.
    let mut said = String::from_utf8(output.stderr).unwrap();
    for path in ["orlop::document::", "orlop::", "std::string::"] {
        said = said.replace(path, "");
    }
    (output.status.success(), said)
}

//! Who may use whom, among crates and among the modules of the library.

use std::process::Command;

use super::sources::{Source, root};

/// The modules of `orlop` in the order of their arrows: each uses only those before it.
const MODULES: &[&[&str]] = &[
    &["observe", "defences"],
    &["document"],
    &["query"],
    &["pack"],
    &["engine"],
    &["cache"],
    &["trace"],
    &["collection"],
    &["migrate", "backup"],
    &["archive"],
];

/// What each crate may depend on; nothing may depend on `orlop-check` and `orlop-bench`.
const CRATES: &[(&str, &[&str])] = &[
    ("orlop-derive", &[]),
    ("orlop", &["orlop-derive"]),
    ("orlop-server", &["orlop"]),
    ("pdeck", &["orlop", "orlop-server"]),
];

fn rank(module: &str) -> Option<usize> {
    MODULES.iter().position(|level| level.contains(&module))
}

/// The module of the library that a file belongs to.
fn module_of(path: &str) -> Option<&str> {
    let inside = path.strip_prefix("crates/orlop/src/")?;
    let first = inside.split('/').next()?;
    // An error names revisions and a revision's methods fail with errors: one level, two files.
    Some(match first.strip_suffix(".rs").unwrap_or(first) {
        "error" => "document",
        module => module,
    })
}

pub(crate) fn modules(sources: &[Source]) -> Vec<String> {
    let empty = String::new();
    let library = sources
        .iter()
        .find(|source| source.path == "crates/orlop/src/lib.rs");
    let exports = reexports(library.map_or(&empty, |source| &source.code));
    let files = sources
        .iter()
        .filter(|source| source.is_rust() && !source.is_test());
    files
        .filter_map(|source| Some((source, module_of(&source.path)?)))
        .filter(|(_, module)| *module != "lib")
        .flat_map(|(source, module)| {
            let Some(own) = rank(module) else {
                return vec![format!(
                    "{}: module {module} has no place in the order",
                    source.path
                )];
            };
            let used = crate_paths(&source.code).into_iter();
            used.filter_map(|name| {
                let target = exports.iter().find(|(item, _)| *item == name);
                let target = match target.map_or(name.as_str(), |(_, module)| module) {
                    "error" => "document",
                    target => target,
                };
                let theirs = rank(target)?;
                let back = theirs > own || (theirs == own && target != module);
                back.then(|| format!("{}: {module} uses {target} ({name})", source.path))
            })
            .collect()
        })
        .collect()
}

/// The first names behind every `crate::`, groups included.
fn crate_paths(code: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|c| c == '_' || c == '$' || c.is_alphanumeric()) {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(group) => names.extend(group_names(group)),
            None => names.push(first_name(rest)),
        }
    }
    names
}

/// The first name of each path in a group, whose opening brace was passed.
fn group_names(group: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut depth = 0_usize;
    let mut starts = true;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => starts = true,
            c if starts && !c.is_whitespace() => {
                names.push(first_name(&group[at..]));
                starts = false;
            }
            _ => {}
        }
    }
    names
}

fn first_name(text: &str) -> String {
    text.chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

/// The items that the library shows at its root, with the modules they come from.
fn reexports(library: &str) -> Vec<(String, String)> {
    let uses = library.split("pub use ").skip(1);
    uses.flat_map(|rest| {
        let path = rest.split(';').next().unwrap_or_default();
        let module = first_name(path);
        let items = match path.split_once('{') {
            Some((_, group)) => group_names(group),
            None => vec![path.rsplit("::").next().map(first_name).unwrap_or_default()],
        };
        items
            .into_iter()
            .map(move |item| (item, module.clone()))
            .collect::<Vec<_>>()
    })
    .collect()
}

pub(crate) fn crates(sources: &[Source]) -> Vec<String> {
    let manifests = sources.iter().filter_map(|source| {
        let folder = source
            .path
            .strip_prefix("crates/")?
            .strip_suffix("/Cargo.toml")?;
        Some((folder, &source.text))
    });
    manifests
        .filter(|(folder, _)| !matches!(*folder, "orlop-check" | "orlop-bench"))
        .flat_map(|(folder, text)| {
            let Some((_, allowed)) = CRATES.iter().find(|(name, _)| *name == folder) else {
                return vec![format!("crates/{folder}: has no place in the order")];
            };
            let ours = dependencies(text).into_iter();
            ours.filter(|name| name.starts_with("orlop") || name == "pdeck")
                .filter(|name| !allowed.contains(&name.as_str()) && name != folder)
                .map(|name| format!("crates/{folder}: depends on {name}"))
                .collect()
        })
        .collect()
}

/// Names in the dependency tables of a manifest, those of tests and builds too.
fn dependencies(manifest: &str) -> Vec<String> {
    let mut inside = false;
    let mut names = Vec::new();
    for line in manifest.lines() {
        if let Some(table) = line.strip_prefix('[') {
            let table = table.trim_end_matches(']');
            inside = table.ends_with("dependencies");
            if let Some((_, name)) = table.split_once("dependencies.") {
                names.push(name.to_owned());
            }
        } else if inside && !line.starts_with('#') {
            let name = line.split(['.', '=', ' ']).next().unwrap_or_default();
            if !name.is_empty() {
                names.push(name.to_owned());
            }
        }
    }
    names
}

/// Packages whose declared compiler is newer than the one the workspace declares.
///
/// There is no older toolchain to build with everywhere, so the declarations are compared.
pub(crate) fn compilers() -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("a list of packages");
    let declared = packages
        .iter()
        .find(|package| package["name"] == "orlop")
        .and_then(|package| version(package["rust_version"].as_str()?))
        .expect("orlop declares its compiler");
    let shipped = shipped(&metadata);
    packages
        .iter()
        .filter(|package| shipped.contains(&package["id"]))
        .filter_map(|package| {
            let needs = package["rust_version"].as_str()?;
            (version(needs)? > declared).then(|| format!("{} needs rustc {needs}", package["name"]))
        })
        .collect()
}

/// Ids of the packages that the library, the server and the application are built from.
fn shipped(metadata: &serde_json::Value) -> Vec<serde_json::Value> {
    let nodes = metadata["resolve"]["nodes"]
        .as_array()
        .expect("a resolved graph");
    let roots = ["orlop", "orlop-derive", "orlop-server", "pdeck"];
    let mut found: Vec<_> = metadata["packages"]
        .as_array()
        .expect("a list of packages")
        .iter()
        .filter(|package| roots.iter().any(|name| package["name"] == *name))
        .map(|package| package["id"].clone())
        .collect();
    let mut at = 0;
    while at < found.len() {
        let node = nodes
            .iter()
            .find(|node| node["id"] == found[at])
            .expect("a node");
        for dependency in node["deps"].as_array().expect("its dependencies") {
            let kinds = dependency["dep_kinds"].as_array().expect("their kinds");
            if kinds.iter().any(|kind| kind["kind"] != "dev") && !found.contains(&dependency["pkg"])
            {
                found.push(dependency["pkg"].clone());
            }
        }
        at += 1;
    }
    found
}

fn version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split('.').map(|part| part.parse().ok());
    Some((parts.next()??, parts.next().flatten().unwrap_or(0)))
}

#[test]
fn an_arrow_back_is_found() {
    let back =
        "use crate::{Result, cache::{Doc, x}, document::Id};\nfn f() { crate::engine::g(); }";
    let found = modules(&super::example("crates/orlop/src/query/a.rs", back));
    assert_eq!(found.len(), 2, "{found:?}");
    let mut library = super::example("crates/orlop/src/lib.rs", "pub use cache::{Doc, Other};");
    library.extend(super::example(
        "crates/orlop/src/engine/a.rs",
        "use crate::Doc;",
    ));
    assert_eq!(modules(&library).len(), 1, "through a re-export");
    let forward = super::example("crates/orlop/src/cache/a.rs", "use crate::engine::Seq;");
    assert_eq!(modules(&forward), Vec::<String>::new());
    let manifest = "[dev-dependencies]\norlop-check.workspace = true\nserde = \"1\"";
    assert_eq!(
        crates(&super::example("crates/pdeck/Cargo.toml", manifest)).len(),
        1
    );
    assert!(version("1.91.1") > version("1.90"));
}

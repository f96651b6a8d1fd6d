//! What must never be true of the sources (ARCHITECTURE.md): each a rule here.
//!
//! Behaviour that no text can show (the cache invents nothing, for one) has tests of its own.

use super::sources::Source;

/// Ways to do I/O or to read a clock.
const IO_AND_CLOCKS: &[&str] = &[
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "File::open",
    "SystemTime",
    "Instant::",
    "tokio::",
    "Timestamp::now",
    "Zoned::now",
    "Utc::now",
    "ObjectId::new",
    "println!",
];

/// The seam through which an application asks for the time or a new id, and what may be named there.
/// Nothing else of these modules calls it: whoever applies an update is handed the time.
const SEAM: &[(&str, &str)] = &[
    ("crates/orlop/src/document/timestamp.rs", "SystemTime"),
    ("crates/orlop/src/document/id.rs", "ObjectId::new"),
    // `#[document(default = now)]`.
    ("crates/orlop/src/document/model.rs", "Timestamp::now"),
];

fn production<'a>(sources: &'a [Source], under: &'a str) -> impl Iterator<Item = &'a Source> {
    let rust = sources
        .iter()
        .filter(|source| source.is_rust() && !source.is_test());
    rust.filter(move |source| source.path.starts_with(under))
}

pub(crate) fn io_in_pure_modules(sources: &[Source]) -> Vec<String> {
    ["document/", "query/", "pack/"]
        .iter()
        .flat_map(|module| {
            let under = format!("crates/orlop/src/{module}");
            production(sources, &under)
                .flat_map(|source| source.code_with(IO_AND_CLOCKS))
                .filter(|hit| {
                    !SEAM
                        .iter()
                        .any(|(path, word)| hit.starts_with(path) && hit.ends_with(word))
                })
                .collect::<Vec<_>>()
        })
        .collect()
}

pub(crate) fn drivers(sources: &[Source]) -> Vec<String> {
    let homes = [
        "crates/orlop/src/engine/mongodb",
        "crates/orlop/src/cache/redis",
    ];
    let fjall = "crates/orlop/src/engine/kv/";
    let elsewhere = production(sources, "crates/orlop/src/")
        .chain(production(sources, "crates/orlop-server/"))
        .chain(production(sources, "crates/pdeck/"));
    elsewhere
        .flat_map(|source| {
            let mut found = Vec::new();
            if !homes.iter().any(|home| source.path.starts_with(home)) {
                found.extend(source.code_with(&["mongodb::", "redis::"]));
            }
            if !source.path.starts_with(fjall) {
                found.extend(source.code_with(&["fjall::", "lsm_tree::"]));
            }
            found
        })
        .filter(|hit| !hit.contains("crate::"))
        .collect()
}

pub(crate) fn wall_clock_in_cache(sources: &[Source]) -> Vec<String> {
    let wall = &[
        "SystemTime",
        "Timestamp::now",
        "Zoned::now",
        "Utc::now",
        "unix_ms",
    ];
    production(sources, "crates/orlop/src/cache/")
        .chain(production(sources, "crates/orlop/src/engine/clocks"))
        .flat_map(|source| source.code_with(wall))
        .collect()
}

pub(crate) fn application_names(sources: &[Source]) -> Vec<String> {
    let application = &[
        "pdeck::",
        "struct Task",
        "struct User",
        "struct Project",
        "Integration",
    ];
    let mut found: Vec<_> = production(sources, "crates/orlop-server/src/")
        .flat_map(|source| source.code_with(application))
        .collect();
    let private = &["orlop::__", "orlop_server::__", "__private"];
    found.extend(
        production(sources, "crates/pdeck/src/").flat_map(|source| source.code_with(private)),
    );
    found
}

/// The ordered store is reached only from inside the engine, and written only by its committer and
/// what the committer calls. Outside the engine nobody can name it: it is private to the crate.
pub(crate) fn writes_beside_commit(sources: &[Source]) -> Vec<String> {
    production(sources, "crates/")
        .filter(|source| !source.path.starts_with("crates/orlop/src/engine/"))
        .filter(|source| !source.path.starts_with("crates/orlop-check/"))
        .flat_map(|source| {
            source.code_with(&["engine::kv", "dyn Kv", "MemoryKv", "FjallKv", "fjall::"])
        })
        .collect()
}

#[test]
fn each_rule_finds_what_it_forbids() {
    let io = "use std::fs;\n// std::net in a comment\nfn f() { let n = Instant::now(); }\n";
    let found = io_in_pure_modules(&super::example("crates/orlop/src/query/a.rs", io));
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(
        io_in_pure_modules(&super::example(SEAM[0].0, "SystemTime::now()")),
        Vec::<String>::new()
    );
    let driver = super::example(
        "crates/orlop/src/collection/a.rs",
        "pub fn f() -> mongodb::Client {}",
    );
    assert_eq!(drivers(&driver).len(), 1);
    let wall = super::example("crates/orlop/src/cache/a.rs", "let t = SystemTime::now();");
    assert_eq!(wall_clock_in_cache(&wall).len(), 1);
    let named = super::example("crates/orlop-server/src/a.rs", "use pdeck::Task;");
    assert_eq!(application_names(&named).len(), 1);
    let private = super::example("crates/pdeck/src/a.rs", "orlop::__private::f();");
    assert_eq!(application_names(&private).len(), 2);
    let beside = super::example("crates/orlop/src/backup/a.rs", "use crate::engine::kv::Kv;");
    assert_eq!(writes_beside_commit(&beside).len(), 1);
}

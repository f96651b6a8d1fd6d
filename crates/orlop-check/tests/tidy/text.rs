//! Form: module docs, length, words that may not be left, lints.

use super::sources::Source;

/// Lines after which nobody reads a file any more. Aim at a third of it.
const LINES_MAX: usize = 800;

pub(crate) fn module_docs(sources: &[Source]) -> Vec<String> {
    let rust = sources.iter().filter(|source| source.is_rust());
    // The sources of compile-fail tests are input, shown to readers as they are.
    let rust = rust.filter(|source| !source.path.contains("/compile_messages/"));
    rust.filter(|source| {
        let first = source
            .text
            .lines()
            .find(|line| !line.trim().is_empty() && !line.starts_with("#!["));
        !first.is_some_and(|line| line.starts_with("//! "))
    })
    .map(|source| format!("{}: does not begin with `//! ` and what it is", source.path))
    .collect()
}

pub(crate) fn length(sources: &[Source]) -> Vec<String> {
    let written = [".rs", ".md", ".html", ".js", ".css", ".sh"];
    sources
        .iter()
        .filter(|source| written.iter().any(|end| source.path.ends_with(end)))
        .filter(|source| source.text.lines().count() > LINES_MAX)
        .map(|source| {
            format!(
                "{}: {} lines, {LINES_MAX} at most",
                source.path,
                source.text.lines().count()
            )
        })
        .collect()
}

pub(crate) fn unfinished(sources: &[Source]) -> Vec<String> {
    // In two parts each, or this file would complain of itself.
    let words = [
        ("TO", "DO"),
        ("FIX", "ME"),
        ("XX", "X:"),
        ("todo", "!("),
        ("unimplemented", "!("),
    ];
    let words: Vec<_> = words.iter().map(|(a, b)| format!("{a}{b}")).collect();
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let own = sources
        .iter()
        .filter(|source| !source.path.ends_with("Cargo.lock"));
    own.flat_map(|source| source.text_with(&words))
        // A status of the application's tasks, and of Mongoose's.
        .filter(|hit| !hit.ends_with(words[0]) || !is_status(sources, hit))
        .collect()
}

/// Whether the line of a hit names the status `TODO` of a task, in quotes or as a column, and not a
/// note to somebody.
fn is_status(sources: &[Source], hit: &str) -> bool {
    let mut parts = hit.split(':');
    let (path, number) = (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    );
    let source = sources.iter().find(|source| source.path == path);
    let number = number.parse::<usize>().unwrap_or(1) - 1;
    let line = source
        .and_then(|source| source.text.lines().nth(number))
        .unwrap_or_default();
    let word = ["TO", "DO"].concat();
    line.match_indices(&word).all(|(at, _)| {
        let comment = line[..at].contains("//") || line[..at].trim_start().starts_with('#');
        let after = line[at + word.len()..].chars().next();
        let before = line[..at].chars().next_back();
        let quoted = before.is_some_and(|c| "\"'`=\\>| ,(".contains(c))
            && after.is_none_or(|c| "\"'`\\<| ,;&)]}".contains(c));
        quoted && !(comment && before == Some(' ') && after != Some('`'))
    })
}

pub(crate) fn unwraps(sources: &[Source]) -> Vec<String> {
    let production = sources
        .iter()
        .filter(|source| source.is_rust() && !source.is_test());
    production
        .flat_map(|source| source.code_with(&[".unwrap()"]))
        .collect()
}

pub(crate) fn machines(sources: &[Source]) -> Vec<String> {
    let parts = [
        ("/wo", "rk/"),
        ("/ro", "ot/"),
        ("/ho", "me/"),
        ("crates", ".io"),
        ("py", "pi.org"),
        ("npmjs", ".com"),
        ("npmjs", ".org"),
        ("proxy.golang", ".org"),
        ("deb.debian", ".org"),
    ];
    let words: Vec<_> = parts.iter().map(|(a, b)| format!("{a}{b}")).collect();
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let own = sources
        .iter()
        .filter(|source| !source.path.ends_with("Cargo.lock"));
    own.flat_map(|source| source.text_with(&words)).collect()
}

pub(crate) fn lints(sources: &[Source]) -> Vec<String> {
    let manifests = sources.iter().filter(|source| {
        source.path.starts_with("crates/") && source.path.ends_with("/Cargo.toml")
    });
    manifests
        .filter(|source| !source.text.contains("[lints]\nworkspace = true"))
        .map(|source| format!("{}: does not take the workspace's lints", source.path))
        .collect()
}

#[test]
fn each_rule_finds_what_it_forbids() {
    use super::example;
    assert_eq!(module_docs(&example("a.rs", "fn f() {}")).len(), 1);
    assert_eq!(
        module_docs(&example("a.rs", "#![deny(x)]\n//! What.\n")).len(),
        0
    );
    assert_eq!(length(&example("a.rs", &"\n".repeat(801))).len(), 1);
    let note = [
        "// TO",
        "DO: later\nlet x = \"TO",
        "DO\";\n// TO",
        "DO later",
    ]
    .concat();
    assert_eq!(
        unfinished(&example("a.rs", &note)).len(),
        2,
        "{:?}",
        unfinished(&example("a.rs", &note))
    );
    let unwrap = "fn f() { a.unwrap(); }\n#[cfg(test)]\nmod tests { fn g() { b.unwrap(); } }";
    assert_eq!(unwraps(&example("crates/a/src/a.rs", unwrap)).len(), 1);
    assert_eq!(
        machines(&example("a.md", &["see /wo", "rk/x"].concat())).len(),
        1
    );
    assert_eq!(lints(&example("crates/a/Cargo.toml", "[package]")).len(), 1);
}

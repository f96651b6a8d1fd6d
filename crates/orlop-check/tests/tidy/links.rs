//! Links of the documentation: files, headings, and the paths that the map names in code spans.

use super::sources::{Source, root};

/// Pages that the documentation names before they are written.
const COMING: &[&str] = &[
    "docs/api.md",
    "docs/benchmarks.md",
    "docs/format.md",
    "docs/guide",
];

/// Complaints about relative links and paths in Markdown files that lead nowhere.
pub(crate) fn dead(sources: &[Source]) -> Vec<String> {
    let pages = sources.iter().filter(|source| source.path.ends_with(".md"));
    pages
        .flat_map(|page| {
            let links = links(&page.text)
                .into_iter()
                .filter_map(|link| leads_nowhere(sources, page, &link));
            let paths = named_paths(&page.text)
                .into_iter()
                .filter(|path| !exists(path));
            let paths =
                paths.map(|path| format!("{}: names {path}, which is not there", page.path));
            links.chain(paths).collect::<Vec<_>>()
        })
        .collect()
}

/// Targets of `[text](target)` outside code blocks.
fn links(text: &str) -> Vec<String> {
    let mut inside = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            inside = !inside;
        }
        if inside {
            continue;
        }
        for (at, _) in line.match_indices("](") {
            let target = line[at + 2..].split([')', ' ']).next().unwrap_or_default();
            found.push(target.to_owned());
        }
    }
    found
}

fn leads_nowhere(sources: &[Source], page: &Source, link: &str) -> Option<String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (file, heading) = link.split_once('#').unwrap_or((link, ""));
    let folder = page.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let target = if file.is_empty() {
        page.path.clone()
    } else {
        joined(folder, file)
    };
    if !exists(&target) && !sources.iter().any(|source| source.path == target) {
        return Some(format!("{}: {link} leads nowhere", page.path));
    }
    let text = sources
        .iter()
        .find(|source| source.path == target)
        .map(|source| &source.text)?;
    let known = heading.is_empty()
        || !target.ends_with(".md")
        || anchors(text).iter().any(|a| a == heading);
    (!known).then(|| format!("{}: {link} names no heading of {target}", page.path))
}

fn exists(path: &str) -> bool {
    root().join(path).exists() || COMING.contains(&path)
}

fn joined(folder: &str, file: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in file.split('/') {
        match part {
            "." | "" => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Headings as anchors: lower case, spaces as hyphens, other marks gone.
fn anchors(text: &str) -> Vec<String> {
    text.lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| {
            let words = line.trim_start_matches('#').trim().to_lowercase();
            let kept = words
                .chars()
                .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

/// Paths in code spans that begin with a folder of the project, such as `crates/orlop/src/pack`.
fn named_paths(text: &str) -> Vec<String> {
    let spans = text.split('`').skip(1).step_by(2);
    let folders = ["crates/", "docs/", "scripts/", ".ci/", "fuzz/", "fixtures/"];
    spans
        .filter(|span| folders.iter().any(|folder| span.starts_with(folder)))
        .filter(|span| !span.contains(['*', '<', '{', ' ', '\n', '$']))
        .map(|span| {
            span.split("::")
                .next()
                .unwrap_or(span)
                .trim_end_matches('/')
                .to_owned()
        })
        .collect()
}

#[test]
fn dead_links_and_paths_are_found() {
    let text = "# A b\n[x](none.md) [y](#a-b) [z](#none) `crates/none/x.rs` `crates/orlop/src/lib.rs`\n\
                ```\n[w](none.md)\n```\n[root](../Cargo.toml) [web](https://example.org)";
    let found = dead(&super::example("docs/a.md", text));
    assert_eq!(found.len(), 3, "{found:?}");
}

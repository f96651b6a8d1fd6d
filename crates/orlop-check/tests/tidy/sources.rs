//! The files of the project, and Rust text without its comments, strings and tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// One file of the project.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// Its path from the project's root, with `/`.
    pub(crate) path: String,
    /// All of it.
    pub(crate) text: String,
    /// For Rust: the same lines with comments and string contents blanked, and inline tests too.
    pub(crate) code: String,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let code = if path.ends_with(".rs") {
            without_tests(&blanked(text))
        } else {
            String::new()
        };
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            code,
        }
    }

    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether the whole file is a test, benchmark, example or the body of a `mod tests;`.
    pub(crate) fn is_test(&self) -> bool {
        let folders = [
            "/tests/",
            "/benches/",
            "/examples/",
            "fuzz/",
            "orlop-bench/",
        ];
        folders.iter().any(|folder| self.path.contains(folder)) || self.path.ends_with("/tests.rs")
    }

    /// Lines of the code that contain one of `words`, as `path:line: word`.
    pub(crate) fn code_with(&self, words: &[&str]) -> Vec<String> {
        hits(&self.path, &self.code, words)
    }

    /// The same of the whole text.
    pub(crate) fn text_with(&self, words: &[&str]) -> Vec<String> {
        hits(&self.path, &self.text, words)
    }
}

fn hits(path: &str, text: &str, words: &[&str]) -> Vec<String> {
    let lines = text.lines().enumerate();
    lines
        .flat_map(|(number, line)| {
            let found = words.iter().filter(move |word| line.contains(**word));
            found.map(move |word| format!("{path}:{}: {word}", number + 1))
        })
        .collect()
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .expect("the workspace is two folders up")
}

/// Every text file of the project: what lies in its folders but for builds, data and hidden folders.
pub(crate) fn tracked() -> Vec<Source> {
    static SOURCES: OnceLock<Vec<Source>> = OnceLock::new();
    SOURCES
        .get_or_init(|| {
            let mut sources = Vec::new();
            collect(&root(), "", &mut sources);
            assert!(sources.len() > 40, "the project is larger than that");
            sources
        })
        .clone()
}

fn collect(folder: &Path, prefix: &str, sources: &mut Vec<Source>) {
    let skipped = [
        "target",
        "fixtures",
        "node_modules",
        ".git",
        "corpus",
        "artifacts",
    ];
    let mut entries: Vec<_> = fs::read_dir(folder)
        .expect("a folder of the project is readable")
        .map(|entry| entry.expect("an entry is readable"))
        .collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        let kind = entry.file_type().expect("an entry has a kind");
        if name == ".git" {
            continue;
        }
        if kind.is_dir() {
            if !skipped.contains(&name.as_str()) && !name.ends_with("-data") {
                collect(&entry.path(), &format!("{path}/"), sources);
            }
        } else if let Ok(text) = fs::read_to_string(entry.path()) {
            sources.push(Source::new(&path, &text));
        }
    }
}

/// `text` with comments and the contents of strings replaced by spaces, line by line the same.
pub(crate) fn blanked(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = token_end(bytes, at);
        if end > at + 1 {
            for byte in &mut out[at..end] {
                if *byte != b'\n' {
                    *byte = b' ';
                }
            }
        }
        at = end;
    }
    String::from_utf8(out).expect("whole characters were blanked")
}

/// The end of the comment or literal at `at`; else the next byte.
fn token_end(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let found = |needle: &[u8], from: usize| {
        let tail = rest.get(from..).unwrap_or_default();
        let place = tail.windows(needle.len()).position(|part| part == needle);
        place.map_or(bytes.len(), |place| at + from + place + needle.len())
    };
    if rest.starts_with(b"//") {
        return rest
            .iter()
            .position(|b| *b == b'\n')
            .map_or(bytes.len(), |end| at + end);
    }
    if rest.starts_with(b"/*") {
        return found(b"*/", 2);
    }
    let name_before = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
    if rest.starts_with(b"r") && !name_before {
        let hashes = rest[1..].iter().take_while(|b| **b == b'#').count();
        if rest.get(1 + hashes) == Some(&b'"') {
            let close = [b"\"".as_slice(), &vec![b'#'; hashes]].concat();
            return found(&close, hashes + 2);
        }
    }
    match rest[0] {
        b'"' => quoted_end(bytes, at, b'"'),
        // A character, not a lifetime: it closes after one character or an escape.
        b'\'' if rest.get(1) == Some(&b'\\') => quoted_end(bytes, at, b'\''),
        b'\'' => {
            let width = rest.get(1).map_or(1, |b| b.leading_ones().max(1) as usize);
            if rest.get(1 + width) == Some(&b'\'') {
                at + width + 2
            } else {
                at + 1
            }
        }
        _ => at + 1,
    }
}

fn quoted_end(bytes: &[u8], start: usize, quote: u8) -> usize {
    let mut at = start + 1;
    while at < bytes.len() && bytes[at] != quote {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}

/// Blanked code without the items under `#[cfg(test)]`.
fn without_tests(code: &str) -> String {
    let mut out = code.to_owned();
    let mut from = 0;
    while let Some(start) = out[from..].find("#[cfg(test)]").map(|at| at + from) {
        let end = item_end(&out, start);
        let blank: String = out[start..end]
            .chars()
            .map(|c| if c == '\n' { c } else { ' ' })
            .collect();
        out.replace_range(start..end, &blank);
        from = start + blank.len();
    }
    out
}

/// Where the item that starts at `start` ends: its `;`, or the brace that closes its first one.
fn item_end(code: &str, start: usize) -> usize {
    let mut depth = 0_usize;
    for (at, c) in code[start..].char_indices() {
        match c {
            ';' if depth == 0 => return start + at + 1,
            '{' => depth += 1,
            '}' if depth == 1 => return start + at + 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    code.len()
}

#[test]
fn comments_strings_and_tests_are_blanked_and_code_is_not() {
    let text = "let a = \"x // \\\" y\"; // gone\nlet b = r#\"z\"z\"#; /* gone */ let c = '\"';\n\
                fn f<'a>(v: &'a str) {}\n#[cfg(test)]\nmod tests { fn g() {} }\nlet d = 'é';";
    let code = Source::new("a.rs", text).code;
    assert_eq!(code.lines().count(), text.lines().count());
    for kept in [
        "let a =",
        "let b =",
        "let c =",
        "fn f<'a>(v: &'a str) {}",
        "let d =",
    ] {
        assert!(code.contains(kept), "{kept} is gone:\n{code}");
    }
    for gone in ["x", "y", "gone", "z", "\"", "tests", "fn g", "é"] {
        assert!(!code.contains(gone), "{gone} is left:\n{code}");
    }
}

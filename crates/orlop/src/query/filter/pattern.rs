//! Regular expressions: MongoDB's options and dialect (PCRE), compiled once.

use std::sync::OnceLock;

use super::translate::{Boundaries, translate};
use crate::query::Pattern;
use crate::query::value::Malformed;
use crate::{Error, Result};

/// Steps back that one match may take before it is refused.
///
/// # Source
/// `fancy-regex`' default: some tens of milliseconds.
const BACKTRACK_MAX: usize = 1_000_000;

impl Pattern {
    /// Checks expression and options. Of the options, `u` changes nothing: text is Unicode.
    ///
    /// # Errors
    /// `Invalid` when the expression does not compile, or an option is not one of `i m s x u`.
    pub fn new(pattern: &str, options: &str) -> Result<Self> {
        if let Some(option) = options.chars().find(|it| !"imsxu".contains(*it)) {
            return Err(Error::invalid(format!(
                "invalid option {option} of a regular expression"
            )));
        }
        if pattern.contains('\0') {
            return Err(Error::invalid("a regular expression cannot contain NUL"));
        }
        let mut sorted: Vec<char> = options.chars().collect();
        sorted.sort_unstable();
        let made = Self {
            pattern: pattern.to_owned(),
            options: sorted.into_iter().collect(),
        };
        Regex::new(&made)?;
        Ok(made)
    }
}

/// A compiled expression.
#[derive(Debug)]
pub(crate) struct Regex {
    source: Pattern,
    /// For text of ASCII, where Unicode's word boundaries are PCRE's.
    ascii: fancy_regex::Regex,
    /// For other text, when the expression has word boundaries; made when first needed.
    exact: Option<OnceLock<fancy_regex::Regex>>,
}

impl Regex {
    pub(crate) fn new(source: &Pattern) -> Result<Self> {
        let ascii = compile(source, Boundaries::Unicode)?;
        let exact = source.pattern.contains("\\b") || source.pattern.contains("\\B");
        let exact = if exact {
            compile(source, Boundaries::Ascii)?;
            Some(OnceLock::new())
        } else {
            None
        };
        Ok(Self {
            source: source.clone(),
            ascii,
            exact,
        })
    }

    /// Whether it is found in a string's UTF-8.
    pub(crate) fn is_match(&self, text: &[u8]) -> Result<bool> {
        let text = std::str::from_utf8(text).map_err(|_| Malformed)?;
        let regex = match &self.exact {
            Some(exact) if !text.is_ascii() => match exact.get() {
                Some(regex) => regex,
                None => {
                    let made = compile(&self.source, Boundaries::Ascii)?;
                    exact.get_or_init(|| made)
                }
            },
            _ => &self.ascii,
        };
        regex.is_match(text).map_err(|error| {
            Error::invalid("the regular expression takes too many steps").with_source(error)
        })
    }

    /// Whether a stored regular expression is this one.
    pub(crate) fn is_same(&self, pattern: &[u8], options: &[u8]) -> bool {
        self.source.pattern.as_bytes() == pattern && self.source.options.as_bytes() == options
    }
}

fn compile(source: &Pattern, boundaries: Boundaries) -> Result<fancy_regex::Regex> {
    let translated = translate(&source.pattern, &source.options, boundaries)?;
    fancy_regex::RegexBuilder::new(&translated)
        .case_insensitive(source.options.contains('i'))
        .dot_matches_new_line(source.options.contains('s'))
        .backtrack_limit(BACKTRACK_MAX)
        .build()
        .map_err(|error| Error::invalid("the regular expression is invalid").with_source(error))
}

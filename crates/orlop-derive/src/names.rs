//! Stored names from Rust names.

use syn::{LitStr, Result};

/// How words of a name are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    AsWritten,
    Camel,
    Pascal,
    Snake,
    ScreamingSnake,
    Kebab,
    Lower,
    Upper,
}

impl Case {
    /// Reads serde's name of a case.
    pub(crate) fn parse(name: &LitStr) -> Result<Self> {
        Ok(match name.value().as_str() {
            "none" => Self::AsWritten,
            "camelCase" => Self::Camel,
            "PascalCase" => Self::Pascal,
            "snake_case" => Self::Snake,
            "SCREAMING_SNAKE_CASE" => Self::ScreamingSnake,
            "kebab-case" => Self::Kebab,
            "lowercase" => Self::Lower,
            "UPPERCASE" => Self::Upper,
            _ => {
                return Err(syn::Error::new(
                    name.span(),
                    "unknown case; known are camelCase, PascalCase, snake_case, SCREAMING_SNAKE_CASE, kebab-case, lowercase, UPPERCASE and none",
                ));
            }
        })
    }

    /// The name in this case.
    pub(crate) fn apply(self, name: &str) -> String {
        let words = words(name);
        match self {
            Self::AsWritten => name.to_owned(),
            Self::Camel => {
                let mut name = String::new();
                for (at, word) in words.iter().enumerate() {
                    name.push_str(&if at == 0 { word.clone() } else { capital(word) });
                }
                name
            }
            Self::Pascal => words.iter().map(|word| capital(word)).collect(),
            Self::Snake => words.join("_"),
            Self::ScreamingSnake => words.join("_").to_uppercase(),
            Self::Kebab => words.join("-"),
            Self::Lower => words.concat(),
            Self::Upper => words.concat().to_uppercase(),
        }
    }
}

/// The words of a snake_case or PascalCase name, in lower case.
fn words(name: &str) -> Vec<String> {
    let mut words = Vec::new();
    for part in name.split('_').filter(|part| !part.is_empty()) {
        let mut word = String::new();
        let mut after_small = false;
        for letter in part.chars() {
            if letter.is_uppercase() && after_small && !word.is_empty() {
                words.push(std::mem::take(&mut word));
            }
            after_small = letter.is_lowercase() || letter.is_numeric();
            word.extend(letter.to_lowercase());
        }
        words.push(word);
    }
    words
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::Case;

    #[test]
    fn names_take_the_case_asked_for() {
        assert_eq!(Case::Camel.apply("due_date"), "dueDate");
        assert_eq!(Case::Camel.apply("x1_y"), "x1Y");
        assert_eq!(Case::ScreamingSnake.apply("InProgress"), "IN_PROGRESS");
        assert_eq!(Case::Kebab.apply("InProgress"), "in-progress");
        assert_eq!(Case::Lower.apply("GitHub"), "github");
        assert_eq!(Case::Pascal.apply("due_date"), "DueDate");
        assert_eq!(Case::AsWritten.apply("GitHub"), "GitHub");
    }
}

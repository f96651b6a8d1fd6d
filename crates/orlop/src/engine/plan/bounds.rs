//! What a condition says about the values an index holds for its path.
//!
//! The rule behind every line: a document that meets the condition has a key within the bounds.
//! The reverse need not hold, for the filter is evaluated again on each document; where it does
//! hold the bounds are *exact*.

use bson::Bson;
use bson::spec::ElementType;

use super::interval::{Cut, Interval, complement, intersection, null, union};
use crate::pack::keys::{self, tag};
use crate::query::value::View;
use crate::query::{Pattern, Pred};

/// Bounds of one condition.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bounds {
    /// Ordered, without overlaps; none for all values.
    pub(super) set: Option<Vec<Interval>>,
    /// Without arrays in the way, every value within the bounds meets the condition.
    pub(super) exact: bool,
    /// No document without a value there meets the condition.
    pub(super) present: bool,
}

impl Bounds {
    fn some(set: Vec<Interval>, exact: bool) -> Self {
        Self {
            set: Some(set),
            exact,
            present: true,
        }
    }

    fn all(present: bool) -> Self {
        Self {
            set: None,
            exact: false,
            present,
        }
    }

    fn null(set: Vec<Interval>) -> Self {
        Self {
            set: Some(set),
            exact: false,
            present: false,
        }
    }
}

/// The bounds of a condition on a path.
///
/// `multikey`: the index may hold single elements of an array, so a condition that some value
/// is *not* there says less.
pub(super) fn of(pred: &Pred, multikey: bool) -> Bounds {
    match pred {
        Pred::Eq(value) => equal(value),
        Pred::In(values, patterns) => one_of(values, patterns),
        Pred::Gt(value) => range(value, true, false),
        Pred::Gte(value) => range(value, true, true),
        Pred::Lt(value) => range(value, false, false),
        Pred::Lte(value) => range(value, false, true),
        Pred::Ne(value) => not_equal(value, multikey),
        Pred::Exists(true) => Bounds::all(true),
        Pred::Exists(false) => Bounds::null(null()),
        Pred::Type(codes) => of_types(codes),
        Pred::Regex(pattern) => Bounds::some(regex(pattern), false),
        Pred::Mod(..) => Bounds::some(vec![Interval::of_tag(tag::NUMBER)], false),
        Pred::BitsAllSet(_)
        | Pred::BitsAnySet(_)
        | Pred::BitsAllClear(_)
        | Pred::BitsAnyClear(_) => Bounds::some(
            vec![Interval::of_tag(tag::NUMBER), Interval::of_tag(tag::BINARY)],
            false,
        ),
        Pred::ElemMatch(_) | Pred::Size(_) => Bounds::all(true),
        Pred::All(preds) => Bounds::all(preds.iter().any(|pred| of(pred, multikey).present)),
        Pred::Nin(..) | Pred::Not(_) => Bounds::all(false),
    }
}

/// The bounds of several conditions on one element of an array.
pub(super) fn of_element(preds: &[Pred]) -> Bounds {
    let mut set: Option<Vec<Interval>> = None;
    // The element is the value in the index, so conditions on it do meet in one key.
    for one in preds.iter().filter_map(|pred| of(pred, true).set) {
        set = Some(match set {
            Some(set) => intersection(&set, &one),
            None => one,
        });
    }
    Bounds {
        set,
        exact: false,
        present: true,
    }
}

fn equal(value: &Bson) -> Bounds {
    let point = || Interval::point(keys::encoded(value));
    match value {
        Bson::Null | Bson::Undefined => Bounds::null(null()),
        Bson::Array(elements) => {
            // The array as an element of another one, or whole: then its first element is there.
            let first = elements.first().unwrap_or(&Bson::Undefined);
            let first = Interval::point(keys::encoded(first));
            Bounds::some(union(vec![first, point()]), false)
        }
        // Inside documents null and missing differ as they do in keys, but leave it to the filter.
        Bson::Document(_) | Bson::RegularExpression(_) => Bounds::some(vec![point()], false),
        _ => Bounds::some(vec![point()], true),
    }
}

fn one_of(values: &[Bson], patterns: &[Pattern]) -> Bounds {
    let each = values.iter().map(equal);
    let patterns = patterns
        .iter()
        .map(|pattern| Bounds::some(regex(pattern), false));
    let mut all = Bounds::some(Vec::new(), true);
    for one in each.chain(patterns) {
        if let (Some(set), Some(more)) = (&mut all.set, one.set) {
            set.extend(more);
        }
        all.exact &= one.exact;
        all.present &= one.present;
    }
    all.set = all.set.map(union);
    all
}

fn not_equal(value: &Bson, multikey: bool) -> Bounds {
    match value {
        // An array that does not hold the value whole may still begin with it.
        Bson::Array(_) => Bounds::all(false),
        // An empty array is not null, but is indexed as undefined.
        Bson::Null | Bson::Undefined if multikey => Bounds::all(false),
        Bson::Null | Bson::Undefined => Bounds {
            set: Some(complement(&null())),
            exact: false,
            present: false,
        },
        value => Bounds {
            set: Some(complement(&[Interval::point(keys::encoded(value))])),
            exact: false,
            present: false,
        },
    }
}

/// A comparison holds within the type of its operand only.
fn range(value: &Bson, above: bool, with: bool) -> Bounds {
    let view = View::from(value);
    if view.is_nan() {
        let set = if with {
            vec![Interval::point(keys::encoded(value))]
        } else {
            Vec::new()
        };
        return Bounds::some(set, true);
    }
    let kind = keys::tag_of(view);
    match kind {
        tag::NULL | tag::UNDEFINED => return Bounds::null(if with { null() } else { Vec::new() }),
        // MinKey and MaxKey compare with every type, and an array is compared whole.
        tag::MIN_KEY | tag::MAX_KEY | tag::ARRAY => return Bounds::all(false),
        _ => (),
    }
    let encoded = keys::encoded(value);
    let edge = match above == with {
        true => Cut::before(encoded),
        false => Cut::after(encoded),
    };
    let (first, last) = ends(kind);
    let part = match above {
        true => Interval::new(edge, last),
        false => Interval::new(first, edge),
    };
    let exact = !matches!(kind, tag::DOCUMENT | tag::REGEX);
    Bounds::some(union(vec![part]), exact)
}

/// Where the values of a type begin and end, as comparisons see it: NaN is not less than a number.
fn ends(kind: u8) -> (Cut, Cut) {
    match kind {
        tag::NUMBER => (
            Cut::before(keys::encoded(&Bson::Double(f64::NEG_INFINITY))),
            Cut::after(keys::encoded(&Bson::Double(f64::INFINITY))),
        ),
        kind => (Cut::before([kind]), Cut::before([tag::after(kind)])),
    }
}

fn of_types(codes: &[i32]) -> Bounds {
    let mut set = Vec::new();
    for code in codes {
        let Some(tag) = tag_of_code(*code) else {
            // An array is not in the index as a whole.
            return Bounds::all(true);
        };
        set.push(Interval::of_tag(tag));
    }
    Bounds::some(union(set), false)
}

fn tag_of_code(code: i32) -> Option<u8> {
    let kind = match code {
        -1 => ElementType::MinKey,
        127 => ElementType::MaxKey,
        code => ElementType::from(u8::try_from(code).ok()?)?,
    };
    Some(match kind {
        ElementType::Double | ElementType::Int32 | ElementType::Int64 | ElementType::Decimal128 => {
            tag::NUMBER
        }
        ElementType::String | ElementType::Symbol => tag::STRING,
        ElementType::EmbeddedDocument => tag::DOCUMENT,
        ElementType::Binary => tag::BINARY,
        ElementType::ObjectId => tag::OBJECT_ID,
        ElementType::Boolean => tag::BOOL,
        ElementType::DateTime => tag::DATE,
        ElementType::Null => tag::NULL,
        ElementType::RegularExpression => tag::REGEX,
        ElementType::DbPointer => tag::POINTER,
        ElementType::JavaScriptCode => tag::CODE,
        ElementType::JavaScriptCodeWithScope => tag::CODE_SCOPE,
        ElementType::Timestamp => tag::TIMESTAMP,
        ElementType::MinKey => tag::MIN_KEY,
        ElementType::MaxKey => tag::MAX_KEY,
        ElementType::Undefined | ElementType::Array => return None,
    })
}

/// Strings that can match, and stored regular expressions, for one is equal to itself.
fn regex(pattern: &Pattern) -> Vec<Interval> {
    let mut open = vec![tag::STRING];
    let strings = match literal_prefix(pattern) {
        Some(prefix) if !prefix.is_empty() => {
            keys::encode_text_open(&mut open, prefix.as_bytes());
            Interval::new(Cut::before(open.clone()), Cut::after(open))
        }
        _ => Interval::of_tag(tag::STRING),
    };
    vec![strings, Interval::of_tag(tag::REGEX)]
}

/// The text that every match begins with, when the expression is anchored and minds the case.
fn literal_prefix(pattern: &Pattern) -> Option<String> {
    // With `m` the anchor matches behind a line break; `x` drops spaces; `i` minds no case.
    if !pattern
        .options
        .chars()
        .all(|option| matches!(option, 's' | 'u'))
    {
        return None;
    }
    let text = &pattern.pattern;
    let rest = text
        .strip_prefix('^')
        .or_else(|| text.strip_prefix("\\A"))?;
    // An alternative may stand beside the anchor; within a group it would be harmless, but rare.
    if rest.contains('|') {
        return None;
    }
    let mut prefix = String::new();
    let mut chars = rest.chars();
    while let Some(next) = chars.next() {
        match next {
            '\\' => match chars.next() {
                // An escaped letter or digit is a class or an assertion.
                Some(escaped) if escaped.is_ascii_punctuation() => prefix.push(escaped),
                _ => break,
            },
            // What is repeated may be missing.
            '*' | '?' | '{' => {
                prefix.pop();
                break;
            }
            '+' | '.' | '[' | ']' | '(' | ')' | '^' | '$' | '}' => break,
            plain => prefix.push(plain),
        }
    }
    Some(prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_of_an_expression_is_what_every_match_begins_with() {
        for (pattern, options, expected) in [
            ("^ab", "", Some("ab")),
            ("\\Aab", "", Some("ab")),
            ("^ab", "s", Some("ab")),
            ("^ab", "i", None),
            ("^ab", "m", None),
            ("^a b", "x", None),
            ("ab", "", None),
            ("^ab*c", "", Some("a")),
            ("^ab?", "", Some("a")),
            ("^ab{0,2}", "", Some("a")),
            ("^ab+c", "", Some("ab")),
            ("^a\\.b", "", Some("a.b")),
            ("^a\\d", "", Some("a")),
            ("^a|b", "", None),
            ("^(a|b)", "", None),
            ("^a.b", "", Some("a")),
            ("^é?", "", Some("")),
            ("(?i)^ab", "", None),
            ("^a(?i)b", "", Some("a")),
            ("^", "", Some("")),
        ] {
            let pattern = Pattern {
                pattern: pattern.into(),
                options: options.into(),
            };
            assert_eq!(literal_prefix(&pattern).as_deref(), expected, "{pattern:?}");
        }
    }
}

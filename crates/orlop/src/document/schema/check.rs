//! The walk of a document along a compiled schema.

use std::fmt::Write as _;

use bson::spec::ElementType;
use bson::{Bson, Decimal128, RawDocument};

use super::ERRORS_MAX;
use super::compile::{self, Format, Node, Object, Others};
use super::cursor::{Cursor, Element};
use crate::FieldError;

/// Where we are, as a list on the stack: nothing is allocated until there is something to report.
#[derive(Clone, Copy)]
struct Place<'a> {
    parent: Option<&'a Place<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Name(&'a [u8]),
    Index(usize),
}

/// What is broken so far. In a quiet walk only whether anything is.
struct Found {
    errors: Vec<FieldError>,
    broken: bool,
    quiet: bool,
}

impl Found {
    fn add(&mut self, place: &Place<'_>, rule: &str, message: impl FnOnce() -> String) {
        self.broken = true;
        if self.quiet || self.errors.len() >= ERRORS_MAX {
            return;
        }
        self.errors.push(FieldError {
            field: place.path(),
            rule: rule.to_owned(),
            message: message(),
        });
    }

    /// Whether a walk may stop: what is known already decides.
    fn done(&self) -> bool {
        self.broken && (self.quiet || self.errors.len() >= ERRORS_MAX)
    }
}

impl Place<'_> {
    fn path(&self) -> String {
        let mut path = match self.parent {
            Some(parent) => parent.path(),
            None => String::new(),
        };
        match self.step {
            Step::Root => {}
            Step::Name(name) => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(&String::from_utf8_lossy(name));
            }
            Step::Index(at) => {
                let _ = write!(path, "[{at}]");
            }
        }
        path
    }
}

/// Checks a whole document.
pub(super) fn document(node: &Node, bytes: &[u8]) -> Vec<FieldError> {
    let mut found = Found {
        errors: Vec::new(),
        broken: false,
        quiet: false,
    };
    let root = Place {
        parent: None,
        step: Step::Root,
    };
    let whole = Element {
        kind: 0x03,
        name: &[],
        value: bytes,
    };
    value(node, &whole, &root, &mut found);
    found.errors
}

/// Checks the value of the one field of a document.
pub(super) fn only_field(node: &Node, bytes: &[u8]) -> Vec<FieldError> {
    let mut found = Found {
        errors: Vec::new(),
        broken: false,
        quiet: false,
    };
    let root = Place {
        parent: None,
        step: Step::Root,
    };
    if let Some(element) = Cursor::new(bytes).next() {
        value(node, &element, &root, &mut found);
    }
    found.errors
}

fn value(node: &Node, element: &Element<'_>, place: &Place<'_>, found: &mut Found) {
    if node.types != 0 && node.types & compile::bit(element.kind) == 0 {
        return found.add(place, "type", || {
            let allowed = node.type_names.join(" or ");
            format!("must be of type {allowed}, not {}", kind_name(element.kind))
        });
    }
    if node.whole && is_fraction(element) {
        return found.add(place, "type", || "must be a whole number".to_owned());
    }
    if let Some(values) = &node.one_of_values
        && !values.iter().any(|allowed| same(allowed, element))
    {
        found.add(place, "enum", || allowed_message(values));
    }
    match element.kind {
        0x02 => text(node, element, place, found),
        0x01 | 0x10 | 0x12 | 0x13 => number(node, element, place, found),
        0x03 => object(node, element, place, found),
        0x04 => array(node, element, place, found),
        _ => {}
    }
    combined(node, element, place, found);
}

fn passes(node: &Node, element: &Element<'_>, place: &Place<'_>) -> bool {
    let mut found = Found {
        errors: Vec::new(),
        broken: false,
        quiet: true,
    };
    value(node, element, place, &mut found);
    !found.broken
}

fn text(node: &Node, element: &Element<'_>, place: &Place<'_>, found: &mut Found) {
    let Some(rules) = &node.text else { return };
    let text = element.text();
    if rules.min.is_some() || rules.max.is_some() {
        // Code points, as MongoDB counts: every byte but the continuation bytes of UTF-8.
        let length = text.iter().filter(|byte| **byte & 0xC0 != 0x80).count();
        if let Some(min) = rules.min.filter(|min| length < *min) {
            found.add(place, "min_length", || match min {
                1 => "must not be empty".to_owned(),
                min => format!("must have at least {min} characters, has {length}"),
            });
        }
        if let Some(max) = rules.max.filter(|max| length > *max) {
            found.add(place, "max_length", || {
                format!("must have at most {max} characters, has {length}")
            });
        }
    }
    if rules.pattern.is_none() && rules.format.is_none() {
        return;
    }
    let text = std::str::from_utf8(text).unwrap_or_default();
    if let Some(pattern) = &rules.pattern {
        // A pattern that gives up (its bound on backtracking is reached) has not matched.
        if !pattern.is_match(text).unwrap_or(false) {
            found.add(place, "pattern", || {
                format!("must match {}", pattern.as_str())
            });
        }
    }
    match rules.format {
        Some(Format::Email) if !is_email(text) => {
            found.add(place, "email", || "must be an e-mail address".to_owned());
        }
        Some(Format::Date) if text.parse::<crate::document::Date>().is_err() => {
            found.add(place, "date", || {
                "must be a date such as 2023-06-15".to_owned()
            });
        }
        _ => {}
    }
}

/// One `@` with something on both sides, no empty part of the domain, no blanks. Whether it exists
/// only a message sent there can tell, so nothing more is refused.
fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else {
        return false;
    };
    let label = |label: &str| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-');
    !local.is_empty()
        && local.len() <= 64
        && text.len() <= 254
        && !local.contains('@')
        && !text.chars().any(|c| c.is_whitespace() || c.is_control())
        && domain.split('.').all(label)
}

fn number(node: &Node, element: &Element<'_>, place: &Place<'_>, found: &mut Found) {
    let Some(rules) = &node.number else { return };
    if let Some((min, strict)) = &rules.min
        && below(element, min, *strict)
    {
        found.add(place, "minimum", || {
            let least = if *strict { "over" } else { "at least" };
            format!("must be {least} {min}")
        });
    }
    if let Some((max, strict)) = &rules.max
        && above(element, max, *strict)
    {
        found.add(place, "maximum", || {
            let most = if *strict { "under" } else { "at most" };
            format!("must be {most} {max}")
        });
    }
    if let Some(step) = &rules.multiple_of
        && !is_multiple(element, step)
    {
        found.add(place, "multiple_of", || match step {
            Bson::Int32(1) => "must be a whole number".to_owned(),
            step => format!("must be a multiple of {step}"),
        });
    }
}

fn object(node: &Node, element: &Element<'_>, place: &Place<'_>, found: &mut Found) {
    let Some(rules) = &node.object else { return };
    let at_root = matches!(place.step, Step::Root) && place.parent.is_none();
    let mut seen = Seen::default();
    let mut fields = 0;
    let mut required = 0;
    let mut next = 0;
    let mut cursor = Cursor::new(element.value);
    for field in cursor.by_ref() {
        if at_root && field.name == b"_v" {
            continue;
        }
        fields += 1;
        let place = Place {
            parent: Some(place),
            step: Step::Name(field.name),
        };
        let property = rules.position(field.name, next);
        next = property.map_or(next, |at| at + 1);
        if let Some(at) = property
            && rules.properties[at].required
            && seen.first(at)
        {
            required += 1;
        }
        match property.and_then(|at| rules.properties[at].node.as_ref()) {
            Some(node) => value(node, &field, &place, found),
            None => other(rules, &field, &place, found),
        }
        if found.done() {
            return;
        }
    }
    if cursor.malformed {
        return found.add(place, "type", || "is not well-formed BSON".to_owned());
    }
    if required < rules.required {
        for (at, property) in rules.properties.iter().enumerate() {
            if property.required && seen.first(at) {
                let place = Place {
                    parent: Some(place),
                    step: Step::Name(property.name.as_bytes()),
                };
                found.add(&place, "required", || "is required".to_owned());
            }
        }
    }
    if let Some(min) = rules.min.filter(|min| fields < *min) {
        found.add(place, "min_properties", || {
            format!("must have at least {min} fields")
        });
    }
    if let Some(max) = rules.max.filter(|max| fields > *max) {
        found.add(place, "max_properties", || {
            format!("must have at most {max} fields")
        });
    }
}

fn other(rules: &Object, field: &Element<'_>, place: &Place<'_>, found: &mut Found) {
    match &rules.others {
        Others::Allowed => {}
        Others::Refused => found.add(place, "additional_properties", || {
            "is not a field of this document".to_owned()
        }),
        Others::Meet(node) => value(node, field, place, found),
    }
}

fn array(node: &Node, element: &Element<'_>, place: &Place<'_>, found: &mut Found) {
    let Some(rules) = &node.array else { return };
    let mut length = 0;
    let mut cursor = Cursor::new(element.value);
    for item in cursor.by_ref() {
        if let Some(node) = &rules.items {
            let place = Place {
                parent: Some(place),
                step: Step::Index(length),
            };
            value(node, &item, &place, found);
            if found.done() {
                return;
            }
        }
        length += 1;
    }
    if cursor.malformed {
        return found.add(place, "type", || "is not well-formed BSON".to_owned());
    }
    if let Some(min) = rules.min.filter(|min| length < *min) {
        found.add(place, "min_items", || {
            format!("must have at least {min} elements, has {length}")
        });
    }
    if let Some(max) = rules.max.filter(|max| length > *max) {
        found.add(place, "max_items", || {
            format!("must have at most {max} elements, has {length}")
        });
    }
    if rules.unique && has_twins(element) {
        found.add(place, "unique_items", || {
            "must not hold an element twice".to_owned()
        });
    }
}

fn combined(node: &Node, element: &Element<'_>, place: &Place<'_>, found: &mut Found) {
    let Some(rules) = &node.combined else { return };
    for inner in &rules.all_of {
        value(inner, element, place, found);
    }
    let passing = |forms: &[Node]| {
        let passing = forms.iter().filter(|inner| passes(inner, element, place));
        passing.count()
    };
    if !rules.any_of.is_empty() && passing(&rules.any_of) == 0 {
        nearest(&rules.any_of, "any_of", element, place, found);
    }
    if !rules.one_of.is_empty() {
        match passing(&rules.one_of) {
            1 => {}
            0 => nearest(&rules.one_of, "one_of", element, place, found),
            many => found.add(place, "one_of", || {
                format!(
                    "must meet one of {} forms, meets {many}",
                    rules.one_of.len()
                )
            }),
        }
    }
    if let Some(inner) = &rules.not
        && passes(inner, element, place)
    {
        found.add(place, "not", || "has a form that is refused".to_owned());
    }
}

/// Reports what the form that the value was meant to have says: the only one whose discriminating
/// `enum` (the tag of a variant) it meets. Without one, only that none fits.
fn nearest(
    forms: &[Node],
    rule: &str,
    element: &Element<'_>,
    place: &Place<'_>,
    found: &mut Found,
) {
    if !found.quiet && element.kind == 0x03 {
        let mut meant = forms.iter().filter(|form| tag_fits(form, element));
        if let (Some(form), None) = (meant.next(), meant.next()) {
            return value(form, element, place, found);
        }
    }
    found.add(place, rule, || {
        format!("meets none of {} allowed forms", forms.len())
    });
}

fn tag_fits(form: &Node, element: &Element<'_>) -> bool {
    let Some(rules) = &form.object else {
        return false;
    };
    Cursor::new(element.value).any(|field| {
        rules
            .find(field.name)
            .and_then(|property| property.node.as_ref()?.one_of_values.as_ref())
            .is_some_and(|values| values.iter().any(|value| same(value, &field)))
    })
}

/// Which properties were seen: bits in place for the first 128, a list beyond.
#[derive(Default)]
struct Seen {
    bits: u128,
    more: Vec<usize>,
}

impl Seen {
    /// Notes `at`; true the first time.
    fn first(&mut self, at: usize) -> bool {
        if let Some(bit) = u32::try_from(at).ok().and_then(|at| 1_u128.checked_shl(at)) {
            let first = self.bits & bit == 0;
            self.bits |= bit;
            return first;
        }
        let first = !self.more.contains(&at);
        if first {
            self.more.push(at);
        }
        first
    }
}

fn has_twins(element: &Element<'_>) -> bool {
    let items: Vec<_> = Cursor::new(element.value)
        .map(|item| owned(&item))
        .collect();
    items
        .iter()
        .enumerate()
        .any(|(at, item)| items.iter().take(at).any(|other| equal(item, other)))
}

fn owned(element: &Element<'_>) -> Bson {
    // A document of one field around the value: length, type, empty name, value, NUL.
    let length = 4 + 2 + element.value.len() + 1;
    let mut bytes = Vec::with_capacity(length);
    bytes.extend_from_slice(&(length as u32).to_le_bytes());
    bytes.extend_from_slice(&[element.kind, 0]);
    bytes.extend_from_slice(element.value);
    bytes.push(0);
    let read = RawDocument::from_bytes(&bytes).ok();
    let value = read.and_then(|document| document.get("").ok().flatten());
    value
        .and_then(|value| Bson::try_from(value).ok())
        .unwrap_or(Bson::Undefined)
}

fn same(allowed: &Bson, element: &Element<'_>) -> bool {
    match (allowed, element.kind) {
        (Bson::String(allowed), 0x02) => allowed.as_bytes() == element.text(),
        (Bson::String(_), _) => false,
        (Bson::Boolean(allowed), 0x08) => element.value == [u8::from(*allowed)],
        (Bson::Null, kind) => kind == 0x0A,
        (Bson::Int32(allowed), 0x10) => element.value == allowed.to_le_bytes(),
        _ => equal(allowed, &owned(element)),
    }
}

/// MongoDB's equality of values in a schema: numbers by value, documents in any order of fields.
pub(super) fn equal(one: &Bson, other: &Bson) -> bool {
    match (one, other) {
        (Bson::Document(one), Bson::Document(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .all(|(name, value)| other.get(name).is_some_and(|it| equal(value, it)))
        }
        (Bson::Array(one), Bson::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| equal(one, other))
        }
        (one, other) => match (as_whole(one), as_whole(other)) {
            (Some(one), Some(other)) => one == other,
            _ => match (as_double(one), as_double(other)) {
                (Some(one), Some(other)) => one == other || (one.is_nan() && other.is_nan()),
                _ => one == other,
            },
        },
    }
}

fn allowed_message(values: &[Bson]) -> String {
    const SHOWN: usize = 8;
    let shown: Vec<_> = values.iter().take(SHOWN).map(ToString::to_string).collect();
    let more = values.len().saturating_sub(SHOWN);
    match more {
        0 => format!("must be one of {}", shown.join(", ")),
        more => format!("must be one of {} and {more} more", shown.join(", ")),
    }
}

fn kind_name(kind: u8) -> String {
    match ElementType::from(kind) {
        Some(ElementType::Double) => "double".to_owned(),
        Some(ElementType::Int32) => "int".to_owned(),
        Some(ElementType::Int64) => "long".to_owned(),
        Some(ElementType::Decimal128) => "decimal".to_owned(),
        Some(ElementType::String) => "string".to_owned(),
        Some(ElementType::EmbeddedDocument) => "object".to_owned(),
        Some(ElementType::Array) => "array".to_owned(),
        Some(ElementType::Binary) => "binData".to_owned(),
        Some(ElementType::ObjectId) => "objectId".to_owned(),
        Some(ElementType::Boolean) => "bool".to_owned(),
        Some(ElementType::DateTime) => "date".to_owned(),
        Some(ElementType::Null) => "null".to_owned(),
        Some(other) => format!("{other:?}"),
        None => "an unknown type".to_owned(),
    }
}

/// A number that is an integer, exactly.
fn as_whole(value: &Bson) -> Option<i64> {
    match value {
        Bson::Int32(number) => Some(i64::from(*number)),
        Bson::Int64(number) => Some(*number),
        _ => None,
    }
}

pub(super) fn as_double(value: &Bson) -> Option<f64> {
    match value {
        Bson::Int32(number) => Some(f64::from(*number)),
        Bson::Int64(number) => Some(*number as f64),
        Bson::Double(number) => Some(*number),
        Bson::Decimal128(number) => decimal(*number),
        _ => None,
    }
}

/// To the nearest double: bounds are compared in doubles once a decimal is among them.
fn decimal(number: Decimal128) -> Option<f64> {
    number.to_string().parse().ok()
}

fn double_of(element: &Element<'_>) -> f64 {
    match element.kind {
        0x01 => f64::from_le_bytes(element.bytes()),
        0x10 => f64::from(i32::from_le_bytes(element.bytes())),
        0x12 => i64::from_le_bytes(element.bytes()) as f64,
        _ => decimal(Decimal128::from_bytes(element.bytes())).unwrap_or(f64::NAN),
    }
}

fn whole_of(element: &Element<'_>) -> Option<i64> {
    match element.kind {
        0x10 => Some(i64::from(i32::from_le_bytes(element.bytes()))),
        0x12 => Some(i64::from_le_bytes(element.bytes())),
        _ => None,
    }
}

fn is_fraction(element: &Element<'_>) -> bool {
    match element.kind {
        0x01 | 0x13 => double_of(element).fract() != 0.0,
        _ => false,
    }
}

fn below(element: &Element<'_>, bound: &Bson, strict: bool) -> bool {
    if let (Some(number), Some(bound)) = (whole_of(element), as_whole(bound)) {
        return number < bound || (strict && number == bound);
    }
    let (number, bound) = (double_of(element), as_double(bound).unwrap_or(f64::NAN));
    apart(number, bound, strict).unwrap_or(number < bound)
}

fn above(element: &Element<'_>, bound: &Bson, strict: bool) -> bool {
    if let (Some(number), Some(bound)) = (whole_of(element), as_whole(bound)) {
        return number > bound || (strict && number == bound);
    }
    let (number, bound) = (double_of(element), as_double(bound).unwrap_or(f64::NAN));
    apart(number, bound, strict).unwrap_or(number > bound)
}

/// Whether a number that equals its bound, or cannot be compared with it, breaks it. NaN is within
/// no bound but itself, as in MongoDB.
fn apart(number: f64, bound: f64, strict: bool) -> Option<bool> {
    if number.is_nan() || bound.is_nan() {
        return Some(strict || !(number.is_nan() && bound.is_nan()));
    }
    (number == bound).then_some(strict)
}

fn is_multiple(element: &Element<'_>, step: &Bson) -> bool {
    if let (Some(number), Some(step)) = (whole_of(element), as_whole(step)) {
        return number % step == 0;
    }
    let (number, step) = (double_of(element), as_double(step).unwrap_or(f64::NAN));
    number % step == 0.0
}

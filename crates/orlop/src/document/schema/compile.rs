//! From a schema to the tree that is checked.

use bson::{Bson, Document};
use fancy_regex::Regex;

use crate::{Error, Result};

/// What a value must meet. Empty: anything.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// Types allowed, a bit each of [`bit`]; none set: any.
    pub(super) types: u32,
    /// The names of those types, for messages.
    pub(super) type_names: Vec<String>,
    /// `"type": "integer"`: a double must be whole.
    pub(super) whole: bool,
    pub(super) one_of_values: Option<Vec<Bson>>,
    // Boxed, so that a node without them is two lines of a cache.
    pub(super) text: Option<Box<Text>>,
    pub(super) number: Option<Box<Number>>,
    pub(super) array: Option<Box<Array>>,
    pub(super) object: Option<Box<Object>>,
    pub(super) combined: Option<Box<Combined>>,
}

#[derive(Debug, Default)]
pub(super) struct Combined {
    pub(super) all_of: Vec<Node>,
    pub(super) any_of: Vec<Node>,
    pub(super) one_of: Vec<Node>,
    pub(super) not: Option<Node>,
}

#[derive(Debug, Default)]
pub(super) struct Text {
    pub(super) min: Option<usize>,
    pub(super) max: Option<usize>,
    pub(super) pattern: Option<Regex>,
    pub(super) format: Option<Format>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Email,
    Date,
}

#[derive(Debug, Default)]
pub(super) struct Number {
    /// The bound, and whether it is itself refused.
    pub(super) min: Option<(Bson, bool)>,
    pub(super) max: Option<(Bson, bool)>,
    pub(super) multiple_of: Option<Bson>,
}

#[derive(Debug, Default)]
pub(super) struct Array {
    pub(super) items: Option<Box<Node>>,
    pub(super) min: Option<usize>,
    pub(super) max: Option<usize>,
    pub(super) unique: bool,
}

#[derive(Debug, Default)]
pub(super) struct Object {
    /// In the order of the schema, which is that of most documents.
    pub(super) properties: Vec<Property>,
    /// Their places, in the order of their names.
    by_name: Vec<usize>,
    /// How many of the properties are required.
    pub(super) required: usize,
    pub(super) others: Others,
    pub(super) min: Option<usize>,
    pub(super) max: Option<usize>,
}

#[derive(Debug)]
pub(super) struct Property {
    pub(super) name: String,
    pub(super) required: bool,
    /// None: only required, by `required`; still one of the others.
    pub(super) node: Option<Node>,
}

#[derive(Debug, Default)]
pub(super) enum Others {
    #[default]
    Allowed,
    Refused,
    Meet(Box<Node>),
}

impl Node {
    /// The node of a dotted path, through properties only.
    pub(super) fn at(&self, path: &str) -> Option<&Node> {
        let mut node = self;
        for part in path.split('.') {
            let property = node.object.as_ref()?.find(part.as_bytes())?;
            node = property.node.as_ref()?;
        }
        Some(node)
    }
}

impl Object {
    pub(super) fn find(&self, name: &[u8]) -> Option<&Property> {
        self.position(name, 0)
            .and_then(|at| self.properties.get(at))
    }

    /// The place of a property, most likely at `next`.
    #[inline]
    pub(super) fn position(&self, name: &[u8], next: usize) -> Option<usize> {
        match self.properties.get(next) {
            Some(property) if property.name.as_bytes() == name => Some(next),
            _ => self
                .sorted(name)
                .ok()
                .and_then(|at| self.by_name.get(at).copied()),
        }
    }

    fn sorted(&self, name: &[u8]) -> Result<usize, usize> {
        self.by_name.binary_search_by(|at| {
            let known = self
                .properties
                .get(*at)
                .map(|property| property.name.as_bytes());
            known.cmp(&Some(name))
        })
    }

    fn entry(&mut self, name: &str) -> &mut Property {
        let place = match self.sorted(name.as_bytes()) {
            Ok(at) => self.by_name[at],
            Err(at) => {
                self.by_name.insert(at, self.properties.len());
                self.properties.push(Property {
                    name: name.to_owned(),
                    required: false,
                    node: None,
                });
                self.properties.len() - 1
            }
        };
        &mut self.properties[place]
    }
}

/// The bit of a BSON type code in [`Node::types`].
pub(super) fn bit(kind: u8) -> u32 {
    match kind {
        0xFF => 1 << 30,
        0x7F => 1 << 31,
        kind => 1_u32.checked_shl(u32::from(kind)).unwrap_or(0),
    }
}

const BSON_TYPES: [(&str, u8); 21] = [
    ("double", 0x01),
    ("string", 0x02),
    ("object", 0x03),
    ("array", 0x04),
    ("binData", 0x05),
    ("undefined", 0x06),
    ("objectId", 0x07),
    ("bool", 0x08),
    ("date", 0x09),
    ("null", 0x0A),
    ("regex", 0x0B),
    ("dbPointer", 0x0C),
    ("javascript", 0x0D),
    ("symbol", 0x0E),
    ("javascriptWithScope", 0x0F),
    ("int", 0x10),
    ("timestamp", 0x11),
    ("long", 0x12),
    ("decimal", 0x13),
    ("minKey", 0xFF),
    ("maxKey", 0x7F),
];

pub(super) fn node(schema: &Document, at: &str) -> Result<Node> {
    let mut node = Node::default();
    if schema.contains_key("type") && schema.contains_key("bsonType") {
        return malformed(at, "type", "and bsonType exclude each other");
    }
    for (word, value) in schema {
        let at = at.to_owned();
        match word.as_str() {
            "bsonType" => types(&mut node, &at, value, bson_type)?,
            "type" => types(&mut node, &at, value, json_type)?,
            "enum" => node.one_of_values = Some(values(&at, value)?),
            "const" => node.one_of_values = Some(vec![value.clone()]),
            "minLength" => text(&mut node).min = Some(count(&at, word, value)?),
            "maxLength" => text(&mut node).max = Some(count(&at, word, value)?),
            "pattern" => text(&mut node).pattern = Some(pattern(&at, value)?),
            "format" => text(&mut node).format = Some(format(&at, value)?),
            "multipleOf" => number(&mut node).multiple_of = Some(positive(&at, value)?),
            "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" => {
                bound(&mut node, &at, word, value, schema)?;
            }
            "items" => items(&mut node, &at, value)?,
            "minItems" => list(&mut node).min = Some(count(&at, word, value)?),
            "maxItems" => list(&mut node).max = Some(count(&at, word, value)?),
            "uniqueItems" => list(&mut node).unique = boolean(&at, word, value)?,
            "properties" => properties(&mut node, &at, value)?,
            "required" => required(&mut node, &at, value)?,
            "additionalProperties" => others(&mut node, &at, value)?,
            "minProperties" => object(&mut node).min = Some(count(&at, word, value)?),
            "maxProperties" => object(&mut node).max = Some(count(&at, word, value)?),
            "allOf" => combined(&mut node).all_of = nodes(&at, word, value)?,
            "anyOf" => combined(&mut node).any_of = nodes(&at, word, value)?,
            "oneOf" => combined(&mut node).one_of = nodes(&at, word, value)?,
            "not" => {
                let refused = self::node(schema_of(&at, word, value)?, &at)?;
                combined(&mut node).not = Some(refused);
            }
            // They say nothing that a document could break.
            "title" | "description" | "default" | "examples" | "$schema" | "$id" | "$comment" => {}
            other => {
                return Err(Error::unsupported(format!(
                    "schema word {other:?}{}; docs/schema.md lists the known ones",
                    place(&at)
                )));
            }
        }
    }
    Ok(node)
}

fn text(node: &mut Node) -> &mut Text {
    node.text.get_or_insert_default()
}
fn number(node: &mut Node) -> &mut Number {
    node.number.get_or_insert_default()
}
fn list(node: &mut Node) -> &mut Array {
    node.array.get_or_insert_default()
}
fn combined(node: &mut Node) -> &mut Combined {
    node.combined.get_or_insert_default()
}
fn object(node: &mut Node) -> &mut Object {
    node.object.get_or_insert_default()
}

fn place(at: &str) -> String {
    if at.is_empty() {
        String::new()
    } else {
        format!(" at {at}")
    }
}

fn malformed<T>(at: &str, word: &str, why: &str) -> Result<T> {
    Err(Error::invalid(format!(
        "schema word {word:?}{}: {why}",
        place(at)
    )))
}

fn types(
    node: &mut Node,
    at: &str,
    value: &Bson,
    one: fn(&mut Node, &str) -> Option<u32>,
) -> Result<()> {
    let names: Vec<&str> = match value {
        Bson::String(name) => vec![name],
        Bson::Array(names) => names.iter().filter_map(Bson::as_str).collect(),
        _ => Vec::new(),
    };
    if names.is_empty() || matches!(value, Bson::Array(all) if all.len() != names.len()) {
        return malformed(at, "type", "a name or an array of names was expected");
    }
    for name in names {
        match one(node, name) {
            Some(bits) => node.types |= bits,
            None => return malformed(at, "type", &format!("there is no type {name:?}")),
        }
        node.type_names.push(name.to_owned());
    }
    Ok(())
}

fn bson_type(_: &mut Node, name: &str) -> Option<u32> {
    if name == "number" {
        return Some(bit(0x01) | bit(0x10) | bit(0x12) | bit(0x13));
    }
    BSON_TYPES
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, code)| bit(*code))
}

fn json_type(node: &mut Node, name: &str) -> Option<u32> {
    match name {
        "boolean" => Some(bit(0x08)),
        "integer" => {
            node.whole = true;
            bson_type(node, "number")
        }
        "object" | "array" | "number" | "string" | "null" => bson_type(node, name),
        _ => None,
    }
}

fn array<'a>(at: &str, word: &str, value: &'a Bson) -> Result<&'a Vec<Bson>> {
    match value {
        Bson::Array(items) if !items.is_empty() => Ok(items),
        _ => malformed(at, word, "an array that is not empty was expected"),
    }
}

fn values(at: &str, value: &Bson) -> Result<Vec<Bson>> {
    let values = array(at, "enum", value)?;
    let twice = |(at, value)| {
        values
            .iter()
            .take(at)
            .any(|other| super::check::equal(value, other))
    };
    if values.iter().enumerate().any(twice) {
        return malformed(at, "enum", "a value is there twice");
    }
    Ok(values.clone())
}

fn schema_of<'a>(at: &str, word: &str, value: &'a Bson) -> Result<&'a Document> {
    match value {
        Bson::Document(schema) => Ok(schema),
        _ => malformed(at, word, "a schema was expected"),
    }
}

fn nodes(at: &str, word: &str, value: &Bson) -> Result<Vec<Node>> {
    let each = |value| node(schema_of(at, word, value)?, at);
    array(at, word, value)?.iter().map(each).collect()
}

fn boolean(at: &str, word: &str, value: &Bson) -> Result<bool> {
    match value {
        Bson::Boolean(flag) => Ok(*flag),
        _ => malformed(at, word, "true or false was expected"),
    }
}

fn count(at: &str, word: &str, value: &Bson) -> Result<usize> {
    let count = match value {
        Bson::Int32(count) => usize::try_from(*count).ok(),
        Bson::Int64(count) => usize::try_from(*count).ok(),
        Bson::Double(count) if *count >= 0.0 && count.fract() == 0.0 => Some(*count as usize),
        _ => None,
    };
    match count {
        Some(count) => Ok(count),
        None => malformed(at, word, "a whole number from 0 was expected"),
    }
}

fn pattern(at: &str, value: &Bson) -> Result<Regex> {
    let Bson::String(pattern) = value else {
        return malformed(at, "pattern", "a string was expected");
    };
    Regex::new(pattern)
        .map_err(|error| Error::invalid(format!("schema word \"pattern\"{}: {error}", place(at))))
}

fn format(at: &str, value: &Bson) -> Result<Format> {
    match value.as_str() {
        Some("email") => Ok(Format::Email),
        Some("date") => Ok(Format::Date),
        Some(other) => Err(Error::unsupported(format!(
            "schema format {other:?}{}",
            place(at)
        ))),
        None => malformed(at, "format", "a string was expected"),
    }
}

fn is_number(value: &Bson) -> bool {
    matches!(
        value,
        Bson::Int32(_) | Bson::Int64(_) | Bson::Double(_) | Bson::Decimal128(_)
    )
}

fn positive(at: &str, value: &Bson) -> Result<Bson> {
    if is_number(value) && super::check::as_double(value).is_some_and(|number| number > 0.0) {
        return Ok(value.clone());
    }
    malformed(at, "multipleOf", "a number over 0 was expected")
}

/// `exclusiveMinimum` is `true` beside a `minimum` in MongoDB, and a number of its own in later
/// drafts of JSON Schema; both are read.
fn bound(node: &mut Node, at: &str, word: &str, value: &Bson, schema: &Document) -> Result<()> {
    let low = word.ends_with("inimum");
    let exclusive = word.starts_with("exclusive");
    let rules = number(node);
    let kept = if low { &mut rules.min } else { &mut rules.max };
    match value {
        value if is_number(value) && exclusive => *kept = Some((value.clone(), true)),
        value if is_number(value) => {
            let beside = if low {
                "exclusiveMinimum"
            } else {
                "exclusiveMaximum"
            };
            let strict = matches!(schema.get(beside), Some(Bson::Boolean(true)));
            if !schema.get(beside).is_some_and(is_number) {
                *kept = Some((value.clone(), strict));
            }
        }
        Bson::Boolean(_) if exclusive => {
            let beside = if low { "minimum" } else { "maximum" };
            if !schema.contains_key(beside) {
                return malformed(at, word, &format!("{beside} is needed beside it"));
            }
        }
        _ => return malformed(at, word, "a number was expected"),
    }
    Ok(())
}

fn items(node: &mut Node, at: &str, value: &Bson) -> Result<()> {
    if matches!(value, Bson::Array(_)) {
        return Err(Error::unsupported(format!(
            "schema word \"items\" with an array of schemas{}",
            place(at)
        )));
    }
    let inner = self::node(schema_of(at, "items", value)?, &format!("{at}[]"))?;
    list(node).items = Some(Box::new(inner));
    Ok(())
}

fn inside(at: &str, name: &str) -> String {
    if at.is_empty() {
        name.to_owned()
    } else {
        format!("{at}.{name}")
    }
}

fn properties(node: &mut Node, at: &str, value: &Bson) -> Result<()> {
    for (name, schema) in schema_of(at, "properties", value)? {
        let inner = self::node(schema_of(at, "properties", schema)?, &inside(at, name))?;
        object(node).entry(name).node = Some(inner);
    }
    object(node);
    Ok(())
}

fn required(node: &mut Node, at: &str, value: &Bson) -> Result<()> {
    let names = match value {
        // Later drafts allow an empty list; MongoDB does not. It says nothing.
        Bson::Array(names) if names.is_empty() => return Ok(()),
        value => array(at, "required", value)?,
    };
    for name in names {
        let Bson::String(name) = name else {
            return malformed(at, "required", "names were expected");
        };
        let rules = object(node);
        let property = rules.entry(name);
        if !std::mem::replace(&mut property.required, true) {
            rules.required += 1;
        }
    }
    Ok(())
}

fn others(node: &mut Node, at: &str, value: &Bson) -> Result<()> {
    object(node).others = match value {
        Bson::Boolean(true) => Others::Allowed,
        Bson::Boolean(false) => Others::Refused,
        value => {
            let schema = schema_of(at, "additionalProperties", value)?;
            Others::Meet(Box::new(self::node(schema, &format!("{at}.*"))?))
        }
    };
    Ok(())
}

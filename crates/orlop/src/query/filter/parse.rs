//! From MongoDB's filter syntax to the tree; refuses what MongoDB refuses.

use bson::{Bson, Document};

use super::bits;
use crate::query::value::{Number, View};
use crate::query::{Aggregation, ElemMatch, Expr, Path, Pattern, Pred};
use crate::{Error, Result};

/// Deepest nesting of a filter.
///
/// # Source
/// MongoDB's "exceeded maximum query tree depth".
const DEPTH_MAX: usize = 100;

/// Operators of MongoDB that stand in place of a field name.
const TOP_LEVEL: [&str; 12] = [
    "$and",
    "$or",
    "$nor",
    "$comment",
    "$expr",
    "$where",
    "$text",
    "$jsonSchema",
    "$sampleRate",
    "$alwaysTrue",
    "$alwaysFalse",
    "$isolated",
];

/// Operators of MongoDB on a field that are not ours.
const FOREIGN: [&str; 8] = [
    "$near",
    "$nearSphere",
    "$geoNear",
    "$geoWithin",
    "$within",
    "$geoIntersects",
    "$geoNever",
    "$jsonSchema",
];

/// Conditions on a value.
const CONDITIONS: [&str; 20] = [
    "$eq",
    "$ne",
    "$gt",
    "$gte",
    "$lt",
    "$lte",
    "$in",
    "$nin",
    "$exists",
    "$type",
    "$regex",
    "$options",
    "$all",
    "$elemMatch",
    "$size",
    "$mod",
    "$bitsAllSet",
    "$bitsAnySet",
    "$bitsAllClear",
    "$bitsAnyClear",
];

/// Whether an operator's document is a condition on a value itself, not on its fields.
pub(crate) fn is_condition(operator: &str) -> bool {
    CONDITIONS.contains(&operator)
}

impl Expr {
    /// Reads a filter in MongoDB's syntax. `$comment` is dropped.
    ///
    /// # Errors
    /// - `Invalid`: MongoDB refuses it too; the message says why.
    /// - `Unsupported`: an operator that is unknown, or MongoDB's but not ours; the message names it.
    pub fn parse(filter: &Document) -> Result<Self> {
        parse_document(filter, 0, true)
    }
}

/// One tree for none, the only one, or all of several.
fn all_of(mut parts: Vec<Expr>) -> Expr {
    match parts.len() {
        0 => Expr::All,
        1 => parts.remove(0),
        _ => Expr::And(parts),
    }
}

/// `whole`: the filter is about a stored document, not about an element of an array.
fn parse_document(filter: &Document, depth: usize, whole: bool) -> Result<Expr> {
    if depth > DEPTH_MAX {
        return Err(Error::invalid(format!(
            "filter is nested deeper than {DEPTH_MAX}"
        )));
    }
    let mut parts = Vec::new();
    for (name, value) in filter {
        match name.strip_prefix('$') {
            Some(_) => parts.extend(parse_top_level(name, value, depth, whole)?),
            None => parse_field(name, value, depth, &mut parts)?,
        }
    }
    Ok(all_of(parts))
}

fn parse_top_level(name: &str, value: &Bson, depth: usize, whole: bool) -> Result<Option<Expr>> {
    Ok(Some(match name {
        "$and" => Expr::And(parse_list(name, value, depth, whole)?),
        "$or" => Expr::Or(parse_list(name, value, depth, whole)?),
        "$nor" => Expr::Nor(parse_list(name, value, depth, whole)?),
        "$comment" => return Ok(None),
        "$alwaysTrue" | "$alwaysFalse" => {
            if Number::of(value).and_then(Number::to_i64) != Some(1) {
                return Err(Error::invalid(format!("{name} must be 1")));
            }
            if name == "$alwaysTrue" {
                Expr::All
            } else {
                Expr::Nor(vec![Expr::All])
            }
        }
        "$expr" if whole => Expr::Aggregation(Aggregation::parse(value)?),
        "$expr" => {
            return Err(Error::invalid(
                "$expr can only be applied to the whole document",
            ));
        }
        "$not" => {
            return Err(Error::invalid(
                "$not needs a field; $nor negates a whole condition",
            ));
        }
        _ if TOP_LEVEL.contains(&name) => return Err(foreign(name)),
        _ if is_condition(name) || name == "$not" || FOREIGN.contains(&name) => {
            return Err(Error::invalid(format!("operator {name} needs a field")));
        }
        _ => return Err(unknown(name)),
    }))
}

fn parse_list(name: &str, value: &Bson, depth: usize, whole: bool) -> Result<Vec<Expr>> {
    let Bson::Array(items) = value else {
        return Err(Error::invalid(format!("{name} must be an array")));
    };
    if items.is_empty() {
        return Err(Error::invalid(format!("{name} must be a nonempty array")));
    }
    let parse = |item: &Bson| match item {
        Bson::Document(filter) => parse_document(filter, depth + 1, whole),
        _ => Err(Error::invalid(format!(
            "the entries of {name} must be documents"
        ))),
    };
    items.iter().map(parse).collect()
}

fn unknown(name: &str) -> Error {
    Error::unsupported(format!("unknown operator {name}"))
}

fn foreign(name: &str) -> Error {
    Error::unsupported(format!("operator {name} is not supported"))
}

fn parse_field(name: &str, value: &Bson, depth: usize, parts: &mut Vec<Expr>) -> Result<()> {
    let path = || Path::Owned(name.to_owned());
    match value {
        Bson::RegularExpression(regex) => {
            parts.push(Expr::Field(path(), Pred::Regex(pattern_of(regex)?)));
        }
        Bson::Document(operators) if is_operators(operators, false) => {
            let preds = parse_operators(operators, name, depth)?;
            parts.extend(preds.into_iter().map(|pred| Expr::Field(path(), pred)));
        }
        _ => parts.push(Expr::Field(path(), Pred::Eq(comparable(value)?.clone()))),
    }
    Ok(())
}

/// Whether a document holds operators: its first name starts with `$`, and it is no DBRef.
fn is_operators(document: &Document, part_of_reference: bool) -> bool {
    let operator = document
        .keys()
        .next()
        .is_some_and(|name| name.starts_with('$'));
    let has = |name| document.contains_key(name);
    let reference = match part_of_reference {
        true => has("$ref") || has("$id") || has("$db"),
        false => has("$ref") && has("$id"),
    };
    operator && !reference
}

fn comparable(value: &Bson) -> Result<&Bson> {
    match value {
        Bson::Undefined => Err(Error::invalid("cannot compare with undefined")),
        value => Ok(value),
    }
}

/// The value of a comparison other than `$eq`: no regular expression.
fn ordered(name: &str, value: &Bson) -> Result<Bson> {
    match comparable(value)? {
        Bson::RegularExpression(_) => Err(Error::invalid(format!(
            "{name} cannot compare with a regular expression"
        ))),
        value => Ok(value.clone()),
    }
}

/// The conditions of `{ $gt: 1, $lt: 5 }` on the field `path`.
fn parse_operators(operators: &Document, path: &str, depth: usize) -> Result<Vec<Pred>> {
    if depth > DEPTH_MAX {
        return Err(Error::invalid(format!(
            "filter is nested deeper than {DEPTH_MAX}"
        )));
    }
    let mut preds = Vec::with_capacity(operators.len());
    for (name, value) in operators {
        match name.as_str() {
            "$regex" => preds.push(Pred::Regex(parse_regex(operators, value)?)),
            "$options" => {
                if !operators.contains_key("$regex") {
                    return Err(Error::invalid("$options needs a $regex"));
                }
            }
            _ => preds.push(parse_operator(name, value, path, depth)?),
        }
    }
    Ok(preds)
}

fn parse_operator(name: &str, value: &Bson, path: &str, depth: usize) -> Result<Pred> {
    Ok(match name {
        "$eq" => Pred::Eq(comparable(value)?.clone()),
        "$ne" => Pred::Ne(ordered(name, value)?),
        "$gt" => Pred::Gt(ordered(name, value)?),
        "$gte" => Pred::Gte(ordered(name, value)?),
        "$lt" => Pred::Lt(ordered(name, value)?),
        "$lte" => Pred::Lte(ordered(name, value)?),
        "$in" => {
            let (values, patterns) = parse_in(name, value)?;
            Pred::In(values, patterns)
        }
        "$nin" => {
            let (values, patterns) = parse_in(name, value)?;
            Pred::Nin(values, patterns)
        }
        "$exists" => Pred::Exists(truth(View::from(value))),
        "$type" => Pred::Type(parse_types(value)?),
        "$all" => Pred::All(parse_all(value, path, depth)?),
        "$elemMatch" => Pred::ElemMatch(parse_elem_match(value, path, depth)?),
        "$size" => Pred::Size(parse_size(value)?),
        "$mod" => {
            let (divisor, remainder) = parse_mod(value)?;
            Pred::Mod(divisor, remainder)
        }
        "$bitsAllSet" => Pred::BitsAllSet(bits::parse(name, value)?),
        "$bitsAnySet" => Pred::BitsAnySet(bits::parse(name, value)?),
        "$bitsAllClear" => Pred::BitsAllClear(bits::parse(name, value)?),
        "$bitsAnyClear" => Pred::BitsAnyClear(bits::parse(name, value)?),
        "$not" => Pred::Not(parse_not(value, path, depth)?),
        _ if FOREIGN.contains(&name) => return Err(foreign(name)),
        _ if TOP_LEVEL.contains(&name) => {
            return Err(Error::invalid(format!(
                "operator {name} cannot be applied to a field"
            )));
        }
        _ if name.starts_with('$') => return Err(unknown(name)),
        _ => {
            return Err(Error::invalid(format!(
                "unknown operator {name}: operators and fields cannot be mixed"
            )));
        }
    })
}

fn parse_in(name: &str, value: &Bson) -> Result<(Vec<Bson>, Vec<Pattern>)> {
    let Bson::Array(items) = value else {
        return Err(Error::invalid(format!("{name} needs an array")));
    };
    let (mut values, mut patterns) = (Vec::new(), Vec::new());
    for item in items {
        match comparable(item)? {
            Bson::RegularExpression(regex) => patterns.push(pattern_of(regex)?),
            Bson::Document(document) if is_operators(document, false) => {
                return Err(Error::invalid(format!(
                    "operators cannot be nested under {name}"
                )));
            }
            item => values.push(item.clone()),
        }
    }
    Ok((values, patterns))
}

/// MongoDB's truth of a value: all but false, zero, null and undefined.
pub(crate) fn truth(value: View<'_>) -> bool {
    match value {
        View::Bool(it) => it,
        View::Null | View::Undefined => false,
        value => value.number().is_none_or(|number| !number.is_zero()),
    }
}

/// `$type` by name. `number` is all four of them.
const TYPES: [(&str, &[i32]); 22] = [
    ("double", &[1]),
    ("string", &[2]),
    ("object", &[3]),
    ("array", &[4]),
    ("binData", &[5]),
    ("undefined", &[6]),
    ("objectId", &[7]),
    ("bool", &[8]),
    ("date", &[9]),
    ("null", &[10]),
    ("regex", &[11]),
    ("dbPointer", &[12]),
    ("javascript", &[13]),
    ("symbol", &[14]),
    ("javascriptWithScope", &[15]),
    ("int", &[16]),
    ("timestamp", &[17]),
    ("long", &[18]),
    ("decimal", &[19]),
    ("minKey", &[-1]),
    ("maxKey", &[127]),
    ("number", &[1, 16, 18, 19]),
];

fn parse_types(value: &Bson) -> Result<Vec<i32>> {
    match value {
        Bson::Array(items) if items.is_empty() => {
            Err(Error::invalid("$type must name at least one type"))
        }
        Bson::Array(items) => {
            let parsed = items.iter().map(parse_type).collect::<Result<Vec<_>>>()?;
            Ok(parsed.concat())
        }
        value => parse_type(value),
    }
}

fn parse_type(value: &Bson) -> Result<Vec<i32>> {
    if let Bson::String(name) = value {
        let known = TYPES.iter().find(|(alias, _)| alias == name);
        let codes = known.map(|(_, codes)| codes.to_vec());
        return codes.ok_or_else(|| Error::invalid(format!("$type: unknown type {name}")));
    }
    let Some(number) = Number::of(value) else {
        return Err(Error::invalid("$type must be given as numbers or strings"));
    };
    let code = number.to_i64().and_then(|code| i32::try_from(code).ok());
    match code {
        Some(code @ (-1 | 1..=19 | 127)) => Ok(vec![code]),
        _ => Err(Error::invalid(
            "$type: invalid type code; absence is {$exists: false}",
        )),
    }
}

fn parse_all(value: &Bson, path: &str, depth: usize) -> Result<Vec<Pred>> {
    let Bson::Array(items) = value else {
        return Err(Error::invalid("$all needs an array"));
    };
    let elem_match = |item: &Bson| match item {
        Bson::Document(document) => document
            .iter()
            .next()
            .filter(|(name, _)| *name == "$elemMatch")
            .map(|it| it.1.clone()),
        _ => None,
    };
    if items.first().and_then(elem_match).is_some() {
        let parse = |item| match elem_match(item) {
            Some(inner) => Ok(Pred::ElemMatch(parse_elem_match(&inner, path, depth)?)),
            None => Err(Error::invalid(
                "$all must hold $elemMatch everywhere or nowhere",
            )),
        };
        return items.iter().map(parse).collect();
    }
    let parse = |item: &Bson| match comparable(item)? {
        Bson::RegularExpression(regex) => Ok(Pred::Regex(pattern_of(regex)?)),
        Bson::Document(document) if is_operators(document, false) => {
            Err(Error::invalid("operators cannot be nested under $all"))
        }
        item => Ok(Pred::Eq(item.clone())),
    };
    items.iter().map(parse).collect()
}

fn parse_elem_match(value: &Bson, path: &str, depth: usize) -> Result<ElemMatch> {
    let Bson::Document(inner) = value else {
        return Err(Error::invalid("$elemMatch needs a document"));
    };
    let first = inner.keys().next().map_or("", String::as_str);
    if is_operators(inner, true) && !TOP_LEVEL.contains(&first) {
        return Ok(ElemMatch::Value(parse_operators(inner, path, depth + 1)?));
    }
    Ok(ElemMatch::Document(Box::new(parse_document(
        inner,
        depth + 1,
        false,
    )?)))
}

fn parse_size(value: &Bson) -> Result<i64> {
    let size = Number::of(value).and_then(Number::to_i64);
    let size = size.filter(|size| (0..=i64::from(i32::MAX)).contains(size));
    size.ok_or_else(|| Error::invalid("$size must be a whole number from 0 to 2147483647"))
}

fn parse_mod(value: &Bson) -> Result<(i64, i64)> {
    let Bson::Array(parts) = value else {
        return Err(Error::invalid("$mod needs an array"));
    };
    let [divisor, remainder] = parts.as_slice() else {
        return Err(Error::invalid("$mod needs a divisor and a remainder"));
    };
    let whole = |value, name| {
        let number = Number::of(value).and_then(Number::truncate);
        number.ok_or_else(|| Error::invalid(format!("$mod: {name} must be a 64-bit number")))
    };
    match (
        whole(divisor, "the divisor")?,
        whole(remainder, "the remainder")?,
    ) {
        (0, _) => Err(Error::invalid("$mod: the divisor cannot be 0")),
        both => Ok(both),
    }
}

fn parse_not(value: &Bson, path: &str, depth: usize) -> Result<Vec<Pred>> {
    match value {
        Bson::RegularExpression(regex) => Ok(vec![Pred::Regex(pattern_of(regex)?)]),
        Bson::Document(inner) if inner.is_empty() => Err(Error::invalid("$not cannot be empty")),
        Bson::Document(inner) => parse_operators(inner, path, depth + 1),
        _ => Err(Error::invalid(
            "$not needs a regular expression or a document",
        )),
    }
}

fn parse_regex(operators: &Document, value: &Bson) -> Result<Pattern> {
    let options = match operators.get("$options") {
        None => None,
        Some(Bson::String(options)) => Some(options.as_str()),
        Some(_) => return Err(Error::invalid("$options has to be a string")),
    };
    match (value, options) {
        (Bson::String(pattern), options) => Pattern::new(pattern, options.unwrap_or_default()),
        (Bson::RegularExpression(regex), Some(_)) if !regex.options.as_str().is_empty() => {
            Err(Error::invalid("options set in both $regex and $options"))
        }
        (Bson::RegularExpression(regex), Some(options)) => {
            Pattern::new(regex.pattern.as_str(), options)
        }
        (Bson::RegularExpression(regex), None) => pattern_of(regex),
        _ => Err(Error::invalid("$regex has to be a string")),
    }
}

fn pattern_of(regex: &bson::Regex) -> Result<Pattern> {
    Pattern::new(regex.pattern.as_str(), regex.options.as_str())
}

//! Random filters.

use bson::{Bson, Document, Regex, doc};

use super::aggregation::expression;
use super::{World, path, value};
use crate::random::Random;

/// Patterns, right and wrong; MongoDB's are PCRE's.
const PATTERNS: &[&str] = &[
    "a",
    "^a",
    "b$",
    "^a$",
    "^$",
    "",
    "a.b",
    "A",
    "[ab]",
    "é",
    "É",
    "\\d",
    "\\w+",
    "a|b",
    "^(?!a)",
    "(?<=a)b",
    "(a)\\1",
    "(?i)A",
    "a*",
    "^ab?c?$",
    "\\bb",
    ".",
    "\\s",
    "日",
    "\u{1F600}",
    "a#b",
    "^.{2}$",
    "[[:alpha:]]",
    "a{1,2}",
    "\\x61",
    "(?<n>a)\\k<n>",
    "a++",
    "\\Aa",
    "a\\z",
    "b\\Z",
    "[",
    "(",
    "*",
    "\\",
    "a{2,1}",
];
const OPTIONS: &[&str] = &["", "", "", "i", "i", "m", "s", "x", "im", "is", "z"];
const TYPES: &[&str] = &[
    "double",
    "string",
    "object",
    "array",
    "binData",
    "undefined",
    "objectId",
    "bool",
    "date",
    "null",
    "regex",
    "dbPointer",
    "javascript",
    "symbol",
    "javascriptWithScope",
    "int",
    "timestamp",
    "long",
    "decimal",
    "minKey",
    "maxKey",
    "number",
    "missing",
    "Int",
];

/// A random filter over `world`, with at most `depth` levels of logic.
pub fn filter(random: &mut Random, world: &World, depth: usize) -> Document {
    let mut filter = Document::new();
    let clauses = match random.index(20) {
        0 => 0,
        1..13 => 1,
        13..18 => 2,
        _ => 3,
    };
    for _ in 0..clauses {
        let (name, condition) = clause(random, world, depth);
        filter.insert(name, condition);
    }
    filter
}

fn clause(random: &mut Random, world: &World, depth: usize) -> (String, Bson) {
    match random.index(100) {
        0..16 if depth > 0 => {
            let name = random.pick(&["$and", "$or", "$nor"]);
            let count = if random.chance(3) {
                0
            } else {
                1 + random.index(3)
            };
            let list = (0..count).map(|_| Bson::Document(filter(random, world, depth - 1)));
            let mut list = Bson::Array(list.collect());
            if random.chance(1) {
                list = value(random, 1);
            }
            (name.to_owned(), list)
        }
        16..21 => ("$expr".to_owned(), expression(random, world, 3)),
        21..22 => (
            (random.pick(&["$comment", "$unknown", "$not", "$eq", "$gt", "$alwaysTrue"]))
                .to_owned(),
            value(random, 1),
        ),
        22..52 => (path(random), equality(random, world)),
        _ => (
            path(random),
            Bson::Document(predicate(random, world, depth)),
        ),
    }
}

/// What a field may be said to be without an operator.
fn equality(random: &mut Random, world: &World) -> Bson {
    if random.chance(10) {
        return pattern(random);
    }
    let operand = world.operand(random);
    // A document whose first name has a dollar would be read as operators; those come elsewhere.
    match &operand {
        Bson::Document(fields) if fields.keys().any(|name| name.starts_with('$')) => Bson::Null,
        _ => operand,
    }
}

fn pattern(random: &mut Random) -> Bson {
    let text = |text: &str| bson::raw::CString::try_from(text).expect("the pools hold no NUL");
    Bson::RegularExpression(Regex {
        pattern: text(random.pick(PATTERNS)),
        options: text(random.pick(OPTIONS)),
    })
}

/// One or more operators on one path.
pub fn predicate(random: &mut Random, world: &World, depth: usize) -> Document {
    let mut predicate = Document::new();
    let operators = if random.chance(75) { 1 } else { 2 };
    for _ in 0..operators {
        operator(random, world, depth, &mut predicate);
    }
    predicate
}

fn operator(random: &mut Random, world: &World, depth: usize, into: &mut Document) {
    // Now and then an operand of any kind: most operators refuse most of them.
    let wrong = random.chance(3);
    let mut put = |name: &str, operand: Bson, random: &mut Random| {
        into.insert(name, if wrong { value(random, 2) } else { operand });
    };
    match random.index(100) {
        0..38 => {
            let name = random.pick(&["$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$gt", "$lt"]);
            let operand = world.operand(random);
            put(name, operand, random);
        }
        38..51 => {
            let name = random.pick(&["$in", "$in", "$nin"]);
            let count = random.index(4);
            let list = (0..count).map(|_| {
                if random.chance(12) {
                    pattern(random)
                } else {
                    world.operand(random)
                }
            });
            let list = Bson::Array(list.collect());
            put(name, list, random);
        }
        51..57 => {
            let operand = random.pick(&[
                Bson::Boolean(true),
                Bson::Boolean(false),
                Bson::Int32(1),
                Bson::Null,
            ]);
            put("$exists", operand, random);
        }
        57..63 => {
            let operand = types(random);
            put("$type", operand, random);
        }
        63..69 => regex(random, into),
        69..74 => {
            let operand = all(random, world, depth);
            put("$all", operand, random);
        }
        74..82 => {
            let operand = elem_match(random, world, depth);
            put("$elemMatch", Bson::Document(operand), random);
        }
        82..86 => {
            let size = random.index(4) as i32;
            let wrong = [
                Bson::Double(1.0),
                Bson::Double(1.5),
                Bson::Int32(-1),
                Bson::Int64(2),
            ];
            let operand = if random.chance(70) {
                Bson::Int32(size)
            } else {
                random.pick(&wrong)
            };
            put("$size", operand, random);
        }
        86..90 => {
            let operand = modulo(random);
            put("$mod", operand, random);
        }
        90..94 => {
            let name = random.pick(&[
                "$bitsAllSet",
                "$bitsAnySet",
                "$bitsAllClear",
                "$bitsAnyClear",
            ]);
            let operand = bits(random);
            put(name, operand, random);
        }
        94..99 if depth > 0 => {
            let operand = if random.chance(15) {
                pattern(random)
            } else {
                Bson::Document(self::predicate(random, world, depth - 1))
            };
            put("$not", operand, random);
        }
        _ => put(
            random.pick(&["$foo", "$eq", "$options", "b"]),
            Bson::Int32(1),
            random,
        ),
    }
}

fn types(random: &mut Random) -> Bson {
    let one = |random: &mut Random| match random.index(3) {
        0 => Bson::Int32(random.index(22) as i32 - 1),
        1 => random
            .pick(&[
                Bson::Int32(127),
                Bson::Double(2.0),
                Bson::Double(1.5),
                Bson::Int64(16),
            ])
            .clone(),
        _ => Bson::String((random.pick(TYPES)).to_owned()),
    };
    if random.chance(70) {
        return one(random);
    }
    Bson::Array((0..random.index(4)).map(|_| one(random)).collect())
}

fn regex(random: &mut Random, into: &mut Document) {
    let operand = if random.chance(80) {
        Bson::String((random.pick(PATTERNS)).to_owned())
    } else {
        pattern(random)
    };
    into.insert("$regex", operand);
    if random.chance(40) {
        into.insert("$options", random.pick(OPTIONS));
    }
}

fn all(random: &mut Random, world: &World, depth: usize) -> Bson {
    let items = (0..random.index(3)).map(|_| match random.index(12) {
        0 => pattern(random),
        1 => Bson::Document(doc! { "$elemMatch": elem_match(random, world, depth) }),
        _ => world.operand(random),
    });
    Bson::Array(items.collect())
}

fn elem_match(random: &mut Random, world: &World, depth: usize) -> Document {
    if random.chance(50) || depth == 0 {
        predicate(random, world, depth.saturating_sub(1))
    } else {
        filter(random, world, depth - 1)
    }
}

fn modulo(random: &mut Random) -> Bson {
    let decimal = |text: &str| Bson::Decimal128(text.parse().expect("a decimal"));
    let number = |random: &mut Random| match random.index(10) {
        8 => decimal(random.pick(&["1.5", "2.5", "-2.5", "0.4", "2"])),
        0 => Bson::Double(random.pick(&[2.5, -2.5, 0.5])),
        1 => Bson::Int64(3),
        2 => Bson::Int32(-2),
        3 => Bson::Double(f64::NAN),
        4 => Bson::Int32(0),
        _ => Bson::Int32(1 + random.index(4) as i32),
    };
    let count = if random.chance(92) {
        2
    } else {
        random.index(4)
    };
    Bson::Array((0..count).map(|_| number(random)).collect())
}

fn bits(random: &mut Random) -> Bson {
    match random.index(8) {
        0..3 => Bson::Int32(random.index(9) as i32),
        3 => Bson::Double(random.pick(&[2.0, 2.5, -1.0, 1e19])),
        4 => Bson::Int64(random.pick(&[1, -1, i64::MAX])),
        5 => Bson::Binary(bson::Binary {
            subtype: bson::spec::BinarySubtype::Generic,
            bytes: vec![random.index(256) as u8; random.index(3)],
        }),
        _ => {
            let positions = [0, 1, 2, 31, 62, 63, 64, 100, -1];
            let count = random.index(3);
            Bson::Array(
                (0..count)
                    .map(|_| Bson::Int32(random.pick(&positions)))
                    .collect(),
            )
        }
    }
}

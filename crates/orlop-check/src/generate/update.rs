//! Random updates.

use bson::{Bson, Document, doc};

use super::{World, expression, filter, path, predicate, value};
use crate::random::Random;

/// An update with what goes with it.
#[derive(Debug, Clone)]
pub struct UpdateCase {
    /// Operators, or a pipeline.
    pub update: Bson,
    /// The filters of `$[name]`.
    pub array_filters: Vec<Document>,
    /// Creates the document when none matches.
    pub upsert: bool,
}

/// A random update.
pub fn update(random: &mut Random, world: &World) -> UpdateCase {
    let upsert = random.chance(18);
    let update = match random.index(100) {
        0..8 => pipeline(random, world),
        _ => Bson::Document(operators(random, world)),
    };
    let array_filters = array_filters(random, world, &update);
    UpdateCase {
        update,
        array_filters,
        upsert,
    }
}

fn replacement(random: &mut Random) -> Document {
    let mut document = Document::new();
    for name in ["a", "b", "c"] {
        if random.chance(60) {
            document.insert(name, value(random, 2));
        }
    }
    document
}

fn pipeline(random: &mut Random, world: &World) -> Bson {
    // No stage sets what one before it may have removed: MongoDB keeps the place of such a field.
    let orders = [
        &["set"][..],
        &["set"],
        &["unset"],
        &["set", "unset"],
        &["replace", "set"],
        &["set", "replace"],
    ];
    let stages = random.pick(&orders).iter().map(|kind| match *kind {
        "set" => {
            let mut fields = Document::new();
            for _ in 0..=random.index(2) {
                fields.insert(path(random), expression(random, world, 2));
            }
            Bson::Document(doc! { random.pick(&["$set", "$addFields"]): fields })
        }
        "unset" => Bson::Document(doc! { "$unset": path(random) }),
        _ => Bson::Document(doc! { "$replaceWith": { "$literal": replacement(random) } }),
    });
    Bson::Array(stages.collect())
}

fn operators(random: &mut Random, world: &World) -> Document {
    let mut update = Document::new();
    for _ in 0..=random.index(10) / 7 {
        let (name, path, operand) = operator(random, world);
        let mut fields = match update.remove(name) {
            Some(Bson::Document(fields)) => fields,
            _ => Document::new(),
        };
        fields.insert(path, operand);
        if random.chance(12) {
            fields.insert(target(random), value(random, 1));
        }
        update.insert(name, fields);
    }
    if random.chance(1) {
        update.insert(random.pick(&["$foo", "a", "$set"]), value(random, 1));
    }
    update
}

/// A path to change: at times into every element, the matched one, or the filtered ones.
fn target(random: &mut Random) -> String {
    let base = path(random);
    match random.index(30) {
        0..3 => with_part(random, &base, "$[]"),
        3..6 => with_part(random, &base, "$"),
        6..9 => with_part(random, &base, "$[e]"),
        9 => with_part(random, &base, "$[f]"),
        _ => base,
    }
}

fn with_part(random: &mut Random, base: &str, part: &str) -> String {
    let mut parts: Vec<&str> = base.split('.').collect();
    let at = 1 + random.index(parts.len());
    parts.insert(at, part);
    parts.join(".")
}

fn operator(random: &mut Random, world: &World) -> (&'static str, String, Bson) {
    let path = target(random);
    let (name, operand) = match random.index(100) {
        0..18 => ("$set", world.operand(random)),
        18..24 => ("$unset", Bson::String(String::new())),
        24..33 => ("$inc", number(random, world)),
        33..39 => ("$mul", number(random, world)),
        39..46 => (random.pick(&["$min", "$max"]), world.operand(random)),
        46..50 => ("$bit", bit(random)),
        50..63 => ("$push", push(random, world)),
        63..70 => ("$addToSet", add_to_set(random, world)),
        70..78 => ("$pull", pull(random, world)),
        78..82 => {
            let list = (0..random.index(3))
                .map(|_| world.operand(random))
                .collect();
            ("$pullAll", Bson::Array(list))
        }
        82..87 => {
            let end = [
                Bson::Int32(1),
                Bson::Int32(-1),
                Bson::Double(1.0),
                Bson::Int32(2),
            ];
            let at = if random.chance(90) {
                random.index(2)
            } else {
                random.index(4)
            };
            ("$pop", end[at].clone())
        }
        87..92 => ("$rename", Bson::String(self::target(random))),
        92..95 => ("$currentDate", current_date(random)),
        _ => ("$setOnInsert", world.operand(random)),
    };
    let operand = if random.chance(2) {
        value(random, 2)
    } else {
        operand
    };
    (name, path, operand)
}

fn number(random: &mut Random, world: &World) -> Bson {
    for _ in 0..20 {
        let operand = world.operand(random);
        if matches!(
            operand,
            Bson::Int32(_) | Bson::Int64(_) | Bson::Double(_) | Bson::Decimal128(_)
        ) {
            return operand;
        }
    }
    Bson::Int32(1)
}

fn bit(random: &mut Random) -> Bson {
    let mut operand = Document::new();
    for _ in 0..=random.index(8) / 7 {
        let number = if random.chance(50) {
            Bson::Int32(random.index(16) as i32)
        } else {
            Bson::Int64(random.pick(&[1, -1, 1 << 40]))
        };
        operand.insert(random.pick(&["and", "or", "xor"]), number);
    }
    Bson::Document(operand)
}

fn push(random: &mut Random, world: &World) -> Bson {
    if random.chance(45) {
        return world.operand(random);
    }
    let items = (0..random.index(4))
        .map(|_| world.operand(random))
        .collect();
    let mut operand = doc! { "$each": Bson::Array(items) };
    let number = |random: &mut Random| Bson::Int32(random.index(7) as i32 - 3);
    if random.chance(40) {
        operand.insert("$slice", number(random));
    }
    if random.chance(40) {
        let way = if random.chance(50) { 1 } else { -1 };
        let sort = match random.index(10) {
            0..5 => Bson::Int32(way),
            5..9 => Bson::Document(doc! { path(random): way }),
            _ => value(random, 1),
        };
        operand.insert("$sort", sort);
    }
    if random.chance(30) {
        operand.insert("$position", number(random));
    }
    Bson::Document(operand)
}

fn add_to_set(random: &mut Random, world: &World) -> Bson {
    if random.chance(60) {
        return world.operand(random);
    }
    let items = (0..random.index(4))
        .map(|_| world.operand(random))
        .collect();
    Bson::Document(doc! { "$each": Bson::Array(items) })
}

fn pull(random: &mut Random, world: &World) -> Bson {
    match random.index(3) {
        0 => world.operand(random),
        1 => Bson::Document(predicate(random, world, 1)),
        _ => Bson::Document(filter(random, world, 1)),
    }
}

fn current_date(random: &mut Random) -> Bson {
    match random.index(4) {
        0 => Bson::Boolean(true),
        1 => Bson::Document(doc! { "$type": "date" }),
        2 => Bson::Document(doc! { "$type": "timestamp" }),
        _ => Bson::Boolean(false),
    }
}

/// Filters for the names that `update` uses; seldom one too few or too many.
fn array_filters(random: &mut Random, world: &World, update: &Bson) -> Vec<Document> {
    let text = update.to_string();
    let mut filters = Vec::new();
    for name in ["e", "f"] {
        let used = text.contains(&format!("$[{name}]"));
        if used != random.chance(2) {
            filters.push(array_filter(random, world, name));
        }
    }
    filters
}

fn array_filter(random: &mut Random, world: &World, name: &str) -> Document {
    let path = if random.chance(50) {
        name.to_owned()
    } else {
        format!("{name}.{}", path(random))
    };
    let condition = if random.chance(40) {
        world.operand(random)
    } else {
        Bson::Document(predicate(random, world, 1))
    };
    doc! { path: condition }
}

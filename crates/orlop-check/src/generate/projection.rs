//! Random projections and sorts.

use bson::{Bson, Document, doc};

use super::{World, filter, path, predicate, value};
use crate::random::Random;

/// A random sort of one or two keys; seldom none, or a wrong one.
pub fn sort(random: &mut Random) -> Document {
    let mut sort = Document::new();
    let decimal = |text: &str| Bson::Decimal128(text.parse().expect("a decimal"));
    let keys = match random.index(12) {
        0 => 0,
        1..8 => 1,
        _ => 2,
    };
    for _ in 0..keys {
        let way = match random.index(60) {
            0 => value(random, 1),
            1 => Bson::Double(random.pick(&[-1.0, 1.5, -1.9, 0.9])),
            3 => decimal(random.pick(&["1", "-1", "1.5", "0.9", "-1.4"])),
            2 => Bson::Int64(1),
            number => Bson::Int32(if number % 2 == 0 { 1 } else { -1 }),
        };
        sort.insert(path(random), way);
    }
    sort
}

/// A random projection.
pub fn projection(random: &mut Random, world: &World) -> Document {
    let include = random.chance(55);
    let mut projection = Document::new();
    if random.chance(25) {
        projection.insert("_id", flag(random, false));
    }
    for _ in 0..random.index(4) {
        // Mixing the two is refused, but for `_id`.
        let way = if random.chance(3) { !include } else { include };
        let value = match random.index(20) {
            0..2 => slice(random),
            2..4 => Bson::Document(doc! { "$elemMatch": element(random, world) }),
            4 => Bson::Document(nested(random, way, 2)),
            _ => flag(random, way),
        };
        projection.insert(path(random), value);
    }
    if random.chance(8) {
        projection.insert(
            format!("{}.$", random.pick(&["a", "b", "d", "a.b", "d.a"])),
            1,
        );
    }
    projection
}

fn flag(random: &mut Random, way: bool) -> Bson {
    let yes = [
        Bson::Int32(1),
        Bson::Boolean(true),
        Bson::Double(2.5),
        Bson::Int64(1),
    ];
    let no = [
        Bson::Int32(0),
        Bson::Boolean(false),
        Bson::Double(-0.0),
        Bson::Int64(0),
    ];
    random.pick(if way { &yes } else { &no })
}

fn nested(random: &mut Random, way: bool, depth: usize) -> Document {
    let mut fields = Document::new();
    for _ in 0..=random.index(2) {
        let value = if depth > 0 && random.chance(30) {
            Bson::Document(nested(random, way, depth - 1))
        } else {
            flag(random, way)
        };
        fields.insert(path(random), value);
    }
    fields
}

fn slice(random: &mut Random) -> Bson {
    let number = |random: &mut Random| Bson::Int32(random.index(7) as i32 - 3);
    let operand = match random.index(12) {
        0..6 => number(random),
        6..10 => Bson::Array(vec![number(random), number(random)]),
        10 => Bson::Double(1.5),
        _ => value(random, 1),
    };
    Bson::Document(doc! { "$slice": operand })
}

fn element(random: &mut Random, world: &World) -> Document {
    if random.chance(50) {
        predicate(random, world, 1)
    } else {
        filter(random, world, 1)
    }
}

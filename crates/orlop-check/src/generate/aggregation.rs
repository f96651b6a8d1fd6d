//! Random expressions of `$expr` and of update pipelines: comparison, boolean, arithmetic.

use bson::{Bson, Document, doc};

use super::{World, path};
use crate::random::Random;

/// A random expression with at most `depth` levels.
pub fn expression(random: &mut Random, world: &World, depth: usize) -> Bson {
    if depth == 0 || random.chance(20) {
        return leaf(random, world);
    }
    let operands = |random: &mut Random, count: usize| {
        Bson::Array(
            (0..count)
                .map(|_| expression(random, world, depth - 1))
                .collect(),
        )
    };
    let (name, operand) = match random.index(100) {
        0..40 => {
            let name = random.pick(&["$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$cmp"]);
            let count = if random.chance(2) { 1 } else { 2 };
            (name, operands(random, count))
        }
        40..60 => {
            let name = random.pick(&["$and", "$or"]);
            let count = random.index(4);
            (name, operands(random, count))
        }
        60..68 => ("$not", operands(random, 1)),
        68..80 => {
            let name = random.pick(&["$add", "$multiply"]);
            let count = random.index(4);
            (name, operands(random, count))
        }
        80..92 => {
            let name = random.pick(&["$subtract", "$subtract", "$divide", "$mod"]);
            (name, operands(random, 2))
        }
        92..98 => {
            let name = random.pick(&["$abs", "$ceil", "$floor"]);
            (name, expression(random, world, depth - 1))
        }
        _ => ("$unknownOperator", Bson::Int32(1)),
    };
    let mut operator = Document::new();
    operator.insert(name, operand);
    Bson::Document(operator)
}

fn leaf(random: &mut Random, world: &World) -> Bson {
    if random.chance(60) {
        return Bson::String(format!("${}", path(random)));
    }
    match world.operand(random) {
        // Read as a path or an operator otherwise.
        operand @ (Bson::String(_) | Bson::Document(_) | Bson::Array(_)) => {
            Bson::Document(doc! { "$literal": operand })
        }
        operand => operand,
    }
}

//! The hash of a query. Equal queries hash alike; what hashes alike is compared before it is used.

use std::fmt::{self, Write};
use std::hash::{Hash, Hasher};
use std::mem::discriminant;

use bson::Bson;

use crate::document::Direction;
use crate::engine::Query;
use crate::query::{ElemMatch, Expr, Pattern, Pred};

/// A multiplier with its bits well spread.
///
/// # Source
/// The fractional part of the golden ratio, as in Fibonacci hashing (Knuth, volume 3, 6.4).
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;

/// The hash of a query of the collection whose hash is `seed`; `also` tells apart what is derived
/// from one query.
pub(super) fn query_hash(seed: u64, query: &Query, also: &str) -> u64 {
    let mut hash = Fold(seed);
    expr(&query.filter, &mut hash);
    hash.write_usize(query.sort.keys.len());
    for (path, direction) in &query.sort.keys {
        text(path, &mut hash);
        hash.write_u8(u8::from(*direction == Direction::Descending));
    }
    if let Some(projection) = &query.projection {
        debug(projection, &mut hash);
    }
    hash.write_u64(query.skip);
    hash.write_u64(query.limit.map_or(u64::MAX, |limit| limit));
    if let Some(after) = &query.after {
        hash.write_usize(after.len());
        after.iter().for_each(|value| bson(value, &mut hash));
    }
    text(also, &mut hash);
    hash.finish()
}

fn expr(filter: &Expr, hash: &mut Fold) {
    discriminant(filter).hash(hash);
    match filter {
        Expr::All => {}
        Expr::And(parts) | Expr::Or(parts) | Expr::Nor(parts) => {
            hash.write_usize(parts.len());
            parts.iter().for_each(|part| expr(part, hash));
        }
        Expr::Field(path, condition) => {
            text(path, hash);
            pred(condition, hash);
        }
        // Rare: what is not looked into here is told apart by its readable form.
        other => debug(other, hash),
    }
}

fn pred(condition: &Pred, hash: &mut Fold) {
    discriminant(condition).hash(hash);
    match condition {
        Pred::Eq(value)
        | Pred::Ne(value)
        | Pred::Gt(value)
        | Pred::Gte(value)
        | Pred::Lt(value)
        | Pred::Lte(value) => bson(value, hash),
        Pred::In(values, patterns) | Pred::Nin(values, patterns) => {
            hash.write_usize(values.len());
            values.iter().for_each(|value| bson(value, hash));
            patterns.iter().for_each(|each| pattern(each, hash));
        }
        Pred::Exists(wanted) => hash.write_u8(u8::from(*wanted)),
        Pred::Regex(each) => pattern(each, hash),
        Pred::All(parts) | Pred::Not(parts) => {
            hash.write_usize(parts.len());
            parts.iter().for_each(|part| pred(part, hash));
        }
        Pred::ElemMatch(ElemMatch::Document(part)) => expr(part, hash),
        Pred::ElemMatch(ElemMatch::Value(parts)) => {
            parts.iter().for_each(|part| pred(part, hash));
        }
        other => debug(other, hash),
    }
}

fn pattern(pattern: &Pattern, hash: &mut Fold) {
    text(&pattern.pattern, hash);
    text(&pattern.options, hash);
}

fn bson(value: &Bson, hash: &mut Fold) {
    hash.write_u8(value.element_type() as u8);
    match value {
        Bson::String(value) => text(value, hash),
        Bson::ObjectId(id) => hash.write(&id.bytes()),
        Bson::Int32(value) => hash.write_i32(*value),
        Bson::Int64(value) => hash.write_i64(*value),
        // Zeros are equal whatever their sign.
        Bson::Double(value) => hash.write_u64((value + 0.0).to_bits()),
        Bson::Boolean(value) => hash.write_u8(u8::from(*value)),
        Bson::DateTime(value) => hash.write_i64(value.timestamp_millis()),
        Bson::Null | Bson::Undefined | Bson::MinKey | Bson::MaxKey => {}
        Bson::Array(values) => {
            hash.write_usize(values.len());
            values.iter().for_each(|value| bson(value, hash));
        }
        Bson::Document(document) => {
            hash.write_usize(document.len());
            for (name, value) in document {
                text(name, hash);
                bson(value, hash);
            }
        }
        other => debug(other, hash),
    }
}

fn text(text: &str, hash: &mut Fold) {
    hash.write_usize(text.len());
    hash.write(text.as_bytes());
}

fn debug(value: &impl fmt::Debug, hash: &mut Fold) {
    // Writing to a hash does not fail.
    let _ = write!(Readable(hash), "{value:?}");
}

struct Readable<'a>(&'a mut Fold);

impl Write for Readable<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

/// Folds words by multiplying. Fast for the short values of a filter.
struct Fold(u64);

impl Hasher for Fold {
    fn finish(&self) -> u64 {
        // All bits must count: the map takes its place from some and its tag from others.
        let mixed = (self.0 ^ (self.0 >> 32)).wrapping_mul(SPREAD);
        mixed ^ (mixed >> 29)
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, byte: u8) {
        self.write_u64(u64::from(byte));
    }

    fn write_i32(&mut self, word: i32) {
        self.write_u64(word as u64);
    }

    fn write_i64(&mut self, word: i64) {
        self.write_u64(word as u64);
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(SPREAD);
    }
}

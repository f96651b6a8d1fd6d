//! From the tree back to MongoDB's filter syntax.

use bson::{Bson, Document, doc};

use crate::query::{ElemMatch, Expr, Pattern, Pred};

impl Expr {
    /// The filter in MongoDB's syntax; [`Expr::parse`] of it means the same, and is the same tree
    /// when this one was parsed.
    pub fn to_document(&self) -> Document {
        match self {
            Self::All => Document::new(),
            Self::And(parts) if parts.is_empty() => Document::new(),
            // An empty `$or` is false, an empty `$nor` true; MongoDB has no words for either.
            Self::Or(parts) if parts.is_empty() => doc! { "$nor": [{}] },
            Self::Nor(parts) if parts.is_empty() => Document::new(),
            Self::And(parts) => and(parts),
            Self::Or(parts) => doc! { "$or": list(parts) },
            Self::Nor(parts) => doc! { "$nor": list(parts) },
            Self::Field(path, pred) => {
                doc! { path.as_ref(): operators(std::slice::from_ref(pred)) }
            }
            Self::Aggregation(expression) => doc! { "$expr": expression.0.clone() },
        }
    }
}

fn list(parts: &[Expr]) -> Vec<Document> {
    parts.iter().map(Expr::to_document).collect()
}

/// A plain document when its names do not meet, else `$and`.
fn and(parts: &[Expr]) -> Document {
    let mut plain = Document::new();
    for part in parts {
        let Expr::Field(path, pred) = part else {
            return doc! { "$and": list(parts) };
        };
        if plain.contains_key(path.as_ref()) {
            return doc! { "$and": list(parts) };
        }
        plain.insert(path.as_ref(), operators(std::slice::from_ref(pred)));
    }
    // One part alone would be read as that part.
    if parts.len() == 1 {
        doc! { "$and": list(parts) }
    } else {
        plain
    }
}

fn operators(preds: &[Pred]) -> Document {
    let mut operators = Document::new();
    for pred in preds {
        if let Pred::Regex(pattern) = pred {
            operators.insert("$regex", &pattern.pattern);
            if !pattern.options.is_empty() {
                operators.insert("$options", &pattern.options);
            }
            continue;
        }
        let (name, value) = operator(pred);
        operators.insert(name, value);
    }
    operators
}

fn operator(pred: &Pred) -> (&'static str, Bson) {
    match pred {
        Pred::Eq(value) => ("$eq", value.clone()),
        Pred::Ne(value) => ("$ne", value.clone()),
        Pred::Gt(value) => ("$gt", value.clone()),
        Pred::Gte(value) => ("$gte", value.clone()),
        Pred::Lt(value) => ("$lt", value.clone()),
        Pred::Lte(value) => ("$lte", value.clone()),
        Pred::In(values, patterns) => ("$in", one_of(values, patterns)),
        Pred::Nin(values, patterns) => ("$nin", one_of(values, patterns)),
        Pred::Exists(exists) => ("$exists", (*exists).into()),
        Pred::Type(codes) => ("$type", codes.clone().into()),
        // `operators` writes it with its options.
        Pred::Regex(pattern) => ("$regex", regex(pattern)),
        Pred::All(preds) => ("$all", Bson::Array(preds.iter().map(all_entry).collect())),
        Pred::ElemMatch(ElemMatch::Document(inner)) => ("$elemMatch", inner.to_document().into()),
        Pred::ElemMatch(ElemMatch::Value(preds)) => ("$elemMatch", operators(preds).into()),
        Pred::Size(size) => ("$size", (*size).into()),
        Pred::Mod(divisor, remainder) => (
            "$mod",
            Bson::Array(vec![(*divisor).into(), (*remainder).into()]),
        ),
        Pred::BitsAllSet(bits) => ("$bitsAllSet", positions(bits)),
        Pred::BitsAnySet(bits) => ("$bitsAnySet", positions(bits)),
        Pred::BitsAllClear(bits) => ("$bitsAllClear", positions(bits)),
        Pred::BitsAnyClear(bits) => ("$bitsAnyClear", positions(bits)),
        Pred::Not(preds) => ("$not", operators(preds).into()),
    }
}

fn all_entry(pred: &Pred) -> Bson {
    match pred {
        Pred::Eq(value) => value.clone(),
        Pred::Regex(pattern) => regex(pattern),
        pred => operators(std::slice::from_ref(pred)).into(),
    }
}

fn one_of(values: &[Bson], patterns: &[Pattern]) -> Bson {
    Bson::Array(
        values
            .iter()
            .cloned()
            .chain(patterns.iter().map(regex))
            .collect(),
    )
}

fn regex(pattern: &Pattern) -> Bson {
    let parts = (
        pattern.pattern.clone().try_into(),
        pattern.options.clone().try_into(),
    );
    match parts {
        (Ok(pattern), Ok(options)) => Bson::RegularExpression(bson::Regex { pattern, options }),
        // A pattern with a NUL was refused where it was made.
        _ => Bson::Null,
    }
}

fn positions(bits: &[u64]) -> Bson {
    let position = |bit: &u64| Bson::Int64(i64::try_from(*bit).unwrap_or(i64::MAX));
    Bson::Array(bits.iter().map(position).collect())
}

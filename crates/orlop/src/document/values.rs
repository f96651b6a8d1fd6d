//! The values of fields that are not the user's own: scalars, options, arrays, maps.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::hash::Hash;

use bson::oid::ObjectId;
use bson::{Bson, Decimal128, Document, doc};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::field::{Array, Field, OptField};
use super::misfit::{expected, within};
use super::value::{Nullable, Number, Ordered, Seed, Text, Value, Whole};
use super::{Date, Id, Key, Revision, Shape, Timestamp};
use crate::{FieldError, Result};

/// A scalar with this schema; `expected` names it in messages.
macro_rules! scalar {
    ($type:ty, $expected:literal, $schema:expr $(, $marker:ident)*) => {
        impl Value for $type {
            type Field<R> = Field<R, Self>;
            fn schema() -> Document {
                $schema
            }
            fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::deserialize(deserializer)
                    .map_err(|_| expected(concat!($expected, " was expected")))
            }
        }
        $(impl $marker for $type {})*
    };
}

scalar!(bool, "a boolean", doc! {"bsonType": "bool"});
scalar!(
    String,
    "a string",
    doc! {"bsonType": "string"},
    Ordered,
    Text
);
scalar!(
    ObjectId,
    "an ObjectId",
    doc! {"bsonType": "objectId"},
    Ordered
);
scalar!(bson::Uuid, "a UUID", doc! {"bsonType": "binData"}, Ordered);
scalar!(Timestamp, "a date", doc! {"bsonType": "date"}, Ordered);
scalar!(bson::DateTime, "a date", doc! {"bsonType": "date"}, Ordered);
scalar!(
    Date,
    "a day such as 2023-06-15",
    doc! {"bsonType": "string", "format": "date"},
    Ordered
);
scalar!(bson::Binary, "bytes", doc! {"bsonType": "binData"});
scalar!(Document, "an object", doc! {"bsonType": "object"});
scalar!(Bson, "a value", doc! {});
scalar!(
    f64,
    "a number",
    doc! {"bsonType": ["double", "int", "long"]},
    Ordered,
    Number
);
scalar!(
    f32,
    "a number",
    doc! {"bsonType": ["double", "int", "long"]},
    Ordered,
    Number
);

/// Mongoose writes whole numbers beyond 32 bits as doubles, so a whole double is one too.
fn whole_schema(min: i64, max: i64) -> Document {
    doc! {"bsonType": ["int", "long", "double"], "multipleOf": 1, "minimum": min, "maximum": max}
}

/// A whole number, from any number type that holds one without loss.
macro_rules! whole {
    ($type:ty, $max:expr) => {
        impl Value for $type {
            type Field<R> = Field<R, Self>;
            fn schema() -> Document {
                whole_schema(i64::try_from(<$type>::MIN).unwrap_or(i64::MIN), $max)
            }
            fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let refused = || expected("a whole number that fits was expected");
                let whole = deserializer
                    .deserialize_any(WholeVisitor)
                    .map_err(|_| refused())?;
                Self::try_from(whole).map_err(|_| refused())
            }
        }
        impl Ordered for $type {}
        impl Number for $type {}
        impl Whole for $type {}
    };
}

whole!(i64, i64::MAX);
whole!(i32, i64::from(i32::MAX));
whole!(u32, i64::from(u32::MAX));
whole!(u16, i64::from(u16::MAX));
// BSON has no unsigned 64-bit integer: a larger one is refused when it is written.
whole!(u64, i64::MAX);

struct WholeVisitor;

impl<'de> Visitor<'de> for WholeVisitor {
    type Value = i64;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number")
    }
    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<i64, E> {
        Ok(number)
    }
    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<i64, E> {
        i64::try_from(number).map_err(|_| E::custom("too large"))
    }
    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<i64, E> {
        // Doubles of this size are whole; the largest i64 rounds up to 2^63, which does not fit.
        let fits = number.fract() == 0.0 && (-(2_f64.powi(63))..2_f64.powi(63)).contains(&number);
        if fits {
            Ok(number as i64)
        } else {
            Err(E::custom("not a whole number"))
        }
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<i64, A::Error> {
        // Canonical Extended JSON: {"$numberLong": "1"}.
        match Bson::deserialize(serde::de::value::MapAccessDeserializer::new(map))? {
            Bson::Int64(number) => Ok(number),
            Bson::Int32(number) => Ok(i64::from(number)),
            Bson::Double(number) => self.visit_f64(number),
            _ => Err(A::Error::custom("not a whole number")),
        }
    }
}

impl Value for Decimal128 {
    type Field<R> = Field<R, Self>;
    fn schema() -> Document {
        doc! {"bsonType": ["decimal", "double", "int", "long"]}
    }
    /// Reads any number; a double through its shortest decimal form.
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match Bson::deserialize(deserializer) {
            Ok(Bson::Decimal128(number)) => return Ok(number),
            Ok(Bson::Int32(number)) => number.to_string(),
            Ok(Bson::Int64(number)) => number.to_string(),
            Ok(Bson::Double(number)) => number.to_string(),
            Ok(Bson::String(text)) => text,
            _ => String::new(),
        };
        text.parse().map_err(|_| expected("a number was expected"))
    }
}
impl Ordered for Decimal128 {}
impl Number for Decimal128 {}

impl Value for Revision {
    type Field<R> = Field<R, Self>;
    fn schema() -> Document {
        doc! {"bsonType": ["long", "int"]}
    }
}
impl Ordered for Revision {}

impl<T: 'static, K: Key> Value for Id<T, K> {
    type Field<R> = Field<R, Self>;
    fn schema() -> Document {
        match K::BSON_TYPE {
            // 1, 1.0 and a 64-bit 1 are one id.
            "long" | "int" => doc! {"bsonType": ["int", "long", "double"]},
            name => doc! {"bsonType": name},
        }
    }
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        K::read(deserializer)
            .map(Self::from_key)
            .map_err(|_| expected(&format!("an id of type {} was expected", K::BSON_TYPE)))
    }
}
impl<T: 'static, K: Key> Ordered for Id<T, K> {}

impl<T: Value> Value for Option<T> {
    type Field<R> = OptField<R, T>;
    const NESTED: Option<fn() -> &'static Shape> = T::NESTED;
    fn schema() -> Document {
        nullable(T::schema())
    }
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Maybe<T>(std::marker::PhantomData<T>);
        impl<'de, T: Value> Visitor<'de> for Maybe<T> {
            type Value = Option<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value or null")
            }
            fn visit_none<E>(self) -> Result<Option<T>, E> {
                Ok(None)
            }
            fn visit_unit<E>(self) -> Result<Option<T>, E> {
                Ok(None)
            }
            fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<Option<T>, D::Error> {
                T::read(inner).map(Some)
            }
        }
        deserializer.deserialize_option(Maybe(std::marker::PhantomData))
    }
    fn missing() -> Option<Self> {
        Some(None)
    }
    fn is_absent(&self) -> bool {
        self.is_none()
    }
    fn sensitive(path: &str, sensitive: &mut Vec<String>) {
        T::sensitive(path, sensitive);
    }
    fn check(&self, path: &str, errors: &mut Vec<FieldError>) {
        if let Some(inner) = self {
            inner.check(path, errors);
        }
    }
}
impl<T: Value> Nullable for Option<T> {}

/// The schema that takes null too.
fn nullable(mut schema: Document) -> Document {
    let types = match schema.get("bsonType") {
        Some(Bson::String(one)) => vec![Bson::from(one.clone())],
        Some(Bson::Array(many)) => many.clone(),
        _ if schema.is_empty() => return schema,
        _ => return doc! {"anyOf": [schema, {"bsonType": "null"}]},
    };
    let types: Vec<_> = types.into_iter().chain([Bson::from("null")]).collect();
    schema.insert("bsonType", types);
    if let Some(Bson::Array(values)) = schema.get_mut("enum") {
        values.push(Bson::Null);
    }
    schema
}

impl<T: Value> Value for Box<T> {
    type Field<R> = T::Field<R>;
    const NESTED: Option<fn() -> &'static Shape> = T::NESTED;
    fn schema() -> Document {
        T::schema()
    }
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::read(deserializer).map(Box::new)
    }
    fn missing() -> Option<Self> {
        T::missing().map(Box::new)
    }
    fn is_absent(&self) -> bool {
        T::is_absent(self)
    }
    fn defaults(path: &str, defaults: &mut Document) {
        T::defaults(path, defaults);
    }
    fn sensitive(path: &str, sensitive: &mut Vec<String>) {
        T::sensitive(path, sensitive);
    }
    fn check(&self, path: &str, errors: &mut Vec<FieldError>) {
        T::check(self, path, errors);
    }
}

/// An array type; `unique` ones say so in the schema.
macro_rules! array {
    ($type:ty, $unique:literal $(, $bound:ident)*) => {
        impl<T: Value $(+ $bound)*> Value for $type {
            type Field<R> = Array<R, T>;
            const NESTED: Option<fn() -> &'static Shape> = T::NESTED;
            fn schema() -> Document {
                let mut schema = doc! {"bsonType": "array", "items": T::schema()};
                if $unique {
                    schema.insert("uniqueItems", true);
                }
                schema
            }
            fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                elements::<T, D>(deserializer).map(|all| all.into_iter().collect())
            }
            fn sensitive(path: &str, sensitive: &mut Vec<String>) {
                T::sensitive(path, sensitive);
            }
            fn check(&self, path: &str, errors: &mut Vec<FieldError>) {
                for (at, element) in self.iter().enumerate() {
                    element.check(&format!("{path}[{at}]"), errors);
                }
            }
        }
        impl<T: Value $(+ $bound)*> Nullable for $type {}
    };
}

array!(Vec<T>, false);
array!(BTreeSet<T>, true, Ord);
array!(HashSet<T>, true, Eq, Hash);

fn elements<'de, T: Value, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    struct Elements<T>(std::marker::PhantomData<T>);
    impl<'de, T: Value> Visitor<'de> for Elements<T> {
        type Value = Vec<T>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array")
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
            let mut all = Vec::with_capacity(seq.size_hint().unwrap_or(0).min(1024));
            loop {
                match seq.next_element_seed(Seed::<T>::default()) {
                    Ok(Some(element)) => all.push(element),
                    Ok(None) => return Ok(all),
                    Err(error) => {
                        return Err(within(&format!("[{}]", all.len()), &error));
                    }
                }
            }
        }
    }
    deserializer.deserialize_seq(Elements(std::marker::PhantomData))
}

/// An object with any names and values of one type.
macro_rules! map {
    ($type:ty, $new:expr) => {
        impl<T: Value> Value for $type {
            type Field<R> = Field<R, Self>;
            fn schema() -> Document {
                doc! {"bsonType": "object", "additionalProperties": T::schema()}
            }
            fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Entries<T>(std::marker::PhantomData<T>);
                impl<'de, T: Value> Visitor<'de> for Entries<T> {
                    type Value = $type;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("an object")
                    }
                    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<$type, A::Error> {
                        let mut all: $type = $new;
                        while let Some(name) = map.next_key::<String>()? {
                            let value = map
                                .next_value_seed(Seed::<T>::default())
                                .map_err(|error| within(&name, &error))?;
                            all.insert(name, value);
                        }
                        Ok(all)
                    }
                }
                deserializer.deserialize_map(Entries(std::marker::PhantomData))
            }
        }
    };
}

map!(BTreeMap<String, T>, BTreeMap::new());
map!(HashMap<String, T>, HashMap::new());

//! Random values and documents.

use bson::oid::ObjectId;
use bson::spec::BinarySubtype;
use bson::{
    Binary, Bson, DateTime, Decimal128, Document, JavaScriptCodeWithScope, Regex, Timestamp,
};

use crate::random::Random;

const NAMES: &[&str] = &["a", "b", "c", "d"];
const DOUBLES: &[f64] = &[
    f64::NAN,
    -0.0,
    0.0,
    f64::INFINITY,
    f64::NEG_INFINITY,
    1.5,
    -1.5,
    0.1,
    2.0,
    1e308,
    5e-324,
    9_007_199_254_740_992.0,
    -9_223_372_036_854_775_808.0,
    9_223_372_036_854_775_808.0,
    2_147_483_648.0,
];
const LONGS: &[i64] = &[
    0,
    1,
    2,
    -1,
    5,
    i64::MAX,
    i64::MIN,
    9_007_199_254_740_992,
    9_007_199_254_740_993,
    2_147_483_647,
    2_147_483_648,
];
const INTS: &[i32] = &[i32::MAX, i32::MIN, 100, -100, 7, 255];
const DECIMALS: &[&str] = &[
    "0",
    "-0",
    "1",
    "1.0",
    "1.50",
    "-1.5",
    "NaN",
    "Infinity",
    "-Infinity",
    "1E+3",
    "0.1",
    "2",
    "9007199254740993",
    "1E-6176",
    "9.999999999999999999999999999999999E+6144",
    "0E+3",
];
const STRINGS: &[&str] = &[
    "",
    "a",
    "b",
    "ab",
    "abc",
    "A",
    "B",
    "aa",
    "0",
    "1",
    "a.b",
    "$a",
    "a\nb",
    "a\n",
    "\0",
    "a\0b",
    "é",
    "e\u{301}",
    "É",
    "\u{1F600}",
    "\u{10FFFF}",
    "ß",
    "日本",
    " a",
    "b b",
    "\u{FEFF}a",
    "zebra",
    "10",
    "9",
];

/// Documents of one collection, and every value in them.
#[derive(Debug, Clone)]
pub struct World {
    /// The documents; `_id` is first, and their order.
    pub documents: Vec<Document>,
    pool: Vec<Bson>,
}

impl World {
    /// Up to `count` random documents.
    pub fn new(random: &mut Random, count: usize) -> Self {
        let documents = (0..random.index(count + 1))
            .map(|number| root(random, number))
            .collect();
        Self::of(documents)
    }

    /// The world of these documents.
    pub fn of(documents: Vec<Document>) -> Self {
        let mut pool = Vec::new();
        for document in &documents {
            for (_, value) in document {
                gather(value, &mut pool);
            }
        }
        Self { documents, pool }
    }

    /// A value to compare with: mostly one that is there.
    pub fn operand(&self, random: &mut Random) -> Bson {
        if !self.pool.is_empty() && random.chance(65) {
            random.pick(&self.pool)
        } else {
            value(random, 2)
        }
    }
}

fn gather(value: &Bson, pool: &mut Vec<Bson>) {
    pool.push(value.clone());
    match value {
        Bson::Array(items) => items.iter().for_each(|item| gather(item, pool)),
        Bson::Document(fields) => fields.values().for_each(|field| gather(field, pool)),
        _ => {}
    }
}

fn root(random: &mut Random, number: usize) -> Document {
    let mut document = Document::new();
    document.insert("_id", id(random, number));
    for name in NAMES {
        if random.chance(72) {
            document.insert(*name, value(random, 3));
        }
    }
    document
}

/// Ids of one world differ, and ascend within a type.
fn id(random: &mut Random, number: usize) -> Bson {
    let whole = i32::try_from(number).expect("worlds are small");
    match random.index(12) {
        0 => Bson::Int64(i64::from(whole)),
        1 => Bson::String(format!("k{number:03}")),
        2 => Bson::Document(bson::doc! { "k": whole }),
        _ => Bson::Int32(whole),
    }
}

/// A random value with at most `depth` levels of arrays and documents.
pub fn value(random: &mut Random, depth: usize) -> Bson {
    if depth == 0 {
        return scalar(random);
    }
    match random.index(100) {
        0..20 => {
            let uniform = random.chance(40);
            let items = (0..random.index(5)).map(|_| {
                if uniform {
                    Bson::Document(nested(random, depth - 1))
                } else {
                    value(random, depth - 1)
                }
            });
            Bson::Array(items.collect())
        }
        20..42 => Bson::Document(nested(random, depth - 1)),
        _ => scalar(random),
    }
}

fn nested(random: &mut Random, depth: usize) -> Document {
    let mut document = Document::new();
    for _ in 0..random.index(4) {
        let name = match random.index(20) {
            0 => "0",
            1 => "1",
            _ => random.pick(NAMES),
        };
        document.insert(name, value(random, depth));
    }
    document
}

fn scalar(random: &mut Random) -> Bson {
    match random.index(100) {
        0..26 => Bson::Int32(i32::try_from(random.index(6)).expect("it is below 6") - 1),
        26..30 => Bson::Int32(random.pick(INTS)),
        30..38 => Bson::Double(random.index(5) as f64),
        38..45 => Bson::Double(random.pick(DOUBLES)),
        45..52 => Bson::Int64(random.pick(LONGS)),
        52..58 => Bson::Decimal128(decimal(random.pick(DECIMALS))),
        58..74 => Bson::String(random.pick(STRINGS).to_owned()),
        74..80 => Bson::Null,
        80..84 => Bson::Boolean(random.chance(50)),
        84..88 => Bson::DateTime(DateTime::from_millis(random.pick(&[
            0,
            -1,
            1,
            1_700_000_000_000,
            1_700_000_000_001,
            -62_135_596_800_000,
        ]))),
        88..91 => Bson::ObjectId(object_id(random)),
        91..93 => binary(random),
        93..95 => Bson::RegularExpression(Regex {
            pattern: bson::raw::CString::try_from(random.pick(&["a", "^a", "b"])).expect("no NUL"),
            options: bson::raw::CString::try_from(random.pick(&["", "i"])).expect("no NUL"),
        }),
        95 => Bson::MinKey,
        96 => Bson::MaxKey,
        97 => Bson::Timestamp(Timestamp {
            time: 1 + u32::try_from(random.index(2)).expect("it is below 2"),
            increment: u32::try_from(random.index(2)).expect("it is below 2"),
        }),
        98 => Bson::Boolean(false),
        _ => rare(random),
    }
}

/// Types that no newer program writes, and that MongoDB still stores.
fn rare(random: &mut Random) -> Bson {
    match random.index(4) {
        0 => Bson::Undefined,
        1 => Bson::Symbol("a".to_owned()),
        2 => Bson::JavaScriptCode("a".to_owned()),
        _ => Bson::JavaScriptCodeWithScope(JavaScriptCodeWithScope {
            code: "a".to_owned(),
            scope: Document::new(),
        }),
    }
}

fn decimal(text: &str) -> Decimal128 {
    text.parse().expect("the pool holds decimals")
}

fn object_id(random: &mut Random) -> ObjectId {
    let mut bytes = [0x65; 12];
    bytes[11] = u8::try_from(random.index(3)).expect("it is below 3");
    ObjectId::from_bytes(bytes)
}

fn binary(random: &mut Random) -> Bson {
    let subtypes = [
        BinarySubtype::Generic,
        BinarySubtype::Uuid,
        BinarySubtype::UserDefined(0x80),
    ];
    let contents: &[&[u8]] = &[b"", b"a", b"\x01", b"\xFF\x00", b"0123456789abcdef"];
    Bson::Binary(Binary {
        subtype: random.pick(&subtypes),
        bytes: random.pick(contents).to_vec(),
    })
}

/// A dotted path, at times with a number in it, seldom a wrong one.
pub fn path(random: &mut Random) -> String {
    if random.chance(1) {
        return (random.pick(&["", "a.", ".a", "a..b", "$a", "a.$b", "_id.k", "_id"])).to_owned();
    }
    if random.chance(4) {
        return "_id".to_owned();
    }
    let parts = match random.index(10) {
        0..5 => 1,
        5..8 => 2,
        _ => 3,
    };
    let mut path = (random.pick(NAMES)).to_owned();
    for _ in 1..parts {
        path.push('.');
        path.push_str(match random.index(20) {
            0..2 => "0",
            2 => "1",
            3 => random.pick(&["2", "00", "01", "-1", "10"]),
            _ => random.pick(NAMES),
        });
    }
    path
}

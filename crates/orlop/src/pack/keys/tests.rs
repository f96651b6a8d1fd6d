//! Byte order is value order; keys are those of MongoDB 6.0.5.

use std::cmp::Ordering;

use bson::oid::ObjectId;
use bson::raw::RawDocumentBuf;
use bson::{Binary, Bson, DateTime, Decimal128, Timestamp, bson, doc, spec::BinarySubtype};
use proptest::prelude::*;

use super::*;
use crate::ErrorKind;
use crate::document::IndexSpec;
use crate::query::value::{compare, compare_views};
use crate::query::{Expr, Matcher, Pred, Sort};

fn decimal(text: &str) -> Bson {
    Bson::Decimal128(text.parse::<Decimal128>().unwrap())
}

fn raw(document: bson::Document) -> RawDocumentBuf {
    RawDocumentBuf::try_from(&document).unwrap()
}

fn number() -> impl Strategy<Value = Bson> {
    let edges = [
        i64::MIN,
        i64::MAX,
        1 << 53,
        -(1 << 53),
        0,
        1 << 62,
        i64::from(i32::MAX),
    ];
    let beside = prop_oneof![Just(-1_i64), Just(0), Just(1), -2000..2000_i64];
    let long = (prop::sample::select(edges.to_vec()), beside)
        .prop_map(|(edge, by)| edge.saturating_add(by))
        .boxed();
    let double = prop_oneof![
        any::<f64>(),
        long.clone().prop_map(|it| it as f64),
        prop::sample::select(vec![
            0.0,
            -0.0,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::MAX,
            f64::MIN,
            f64::MIN_POSITIVE,
            5e-324,
            -5e-324,
            0.1,
            0.5,
            1e22,
            1e23,
        ]),
    ]
    .boxed();
    let near = (double.clone(), 0_u8..3).prop_map(|(it, digits)| {
        let text = match digits {
            0 => format!("{it:e}"),
            1 => format!("{it:.16e}"),
            _ => format!("{it:.33e}"),
        };
        let text = text.replace("inf", "Infinity");
        decimal(
            &text
                .to_uppercase()
                .replace("INFINITY", "Infinity")
                .replace("NAN", "NaN"),
        )
    });
    let far = (
        any::<bool>(),
        0..10_u128.pow(34),
        0_u32..34,
        -6176..6111_i32,
    )
        .prop_map(|(negative, coefficient, cut, exponent)| {
            let sign = if negative { "-" } else { "" };
            decimal(&format!(
                "{sign}{}E{exponent}",
                coefficient / 10_u128.pow(cut)
            ))
        });
    let special = prop::sample::select(
        [
            "1E-6176",
            "-1E-6176",
            "9.99E6144",
            "-9.99E6144",
            "Infinity",
            "-Infinity",
            "NaN",
            "0",
            "-0",
            "0E-6176",
            "0E6000",
            "1",
            "1.00",
            "100E-2",
            "9007199254740993",
            "1E-400",
            "1.797693134862315708145274237317044E308",
            "1E309",
            "0.1",
            "0.1000000000000000055511151231257827",
            "0.1000000000000000055511151231257828",
            "9223372036854775807",
            "9223372036854775808",
            "-9223372036854775809",
        ]
        .map(decimal)
        .to_vec(),
    );
    prop_oneof![
        any::<i32>().prop_map(Bson::Int32),
        (-3..3_i32).prop_map(Bson::Int32),
        long.prop_map(Bson::Int64),
        any::<i64>().prop_map(Bson::Int64),
        double.prop_map(Bson::Double),
        near,
        far,
        special,
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[\0\u{1}ab\u{7f}é\u{10ffff}]{0,4}", ".{0,6}"]
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(vec![0, 1, 0xFE, 0xFF]), 0..4)
}

fn value() -> impl Strategy<Value = Bson> {
    let leaf = prop_oneof![
        4 => number(),
        3 => text().prop_map(Bson::String),
        1 => text().prop_map(Bson::Symbol),
        1 => text().prop_map(Bson::JavaScriptCode),
        1 => Just(Bson::Null),
        1 => Just(Bson::Undefined),
        1 => Just(Bson::MinKey),
        1 => Just(Bson::MaxKey),
        1 => any::<bool>().prop_map(Bson::Boolean),
        1 => any::<i64>().prop_map(|it| Bson::DateTime(DateTime::from_millis(it))),
        1 => any::<[u8; 12]>().prop_map(|it| Bson::ObjectId(ObjectId::from_bytes(it))),
        1 => (any::<u32>(), 0..3_u32)
            .prop_map(|(time, increment)| Bson::Timestamp(Timestamp { time, increment })),
        1 => (prop::sample::select(vec![0_u8, 2, 4, 5, 0x80]), bytes()).prop_map(|(kind, bytes)| {
            Bson::Binary(Binary { subtype: BinarySubtype::from(kind), bytes })
        }),
        1 => ("[ab]{0,2}", prop::sample::select(vec!["", "i", "im"])).prop_map(|(it, options)| {
            Bson::RegularExpression(bson::Regex {
                pattern: it.try_into().unwrap(),
                options: options.try_into().unwrap(),
            })
        }),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        let name = prop::sample::select(vec!["", "a", "b", "aa"]);
        let fields = prop::collection::vec((name, inner.clone()), 0..4);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Bson::Array),
            fields
                .prop_map(|it| it
                    .into_iter()
                    .map(|(key, value)| (key.to_owned(), value))
                    .collect())
                .prop_map(Bson::Document),
            ("[ab]{0,2}", inner).prop_map(|(code, value)| {
                let scope = doc! { "a": value };
                Bson::JavaScriptCodeWithScope(bson::JavaScriptCodeWithScope { code, scope })
            }),
        ]
    })
}

/// A value beside another one that shares a part with it, so that close calls are common.
fn pair() -> impl Strategy<Value = (Bson, Bson)> {
    prop_oneof![
        (value(), value()),
        (number(), number()),
        (text(), text()).prop_map(|(a, b)| (Bson::String(a.clone()), Bson::String(a + &b))),
        (value(), value(), value()).prop_map(|(a, b, c)| (
            doc! { "a": a.clone(), "b": b }.into(),
            doc! { "a": a, "b": c }.into()
        )),
        (value(), value(), value())
            .prop_map(|(a, b, c)| (Bson::Array(vec![a.clone(), b]), Bson::Array(vec![a, c]))),
    ]
}

fn check_order(a: &Bson, b: &Bson) {
    let expected = compare(a, b);
    let (key_a, key_b) = (encoded(a), encoded(b));
    assert_eq!(key_a.cmp(&key_b), expected, "{a:?} against {b:?}");
    let descending = |value: &Bson| {
        let mut key = Vec::new();
        encode_directed(&mut key, value, Direction::Descending);
        key
    };
    let (down_a, down_b) = (descending(a), descending(b));
    assert_eq!(
        down_a.cmp(&down_b),
        expected.reverse(),
        "descending {a:?}, {b:?}"
    );
    let prefix = key_a != key_b && (key_a.starts_with(&key_b) || key_b.starts_with(&key_a));
    assert!(!prefix, "{a:?} and {b:?}: one key begins with the other");
    for (key, direction) in [
        (&key_a, Direction::Ascending),
        (&down_a, Direction::Descending),
    ] {
        let longer = [&key[..], &[0x00, 0xFF, 0x40]].concat();
        assert_eq!(value_len(&longer, direction), Some(key.len()), "{a:?}");
        assert_eq!(
            value_len(&key[..key.len() - 1], direction),
            None,
            "cut {a:?}"
        );
    }
}

/// A value of few kinds, so that it is often equal to another one.
fn common(depth: u32) -> BoxedStrategy<Bson> {
    let leaf = prop::sample::select(vec![
        Bson::Int32(1),
        Bson::Double(1.0),
        Bson::from("x"),
        Bson::Null,
        Bson::Undefined,
    ]);
    if depth == 0 {
        return leaf.boxed();
    }
    let inner = common(depth - 1);
    let field = (prop::sample::select(vec!["a", "b", "0"]), inner.clone());
    let fields = prop::collection::vec(field, 0..3).prop_map(|fields| {
        let named = fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value));
        Bson::Document(named.collect())
    });
    let array = prop::collection::vec(inner, 0..3).prop_map(Bson::Array);
    prop_oneof![2 => leaf, 1 => fields, 1 => array].boxed()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn a_filter_that_pins_a_scope_finds_only_documents_in_it(
        (a, b) in (common(3), common(3)),
        paths in prop::collection::vec(prop::sample::select(vec!["a", "b", "a.b", "a.0", "b.0.a"]), 1..3),
        values in (common(0), common(0)),
    ) {
        let document = raw(doc! { "_id": 1, "a": a, "b": b });
        let paths: Vec<String> = paths.into_iter().map(str::to_owned).collect();
        let pins = paths.iter().zip([values.0, values.1]);
        let filter = Expr::And(
            pins.map(|(path, value)| Expr::Field(path.clone().into(), Pred::Eq(value))).collect(),
        );
        if Matcher::new(&filter).unwrap().matches(&document).unwrap() {
            let scope = pinned_scope(&filter, &paths).unwrap();
            prop_assert!(scope_keys(&paths, &document).unwrap().contains(&scope));
        }
    }

    #[test]
    fn byte_order_is_value_order((a, b) in pair()) {
        check_order(&a, &b);
    }

    #[test]
    fn compound_keys_order_field_by_field((a, b) in pair(), (c, d) in pair()) {
        let expected = compare(&a, &b).then_with(|| compare(&c, &d));
        let first = [encoded(&a), encoded(&c)].concat();
        let second = [encoded(&b), encoded(&d)].concat();
        prop_assert_eq!(first.cmp(&second), expected);
    }

    #[test]
    fn raw_and_owned_values_have_one_encoding(value in value()) {
        let document = raw(doc! { "v": value.clone() });
        let mut key = Vec::new();
        encode(&mut key, document.get("v").unwrap().unwrap());
        prop_assert_eq!(&key, &encoded(&value));
        let (_, view) = Fields::of(&document).iter().next().unwrap().unwrap();
        prop_assert_eq!(compare_views(view, View::from(&value)), Ordering::Equal);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        for direction in [Direction::Ascending, Direction::Descending] {
            if let Some(length) = value_len(&bytes, direction) {
                prop_assert!(length <= bytes.len());
            }
        }
        describe(&bytes);
    }
}

#[test]
fn numbers_of_all_types_that_are_equal_have_one_key() {
    let ones = [
        Bson::Int32(1),
        Bson::Int64(1),
        Bson::Double(1.0),
        decimal("1"),
        decimal("1.00"),
        decimal("10E-1"),
    ];
    let zeros = [
        Bson::Int32(0),
        Bson::Double(-0.0),
        Bson::Double(0.0),
        decimal("-0"),
        decimal("0E-6176"),
        decimal("-0E+6111"),
    ];
    let nans = [
        Bson::Double(f64::NAN),
        Bson::Double(-f64::NAN),
        decimal("NaN"),
    ];
    let infinite = [Bson::Double(f64::INFINITY), decimal("Infinity")];
    let large = [
        Bson::Int64(i64::MAX),
        decimal("9223372036854775807"),
        decimal("9223372036854775807.0"),
    ];
    for same in [&ones[..], &zeros, &nans, &infinite, &large] {
        for other in same {
            assert_eq!(encoded(other), encoded(&same[0]), "{other:?}");
        }
    }
}

#[test]
fn numbers_at_the_edges_keep_their_order() {
    let ascending = [
        Bson::Double(f64::NAN),
        Bson::Double(f64::NEG_INFINITY),
        decimal("-9.99E6144"),
        decimal("-1E309"),
        Bson::Double(f64::MIN),
        decimal("-9223372036854775809"),
        Bson::Int64(i64::MIN),
        Bson::Int64(i64::MIN + 1),
        Bson::Int64(-9_007_199_254_740_993),
        Bson::Double(-9_007_199_254_740_992.0),
        decimal("-0.5"),
        Bson::Double(-5e-324),
        decimal("-1E-400"),
        decimal("-1E-6176"),
        Bson::Int32(0),
        decimal("1E-6176"),
        decimal("1E-400"),
        Bson::Double(5e-324),
        decimal("0.1"),
        decimal("0.1000000000000000055511151231257827"),
        Bson::Double(0.1),
        decimal("0.1000000000000000055511151231257828"),
        Bson::Int64(9_007_199_254_740_991),
        Bson::Double(9_007_199_254_740_992.0),
        Bson::Int64(9_007_199_254_740_993),
        decimal("9007199254740993.5"),
        Bson::Double(9_007_199_254_740_994.0),
        Bson::Int64(i64::MAX - 1),
        Bson::Int64(i64::MAX),
        decimal("9223372036854775807.5"),
        Bson::Double(9_223_372_036_854_775_808.0),
        Bson::Double(f64::MAX),
        decimal("1E309"),
        decimal("9.99E6144"),
        decimal("Infinity"),
    ];
    for (at, a) in ascending.iter().enumerate() {
        for (other, b) in ascending.iter().enumerate() {
            assert_eq!(
                encoded(a).cmp(&encoded(b)),
                at.cmp(&other),
                "{a:?} against {b:?}"
            );
        }
    }
}

#[test]
fn stored_bytes_of_keys_do_not_change() {
    let regex = bson::Regex {
        pattern: "a".try_into().unwrap(),
        options: "i".try_into().unwrap(),
    };
    for (value, expected) in [
        (Bson::MinKey, "10"),
        (Bson::Undefined, "14"),
        (Bson::Null, "18"),
        (Bson::Int32(1), "20bff000000000000080"),
        (Bson::Double(-1.5), "204007ffffffffffff80"),
        (Bson::Double(f64::NAN), "20000000000000000080"),
        (
            Bson::Int64((1 << 53) + 1),
            "20c340000000000000c0201001bc16d674ec800de0b6b3a7640000",
        ),
        (Bson::from("a\0b"), "306100ff620001"),
        (bson!({"a": null}), "401861000100"),
        (bson!([true, []]), "5080015000 00"),
        (
            Bson::ObjectId(ObjectId::from_bytes([7; 12])),
            "70070707070707070707070707",
        ),
        (Bson::Boolean(false), "8000"),
        (
            Bson::DateTime(DateTime::from_millis(-1)),
            "907fffffffffffffff",
        ),
        (
            Bson::Timestamp(Timestamp {
                time: 1,
                increment: 2,
            }),
            "a00000000100000002",
        ),
        (Bson::RegularExpression(regex), "b0610001690001"),
        (Bson::JavaScriptCode("x".into()), "c0780001"),
        (Bson::MaxKey, "d0"),
    ] {
        let hex: String = encoded(&value)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(hex, expected.replace(' ', ""), "{value:?}");
    }
}

#[test]
fn undefined_lies_below_null_as_mongodb_sorts_it() {
    assert!(encoded(&Bson::Undefined) < encoded(&Bson::Null));
    assert!(encoded(&Bson::MinKey) < encoded(&Bson::Undefined));
}

#[test]
fn ids_that_could_be_confused_are_refused() {
    for (id, name) in [
        (Bson::Array(vec![]), "array"),
        (Bson::Undefined, "undefined"),
        (
            Bson::RegularExpression(bson::Regex {
                pattern: "a".try_into().unwrap(),
                options: "".try_into().unwrap(),
            }),
            "regex",
        ),
    ] {
        let error = encode_id(&id).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert_eq!(error.message(), format!("an _id cannot be of type {name}"));
    }
    assert!(encode_id(&Bson::String("x".repeat(8000))).is_ok());
    let error = encode_id(&Bson::String("x".repeat(9000))).unwrap_err();
    assert_eq!(
        error.message(),
        "_id of 9003 bytes is over the limit of 8192"
    );
}

fn spec(keys: &[&str], sparse: bool) -> IndexSpec {
    IndexSpec {
        name: "i".into(),
        keys: keys
            .iter()
            .map(|it| ((*it).to_owned(), Direction::Ascending))
            .collect(),
        unique: false,
        sparse,
        expire_after_seconds: None,
    }
}

#[track_caller]
fn check_keys(keys: &[&str], document: bson::Document, expected: Bson, multikey: bool) {
    let found = index_keys(&spec(keys, false), &raw(document)).unwrap();
    let tuples = expected.as_array().unwrap().iter();
    let mut expected: Vec<Vec<u8>> = tuples
        .map(|tuple| tuple.as_array().unwrap().iter().flat_map(encoded).collect())
        .collect();
    expected.sort();
    let keys = expected;
    assert_eq!(found, IndexKeys { keys, multikey });
}

#[test]
fn arrays_give_a_key_for_each_element() {
    let (plain, multi) = (false, true);
    check_keys(&["a"], doc! {"a": 1}, bson!([[1]]), plain);
    check_keys(&["a"], doc! {}, bson!([[null]]), plain);
    check_keys(&["a"], doc! {"a": [1, 2, 1]}, bson!([[1], [2]]), multi);
    check_keys(&["a"], doc! {"a": []}, bson!([[(Bson::Undefined)]]), multi);
    check_keys(&["a"], doc! {"a": [[1, 2]]}, bson!([[[1, 2]]]), multi);
    check_keys(&["a.b"], doc! {"a": 5}, bson!([[null]]), plain);
    check_keys(&["a.b"], doc! {"a": []}, bson!([[null]]), multi);
    check_keys(
        &["a.b"],
        doc! {"a": [{"b": 1}, {}, 7]},
        bson!([[1], [null]]),
        multi,
    );
    check_keys(
        &["a.b"],
        doc! {"a": [{"b": [1, 2]}]},
        bson!([[1], [2]]),
        multi,
    );
    check_keys(&["a.b"], doc! {"a": [[{"b": 1}]]}, bson!([[null]]), multi);
    let inner = doc! {"a": [{"b": 1, "c": 2}, {"c": 1}]};
    check_keys(&["a.b", "a.c"], inner, bson!([[1, 2], [null, 1]]), multi);
    check_keys(
        &["a", "x"],
        doc! {"a": [1, 2], "x": 2},
        bson!([[1, 2], [2, 2]]),
        multi,
    );
    check_keys(&["a.0"], doc! {"a": [2, 1]}, bson!([[2]]), multi);
    check_keys(
        &["a.1.b"],
        doc! {"a": [{"b": 1}, {"b": 2}]},
        bson!([[2]]),
        multi,
    );
    check_keys(&["a.0"], doc! {"a": [[1, 2], 3]}, bson!([[[1, 2]]]), multi);
    check_keys(
        &["a", "a.b"],
        doc! {"a": {"b": 1}},
        bson!([[{"b": 1}, 1]]),
        plain,
    );
}

#[test]
fn two_arrays_side_by_side_are_refused() {
    let error = index_keys(&spec(&["a", "b"], false), &raw(doc! {"a": [1], "b": []})).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(error.message(), "index i: cannot index parallel arrays");
    let inner = raw(doc! {"a": [{"b": [1], "c": [2]}]});
    assert!(index_keys(&spec(&["a.b", "a.c"], false), &inner).is_err());
    let error = index_keys(&spec(&["a.0"], false), &raw(doc! {"a": [{"0": 1}]})).unwrap_err();
    assert_eq!(
        error.message(),
        "index i: 0 is both a position of an array and a field of one of its elements"
    );
}

#[test]
fn sparse_leaves_out_keys_that_are_missing_whole() {
    let sparse =
        |keys: &[&str], document| index_keys(&spec(keys, true), &raw(document)).unwrap().keys;
    assert_eq!(sparse(&["a"], doc! {}), Vec::<Vec<u8>>::new());
    assert_eq!(sparse(&["a"], doc! {"a": null}), vec![encoded(&Bson::Null)]);
    assert_eq!(sparse(&["a", "b"], doc! {"b": 1}).len(), 1);
    assert_eq!(
        sparse(&["a.b"], doc! {"a": [{}, {"b": 1}]}),
        vec![encoded(&Bson::Int32(1))]
    );
}

#[test]
fn a_key_over_the_limit_is_refused() {
    let long = raw(doc! {"a": "x".repeat(KEY_BYTES_MAX)});
    let error = index_keys(&spec(&["a"], false), &long).unwrap_err();
    assert_eq!(
        error.message(),
        "index i: key of 32771 bytes is over the limit of 32768"
    );
}

#[test]
fn an_entry_ends_with_the_id() {
    let mut spec = spec(&["a", "b"], false);
    spec.keys[1].1 = Direction::Descending;
    let keys = index_keys(&spec, &raw(doc! {"a": "x\0", "b": [1, decimal("0.1")]})).unwrap();
    let id = encode_id(&Bson::from("id")).unwrap();
    for key in keys.keys {
        let entry = [&key[..], &id].concat();
        assert_eq!(entry_id(&spec, &entry).unwrap(), id);
        for damaged in [
            &entry[..key.len()],
            &entry[..entry.len() - 1],
            &[&entry[..], &[0]].concat(),
        ] {
            assert_eq!(
                entry_id(&spec, damaged).unwrap_err().kind(),
                ErrorKind::Corrupt
            );
        }
    }
}

#[test]
fn a_sort_takes_the_first_key_in_its_direction() {
    let document = raw(doc! {"a": [2, 1, 3], "b": "x"});
    let sort = |direction| Sort {
        keys: vec![("a".into(), direction), ("b".into(), Direction::Ascending)],
    };
    for (direction, first) in [(Direction::Ascending, 1), (Direction::Descending, 3)] {
        let sort = sort(direction);
        let position = sort_position(&sort, &document).unwrap();
        assert_eq!(position, vec![Bson::Int32(first), Bson::String("x".into())]);
        assert_eq!(
            sort_key(&sort, &document).unwrap(),
            sort_key_of(&sort, &position)
        );
    }
}

#[test]
fn a_document_lies_in_every_scope_that_finds_it() {
    let paths = ["u".to_owned(), "t.k".to_owned()];
    let pin = |user: Bson, key: Bson| {
        let filter = Expr::And(vec![
            Expr::Field("t.k".into(), Pred::Eq(key)),
            Expr::Field("u".into(), Pred::In(vec![user], vec![])),
        ]);
        pinned_scope(&filter, &paths).unwrap()
    };
    let document = raw(doc! {"u": 7, "t": [{"k": ["x", "y"]}, {}, {"k": 1_i64}]});
    let keys = scope_keys(&paths, &document).unwrap();
    for key in [
        Bson::from("x"),
        Bson::from("y"),
        Bson::from(1.0),
        Bson::Null,
    ] {
        assert!(keys.contains(&pin(Bson::Int64(7), key.clone())), "{key:?}");
    }
    assert!(!keys.contains(&pin(Bson::Int32(8), Bson::from("x"))));
    let absent = scope_keys(&paths, &raw(doc! {})).unwrap();
    assert_eq!(absent, vec![pin(Bson::Null, Bson::Null)]);

    let loose = Expr::Or(vec![Expr::Field("u".into(), Pred::Eq(Bson::Int32(7)))]);
    assert_eq!(pinned_scope(&loose, &paths[..1]), None);
    let whole = Expr::Field("u".into(), Pred::Eq(Bson::Array(vec![])));
    assert_eq!(pinned_scope(&whole, &paths[..1]), None);
    let many: Vec<i32> = (0..200).collect();
    let error = scope_keys(
        &["a".into(), "b".into()],
        &raw(doc! {"a": &many, "b": many}),
    )
    .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

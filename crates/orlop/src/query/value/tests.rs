//! Order and arithmetic, each case as MongoDB 6.0 answered it.

use bson::raw::RawDocumentBuf;
use bson::{Decimal128, doc};
use proptest::prelude::*;

use super::*;

fn decimal(text: &str) -> Decimal {
    text.parse::<Decimal128>().unwrap().into()
}

fn shown(value: Decimal) -> String {
    format!("{value:?}")
}

#[test]
fn decimal_and_double_compare_by_exact_value() {
    for (double, text, expected) in [
        (0.1, "0.1", Ordering::Greater),
        (
            0.1,
            "0.1000000000000000055511151231257827",
            Ordering::Greater,
        ),
        (0.1, "0.1000000000000000055511151231257828", Ordering::Less),
        (-0.1, "-0.1", Ordering::Less),
        (1e-300, "1E-300", Ordering::Greater),
        (0.5, "0.50", Ordering::Equal),
        (1e300, "1E+300", Ordering::Greater),
        (2_f64.powi(70), "1180591620717411303424", Ordering::Equal),
        (f64::INFINITY, "1E+400", Ordering::Greater),
        (5e-324, "0", Ordering::Greater),
        (5e-324, "1E-400", Ordering::Greater),
        (0.0, "1E-400", Ordering::Less),
        (-0.0, "0", Ordering::Equal),
        (f64::NAN, "NaN", Ordering::Equal),
        (f64::NAN, "-Infinity", Ordering::Less),
    ] {
        let order = Number::Double(double).compare(Number::Decimal(decimal(text)));
        assert_eq!(order, expected, "{double} against {text}");
        let order = Number::Decimal(decimal(text)).compare(Number::Double(double));
        assert_eq!(order, expected.reverse(), "{text} against {double}");
    }
}

#[test]
fn int64_and_double_compare_by_exact_value() {
    for (int, double, expected) in [
        (
            9_007_199_254_740_993,
            9_007_199_254_740_992.0,
            Ordering::Greater,
        ),
        (i64::MAX, 9_223_372_036_854_775_808.0, Ordering::Less),
        (i64::MIN, -9_223_372_036_854_775_808.0, Ordering::Equal),
        (3, 3.5, Ordering::Less),
        (-3, -3.5, Ordering::Greater),
        (0, -0.0, Ordering::Equal),
        (0, f64::NAN, Ordering::Greater),
    ] {
        let order = Number::Int64(int).compare(Number::Double(double));
        assert_eq!(order, expected, "{int} against {double}");
    }
}

#[test]
fn decimal_arithmetic_rounds_and_keeps_cohorts_as_mongodb_does() {
    type Op = fn(Decimal, Decimal) -> Decimal;
    let (add, subtract): (Op, Op) = (Decimal::plus, Decimal::subtract);
    let (multiply, divide, remainder): (Op, Op, Op) =
        (Decimal::multiply, Decimal::divide, Decimal::remainder);
    let long = "123456789012345678901234567890.1234";
    for (name, op, a, b, expected) in [
        ("add", add, "1", "1.0", "2.0"),
        (
            "add",
            add,
            "1.000000000000000000000000000000000E+6144",
            "10",
            "1.000000000000000000000000000000000E+6144",
        ),
        (
            "add",
            add,
            "1E-6176",
            "0.1",
            "0.1000000000000000000000000000000000",
        ),
        (
            "add",
            add,
            long,
            "0.00009",
            "123456789012345678901234567890.1235",
        ),
        ("add", add, "-0", "0", "0"),
        ("subtract", subtract, "1", "1.0", "0.0"),
        (
            "subtract",
            subtract,
            "1E-6176",
            "0.1",
            "-0.1000000000000000000000000000000000",
        ),
        ("subtract", subtract, "-0", "0", "-0"),
        (
            "subtract",
            subtract,
            long,
            "0.00009",
            "123456789012345678901234567890.1233",
        ),
        ("multiply", multiply, "7.50", "2", "15.00"),
        ("multiply", multiply, "1E+6144", "10", "Infinity"),
        ("multiply", multiply, "1E-6176", "0.1", "0E-6176"),
        (
            "multiply",
            multiply,
            long,
            "0.00009",
            "11111111011111111101111111.11011111",
        ),
        ("multiply", multiply, "-0", "0", "-0"),
        ("divide", divide, "1", "1.0", "1"),
        ("divide", divide, "1.0", "2", "0.5"),
        (
            "divide",
            divide,
            "1",
            "3",
            "0.3333333333333333333333333333333333",
        ),
        ("divide", divide, "10", "4", "2.5"),
        (
            "divide",
            divide,
            "1.000000000000000000000000000000000E+6144",
            "10",
            "1.00000000000000000000000000000000E+6143",
        ),
        ("divide", divide, "1E-6176", "0.1", "1E-6175"),
        (
            "divide",
            divide,
            long,
            "0.00009",
            "1371742100137174210013717421001371",
        ),
        ("remainder", remainder, "1", "1.0", "0.0"),
        ("remainder", remainder, "7.50", "2", "1.50"),
        ("remainder", remainder, "-7.5", "2", "-1.5"),
        (
            "remainder",
            remainder,
            "1.000000000000000000000000000000000E+6144",
            "10",
            "0",
        ),
        ("remainder", remainder, "1E-6176", "0.1", "1E-6176"),
        ("remainder", remainder, long, "0.00009", "0.00001"),
    ] {
        assert_eq!(
            shown(op(decimal(a), decimal(b))),
            expected,
            "{name} {a} {b}"
        );
    }
}

#[test]
fn doubles_become_decimals_with_15_digits_or_all_of_them() {
    for (double, short, precise) in [
        (0.0, "0", "0"),
        (-0.0, "-0", "-0"),
        (1.0, "1.00000000000000", "1"),
        (123_456.0, "123456.000000000", "123456"),
        (1e22, "1.00000000000000E+22", "10000000000000000000000"),
        (
            1.0 / 3.0,
            "0.333333333333333",
            "0.3333333333333333148296162562473910",
        ),
        (
            5e-324,
            "4.94065645841247E-324",
            "4.940656458412465441765687928682214E-324",
        ),
        (
            2_f64.powi(60),
            "1.15292150460685E+18",
            "1152921504606846976",
        ),
        (
            999_999_999_999_999.9,
            "1.00000000000000E+15",
            "999999999999999.875",
        ),
        (f64::NAN, "NaN", "NaN"),
        (f64::NEG_INFINITY, "-Infinity", "-Infinity"),
    ] {
        assert_eq!(shown(Decimal::from_f64(double)), short, "{double}");
        assert_eq!(
            shown(Decimal::from_f64_precise(double)),
            precise,
            "{double}"
        );
    }
}

#[test]
fn integers_widen_and_then_become_doubles_or_refuse() {
    use Number as N;
    assert_eq!(
        N::Int32(i32::MAX).checked_add(N::Int32(1)),
        Some(N::Int64(2_147_483_648))
    );
    assert_eq!(N::Int32(1).checked_add(N::Int64(1)), Some(N::Int64(2)));
    assert_eq!(N::Int64(i64::MAX).checked_add(N::Int32(1)), None);
    assert_eq!(
        N::Int32(i32::MAX).checked_mul(N::Int32(i32::MAX)),
        Some(N::Int64(4_611_686_014_132_420_609))
    );
    assert_eq!(N::Int64(1 << 62).checked_mul(N::Int32(4)), None);
    assert_eq!(
        N::Int64(1 << 62).multiply(N::Int32(4)),
        N::Double(1.844_674_407_370_955_2e19)
    );
    assert_eq!(
        N::Int64(i64::MIN).subtract(N::Int32(1)),
        N::Double(-9.223_372_036_854_776e18)
    );
    assert_eq!(N::Int32(10).divide(N::Int32(4)), Some(N::Double(2.5)));
    assert_eq!(N::Int32(10).divide(N::Double(0.0)), None);
    assert_eq!(N::Int32(-7).remainder(N::Int32(2)), Some(N::Int32(-1)));
    assert_eq!(
        N::Int64(i64::MIN).remainder(N::Int64(-1)),
        Some(N::Int64(0))
    );
}

/// A value of any type, small enough that equal ones come up.
fn any_value() -> impl Strategy<Value = Bson> {
    let small = prop_oneof![Just(0), Just(1), Just(2), Just(-1), any::<i64>()];
    let decimals = prop_oneof![
        Just("0"),
        Just("-0.0"),
        Just("1.0"),
        Just("1"),
        Just("0.1"),
        Just("NaN"),
        Just("Infinity"),
        Just("9007199254740993"),
        Just("1E+20"),
        Just("9223372036854775808")
    ];
    let doubles = prop_oneof![
        Just(0.0),
        Just(-0.0),
        Just(1.0),
        Just(0.1),
        Just(f64::NAN),
        Just(f64::INFINITY),
        Just(9_007_199_254_740_992.0),
        Just(1e20),
        Just(9_223_372_036_854_775_808.0),
        any::<f64>()
    ];
    let leaf = prop_oneof![
        Just(Bson::MinKey),
        Just(Bson::MaxKey),
        Just(Bson::Null),
        Just(Bson::Undefined),
        any::<bool>().prop_map(Bson::Boolean),
        small.clone().prop_map(Bson::Int64),
        (-2_i32..3).prop_map(Bson::Int32),
        doubles.prop_map(Bson::Double),
        decimals.prop_map(|it| Bson::Decimal128(it.parse().unwrap())),
        "[ab]{0,2}".prop_map(Bson::String),
        "[ab]{0,1}".prop_map(Bson::Symbol),
        "[ab]{0,1}".prop_map(Bson::JavaScriptCode),
        small.prop_map(|it| Bson::DateTime(bson::DateTime::from_millis(it))),
        (0_u32..3, 0_u32..3)
            .prop_map(|(time, increment)| { Bson::Timestamp(bson::Timestamp { time, increment }) }),
        (0_u8..6, prop::collection::vec(any::<u8>(), 0..3)).prop_map(|(kind, bytes)| {
            Bson::Binary(bson::Binary {
                subtype: kind.into(),
                bytes,
            })
        }),
        any::<[u8; 12]>().prop_map(|it| Bson::ObjectId(it.into())),
        ("[ab]{0,1}", "[im]{0,1}").prop_map(|(pattern, options)| {
            Bson::RegularExpression(bson::Regex {
                pattern: pattern.try_into().unwrap(),
                options: options.try_into().unwrap(),
            })
        }),
    ];
    leaf.prop_recursive(2, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Bson::Array),
            prop::collection::vec(("[ab]", inner.clone()), 0..3)
                .prop_map(|it| Bson::Document(it.into_iter().collect())),
            ("[ab]{0,1}", prop::collection::vec(("[ab]", inner), 0..2)).prop_map(|(code, it)| {
                let scope = it.into_iter().collect();
                Bson::JavaScriptCodeWithScope(bson::JavaScriptCodeWithScope { code, scope })
            }),
        ]
    })
}

fn raw(value: &Bson) -> RawDocumentBuf {
    RawDocumentBuf::try_from(&doc! { "v": value.clone() }).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_order_is_total_and_the_same_over_raw_bytes(
        a in any_value(), b in any_value(), c in any_value()
    ) {
        prop_assert_eq!(compare(&a, &a), Ordering::Equal);
        prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
        let mut sorted = [a, b, c];
        sorted.sort_by(compare);
        prop_assert_ne!(compare(&sorted[0], &sorted[2]), Ordering::Greater);
        let raws: Vec<_> = sorted.iter().map(raw).collect();
        for (value, raw_value) in sorted.iter().zip(&raws) {
            for (other, raw_other) in sorted.iter().zip(&raws) {
                let expected = compare(value, other);
                let (left, right) = (raw_value.get("v").unwrap().unwrap(), raw_other.get("v").unwrap().unwrap());
                prop_assert_eq!(compare_raw(left, right), expected);
                let (left, right) = (Fields::of(raw_value).get(b"v").unwrap().unwrap(), Fields::of(raw_other).get(b"v").unwrap().unwrap());
                prop_assert_eq!(compare_views(left, right), expected);
                prop_assert_eq!(left.type_code(), type_code(value));
                prop_assert_eq!(format!("{:?}", left.to_bson().unwrap()), format!("{value:?}"));
            }
        }
    }

    #[test]
    fn reading_damaged_bytes_ends_in_an_error_or_a_value(
        value in any_value(), at in any::<prop::sample::Index>(), bits in 1_u8..=255
    ) {
        let mut bytes = raw(&value).into_bytes();
        let inside = bytes.len() - 5;
        bytes[4 + at.index(inside)] ^= bits;
        if let Ok(document) = bson::raw::RawDocument::from_bytes(&bytes) {
            for item in Fields::of(document).iter() {
                let _ = item.and_then(|(_, value)| value.to_bson());
            }
        }
    }
}

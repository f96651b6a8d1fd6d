//! Both forms, every type, and what is refused.

use bson::{Bson, Document, doc};

use super::{DEPTH_MAX, Hide, Style, document, value, write_document};

fn written(document: &Document, style: Style, hide: &Hide) -> String {
    let raw = bson::RawDocumentBuf::try_from(document).expect("the test's document is sound");
    let mut out = Vec::new();
    write_document(&mut out, &raw, style, hide).expect("writing a sound document");
    String::from_utf8(out).expect("JSON is UTF-8")
}

fn every_type() -> Document {
    let pointer = document(
        br#"{"p": {"$dbPointer": {"$ref": "a.b", "$id": {"$oid": "64b004000000000000000001"}}}}"#,
    )
    .expect("a pointer is read");
    doc! {
        "oid": bson::oid::ObjectId::parse_str("64b004000000000000000001").expect("hex"),
        "i": 1_i32, "l": 1_i64, "max": i64::MAX, "d": 1.0, "neg": -0.0, "tiny": 5e-324, "big": 1.7976931348623157e308,
        "third": 0.1 + 0.2, "inf": f64::INFINITY, "ninf": f64::NEG_INFINITY, "s": "a\u{0}\"\\\u{1F6A2}",
        "dec": Bson::Decimal128("1234567890.123456789".parse().expect("decimal")),
        "when": bson::DateTime::from_millis(1_656_220_668_123), "old": bson::DateTime::from_millis(-1),
        "far": bson::DateTime::from_millis(i64::MAX), "null": null, "t": true, "a": [1, [2.5, "x"], {}],
        "bin": bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes: vec![0, 1, 254, 255] },
        "uuid": bson::Uuid::from_bytes([7; 16]),
        "re": bson::Regex { pattern: bson::cstr!("a/\"b").into(), options: bson::cstr!("i").into() },
        "ts": bson::Timestamp { time: u32::MAX, increment: 1 },
        "min": Bson::MinKey, "maxk": Bson::MaxKey, "undef": Bson::Undefined, "sym": Bson::Symbol("x".into()),
        "code": Bson::JavaScriptCode("f()".into()),
        "scoped": bson::JavaScriptCodeWithScope { code: "f()".into(), scope: doc! { "x": 1_i64 } },
        "p": pointer.get("p").cloned().expect("p"),
    }
}

#[test]
fn canonical_form_loses_nothing() {
    let all = every_type();
    let text = written(&all, Style::Canonical, &Hide::default());
    assert_eq!(document(text.as_bytes()).expect("its own output"), all);
}

#[test]
fn relaxed_form_keeps_every_value_but_the_width_of_whole_numbers() {
    let all = every_type();
    let text = written(&all, Style::Relaxed, &Hide::default());
    let mut expected = all;
    expected.insert("l", 1_i32);
    let scope = bson::JavaScriptCodeWithScope {
        code: "f()".into(),
        scope: doc! { "x": 1_i32 },
    };
    expected.insert("scoped", scope);
    assert_eq!(document(text.as_bytes()).expect("its own output"), expected);
}

#[test]
fn nan_is_read_and_written() {
    let nan = document(br#"{"n": {"$numberDouble": "NaN"}}"#).expect("NaN");
    assert!(nan.get_f64("n").expect("a double").is_nan());
    let text = written(&nan, Style::Relaxed, &Hide::default());
    assert_eq!(text, r#"{"n":{"$numberDouble":"NaN"}}"#);
}

#[test]
fn an_instant_is_written_with_three_digits_or_none_and_reads_back() {
    let text = |ms: i64| {
        let document = doc! { "d": bson::DateTime::from_millis(ms) };
        written(&document, Style::Relaxed, &Hide::default())
    };
    assert_eq!(text(0), r#"{"d":{"$date":"1970-01-01T00:00:00Z"}}"#);
    assert_eq!(
        text(1_670_306_649_810),
        r#"{"d":{"$date":"2022-12-06T06:04:09.810Z"}}"#
    );
    assert_eq!(
        text(253_402_300_799_999),
        r#"{"d":{"$date":"9999-12-31T23:59:59.999Z"}}"#
    );
    assert_eq!(
        text(253_402_300_800_000),
        r#"{"d":{"$date":{"$numberLong":"253402300800000"}}}"#
    );
    // A stride prime to the lengths of days, years and centuries meets every kind of date.
    for ms in (0..253_402_300_800_000).step_by(86_391_234_567) {
        let read = document(text(ms).as_bytes()).expect("its own output");
        assert_eq!(
            read.get_datetime("d").expect("a date").timestamp_millis(),
            ms
        );
    }
}

#[test]
fn numbers_take_the_narrowest_type_that_holds_them() {
    let read = |text: &str| value(text.as_bytes()).expect("a number");
    assert_eq!(read("2147483647"), Bson::Int32(i32::MAX));
    assert_eq!(read("2147483648"), Bson::Int64(2_147_483_648));
    assert_eq!(read("9223372036854775807"), Bson::Int64(i64::MAX));
    assert_eq!(
        read("9223372036854775808"),
        Bson::Double(9_223_372_036_854_775_808.0)
    );
    assert_eq!(read("1.0"), Bson::Double(1.0));
    assert_eq!(read("0.30000000000000004"), Bson::Double(0.1 + 0.2));
}

#[test]
fn hidden_paths_and_the_revision_are_left_out() {
    let user = doc! { "_id": 1, "password": "x", "keys": [{ "secret": 1, "name": "a" }, 5], "secret": 2, "_v": 3_i64 };
    let hide = Hide {
        revision: true,
        paths: vec![
            vec!["password".into()],
            vec!["keys".into(), "secret".into()],
        ],
    };
    assert_eq!(
        written(&user, Style::Relaxed, &hide),
        r#"{"_id":1,"keys":[{"name":"a"},5],"secret":2}"#
    );
}

#[test]
fn query_operators_stay_fields() {
    let filter = document(br#"{"a": {"$regex": "^x", "$options": "i"}, "b": {"$type": "string"}}"#)
        .expect("a filter");
    assert_eq!(
        filter,
        doc! { "a": { "$regex": "^x", "$options": "i" }, "b": { "$type": "string" } }
    );
}

#[test]
fn what_does_not_parse_is_refused_with_its_reason() {
    let check = |text: &[u8], says: &str| {
        let error = document(text).expect_err("it is malformed");
        assert_eq!(error.kind(), orlop::ErrorKind::Invalid);
        assert!(error.message().contains(says), "{}", error.message());
    };
    check(b"{", "EOF");
    check(b"[]", "an array");
    check(br#"{"a": "\ud800"}"#, "hex escape");
    check(b"{\"a\": \"\xff\"}", "not UTF-8 from byte 7 on");
    check(br#"{"a": 1, "a": 2}"#, "given twice");
    check(br#"{"a": {"b": 1, "b": 2}}"#, "given twice");
    check(br#"{"a\u0000b": 1}"#, "NUL");
    check(br#"{"a": 1e999}"#, "out of range");
    check(br#"{"a": NaN}"#, "expected");
    check(br#"{} {}"#, "trailing");
    check(br#"{"a": {"$oid": "xyz"}}"#, "malformed $oid");
    check(
        br#"{"a": {"$oid": "64b004000000000000000001", "b": 1}}"#,
        "beside another field",
    );
    check(
        br#"{"a": {"$numberInt": "2147483648"}}"#,
        "malformed $numberInt",
    );
    check(br#"{"a": {"$numberLong": 5}}"#, "malformed $numberLong");
    check(
        br#"{"a": {"$numberDouble": "inf"}}"#,
        "malformed $numberDouble",
    );
    check(br#"{"a": {"$date": "yesterday"}}"#, "malformed $date");
    check(br#"{"a": {"$uuid": "7"}}"#, "malformed $uuid");
    check(
        br#"{"a": {"$regularExpression": {"pattern": "a\u0000", "options": ""}}}"#,
        "malformed",
    );
}

#[test]
fn nesting_is_bounded_without_overflowing_the_stack() {
    let nested = |levels: usize| format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
    document(nested(DEPTH_MAX).as_bytes()).expect("as deep as allowed");
    let error = document(nested(DEPTH_MAX + 1).as_bytes()).expect_err("one deeper");
    assert!(error.message().contains("deeper"), "{}", error.message());
    document("[".repeat(1_000_000).as_bytes()).expect_err("a million levels");
}

//! What the tables of MongoDB's answers do not show: kinds of errors, bounds, damaged bytes.

use bson::raw::RawDocument;
use bson::{Bson, doc};
use proptest::prelude::*;

use crate::ErrorKind;
use crate::query::{ElemMatch, Expr, Matcher, Pattern, Pred};

fn refusal(filter: &bson::Document) -> (ErrorKind, String) {
    let error = Expr::parse(filter).map(|_| ()).unwrap_err();
    (error.kind(), error.message().to_owned())
}

#[test]
fn an_unknown_operator_is_unsupported_and_named() {
    for (filter, name) in [
        (doc! { "a": { "$gtx": 1 } }, "unknown operator $gtx"),
        (doc! { "$foo": 1 }, "unknown operator $foo"),
        (
            doc! { "a": { "$elemMatch": { "$gtx": 1 } } },
            "unknown operator $gtx",
        ),
        (
            doc! { "a": { "$not": { "$gtx": 1 } } },
            "unknown operator $gtx",
        ),
        (doc! { "$expr": { "$foo": 1 } }, "unknown operator $foo"),
        (doc! { "$where": "1" }, "operator $where is not supported"),
        (
            doc! { "a": { "$near": [1, 1] } },
            "operator $near is not supported",
        ),
    ] {
        assert_eq!(
            refusal(&filter),
            (ErrorKind::Unsupported, name.to_owned()),
            "{filter}"
        );
    }
}

#[test]
fn a_misplaced_operator_is_invalid_and_named() {
    for (filter, name) in [
        (doc! { "$eq": 1 }, "operator $eq needs a field"),
        (
            doc! { "a": { "$and": [] } },
            "operator $and cannot be applied to a field",
        ),
        (
            doc! { "a": { "$gt": 1, "b": 2 } },
            "unknown operator b: operators and fields cannot be mixed",
        ),
    ] {
        assert_eq!(
            refusal(&filter),
            (ErrorKind::Invalid, name.to_owned()),
            "{filter}"
        );
    }
}

#[test]
fn runaway_backtracking_is_refused_and_does_not_hang() {
    let expr = Expr::parse(&doc! { "a": { "$regex": r"^(a|aa)+(?=b)\1$" } }).unwrap();
    let document = bson::RawDocumentBuf::try_from(&doc! { "a": "a".repeat(60) }).unwrap();
    let error = Matcher::new(&expr).unwrap().matches(&document).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error:?}");
}

#[test]
fn a_filter_nested_without_end_is_refused() {
    let mut filter = doc! { "a": 1 };
    for _ in 0..5_000 {
        filter = doc! { "$and": [filter] };
    }
    let (kind, _) = refusal(&filter);
    assert_eq!(kind, ErrorKind::Invalid);
    // Dropping it must not recurse without end either.
    while let Some(Bson::Array(mut inner)) = filter.remove("$and") {
        match inner.pop() {
            Some(Bson::Document(next)) => filter = next,
            _ => break,
        }
    }
}

#[test]
fn of_two_fields_of_one_name_the_first_counts() {
    let bytes = [
        &[21, 0, 0, 0][..],
        &[0x10, b'a', 0, 1, 0, 0, 0],
        &[0x10, b'a', 0, 2, 0, 0, 0],
        &[0, 0, 0],
    ];
    let mut bytes = bytes.concat();
    bytes.truncate(19);
    bytes[0] = 19;
    let document = RawDocument::from_bytes(&bytes).unwrap();
    let matches = |value: i32| {
        let expr = Expr::parse(&doc! { "a": value, "b": Bson::Null }).unwrap();
        Matcher::new(&expr).unwrap().matches(document).unwrap()
    };
    assert!(matches(1));
    assert!(!matches(2));
}

#[test]
fn damaged_bytes_before_the_field_are_corrupt() {
    let document = bson::RawDocumentBuf::try_from(&doc! { "s": "text", "a": 1 }).unwrap();
    let mut bytes = document.into_bytes();
    bytes[7] = 0xFF;
    let expr = Expr::parse(&doc! { "a": 1 }).unwrap();
    let document = RawDocument::from_bytes(&bytes).unwrap();
    let error = Matcher::new(&expr).unwrap().matches(document).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");
}

fn value() -> impl Strategy<Value = Bson> {
    let leaf = prop_oneof![
        Just(Bson::Null),
        (-2_i32..3).prop_map(Bson::Int32),
        (-2_i64..3).prop_map(Bson::Int64),
        prop_oneof![Just(0.5), Just(1.0), Just(f64::INFINITY)].prop_map(Bson::Double),
        "[ab$]{0,2}".prop_map(Bson::String),
        any::<bool>().prop_map(Bson::Boolean),
    ];
    leaf.prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Bson::Array),
            prop::collection::vec(("[ab]", inner), 0..3)
                .prop_map(|it| Bson::Document(it.into_iter().collect())),
        ]
    })
}

fn pattern() -> impl Strategy<Value = Pattern> {
    (
        "[ab.]{0,2}[$]?",
        prop::sample::select(vec!["", "i", "ims", "x"]),
    )
        .prop_map(|(pattern, options)| Pattern {
            pattern,
            options: options.to_owned(),
        })
}

fn pred() -> impl Strategy<Value = Pred> {
    let values = || prop::collection::vec(value(), 0..3);
    let patterns = || prop::collection::vec(pattern(), 0..2);
    let leaf = prop_oneof![
        value().prop_map(Pred::Eq),
        value().prop_map(Pred::Ne),
        value().prop_map(Pred::Gt),
        value().prop_map(Pred::Gte),
        value().prop_map(Pred::Lt),
        value().prop_map(Pred::Lte),
        (values(), patterns()).prop_map(|(values, patterns)| Pred::In(values, patterns)),
        (values(), patterns()).prop_map(|(values, patterns)| Pred::Nin(values, patterns)),
        any::<bool>().prop_map(Pred::Exists),
        prop::sample::subsequence(vec![-1, 1, 2, 7, 16, 19, 127], 1..4).prop_map(Pred::Type),
        pattern().prop_map(Pred::Regex),
        (0_i64..3).prop_map(Pred::Size),
        (1_i64..4, -1_i64..2).prop_map(|(divisor, remainder)| Pred::Mod(divisor, remainder)),
        prop::collection::vec(0_u64..70, 0..3).prop_map(Pred::BitsAllSet),
        prop::collection::vec(0_u64..70, 0..3).prop_map(Pred::BitsAnyClear),
        values().prop_map(|values| Pred::All(values.into_iter().map(Pred::Eq).collect())),
    ];
    leaf.prop_recursive(2, 6, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(|pred| Pred::Not(vec![pred])),
            inner
                .clone()
                .prop_map(|pred| Pred::ElemMatch(ElemMatch::Value(vec![pred]))),
            ("[ab]", inner).prop_map(|(path, pred)| {
                let inner = Expr::Field(path.into(), pred);
                Pred::ElemMatch(ElemMatch::Document(Box::new(inner)))
            }),
        ]
    })
}

fn expr() -> impl Strategy<Value = Expr> {
    let leaf =
        ("[abc]([.][ab01]){0,2}", pred()).prop_map(|(path, pred)| Expr::Field(path.into(), pred));
    leaf.prop_recursive(2, 6, 3, |inner| {
        let parts = || prop::collection::vec(inner.clone(), 1..3);
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(Expr::And),
            parts().prop_map(Expr::Or),
            parts().prop_map(Expr::Nor),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_filter_written_and_read_is_the_same(expr in expr()) {
        let written = expr.to_document();
        prop_assert_eq!(Expr::parse(&written).unwrap(), expr, "{}", written);
    }

    #[test]
    fn raw_and_owned_documents_match_alike(expr in expr(), a in value(), b in value()) {
        let matcher = Matcher::new(&expr).unwrap();
        let document = doc! { "a": a, "b": b };
        let raw = bson::RawDocumentBuf::try_from(&document).unwrap();
        let matched = matcher.matches(&raw).unwrap();
        prop_assert_eq!(matched, matcher.matches_document(&document).unwrap());
        prop_assert_eq!(matched, matcher.matches_at(&raw).unwrap().is_some());
    }

    #[test]
    fn damaged_documents_give_an_answer_or_an_error(
        expr in expr(), a in value(), at in any::<prop::sample::Index>(), bits in 1_u8..=255
    ) {
        let matcher = Matcher::new(&expr).unwrap();
        let mut bytes = bson::RawDocumentBuf::try_from(&doc! { "a": a }).unwrap().into_bytes();
        let inside = bytes.len() - 5;
        bytes[4 + at.index(inside)] ^= bits;
        if let Ok(document) = RawDocument::from_bytes(&bytes) {
            let _ = matcher.matches_at(document);
        }
    }

    #[test]
    fn any_expression_is_translated_or_refused(pattern in r"[ab\\(){}\[\]?*+|^$.:\-0-9dwsbB<>!=x ]{0,12}") {
        if let Ok(pattern) = Pattern::new(&pattern, "i") {
            let expr = Expr::Field("a".into(), Pred::Regex(pattern));
            let _ = Matcher::new(&expr).unwrap().matches_document(&doc! { "a": "ab 01é" });
        }
    }
}

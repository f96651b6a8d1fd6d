//! The schema subset refuses just what it says.

use bson::{Bson, Document, RawDocumentBuf, doc};
use orlop::ErrorKind;
use orlop::document::schema::Validator;

/// The broken rules of `document`, as `field rule`.
#[track_caller]
fn broken(schema: Document, document: Document) -> Vec<String> {
    let validator = Validator::new(&schema).unwrap();
    let raw = RawDocumentBuf::try_from(&document).unwrap();
    let found = validator.check(&raw);
    found
        .into_iter()
        .map(|it| format!("{} {}", it.field, it.rule))
        .collect()
}

#[track_caller]
fn field(rules: Document, value: impl Into<Bson>) -> String {
    broken(doc! {"properties": {"f": rules}}, doc! {"f": value.into()}).join(", ")
}

#[test]
fn each_word_takes_what_it_says_and_refuses_the_rest() {
    let decimal = |text: &str| text.parse::<bson::Decimal128>().unwrap();
    for (rules, good, bad, rule) in [
        (
            doc! {"bsonType": "string"},
            Bson::from("x"),
            Bson::from(1),
            "type",
        ),
        (
            doc! {"bsonType": ["int", "long"]},
            Bson::from(1_i64),
            Bson::from(1.0),
            "type",
        ),
        (
            doc! {"bsonType": "number"},
            Bson::from(decimal("1.5")),
            Bson::from("1"),
            "type",
        ),
        (
            doc! {"type": "integer"},
            Bson::from(3.0),
            Bson::from(3.5),
            "type",
        ),
        (
            doc! {"type": ["string", "null"]},
            Bson::Null,
            Bson::from(true),
            "type",
        ),
        (
            doc! {"type": "boolean"},
            Bson::from(false),
            Bson::from(0),
            "type",
        ),
        (
            doc! {"enum": ["TODO", "DONE"]},
            Bson::from("DONE"),
            Bson::from("NOPE"),
            "enum",
        ),
        (
            doc! {"enum": [1, {"a": 1, "b": 2}]},
            Bson::from(doc! {"b": 2.0, "a": 1_i64}),
            Bson::from(doc! {"a": 1}),
            "enum",
        ),
        (doc! {"enum": [1]}, Bson::from(1.0), Bson::from(2), "enum"),
        (
            doc! {"minLength": 2},
            Bson::from("日本"),
            Bson::from("日"),
            "min_length",
        ),
        (
            doc! {"maxLength": 2},
            Bson::from("🛳🛳"),
            Bson::from("abc"),
            "max_length",
        ),
        (
            doc! {"minimum": 0},
            Bson::from(0),
            Bson::from(-1),
            "minimum",
        ),
        (
            doc! {"minimum": 0, "exclusiveMinimum": true},
            Bson::from(0.1),
            Bson::from(0),
            "minimum",
        ),
        (
            doc! {"exclusiveMaximum": 9},
            Bson::from(8),
            Bson::from(9),
            "maximum",
        ),
        (
            doc! {"maximum": i64::MAX - 1},
            Bson::from(i64::MAX - 1),
            Bson::from(i64::MAX),
            "maximum",
        ),
        (
            doc! {"minimum": 0},
            Bson::from(decimal("0")),
            Bson::from(f64::NAN),
            "minimum",
        ),
        (
            doc! {"multipleOf": 1},
            Bson::from(3.0),
            Bson::from(3.5),
            "multiple_of",
        ),
        (
            doc! {"pattern": "^a(?=b)"},
            Bson::from("ab"),
            Bson::from("ac"),
            "pattern",
        ),
        (
            doc! {"format": "email"},
            Bson::from("ünïcode+tag@例え.jp"),
            Bson::from("ada@example..com"),
            "email",
        ),
        (
            doc! {"format": "date"},
            Bson::from("2024-02-29"),
            Bson::from("2023-02-29"),
            "date",
        ),
        (
            doc! {"minItems": 1},
            Bson::from(vec![1]),
            Bson::Array(vec![]),
            "min_items",
        ),
        (
            doc! {"maxItems": 1},
            Bson::from(vec![1]),
            Bson::from(vec![1, 2]),
            "max_items",
        ),
        (
            doc! {"uniqueItems": true},
            Bson::from(vec![1, 2]),
            Bson::from(vec![Bson::from(1), Bson::from(1.0)]),
            "unique_items",
        ),
        (
            doc! {"minProperties": 1},
            Bson::from(doc! {"a": 1}),
            Bson::from(doc! {}),
            "min_properties",
        ),
        (
            doc! {"maxProperties": 1},
            Bson::from(doc! {"a": 1}),
            Bson::from(doc! {"a": 1, "b": 1}),
            "max_properties",
        ),
        (
            doc! {"not": {"bsonType": "null"}},
            Bson::from(1),
            Bson::Null,
            "not",
        ),
        (
            doc! {"anyOf": [{"bsonType": "int"}, {"bsonType": "null"}]},
            Bson::Null,
            Bson::from("x"),
            "any_of",
        ),
        (
            doc! {"oneOf": [{"minimum": 0}, {"maximum": 9}]},
            Bson::from(10),
            Bson::from(5),
            "one_of",
        ),
        (
            doc! {"allOf": [{"minimum": 0}, {"maximum": 9}]},
            Bson::from(5),
            Bson::from(10),
            "maximum",
        ),
    ] {
        assert_eq!(
            field(rules.clone(), good),
            "",
            "{rules} must take the good one"
        );
        assert_eq!(field(rules.clone(), bad), format!("f {rule}"), "{rules}");
    }
}

#[test]
fn a_rule_of_another_type_says_nothing() {
    assert_eq!(field(doc! {"minLength": 3}, 1), "");
    assert_eq!(field(doc! {"minimum": 3}, "x"), "");
    assert_eq!(field(doc! {"required": ["a"]}, 1), "");
    assert_eq!(field(doc! {"minItems": 3}, "x"), "");
}

#[test]
fn paths_name_elements_and_nested_fields_and_all_is_reported() {
    let schema = doc! {
        "bsonType": "object",
        "required": ["title", "owner"],
        "additionalProperties": false,
        "properties": {
            "_id": {},
            "title": {"bsonType": "string", "minLength": 1},
            "owner": {},
            "tags": {"items": {"bsonType": "string"}},
            "prefs": {"required": ["theme"], "properties": {"theme": {"enum": ["light", "dark"]}}},
        },
    };
    let document = doc! {"_id": 1, "title": "", "tags": ["a", 2], "prefs": {"theme": "blue"}, "extra": 1, "_v": 7_i64};
    assert_eq!(
        broken(schema, document),
        [
            "title min_length",
            "tags[1] type",
            "prefs.theme enum",
            "extra additional_properties",
            "owner required"
        ]
    );
}

#[test]
fn a_tagged_form_reports_what_the_tag_meant() {
    let form = |tag: &str, field: &str| {
        doc! {"required": ["type", field], "properties": {"type": {"enum": [tag]}, field: {"bsonType": "int"}}}
    };
    let schema = doc! {"oneOf": [form("a", "x"), form("b", "y")]};
    assert_eq!(
        broken(schema.clone(), doc! {"type": "b", "y": 1}),
        Vec::<String>::new()
    );
    assert_eq!(
        broken(schema.clone(), doc! {"type": "b", "y": "1"}),
        ["y type"]
    );
    assert_eq!(broken(schema, doc! {"type": "c"}), [" one_of"]);
}

#[test]
fn messages_never_hold_the_value() {
    let secret = "hunter2-hunter2";
    let rules = doc! {"bsonType": "string", "maxLength": 3, "pattern": "^x", "enum": ["abc"]};
    let validator = Validator::new(&doc! {"properties": {"password": rules}}).unwrap();
    let raw = RawDocumentBuf::try_from(&doc! {"password": secret}).unwrap();
    let error = validator.enforce("users", &raw).unwrap_err();
    assert_eq!(error.fields().len(), 3);
    assert!(!format!("{error:?} {:?}", error.fields()).contains("hunter2"));
    assert_eq!(
        error.message(),
        "collection users: field password breaks rule enum: must be one of \"abc\"; 2 more"
    );
}

#[test]
fn unknown_words_are_unsupported_and_malformed_ones_invalid() {
    let refused = |schema: Document| Validator::new(&schema).unwrap_err();
    let error = refused(doc! {"properties": {"a": {"patternProperties": {}}}});
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(
        error.message().contains("\"patternProperties\" at a"),
        "{error}"
    );
    for schema in [
        doc! {"bsonType": "integer"},
        doc! {"minLength": -1},
        doc! {"required": "title"},
        doc! {"enum": []},
        doc! {"enum": [1, 2, 1.0]},
        doc! {"pattern": "("},
        doc! {"type": "string", "bsonType": "string"},
    ] {
        assert_eq!(
            refused(schema.clone()).kind(),
            ErrorKind::Invalid,
            "{schema}"
        );
    }
}

#[test]
fn malformed_bytes_are_refused_never_a_panic() {
    let validator = Validator::new(
        &doc! {"properties": {"a": {"items": {"properties": {"b": {"bsonType": "int"}}}}}},
    )
    .unwrap();
    let good = bson::serialize_to_vec(&doc! {"a": [{"b": 1}, {"c": "x"}], "d": 1.5}).unwrap();
    for at in 4..good.len() - 1 {
        for value in [0, 1, 3, 4, 5, 0x7F, 0x80, 0xFF] {
            let mut bytes = good.clone();
            bytes[at] = value;
            if let Ok(raw) = RawDocumentBuf::from_bytes(bytes) {
                validator.check(&raw);
            }
        }
    }
}

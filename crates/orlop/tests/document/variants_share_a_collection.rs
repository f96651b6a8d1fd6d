//! Variants share a collection.

use bson::{doc, oid::ObjectId};
use orlop::document::schema::Validator;
use orlop::document::{Document, Timestamp, VariantOf, decode, encode};

use crate::models::{Event, Increase};

fn increase() -> Increase {
    Increase {
        id: "64b002000000000000000001".parse().unwrap(),
        event_date: Timestamp::from_millis(-1),
        delta: i64::MAX,
        currency: "EUR".into(),
    }
}

#[test]
fn a_variant_is_stored_with_its_tag_and_reads_back() {
    let event = increase().into_whole();
    let stored = encode(&event).unwrap();
    let expected = doc! {
        "_id": ObjectId::parse_str("64b002000000000000000001").unwrap(),
        "type": "Increase",
        "eventDate": bson::DateTime::from_millis(-1),
        "delta": i64::MAX,
        "currency": "EUR",
    };
    assert_eq!(bson::Document::try_from(stored.clone()).unwrap(), expected);
    let read: Event = decode(stored.as_bytes()).unwrap();
    assert_eq!(Increase::from_whole(&read), Some(&increase()));
    assert_eq!(Document::id(&read), increase().id);
}

#[test]
fn a_variant_of_a_newer_program_is_kept_to_the_byte() {
    let newer = doc! {"_id": ObjectId::new(), "type": "Split", "ratio": {"$numberLong": "2"}, "at": bson::Timestamp { time: 1, increment: 2 }, "_v": 9_i64};
    let bytes = bson::RawDocumentBuf::try_from(&newer).unwrap();
    let read: Event = decode(bytes.as_bytes()).unwrap();
    assert_eq!(read, Event::Other(newer.clone()));
    assert_eq!(encode(&read).unwrap(), bytes);
    assert!(read.keep().is_none());
    assert_eq!(read.version().map(|version| version.0), Some(9));
    let unfit = doc! {"_id": 5, "type": "Split"};
    let error = decode::<Event>(&bson::serialize_to_vec(&unfit).unwrap()).unwrap_err();
    assert_eq!(
        error.message(),
        "a stored document of events does not fit its type: _id: an id of type objectId was expected"
    );
}

#[test]
fn a_variant_that_does_not_fit_names_the_field() {
    let stored = doc! {"_id": ObjectId::new(), "type": "fix", "eventDate": bson::DateTime::from_millis(0), "rate": "x"};
    let error = decode::<Event>(&bson::serialize_to_vec(&stored).unwrap()).unwrap_err();
    assert_eq!(
        error.message(),
        "a stored document of events does not fit its type: rate: a number was expected"
    );
}

#[test]
fn json_of_a_variant_reads_with_ids_as_text() {
    let json = r#"{"_id": "64b002000000000000000001", "type": "Increase", "eventDate": "1969-12-31T23:59:59.999Z", "delta": 9223372036854775807, "currency": "EUR"}"#;
    assert_eq!(
        serde_json::from_str::<Event>(json).unwrap(),
        increase().into_whole()
    );
}

#[test]
fn one_declaration_covers_all_variants() {
    let declared = Event::declaration();
    let names: Vec<_> = declared
        .indexes
        .iter()
        .map(|index| index.name.as_str())
        .collect();
    assert_eq!(names, ["type_1_eventDate_-1", "delta_1"]);
    assert_eq!(declared.defaults, doc! {});
    let validator = Validator::new(declared.schema.as_ref().unwrap()).unwrap();
    let broken = |document: bson::Document| {
        let raw = bson::RawDocumentBuf::try_from(&document).unwrap();
        let found = validator.check(&raw);
        found
            .into_iter()
            .map(|it| format!("{} {}", it.field, it.rule))
            .collect::<Vec<_>>()
    };
    let at = bson::DateTime::from_millis(0);
    let none = Vec::<String>::new();
    assert_eq!(
        broken(doc! {"_id": ObjectId::new(), "type": "Increase", "eventDate": at, "delta": 1}),
        none
    );
    assert_eq!(
        broken(doc! {"_id": ObjectId::new(), "type": "Increase", "eventDate": at, "delta": "1"}),
        ["delta type"]
    );
    assert_eq!(
        broken(doc! {"_id": ObjectId::new(), "type": "fix", "rate": 1.5}),
        ["eventDate required"]
    );
    assert_eq!(
        broken(doc! {"_id": ObjectId::new(), "type": "Split", "delta": "1"}),
        none
    );
}

#[test]
fn a_write_as_one_variant_knows_its_own_fields_and_the_tag() {
    let names = |shape: &orlop::document::Shape| {
        let names: Vec<_> = shape.fields.iter().map(|known| known.name).collect();
        names.join(" ")
    };
    assert_eq!(
        names(Event::shape()),
        "type _id eventDate delta currency rate"
    );
    let kept = increase().into_whole().keep().unwrap();
    assert_eq!(names(kept), "type _id eventDate delta currency");
}

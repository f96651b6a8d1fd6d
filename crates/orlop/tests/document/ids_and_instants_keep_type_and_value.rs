//! Ids, instants and days through BSON and JSON.

use bson::oid::ObjectId;
use bson::{Bson, doc};
use orlop::document::{Date, Id, Timestamp};
use serde::{Deserialize, Serialize};

struct Task;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Held {
    object: Id<Task>,
    text: Id<Task, String>,
    whole: Id<Task, i64>,
    uuid: Id<Task, bson::Uuid>,
    at: Timestamp,
    day: Date,
}

fn held() -> Held {
    Held {
        object: Id::from_key(ObjectId::parse_str("64b001000000000000000001").unwrap()),
        text: Id::from("a/b\0ü"),
        whole: Id::from(i64::MAX),
        uuid: "936DA01F-9ABD-4D9D-80C7-02AF85C822A8".parse().unwrap(),
        at: Timestamp::from_millis(-3_124_137_599_999),
        day: Date::new(2024, 2, 29).unwrap(),
    }
}

#[test]
fn ids_instants_and_dates_are_stored_as_their_bson_types_and_read_back() {
    let stored = bson::serialize_to_raw_document_buf(&held()).unwrap();
    let document = bson::Document::try_from(stored.as_ref()).unwrap();
    let expected = doc! {
        "object": ObjectId::parse_str("64b001000000000000000001").unwrap(),
        "text": "a/b\0ü",
        "whole": i64::MAX,
        "uuid": bson::Uuid::parse_str("936DA01F-9ABD-4D9D-80C7-02AF85C822A8").unwrap(),
        "at": bson::DateTime::from_millis(-3_124_137_599_999),
        "day": "2024-02-29",
    };
    assert_eq!(document, expected);
    let read: Held = bson::deserialize_from_slice(stored.as_bytes()).unwrap();
    assert_eq!(read, held());
    let through_values: Held = bson::deserialize_from_document(document).unwrap();
    assert_eq!(through_values, held());
}

#[test]
fn plain_json_and_extended_json_both_read() {
    let plain = r#"{"object": "64b001000000000000000001", "text": "a/b\u0000ü", "whole": 9223372036854775807,
        "uuid": "936da01f-9abd-4d9d-80c7-02af85c822a8", "at": "1871-01-01T00:00:00.001Z", "day": "2024-02-29"}"#;
    assert_eq!(serde_json::from_str::<Held>(plain).unwrap(), held());
    let written = serde_json::to_string(&held()).unwrap();
    assert_eq!(serde_json::from_str::<Held>(&written).unwrap(), held());
}

#[test]
fn a_stored_string_is_not_taken_for_an_instant_or_an_object_id() {
    let text = doc! {"at": "1871-01-01T00:00:00.001Z"};
    #[derive(Debug, Deserialize)]
    struct At {
        #[serde(rename = "at")]
        _at: Timestamp,
    }
    let bytes = bson::serialize_to_vec(&text).unwrap();
    assert!(bson::deserialize_from_slice::<At>(&bytes).is_err());
    assert_eq!(
        Bson::from(held().object),
        Bson::ObjectId(*held().object.key())
    );
}

#[test]
fn instants_print_rfc_3339_with_milliseconds_and_read_any_offset() {
    let at: Timestamp = "2023-06-15T14:00:00.5+02:00".parse().unwrap();
    assert_eq!(at.to_string(), "2023-06-15T12:00:00.500Z");
    assert_eq!(
        Timestamp::from_millis(0).to_string(),
        "1970-01-01T00:00:00.000Z"
    );
    assert_eq!(held().at.to_string(), "1871-01-01T00:00:00.001Z");
    assert_eq!(at.to_string().parse::<Timestamp>().unwrap(), at);
    assert!("yesterday".parse::<Timestamp>().is_err());
}

#[test]
fn days_sort_as_their_strings_and_only_real_ones_are_taken() {
    let mut days = ["2024-02-29", "0999-12-31", "9999-12-31", "2023-10-01"]
        .map(|day| day.parse::<Date>().unwrap());
    let mut texts = days.map(|day| day.to_string());
    days.sort();
    texts.sort();
    assert_eq!(days.map(|day| day.to_string()), texts);
    for wrong in [
        "2023-02-29",
        "2023-2-9",
        "2023-06-15T00:00:00Z",
        "-001-01-01",
        "٢٠٢٣-01-01",
        "",
    ] {
        assert!(wrong.parse::<Date>().is_err(), "{wrong}");
    }
}

#[test]
fn a_day_in_a_zone_is_as_long_as_its_clocks_make_it() {
    let hours = |day: &str, zone| {
        let (from, to) = day.parse::<Date>().unwrap().bounds(zone).unwrap();
        (from.to_string(), (to.millis() - from.millis()) / 3_600_000)
    };
    assert_eq!(
        hours("2023-03-26", "Europe/Zurich"),
        ("2023-03-25T23:00:00.000Z".to_owned(), 23)
    );
    assert_eq!(
        hours("2023-10-29", "Europe/Zurich"),
        ("2023-10-28T22:00:00.000Z".to_owned(), 25)
    );
    assert_eq!(
        hours("2023-06-15", "Asia/Kolkata"),
        ("2023-06-14T18:30:00.000Z".to_owned(), 24)
    );
    // Midnight of this day does not exist: clocks went from 00:00 to 01:00.
    assert_eq!(
        hours("2018-11-04", "America/Sao_Paulo"),
        ("2018-11-04T03:00:00.000Z".to_owned(), 23)
    );
    let (from, to) = "2018-11-04"
        .parse::<Date>()
        .unwrap()
        .bounds("America/Sao_Paulo")
        .unwrap();
    assert_eq!(
        Date::of(from, "America/Sao_Paulo").unwrap().to_string(),
        "2018-11-04"
    );
    assert_eq!(
        Date::of(to, "America/Sao_Paulo").unwrap().to_string(),
        "2018-11-05"
    );
    let unknown = "2018-11-04"
        .parse::<Date>()
        .unwrap()
        .bounds("Mars/Olympus")
        .unwrap_err();
    assert_eq!(unknown.message(), "time zone \"Mars/Olympus\" is unknown");
}

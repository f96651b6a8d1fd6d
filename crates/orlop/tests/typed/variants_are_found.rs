//! Variants are found.

use bson::doc;
use orlop::document::{Document, Id, Timestamp, VariantOf};

use crate::memory;

#[derive(Document, Debug, Clone, PartialEq)]
#[document(collection = "events")]
struct Create {
    #[document(id)]
    id: Id<Event, i64>,
    event_date: Timestamp,
    name: String,
}

#[derive(Document, Debug, Clone, PartialEq)]
#[document(collection = "events")]
struct Increase {
    #[document(id)]
    id: Id<Event, i64>,
    event_date: Timestamp,
    delta: i64,
}

#[derive(Document, Debug, Clone, PartialEq)]
#[document(collection = "events", tag = "type")]
#[index(type, event_date)]
#[index(delta)]
enum Event {
    Create(Create),
    Increase(Increase),
    #[document(unknown)]
    Other(bson::Document),
}

fn increase(id: i64, day: i64, delta: i64) -> Event {
    let event_date = Timestamp::from_millis(day * 86_400_000);
    Increase {
        id: id.into(),
        event_date,
        delta,
    }
    .into_whole()
}

#[tokio::test]
async fn a_query_by_variant_and_date_returns_its_type() {
    let events = memory().await.collection::<Event>();
    let create = Create {
        id: 1.into(),
        event_date: Timestamp::from_millis(0),
        name: "x".into(),
    };
    let all = [
        create.clone().into_whole(),
        increase(2, 0, 5),
        increase(3, 1, -5),
        increase(4, 1, 7),
    ];
    events.put_many(&all).await.unwrap();
    let day = "1970-01-02".parse().unwrap();
    let wanted = Increase::delta().gt(0) & Increase::event_date().on_day(day, "UTC");
    let found = events.find_variant::<Increase>(wanted).await.unwrap();
    assert_eq!(
        found
            .iter()
            .map(|it| (*it.id.key(), it.delta))
            .collect::<Vec<_>>(),
        [(4, 7)]
    );
    let creates = events.find_variant::<Create>(doc! {}).await.unwrap();
    assert_eq!(*creates[0], create);
    // A field that a variant lacks is null there.
    let without = events
        .find(Increase::delta().is_null().any_variant())
        .await
        .unwrap();
    assert_eq!(
        without
            .iter()
            .map(|event| *event.id().key())
            .collect::<Vec<_>>(),
        [1]
    );
    let whole = events.get(&2.into()).await.unwrap().unwrap();
    assert_eq!(Increase::from_whole(&whole).map(|it| it.delta), Some(5));
}

#[tokio::test]
async fn a_variant_of_a_newer_program_is_kept_readable_and_written_back_untouched() {
    let db = memory().await;
    let events = db.register::<Event>().await.unwrap();
    let newer = doc! {"_id": 9_i64, "type": "Split", "ratio": 2, "eventDate": bson::DateTime::from_millis(1)};
    db.raw("events").put(newer.clone()).await.unwrap();
    let read = events.get(&9.into()).await.unwrap().unwrap();
    let Event::Other(document) = &*read else {
        panic!("not {read:?}")
    };
    assert_eq!(document.get_i32("ratio").unwrap(), 2);
    events.put(&read).await.unwrap();
    let body = db.raw("events").get(9_i64).await.unwrap().unwrap();
    let mut stored = bson::Document::try_from(body.raw()).unwrap();
    stored.remove("_v");
    assert_eq!(stored, newer);
    assert_eq!(events.count(Event::tag().eq("Split")).await.unwrap(), 1);
    assert_eq!(events.find(doc! {}).await.unwrap().len(), 1);
}

#[tokio::test]
async fn rules_of_a_variant_hold_for_raw_writes() {
    let db = memory().await;
    db.register::<Event>().await.unwrap();
    let wrong = doc! {"_id": 1, "type": "Increase", "eventDate": bson::DateTime::from_millis(1), "delta": "x"};
    let error = db.raw("events").put(wrong).await.unwrap_err();
    assert_eq!(error.fields()[0].field, "delta");
}

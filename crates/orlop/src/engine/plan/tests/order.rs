//! Order, ties, pages and the bound of memory.

use bson::doc;

use super::*;
use crate::ErrorKind;

/// Many documents that tie in `a`.
fn ties() -> World {
    let document = |at: i32| doc! {"_id": at * 7 % 500, "a": at % 3, "b": at % 11, "u": 1};
    World::of(
        &[&[("a", 1)], &[("u", 1), ("a", -1), ("b", 1)]],
        (0..500).map(document),
    )
}

#[test]
fn ties_are_in_order_of_id_forward_and_backward() {
    let world = ties();
    for sort in [
        doc! {"a": 1},
        doc! {"a": -1},
        doc! {"a": -1, "_id": -1},
        doc! {"a": 1, "_id": -1},
        doc! {"a": 1, "b": 1},
        doc! {"a": -1, "b": 1},
        doc! {"a": 1, "b": -1},
        doc! {"_id": -1},
    ] {
        for filter in [doc! {}, doc! {"u": 1}, doc! {"a": {"$gte": 1}}] {
            let all = query(filter).sorted(sort.clone());
            world.check(&all);
            world.check(&all.clone().limited(100));
            world.check(&all.limited(30).skipping(150));
        }
    }
}

#[test]
fn pages_give_every_document_once_and_seek() {
    let world = ties();
    for (sort, filter, at_most) in [
        (doc! {}, doc! {}, 10),
        (doc! {"_id": -1}, doc! {}, 10),
        (doc! {"a": 1}, doc! {}, 10),
        (doc! {"a": -1, "_id": -1}, doc! {}, 10),
        (doc! {"a": -1, "b": 1}, doc! {"u": 1}, 10),
        // Backward the ids of a tie are read forward, after a few backward. A page has two ties.
        (doc! {"a": -1}, doc! {}, 10 + 2 * 64),
    ] {
        let mut seen = Vec::new();
        let whole = query(filter).sorted(sort);
        let mut next = whole.clone().limited(10);
        loop {
            let source = world.source();
            let rows: Result<Vec<_>> = run(&source, &next).unwrap().collect();
            let rows = rows.unwrap();
            let explain = explain(&source, &next).unwrap();
            assert!(explain.keys_examined <= at_most + 1, "{next:?} {explain:?}");
            assert!(explain.documents_examined <= 10, "{next:?} {explain:?}");
            let Some(last) = rows.last() else { break };
            let place = next.sort.sort_key(last.body.raw()).unwrap();
            seen.extend(rows.iter().map(|row| row.body.id().unwrap()));
            assert!(
                seen.len() <= world.documents.len(),
                "a document came twice: {next:?}"
            );
            next = next.behind(place);
        }
        assert_eq!(seen, world.meaning(&whole).unwrap(), "{whole:?}");
    }
}

#[test]
fn a_page_behind_a_document_that_is_gone_goes_on_from_its_place() {
    let world = ties();
    for sort in [
        doc! {"a": 1},
        doc! {"a": -1},
        doc! {"b": 1},
        doc! {"a": 1, "b": -1},
    ] {
        let query = query(doc! {}).sorted(sort);
        let values = vec![Bson::Double(1.0); query.sort.keys.len()];
        for id in [Bson::Double(250.5), Bson::Int32(-1), Bson::from("x")] {
            world.check(&query.clone().behind([values.clone(), vec![id]].concat()));
        }
    }
}

#[test]
fn a_place_of_another_sort_is_refused() {
    let world = ties();
    let query = query(doc! {})
        .sorted(doc! {"a": 1})
        .behind(vec![Bson::Int32(1)]);
    let error = world.run(&query).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(
        error.message(),
        "after has 1 values, the sort and the id need 2"
    );
}

#[test]
fn a_sort_over_its_memory_names_the_index_that_helps() {
    let world = ties();
    let query = query(doc! {"u": 1}).sorted(doc! {"b": -1});
    let within = |query: &Query, bytes| run_within(&world.source(), query, bytes).and_then(ids);
    assert!(within(&query, 1 << 20).is_ok());
    let error = within(&query, 10_000).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let message = error.message();
    assert!(message.contains("over 10000 bytes of memory"), "{message}");
    assert!(message.contains("declare an index u_1_b_-1"), "{message}");
    // The first few fit.
    let first = query.limited(5);
    assert_eq!(
        within(&first, 10_000).unwrap(),
        world.meaning(&first).unwrap()
    );
    // Ids that do not fit are read from the documents, in order anyway.
    let wide = super::query(doc! {"a": {"$gte": 1}});
    assert_eq!(within(&wide, 1_000).unwrap(), world.meaning(&wide).unwrap());
}

#[test]
fn an_entry_without_its_document_is_damage_and_is_named() {
    let world = ties();
    let id = keys::encode_id(&Bson::Int32(7)).unwrap();
    let key = records::document_key(COLLECTION, &id);
    world.kv.write(&mut [(key, None)].into_iter()).unwrap();
    let error = world.run(&query(doc! {"a": 1})).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert_eq!(
        error.message(),
        "index a_1: an entry names a document that is not there"
    );
}

#[test]
fn a_view_is_not_disturbed_by_what_is_written_later() {
    let mut world = ties();
    let cursor = run(&world.source(), &query(doc! {"a": 1})).unwrap();
    let expected = world.meaning(&query(doc! {"a": 1})).unwrap();
    world.put(&doc! {"_id": 1000, "a": 1}).unwrap();
    assert_eq!(ids(cursor).unwrap(), expected);
}

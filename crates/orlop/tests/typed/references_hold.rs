//! References hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bson::doc;
use orlop::document::{Document, Id};
use orlop::{Collection, ErrorKind, Orlop};

use crate::memory;

#[derive(Document, Debug, Clone, PartialEq)]
#[document(collection = "owners")]
struct Owner {
    #[document(id)]
    id: Id<Owner, i64>,
}

#[derive(Document, Debug, Clone, PartialEq)]
#[document(collection = "decks")]
struct Deck {
    #[document(id)]
    id: Id<Deck, i64>,
    #[document(references = Owner, on_delete = cascade)]
    owner: Id<Owner, i64>,
    #[document(references = Owner, on_delete = set_null, default)]
    members: Vec<Id<Owner, i64>>,
}

#[derive(Document, Debug, Clone, PartialEq)]
#[document(collection = "cards")]
struct Card {
    #[document(id)]
    id: Id<Card, i64>,
    #[document(references = Deck, on_delete = cascade)]
    deck: Option<Id<Deck, i64>>,
    #[document(references = Owner, on_delete = set_null)]
    reviewer: Option<Id<Owner, i64>>,
    #[document(references = Owner, on_delete = restrict)]
    payer: Option<Id<Owner, i64>>,
    #[document(references = Card)]
    parent: Option<Id<Card, i64>>,
}

fn owner(id: i64) -> Owner {
    Owner { id: id.into() }
}

fn deck(id: i64, owner: i64) -> Deck {
    Deck {
        id: id.into(),
        owner: owner.into(),
        members: vec![],
    }
}

fn card(id: i64) -> Card {
    Card {
        id: id.into(),
        deck: None,
        reviewer: None,
        payer: None,
        parent: None,
    }
}

struct All {
    db: Orlop,
    owners: Collection<Owner>,
    decks: Collection<Deck>,
    cards: Collection<Card>,
}

async fn all() -> All {
    let db = memory().await;
    let owners = db.register::<Owner>().await.unwrap();
    let decks = db.register::<Deck>().await.unwrap();
    let cards = db.register::<Card>().await.unwrap();
    owners
        .put_many(&[owner(1), owner(2), owner(3)])
        .await
        .unwrap();
    let members = vec![2.into(), 3.into()];
    decks
        .put(&Deck {
            members,
            ..deck(1, 1)
        })
        .await
        .unwrap();
    All {
        db,
        owners,
        decks,
        cards,
    }
}

#[track_caller]
fn names_nothing<T: std::fmt::Debug>(result: orlop::Result<T>, field: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    let fields: Vec<_> = error
        .fields()
        .iter()
        .map(|it| (it.field.as_str(), it.rule.as_str()))
        .collect();
    assert_eq!(fields, [(field, "references")], "{error}");
}

#[tokio::test]
async fn a_write_that_names_what_is_not_there_is_refused() {
    let All {
        owners,
        decks,
        cards,
        ..
    } = all().await;
    let orphan = deck(2, 9);
    names_nothing(decks.put(&orphan).await, "owner");
    names_nothing(decks.try_add(&orphan).await, "owner");
    names_nothing(decks.put_many([&orphan]).await, "owner");
    let members = vec![1.into(), 8.into()];
    names_nothing(
        decks
            .put(&Deck {
                members,
                ..deck(2, 1)
            })
            .await,
        "members",
    );
    let nobody = Id::from(9);
    names_nothing(
        decks.update_one(&1.into(), Deck::owner().set(nobody)).await,
        "owner",
    );
    names_nothing(
        decks
            .update_one(&1.into(), Deck::members().push(nobody))
            .await,
        "members",
    );
    names_nothing(
        decks
            .update_one(&1.into(), doc! {"$set": {"members.0": 9}})
            .await,
        "members",
    );
    names_nothing(
        decks.update_many(doc! {}, Deck::owner().set(nobody)).await,
        "owner",
    );
    names_nothing(
        decks.modify(&1.into(), |deck| deck.owner = nobody).await,
        "owner",
    );
    assert_eq!(decks.count(doc! {}).await.unwrap(), 1);
    owners.put(&owner(9)).await.unwrap();
    decks.put(&orphan).await.unwrap();
    decks
        .update_one(&1.into(), [Deck::owner().set(nobody)])
        .await
        .unwrap();
    // One of the same batch is there.
    let child = Card {
        parent: Some(11.into()),
        ..card(12)
    };
    cards.put_many(&[child, card(11)]).await.unwrap();
    let itself = Card {
        parent: Some(13.into()),
        ..card(13)
    };
    cards.put(&itself).await.unwrap();
}

#[tokio::test]
async fn a_condition_that_fails_is_told_before_a_reference_that_does() {
    let All { decks, .. } = all().await;
    let error = decks
        .update_if(&deck(1, 9), Deck::owner().eq(Id::from(2)))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
}

#[tokio::test]
async fn restrict_refuses_the_delete_until_nothing_refers() {
    let All { owners, cards, .. } = all().await;
    cards
        .put(&Card {
            payer: Some(2.into()),
            ..card(1)
        })
        .await
        .unwrap();
    let error = owners.delete(&2.into()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.message().contains("cards"), "{error}");
    assert!(owners.get(&2.into()).await.unwrap().is_some());
    cards.delete(&1.into()).await.unwrap();
    assert!(owners.delete(&2.into()).await.unwrap());
}

#[tokio::test]
async fn cascade_and_set_null_go_with_the_delete_all_or_nothing() {
    let All {
        db,
        owners,
        decks,
        cards,
    } = all().await;
    let on_deck = Card {
        deck: Some(1.into()),
        reviewer: Some(3.into()),
        ..card(1)
    };
    let reviewed = Card {
        reviewer: Some(1.into()),
        ..card(2)
    };
    cards.put_many(&[on_deck, reviewed, card(3)]).await.unwrap();
    let before = db.snapshot().await.unwrap().seq().unwrap();
    assert!(owners.delete(&1.into()).await.unwrap());
    assert_eq!(
        db.snapshot().await.unwrap().seq().unwrap(),
        before + 1,
        "one commit"
    );
    assert_eq!(decks.count(doc! {}).await.unwrap(), 0);
    let left = cards.find(doc! {}).await.unwrap();
    let left: Vec<_> = left.iter().map(|card| card.as_ref().clone()).collect();
    assert_eq!(left, [card(2), card(3)]);
}

#[tokio::test]
async fn a_member_who_goes_is_taken_out_of_the_list() {
    let All { owners, decks, .. } = all().await;
    let gone = Owner::id().is_in([Id::from(2), Id::from(7)]);
    assert_eq!(owners.delete_many(gone).await.unwrap(), 1);
    assert_eq!(
        decks.get(&1.into()).await.unwrap().unwrap().members,
        [Id::from(3)]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn deletes_and_references_that_race_never_leave_an_orphan() {
    for round in 0..30 {
        let All { owners, decks, .. } = all().await;
        let (decks_too, owners_too) = (decks.clone(), owners.clone());
        let gone = Arc::new(AtomicBool::new(false));
        let gone_too = Arc::clone(&gone);
        // Writes go on beside the delete, and one comes behind it.
        let puts = tokio::spawn(async move {
            for id in 5..15 {
                let _ = decks_too.put(&deck(id, 3)).await;
            }
            while !gone_too.load(Ordering::SeqCst) {
                tokio::task::yield_now().await;
            }
            decks_too.put(&deck(15, 3)).await
        });
        let deleted = tokio::spawn(async move {
            let deleted = owners_too.delete(&3.into()).await;
            gone.store(true, Ordering::SeqCst);
            deleted
        });
        names_nothing(puts.await.unwrap(), "owner");
        assert!(deleted.await.unwrap().unwrap());
        let orphans = decks.count(Deck::owner().eq(Id::from(3))).await.unwrap();
        assert_eq!(orphans, 0, "round {round}");
    }
}

#[tokio::test]
async fn a_delete_inside_a_transaction_follows_the_rules_too() {
    let All {
        db,
        owners,
        decks,
        cards,
    } = all().await;
    cards
        .put(&Card {
            payer: Some(2.into()),
            ..card(1)
        })
        .await
        .unwrap();
    let delete = async |id: i64| {
        db.transaction(async |tx| tx.collection::<Owner>().delete(&id.into()).await)
            .await
    };
    assert_eq!(delete(2).await.unwrap_err().kind(), ErrorKind::Invalid);
    assert!(delete(1).await.unwrap());
    assert!(!delete(1).await.unwrap());
    assert_eq!(
        (
            owners.count(doc! {}).await.unwrap(),
            decks.count(doc! {}).await.unwrap()
        ),
        (2, 0)
    );
}

#[tokio::test]
async fn targets_are_loaded_in_one_read() {
    let All {
        db, decks, cards, ..
    } = all().await;
    decks.put(&deck(2, 2)).await.unwrap();
    let on = |id: i64, deck: i64| Card {
        deck: Some(deck.into()),
        ..card(id)
    };
    cards
        .put_many(&[on(1, 1), on(2, 2), on(3, 1), card(4)])
        .await
        .unwrap();
    let found = cards.find(doc! {}).await.unwrap();
    let before = db.cache_stats().loads;
    let decks = cards
        .fetch_refs::<Deck, _>(&found, |card| card.deck)
        .await
        .unwrap();
    assert_eq!(db.cache_stats().loads, before + 1);
    let key = |deck: &Option<orlop::cache::Doc<Deck>>| deck.as_ref().map(|deck| *deck.id.key());
    let ids: Vec<Vec<_>> = decks
        .iter()
        .map(|decks| decks.iter().map(key).collect())
        .collect();
    assert_eq!(ids, [vec![Some(1)], vec![Some(2)], vec![Some(1)], vec![]]);
}

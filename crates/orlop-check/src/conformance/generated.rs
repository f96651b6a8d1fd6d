//! The property: on generated data an engine answers what the evaluator says, with and without
//! indexes, after every kind of write.

use bson::{Bson, Document, RawDocumentBuf, doc};
use orlop::engine::{Action, Guard};

use super::Outcome;
use super::store::{Store, change, put};
use crate::generate::{self, World};
use crate::meaning;
use crate::random::{Random, seed};

/// Worlds tried; each has this many queries before and after writes.
const WORLDS: usize = 40;
const QUERIES: usize = 25;
const SEED: u64 = 7;

pub(super) async fn queries_mean_what_the_evaluator_says(store: Store) -> Outcome {
    let seed = seed(SEED);
    let mut random = Random::new(seed);
    let compound = doc! { "a": 1, "b": -1 };
    let indexes = vec![
        doc! { "key": { "a": 1 } },
        doc! { "key": { "b": -1 } },
        doc! { "key": { "c": 1 }, "sparse": true },
        doc! { "key": { "a.b": 1 } },
        doc! { "key": { "d.a": -1 } },
    ];
    store.declare("single", doc! { "indexes": indexes }).await?;
    store
        .declare("compound", doc! { "indexes": [{ "key": compound }] })
        .await?;
    let mut compared = 0;
    for number in 0..WORLDS {
        let world = World::new(&mut random, 30);
        for collection in ["plain", "single", "compound"] {
            let label = || format!("SEED={seed} world {number}, {collection}");
            let Some(mut documents) = load(&store, collection, &world).await? else {
                continue;
            };
            compared +=
                compare(&store, &mut random, collection, &documents, &world, &label).await?;
            rewrite(&store, &mut random, collection, &mut documents).await?;
            compared +=
                compare(&store, &mut random, collection, &documents, &world, &label).await?;
        }
    }
    assert!(
        compared > WORLDS * QUERIES,
        "only {compared} queries were compared"
    );
    store.is_sound().await
}

/// None when the documents cannot be in the collection's indexes: MongoDB's refuse some, too.
async fn load(
    store: &Store,
    collection: &str,
    world: &World,
) -> Result<Option<Vec<RawDocumentBuf>>, libtest_mimic::Failed> {
    let mut changes = vec![change(collection, Bson::Null, Guard::Any, Action::Truncate)];
    changes.extend(
        world
            .documents
            .iter()
            .map(|document| put(collection, document.clone(), Guard::Absent)),
    );
    match store.commit(changes).await {
        Ok(_) => {}
        Err(error) if error.message().contains("index ") => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    let raw = |document: &Document| RawDocumentBuf::try_from(document);
    let documents = world.documents.iter().map(raw).collect::<Result<_, _>>()?;
    Ok(Some(meaning::in_order(documents)))
}

/// Deletes some and writes others anew under the same ids.
async fn rewrite(
    store: &Store,
    random: &mut Random,
    collection: &str,
    documents: &mut Vec<RawDocumentBuf>,
) -> Outcome {
    let mut kept = Vec::new();
    for document in documents.drain(..) {
        let id = meaning::id(&document);
        match random.index(4) {
            0 => {
                store
                    .one(change(collection, id, Guard::Present, Action::Delete))
                    .await?;
            }
            1 => {
                let edited = doc! { "_id": id, "a": generate::value(random, 2), "d": generate::value(random, 1) };
                match store
                    .one(put(collection, edited.clone(), Guard::Present))
                    .await
                {
                    Ok(_) => kept.push(RawDocumentBuf::try_from(&edited)?),
                    Err(error) if error.message().contains("index ") => kept.push(document),
                    Err(error) => return Err(error.into()),
                }
            }
            _ => kept.push(document),
        }
    }
    *documents = kept;
    Ok(())
}

async fn compare(
    store: &Store,
    random: &mut Random,
    collection: &str,
    documents: &[RawDocumentBuf],
    world: &World,
    label: &(impl Fn() -> String + Sync),
) -> Result<usize, libtest_mimic::Failed> {
    let mut compared = 0;
    for _ in 0..QUERIES {
        let asked = asked(random, world);
        let Ok(meant) = meaning::find(documents, &asked) else {
            // Refused, or not, by which document is looked at first.
            continue;
        };
        let meant: Vec<Document> = meant
            .into_iter()
            .map(Document::try_from)
            .collect::<Result<_, _>>()?;
        let found = store
            .find(collection, asked.clone())
            .await
            .map_err(|error| format!("{}: {asked}: {error:?}", label()))?;
        let bytes = |documents: &[Document]| {
            documents
                .iter()
                .map(Document::to_vec)
                .collect::<Result<Vec<_>, _>>()
        };
        if bytes(&found)? != bytes(&meant)? {
            return Err(format!("{}: {asked}\nfound {found:?}\nmeant {meant:?}", label()).into());
        }
        let counted = store
            .engine
            .count(meaning::query(collection, &asked)?)
            .await?;
        assert_eq!(counted, meant.len() as u64, "{}: count of {asked}", label());
        compared += 1;
    }
    Ok(compared)
}

fn asked(random: &mut Random, world: &World) -> Document {
    let mut asked = doc! { "filter": generate::filter(random, world, 2) };
    if random.chance(60) {
        asked.insert("sort", generate::sort(random));
    }
    if random.chance(20) {
        asked.insert("skip", random.index(5) as i64);
    }
    if random.chance(30) {
        asked.insert("limit", 1 + random.index(6) as i64);
    }
    asked
}

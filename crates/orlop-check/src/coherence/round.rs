//! One round: the threads and their calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bson::{Bson, doc};
use orlop::collection::Raw;
use orlop::document::Revision;
use orlop::engine::{Action, Batch, Change, Durability, Guard, Put, Query};
use orlop::pack::Body;
use orlop::query::{Expr, Pred};
use orlop::{Error, ErrorKind, Orlop, Result};
use tokio::runtime::{Builder, Runtime};

use super::Load;
use super::timeline::{Call, Deed, Image, Seen};
use crate::random::Random;

/// The field that is the scope.
pub(super) const SCOPE: &str = "s";
/// The field that no two writes share.
const NUMBER: &str = "n";

/// Readings of the one clock of all calls. Sequentially consistent, so that a call that began
/// behind another's end has the higher reading.
static TIME: AtomicU64 = AtomicU64::new(1);
/// Numbers of writes.
static WRITTEN: AtomicU64 = AtomicU64::new(1);

fn now() -> u64 {
    TIME.fetch_add(1, Ordering::SeqCst)
}

/// A runtime for one thread.
pub(super) fn runtime() -> Runtime {
    Builder::new_current_thread()
        .build()
        .expect("a runtime of one thread needs no resources")
}

/// Empties the collection.
pub(super) async fn empty(db: &Orlop, collection: &str) -> Result<u64> {
    let batch = Batch {
        changes: vec![change(collection, 0, Guard::Any, Action::Truncate)],
        durability: Durability::Memory,
        ..Batch::default()
    };
    Ok(db.commit(batch).await?.seq)
}

/// Runs the threads until they read `reads` times together.
pub(super) fn run(
    db: &Orlop,
    load: &Arc<Load>,
    reads: u64,
    random: &mut Random,
) -> Result<Vec<Call>> {
    let each = reads / load.threads as u64 + 1;
    let threads: Vec<_> = (0..load.threads)
        .map(|_| {
            let mut worker = Worker {
                raw: db.raw(load.collection.as_str()),
                load: Arc::clone(load),
                random: Random::new(random.number()),
                calls: Vec::new(),
                reads: 0,
            };
            std::thread::spawn(move || {
                runtime().block_on(async {
                    while worker.reads < each {
                        worker.call().await?;
                    }
                    Ok::<_, Error>(worker.calls)
                })
            })
        })
        .collect();
    let mut calls = Vec::new();
    for thread in threads {
        calls.extend(thread.join().map_err(|_| lost())??);
    }
    Ok(calls)
}

fn lost() -> Error {
    Error::new(
        ErrorKind::Internal,
        "a thread of the coherence run panicked",
    )
}

/// What a document says.
#[derive(Debug)]
struct Task {
    id: u32,
    scope: u32,
    number: u64,
}

fn task(body: &Body) -> Result<Task> {
    let field = |name| match body.raw().get(name) {
        Ok(Some(bson::RawBsonRef::Int64(value))) => Ok(value as u64),
        _ => Err(Error::corrupt(format!("a document has no {name}"))),
    };
    Ok(Task {
        id: field("_id")? as u32,
        scope: field(SCOPE)? as u32,
        number: field(NUMBER)?,
    })
}

impl Task {
    fn image(&self, revision: Revision) -> Image {
        Image {
            version: revision.0,
            scope: self.scope,
            number: self.number,
        }
    }
}

struct Worker {
    raw: Raw,
    load: Arc<Load>,
    random: Random,
    calls: Vec<Call>,
    reads: u64,
}

impl Worker {
    async fn call(&mut self) -> Result<()> {
        if self.random.below(1000) < self.load.writes_per_mille {
            return self.write().await;
        }
        self.reads += 1;
        let invoke = now();
        let seen = match self.random.below(100) {
            0..60 => self.get().await?,
            60..75 => self.get_raw().await?,
            75..85 => self.get_many().await?,
            _ => self.list().await?,
        };
        self.push(invoke, Deed::Saw(seen));
        Ok(())
    }

    fn push(&mut self, invoke: u64, deed: Deed) {
        self.calls.push(Call {
            invoke,
            answer: now(),
            deed,
        });
    }

    fn document(&mut self) -> u32 {
        self.random.below(u64::from(self.load.documents)) as u32
    }

    fn scope(&mut self) -> u32 {
        self.random.below(u64::from(self.load.scopes)) as u32
    }

    async fn get(&mut self) -> Result<Seen> {
        let id = self.document();
        let found = self.raw.cached_get(i64::from(id), task).await?;
        Ok(Seen::One(
            id,
            found.map(|found| found.image(found.revision())),
        ))
    }

    async fn get_raw(&mut self) -> Result<Seen> {
        let id = self.document();
        let found = self.raw.get(i64::from(id)).await?;
        let image = found.map(|body| Ok::<_, Error>(task(&body)?.image(body_revision(&body)?)));
        Ok(Seen::One(id, image.transpose()?))
    }

    async fn get_many(&mut self) -> Result<Seen> {
        let mut ids: Vec<u32> = (0..3).map(|_| self.document()).collect();
        ids.sort_unstable();
        ids.dedup();
        let keys: Vec<Bson> = ids.iter().map(|id| Bson::Int64(i64::from(*id))).collect();
        let (found, _) = self.raw.cached_many(&keys, task).await?;
        let images = found
            .iter()
            .map(|found| found.as_ref().map(|found| found.image(found.revision())));
        Ok(Seen::Many(ids.into_iter().zip(images).collect()))
    }

    async fn list(&mut self) -> Result<Seen> {
        let scope = self.scope();
        let (found, _) = self.raw.cached_list(self.query(scope), task).await?;
        let images = found
            .iter()
            .map(|found| (found.id, found.image(found.revision())));
        Ok(Seen::List(scope, images.collect()))
    }

    fn query(&self, scope: u32) -> Query {
        let mut query = self.raw.query();
        query.filter = Expr::Field(SCOPE.into(), Pred::Eq(Bson::Int64(i64::from(scope))));
        query
    }

    async fn write(&mut self) -> Result<()> {
        match self.random.below(1000) {
            0..500 => self.put(1, Guard::Any).await,
            500..650 => self.put(2, Guard::Any).await,
            650..800 => self.compare_and_put().await,
            800..995 => self.delete().await,
            _ => {
                let invoke = now();
                let version = empty(self.raw.db(), &self.load.collection).await?;
                self.push(invoke, Deed::Emptied(version));
                Ok(())
            }
        }
    }

    async fn put(&mut self, documents: usize, guard: Guard) -> Result<()> {
        let first = self.document();
        // Neighbours, so that two documents of one batch are often read together.
        let ids = (0..documents as u32).map(|step| (first + step) % self.load.documents);
        let ids: Vec<u32> = ids.collect();
        self.put_ids(&ids, &guard, None).await
    }

    /// Puts a document over the revision that was just read, or over none.
    async fn compare_and_put(&mut self) -> Result<()> {
        let id = self.document();
        let found = self.raw.cached_get(i64::from(id), task).await?;
        let revision = found.map(|found| found.revision());
        let guard = revision.map_or(Guard::Absent, Guard::Revision);
        self.put_ids(
            &[id],
            &guard,
            Some(revision.map_or(0, |revision| revision.0)),
        )
        .await
    }

    async fn put_ids(&mut self, ids: &[u32], guard: &Guard, over: Option<u64>) -> Result<()> {
        let mut images = Vec::new();
        let mut batch = Batch {
            durability: Durability::Memory,
            ..Batch::default()
        };
        for id in ids {
            let (scope, number) = (self.scope(), WRITTEN.fetch_add(1, Ordering::Relaxed));
            let document =
                doc! { "_id": i64::from(*id), SCOPE: i64::from(scope), NUMBER: number as i64 };
            let put = Put {
                document: bson::RawDocumentBuf::try_from(&document)
                    .map_err(|error| Error::invalid(format!("a document: {error}")))?,
                keep: None,
            };
            let guard = guard.clone();
            let put = change(&self.load.collection, *id, guard, Action::Put(put));
            batch.changes.push(put);
            images.push((*id, scope, number));
        }
        let invoke = now();
        let commit = match self.raw.db().commit(batch).await {
            Ok(commit) => commit,
            Err(error) if error.kind() == ErrorKind::Conflict => return Ok(()),
            Err(error) => return Err(error),
        };
        let image = |(id, scope, number): (u32, u32, u64)| {
            let version = commit.seq;
            let image = Image {
                version,
                scope,
                number,
            };
            (id, Some(image))
        };
        let images = images.into_iter().map(image).collect();
        self.push(invoke, Deed::Wrote(commit.seq, images, over));
        Ok(())
    }

    async fn delete(&mut self) -> Result<()> {
        let id = self.document();
        let batch = Batch {
            changes: vec![change(
                &self.load.collection,
                id,
                Guard::Any,
                Action::Delete,
            )],
            durability: Durability::Memory,
            ..Batch::default()
        };
        let invoke = now();
        let commit = self.raw.db().commit(batch).await?;
        let deleted = commit
            .applied
            .iter()
            .any(|applied| matches!(applied.effect, orlop::engine::Effect::Deleted));
        let deed = match deleted {
            true => Deed::Wrote(commit.seq, vec![(id, None)], None),
            // Deleting what is absent sees that it is.
            false => Deed::Saw(Seen::One(id, None)),
        };
        self.push(invoke, deed);
        Ok(())
    }
}

fn body_revision(body: &Body) -> Result<Revision> {
    body.revision()
        .ok_or_else(|| Error::corrupt("a document has no revision"))
}

fn change(collection: &str, id: u32, guard: Guard, action: Action) -> Change {
    Change {
        collection: collection.into(),
        id: Bson::Int64(i64::from(id)),
        guard,
        action,
    }
}

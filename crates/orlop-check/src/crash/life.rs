//! One life of a process on a store: it verifies what the last one left, then writes until it is
//! killed, telling what it was told.

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bson::{Bson, Document, doc};
use futures_util::StreamExt;
use orlop::document::Declaration;
use orlop::engine::{LocalSettings, Query};
use orlop::query::{Expr, Sort};
use orlop::{ErrorKind, Orlop, Settings};

use super::work::{COLLECTIONS, Docs, op};

/// One writer, as far as it is known: how many operations are done, and its documents after them.
#[derive(Debug, Clone, Default)]
pub struct Writer {
    /// Operations done.
    pub done: u64,
    /// Its documents after them.
    pub docs: Docs,
}

/// What a life must find.
#[derive(Debug, Clone)]
pub struct Expected {
    /// The seed of the workload.
    pub seed: u64,
    /// Its writers.
    pub writers: Vec<Writer>,
}

/// What a life says, a line each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// It found this writer after so many operations.
    Found(u64, u64),
    /// It found everything as it must be, and begins to write.
    Ready,
    /// So many operations of this writer were answered.
    Done(u64, u64),
}

impl Told {
    /// The line that says it.
    pub fn line(self) -> String {
        match self {
            Self::Found(writer, done) => format!("found {writer} {done}\n"),
            Self::Ready => "ready\n".to_owned(),
            Self::Done(writer, done) => format!("done {writer} {done}\n"),
        }
    }

    /// What a whole line says; none when it says nothing of that.
    pub fn of(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let told = words.next()?;
        let mut number = || words.next()?.parse().ok();
        match told {
            "found" => Some(Self::Found(number()?, number()?)),
            "done" => Some(Self::Done(number()?, number()?)),
            "ready" => Some(Self::Ready),
            _ => None,
        }
    }
}

impl Expected {
    /// Nothing done yet.
    pub fn new(seed: u64, writers: u64) -> Self {
        Self {
            seed,
            writers: vec![Writer::default(); writers as usize],
        }
    }

    /// Brings `writer` to `done` operations.
    pub fn advance(&mut self, writer: u64, done: u64) {
        if let Some(known) = self.writers.get_mut(writer as usize) {
            known.advance(self.seed, writer, done);
        }
    }

    /// As one document, for a life to read.
    pub fn to_document(&self) -> Document {
        let writers = self.writers.iter().map(|writer| {
            let docs = writer.docs.iter().map(|((collection, id), document)| {
                Bson::Document(doc! { "in": collection, "id": id, "is": document.clone() })
            });
            let docs: Vec<Bson> = docs.collect();
            Bson::Document(doc! { "done": writer.done as i64, "docs": docs })
        });
        let writers: Vec<Bson> = writers.collect();
        doc! { "seed": self.seed as i64, "writers": writers }
    }

    /// What [`Expected::to_document`] made.
    ///
    /// # Errors
    /// Names the field that is missing or of another type.
    pub fn from_document(document: &Document) -> Result<Self, String> {
        let wrong = |error: bson::error::Error| error.to_string();
        let mut expected = Self::new(document.get_i64("seed").map_err(wrong)? as u64, 0);
        for writer in document.get_array("writers").map_err(wrong)? {
            let writer = writer.as_document().ok_or("a writer is no document")?;
            let mut known = Writer {
                done: writer.get_i64("done").map_err(wrong)? as u64,
                docs: Docs::new(),
            };
            for entry in writer.get_array("docs").map_err(wrong)? {
                let entry = entry.as_document().ok_or("an entry is no document")?;
                let place = (
                    entry.get_str("in").map_err(wrong)?.to_owned(),
                    entry.get_str("id").map_err(wrong)?.to_owned(),
                );
                let document = entry.get_document("is").map_err(wrong)?;
                known.docs.insert(place, document.clone());
            }
            expected.writers.push(known);
        }
        Ok(expected)
    }
}

impl Writer {
    fn advance(&mut self, seed: u64, writer: u64, done: u64) {
        while self.done < done {
            op(seed, writer, self.done).apply(&mut self.docs);
            self.done += 1;
        }
    }
}

/// Where a life happens and what it finds.
#[derive(Debug, Clone)]
pub struct Life<'a> {
    /// The store's folder.
    pub folder: &'a Path,
    /// What must be there.
    pub expected: Expected,
}

/// The settings of a life: history is short and upkeep runs all the time, so that flushes, merges
/// and retention are killed in the middle too.
pub fn settings() -> Settings {
    Settings {
        local: LocalSettings {
            feed_bytes: 1024 * 1024,
            upkeep_interval: Duration::from_millis(50),
            space_floor_bytes: 0,
            ..LocalSettings::default()
        },
        ..Settings::default()
    }
}

/// Verifies the store, says so, then writes for ever.
///
/// # Errors
/// Whatever is not as it must be, named.
pub async fn live(life: Life<'_>, out: impl Write + Send + 'static) -> Result<(), String> {
    let folder = life
        .folder
        .to_str()
        .ok_or("the folder's name is not UTF-8")?;
    let db = Orlop::open_with(folder, settings()).await;
    let db = db.map_err(|error| format!("opening: {error:?}"))?;
    declare(&db)
        .await
        .map_err(|error| format!("declaring: {error:?}"))?;
    let report = db
        .check()
        .await
        .map_err(|error| format!("check: {error:?}"))?;
    if !report.damage.is_empty() {
        return Err(format!("check: {:?}", report.damage));
    }
    let out = Arc::new(Mutex::new(out));
    let seed = life.expected.seed;
    let mut writers = Vec::new();
    for (number, mut writer) in (0..).zip(life.expected.writers) {
        let found = matches(&db, seed, number, &writer, 1).await?;
        writer.advance(seed, number, found);
        tell(&out, Told::Found(number, found))?;
        writers.push((number, writer));
    }
    tell(&out, Told::Ready)?;
    let mut tasks = Vec::new();
    for (number, writer) in writers {
        tasks.push(tokio::spawn(write(
            db.clone(),
            seed,
            number,
            writer,
            out.clone(),
        )));
    }
    for task in tasks {
        task.await.map_err(|error| error.to_string())??;
    }
    Ok(())
}

/// Declares the collections of the workload.
///
/// # Errors
/// As [`Orlop::declare`].
pub async fn declare(db: &Orlop) -> orlop::Result<()> {
    let unique =
        doc! { "indexes": [{ "key": { "email": 1 }, "unique": true }, { "key": { "writer": 1 } }] };
    let plain = doc! { "indexes": [{ "key": { "writer": 1, "n": -1 } }] };
    for (collection, form) in COLLECTIONS.iter().zip([unique, plain]) {
        let declaration = Declaration::from_document(&form)?;
        db.declare(collection, &declaration).await?;
    }
    Ok(())
}

/// After how many operations the store shows `writer`: as many as are done, or up to `more`.
///
/// # Errors
/// The store shows something else, read by id, by an index or by a scan.
pub async fn matches(
    db: &Orlop,
    seed: u64,
    number: u64,
    writer: &Writer,
    more: u64,
) -> Result<u64, String> {
    let mut stored = Docs::new();
    for collection in COLLECTIONS {
        // By the index, and by a scan: the second filter fits no index.
        let indexed = rows(db, collection, doc! { "writer": number as i64 }).await?;
        let scanned = rows(db, collection, doc! { "pad": { "$exists": true } }).await?;
        let of_writer =
            |document: &Document| document.get_i64("writer").ok() == Some(number as i64);
        let mut scanned: Vec<Document> = scanned.into_iter().filter(of_writer).collect();
        let mut sorted = indexed.clone();
        let id = |document: &Document| document.get_str("_id").unwrap_or_default().to_owned();
        scanned.sort_by_key(id);
        sorted.sort_by_key(id);
        if sorted != scanned {
            return Err(format!(
                "writer {number}: {collection} differs by index and by scan"
            ));
        }
        for document in indexed {
            let id = id(&document);
            let read = db.raw(collection).get(Bson::String(id.clone())).await;
            let read = read.map_err(|error| format!("get {collection} {id}: {error:?}"))?;
            let read = read.map(|body| plain(body.raw())).transpose()?;
            if read.as_ref() != Some(&document) {
                return Err(format!("{collection} {id} differs by id and by index"));
            }
            stored.insert((collection.to_owned(), id), document);
        }
    }
    let mut known = writer.clone();
    for _ in 0..=more {
        if known.docs == stored {
            return Ok(known.done);
        }
        let next = known.done + 1;
        known.advance(seed, number, next);
    }
    Err(difference(number, writer, &stored))
}

async fn rows(db: &Orlop, collection: &str, filter: Document) -> Result<Vec<Document>, String> {
    let failed = |error: orlop::Error| format!("query of {collection}: {error:?}");
    let query = Query {
        collection: Arc::from(collection),
        filter: Expr::parse(&filter).map_err(failed)?,
        sort: Sort::default(),
        projection: None,
        skip: 0,
        limit: None,
        after: None,
    };
    let mut rows = db.engine().query(query).await.map_err(failed)?;
    let mut documents = Vec::new();
    while let Some(row) = rows.next().await {
        documents.push(plain(row.map_err(failed)?.body.raw())?);
    }
    Ok(documents)
}

fn plain(raw: &bson::RawDocument) -> Result<Document, String> {
    let mut document = Document::try_from(raw).map_err(|error| error.to_string())?;
    document.remove("_v");
    Ok(document)
}

fn difference(number: u64, writer: &Writer, stored: &Docs) -> String {
    let mut lines = vec![format!(
        "writer {number}: not as after {} operations, nor as after the next",
        writer.done
    )];
    let places = writer.docs.keys().chain(stored.keys());
    let places: std::collections::BTreeSet<_> = places.collect();
    let n = |docs: &Docs, place: &(String, String)| {
        docs.get(place)
            .map(|document| document.get_i64("n").unwrap_or(-1))
    };
    for place in places {
        let (known, found) = (n(&writer.docs, place), n(stored, place));
        if known != found {
            lines.push(format!("{place:?}: expected n {known:?}, stored {found:?}"));
        }
    }
    lines.join("; ")
}

async fn write(
    db: Orlop,
    seed: u64,
    number: u64,
    mut writer: Writer,
    out: Arc<Mutex<impl Write>>,
) -> Result<(), String> {
    loop {
        let next = op(seed, number, writer.done);
        let batch = next.batch().map_err(|error| error.to_string())?;
        let outcome = match db.commit(batch).await {
            Ok(_) => true,
            Err(error) if refused(error.kind()) => false,
            Err(error) => return Err(format!("writer {number}: {error:?}")),
        };
        if next.apply(&mut writer.docs) != outcome {
            let n = writer.done;
            return Err(format!(
                "writer {number}, operation {n}: applied is {outcome}"
            ));
        }
        writer.done += 1;
        tell(&out, Told::Done(number, writer.done))?;
    }
}

fn refused(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Conflict | ErrorKind::AlreadyExists)
}

/// One call of the system for a line: what was told stays in the pipe when the process dies.
fn tell(out: &Mutex<impl Write>, told: Told) -> Result<(), String> {
    let mut out = out.lock().map_err(|_| "a teller panicked")?;
    let line = told.line();
    out.write_all(line.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| error.to_string())
}

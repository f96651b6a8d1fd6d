//! `import`: documents of a file into a collection.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use bytes::Bytes;
use orlop::{Error, Result};
use serde::de::{Deserializer as _, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::args::ImportArgs;
use super::client::{Call, Client};
use super::{Outcome, terminal};
use crate::{ejson, ids};

/// Documents, and bytes, of one request.
const CHUNK_LINES: usize = 1_000;
const CHUNK_BYTES: usize = 4 * 1024 * 1024;

/// One document of the file, or why it is none.
struct Item {
    /// Line in the file, or position in its array, from 1.
    number: u64,
    /// Bytes of the file read so far.
    read: u64,
    text: Result<Vec<u8>>,
}

pub(super) async fn run(client: &Client, args: &ImportArgs, json: bool) -> Outcome {
    let (source, length) = open(&args.file)?;
    let bar = terminal::progress(length, true, json);
    let (sender, mut items) = mpsc::channel(2 * CHUNK_LINES);
    let reader = std::thread::spawn(move || read(source, &sender));
    let mut import = Import::new(client, args)?;
    let mut word = "line";
    while let Some(item) = items.recv().await {
        bar.set_position(item.read);
        if import.take(item).await? {
            break;
        }
    }
    items.close();
    if !import.stopped() {
        import.flush().await?;
    }
    bar.finish_and_clear();
    if let Ok(form) = reader.join() {
        word = form;
    }
    import.report(word, json)
}

fn open(path: &Path) -> Result<(Box<dyn Read + Send>, Option<u64>)> {
    if path == Path::new("-") {
        return Ok((Box::new(std::io::stdin()), None));
    }
    let refused = |error: std::io::Error| {
        Error::not_found(format!("cannot read {}: {error}", path.display()))
    };
    let file = File::open(path).map_err(refused)?;
    let length = file.metadata().map_err(refused)?.len();
    Ok((Box::new(file), Some(length)))
}

struct Import<'a> {
    client: &'a Client,
    path: String,
    keep_going: bool,
    chunk: Vec<u8>,
    /// The number in the file of each line of the chunk.
    numbers: Vec<u64>,
    imported: u64,
    errors: Vec<Value>,
}

impl<'a> Import<'a> {
    fn new(client: &'a Client, args: &ImportArgs) -> Result<Self> {
        let collection = ids::plain(&args.collection);
        let mode = if args.replace { "replace" } else { "insert" };
        Ok(Self {
            client,
            path: format!("/collections/{collection}/documents?mode={mode}"),
            keep_going: args.keep_going,
            chunk: Vec::new(),
            numbers: Vec::new(),
            imported: 0,
            errors: Vec::new(),
        })
    }

    /// Takes one document; true when the import is to end here.
    async fn take(&mut self, item: Item) -> Result<bool> {
        let checked = item
            .text
            .and_then(|text| ejson::document(&text).map(|_| text));
        match checked {
            Ok(text) => {
                self.chunk.extend(text);
                self.chunk.push(b'\n');
                self.numbers.push(item.number);
            }
            Err(error) => {
                if !self.keep_going {
                    // What came before the bad line is imported, nothing behind it.
                    self.flush().await?;
                }
                let detail = error.message();
                self.errors
                    .push(json!({ "line": item.number, "code": "invalid", "detail": detail }));
            }
        }
        if self.numbers.len() >= CHUNK_LINES || self.chunk.len() >= CHUNK_BYTES {
            self.flush().await?;
        }
        Ok(self.stopped())
    }

    fn stopped(&self) -> bool {
        !self.keep_going && !self.errors.is_empty()
    }

    async fn flush(&mut self) -> Result<()> {
        if self.numbers.is_empty() {
            return Ok(());
        }
        let numbers = std::mem::take(&mut self.numbers);
        let body = Bytes::from(std::mem::take(&mut self.chunk));
        let mut call = Call::post(&self.path, body);
        call.content_type = "application/x-ndjson";
        let (status, body) = self.client.exchange(call).await?;
        let told: Value = serde_json::from_slice(&body).unwrap_or_default();
        let Some(inserted) = told["inserted"].as_u64() else {
            // The whole request was refused: the answer is a problem like any other.
            let before = self.imported;
            let error = self.client.problem(status, &body);
            return Err(error.context(format!("after {before} documents")));
        };
        self.imported += inserted;
        for error in told["errors"].as_array().into_iter().flatten() {
            let mut error = error.clone();
            let line = error["line"]
                .as_u64()
                .and_then(|line| usize::try_from(line).ok());
            let number = line.and_then(|line| numbers.get(line.checked_sub(1)?));
            error["line"] = number.copied().into();
            self.errors.push(error);
        }
        Ok(())
    }

    fn report(self, word: &str, json: bool) -> Outcome {
        let clean = self.errors.is_empty();
        if json {
            terminal::print(
                json!({ "imported": self.imported, "errors": self.errors }).to_string(),
            )?;
            return Ok(clean);
        }
        for error in &self.errors {
            let (number, detail) = (&error["line"], error["detail"].as_str().unwrap_or_default());
            let mut text = format!("{word} {number}: {detail}");
            for field in error["errors"].as_array().into_iter().flatten() {
                let (name, message) = (&field["field"], &field["message"]);
                let name = name.as_str().unwrap_or_default();
                text.push_str(&format!(
                    "; {name}: {}",
                    message.as_str().unwrap_or_default()
                ));
            }
            terminal::complain("import", &text);
        }
        terminal::print(format!("{} documents imported", self.imported))?;
        if !clean {
            let hint = match self.keep_going {
                true => "",
                false => "; the import ended there, --keep-going goes on behind bad ones",
            };
            terminal::complain("import", &format!("{} refused{hint}", self.errors.len()));
        }
        Ok(clean)
    }
}

/// Sends the documents of the file; what they are counted in is the result.
fn read(source: Box<dyn Read + Send>, items: &mpsc::Sender<Item>) -> &'static str {
    let mut source = Counted {
        source: BufReader::with_capacity(1 << 18, source),
        read: 0,
        lines: 0,
    };
    match source.first() {
        Ok(Some(b'[')) => {
            array(source, items);
            "document"
        }
        Ok(_) => {
            lines(source, items);
            "line"
        }
        Err(error) => {
            send(items, 1, 0, Err(unreadable(&error)));
            "line"
        }
    }
}

/// False when nobody listens any more.
fn send(items: &mpsc::Sender<Item>, number: u64, read: u64, text: Result<Vec<u8>>) -> bool {
    items.blocking_send(Item { number, read, text }).is_ok()
}

fn unreadable(error: &std::io::Error) -> Error {
    Error::invalid(format!("cannot be read: {error}"))
}

fn lines(mut source: Counted, items: &mpsc::Sender<Item>) {
    let mut number = source.lines;
    loop {
        let mut line = Vec::new();
        number += 1;
        match source.read_until(b'\n', &mut line) {
            Ok(0) => return,
            Ok(_) if line.trim_ascii().is_empty() => continue,
            Ok(_) => {
                let text = line.trim_ascii().to_vec();
                if !send(items, number, source.read, Ok(text)) {
                    return;
                }
            }
            Err(error) => {
                send(items, number, source.read, Err(unreadable(&error)));
                return;
            }
        }
    }
}

fn array(mut source: Counted, items: &mpsc::Sender<Item>) {
    let mut elements = Elements { items, number: 0 };
    let mut reader = serde_json::Deserializer::from_reader(&mut source);
    reader.disable_recursion_limit();
    let read = reader
        .deserialize_seq(&mut elements)
        .and_then(|()| reader.end());
    if let Err(error) = read {
        let number = elements.number + 1;
        let error = Error::invalid(format!("the array breaks off: {error}"));
        send(items, number, 0, Err(error));
    }
}

struct Elements<'a> {
    items: &'a mpsc::Sender<Item>,
    number: u64,
}

impl<'de> Visitor<'de> for &mut Elements<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an array of documents")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<(), A::Error> {
        let raw = std::marker::PhantomData::<Box<RawValue>>;
        while let Some(element) = array.next_element_seed(raw)? {
            self.number += 1;
            // A line break in JSON is white space: inside strings it is escaped.
            let text = element.get().replace(['\n', '\r'], " ").into_bytes();
            if !send(self.items, self.number, 0, Ok(text)) {
                break;
            }
        }
        Ok(())
    }
}

/// Counts the bytes that were read, for the bar.
struct Counted {
    source: BufReader<Box<dyn Read + Send>>,
    read: u64,
    lines: u64,
}

impl Counted {
    /// The first byte that is no white space, left to be read again; a byte order mark is passed.
    fn first(&mut self) -> std::io::Result<Option<u8>> {
        if self.source.fill_buf()?.starts_with(b"\xEF\xBB\xBF") {
            self.consume(3);
        }
        loop {
            match self.source.fill_buf()?.first() {
                Some(byte) if byte.is_ascii_whitespace() => {
                    self.lines += u64::from(*byte == b'\n');
                    self.consume(1);
                }
                first => return Ok(first.copied()),
            }
        }
    }
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.read += count as u64;
        Ok(count)
    }
}

impl BufRead for Counted {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        self.source.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.read += count as u64;
        self.source.consume(count);
    }
}

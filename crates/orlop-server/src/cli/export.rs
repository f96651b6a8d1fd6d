//! `export`: the documents of a collection into a file.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use orlop::{Error, Outcome as Applied, Result};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::args::ExportArgs;
use super::client::{Call, Client};
use super::{Outcome, terminal};
use crate::ids;

/// Documents of one request.
const PAGE: u64 = 1_000;

/// A page, its documents unparsed.
#[derive(Deserialize)]
pub(super) struct Page<'a> {
    #[serde(borrow)]
    pub(super) documents: Vec<&'a RawValue>,
    pub(super) cursor: Option<String>,
}

pub(super) async fn run(client: &Client, args: &ExportArgs, json: bool) -> Outcome {
    let collection = ids::plain(&args.collection);
    let total = total(client, &collection, &args.collection).await?;
    let bar = terminal::progress(Some(total), false, json || args.file == Path::new("-"));
    let path = format!("/collections/{collection}/query");
    let mut out = Target::open(&args.file)?;
    let mut exported: u64 = 0;
    let mut cursor = None;
    if args.array {
        out.write(b"[\n")?;
    }
    loop {
        let mut call = Call::post(&path, request(args, cursor)?);
        call.canonical = !args.relaxed;
        let body = client.call(call).await?;
        let page: Page<'_> = serde_json::from_slice(&body)
            .map_err(|error| Error::invalid(format!("the answer is no page: {error}")))?;
        for document in &page.documents {
            if args.array && exported > 0 {
                out.write(b",\n")?;
            }
            out.write(document.get().as_bytes())?;
            if !args.array {
                out.write(b"\n")?;
            }
            exported += 1;
        }
        bar.set_position(exported);
        cursor = page.cursor;
        if cursor.is_none() {
            break;
        }
    }
    if args.array {
        out.write(b"\n]\n")?;
    }
    let to_file = out.finish()?;
    bar.finish_and_clear();
    match (json && to_file, to_file) {
        (true, _) => terminal::print(json!({ "exported": exported }).to_string())?,
        (false, true) => terminal::print(format!("{exported} documents exported"))?,
        // The documents are the output.
        (false, false) => (),
    }
    Ok(true)
}

async fn total(client: &Client, collection: &str, name: &str) -> Result<u64> {
    let path = format!("/collections/{collection}");
    let body = client.call(Call::get(&path)).await?;
    let told: Value = serde_json::from_slice(&body).unwrap_or_default();
    let documents = told["documents"].as_u64();
    documents.ok_or_else(|| Error::not_found(format!("there is no collection {name}")))
}

fn request(args: &ExportArgs, cursor: Option<String>) -> Result<String> {
    let mut request = json!({ "limit": PAGE, "cursor": cursor });
    if args.include_sensitive {
        request["includeSensitive"] = true.into();
    }
    with(&request, &[("filter", args.filter.as_deref())])
}

/// The request with fields whose JSON comes from the command line as it is: parsing it here would
/// lose what Extended JSON says of numbers.
pub(super) fn with(request: &Value, fields: &[(&str, Option<&str>)]) -> Result<String> {
    let mut text = request.to_string();
    for (name, value) in fields {
        let Some(value) = value else { continue };
        crate::ejson::document(value.as_bytes())
            .map_err(|error| error.context(format!("the {name}")))?;
        text.pop();
        let comma = if text.len() > 1 { "," } else { "" };
        text.push_str(&format!("{comma}\"{name}\":{value}}}"));
    }
    Ok(text)
}

/// Standard output, or a file that appears whole or not at all.
enum Target {
    Output(BufWriter<std::io::Stdout>),
    File {
        out: BufWriter<File>,
        partial: PathBuf,
        path: PathBuf,
    },
}

impl Target {
    fn open(path: &Path) -> Result<Self> {
        if path == Path::new("-") {
            return Ok(Self::Output(BufWriter::new(std::io::stdout())));
        }
        let mut partial = path.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let file = File::create(&partial).map_err(|error| broken(partial.display(), &error))?;
        Ok(Self::File {
            out: BufWriter::new(file),
            partial,
            path: path.to_owned(),
        })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        match self {
            Self::Output(out) => out
                .write_all(bytes)
                .map_err(|error| broken("standard output", &error)),
            Self::File { out, partial, .. } => out
                .write_all(bytes)
                .map_err(|error| broken(partial.display(), &error)),
        }
    }

    /// Whether the documents went to a file.
    fn finish(self) -> Result<bool> {
        match self {
            Self::Output(mut out) => {
                out.flush()
                    .map_err(|error| broken("standard output", &error))?;
                Ok(false)
            }
            Self::File {
                mut out,
                partial,
                path,
            } => {
                let placed = out.flush().and_then(|()| out.get_ref().sync_all());
                let placed = placed.and_then(|()| std::fs::rename(&partial, &path));
                placed.map_err(|error| broken(path.display(), &error))?;
                Ok(true)
            }
        }
    }
}

pub(super) fn broken(name: impl std::fmt::Display, error: &std::io::Error) -> Error {
    Error::unavailable(format!("cannot write {name}: {error}"), Applied::NotApplied)
}

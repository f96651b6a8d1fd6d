//! `cache stats` and `cache invalidate`.

use orlop::Result;
use serde_json::Value;

use super::args::InvalidateArgs;
use super::client::{Call, Client};
use super::{Outcome, terminal};
use crate::{ejson, ids};

pub(super) async fn stats(client: &Client, json: bool) -> Outcome {
    let body = client.call(Call::get("/cache")).await?;
    if json {
        terminal::print(&body)?;
        return Ok(true);
    }
    if !client.remote() {
        terminal::note("no server runs here, so this is the cache of this command: empty");
    }
    let told: Value = serde_json::from_slice(&body).unwrap_or_default();
    for (name, value) in told.as_object().into_iter().flatten() {
        terminal::print(format!("{name:<14} {value:>14}"))?;
    }
    Ok(true)
}

pub(super) async fn invalidate(client: &Client, args: &InvalidateArgs, json: bool) -> Outcome {
    let (path, body) = match &args.collection {
        None => ("/cache/invalidate".to_owned(), String::new()),
        Some(collection) => {
            let collection = ids::plain(collection);
            (format!("/collections/{collection}/invalidate"), what(args)?)
        }
    };
    client.call(Call::post(&path, body)).await?;
    if json {
        terminal::print("{}")?;
    } else if client.remote() {
        terminal::print("cached copies will be read anew")?;
    } else {
        terminal::print("no server runs here, so nothing was cached")?;
    }
    Ok(true)
}

fn what(args: &InvalidateArgs) -> Result<String> {
    if let Some(filter) = &args.filter {
        ejson::document(filter.as_bytes()).map_err(|error| error.context("the filter"))?;
        return Ok(format!("{{\"filter\":{filter}}}"));
    }
    let Some(id) = &args.id else {
        return Ok("{}".to_owned());
    };
    let holder = bson::doc! { "id": ids::read(id)? };
    let mut text = Vec::new();
    let raw = bson::RawDocumentBuf::try_from(&holder)
        .map_err(|error| orlop::Error::invalid(format!("malformed id: {error}")))?;
    ejson::write_document(
        &mut text,
        &raw,
        ejson::Style::Canonical,
        &ejson::Hide::default(),
    )?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

//! `check` and `stats`.

use serde_json::Value;

use super::client::{Call, Client};
use super::{Outcome, terminal};

pub(super) async fn check(client: &Client, json: bool) -> Outcome {
    let body = client.call(Call::post("/check", "")).await?;
    let told: Value = serde_json::from_slice(&body).unwrap_or_default();
    let clean = told["clean"].as_bool().unwrap_or(false);
    if json {
        terminal::print(&body)?;
        return Ok(clean);
    }
    for damage in told["damage"].as_array().into_iter().flatten() {
        terminal::complain("check", damage.as_str().unwrap_or_default());
    }
    let (documents, entries) = (&told["documents"], &told["indexEntries"]);
    let verdict = if clean {
        "clean"
    } else {
        "damaged: restore a backup"
    };
    terminal::print(format!(
        "{documents} documents, {entries} index entries: {verdict}"
    ))?;
    Ok(clean)
}

pub(super) async fn stats(client: &Client, json: bool) -> Outcome {
    let body = client.call(Call::get("/stats")).await?;
    if json {
        terminal::print(&body)?;
        return Ok(true);
    }
    let told: Value = serde_json::from_slice(&body).unwrap_or_default();
    terminal::print(format!(
        "{:<32} {:>12} {:>14} {:>8}",
        "collection", "documents", "bytes", "indexes"
    ))?;
    for row in told["collections"].as_array().into_iter().flatten() {
        let name = row["name"].as_str().unwrap_or_default();
        let number = |field: &str| row[field].as_u64().unwrap_or_default();
        terminal::print(format!(
            "{name:<32} {:>12} {:>14} {:>8}",
            number("documents"),
            number("bytes"),
            number("indexes")
        ))?;
    }
    Ok(true)
}

//! `query`: prints what matches.

use orlop::Error;
use serde_json::json;

use super::args::QueryArgs;
use super::client::{Call, Client};
use super::export::{Page, with};
use super::{Outcome, terminal};
use crate::ids;

pub(super) async fn run(client: &Client, args: &QueryArgs, json: bool) -> Outcome {
    let collection = ids::plain(&args.collection);
    let mut request = json!({ "limit": args.limit });
    if let Some(skip) = args.skip {
        request["skip"] = skip.into();
    }
    if args.include_sensitive {
        request["includeSensitive"] = true.into();
    }
    let fields = [
        ("filter", args.filter.as_deref()),
        ("sort", args.sort.as_deref()),
        ("projection", args.projection.as_deref()),
    ];
    let request = with(&request, &fields)?;
    let verb = if args.explain { "explain" } else { "query" };
    let path = format!("/collections/{collection}/{verb}");
    let mut call = Call::post(&path, request);
    call.canonical = args.canonical;
    let body = client.call(call).await?;
    if json || args.explain {
        terminal::print(&body)?;
        return Ok(true);
    }
    let page: Page<'_> = serde_json::from_slice(&body)
        .map_err(|error| Error::invalid(format!("the answer is no page: {error}")))?;
    for document in &page.documents {
        terminal::print(document.get())?;
    }
    if page.cursor.is_some() {
        terminal::note(&format!(
            "there are more than {}; --limit prints more",
            args.limit
        ));
    }
    Ok(true)
}

//! Pages: a list that knows where it ended.

use std::sync::Arc;

use bson::Bson;
use futures_util::StreamExt;

use super::key::IdKey;
use super::list::Weighed;
use super::node::{Doc, Node};
use super::space::Space;
use super::{Cache, Decode, Derived, Served};
use crate::Result;
use crate::engine::{Query, Read, Stored};
use crate::pack::keys::sort_position;

/// A part of a list.
#[derive(Debug)]
pub struct Page<T> {
    /// The documents, in order.
    pub documents: Box<[Doc<T>]>,
    /// Where the last of them is in the sort, when more follow: values of the sort's keys, then
    /// the id. Continue with it as [`Query::after`].
    pub next: Option<Vec<Bson>>,
}

impl Cache {
    /// The first `limit` documents that match, and whether and where more follow.
    ///
    /// # Errors
    /// As [`Cache::list`].
    pub async fn page<T: Send + Sync + 'static>(
        &self,
        space: &Arc<Space>,
        query: Query,
        decode: Decode<T>,
    ) -> Result<(Derived<Page<T>>, Served)> {
        self.derived(space, query, "page", move |read, query| {
            Box::pin(load(read, query, decode))
        })
        .await
    }
}

async fn load<T: Send + Sync + 'static>(
    read: &dyn Read,
    query: Query,
    decode: Decode<T>,
) -> Result<Weighed<Page<T>>> {
    let limit = query.limit.map(|limit| limit as usize);
    let mut wanted = query.clone();
    // One more tells whether there are more.
    wanted.limit = query.limit.map(|limit| limit.saturating_add(1));
    let mut rows = read.query(wanted).await?;
    let mut documents = Vec::new();
    let mut bytes = 0;
    let mut last = None;
    let mut next = None;
    while let Some(stored) = rows.next().await.transpose()? {
        if limit == Some(documents.len()) {
            next = position(read, &query, last).await?;
            break;
        }
        bytes += Node::<T>::weight(&IdKey::NONE, stored.body.bytes().len() * 3 / 2) as usize;
        documents.push(Doc::new(decode(&stored.body)?, stored.revision));
        last = Some(stored);
    }
    let documents = documents.into_boxed_slice();
    Ok((Page { documents, next }, bytes))
}

/// Where the last document of the page is in the sort.
async fn position(
    read: &dyn Read,
    query: &Query,
    last: Option<Stored>,
) -> Result<Option<Vec<Bson>>> {
    let mut last = last;
    if query.projection.is_some() {
        // The projection may have taken away what the sort looks at: read that one whole.
        let mut whole = query.clone();
        whole.projection = None;
        whole.skip += query.limit.map_or(0, |limit| limit.saturating_sub(1));
        whole.limit = Some(1);
        last = read.query(whole).await?.next().await.transpose()?;
    }
    let Some(last) = last else { return Ok(None) };
    let mut position = sort_position(&query.sort, last.body.raw())?;
    position.push(last.body.id()?);
    Ok(Some(position))
}

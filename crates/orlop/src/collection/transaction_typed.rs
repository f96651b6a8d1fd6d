//! Typed documents inside a transaction.

use std::marker::PhantomData;
use std::sync::Arc;

use super::references::values_at;
use super::transaction::{Tx, TxRaw};
use super::typed::{delete_in, names_nothing};
use crate::Result;
use crate::cache::Doc;
use crate::document::{self, Document, Key, Revision, schema};
use crate::pack::Body;
use crate::query::typed::{Filter, Sort, Update};
use crate::query::{Expr, Pred};

/// One collection of a transaction, with documents of type `T`.
pub struct TxCollection<T> {
    raw: TxRaw,
    of: PhantomData<fn() -> T>,
}

impl Tx {
    /// The collection of `T`. What it reads and writes is the transaction's.
    pub fn collection<T: Document>(&self) -> TxCollection<T> {
        TxCollection {
            raw: self.raw(T::COLLECTION),
            of: PhantomData,
        }
    }
}

impl<T: Document> TxCollection<T> {
    /// The document as this transaction sees it.
    ///
    /// # Errors
    /// `Invalid` when what is stored does not fit `T`, `Closed` after the end.
    pub async fn get(&self, id: &T::Id) -> Result<Option<Doc<T>>> {
        let body = self.raw.get(&id.bson()).await?;
        body.as_ref().map(decoded).transpose()
    }

    /// The documents that match, in order, as this transaction sees them.
    ///
    /// # Errors
    /// As [`TxRaw::find`].
    pub async fn find(
        &self,
        filter: impl Into<Filter<T>>,
        sort: impl Into<Sort<T>>,
    ) -> Result<Vec<Doc<T>>> {
        let filter = filter.into().into_expr()?;
        let sort = sort.into().into_untyped()?;
        let found = self.raw.find(filter, sort, 0, None).await?;
        found.iter().map(decoded).collect()
    }

    /// Stores the document; fields its type does not know stay as they are stored.
    ///
    /// # Errors
    /// `Invalid` when it breaks a rule or names a document that is not there.
    pub async fn put(&self, document: &T) -> Result<()> {
        let ready = self.ready(document).await?;
        self.raw
            .put_with(document.id().bson(), ready, document.keep())
            .await
    }

    /// Adds the document if there is none under its id; says whether it was added.
    ///
    /// # Errors
    /// As [`TxCollection::put`].
    pub async fn try_add(&self, document: &T) -> Result<bool> {
        if self.raw.get(&document.id().bson()).await?.is_some() {
            return Ok(false);
        }
        self.put(document).await?;
        Ok(true)
    }

    /// Stores the document if the one this transaction sees matches `condition`.
    ///
    /// # Errors
    /// `Conflict` when it does not match or is missing; return it from the body to roll back.
    pub async fn update_if(&self, document: &T, condition: impl Into<Filter<T>>) -> Result<()> {
        let condition = condition.into().into_expr()?;
        let id = document.id().bson();
        let ready = self.ready(document).await?;
        self.raw
            .put_if(id, ready, document.keep(), &condition)
            .await
    }

    /// Updates one document; says whether there was one.
    ///
    /// # Errors
    /// `Invalid` when the update cannot apply.
    pub async fn update_one(&self, id: &T::Id, update: impl Into<Update<T>>) -> Result<bool> {
        let update = update.into().into_untyped()?;
        self.raw.update(id.bson(), Arc::new(update), false).await
    }

    /// Deletes one document; says whether there was one. What refers to it follows its rule, as by
    /// [`super::Collection::delete`].
    ///
    /// # Errors
    /// `Invalid` naming the collection that refers to it, for `restrict`; `Closed` after the end.
    pub async fn delete(&self, id: &T::Id) -> Result<bool> {
        let tx = self.raw.tx();
        let models = tx.db().models();
        if models.incoming(T::COLLECTION).is_empty() {
            return self.raw.delete(id.bson()).await;
        }
        let by_id = Expr::Field("_id".into(), Pred::Eq(id.bson()));
        Ok(delete_in(tx, models, T::COLLECTION, by_id).await? > 0)
    }

    /// The document's bytes, once its own checks passed and what it refers to was seen.
    async fn ready(&self, document: &T) -> Result<bson::RawDocumentBuf> {
        let mut broken = Vec::new();
        document.check(&mut broken);
        if !broken.is_empty() {
            return Err(schema::refusal(T::COLLECTION, broken));
        }
        let encoded = document::encode(document)?;
        for reference in T::references() {
            let target = self.raw.tx().raw(reference.collection);
            for id in values_at(&encoded, reference.path)? {
                // The read is what guards it: whoever deletes the target meanwhile refuses us.
                if target.get(&id).await?.is_none() {
                    let broken = names_nothing(reference.path, reference.collection);
                    return Err(schema::refusal(T::COLLECTION, vec![broken]));
                }
            }
        }
        Ok(encoded)
    }
}

fn decoded<T: Document>(body: &Body) -> Result<Doc<T>> {
    let mut value: T = document::decode(body.bytes())?;
    let revision = body.revision().unwrap_or(Revision(0));
    value.set_version(revision);
    Ok(Doc::new(value, revision))
}

impl<T> Clone for TxCollection<T> {
    fn clone(&self) -> Self {
        Self {
            raw: self.raw.clone(),
            of: PhantomData,
        }
    }
}

impl<T: Document> std::fmt::Debug for TxCollection<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("TxCollection").field(&T::COLLECTION).finish()
    }
}

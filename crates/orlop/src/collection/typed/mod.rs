//! A collection of one type: the names an application uses.
//!
//! Every write is a batch of guarded changes and every read goes through the cache; what is here
//! encodes, decodes, checks, and follows references.

mod edit;
mod find;
mod models;
mod read;
mod references;
mod watch;
mod write;

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use tokio::sync::OnceCell;

use super::{Orlop, Raw};
use crate::cache::Level;
use crate::document::Document;
use crate::{Error, Result};

pub use edit::Edited;
pub use find::{Find, TypedPage};
pub use read::Distinct;
pub use references::Refs;
pub use watch::{Event, Watch};

pub(super) use models::Models;
pub(super) use references::{delete_in, names_nothing};

/// The collection of the documents of type `T`. A clone is the same collection.
///
/// Its declaration (indexes, schema, scopes, defaults) takes effect before the first call that
/// depends on it, once a process; [`Orlop::register`] does it at once.
///
/// # Example
/// ```
/// use orlop::document::{Document, Id};
///
/// #[derive(Document, Clone)]
/// #[document(collection = "tasks")]
/// #[index(priority desc)]
/// struct Task {
///     #[document(id)]
///     id: Id<Task>,
///     #[document(required)]
///     title: String,
///     priority: i64,
/// }
///
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// let db = orlop::Orlop::open("memory:").await?;
/// let tasks = db.collection::<Task>();
/// let task = Task { id: Id::new(), title: "caulk".into(), priority: 3 };
/// tasks.put(&task).await?;
/// assert!(!tasks.try_add(&task).await?);
///
/// let urgent = tasks.find(Task::priority().ge(3)).sort(Task::priority().desc()).limit(50).await?;
/// assert_eq!(urgent[0].title, "caulk");
///
/// let mut edited = urgent[0].edit();
/// edited.title = "caulk the deck".into();
/// tasks.save(&edited).await?;
/// # Ok::<(), orlop::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Collection<T> {
    raw: Raw,
    declared: Arc<OnceCell<()>>,
    of: PhantomData<fn() -> T>,
}

impl Orlop {
    /// The collection of `T`.
    pub fn collection<T: Document>(&self) -> Collection<T> {
        Collection {
            raw: self.raw(T::COLLECTION),
            declared: self.models().of::<T>(),
            of: PhantomData,
        }
    }

    /// Declares the collection of `T` now, and takes note of what it refers to: deletes in those
    /// collections then follow the references. Call it for every type when the program starts.
    ///
    /// # Errors
    /// `Invalid` when the declaration contradicts itself or what is stored.
    pub async fn register<T: Document>(&self) -> Result<Collection<T>> {
        let collection = self.collection::<T>();
        collection.declare().await?;
        Ok(collection)
    }
}

impl<T: Document> Collection<T> {
    /// The same collection with documents as BSON.
    pub fn raw(&self) -> &Raw {
        &self.raw
    }

    /// The store.
    pub fn db(&self) -> &Orlop {
        self.raw.db()
    }

    /// The same collection, read at this level. On an engine in this process every level is the
    /// strongest, at no cost.
    #[must_use]
    pub fn at(self, level: Level) -> Self {
        Self {
            raw: self.raw.at(level),
            ..self
        }
    }

    /// Has the declaration take effect, unless it has.
    async fn declare(&self) -> Result<()> {
        let declare = || async {
            let declared = self.db().declare(T::COLLECTION, T::declaration());
            declared.await.map(drop)
        };
        self.declared.get_or_try_init(declare).await.map(drop)
    }

    fn internal(what: &str) -> Error {
        Error::new(
            crate::ErrorKind::Internal,
            format!("collection {}: {what}", T::COLLECTION),
        )
    }
}

impl<T> Clone for Collection<T> {
    fn clone(&self) -> Self {
        Self {
            raw: self.raw.clone(),
            declared: Arc::clone(&self.declared),
            of: PhantomData,
        }
    }
}

impl<T: Document> fmt::Debug for Collection<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Collection").field(&T::COLLECTION).finish()
    }
}

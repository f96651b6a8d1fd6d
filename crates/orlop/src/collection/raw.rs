//! shim
use super::Orlop;
use std::sync::Arc;
/// A collection.
#[derive(Clone, Debug)]
pub struct Raw {
    db: Orlop,
    name: Arc<str>,
}
impl Raw {
    pub(super) fn new(db: Orlop, name: Arc<str>) -> Self {
        Self { db, name }
    }
    /// The store.
    pub fn db(&self) -> &Orlop {
        &self.db
    }
    /// Its name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }
    /// get
    pub async fn get(&self, id: &bson::Bson) -> crate::Result<Option<crate::pack::Body>> {
        let mut v = self
            .db
            .engine()
            .get_many(&self.name, std::slice::from_ref(id))
            .await?;
        Ok(v.pop().flatten().map(|s| s.body))
    }
}

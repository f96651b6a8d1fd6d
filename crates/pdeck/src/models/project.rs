//! Projects.

use orlop::document::{Document, Id, Timestamp};

use super::User;

/// Tasks that belong together, and who works on them.
#[derive(Document, Debug, Clone, PartialEq)]
#[document(collection = "projects", scope(owner_id))]
#[index(owner_id, name, unique)]
pub struct Project {
    /// Its id.
    #[document(id)]
    pub id: Id<Project>,
    /// What it is called; each of an owner's projects has another name.
    #[document(required)]
    pub name: String,
    /// Whose it is.
    pub owner_id: Id<User>,
    /// Who works on it besides the owner.
    #[document(default)]
    pub member_ids: Vec<Id<User>>,
    /// Whether it is put away.
    #[document(default)]
    pub archived: bool,
    /// When it was created.
    #[document(default = now)]
    pub created_at: Timestamp,
}

//! Tasks.

use orlop::document::{Document, Id, Timestamp, Value};

use super::{Project, User};

/// Something to do, of one user.
#[derive(Document, Debug, Clone, PartialEq)]
#[document(collection = "tasks", timestamps, scope(user_id), scope(project_id))]
#[index(user_id, priority desc)]
#[index(user_id, due_date)]
pub struct Task {
    /// Its id.
    #[document(id)]
    pub id: Id<Task>,
    /// What is to be done.
    #[document(required)]
    pub title: String,
    /// More about it.
    pub description: Option<String>,
    /// Whose it is.
    pub user_id: Id<User>,
    /// Higher comes first; any number, whole or not.
    #[document(default = 0)]
    pub priority: f64,
    /// When it has to be done.
    pub due_date: Option<Timestamp>,
    /// How far it is.
    #[document(default = Status::Todo)]
    pub status: Status,
    /// Words it is found by.
    #[document(default)]
    pub tags: Vec<String>,
    /// The project it belongs to.
    #[document(references = Project, on_delete = set_null)]
    pub project_id: Option<Id<Project>>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last written.
    pub updated_at: Timestamp,
}

/// How far a task is.
#[derive(Value, Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[document(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// Not begun.
    Todo,
    /// Begun.
    InProgress,
    /// Done.
    Done,
}

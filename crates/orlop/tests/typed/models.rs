//! Types that the scenarios share.

use orlop::document::{Document, Embedded, Id, Timestamp, Value};

#[derive(Document, Debug, Clone, PartialEq)]
#[document(collection = "users")]
#[index(email, unique)]
pub(crate) struct User {
    #[document(id)]
    pub(crate) id: Id<User>,
    pub(crate) email: String,
}

#[derive(Value, Debug, Clone, Copy, PartialEq, Eq)]
#[document(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Status {
    Todo,
    Done,
}

#[derive(Embedded, Debug, Clone, PartialEq)]
pub(crate) struct Step {
    pub(crate) title: String,
    #[document(default)]
    pub(crate) done: bool,
}

fn no_shouting(title: &str) -> Result<(), &'static str> {
    match title.chars().any(char::is_lowercase) {
        true => Ok(()),
        false => Err("must not be all capitals"),
    }
}

#[derive(Document, Debug, Clone, PartialEq)]
#[document(collection = "tasks", timestamps, scope(owner))]
#[index(owner, priority desc)]
pub(crate) struct Task {
    #[document(id)]
    pub(crate) id: Id<Task, i64>,
    #[document(required, check = no_shouting)]
    pub(crate) title: String,
    pub(crate) owner: i64,
    #[document(default = 0)]
    pub(crate) priority: f64,
    #[document(default = Status::Todo)]
    pub(crate) status: Status,
    #[document(default)]
    pub(crate) tags: Vec<String>,
    #[document(default)]
    pub(crate) steps: Vec<Step>,
    pub(crate) due_date: Option<Timestamp>,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

pub(crate) fn task(id: i64, owner: i64, priority: f64) -> Task {
    Task {
        id: Id::from(id),
        title: format!("task {id}"),
        owner,
        priority,
        status: Status::Todo,
        tags: Vec::new(),
        steps: Vec::new(),
        due_date: None,
        created_at: Timestamp::from_millis(1),
        updated_at: Timestamp::from_millis(1),
    }
}

//! Types that the scenarios share.

use orlop::document::{Date, Document, Embedded, Id, Revision, Timestamp, Value};

#[derive(Document, Debug, Clone, PartialEq)]
#[document(collection = "users")]
#[index(email, unique)]
#[index(preferences.theme)]
pub(crate) struct User {
    #[document(id)]
    pub(crate) id: Id<User>,
    #[document(email)]
    pub(crate) email: String,
    #[document(sensitive, required)]
    pub(crate) password: String,
    pub(crate) name: Option<String>,
    pub(crate) preferences: Preferences,
    pub(crate) address: Option<Address>,
    #[document(default = now)]
    pub(crate) created_at: Timestamp,
}

#[derive(Embedded, Debug, Clone, PartialEq)]
pub(crate) struct Preferences {
    #[document(default = "light")]
    pub(crate) theme: String,
    #[document(default = true)]
    pub(crate) notifications: bool,
}

#[derive(Embedded, Debug, Clone, PartialEq)]
pub(crate) struct Address {
    pub(crate) city: String,
    #[document(rename = "zip", sensitive)]
    pub(crate) post_code: Option<String>,
}

#[derive(Value, Debug, Clone, Copy, PartialEq, Eq)]
#[document(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Status {
    Todo,
    InProgress,
    Done,
}

#[derive(Value, Debug, Clone, Copy, PartialEq)]
pub(crate) struct Points(pub(crate) i64);

#[derive(Embedded, Debug, Clone, PartialEq)]
pub(crate) struct Comment {
    #[document(length(max = 500))]
    pub(crate) text: String,
    #[document(default)]
    pub(crate) likes: i64,
}

fn short(title: &str) -> Result<(), String> {
    if title.split(' ').count() > 9 {
        return Err("must have at most nine words".to_owned());
    }
    Ok(())
}

#[derive(Document, Debug, Clone, PartialEq)]
#[document(
    collection = "tasks",
    timestamps,
    scope(user_id),
    scope(project, status)
)]
#[index(user_id, priority desc)]
#[index(user_id, due_date)]
#[index(comments.likes, sparse, name = "likes")]
#[index(expires_at, ttl = 3600)]
pub(crate) struct Task {
    #[document(id)]
    pub(crate) id: Id<Task>,
    /// What is to be done.
    #[document(required, length(max = 200), check = short)]
    pub(crate) title: String,
    pub(crate) description: Option<String>,
    #[document(references = User, on_delete = restrict)]
    pub(crate) user_id: Id<User>,
    #[document(default = 0, range(min = -1e15, max = 1e15))]
    pub(crate) priority: f64,
    pub(crate) due_date: Option<Timestamp>,
    pub(crate) day: Option<Date>,
    #[document(default = Status::Todo)]
    pub(crate) status: Status,
    #[document(default, each(length(min = 1)), length(max = 50))]
    pub(crate) tags: Vec<String>,
    #[document(default)]
    pub(crate) comments: Vec<Comment>,
    pub(crate) points: Option<Points>,
    #[document(alias = "projectId")]
    pub(crate) project: Option<i64>,
    pub(crate) expires_at: Option<Timestamp>,
    #[document(opaque)]
    pub(crate) extra: Option<serde_json::Value>,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    #[document(version)]
    pub(crate) version: Revision,
}

#[derive(Document, Debug, Clone, PartialEq)]
#[document(collection = "events")]
#[index(delta)]
pub(crate) struct Increase {
    #[document(id)]
    pub(crate) id: Id<Event>,
    pub(crate) event_date: Timestamp,
    pub(crate) delta: i64,
    #[document(default = "CHF")]
    pub(crate) currency: String,
}

#[derive(Document, Debug, Clone, PartialEq)]
#[document(collection = "events")]
pub(crate) struct Fixing {
    #[document(id)]
    pub(crate) id: Id<Event>,
    pub(crate) event_date: Timestamp,
    pub(crate) rate: f64,
}

#[derive(Document, Debug, Clone, PartialEq)]
#[document(collection = "events", tag = "type")]
#[index(type, event_date desc)]
pub(crate) enum Event {
    Increase(Increase),
    #[document(rename = "fix")]
    Fixing(Fixing),
    #[document(unknown)]
    Other(bson::Document),
}

pub(crate) fn user() -> Id<User> {
    "64b001000000000000000001".parse().unwrap()
}

//! Integrations: accounts of other services, each kind with what it needs.

use orlop::bson::{self, Binary, Bson};
use orlop::document::{Document, Id, Timestamp};

use super::User;

/// An account of a user at another service, told apart by `provider`.
#[derive(Document, Debug, Clone, PartialEq)]
#[document(collection = "integrations", tag = "provider", scope(user_id))]
#[index(expires_at, ttl = 0)]
#[index(external_id, unique, sparse)]
#[index(user_id, provider)]
pub enum Integration {
    /// Issues and pull requests.
    #[document(rename = "github")]
    Github(Github),
    /// Appointments.
    #[document(rename = "calendar")]
    Calendar(Calendar),
    /// Messages.
    #[document(rename = "slack")]
    Slack(Slack),
    /// One that a newer program knows.
    #[document(unknown)]
    Other(bson::Document),
}

/// An account at GitHub.
#[derive(Document, Debug, Clone, PartialEq)]
#[document(collection = "integrations")]
pub struct Github {
    /// Its id.
    #[document(id)]
    pub id: Id<Integration>,
    /// Whose it is.
    pub user_id: Id<User>,
    /// The account there.
    pub external_id: Option<String>,
    /// What signs in there.
    #[document(sensitive)]
    pub secret: Option<Binary>,
    /// What it may do there.
    #[document(default)]
    pub scopes: Vec<String>,
    /// Settings, as the other side wants them.
    pub config: Option<Bson>,
    /// The last event that was read.
    pub cursor: Option<i64>,
    /// When it is forgotten.
    pub expires_at: Option<Timestamp>,
    /// When it was added.
    #[document(default = now)]
    pub created_at: Timestamp,
}

/// A calendar.
#[derive(Document, Debug, Clone, PartialEq)]
#[document(collection = "integrations")]
pub struct Calendar {
    /// Its id.
    #[document(id)]
    pub id: Id<Integration>,
    /// Whose it is.
    pub user_id: Id<User>,
    /// What it may do there.
    #[document(default)]
    pub scopes: Vec<String>,
    /// The last change that was read.
    pub cursor: Option<i64>,
    /// When it was added.
    #[document(default = now)]
    pub created_at: Timestamp,
}

/// A workspace at Slack.
#[derive(Document, Debug, Clone, PartialEq)]
#[document(collection = "integrations")]
pub struct Slack {
    /// Its id.
    #[document(id)]
    pub id: Id<Integration>,
    /// Whose it is.
    pub user_id: Id<User>,
    /// The workspace.
    pub external_id: Option<String>,
    /// What it may do there.
    #[document(default)]
    pub scopes: Vec<String>,
    /// Settings, as the other side wants them.
    pub config: Option<Bson>,
    /// When it was added.
    #[document(default = now)]
    pub created_at: Timestamp,
}

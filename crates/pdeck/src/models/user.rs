//! Users.

use orlop::document::{Document, Embedded, Id, Timestamp};

/// Someone with a deck.
#[derive(Document, Debug, Clone, PartialEq)]
#[document(collection = "users")]
#[index(email, unique)]
pub struct User {
    /// Their id.
    #[document(id)]
    pub id: Id<User>,
    /// What they sign in with.
    #[document(required)]
    pub email: String,
    /// The hash of their password, argon2id or what an older program wrote. Never the password.
    #[document(required, sensitive)]
    pub password: String,
    /// What they are called.
    pub name: Option<String>,
    /// How they like it.
    pub preferences: Preferences,
    /// When they joined.
    #[document(default = now)]
    pub created_at: Timestamp,
}

/// How a user likes PDeck.
#[derive(Embedded, Debug, Clone, PartialEq)]
pub struct Preferences {
    /// `light`, `dark`, or a name the pages know.
    #[document(default = "light")]
    pub theme: String,
    /// Whether they want to be told of what is due.
    #[document(default = true)]
    pub notifications: bool,
}

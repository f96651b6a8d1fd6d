//! What PDeck stores: users, their tasks, projects and integrations.
//!
//! The names and indexes are those of PDeck's Mongoose models, whose databases open as they are.

mod integration;
mod project;
mod task;
mod user;

pub use integration::{Calendar, Github, Integration, Slack};
pub use project::Project;
pub use task::{Status, Task};
pub use user::{Preferences, User};

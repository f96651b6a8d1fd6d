//~ an array of `String` cannot be compared with or set to `&str`
//~ one element: ask with `contains`, add with `push`

use orlop::document::{Document, Id, Timestamp, Value};

#[derive(Value, Clone, Copy)]
pub enum Status {
    Todo,
}

#[derive(Document)]
#[document(collection = "users")]
pub struct User {
    #[document(id)]
    pub id: Id<User>,
}

#[derive(Document)]
#[document(collection = "tasks")]
pub struct Task {
    #[document(id)]
    pub id: Id<Task>,
    pub user_id: Id<User>,
    pub priority: i64,
    pub done: bool,
    pub status: Status,
    pub due_date: Option<Timestamp>,
    pub tags: Vec<String>,
}

pub fn case(user: Id<User>, task: Id<Task>) {
    let _ = (user, task);
    let _ = Task::tags().eq("x");
}

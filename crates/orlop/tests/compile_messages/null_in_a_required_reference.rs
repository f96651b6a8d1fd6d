//~ `on_delete = set_null` needs an `Option` or a `Vec`, not `Id<User>`

use orlop::document::*;

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
    #[document(references = User, on_delete = set_null)]
    pub user_id: Id<User>,
}

//~ `Task` has no field `user`; its fields are id, user_id

use orlop::document::*;

#[derive(Document)]
#[document(collection = "tasks")]
#[index(user)]
pub struct Task {
    #[document(id)]
    pub id: Id<Task>,
    pub user_id: String,
}

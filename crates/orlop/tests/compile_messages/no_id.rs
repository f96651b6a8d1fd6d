//~ `Task` has no id: mark one field `#[document(id)]`

use orlop::document::*;

#[derive(Document)]
#[document(collection = "tasks")]
pub struct Task {
    pub id: Id<Task>,
}

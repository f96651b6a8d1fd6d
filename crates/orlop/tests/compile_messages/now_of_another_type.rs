//~ `default = now` needs a `Timestamp`, not a `String`

use orlop::document::*;

#[derive(Document)]
#[document(collection = "tasks")]
pub struct Task {
    #[document(id)]
    pub id: Id<Task>,
    #[document(default = now)]
    pub at: String,
}

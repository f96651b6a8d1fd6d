//~ `flatten` is refused: a field would have two names

use orlop::document::*;

#[derive(Document)]
#[document(collection = "tasks")]
pub struct Task {
    #[document(id)]
    pub id: Id<Task>,
    #[document(flatten)]
    pub rest: String,
}

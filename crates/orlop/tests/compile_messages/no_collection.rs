//~ `Task` has no collection: say `#[document(collection = "..")]`

use orlop::document::*;

#[derive(Document)]
pub struct Task {
    #[document(id)]
    pub id: Id<Task>,
}

//~ `f64` cannot be the id of a document

use orlop::document::*;

#[derive(Document)]
#[document(collection = "tasks")]
pub struct Task {
    #[document(id)]
    pub id: f64,
}

//~ `Address` is not a document

use orlop::document::*;

#[derive(Embedded)]
pub struct Address {
    pub city: String,
}

#[derive(Document)]
#[document(collection = "tasks")]
pub struct Task {
    #[document(id)]
    pub id: Id<Task>,
    #[document(references = Address)]
    pub address: String,
}

//~ `Duration` cannot be a field of a document
//~ a nested struct: add `#[derive(Embedded)]` to `Duration`
//~ mark the field `#[document(opaque)]`

use orlop::document::*;

#[derive(Document)]
#[document(collection = "tasks")]
pub struct Task {
    #[document(id)]
    pub id: Id<Task>,
    pub estimate: std::time::Duration,
}

//~ names are said once: say it in `#[document(..)]`

use orlop::document::*;

#[derive(Document)]
#[document(collection = "tasks")]
pub struct Task {
    #[document(id)]
    pub id: Id<Task>,
    #[serde(rename = "t")]
    pub title: String,
}

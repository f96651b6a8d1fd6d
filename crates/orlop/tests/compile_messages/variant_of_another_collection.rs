//~ variant `Create` of `Event` is of another collection than "events"

use orlop::document::*;

#[derive(Document)]
#[document(collection = "other")]
pub struct Create {
    #[document(id)]
    pub id: Id<Event>,
}

#[derive(Document)]
#[document(collection = "events", tag = "type")]
pub enum Event {
    Create(Create),
}

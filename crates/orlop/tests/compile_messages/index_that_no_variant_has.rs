//~ no variant of `Event` has a field stored as `eventDate`

use orlop::document::*;

#[derive(Document)]
#[document(collection = "events")]
pub struct Create {
    #[document(id)]
    pub id: Id<Event>,
}

#[derive(Document)]
#[document(collection = "events", tag = "type")]
#[index(type, event_date)]
pub enum Event {
    Create(Create),
}

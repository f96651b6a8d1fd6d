//~ type mismatch resolving `<Fixing as Document>::Id == Id<Event>`
//~ expected this to be `Id<Event>`

use orlop::document::*;

#[derive(Document)]
#[document(collection = "events")]
pub struct Create {
    #[document(id)]
    pub id: Id<Event>,
}

#[derive(Document)]
#[document(collection = "events")]
pub struct Fixing {
    #[document(id)]
    pub id: String,
}

#[derive(Document)]
#[document(collection = "events", tag = "type")]
pub enum Event {
    Create(Create),
    Fixing(Fixing),
}

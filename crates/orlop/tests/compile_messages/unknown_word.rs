//~ unknown word `indexed` of a field or variant; known are: id, version

use orlop::document::*;

#[derive(Embedded)]
pub struct Two {
    #[document(indexed)]
    pub a: i64,
}

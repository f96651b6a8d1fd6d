//~ `b` and `a` are both stored as `x`

use orlop::document::*;

#[derive(Embedded)]
pub struct Two {
    #[document(rename = "x")]
    pub a: i64,
    #[document(rename = "x")]
    pub b: i64,
}

//! What a typed collection promises; a file per scenario.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod conditions_guard_writes;
mod edits_keep_what_they_do_not_touch;
mod many_documents_at_once;
mod models;
mod queries_answer_in_types;
mod references_hold;
mod rules_are_met_by_every_write;
mod transactions_take_types;
mod variants_are_found;
mod watching_tells_each_change;

use orlop::Orlop;

async fn memory() -> Orlop {
    Orlop::open("memory:").await.unwrap()
}

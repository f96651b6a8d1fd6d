//! What documents, their ids, instants, declarations and schemas promise; a file per scenario.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod declarations_read_and_write_one_form;
mod filters_are_typed;
mod ids_and_instants_keep_type_and_value;
mod models;
mod names_are_said_once;
mod one_declaration_says_it_all;
mod schemas_mean_what_mongodb_means;
mod schemas_refuse_what_they_say;
mod variants_share_a_collection;

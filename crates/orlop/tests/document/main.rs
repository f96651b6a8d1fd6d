//! What documents, their ids, instants, declarations and schemas promise; a file per scenario.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod declarations_read_and_write_one_form;
mod ids_and_instants_keep_type_and_value;
mod schemas_refuse_what_they_say;

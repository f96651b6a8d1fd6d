//! The sources keep what ARCHITECTURE.md says of them: arrows, absences, size, words, links.
//!
//! Each rule is a function from sources to complaints, tried on a bad example beside it, so that a
//! rule that can no longer find anything fails too.

mod arrows;
mod links;
mod never;
mod sources;
mod text;

use sources::{Source, tracked};

#[test]
fn a_module_of_the_library_uses_only_those_before_it() {
    complain(arrows::modules(&tracked()));
}

#[test]
fn a_crate_depends_only_on_those_before_it() {
    complain(arrows::crates(&tracked()));
}

#[test]
fn no_dependency_needs_a_newer_compiler_than_declared() {
    complain(arrows::compilers());
}

#[test]
fn documents_queries_and_packing_do_no_io_and_read_no_clock() {
    complain(never::io_in_pure_modules(&tracked()));
}

#[test]
fn only_their_engines_name_driver_types() {
    complain(never::drivers(&tracked()));
}

#[test]
fn the_wall_clock_never_decides_what_is_current() {
    complain(never::wall_clock_in_cache(&tracked()));
}

#[test]
fn the_server_names_no_type_of_the_application_and_the_application_nothing_private() {
    complain(never::application_names(&tracked()));
}

#[test]
fn stored_data_changes_only_below_commit() {
    complain(never::writes_beside_commit(&tracked()));
}

#[test]
fn every_file_begins_with_what_it_is() {
    complain(text::module_docs(&tracked()));
}

#[test]
fn no_file_is_too_long_to_read() {
    complain(text::length(&tracked()));
}

#[test]
fn nothing_is_left_undone() {
    complain(text::unfinished(&tracked()));
}

#[test]
fn no_unwrap_outside_tests() {
    complain(text::unwraps(&tracked()));
}

#[test]
fn no_path_of_a_machine_and_no_host_of_a_registry() {
    complain(text::machines(&tracked()));
}

#[test]
fn every_link_of_the_documentation_leads_somewhere() {
    complain(links::dead(&tracked()));
}

#[test]
fn every_package_takes_the_lints_of_the_workspace() {
    complain(text::lints(&tracked()));
}

fn complain(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

/// A source for the bad examples of the rules.
fn example(path: &str, text: &str) -> Vec<Source> {
    vec![Source::new(path, text)]
}

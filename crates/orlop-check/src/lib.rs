//! What proves Orlop: test servers, a conformance suite for engines, checkers of the sources.
//!
//! Nothing of the product depends on this crate. Tests that need a server are `harness = false`
//! targets on `libtest-mimic`; see [`servers::trial`].

pub mod coherence;
pub mod conformance;
pub mod crash;
pub mod floor;
pub mod generate;
pub mod meaning;
pub mod random;
pub mod servers;

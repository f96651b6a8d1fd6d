//! orlop-check.

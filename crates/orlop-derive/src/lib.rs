//! orlop-derive.

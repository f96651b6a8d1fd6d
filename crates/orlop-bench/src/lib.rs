//! orlop-bench.

//! PDeck: a personal task deck on Orlop.

fn main() {}

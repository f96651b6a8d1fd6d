//! PDeck, a personal task deck: its models. The program is `main.rs`.

pub mod models;

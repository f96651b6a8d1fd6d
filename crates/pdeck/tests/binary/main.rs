//! The built program: its commands, and its server behind a real socket.

mod command_line;
mod main_job;
mod service;
mod support;

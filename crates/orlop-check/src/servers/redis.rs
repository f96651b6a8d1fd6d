//! `redis-server`.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::time::Duration;

use super::Program;
use super::process::{Process, ServerError};

/// One `redis-server`. Ends when dropped.
#[derive(Debug)]
pub struct Redis(Process);

impl Redis {
    /// Starts a single server that keeps nothing on disk.
    ///
    /// # Errors
    /// When there is no `redis-server` or it does not start.
    pub fn start() -> Result<Self, ServerError> {
        Self::start_with(&[])
    }

    /// Starts one with more arguments, such as `--appendonly yes` or `--replicaof 127.0.0.1 PORT`.
    ///
    /// # Errors
    /// As [`Redis::start`].
    pub fn start_with(more: &[&str]) -> Result<Self, ServerError> {
        let program = Program::RedisServer.find().map_err(ServerError::new)?;
        Process::start(
            &program,
            |port, folder| arguments(port, folder, more),
            ready,
        )
        .map(Self)
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.0.port()
    }

    /// Its connection string.
    pub fn uri(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port())
    }

    /// The folder with its files and its `log`.
    pub fn folder(&self) -> &Path {
        self.0.folder()
    }

    /// Its process number, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.0.pid()
    }

    /// Sends one inline command and returns the first line of the answer, such as `+PONG`.
    ///
    /// # Errors
    /// When it does not run.
    pub fn ask(&self, command: &str) -> Result<String, ServerError> {
        ask(self.port(), command)
    }

    /// Kills it, as `kill -9` does.
    pub fn kill(&mut self) {
        self.0.kill();
    }

    /// Starts it again on the same port and files.
    ///
    /// # Errors
    /// When it does not start.
    pub fn restart(&mut self) -> Result<(), ServerError> {
        self.0.run(ready)
    }

    /// Freezes it: it keeps its connections and answers nothing until [`Redis::resume`].
    ///
    /// # Errors
    /// When it does not run.
    pub fn pause(&self) -> Result<(), ServerError> {
        self.0.signal("STOP")
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// When it does not run.
    pub fn resume(&self) -> Result<(), ServerError> {
        self.0.signal("CONT")
    }
}

fn arguments(port: u16, folder: &Path, more: &[&str]) -> Vec<String> {
    let folder = folder.display().to_string();
    let port = port.to_string();
    let fixed = [
        "--port",
        &port,
        "--bind",
        "127.0.0.1",
        "--dir",
        &folder,
        "--save",
        "",
        "--enable-debug-command",
        "local",
    ];
    let words = fixed.iter().chain(more);
    words.map(|word| (*word).to_owned()).collect()
}

fn ready(port: u16) -> bool {
    ask(port, "PING").is_ok_and(|answer| answer == "+PONG")
}

fn ask(port: u16, command: &str) -> Result<String, ServerError> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(format!("{command}\r\n").as_bytes())?;
    let mut line = Vec::new();
    let mut byte = [0];
    while stream.read(&mut byte)? == 1 && byte != *b"\r" {
        line.extend(byte);
    }
    Ok(String::from_utf8_lossy(&line).into_owned())
}

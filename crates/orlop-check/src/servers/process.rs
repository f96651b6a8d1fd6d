//! One server process behind a shell that ends it when we end.

use std::fmt;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Starts the server and waits for it; kills it as soon as its own input closes, which happens when
/// the holder drops it and also when the holder is killed. The kernel closes pipes, so no signal
/// handler of ours has to run. `$1` is the folder removed when the *holder* is gone (empty: none).
const WATCHDOG: &str = r#"
folder=$1; shift
exec 3<&0
"$@" </dev/null 3<&- >>"$ORLOP_LOG" 2>&1 &
server=$!
echo "$server"
( read -r word <&3 || word=gone
  kill -9 "$server" 2>/dev/null
  if [ "$word" = gone ] && [ -n "$folder" ]; then sleep 0.2; rm -rf "$folder"; fi
) >/dev/null 2>&1 &
wait "$server"
"#;

/// How long a server may take until it answers. Generous: CI runs on two busy cores.
const START_WAIT: Duration = Duration::from_secs(60);
/// How often a start is tried again on another port: another process may take a port between our
/// look and the server's bind.
const START_TRIES: usize = 5;

/// Why a server did not start or answer.
#[derive(Debug)]
pub struct ServerError(String);

impl ServerError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ServerError {}

impl From<std::io::Error> for ServerError {
    fn from(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}

/// A server's folder, port and, while it runs, process.
#[derive(Debug)]
pub(super) struct Process {
    program: PathBuf,
    arguments: Vec<String>,
    port: u16,
    folder: TempDir,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    watchdog: Child,
    pid: u32,
    input: Option<ChildStdin>,
}

impl Process {
    /// Starts `program` with what `arguments(port, folder)` says and waits until `ready(port)`.
    pub(super) fn start(
        program: &Path,
        arguments: impl Fn(u16, &Path) -> Vec<String>,
        ready: impl Fn(u16) -> bool,
    ) -> Result<Self, ServerError> {
        let mut last = ServerError::new("never tried");
        for _ in 0..START_TRIES {
            let folder = tempfile::Builder::new().prefix("orlop-server-").tempdir()?;
            let port = free_port()?;
            let mut process = Self {
                program: program.to_owned(),
                arguments: arguments(port, folder.path()),
                port,
                folder,
                running: None,
            };
            match process.run(&ready) {
                Ok(()) => return Ok(process),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// The server's process number, while it runs.
    pub(super) fn pid(&self) -> Option<u32> {
        self.running.as_ref().map(|running| running.pid)
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts it again on its port and files, after [`Process::kill`].
    pub(super) fn run(&mut self, ready: impl Fn(u16) -> bool) -> Result<(), ServerError> {
        self.kill();
        let mut watchdog = Command::new("/bin/sh")
            .args(["-c", WATCHDOG, "orlop-watchdog"])
            .arg(self.folder.path())
            .arg(&self.program)
            .args(&self.arguments)
            .env("ORLOP_LOG", self.folder.path().join("log"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // A group of its own: an interrupt typed at the terminal reaches us, and the server
            // then ends with us and not before.
            .process_group(0)
            .spawn()?;
        let input = watchdog.stdin.take();
        let pid = first_line(&mut watchdog)?;
        let mut running = Running {
            watchdog,
            pid,
            input,
        };
        let started = Instant::now();
        while !ready(self.port) {
            if let Some(status) = running.watchdog.try_wait()? {
                return Err(self.failed(&format!("ended with {status}")));
            }
            if started.elapsed() > START_WAIT {
                running.end();
                return Err(self.failed("did not answer in time"));
            }
            thread::sleep(Duration::from_millis(15));
        }
        self.running = Some(running);
        Ok(())
    }

    /// Kills it at once, as `kill -9` does. Its files stay until the handle is dropped.
    pub(super) fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.end();
        }
    }

    /// Sends it a signal, such as `STOP` or `CONT`.
    pub(super) fn signal(&self, name: &str) -> Result<(), ServerError> {
        let pid = self
            .pid()
            .ok_or_else(|| ServerError::new("the server does not run"))?;
        let status = Command::new("kill")
            .args([format!("-{name}"), pid.to_string()])
            .status()?;
        if status.success() {
            Ok(())
        } else {
            Err(ServerError::new(format!("kill -{name}: {status}")))
        }
    }

    fn failed(&self, what: &str) -> ServerError {
        let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        let tail = lines[lines.len().saturating_sub(10)..].join("\n");
        ServerError::new(format!("{} {what}:\n{tail}", self.program.display()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Running {
    fn end(&mut self) {
        // A word, then the end: the watchdog kills the server and leaves the folder to us.
        if let Some(mut input) = self.input.take() {
            // It may have ended by itself; then there is nobody to tell.
            let _ = input.write_all(b"stop\n");
        }
        let _ = self.watchdog.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

fn first_line(watchdog: &mut Child) -> Result<u32, ServerError> {
    let output = watchdog
        .stdout
        .take()
        .ok_or_else(|| ServerError::new("the watchdog has no output"))?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    line.trim()
        .parse()
        .map_err(|_| ServerError::new("the watchdog did not name its server"))
}

/// A port nobody listens on at this moment.
fn free_port() -> Result<u16, ServerError> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}

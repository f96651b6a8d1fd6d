//! Starts the program, speaks HTTP to it, ends it whatever happens.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

pub(crate) const TOKEN: &str = "a-service-token-for-tests-of-the-built-binary";
/// Longest wait for the program; a loaded machine is slow, a hang is a failure.
const PATIENCE: Duration = Duration::from_secs(60);

/// A folder of its own, for a store and files.
pub(crate) fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// The program with these arguments, in `folder`, with nothing of our own environment.
pub(crate) fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pdeck"));
    command
        .current_dir(folder)
        .env_clear()
        .env("PDECK_ADMIN_TOKEN", TOKEN)
        .args(args)
        .stdin(Stdio::null());
    command
}

/// Runs it to its end.
pub(crate) fn run(folder: &Path, args: &[&str]) -> Output {
    command(folder, args).output().expect("the program runs")
}

/// Runs it and gives its standard output.
#[track_caller]
pub(crate) fn succeed(folder: &Path, args: &[&str]) -> String {
    let output = run(folder, args);
    assert!(output.status.success(), "{args:?}: {}", told(&output));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Runs it with this input.
pub(crate) fn feed(folder: &Path, args: &[&str], input: &[u8]) -> Output {
    let mut child = command(folder, args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(input).expect("the program reads");
    drop(stdin);
    child.wait_with_output().expect("the program ends")
}

/// What it said, for the message of a failure.
pub(crate) fn told(output: &Output) -> String {
    format!(
        "{}: {}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// A running server.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: String,
}

impl Server {
    /// Serves the store in `folder` on a free port, once it accepts connections.
    pub(crate) fn start(folder: &Path) -> Self {
        Self::spawn(folder, command(folder, &["serve"]))
    }

    pub(crate) fn spawn(folder: &Path, mut command: Command) -> Self {
        let ready = folder.join("ready.json");
        let _ = std::fs::remove_file(&ready);
        command
            .args(["--listen", "127.0.0.1:0", "--ready-file"])
            .arg(&ready);
        let child = command.spawn().expect("the program starts");
        let mut server = Self {
            child,
            address: String::new(),
        };
        let begun = Instant::now();
        loop {
            if let Ok(text) = std::fs::read_to_string(&ready) {
                let told: Value = serde_json::from_str(&text).expect("a whole file");
                assert_eq!(told["pid"], server.child.id());
                server.address = told["address"].as_str().expect("an address").to_owned();
                return server;
            }
            if let Some(status) = server.child.try_wait().expect("a child of ours") {
                panic!("the server ended: {status}");
            }
            assert!(begun.elapsed() < PATIENCE, "the server does not get ready");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn store(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The child's standard output, when it is a pipe.
    pub(crate) fn stdout(&mut self) -> std::process::ChildStdout {
        self.child.stdout.take().expect("a pipe")
    }

    /// The child's standard error, when it is a pipe.
    pub(crate) fn stderr(&mut self) -> std::process::ChildStderr {
        self.child.stderr.take().expect("a pipe")
    }

    /// The status of a call with this token.
    pub(crate) fn status_with(&self, token: &str) -> u16 {
        let bearer = format!("Bearer {token}");
        self.exchange("GET", "/collections", &[("Authorization", &bearer)], b"")
            .status
    }

    /// As a crash: kill -9.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("a running child");
        self.child.wait().expect("a child of ours");
    }

    /// Sends SIGTERM.
    pub(crate) fn terminate(&self) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .expect("kill runs");
        assert!(status.success());
    }

    /// Sends SIGTERM and gives the exit code.
    pub(crate) fn stop(mut self) -> Option<i32> {
        self.terminate();
        self.wait()
    }

    pub(crate) fn wait(&mut self) -> Option<i32> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child of ours") {
                return status.code();
            }
            assert!(begun.elapsed() < PATIENCE, "the server does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends a call of the data plane, path behind `/api/v1`.
    pub(crate) fn call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Reply {
        let bearer = format!("Bearer {TOKEN}");
        let headers = [&[("Authorization", bearer.as_str())], headers].concat();
        self.exchange(method, path, &headers, body)
    }

    fn exchange(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let mut stream = TcpStream::connect(&self.address).expect("the server accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        let mut head = format!(
            "{method} /api/v1{path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\
             Content-Length: {}\r\n",
            self.address,
            body.len()
        );
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes()).expect("the server reads");
        stream.write_all(body).expect("the server reads");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("the server answers");
        Reply::parse(&answer)
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        self.call("GET", path, &[], b"")
    }

    pub(crate) fn json(&self, method: &str, path: &str, body: &Value) -> Reply {
        let headers = [("Content-Type", "application/json")];
        self.call(method, path, &headers, body.to_string().as_bytes())
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Reply {
        self.json("POST", path, body)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    headers: String,
    pub(crate) body: String,
}

impl Reply {
    fn parse(answer: &[u8]) -> Self {
        let text = String::from_utf8_lossy(answer);
        let (headers, body) = text.split_once("\r\n\r\n").expect("head and body");
        let status = headers.split(' ').nth(1).and_then(|code| code.parse().ok());
        Self {
            status: status.expect("a status line"),
            headers: headers.to_owned(),
            body: body.to_owned(),
        }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let lines = self
            .headers
            .lines()
            .filter_map(|line| line.split_once(": "));
        let mut found = lines.filter(|(key, _)| key.eq_ignore_ascii_case(name));
        let value = found.next().map(|(_, value)| value);
        value.unwrap_or_else(|| panic!("no {name}: {self:?}"))
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }
}

/// The real data beside the project; none in a checkout that stands alone.
pub(crate) fn shared_data() -> Option<PathBuf> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    data.is_dir().then_some(data)
}

//! The server as a process: its token, its logs, its end.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::{Server, TOKEN, command, folder, run, told};

#[test]
fn the_token_is_made_and_shown_once_and_only_its_hash_is_kept() {
    let folder = folder();
    let folder = folder.path();
    let start = || {
        let mut command = command(folder, &["serve"]);
        command
            .env_remove("PDECK_ADMIN_TOKEN")
            .stdout(Stdio::piped());
        command
    };
    let mut server = Server::spawn(folder, start());
    let mut said = BufReader::new(server.stdout());
    let mut line = String::new();
    said.read_line(&mut line).expect("a line");
    let token = line
        .trim()
        .strip_prefix("Service token, shown this once: ")
        .expect("the token")
        .to_owned();
    assert!(token.len() >= 32, "{token}");
    assert_eq!(server.status_with(&token), 200);
    assert_eq!(server.status_with(TOKEN), 401);
    assert_eq!(server.stop(), Some(0));
    let mut rest = String::new();
    said.read_to_string(&mut rest).expect("the rest");
    assert!(!rest.contains(&token), "shown once");
    for file in walk(folder) {
        let bytes = std::fs::read(&file).expect("a readable file");
        let found = bytes
            .windows(token.len())
            .any(|window| window == token.as_bytes());
        assert!(!found, "the token is in {}", file.display());
    }
    let mut again = Server::spawn(folder, start());
    assert_eq!(again.status_with(&token), 200, "it holds after a restart");
    let mut said = again.stdout();
    assert_eq!(again.stop(), Some(0));
    let mut text = String::new();
    said.read_to_string(&mut text).expect("the output");
    assert!(!text.contains("Service token"), "{text}");
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        match path.is_dir() {
            true => files.extend(walk(&path)),
            false => files.push(path),
        }
    }
    files
}

#[test]
fn a_token_that_is_too_short_is_refused_at_the_start() {
    let folder = folder();
    let output = command(folder.path(), &["serve", "--listen", "127.0.0.1:0"])
        .env("PDECK_ADMIN_TOKEN", "short")
        .output();
    let output = output.expect("the program runs");
    assert_eq!(output.status.code(), Some(1));
    assert!(told(&output).contains("at least 32"), "{}", told(&output));
}

#[test]
fn other_machines_are_let_in_only_by_the_flag() {
    let folder = folder();
    let output = command(folder.path(), &[])
        .env("PDECK_LISTEN", "0.0.0.0:0")
        .output()
        .expect("the program runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(told(&output).contains("--listen"), "{}", told(&output));
}

#[test]
fn stores_this_build_has_no_engine_for_are_refused_by_name() {
    let folder = folder();
    for store in ["mongodb://127.0.0.1:1/x", "https://example.invalid"] {
        let output = run(
            folder.path(),
            &["serve", "--store", store, "--listen", "127.0.0.1:0"],
        );
        assert_eq!(output.status.code(), Some(1), "{}", told(&output));
        let scheme = store.split(':').next().expect("a scheme");
        assert!(told(&output).contains(scheme), "{}", told(&output));
    }
}

#[test]
fn termination_finishes_what_is_under_way_and_loses_nothing_acknowledged() {
    let folder = folder();
    let folder = folder.path();
    let mut server = Server::start(folder);
    for n in 0..50 {
        let body = json!({"n": n});
        server
            .json("PUT", &format!("/collections/t/documents/{n}"), &body)
            .is(201);
    }
    // A request whose body is on its way when the signal comes is still answered.
    let mut slow = TcpStream::connect(&server.address).expect("the server accepts");
    let head = format!(
        "PUT /api/v1/collections/t/documents/slow HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\
         Content-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: 8\r\n\r\n"
    );
    slow.write_all(head.as_bytes()).expect("the server reads");
    let mut answer = BufReader::new(slow.try_clone().expect("a second handle"));
    let mut line = String::new();
    answer.read_line(&mut line).expect("an interim answer");
    assert!(
        line.contains("100"),
        "the handler waits for the body: {line}"
    );
    // A feed is open too, and must not hold the server up.
    let mut feed = TcpStream::connect(&server.address).expect("the server accepts");
    let ask = format!(
        "GET /api/v1/collections/t/changes HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
    );
    feed.write_all(ask.as_bytes()).expect("the server reads");
    let mut byte = [0];
    feed.read_exact(&mut byte).expect("the feed has begun");
    server.terminate();
    let mut ended = Vec::new();
    feed.read_to_end(&mut ended)
        .expect("the feed ends when the server drains");
    slow.write_all(b"{\"a\": 1}")
        .expect("the server still reads");
    let mut text = String::new();
    answer.read_to_string(&mut text).expect("an answer");
    assert!(text.contains("201 Created"), "{text}");
    assert_eq!(server.wait(), Some(0));
    assert!(
        !folder.join("ready.json").exists(),
        "the ready file is taken away"
    );
    let again = Server::start(folder);
    let count = again
        .post("/collections/t/count", &json!({}))
        .is(200)
        .json();
    assert_eq!(count["count"], 51);
}

#[test]
fn logs_tell_requests_and_keep_secrets_and_values() {
    let folder = folder();
    let folder = folder.path();
    let mut serve = command(folder, &["serve", "--log", "trace"]);
    serve.stderr(Stdio::piped());
    let mut server = Server::spawn(folder, serve);
    let mut log = server.stderr();
    // Read while the server runs, or a full pipe would stop it.
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        log.read_to_string(&mut text).expect("a log in UTF-8");
        text
    });
    let headers = [
        ("Content-Type", "application/json"),
        ("X-Request-Id", "find-me-4711"),
    ];
    let body = br#"{"email": "v4lue@example.com", "password": "p4ssw0rd"}"#;
    server
        .call(
            "PUT",
            "/collections/things/documents/1d-of-it",
            &headers,
            body,
        )
        .is(201);
    server
        .post(
            "/collections/things/query",
            &json!({"filter": {"email": "v4lue@example.com"}}),
        )
        .is(200);
    assert_eq!(server.stop(), Some(0));
    let text = reader.join().expect("the log");
    let line = text
        .lines()
        .find(|line| line.contains("find-me-4711"))
        .expect("the request is logged");
    let line: Value = serde_json::from_str(line).expect("JSON when standard error is no terminal");
    assert_eq!(
        (&line["status"], &line["method"]),
        (&json!(201), &json!("PUT")),
        "{line}"
    );
    for secret in [TOKEN, "v4lue", "p4ssw0rd", "1d-of-it"] {
        assert!(!text.contains(secret), "{secret} is logged");
    }
}

#[test]
fn a_slow_client_is_answered_503_and_the_server_lives_on() {
    let folder = folder();
    let folder = folder.path();
    let server = Server::spawn(
        folder,
        command(folder, &["serve", "--request-timeout-ms", "200"]),
    );
    let mut slow = TcpStream::connect(&server.address).expect("the server accepts");
    let head = format!(
        "PUT /api/v1/collections/t/documents/1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\
         Content-Type: application/json\r\nConnection: close\r\nContent-Length: 100\r\n\r\n{{"
    );
    slow.write_all(head.as_bytes()).expect("the server reads");
    let mut text = String::new();
    slow.read_to_string(&mut text).expect("an answer");
    assert!(
        text.starts_with("HTTP/1.1 503") && text.to_lowercase().contains("retry-after: 1"),
        "{text}"
    );
    assert!(text.contains("\"outcome\":\"not_applied\""), "{text}");
    server.get("/collections/t/documents/1").is(404);
}

#[test]
fn a_refused_request_leaves_the_connection_to_the_next() {
    let folder = folder();
    let server = Server::start(folder.path());
    let stream = TcpStream::connect(&server.address).expect("the server accepts");
    let mut answers = BufReader::new(stream.try_clone().expect("a second handle"));
    let refused = [
        ("PUT", "/nowhere", TOKEN, "404"),
        ("PUT", "/api/v1/commit", TOKEN, "405"),
        ("POST", "/api/v1/commit", "wrong", "401"),
        ("POST", "/api/v1/collections/_orlop.x/query", TOKEN, "422"),
    ];
    for (method, path, token, status) in refused {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: 2\r\n\r\n"
        );
        // In two packets: the refusal is known before the body is there.
        (&stream)
            .write_all(head.as_bytes())
            .expect("the server reads");
        (&stream).write_all(b"{}").expect("the server reads");
        let mut length = 0;
        let mut line = String::new();
        answers.read_line(&mut line).expect("a status line");
        assert!(line.contains(status), "{path}: {line}");
        while line.trim() != "" {
            line.clear();
            answers.read_line(&mut line).expect("a header");
            if let Some(value) = line.to_lowercase().strip_prefix("content-length: ") {
                length = value.trim().parse().expect("a length");
            }
        }
        let mut body = vec![0; length];
        answers.read_exact(&mut body).expect("the body");
    }
}

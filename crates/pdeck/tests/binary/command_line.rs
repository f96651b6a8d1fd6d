//! Commands: what they print, refuse and exit with.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Server, command, feed, folder, run, succeed, told};

fn code(folder: &Path, args: &[&str]) -> Option<i32> {
    run(folder, args).status.code()
}

#[test]
fn exit_codes_tell_success_failure_and_misuse_apart() {
    let folder = folder();
    let folder = folder.path();
    for help in [
        &["--help"][..],
        &["help", "import"],
        &["export", "--help"],
        &["--version"],
    ] {
        assert_eq!(code(folder, help), Some(0), "{help:?}");
    }
    for misuse in [
        &["bogus"][..],
        &["import"],
        &["query"],
        &["--listen", "nowhere"],
        &["query", "t", "--limit", "0"],
    ] {
        assert_eq!(code(folder, misuse), Some(2), "{misuse:?}");
    }
    assert_eq!(code(folder, &["stats"]), Some(1), "no store is there");
    assert!(!folder.join("pdeck-data").exists(), "asking makes no store");
    assert_eq!(
        code(folder, &["import", "--collection", "t", "missing.json"]),
        Some(1)
    );
}

#[test]
fn lines_and_arrays_in_either_form_are_imported_from_files_and_pipes() {
    let folder = folder();
    let folder = folder.path();
    let array = "\u{feff} [\n {\"_id\": 1, \"n\": {\"$numberLong\": \"1\"}},\n\n {\"_id\": 2,\n  \"s\": \"a\\nb\"} ]\n";
    std::fs::write(folder.join("array.json"), array).expect("writing");
    assert_eq!(
        succeed(folder, &["import", "-c", "t", "array.json"]),
        "2 documents imported\n"
    );
    let piped = feed(
        folder,
        &["import", "-c", "t", "-"],
        b"{\"_id\": 3}\r\n\n{\"_id\": 4}",
    );
    assert!(piped.status.success(), "{}", told(&piped));
    let out = succeed(folder, &["export", "-c", "t", "-"]);
    assert_eq!(
        out.lines().collect::<Vec<_>>(),
        [
            r#"{"_id":{"$numberInt":"1"},"n":{"$numberLong":"1"}}"#,
            r#"{"_id":{"$numberInt":"2"},"s":"a\nb"}"#,
            r#"{"_id":{"$numberInt":"3"}}"#,
            r#"{"_id":{"$numberInt":"4"}}"#,
        ]
    );
    let relaxed = succeed(
        folder,
        &[
            "export",
            "-c",
            "t",
            "--relaxed",
            "--array",
            "--filter",
            "{\"_id\": 1}",
            "-",
        ],
    );
    assert_eq!(
        serde_json::from_str::<Value>(&relaxed).expect("JSON"),
        json!([{"_id": 1, "n": 1}])
    );
}

#[test]
fn bad_lines_are_told_by_their_numbers_and_end_the_import_unless_it_keeps_going() {
    let folder = folder();
    let folder = folder.path();
    let text = "{\"_id\": 1}\n\n{\"_id\": 2\n{\"_id\": 1}\n{\"_id\": 3}\n";
    std::fs::write(folder.join("bad.json"), text).expect("writing");
    let stopped = run(folder, &["import", "-c", "t", "bad.json"]);
    assert_eq!(stopped.status.code(), Some(1), "{}", told(&stopped));
    let said = told(&stopped);
    assert!(
        said.contains("line 3:") && said.contains("1 documents imported"),
        "{said}"
    );
    assert!(said.contains("--keep-going"), "{said}");
    std::fs::write(folder.join("bad.json"), format!("{text}{{\"_id\": 4}}")).expect("writing");
    let went_on = run(
        folder,
        &["import", "-c", "u", "--keep-going", "--json", "bad.json"],
    );
    assert_eq!(went_on.status.code(), Some(1), "{}", told(&went_on));
    let report: Value = serde_json::from_slice(&went_on.stdout).expect("one JSON value");
    assert_eq!(report["imported"], 3, "{report}");
    let lines: Vec<&Value> = report["errors"]
        .as_array()
        .expect("errors")
        .iter()
        .map(|e| &e["line"])
        .collect();
    assert_eq!(lines, [3, 4], "{report}");
    let broken = feed(
        folder,
        &["import", "-c", "v", "-"],
        b"[{\"_id\": 1}, {\"_id\": 2} {",
    );
    assert_eq!(broken.status.code(), Some(1));
    assert!(told(&broken).contains("document 3: "), "{}", told(&broken));
}

#[test]
fn an_import_replaces_when_asked_and_is_refused_by_the_models_rules() {
    let folder = folder();
    let folder = folder.path();
    let import = |args: &[&str], text: &str| {
        feed(
            folder,
            &[&["import", "-c", "tasks"], args, &["-"]].concat(),
            text.as_bytes(),
        )
    };
    let task = |title: &str| {
        format!(
            "{{\"_id\": {{\"$oid\": \"64b002000000000000000001\"}}, \"title\": \"{title}\", \"userId\": {{\"$oid\": \"64b001000000000000000001\"}}, \"status\": \"TODO\"}}"
        )
    };
    assert!(import(&[], &task("a")).status.success());
    let taken = import(&[], &task("b"));
    assert!(
        taken.status.code() == Some(1) && told(&taken).contains("already there"),
        "{}",
        told(&taken)
    );
    let replaced = import(&["--replace"], &task("c"));
    assert!(replaced.status.success(), "{}", told(&replaced));
    assert!(succeed(folder, &["query", "tasks"]).contains("\"title\":\"c\""));
    let wrong = import(&[], "{\"title\": \"x\", \"status\": \"NOPE\"}");
    assert_eq!(wrong.status.code(), Some(1));
    let said = told(&wrong);
    assert!(
        said.contains("line 1:") && said.contains("status"),
        "the field is named: {said}"
    );
}

#[test]
fn commands_answer_for_scripts_and_for_people() {
    let folder = folder();
    let folder = folder.path();
    feed(
        folder,
        &["import", "-c", "t", "-"],
        b"{\"_id\": 1, \"n\": 1}\n{\"_id\": 2, \"n\": 2}\n{\"_id\": 3, \"n\": 3}",
    );
    let found = succeed(
        folder,
        &[
            "query",
            "t",
            "{\"n\": {\"$gte\": 2}}",
            "--sort",
            "{\"n\": -1}",
            "--projection",
            "{\"_id\": 0}",
        ],
    );
    assert_eq!(found, "{\"n\":3}\n{\"n\":2}\n");
    let page: Value =
        serde_json::from_str(&succeed(folder, &["query", "t", "--json", "--limit", "2"]))
            .expect("JSON");
    assert!(page["cursor"].is_string(), "{page}");
    let plan: Value =
        serde_json::from_str(&succeed(folder, &["query", "t", "--explain"])).expect("JSON");
    assert_eq!(plan["documentsExamined"], 3, "{plan}");
    let stats: Value = serde_json::from_str(&succeed(folder, &["stats", "--json"])).expect("JSON");
    let names: Vec<&str> = stats["collections"]
        .as_array()
        .expect("collections")
        .iter()
        .map(|c| c["name"].as_str().expect("a name"))
        .collect();
    assert_eq!(names, ["integrations", "projects", "t", "tasks", "users"]);
    let report: Value = serde_json::from_str(&succeed(folder, &["check", "--json"])).expect("JSON");
    assert_eq!(
        (&report["clean"], &report["documents"]),
        (&json!(true), &json!(3)),
        "{report}"
    );
    assert!(succeed(folder, &["check"]).contains("clean"));
    let wrong = run(folder, &["query", "t", "{\"n\": {\"$gtx\": 1}}"]);
    assert!(
        wrong.status.code() == Some(1) && told(&wrong).contains("$gtx"),
        "{}",
        told(&wrong)
    );
    let plain = run(folder, &["query", "t"]);
    assert!(!plain.stderr.contains(&0x1b), "no colour but on a terminal");
}

#[test]
fn a_folder_a_server_holds_is_reached_through_the_server() {
    let folder = folder();
    let folder = folder.path();
    let server = Server::start(folder);
    let store = server.store();
    let held = run(folder, &["stats"]);
    let said = told(&held);
    assert_eq!(held.status.code(), Some(1), "{said}");
    assert!(
        said.contains(&format!("--store {store}")),
        "how to reach it: {said}"
    );
    let second = run(folder, &["serve", "--listen", "127.0.0.1:0"]);
    assert!(
        second.status.code() == Some(1) && told(&second).contains(&store),
        "{}",
        told(&second)
    );
    let piped = feed(
        folder,
        &["import", "-c", "t", "-", "--store", &store],
        b"{\"_id\": 1}\n{\"_id\": 1}",
    );
    assert!(told(&piped).contains("line 2:"), "{}", told(&piped));
    assert!(succeed(folder, &["query", "t", "--store", &store]).contains("{\"_id\":1}"));
    succeed(
        folder,
        &["export", "-c", "t", "out.json", "--store", &store],
    );
    assert!(succeed(folder, &["cache", "stats", "--store", &store]).contains("hits"));
    server.get("/collections/t/documents/1").is(200);
    succeed(
        folder,
        &[
            "cache",
            "invalidate",
            "-c",
            "t",
            "--id",
            "1",
            "--store",
            &store,
        ],
    );
    assert_eq!(
        server
            .get("/collections/t/documents/1")
            .header("cache-status"),
        "orlop; fwd=miss"
    );
    let output = command(folder, &["stats", "--store", &store])
        .env_remove("PDECK_ADMIN_TOKEN")
        .output();
    let output = output.expect("the program runs");
    assert!(
        told(&output).contains("PDECK_ADMIN_TOKEN"),
        "{}",
        told(&output)
    );
    let output = command(folder, &["stats", "--store", &store])
        .env("PDECK_ADMIN_TOKEN", "x".repeat(40))
        .output();
    let output = output.expect("the program runs");
    assert!(
        told(&output).contains("does not take this token"),
        "{}",
        told(&output)
    );
    let nobody = run(folder, &["stats", "--store", "http://127.0.0.1:9"]);
    assert!(
        told(&nobody).contains("no server answers"),
        "{}",
        told(&nobody)
    );
    assert_eq!(server.stop(), Some(0));
    succeed(folder, &["stats"]);
}

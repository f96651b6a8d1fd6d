//! The main job on real input: a fresh folder, every collection file imported by the command line
//! and over HTTP, an indexed query, a miss then a hit, a guarded edit, a 412, kill -9, the same
//! answers, and an export that equals the import value by value.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bson::{Bson, Document};
use orlop_server::ejson;
use serde_json::{Value, json};

use crate::support::{Server, folder, shared_data, succeed};

#[test]
fn main_job() {
    let Some(data) = shared_data() else {
        eprintln!("skipped: no ../shared");
        return;
    };
    let files = collection_files(&data);
    assert!(
        files.len() >= 9,
        "collection files of ../shared/data: {files:?}"
    );
    let folder = folder();
    let folder = folder.path();

    // By the command line, before any server runs.
    for (name, file) in &files {
        let path = file.to_str().expect("a path in UTF-8");
        let told = succeed(folder, &["import", "--collection", name, path]);
        assert_eq!(
            told,
            format!("{} documents imported\n", lines(file).len()),
            "{name}"
        );
    }
    // Over HTTP, into collections no model declares.
    let server = Server::start(folder);
    for (name, file) in &files {
        let text = std::fs::read(file).expect("a readable file");
        let ndjson = [("Content-Type", "application/x-ndjson")];
        let path = format!("/collections/over-http.{name}/documents");
        let told = server.call("POST", &path, &ndjson, &text).is(201).json();
        assert_eq!(
            told,
            json!({"inserted": lines(file).len(), "errors": []}),
            "{name}"
        );
    }

    let (answers, edited) = questions(&server);
    let stored = [dump(&server, "tasks"), dump(&server, "over-http.tasks")];
    server.kill();
    let server = Server::start(folder);
    assert_eq!(ask(&server), answers, "the same answers after kill -9");
    assert_eq!(
        [dump(&server, "tasks"), dump(&server, "over-http.tasks")],
        stored
    );
    let report = succeed(folder, &["check", "--json", "--store", &server.store()]);
    let report: Value = serde_json::from_str(&report).expect("JSON");
    assert_eq!(report["clean"], true, "{report}");
    assert_eq!(server.stop(), Some(0));

    for (name, file) in &files {
        for collection in [name.clone(), format!("over-http.{name}")] {
            let args = [
                "export",
                "--include-sensitive",
                "--collection",
                &collection,
                "out.json",
            ];
            succeed(folder, &args);
            let mut imported = by_id(file);
            let mut exported = by_id(&folder.join("out.json"));
            if collection == "tasks" {
                // All but the document that was edited on purpose.
                imported.remove(&edited);
                exported.remove(&edited);
            }
            assert_eq!(imported.len(), exported.len(), "{collection}");
            for (id, document) in imported {
                assert_eq!(exported.get(&id), Some(&document), "{collection} {id}");
            }
        }
    }
}

/// What is asked before and after the crash.
fn ask(server: &Server) -> Vec<Value> {
    let mine = json!({"userId": {"$oid": "64b001000000000000000001"}});
    let query = json!({"filter": mine, "sort": {"priority": -1}, "limit": 50});
    vec![
        server
            .post("/collections/tasks/query", &query)
            .is(200)
            .json(),
        server
            .post("/collections/tasks/count", &json!({"filter": mine}))
            .is(200)
            .json(),
        server
            .get("/collections/tasks/documents/64b002000000000000000001")
            .is(200)
            .json(),
        server
            .post(
                "/collections/sample_mflix.theaters/query",
                &json!({"filter": {"theaterId": 1000}}),
            )
            .is(200)
            .json(),
    ]
}

/// Reads, edits under a guard, and is refused once; the answers, and the id of what was edited.
fn questions(server: &Server) -> (Vec<Value>, String) {
    let mine = json!({"userId": {"$oid": "64b001000000000000000001"}});
    let query = json!({"filter": mine, "sort": {"priority": -1}, "limit": 50});
    let plan = server
        .post("/collections/tasks/explain", &query)
        .is(200)
        .json();
    assert_eq!(plan["index"], "userId_1_priority_-1", "{plan}");
    assert!(
        plan["documentsExamined"].as_u64().expect("a count") < 200,
        "{plan}"
    );
    let list = || server.post("/collections/tasks/query", &query).is(200);
    assert_eq!(list().header("cache-status"), "orlop; fwd=miss");
    assert_eq!(list().header("cache-status"), "orlop; hit; detail=local");
    let path = "/collections/tasks/documents/64b002000000000000000001";
    assert_eq!(
        server.get(path).is(200).header("cache-status"),
        "orlop; fwd=miss"
    );
    let read = server.get(path).is(200);
    assert_eq!(read.header("cache-status"), "orlop; hit; detail=local");
    let tag = read.header("etag").to_owned();
    let guarded = [
        ("Content-Type", "application/merge-patch+json"),
        ("If-Match", tag.as_str()),
    ];
    let edit = |title: &str| {
        let patch = json!({"title": title}).to_string();
        server.call("PATCH", path, &guarded, patch.as_bytes())
    };
    let edited = edit("edited once").is(200);
    let refused = edit("edited twice").is(412);
    assert_eq!(
        refused.header("etag"),
        edited.header("etag"),
        "the stored tag is told"
    );
    assert_eq!(server.get(path).json()["title"], "edited once");
    assert_eq!(
        list().header("cache-status"),
        "orlop; fwd=miss",
        "the edit is seen in the list"
    );
    (
        ask(server),
        "ObjectId(\"64b002000000000000000001\")".to_owned(),
    )
}

/// Every document of a collection with its revision.
fn dump(server: &Server, collection: &str) -> Value {
    let query = json!({"limit": 10_000, "includeRevision": true});
    server
        .post(&format!("/collections/{collection}/query"), &query)
        .is(200)
        .json()
}

/// The files that hold one collection each, by the collection's name.
fn collection_files(data: &Path) -> BTreeMap<String, PathBuf> {
    let files = std::fs::read_dir(data).expect("a readable folder");
    let files = files.map(|entry| entry.expect("a readable entry").path());
    let named = files.filter_map(|path| {
        let name = path.file_name()?.to_str()?.strip_suffix(".json")?;
        // What is indexed is no collection.
        let name = (!name.ends_with(".indexes")).then_some(name)?;
        let name = name
            .strip_prefix("pdeck-mongoose.")
            .unwrap_or(name)
            .to_owned();
        Some((name, path))
    });
    named.collect()
}

fn lines(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).expect("a readable file");
    text.lines()
        .filter(|line| !line.trim().is_empty())
        .map(str::to_owned)
        .collect()
}

/// The documents of a file by their ids, each value with its type.
fn by_id(file: &Path) -> BTreeMap<String, Document> {
    let documents = lines(file).into_iter().map(|line| {
        let document = ejson::document(line.as_bytes()).expect("a document a line");
        let id = document.get("_id").map(Bson::to_string).expect("an id");
        (id, document)
    });
    documents.collect()
}

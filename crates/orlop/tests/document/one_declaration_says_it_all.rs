//! One declaration says it all.

use bson::{Document as Bson, RawDocumentBuf, doc};
use orlop::document::schema::Validator;
use orlop::document::{CacheMode, Declaration, Document, Id, Key, OnDelete, Reference, Timestamp};

use crate::models::{Event, Status, Task, User};

#[test]
fn indexes_scopes_defaults_and_the_rest_come_from_the_type() {
    let form = Task::declaration().to_document();
    assert_eq!(
        form.get_array("indexes").unwrap(),
        doc! {"i": [
            {"key": {"userId": 1, "priority": -1}, "name": "userId_1_priority_-1"},
            {"key": {"userId": 1, "dueDate": 1}, "name": "userId_1_dueDate_1"},
            {"key": {"comments.likes": 1}, "name": "likes", "sparse": true},
            {"key": {"expiresAt": 1}, "name": "expiresAt_1", "expireAfterSeconds": 3600},
        ]}
        .get_array("i")
        .unwrap()
    );
    assert_eq!(
        form.get_array("scope").unwrap(),
        &vec![vec!["userId"].into(), vec!["project", "status"].into()]
    );
    assert_eq!(
        form.get_document("defaults").unwrap(),
        &doc! {"priority": 0.0, "status": "TODO", "tags": [], "comments": []}
    );
    assert_eq!(
        form.get_document("timestamps").unwrap(),
        &doc! {"created": "createdAt", "updated": "updatedAt"}
    );
    let form = User::declaration().to_document();
    assert_eq!(
        form.get_document("defaults").unwrap(),
        &doc! {"preferences.theme": "light", "preferences.notifications": true, "createdAt": "$$NOW"}
    );
    assert_eq!(
        form.get_array("sensitive").unwrap(),
        &vec!["password".into(), "address.zip".into()]
    );
    assert_eq!(
        Task::references(),
        [Reference {
            path: "userId",
            collection: "users",
            on_delete: OnDelete::Restrict
        }]
    );
}

#[test]
fn what_a_type_declares_checks_and_reads_back() {
    for declaration in [
        Task::declaration(),
        User::declaration(),
        Event::declaration(),
        Pressed::declaration(),
    ] {
        declaration.check().unwrap();
        let again = Declaration::from_document(&declaration.to_document()).unwrap();
        assert_eq!(&again, declaration);
    }
}

#[derive(Document, Debug)]
#[document(
    collection = "pressed", cache = "write_through", cache_ttl_ms = 250, compress, external_writers,
    shard_key(tenant), timestamps(created = made)
)]
#[index(unique, tenant)]
struct Pressed {
    #[document(id)]
    id: Id<Pressed, String>,
    unique: i64,
    tenant: String,
    made: Timestamp,
}

#[test]
fn policies_are_said_on_the_type() {
    let declared = Pressed::declaration();
    assert_eq!(
        (declared.policy.cache, declared.policy.ttl_ms),
        (CacheMode::WriteThrough, Some(250))
    );
    assert!(declared.compress && declared.external_writers);
    assert_eq!(declared.indexes[0].name, "unique_1_tenant_1");
    assert_eq!(declared.shard_key, ["tenant"]);
    let stamps = declared.timestamps.clone().unwrap();
    assert_eq!(
        (stamps.created.as_deref(), stamps.updated),
        (Some("made"), None)
    );
    let pressed = Pressed {
        id: "a".into(),
        unique: 1,
        tenant: "t".into(),
        made: Timestamp::from_millis(0),
    };
    assert_eq!(
        (Document::id(&pressed).bson(), pressed.unique),
        ("a".into(), 1)
    );
}

#[track_caller]
fn broken<T: Document>(document: Bson) -> Vec<String> {
    let validator = Validator::new(T::declaration().schema.as_ref().unwrap()).unwrap();
    let raw = RawDocumentBuf::try_from(&document).unwrap();
    let found = validator.check(&raw);
    found
        .into_iter()
        .map(|it| format!("{} {}", it.field, it.rule))
        .collect()
}

#[test]
fn the_schema_refuses_raw_documents_that_the_type_would() {
    let id = bson::oid::ObjectId::new();
    let good = doc! {"_id": id, "title": "x", "userId": id, "priority": 8, "dueDate": null, "legacy": [1], "__v": 0};
    assert_eq!(broken::<Task>(good.clone()), Vec::<String>::new());
    let with = |field: &str, value: bson::Bson| {
        let mut document = good.clone();
        document.insert(field, value);
        broken::<Task>(document).join(", ")
    };
    assert_eq!(with("title", "".into()), "title min_length");
    assert_eq!(with("title", "x".repeat(201).into()), "title max_length");
    assert_eq!(with("status", "NOPE".into()), "status enum");
    assert_eq!(with("status", bson::Bson::from("IN_PROGRESS")), "");
    assert_eq!(
        with("userId", "64b001000000000000000001".into()),
        "userId type"
    );
    assert_eq!(with("priority", "1".into()), "priority type");
    assert_eq!(with("priority", 1e16.into()), "priority maximum");
    assert_eq!(with("tags", vec!["a", ""].into()), "tags[1] min_length");
    assert_eq!(
        with("comments", vec![doc! {"likes": 1}].into()),
        "comments[0].text required"
    );
    assert_eq!(
        with("comments", vec![doc! {"text": "x", "likes": 1.5}].into()),
        "comments[0].likes multiple_of"
    );
    assert_eq!(with("day", "2023-02-29".into()), "day date");
    assert_eq!(
        broken::<Task>(doc! {"_id": id, "userId": id}),
        ["title required"]
    );
    let user = doc! {"_id": id, "email": "nobody", "password": "", "preferences": {"theme": 5}};
    assert_eq!(
        broken::<User>(user),
        [
            "email email",
            "password min_length",
            "preferences.theme type"
        ]
    );
}

#[test]
fn check_functions_run_on_typed_values() {
    let id = bson::oid::ObjectId::new();
    let long = doc! {"_id": id, "title": "a b c d e f g h i j", "userId": id};
    let task: Task = orlop::document::decode(&bson::serialize_to_vec(&long).unwrap()).unwrap();
    let mut errors = Vec::new();
    task.check(&mut errors);
    let found: Vec<_> = errors
        .iter()
        .map(|it| (it.field.as_str(), it.rule.as_str(), it.message.as_str()))
        .collect();
    assert_eq!(found, [("title", "check", "must have at most nine words")]);
    assert_eq!(task.status, Status::Todo);
}

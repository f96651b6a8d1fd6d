//! Names are said once.

use bson::{Document as Bson, doc, oid::ObjectId};
use orlop::document::{Document, Id, Revision, Timestamp, decode, encode};

use crate::models::{Comment, Points, Preferences, Status, Task, User, user};

fn task() -> Task {
    Task {
        id: "64b002000000000000000001".parse().unwrap(),
        title: "caulk".into(),
        description: None,
        user_id: user(),
        priority: 2.5,
        due_date: Some(Timestamp::from_millis(5)),
        day: Some("2024-02-29".parse().unwrap()),
        status: Status::InProgress,
        tags: vec!["a".into()],
        comments: vec![Comment {
            text: "hi".into(),
            likes: i64::MAX,
        }],
        points: Some(Points(3)),
        project: None,
        expires_at: None,
        extra: None,
        created_at: Timestamp::from_millis(1),
        updated_at: Timestamp::from_millis(2),
        version: Revision(7),
    }
}

fn stored(task: &Task) -> Bson {
    Bson::try_from(encode(task).unwrap()).unwrap()
}

fn read<T: Document>(stored: &Bson) -> orlop::Result<T> {
    decode(&bson::serialize_to_vec(stored).unwrap())
}

#[test]
fn fields_are_stored_in_camel_case_by_their_bson_types() {
    let expected = doc! {
        "_id": ObjectId::parse_str("64b002000000000000000001").unwrap(),
        "title": "caulk",
        "userId": *user().key(),
        "priority": 2.5,
        "dueDate": bson::DateTime::from_millis(5),
        "day": "2024-02-29",
        "status": "IN_PROGRESS",
        "tags": ["a"],
        "comments": [{"text": "hi", "likes": i64::MAX}],
        "points": 3_i64,
        "extra": null,
        "createdAt": bson::DateTime::from_millis(1),
        "updatedAt": bson::DateTime::from_millis(2),
        "_v": 7_i64,
    };
    assert_eq!(stored(&task()), expected);
    assert_eq!(read::<Task>(&expected).unwrap(), task());
}

#[test]
fn an_accessor_names_what_is_stored() {
    use orlop::document::At;
    assert_eq!(Task::due_date().path(), "dueDate");
    assert_eq!(Task::id().path(), "_id");
    assert_eq!(Task::version().path(), "_v");
    assert_eq!(User::version().path(), "_v");
    assert_eq!(User::preferences().theme().path(), "preferences.theme");
    assert_eq!(User::address().post_code().path(), "address.zip");
    assert_eq!(Task::comments().any().likes().path(), "comments.likes");
    assert_eq!(Task::fields().due_date().path(), "dueDate");
}

#[test]
fn defaults_stand_for_missing_fields_and_null_is_none() {
    let least = doc! {
        "_id": ObjectId::new(), "title": "x", "userId": *user().key(), "dueDate": null, "project": null,
        "description": null, "tags": null, "later": {"written": "by a newer program"},
    };
    let read: Task = read(&least).unwrap();
    assert_eq!((read.priority, read.status), (0.0, Status::Todo));
    assert_eq!((read.tags, read.comments), (vec![], vec![]));
    assert_eq!(
        (read.description, read.due_date, read.project),
        (None, None, None)
    );
    assert_eq!(read.version, Revision(0));
    let user: User =
        self::read(&doc! {"_id": ObjectId::new(), "email": "a@b.ch", "password": "p"}).unwrap();
    assert_eq!(
        user.preferences,
        Preferences {
            theme: "light".into(),
            notifications: true
        }
    );
    assert!(user.created_at > Timestamp::from_millis(1_700_000_000_000));
    let partial = doc! {"_id": ObjectId::new(), "email": "a@b.ch", "password": "p", "preferences": {"theme": "dark"}};
    let user: User = self::read(&partial).unwrap();
    assert_eq!(
        user.preferences,
        Preferences {
            theme: "dark".into(),
            notifications: true
        }
    );
}

#[test]
fn an_alias_is_read_and_never_written() {
    let mut old = stored(&task());
    old.remove("project");
    old.insert("projectId", 5);
    let read: Task = read(&old).unwrap();
    assert_eq!(read.project, Some(5));
    let written = stored(&read);
    assert_eq!(
        (written.get("project"), written.get("projectId")),
        (Some(&5_i64.into()), None)
    );
}

#[test]
fn a_whole_number_reads_from_any_number_type_without_loss() {
    let with = |likes: bson::Bson, priority: bson::Bson| {
        let mut stored = stored(&task());
        stored.insert("comments", vec![doc! {"text": "x", "likes": likes}]);
        stored.insert("priority", priority);
        read::<Task>(&stored)
    };
    let read = with(3.0.into(), 8.into()).unwrap();
    assert_eq!((read.comments[0].likes, read.priority), (3, 8.0));
    assert_eq!(
        with(3_i64.into(), 8_i64.into()).unwrap().comments[0].likes,
        3
    );
    for lossy in [3.5, f64::NAN, 9.3e18] {
        let error = with(lossy.into(), 0.into()).unwrap_err();
        assert_eq!(
            error.message(),
            "a stored document of tasks does not fit its type: comments[0].likes: a whole number that fits was expected"
        );
    }
}

#[test]
fn a_misfit_names_collection_and_field_and_never_the_value() {
    let wrong = |field: &str, value: bson::Bson| {
        let mut stored = stored(&task());
        stored.insert(field, value);
        read::<Task>(&stored).unwrap_err().message().to_owned()
    };
    let at = "a stored document of tasks does not fit its type: ";
    assert_eq!(
        wrong("title", 5.into()),
        format!("{at}title: a string was expected")
    );
    assert_eq!(
        wrong("dueDate", "hunter2".into()),
        format!("{at}dueDate: a date was expected")
    );
    assert_eq!(
        wrong("userId", "hunter2".into()),
        format!("{at}userId: an id of type objectId was expected")
    );
    assert_eq!(
        wrong("status", "hunter2".into()),
        format!("{at}status: one of TODO, IN_PROGRESS, DONE was expected")
    );
    assert_eq!(
        wrong("tags", vec![bson::Bson::from("a"), 1.into()].into()),
        format!("{at}tags[1]: a string was expected")
    );
    let user = doc! {"_id": ObjectId::new(), "email": "a@b.ch", "password": "p", "preferences": {"theme": 1}};
    assert_eq!(
        read::<User>(&user).unwrap_err().message(),
        "a stored document of users does not fit its type: preferences.theme: a string was expected"
    );
    let user = doc! {"_id": ObjectId::new(), "password": "p"};
    assert_eq!(
        read::<User>(&user).unwrap_err().message(),
        "a stored document of users does not fit its type: email: it is required"
    );
}

#[test]
fn partial_json_makes_a_new_value_with_its_defaults() {
    let id: Id<Task> = "64b002000000000000000001".parse().unwrap();
    let json = format!(
        r#"{{"_id": "{id}", "title": "x", "userId": "{}", "dueDate": "2023-06-15T12:00:00Z"}}"#,
        user()
    );
    let task: Task = serde_json::from_str(&json).unwrap();
    assert_eq!(task.id, id);
    assert_eq!(
        task.due_date.unwrap().to_string(),
        "2023-06-15T12:00:00.000Z"
    );
    assert_eq!((task.priority, task.status), (0.0, Status::Todo));
    let error = serde_json::from_str::<Task>(r#"{"title": 5}"#).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("title: a string was expected"),
        "{error}"
    );
}

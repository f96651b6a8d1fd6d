//! Every document reads typed and keeps what was not edited.

use orlop::bson::{Bson, Document, RawDocumentBuf};
use orlop::document::schema::Validator;
use orlop::document::{Document as Model, decode, encode};
use orlop::pack::merge;
use pdeck::models::{Integration, Project, Status, Task, User};

/// Reads each document, edits it, stores it over itself, and says what the edit must make of it.
fn edit_all<T: Model>(file: &str, edit: fn(&mut T), expected: fn(&mut Document)) {
    let documents = super::documents(file);
    assert!(!documents.is_empty());
    let validator = Validator::new(T::declaration().schema.as_ref().unwrap()).unwrap();
    for mut document in documents {
        let stored = RawDocumentBuf::try_from(&document).unwrap();
        let mut model: T = decode(stored.as_bytes()).unwrap();
        assert_eq!(saved(&stored, &model), document, "{file}: unedited");
        assert_eq!(validator.check(&stored), [], "{file}: {document}");
        edit(&mut model);
        expected(&mut document);
        assert_eq!(saved(&stored, &model), document, "{file}: edited");
    }
}

fn saved<T: Model>(stored: &RawDocumentBuf, model: &T) -> Document {
    let new = encode(model).unwrap();
    let merged = match model.keep() {
        Some(shape) => merge(stored, &new, shape).unwrap(),
        None => new,
    };
    Document::try_from(merged).unwrap()
}

#[test]
fn tasks() {
    edit_all::<Task>(
        "tasks",
        |task| task.title.push('!'),
        |document| {
            let title = format!("{}!", document.get_str("title").unwrap());
            document.insert("title", title);
        },
    );
    edit_all::<Task>(
        "tasks",
        |task| task.status = Status::Done,
        |document| {
            document.insert("status", "DONE");
        },
    );
    edit_all::<Task>(
        "tasks",
        |task| task.tags.push("edited".into()),
        |document| {
            let mut tags = document.get_array("tags").cloned().unwrap_or_default();
            tags.push("edited".into());
            document.insert("tags", tags);
        },
    );
    edit_all::<Task>(
        "tasks",
        |task| task.due_date = None,
        |document| {
            if document
                .get("dueDate")
                .is_some_and(|due| *due != Bson::Null)
            {
                document.remove("dueDate");
            }
        },
    );
    edit_all::<Task>(
        "tasks",
        |task| task.priority = 0.5,
        |document| {
            document.insert("priority", 0.5);
        },
    );
}

#[test]
fn users() {
    edit_all::<User>(
        "users",
        |user| user.preferences.theme = "sepia".into(),
        |document| {
            document
                .get_document_mut("preferences")
                .unwrap()
                .insert("theme", "sepia");
        },
    );
}

#[test]
fn projects() {
    edit_all::<Project>(
        "projects",
        |project| project.archived = !project.archived,
        |document| {
            let archived = document.get_bool("archived").unwrap();
            document.insert("archived", !archived);
        },
    );
}

#[test]
fn integrations() {
    edit_all::<Integration>(
        "integrations",
        |integration| match integration {
            Integration::Github(github) => github.cursor = Some(7),
            Integration::Calendar(calendar) => calendar.cursor = Some(7),
            Integration::Slack(slack) => slack.scopes.push("chat".into()),
            Integration::Other(_) => panic!("every provider in the file is known"),
        },
        |document| match document.get_str("provider").unwrap() {
            "slack" => {
                document.insert("scopes", vec!["chat"]);
            }
            _ => {
                document.insert("cursor", 7_i64);
            }
        },
    );
}

#[test]
fn an_integration_of_a_provider_not_known_is_kept_to_the_byte() {
    let mut document = super::documents("integrations").remove(0);
    document.insert("provider", "matrix");
    let stored = RawDocumentBuf::try_from(&document).unwrap();
    let model: Integration = decode(stored.as_bytes()).unwrap();
    assert_eq!(model, Integration::Other(document));
    assert_eq!(encode(&model).unwrap(), stored);
}

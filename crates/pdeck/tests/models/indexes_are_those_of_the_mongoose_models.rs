//! Indexes are those of the mongoose models.

use orlop::bson::{Bson, doc};
use orlop::document::{Declaration, Document as _, IndexSpec};
use pdeck::models::{Integration, Project, Task, User};

#[test]
fn each_collection_declares_the_indexes_that_mongoose_built() {
    let Bson::Document(built) = serde_json::from_str(&super::text("indexes")).unwrap() else {
        panic!("an object was expected");
    };
    for (name, declared) in [
        ("tasks", Task::declaration()),
        ("users", User::declaration()),
        ("projects", Project::declaration()),
        ("integrations", Integration::declaration()),
    ] {
        declared.check().unwrap();
        let form = doc! {"indexes": built.get(name).unwrap()};
        let built = Declaration::from_document(&form).unwrap().indexes;
        assert_eq!(by_name(&declared.indexes), by_name(&built), "{name}");
    }
}

fn by_name(indexes: &[IndexSpec]) -> Vec<&IndexSpec> {
    let mut indexes: Vec<_> = indexes.iter().collect();
    indexes.sort_by_key(|index| &index.name);
    indexes
}

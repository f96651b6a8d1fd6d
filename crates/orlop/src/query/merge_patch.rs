//! JSON Merge Patch (RFC 7396) on BSON documents.

use bson::{Bson, Document};

/// `before` with the patch merged in: null removes a field, a document merges into a document,
/// anything else replaces. Fields keep their places; new ones follow in the order of the patch.
///
/// # Source
/// RFC 7396, section 2.
pub fn merge_patch(before: &Document, patch: &Document) -> Document {
    let mut merged = before.clone();
    for (name, value) in patch {
        match value {
            Bson::Null => {
                merged.remove(name);
            }
            Bson::Document(patch) => {
                let below = match merged.get(name) {
                    Some(Bson::Document(below)) => merge_patch(below, patch),
                    _ => merge_patch(&Document::new(), patch),
                };
                merged.insert(name, below);
            }
            value => {
                merged.insert(name, value.clone());
            }
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;

    #[test]
    fn examples_of_the_rfc_hold() {
        let cases = [
            (doc! {"a": "b"}, doc! {"a": "c"}, doc! {"a": "c"}),
            (doc! {"a": "b"}, doc! {"b": "c"}, doc! {"a": "b", "b": "c"}),
            (doc! {"a": "b"}, doc! {"a": null}, doc! {}),
            (doc! {"a": "b", "b": "c"}, doc! {"a": null}, doc! {"b": "c"}),
            (doc! {"a": ["b"]}, doc! {"a": "c"}, doc! {"a": "c"}),
            (doc! {"a": "c"}, doc! {"a": ["b"]}, doc! {"a": ["b"]}),
            (
                doc! {"a": {"b": "c"}},
                doc! {"a": {"b": "d", "c": null}},
                doc! {"a": {"b": "d"}},
            ),
            (doc! {"a": [{"b": "c"}]}, doc! {"a": [1]}, doc! {"a": [1]}),
            (doc! {"e": null}, doc! {"a": 1}, doc! {"e": null, "a": 1}),
            (
                doc! {},
                doc! {"a": {"bb": {"ccc": null}}},
                doc! {"a": {"bb": {}}},
            ),
        ];
        for (before, patch, after) in cases {
            assert_eq!(merge_patch(&before, &patch), after, "{before} with {patch}");
        }
    }

    #[test]
    fn fields_keep_their_places_and_new_ones_follow() {
        let merged = merge_patch(
            &doc! {"x": 1, "y": {"p": 1, "q": 2}, "z": 3},
            &doc! {"n": 4, "y": {"r": 3, "p": null}, "x": 5_i64},
        );
        assert_eq!(
            merged.to_string(),
            doc! {"x": 5_i64, "y": {"q": 2, "r": 3}, "z": 3, "n": 4}.to_string()
        );
    }
}

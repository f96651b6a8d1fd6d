//! Makes a failing input smaller while it still fails.

use bson::{Bson, Document};

/// Tries smaller and simpler versions of `case` and keeps those for which `fails` still holds.
///
/// Works on any BSON tree: fields and items are left out, values are replaced by their children and
/// by simpler scalars. `fails` decides what is still a valid case.
///
/// # Cost
/// At most `tries` calls of `fails`.
pub fn shrink(case: Document, tries: usize, mut fails: impl FnMut(&Document) -> bool) -> Document {
    let mut best = case;
    let mut left = tries;
    loop {
        let mut improved = false;
        let mut skip = 0;
        while left > 0 {
            let Some(candidate) = candidate(&best, skip) else {
                break;
            };
            left -= 1;
            if fails(&candidate) {
                best = candidate;
                improved = true;
            } else {
                skip += 1;
            }
        }
        if !improved || left == 0 {
            return best;
        }
    }
}

/// The `number`th way to make `case` smaller by one step.
fn candidate(case: &Document, number: usize) -> Option<Document> {
    let mut number = number;
    let mut case = Bson::Document(case.clone());
    change(&mut case, &mut number).then(|| match case {
        Bson::Document(case) => case,
        _ => Document::new(),
    })
}

/// Counts `number` down over the ways to simplify below `value`; takes the one at 0.
fn change(value: &mut Bson, number: &mut usize) -> bool {
    match value {
        Bson::Document(fields) => {
            for name in fields.keys().cloned().collect::<Vec<_>>() {
                if take(number) {
                    fields.remove(&name);
                    return true;
                }
            }
            fields
                .iter_mut()
                .any(|(_, field)| change_inside(field, number))
        }
        Bson::Array(items) => {
            for at in 0..items.len() {
                if take(number) {
                    items.remove(at);
                    return true;
                }
            }
            items.iter_mut().any(|item| change_inside(item, number))
        }
        _ => false,
    }
}

fn change_inside(value: &mut Bson, number: &mut usize) -> bool {
    for simpler in simpler(value) {
        if take(number) {
            *value = simpler;
            return true;
        }
    }
    change(value, number)
}

fn take(number: &mut usize) -> bool {
    if *number == 0 {
        return true;
    }
    *number -= 1;
    false
}

/// Values that are simpler than `value`: its children, then small scalars of its type.
fn simpler(value: &Bson) -> Vec<Bson> {
    match value {
        Bson::Document(fields) => fields.values().cloned().collect(),
        Bson::Array(items) => items.clone(),
        Bson::Int32(0) => Vec::new(),
        Bson::Int32(1) => vec![Bson::Int32(0)],
        Bson::Int32(_) | Bson::Null => vec![Bson::Int32(1)],
        Bson::String(text) if text.is_empty() => Vec::new(),
        Bson::String(text) if text.chars().count() == 1 => vec![Bson::String(String::new())],
        Bson::String(text) => {
            let mut shorter = text.clone();
            shorter.pop();
            vec![Bson::Int32(1), Bson::String(shorter)]
        }
        _ => vec![Bson::Int32(1)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::doc;

    #[test]
    fn the_smallest_case_that_still_fails_is_found() {
        fn holds_seven(value: &Bson) -> bool {
            match value {
                Bson::Int32(7) => true,
                Bson::Array(items) => items.iter().any(holds_seven),
                Bson::Document(fields) => fields.values().any(holds_seven),
                _ => false,
            }
        }
        let case = doc! { "a": [1, { "b": [2, { "c": 7, "d": "text" }] }], "e": null };
        let small = shrink(case, 1000, |case| case.values().any(holds_seven));
        assert_eq!(small, doc! { "a": 7 });
    }
}

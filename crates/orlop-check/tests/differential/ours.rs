//! What `orlop::query` answers: the meaning that every engine is held to.

use bson::Document;
use bson::raw::RawDocumentBuf;
use orlop_check::meaning;

use super::answer::Answer;
use super::case::documents;

/// The documents that match, in order, projected.
pub(crate) fn find(case: &Document) -> Answer {
    let asked = case.get_document("find").cloned().unwrap_or_default();
    match meaning::find(&stored(case), &asked) {
        Ok(documents) => Answer::Documents {
            counts: None,
            documents,
        },
        Err(error) => Answer::Refused(error.to_string()),
    }
}

/// What an update makes of the documents.
pub(crate) fn update(case: &Document) -> Answer {
    let asked = case.get_document("update").cloned().unwrap_or_default();
    match meaning::update(&stored(case), &asked) {
        Ok(outcome) => Answer::Documents {
            counts: Some((outcome.matched, outcome.modified)),
            documents: outcome.documents,
        },
        Err(error) => Answer::Refused(error.to_string()),
    }
}

/// The documents of a case, as bytes, by `_id`.
pub(crate) fn stored(case: &Document) -> Vec<RawDocumentBuf> {
    let documents = documents(case).unwrap_or_default();
    let raw = |document| RawDocumentBuf::try_from(document).expect("a case is BSON");
    meaning::in_order(documents.iter().map(raw).collect())
}

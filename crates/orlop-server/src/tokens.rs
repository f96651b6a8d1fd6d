//! Opaque strings that carry a position: `seq`, session tokens, cursors, resume tokens.
//!
//! Each carries the store's incarnation, so that nothing of another life ever matches, and each
//! but the shortest a checksum, so that a mangled one is told apart from an old one.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bson::{Bson, Document};
use orlop::Error;
use orlop::engine::{Resume, Seq};
use sha2::{Digest, Sha256};

use crate::problem::Problem;

const CURSOR: u8 = 1;
const RESUME: u8 = 2;
const CHECK_BYTES: usize = 4;

/// A commit's number as clients see it; also the session token.
pub(crate) fn seq(incarnation: u128, seq: Seq) -> String {
    format!("{incarnation:032x}-{seq}")
}

/// Reads a token of [`seq`]: its incarnation and number.
pub(crate) fn read_seq(token: &str) -> Result<(u128, Seq), Problem> {
    let parts = token.split_once('-').and_then(|(incarnation, seq)| {
        let incarnation = u128::from_str_radix(incarnation, 16).ok()?;
        Some((incarnation, seq.parse().ok()?))
    });
    parts.ok_or_else(|| Problem::unparsable("the session token is not one of ours"))
}

/// What a query is, for its cursor: the same hash, the same order of the same documents.
pub(crate) fn query_hash(parts: &[&[u8]]) -> [u8; 8] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let mut short = [0; 8];
    short.copy_from_slice(&hash.finalize()[..8]);
    short
}

/// A cursor behind the document with these sort values, its id last.
pub(crate) fn cursor(incarnation: u128, query: [u8; 8], after: Vec<Bson>) -> orlop::Result<String> {
    let mut holder = Document::new();
    holder.insert("a", after);
    let mut bytes = vec![CURSOR];
    bytes.extend(incarnation.to_le_bytes());
    bytes.extend(query);
    let holder = holder.to_vec();
    bytes.extend(holder.map_err(|error| Error::invalid(format!("malformed sort value: {error}")))?);
    Ok(sealed(bytes))
}

/// Reads a cursor made for the same query in the same life of the store.
pub(crate) fn read_cursor(
    incarnation: u128,
    query: [u8; 8],
    token: &str,
) -> Result<Vec<Bson>, Problem> {
    let malformed = || Problem::unparsable("the cursor is not one of ours");
    let bytes = opened(CURSOR, token).ok_or_else(malformed)?;
    let (life, rest) = bytes.split_first_chunk::<16>().ok_or_else(malformed)?;
    let (hash, rest) = rest.split_first_chunk::<8>().ok_or_else(malformed)?;
    if u128::from_le_bytes(*life) != incarnation {
        return Err(Problem::gone(
            "the cursor is of an earlier life of this store; start over without it",
        ));
    }
    if *hash != query {
        return Err(Problem::rule(
            "the cursor belongs to another query; send it with the filter, sort and skip it came from",
        ));
    }
    match Document::from_reader(rest)
        .ok()
        .and_then(|mut holder| holder.remove("a"))
    {
        Some(Bson::Array(after)) => Ok(after),
        _ => Err(malformed()),
    }
}

/// A place in the feed: behind `resume`, and behind `passed` more changes of the batch after it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Place {
    pub(crate) resume: Resume,
    pub(crate) passed: u32,
}

pub(crate) fn place(incarnation: u128, place: &Place) -> String {
    let mut bytes = vec![RESUME];
    bytes.extend(incarnation.to_le_bytes());
    bytes.extend(place.passed.to_le_bytes());
    bytes.extend(&place.resume.0);
    sealed(bytes)
}

pub(crate) fn read_place(incarnation: u128, token: &str) -> Result<Place, Problem> {
    let malformed = || Problem::unparsable("the resume token is not one of ours");
    let bytes = opened(RESUME, token).ok_or_else(malformed)?;
    let (life, rest) = bytes.split_first_chunk::<16>().ok_or_else(malformed)?;
    let (passed, rest) = rest.split_first_chunk::<4>().ok_or_else(malformed)?;
    if u128::from_le_bytes(*life) != incarnation {
        return Err(Problem::gone(
            "the resume token is of an earlier life of this store; read the collection anew",
        ));
    }
    Ok(Place {
        resume: Resume(rest.to_vec()),
        passed: u32::from_le_bytes(*passed),
    })
}

fn sealed(mut bytes: Vec<u8>) -> String {
    let check = check(&bytes);
    bytes.extend(check);
    URL_SAFE_NO_PAD.encode(bytes)
}

fn opened(kind: u8, token: &str) -> Option<Vec<u8>> {
    let mut bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let length = bytes.len().checked_sub(CHECK_BYTES)?;
    let seal = bytes.split_off(length);
    let sound = check(&bytes) == seal.as_slice() && bytes.first() == Some(&kind);
    sound.then(|| bytes.split_off(1))
}

fn check(bytes: &[u8]) -> [u8; CHECK_BYTES] {
    let mut check = [0; CHECK_BYTES];
    check.copy_from_slice(&Sha256::digest(bytes)[..CHECK_BYTES]);
    check
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_serves_its_own_query_in_its_own_life_only() {
        let after = vec![Bson::Int64(5), Bson::String("x".into()), Bson::Null];
        let token = cursor(7, [1; 8], after.clone()).expect("a cursor");
        assert_eq!(read_cursor(7, [1; 8], &token).expect("its own"), after);
        let status = |incarnation, query, token: &str| {
            let refused = read_cursor(incarnation, query, token).expect_err("refused");
            refused.status().as_u16()
        };
        assert_eq!(status(8, [1; 8], &token), 410, "another life");
        assert_eq!(status(7, [2; 8], &token), 422, "another query");
        assert_eq!(status(7, [1; 8], "x"), 400, "no token");
        for position in 0..token.len() {
            let mut mangled = token.clone().into_bytes();
            mangled[position] = if mangled[position] == b'A' {
                b'B'
            } else {
                b'A'
            };
            let mangled = String::from_utf8(mangled).expect("ASCII");
            assert_eq!(status(7, [1; 8], &mangled), 400, "mangled at {position}");
        }
    }

    #[test]
    fn a_place_in_the_feed_reads_back() {
        let there = Place {
            resume: Resume(vec![1, 2, 3]),
            passed: 9,
        };
        let token = place(7, &there);
        assert_eq!(read_place(7, &token).expect("its own"), there);
        assert_eq!(
            read_place(8, &token).expect_err("another life").status(),
            410
        );
    }

    #[test]
    fn a_seq_reads_back() {
        assert_eq!(
            read_seq(&seq(u128::MAX, 12)).expect("its own"),
            (u128::MAX, 12)
        );
        assert_eq!(read_seq("12").expect_err("no token").status(), 400);
    }
}

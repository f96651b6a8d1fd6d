//! Random filters, sorts, projections and updates mean what a real MongoDB 6.0 says they mean.
//!
//! `CASES` (20 000) is how many are tried, `SEED` which ones. A disagreement is shrunk and printed
//! with both answers. Documents are compared byte for byte, refusals only by being refused.

mod answer;
mod case;
mod engines;
mod ours;
mod server;

use std::collections::BTreeSet;
use std::env;
use std::process::ExitCode;

use bson::{Bson, Document};
use libtest_mimic::{Arguments, Failed};
use orlop_check::generate::shrink;
use orlop_check::random::{Random, seed};
use orlop_check::servers::{Program, trial};

use answer::{Answer, show};
use case::Kind;
use server::Server;

/// Cases when `CASES` does not say.
const CASES: usize = 20_000;
/// Seed when `SEED` does not say.
const SEED: u64 = 1;
/// Different disagreements after which the search ends.
const SHOWN_MAX: usize = 12;
/// Calls of both sides spent on making one disagreement smaller.
const SHRINK_TRIES: usize = 3_000;

/// What is compared with the server.
type Subject = fn(&Document) -> Answer;

fn main() -> ExitCode {
    let needs = &[Program::Mongod][..];
    let trials = vec![
        trial("finds_mean_what_mongodb_says", needs, || {
            agree(Kind::Find, ours::find, cases() * 3 / 5)
        }),
        trial("updates_mean_what_mongodb_says", needs, || {
            agree(Kind::Update, ours::update, cases() * 2 / 5)
        }),
        trial(
            "engines_find_the_same_with_and_without_indexes",
            needs,
            || agree(Kind::Find, engines::find, cases() * 3 / 5),
        ),
        trial(
            "engines_update_the_same_with_and_without_indexes",
            needs,
            || agree(Kind::Update, engines::update, cases() * 2 / 5),
        ),
        trial("a_wrong_meaning_is_seen", needs, wrong_meaning_is_seen),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn cases() -> usize {
    let said = env::var("CASES").ok().and_then(|cases| cases.parse().ok());
    said.unwrap_or(CASES)
}

fn agree(kind: Kind, subject: Subject, cases: usize) -> Result<(), Failed> {
    let seed = seed(SEED);
    let found = disagreements(kind, subject, cases, seed)?;
    if found.is_empty() {
        return Ok(());
    }
    Err(format!(
        "SEED={seed} {kind:?}: {} disagreements\n{}",
        found.len(),
        found.join("\n")
    )
    .into())
}

/// A filter evaluator that takes `$lt` for `$lte` does not pass.
fn wrong_meaning_is_seen() -> Result<(), Failed> {
    fn wrong(case: &Document) -> Answer {
        let text = Bson::Document(case.clone())
            .into_canonical_extjson()
            .to_string();
        let changed: Result<Document, _> =
            serde_json::from_str(&text.replace("\"$lt\"", "\"$lte\""));
        ours::find(&changed.unwrap_or_else(|_| case.clone()))
    }
    let found = disagreements(Kind::Find, wrong, 1_500, seed(SEED))?;
    let seen = found.iter().any(|one| one.contains("\"$lt\""));
    if seen {
        Ok(())
    } else {
        Err(format!("not seen, only: {found:?}").into())
    }
}

/// Different disagreements over so many cases, shrunk and made readable.
fn disagreements(
    kind: Kind,
    subject: Subject,
    cases: usize,
    seed: u64,
) -> Result<Vec<String>, Failed> {
    let mut random = Random::new(seed ^ kind as u64);
    let mut server = Server::start()?;
    let mut seen = BTreeSet::new();
    let mut shown = Vec::new();
    let mut done = 0;
    while done < cases && shown.len() < SHOWN_MAX {
        let batch = case::cases(&mut random, kind);
        let answers = server.ask(kind, &batch)?;
        for (case, theirs) in batch.iter().zip(answers) {
            done += 1;
            if !is_disagreement(case, &theirs, &subject(case)) || shown.len() >= SHOWN_MAX {
                continue;
            }
            let small = shrink(case.clone(), SHRINK_TRIES, |case| {
                differs(&mut server, kind, subject, case)
            });
            if seen.insert(operators(&small)) {
                let theirs = server.ask(kind, std::slice::from_ref(&small))?;
                let theirs = theirs.first().map(Answer::show).unwrap_or_default();
                let ours = subject(&small).show();
                shown.push(format!(
                    "case:    {}\nmongodb: {theirs}\norlop:   {ours}\n",
                    show(&small)
                ));
            }
        }
    }
    Ok(shown)
}

fn differs(server: &mut Server, kind: Kind, subject: Subject, case: &Document) -> bool {
    let mut theirs = || server.ask(kind, std::slice::from_ref(case)).ok()?.pop();
    case::is_valid(case)
        && theirs().is_some_and(|theirs| is_disagreement(case, &theirs, &subject(case)))
}

/// Whether the answers differ, and not only in which condition was looked at first.
///
/// MongoDB reorders conditions, leaves out those that cannot matter, and looks at no document behind
/// the last one it returns; whether an `$expr` that fails is ever evaluated beside others is its
/// secret. Alone it must fail on both sides.
fn is_disagreement(case: &Document, theirs: &Answer, ours: &Answer) -> bool {
    let undecided = case::may_skip_expr(case) && theirs.is_refused() != ours.is_refused()
        // MongoDB lets an upsert, and nothing else, store such names.
        || ours.is_refused_for("dollar prefixed field") && case::is_upsert(case);
    !undecided && !theirs.agrees(ours)
}

/// Names of the operators in a case: what tells one disagreement from another.
fn operators(case: &Document) -> String {
    fn gather(value: &Bson, names: &mut BTreeSet<String>) {
        match value {
            Bson::Document(fields) => {
                for (name, field) in fields {
                    if name.starts_with('$')
                        || ["sort", "projection", "upsert", "multi"].contains(&name.as_str())
                    {
                        names.insert(name.clone());
                    }
                    gather(field, names);
                }
            }
            Bson::Array(items) => items.iter().for_each(|item| gather(item, names)),
            _ => {}
        }
    }
    let mut names = BTreeSet::new();
    for part in ["find", "update"] {
        gather(case.get(part).unwrap_or(&Bson::Null), &mut names);
    }
    names.into_iter().collect::<Vec<_>>().join(" ")
}

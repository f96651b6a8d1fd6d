//! Each defence of the cache is taken away, and the coherence run finds what it kept out.
//!
//! `cargo test -p orlop-check --features defences-off --test defences -- --nocapture` prints the
//! table of docs/consistency.md.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use orlop::Orlop;
use orlop::defences::{Defence, switch_off};
use orlop::document::{CacheMode, Policy};
use orlop_check::coherence::{Load, Outcome, run};
use orlop_check::random::Random;

/// Reads after which a defence counts as not needed. Each is found within a hundredth of it.
const READS_MAX: u64 = 5_000_000;

fn coherent(defence: Option<Defence>, reads: u64, random: &mut Random) -> Outcome {
    let cache = match defence {
        Some(Defence::WrittenThroughWithItsNumber) => CacheMode::WriteThrough,
        _ => CacheMode::CacheAside,
    };
    let load = Load {
        policy: Policy {
            cache,
            ..Policy::default()
        },
        writes_per_mille: 40,
        reads,
        seed: random.number(),
        ..Load::default()
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let db = runtime.block_on(Orlop::open("memory:")).unwrap();
    switch_off(defence);
    let outcome = run(&db, &load).unwrap();
    switch_off(None);
    outcome
}

#[test]
fn each_defence_is_needed_and_together_they_suffice() {
    let mut random = Random::from_env("SEED");
    println!("| taken away | found after, calls | as |\n|---|---|---|");
    let mut missed = Vec::new();
    for defence in Defence::ALL {
        let outcome = coherent(Some(defence), READS_MAX, &mut random);
        match &outcome.found {
            Some(violation) => {
                let calls = outcome.calls_to_find;
                println!("| {defence:?} | {calls} | {} |", violation.why);
            }
            None => missed.push(format!("{defence:?}: {outcome}")),
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
    let outcome = coherent(None, 400_000, &mut random);
    println!("| none | - | {outcome} |");
    assert_eq!(outcome.found, None);
}

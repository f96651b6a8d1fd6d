//! The floor check against trying every order.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::HashSet;

use orlop_check::floor::{Event, History, Op, Violation, check};
use orlop_check::random::Random;

fn read(invoke: u64, answer: u64, state: u64) -> Event {
    Event {
        invoke,
        answer: Some(answer),
        op: Op::Read(0, state),
    }
}

fn write(invoke: u64, answer: u64, version: u64, state: u64) -> Event {
    Event {
        invoke,
        answer: Some(answer),
        op: Op::Write(0, version, state),
    }
}

fn of(events: Vec<Event>) -> Result<(), Violation> {
    check(&History {
        registers: vec![(0, 0); 2],
        events,
    })
}

fn why(events: Vec<Event>) -> &'static str {
    of(events).unwrap_err().why
}

#[test]
fn a_read_behind_a_finished_write_is_found() {
    let stale = "a read saw what was overwritten before it began";
    assert_eq!(of(vec![write(1, 4, 1, 10), read(2, 3, 0)]), Ok(()));
    assert_eq!(why(vec![write(1, 2, 1, 10), read(3, 4, 0)]), stale);
    // The write is not finished, but somebody saw it.
    let events = vec![write(1, 9, 1, 10), read(2, 3, 10), read(4, 5, 0)];
    assert_eq!(why(events), stale);
}

#[test]
fn a_state_from_nowhere_or_from_later_is_found() {
    let nowhere = "a read saw a state that no write left";
    assert_eq!(why(vec![read(1, 2, 7)]), nowhere);
    let later = "a read saw a write that began after it ended";
    assert_eq!(why(vec![read(1, 2, 10), write(3, 4, 1, 10)]), later);
}

#[test]
fn half_of_a_commit_is_found() {
    let both = |answer, x, y| Event {
        invoke: 3,
        answer: Some(answer),
        op: Op::ReadMany(Box::new([(0, x), (1, y)])),
    };
    let commit = |version, state| {
        [0, 1].map(|register| Event {
            invoke: 1,
            answer: Some(9),
            op: Op::Write(register, version, state),
        })
    };
    let with = |seen| {
        let mut events = commit(1, 10).to_vec();
        events.extend(commit(2, 20));
        events.push(seen);
        of(events)
    };
    assert_eq!(with(both(4, 10, 10)), Ok(()));
    assert_eq!(with(both(4, 0, 0)), Ok(()));
    assert!(with(both(4, 0, 10)).is_err());
    assert!(with(both(4, 20, 10)).is_err());
}

/// Tries every order: the writes by version, each call between its begin and its end.
fn brute(history: &History) -> bool {
    fn place(
        history: &History,
        placed: u32,
        version: u64,
        state: u64,
        tried: &mut HashSet<(u32, u64)>,
    ) -> bool {
        let events = &history.events;
        let left = || (0..events.len()).filter(|at| placed & (1 << at) == 0);
        if left().all(|at| events[at].answer.is_none()) {
            return true;
        }
        if !tried.insert((placed, version)) {
            return false;
        }
        left().any(|at| {
            let first = left().all(|other| {
                let answer = events[other].answer.unwrap_or(u64::MAX);
                other == at || answer > events[at].invoke
            });
            let placed = placed | (1 << at);
            first
                && match events[at].op {
                    Op::Write(_, next, left) => {
                        next > version && place(history, placed, next, left, tried)
                    }
                    Op::Read(_, seen) => {
                        seen == state && place(history, placed, version, state, tried)
                    }
                    Op::ReadMany(_) => false,
                }
        })
    }
    let (version, state) = history.registers[0];
    place(history, 0, version, state, &mut HashSet::new())
}

fn history(random: &mut Random) -> History {
    let calls = 2 + random.below(7);
    let mut times: Vec<u64> = (1..=calls * 2).collect();
    random.shuffle(&mut times);
    let mut versions: Vec<u64> = (1..=calls).collect();
    random.shuffle(&mut versions);
    let events = times.chunks(2).zip(versions).map(|(times, version)| {
        let (invoke, answer) = (times[0].min(times[1]), times[0].max(times[1]));
        let writes = random.below(2) == 0;
        let lost = writes && random.below(4) == 0;
        // Few states, so that they recur.
        let state = random.below(3);
        Event {
            invoke,
            answer: (!lost).then_some(answer),
            op: match writes {
                true => Op::Write(0, version, state),
                false => Op::Read(0, state),
            },
        }
    });
    History {
        events: events.collect(),
        registers: vec![(0, 0)],
    }
}

#[test]
fn it_agrees_with_trying_every_order() {
    let mut random = Random::from_env("SEED");
    let mut linearizable = 0;
    let histories = 60_000;
    for _ in 0..histories {
        let history = history(&mut random);
        let expected = brute(&history);
        linearizable += u32::from(expected);
        assert_eq!(check(&history).is_ok(), expected, "{history:#?}");
    }
    // Both kinds were there in plenty.
    assert!(
        (histories / 10..histories * 9 / 10).contains(&linearizable),
        "{linearizable}"
    );
}

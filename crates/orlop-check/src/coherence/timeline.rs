//! From what threads did to a history of registers: one a document, one the list of each scope.

use std::collections::BTreeMap;

use super::Load;
use crate::floor::{Event, History, Op, Register, State, Version, Violation};

/// A document as written or read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Image {
    pub(super) version: Version,
    pub(super) scope: u32,
    pub(super) number: u64,
}

/// What a read saw.
#[derive(Debug)]
pub(super) enum Seen {
    /// A document; none when absent.
    One(u32, Option<Image>),
    /// Several documents.
    Many(Vec<(u32, Option<Image>)>),
    /// The list of a scope.
    List(u32, Vec<(u32, Image)>),
}

/// What a call did.
#[derive(Debug)]
pub(super) enum Deed {
    /// Saw something.
    Saw(Seen),
    /// Wrote documents under one version; over which version, when the writer demanded one.
    Wrote(Version, Vec<(u32, Option<Image>)>, Option<Version>),
    /// Emptied the collection.
    Emptied(Version),
}

/// A call with its times.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) invoke: u64,
    pub(super) answer: u64,
    pub(super) deed: Deed,
}

/// A round, ready for the check.
pub(super) struct Round {
    pub(super) reads: u64,
    pub(super) writes: u64,
    /// The history, or a write that cannot be.
    pub(super) checked: Result<History, Violation>,
}

/// The documents between two rounds.
pub(super) struct Documents {
    images: Vec<Option<Image>>,
    /// Version and state of every register.
    registers: Vec<(Version, State)>,
}

impl Documents {
    pub(super) fn new(load: &Load) -> Self {
        let registers = load.documents + load.scopes;
        Self {
            images: vec![None; load.documents as usize],
            registers: vec![(0, 0); registers as usize],
        }
    }

    /// The history of a round; the documents move on to its end.
    pub(super) fn history(&mut self, calls: Vec<Call>) -> Round {
        let mut history = History {
            registers: self.registers.clone(),
            events: Vec::with_capacity(calls.len()),
        };
        let mut commits = BTreeMap::new();
        let mut reads = 0;
        for call in calls {
            match call.deed {
                Deed::Saw(seen) => {
                    reads += 1;
                    history.events.push(Event {
                        invoke: call.invoke,
                        answer: Some(call.answer),
                        op: self.read(seen),
                    });
                }
                Deed::Wrote(version, images, over) => {
                    commits.insert(version, (call.invoke, call.answer, Some((images, over))));
                }
                Deed::Emptied(version) => {
                    commits.insert(version, (call.invoke, call.answer, None));
                }
            }
        }
        let writes = commits.len() as u64;
        let mut failed = None;
        for (version, (invoke, answer, written)) in commits {
            let (images, over) = written.unwrap_or_else(|| (self.all_absent(), None));
            let applied = self.apply(version, &images, over);
            for (register, state) in applied.unwrap_or_else(|why| {
                failed.get_or_insert(why);
                Vec::new()
            }) {
                history.events.push(Event {
                    invoke,
                    answer: Some(answer),
                    op: Op::Write(register, version, state),
                });
            }
        }
        Round {
            reads,
            writes,
            checked: failed.map_or(Ok(history), Err),
        }
    }

    fn all_absent(&self) -> Vec<(u32, Option<Image>)> {
        let there = |(_, image): &(usize, &Option<Image>)| image.is_some();
        let all = self.images.iter().enumerate().filter(there);
        all.map(|(id, _)| (id as u32, None)).collect()
    }

    /// Applies a commit; gives the registers it wrote with the states it left.
    fn apply(
        &mut self,
        version: Version,
        images: &[(u32, Option<Image>)],
        over: Option<Version>,
    ) -> Result<Vec<(Register, State)>, Violation> {
        let mut touched = BTreeMap::new();
        for (id, image) in images {
            let before = self.images[*id as usize];
            let stored = before.map_or(0, |image| image.version);
            if over.is_some_and(|over| over != stored) {
                return Err(Violation {
                    event: Event {
                        invoke: 0,
                        answer: None,
                        op: Op::Write(*id, version, state(*image)),
                    },
                    floors: vec![stored],
                    why: "a guarded write went over another version than it demanded",
                });
            }
            self.images[*id as usize] = *image;
            touched.insert(*id, state(*image));
            if let Some(before) = before {
                let sum = self.list(&mut touched, before.scope);
                *sum = sum.wrapping_sub(part(*id, before));
            }
            if let Some(after) = *image {
                let sum = self.list(&mut touched, after.scope);
                *sum = sum.wrapping_add(part(*id, after));
            }
            for (register, state) in &touched {
                self.registers[*register as usize] = (version, *state);
            }
        }
        Ok(touched.into_iter().collect())
    }

    /// The state of a scope's list so far.
    fn list<'a>(&self, touched: &'a mut BTreeMap<Register, State>, scope: u32) -> &'a mut State {
        let register = self.scope(scope);
        touched
            .entry(register)
            .or_insert(self.registers[register as usize].1)
    }

    fn scope(&self, scope: u32) -> Register {
        self.images.len() as u32 + scope
    }

    fn read(&self, seen: Seen) -> Op {
        match seen {
            Seen::One(id, image) => Op::Read(id, state(image)),
            Seen::Many(images) => {
                let states = images.into_iter().map(|(id, image)| (id, state(image)));
                Op::ReadMany(states.collect())
            }
            Seen::List(scope, images) => {
                let parts = images.into_iter().map(|(id, image)| part(id, image));
                let sum = parts.fold(0, u64::wrapping_add);
                Op::Read(self.scope(scope), sum)
            }
        }
    }
}

/// What tells one image of a document from another: all of it.
fn state(image: Option<Image>) -> State {
    image.map_or(0, |image| {
        mix(
            mix(mix(1, image.version), u64::from(image.scope)),
            image.number,
        )
    })
}

/// What a document adds to the state of its scope's list.
fn part(id: u32, image: Image) -> State {
    mix(state(Some(image)), u64::from(id))
}

fn mix(a: u64, b: u64) -> u64 {
    let mixed = (a ^ b.wrapping_mul(0x9E37_79B9_7F4A_7C15)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed ^ (mixed >> 29)
}

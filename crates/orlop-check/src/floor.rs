//! The floor check: whether what readers saw is linearizable, when the store numbers its writes.
//!
//! Because the order of the writes is known, no search is needed. One pass over the events by time
//! keeps, for each register, the highest version that any finished call gave or saw. A call notes
//! that floor when it begins; what it gives when it ends must not be below. A read must also have
//! seen what some write that began before the read's end left behind.
//!
//! A register is anything with a state: a document, a list. States may recur (absent, for one):
//! then the read is taken to have seen the earliest write that fits, which can only help.
//!
//! `O(n log n)` in the number of events. Agrees with trying every order, on random histories.

use std::collections::HashMap;
use std::fmt;

/// A register: an index below [`History::registers`].
pub type Register = u32;
/// Number of a write. Rises with every write of a register.
pub type Version = u64;
/// What a read can tell apart. The writer and the reader compute it alike.
pub type State = u64;

/// What a call did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Left a register in a state, under a version.
    Write(Register, Version, State),
    /// Saw a register in a state.
    Read(Register, State),
    /// Saw several registers in their states, as of one instant.
    ReadMany(Box<[(Register, State)]>),
}

/// A call: when it began and ended, on one clock that never repeats a reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When it began.
    pub invoke: u64,
    /// When it ended; none when nobody heard of it again.
    pub answer: Option<u64>,
    /// What it did.
    pub op: Op,
}

/// What is checked.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// The states before the first event, with their versions, one a register.
    pub registers: Vec<(Version, State)>,
    /// The calls, in any order.
    pub events: Vec<Event>,
}

/// Why a history is not linearizable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The call that cannot be.
    pub event: Event,
    /// The versions below which it must not go, one a register it names.
    pub floors: Vec<Version>,
    /// In words.
    pub why: &'static str,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}, floor {:?}", self.why, self.event, self.floors)
    }
}

/// Checks a history.
///
/// # Errors
/// The first call, by the time of its end, that no order explains.
pub fn check(history: &History) -> Result<(), Violation> {
    let mut pass = Pass::new(history);
    let mut times = Vec::with_capacity(history.events.len() * 2);
    for (at, event) in history.events.iter().enumerate() {
        times.push((event.invoke, false, at));
        if let Some(answer) = event.answer {
            times.push((answer, true, at));
        }
    }
    times.sort_unstable();
    for (time, ends, at) in times {
        let event = &history.events[at];
        if ends {
            pass.end(at, event, time)?;
        } else {
            pass.begin(at, event);
        }
    }
    Ok(())
}

/// A write, as reads look for it.
#[derive(Debug, Clone, Copy)]
struct Written {
    version: Version,
    state: State,
    invoke: u64,
    /// Its event, when nobody heard of it again.
    unanswered: Option<usize>,
}

struct Pass {
    /// Highest version given or seen so far, one a register.
    highest: Vec<Version>,
    /// The writes of each register, by version.
    writes: Vec<Vec<Written>>,
    /// The versions that left a state, ascending.
    left: HashMap<(Register, State), Vec<Version>>,
    /// Floors noted by the calls under way.
    floors: HashMap<usize, Vec<Version>>,
}

impl Pass {
    fn new(history: &History) -> Self {
        let initial = |(version, state): &(Version, State)| Written {
            version: *version,
            state: *state,
            invoke: 0,
            unanswered: None,
        };
        let registers = &history.registers;
        let mut writes: Vec<Vec<Written>> = registers
            .iter()
            .map(|register| vec![initial(register)])
            .collect();
        for (at, event) in history.events.iter().enumerate() {
            if let Op::Write(register, version, state) = event.op {
                writes[register as usize].push(Written {
                    version,
                    state,
                    invoke: event.invoke,
                    unanswered: event.answer.is_none().then_some(at),
                });
            }
        }
        let mut left: HashMap<_, Vec<_>> = HashMap::new();
        for (register, writes) in writes.iter_mut().enumerate() {
            writes.sort_unstable_by_key(|write| write.version);
            for write in writes {
                let key = (register as Register, write.state);
                left.entry(key).or_default().push(write.version);
            }
        }
        Self {
            highest: registers.iter().map(|(version, _)| *version).collect(),
            writes,
            left,
            floors: HashMap::new(),
        }
    }

    fn begin(&mut self, at: usize, event: &Event) {
        let floor = |register: &Register| self.highest[*register as usize];
        let floors = match &event.op {
            Op::Write(register, ..) | Op::Read(register, _) => vec![floor(register)],
            Op::ReadMany(seen) => seen.iter().map(|(register, _)| floor(register)).collect(),
        };
        self.floors.insert(at, floors);
    }

    fn end(&mut self, at: usize, event: &Event, time: u64) -> Result<(), Violation> {
        let floors = self.floors.remove(&at).unwrap_or_default();
        let violation = |why, floors| Violation {
            event: event.clone(),
            floors,
            why,
        };
        match &event.op {
            Op::Write(register, version, _) => {
                if floors.iter().any(|floor| version <= floor) {
                    let why = "a write is numbered below what was seen before it began";
                    return Err(violation(why, floors));
                }
                self.raise(*register, *version);
            }
            Op::Read(register, state) => {
                let floor = floors.first().copied().unwrap_or_default();
                match self.earliest(*register, *state, floor, time) {
                    Some(write) => self.raise(*register, write.version),
                    None => {
                        let why = self.reason(*register, *state, floor);
                        return Err(violation(why, floors));
                    }
                }
            }
            Op::ReadMany(seen) => match self.instant(seen, &floors, time) {
                Some(versions) => {
                    for ((register, _), version) in seen.iter().zip(versions) {
                        self.raise(*register, version);
                    }
                }
                None => {
                    let why = "no instant has all these states";
                    return Err(violation(why, floors));
                }
            },
        }
        Ok(())
    }

    fn raise(&mut self, register: Register, version: Version) {
        let highest = &mut self.highest[register as usize];
        *highest = version.max(*highest);
    }

    /// The earliest write at `floor` or above that left `state` and began before `time`.
    fn earliest(
        &self,
        register: Register,
        state: State,
        floor: Version,
        time: u64,
    ) -> Option<Written> {
        let versions = self.left.get(&(register, state))?;
        let from = versions.partition_point(|version| *version < floor);
        versions[from..]
            .iter()
            .map(|version| self.write(register, *version))
            .find(|write| write.invoke < time && self.may_have_happened(write))
    }

    /// The write with this version, or the last one before it.
    fn write(&self, register: Register, version: Version) -> Written {
        let writes = &self.writes[register as usize];
        let behind = writes.partition_point(|write| write.version <= version);
        writes[behind.saturating_sub(1)]
    }

    /// A write that nobody heard of again may have happened or not; if it did, it obeyed its floor.
    fn may_have_happened(&self, write: &Written) -> bool {
        let floors = write.unanswered.and_then(|at| self.floors.get(&at));
        floors.is_none_or(|floors| floors.iter().all(|floor| write.version > *floor))
    }

    /// The versions of the registers at the earliest instant that has all these states.
    fn instant(
        &self,
        seen: &[(Register, State)],
        floors: &[Version],
        time: u64,
    ) -> Option<Vec<Version>> {
        let mut instant = 0;
        let mut froms = floors.to_vec();
        loop {
            let mut versions = Vec::with_capacity(seen.len());
            for ((register, state), from) in seen.iter().zip(&froms) {
                let write = self.earliest(*register, *state, *from, time)?;
                instant = instant.max(write.version);
                versions.push(write.version);
            }
            // At that instant each must still be in its state; one that is not has to come later.
            let mut moved = false;
            for (at, (register, state)) in seen.iter().enumerate() {
                let now = self.write(*register, instant);
                if now.state == *state {
                    versions[at] = now.version;
                } else {
                    froms[at] = instant;
                    moved = true;
                }
            }
            if !moved {
                return Some(versions);
            }
        }
    }

    fn reason(&self, register: Register, state: State, floor: Version) -> &'static str {
        match self.left.get(&(register, state)) {
            None => "a read saw a state that no write left",
            Some(versions) if versions.iter().any(|version| *version < floor) => {
                "a read saw what was overwritten before it began"
            }
            Some(_) => "a read saw a write that began after it ended",
        }
    }
}

//! Switches that take away one defence of the cache each, so that the coherence run is seen
//! catching what the defence is there for.
//!
//! Only builds with the feature `defences-off` have them, and nothing that ships asks for it; in
//! every other build each defence stands, as a constant, and a pause is nothing.

/// One defence of the cache. docs/consistency.md says which bug each keeps out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Defence {
    /// A hit looks at the clocks of what it found.
    HitLooksAtClocks,
    /// What is read is stamped with the snapshot it was read from, not with a later one.
    StampIsTheSnapshots,
    /// Clocks move before a commit is visible.
    ClocksBeforeVisibility,
    /// A document that changes scope moves the clock of the old one too.
    OldScopeMovesToo,
    /// A collection that is emptied moves its clock as a whole.
    WholeHasAClock,
    /// Known absence has a clock, as documents have.
    AbsenceHasAClock,
    /// A follower takes only a flight that is no older than its call.
    FollowerLooksAtStamp,
    /// Several documents are taken from the cache only as of the snapshot noted first.
    ManyFitOneSnapshot,
    /// What is written through is stamped with its own commit.
    WrittenThroughWithItsNumber,
}

impl Defence {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::HitLooksAtClocks,
        Self::StampIsTheSnapshots,
        Self::ClocksBeforeVisibility,
        Self::OldScopeMovesToo,
        Self::WholeHasAClock,
        Self::AbsenceHasAClock,
        Self::FollowerLooksAtStamp,
        Self::ManyFitOneSnapshot,
        Self::WrittenThroughWithItsNumber,
    ];

    /// Whether it stands.
    #[inline(always)]
    pub(crate) fn stands(self) -> bool {
        switches::off() != Some(self)
    }
}

pub(crate) use switches::pause;
#[cfg(feature = "defences-off")]
pub use switches::switch_off;

#[cfg(not(feature = "defences-off"))]
mod switches {
    use super::Defence;

    pub(super) const fn off() -> Option<Defence> {
        None
    }

    /// A place where a thread may be stopped for long.
    #[inline(always)]
    pub(crate) const fn pause() {}
}

#[cfg(feature = "defences-off")]
mod switches {
    use std::cell::Cell;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::Defence;

    static OFF: AtomicUsize = AtomicUsize::new(usize::MAX);

    thread_local! {
        static PAUSES: Cell<u32> = const { Cell::new(0) };
    }

    /// Takes this defence away from the whole process, and puts all others back.
    pub fn switch_off(defence: Option<Defence>) {
        let off = Defence::ALL.iter().position(|one| Some(*one) == defence);
        OFF.store(off.unwrap_or(usize::MAX), Ordering::SeqCst);
    }

    pub(super) fn off() -> Option<Defence> {
        Defence::ALL.get(OFF.load(Ordering::Relaxed)).copied()
    }

    /// A place where a thread may be stopped for long: now and then it is.
    pub(crate) fn pause() {
        let count = PAUSES.get().wrapping_add(1);
        PAUSES.set(count);
        match count % 16 {
            0 => std::thread::sleep(Duration::from_micros(50)),
            4 | 8 | 12 => std::thread::yield_now(),
            _ => {}
        }
    }
}

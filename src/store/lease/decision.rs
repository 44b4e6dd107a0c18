//! What an asker does about a lease, decided from what it read and how long that has stood still by its own clock.
//!
//! Pure. Clocks of two machines are never compared: a holder counts from before it wrote, everybody else from after it
//! first read what was written, so that the others' count ends later.

use std::time::Duration;

use super::Asker;
use crate::store::documents::LeaseState;
use crate::store::{Found, Revision};

/// How long a holder may hold without a sign of life. Its requests have taken effect by then, or never will.
pub(super) const LEASE: Duration = Duration::from_secs(30);

/// Who waits draws a new mark before the old one is this old; one that has stood this long is of somebody dead.
pub(super) const MARK: Duration = Duration::from_secs(5);

/// What shows that a holder is alive, or that there was another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    Holder { epoch: u64, beat: u64 },
    Unreadable(Revision),
}

/// What an asker read last, and since when it has been the same by its own clock.
#[derive(Clone, Debug, Default)]
pub(super) struct Watched {
    sign: Option<(Sign, Duration)>,
    wanted: Option<(u64, Duration)>,
}

/// For how long each has certainly not changed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Unchanged {
    pub(super) sign: Duration,
    pub(super) wanted: Duration,
}

/// What is needed where nothing that was read can be continued.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fresh {
    /// Above all epochs so far.
    pub(super) epoch: u64,
    /// A mark that was never used, not 0.
    pub(super) mark: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Write `next`; the lease is the asker's if that succeeds.
    Take { next: LeaseState, stolen: bool },
    /// Write `next`, so that runs stay off, and ask again.
    Mark { next: LeaseState },
    /// Ask again later.
    Wait,
}

impl Watched {
    /// Takes in what a reading found that lasted from `begun` to `ended`. What is unchanged has been so from the end of
    /// the first reading to the beginning of this one.
    pub(super) fn observe(
        &mut self,
        found: &Found<LeaseState>,
        begun: Duration,
        ended: Duration,
    ) -> Unchanged {
        Unchanged {
            sign: unchanged(&mut self.sign, sign(found), begun, ended),
            wanted: match found.value.map_or(0, |state| state.wanted) {
                0 => Duration::ZERO,
                wanted => unchanged(&mut self.wanted, wanted, begun, ended),
            },
        }
    }
}

fn unchanged<T: PartialEq>(
    watched: &mut Option<(T, Duration)>,
    value: T,
    begun: Duration,
    ended: Duration,
) -> Duration {
    match watched {
        Some((seen, since)) if *seen == value => begun.saturating_sub(*since),
        _ => {
            *watched = Some((value, ended));
            Duration::ZERO
        }
    }
}

fn sign(found: &Found<LeaseState>) -> Sign {
    match found.value {
        Some(LeaseState { epoch, beat, .. }) => Sign::Holder { epoch, beat },
        None => Sign::Unreadable(found.revision),
    }
}

pub(super) fn decide(
    asker: Asker,
    found: &Found<LeaseState>,
    unchanged: Unchanged,
    fresh: Fresh,
) -> Decision {
    let is_still = LEASE <= unchanged.sign;
    let state = match found.value {
        Some(state) => state,
        None if found.revision == Revision::ABSENT => LeaseState {
            epoch: fresh.epoch,
            ..LeaseState::default()
        },
        // Another edition's, which may be at work. It says nothing to us but that it changes.
        None if is_still => LeaseState {
            epoch: fresh.epoch,
            held: true,
            ..LeaseState::default()
        },
        None => return Decision::Wait,
    };
    let stolen = state.held && is_still;
    let is_free = !state.held || stolen;
    let is_wanted = state.wanted != 0 && unchanged.wanted < MARK;
    match asker {
        Asker::Live if is_free => take(state, stolen, fresh),
        Asker::Run if is_free && !is_wanted => take(state, stolen, fresh),
        // Half of the mark's time is left for the write and for whoever reads it.
        Asker::Live if state.wanted == 0 || MARK / 2 <= unchanged.wanted => Decision::Mark {
            next: LeaseState {
                wanted: fresh.mark,
                ..state
            },
        },
        Asker::Live | Asker::Run => Decision::Wait,
    }
}

/// The mark goes: it was this look's, or another one's that will draw its own, or that of somebody dead.
fn take(state: LeaseState, stolen: bool, fresh: Fresh) -> Decision {
    let next = LeaseState {
        epoch: state.epoch.checked_add(1).unwrap_or(fresh.epoch),
        held: true,
        beat: 0,
        wanted: 0,
    };
    Decision::Take { next, stolen }
}

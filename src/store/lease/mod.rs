//! The right to do what only one may do at a time: to write (the pen), to work on the run.
//!
//! Owns who holds it and for how long. Knows nothing of what is done with it. A holder that dies stops the others for
//! `LEASE`, 30 seconds. Taking costs one read and one write, letting go one write.
//!
//! ```text
//! free ──take: epoch + 1──▶ held ──release──▶ free        every arrow is a conditional write
//!                            │ ▲ keep: beat + 1
//!                            └─┴─ epoch and beat unchanged for 30 s by the taker's clock: take
//! ```
//!
//! In one process askers line up without asking the store: live looks behind each other, runs behind each other and
//! only the first of them among the live looks.

mod decision;
mod turn;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::documents::{self, LeaseState};
use super::raw::random;
use super::{Revision, Store, StoreError};
use crate::deadline::{Clock, Deadline};
use decision::{Decision, Fresh, LEASE, Watched, decide};
use turn::{Turn, Turns};

/// A holder stops this long before others may begin: clocks differ in speed, and answers take their way.
const SAFETY: Duration = Duration::from_secs(2);

/// Between two questions whether a lease is free: a holder's section takes about half a second.
const POLL: Duration = Duration::from_millis(100);

/// At most this much longer than [`POLL`], at random, so that two do not ask in step.
const JITTER_MILLIS: u64 = 150;

/// How often a write of the holder that lost against a mark is made again.
const REPETITIONS: usize = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeaseName {
    /// Of the one that writes to Port, rows, records and the mapping's generation.
    Pen,
    /// Of the one that works on the run.
    Run,
}

/// Who asks. A run stays off while a live look waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    Live,
    Run,
}

#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "it is taken apart where it is returned"
)]
pub enum Attempt {
    Taken(Lease),
    /// Somebody holds it, or a live look is to have it first.
    Refused,
}

/// What a process knows of the leases of its store; clones share it.
#[derive(Clone)]
pub struct Leases {
    store: Store,
    clock: Clock,
    shared: Arc<BTreeMap<LeaseName, Shared>>,
}

#[derive(Default)]
struct Shared {
    turns: Turns,
    watched: Mutex<Watched>,
}

/// A lease that was taken. Dropped without being released, it blocks others until it has run out.
pub struct Lease {
    store: Store,
    clock: Clock,
    name: LeaseName,
    state: LeaseState,
    revision: Revision,
    held_since: Moment,
    waited: Duration,
    stolen: bool,
    _turn: Turn,
}

/// By both clocks of the machine: one may be set back, the other stands still while the machine is frozen.
#[derive(Clone, Copy, Debug)]
struct Moment {
    elapsed: Duration,
    at: Timestamp,
}

impl LeaseName {
    fn as_str(self) -> &'static str {
        match self {
            LeaseName::Pen => "pen",
            LeaseName::Run => "run",
        }
    }
}

impl Leases {
    pub fn new(store: Store, clock: Clock) -> Leases {
        let names = [LeaseName::Pen, LeaseName::Run];
        let shared = names.map(|name| (name, Shared::default()));
        Leases {
            store,
            clock,
            shared: Arc::new(BTreeMap::from(shared)),
        }
    }

    /// The same leases; what this handle and its leases ask of the store ends by `deadline`.
    #[must_use]
    pub fn within(&self, deadline: &Deadline) -> Leases {
        Leases {
            store: self.store.within(deadline),
            ..self.clone()
        }
    }

    /// Asks once, and does not wait.
    pub async fn try_take(&self, name: LeaseName, asker: Asker) -> Result<Attempt, StoreError> {
        let asked = self.moment();
        let taken = match self.shared(name).turns.try_get(asker) {
            Some(turn) => self.attempt(name, asker, turn, asked).await?.ok(),
            None => None,
        };
        Ok(taken.map_or(Attempt::Refused, Attempt::Taken))
    }

    /// Asks until the lease is taken; `None` when `deadline` is near.
    pub async fn take(
        &self,
        name: LeaseName,
        asker: Asker,
        deadline: &Deadline,
    ) -> Result<Option<Lease>, StoreError> {
        let asked = self.moment();
        let turns = &self.shared(name).turns;
        let line = tokio::time::timeout(deadline.remaining(), turns.line_up(asker));
        let Ok(mut turn) = line.await else {
            return Ok(None);
        };
        loop {
            turn = match self.attempt(name, asker, turn, asked).await? {
                Ok(lease) => return Ok(Some(lease)),
                Err(turn) => turn,
            };
            let pause = POLL + Duration::from_millis(random() % (JITTER_MILLIS + 1));
            if !deadline.has(pause) {
                return Ok(None);
            }
            let place = turn.step_aside();
            self.clock.sleep(pause).await;
            let line = tokio::time::timeout(deadline.remaining(), turns.step_in(place));
            match line.await {
                Ok(next) => turn = next,
                Err(_) => return Ok(None),
            }
        }
    }

    /// Reads, decides, writes; once more if somebody else wrote in between. Gives the turn back where nothing was taken.
    async fn attempt(
        &self,
        name: LeaseName,
        asker: Asker,
        turn: Turn,
        asked: Moment,
    ) -> Result<Result<Lease, Turn>, StoreError> {
        let key = documents::lease(name.as_str());
        for _ in 0..2 {
            let begun = self.moment();
            let found = self.store.load(&key).await?;
            let ended = self.clock.elapsed();
            let unchanged = self.watched(name).observe(&found, begun.elapsed, ended);
            let decision = decide(asker, &found, unchanged, self.fresh());
            let begun = self.moment();
            let next = match decision {
                Decision::Wait => break,
                Decision::Take { next, .. } | Decision::Mark { next } => next,
            };
            let revision = match self.store.save(&key, &next, found.revision).await {
                Ok(revision) => revision,
                Err(StoreError::Conflict { .. }) => continue,
                Err(error) => return Err(error),
            };
            let Decision::Take { stolen, .. } = decision else {
                break;
            };
            return Ok(Ok(Lease {
                store: self.store.clone(),
                clock: self.clock.clone(),
                name,
                state: next,
                revision,
                held_since: begun,
                waited: begun.elapsed.saturating_sub(asked.elapsed),
                stolen,
                _turn: turn,
            }));
        }
        Ok(Err(turn))
    }

    /// Epochs grow by one with each holder; a lost one goes on at the milliseconds since 1970, which no count reaches.
    fn fresh(&self) -> Fresh {
        Fresh {
            epoch: u64::try_from(self.clock.now().as_millisecond()).unwrap_or(0),
            mark: random(),
        }
    }

    fn moment(&self) -> Moment {
        Moment::of(&self.clock)
    }

    fn watched(&self, name: LeaseName) -> MutexGuard<'_, Watched> {
        let watched = self.shared(name).watched.lock();
        watched.unwrap_or_else(PoisonError::into_inner)
    }

    fn shared(&self, name: LeaseName) -> &Shared {
        &self.shared[&name]
    }
}

impl Lease {
    /// Grows with each holder of the lease.
    pub fn epoch(&self) -> u64 {
        self.state.epoch
    }

    /// How long the asker waited.
    pub fn waited(&self) -> Duration {
        self.waited
    }

    /// The holder before did not let go.
    pub fn was_stolen(&self) -> bool {
        self.stolen
    }

    /// The end of the lease, with a margin. A request may begin if this deadline has its whole timeout left.
    pub fn deadline(&self) -> Deadline {
        let now = Moment::of(&self.clock);
        let by_elapsed = now.elapsed.saturating_sub(self.held_since.elapsed);
        let by_time = Duration::try_from(now.at.duration_since(self.held_since.at));
        let passed = by_elapsed.max(by_time.unwrap_or(Duration::ZERO));
        Deadline::after(&self.clock, (LEASE - SAFETY).saturating_sub(passed))
    }

    /// Renews the lease when a third of it is over. A conflict means that it has passed on: stop.
    pub async fn keep(&mut self) -> Result<(), StoreError> {
        if self.deadline().has(LEASE - SAFETY - LEASE / 3) {
            return Ok(());
        }
        let begun = Moment::of(&self.clock);
        let beat = |state: LeaseState| LeaseState {
            beat: state.beat.wrapping_add(1),
            ..state
        };
        self.write(beat).await?;
        self.held_since = begun;
        Ok(())
    }

    /// Lets the next one in, unless the lease has passed on by itself.
    pub async fn release(mut self) -> Result<(), StoreError> {
        let free = |state: LeaseState| LeaseState {
            held: false,
            ..state
        };
        match self.write(free).await {
            Err(StoreError::Conflict { .. }) => Ok(()),
            written => written,
        }
    }

    /// Changes the document, over marks that were set meanwhile, if the epoch is still ours.
    async fn write(&mut self, change: impl Fn(LeaseState) -> LeaseState) -> Result<(), StoreError> {
        let key = documents::lease(self.name.as_str());
        let conflict = || StoreError::Conflict {
            key: key.to_string(),
        };
        for _ in 0..REPETITIONS {
            let next = change(self.state);
            match self.store.save(&key, &next, self.revision).await {
                Ok(revision) => {
                    (self.state, self.revision) = (next, revision);
                    return Ok(());
                }
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(error),
            }
            let found = self.store.load(&key).await?;
            let ours = |state: &LeaseState| state.epoch == self.state.epoch && state.held;
            self.state = found.value.filter(ours).ok_or_else(conflict)?;
            self.revision = found.revision;
        }
        Err(conflict())
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("name", &self.name)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl Moment {
    fn of(clock: &Clock) -> Moment {
        Moment {
            elapsed: clock.elapsed(),
            at: clock.now(),
        }
    }
}

#[cfg(test)]
mod tests;

//! How many entities may be deleted: a mistake must not empty a catalogue.
//!
//! A run may delete a share of all that we own, which the mapping names; live looks together may delete as much within a
//! day. What is beyond that stays claimed, and the next run decides.

use std::sync::Mutex;

use super::plan::Kept;
use crate::deadline::Clock;
use crate::locked::locked;
use crate::store::documents::{LiveDeletions, completed, live_deletions};
use crate::store::run::{Run, rival};
use crate::store::{Revision, Store, StoreError};

/// What live looks, or the first run, may delete of what they have written before there is a count of what we own, or
/// after one that has found nothing.
const BEFORE_THE_FIRST_RUN: usize = 100;

const HOURS: i64 = 24;
const SECONDS_PER_HOUR: i64 = 3_600;

pub struct Guard {
    /// Why nothing at all is deleted, if so.
    off: Option<Kept>,
    /// Of all that we own, 0 to 1.
    threshold: f64,
    budget: Budget,
}

enum Budget {
    Live { clock: Clock },
    Run(Mutex<Spent>),
}

/// What a run has used of its share.
struct Spent {
    owned: usize,
    /// Not yet in the first run: what it and live looks have written is not in `owned`.
    is_counted: bool,
    deleted: usize,
}

impl Guard {
    /// `off`: `FERRY__DELETE=off`.
    pub fn live(off: bool, threshold: f64, clock: Clock) -> Guard {
        Guard {
            off: off.then_some(Kept::SwitchedOff).or(never(threshold)),
            threshold,
            budget: Budget::Live { clock },
        }
    }

    /// For `run`, as far as it is. `off`: why it deletes nothing at all, if so.
    pub fn run(off: Option<Kept>, threshold: f64, run: &Run) -> Guard {
        let spent = Spent {
            owned: run.owned,
            is_counted: !run.is_first,
            deleted: run.counts.deleted,
        };
        Guard {
            off: off.or(never(threshold)),
            threshold,
            budget: Budget::Run(Mutex::new(spent)),
        }
    }

    /// A run has counted again what we own: there may be more by now, as in the first run.
    pub fn owns(&self, owned: usize) {
        if let Budget::Run(spent) = &self.budget {
            let mut spent = locked(spent);
            spent.owned = spent.owned.max(owned);
            spent.is_counted = true;
        }
    }

    /// Why nothing at all is deleted, if so.
    pub fn keeps_all(&self) -> Option<Kept> {
        self.off
    }

    /// Why `more` entities must not go now, if so.
    pub async fn refuses(&self, more: usize, store: &Store) -> Result<Option<Kept>, StoreError> {
        if more == 0 {
            return Ok(None);
        }
        let left = match &self.budget {
            // Of what its own records claim.
            Budget::Run(_) => self.left_or(BEFORE_THE_FIRST_RUN),
            Budget::Live { clock } => {
                let (completed_key, deletions_key, rival_key) =
                    (completed(), live_deletions(), rival());
                let (completed, deletions, rival) = tokio::try_join!(
                    store.load(&completed_key),
                    store.load(&deletions_key),
                    store.load(&rival_key),
                )?;
                if rival.value.is_some() {
                    return Ok(Some(Kept::Rival));
                }
                // A run that has found nothing to be ours says nothing about what was written since.
                let counted = completed.value.filter(|completed| 0 < completed.owned);
                let share = counted.map_or(BEFORE_THE_FIRST_RUN, |completed| {
                    share(self.threshold, completed.owned)
                });
                let deletions = deletions.value.unwrap_or_default();
                share.saturating_sub(deletions.within_a_day(hour(clock)))
            }
        };
        Ok((left < more).then_some(Kept::Threshold))
    }

    /// How many more a run may delete; of no meaning to live looks.
    pub fn left(&self) -> usize {
        self.left_or(0)
    }

    /// How many more a run may delete: at least `uncounted` in all, as long as nobody has counted what we own.
    fn left_or(&self, uncounted: usize) -> usize {
        let Budget::Run(spent) = &self.budget else {
            return 0;
        };
        let spent = locked(spent);
        let least = if spent.is_counted { 0 } else { uncounted };
        let share = share(self.threshold, spent.owned).max(least);
        share.saturating_sub(spent.deleted)
    }

    /// So many have gone.
    pub async fn note(&self, deleted: usize, store: &Store) -> Result<(), StoreError> {
        if deleted == 0 {
            return Ok(());
        }
        match &self.budget {
            Budget::Run(spent) => {
                locked(spent).deleted += deleted;
            }
            Budget::Live { clock } => {
                let key = live_deletions();
                let mut deletions = store.load(&key).await?.value.unwrap_or_default();
                let now = hour(clock);
                deletions.by_hour.retain(|hour, _| now - HOURS < *hour);
                *deletions.by_hour.entry(now).or_default() += deleted;
                store.save(&key, &deletions, Revision::ANYTHING).await?;
            }
        }
        Ok(())
    }
}

/// The mapping says that nothing is ever deleted.
fn never(threshold: f64) -> Option<Kept> {
    (threshold <= 0.0).then_some(Kept::Never)
}

fn share(threshold: f64, owned: usize) -> usize {
    // Whole entities: a share of one and a half is one.
    (owned as f64 * threshold) as usize
}

fn hour(clock: &Clock) -> i64 {
    clock.now().as_second().div_euclid(SECONDS_PER_HOUR)
}

impl LiveDeletions {
    fn within_a_day(&self, now: i64) -> usize {
        let hours = self.by_hour.iter();
        hours
            .filter(|(hour, _)| now - HOURS < **hour)
            .map(|(_, count)| count)
            .sum()
    }
}

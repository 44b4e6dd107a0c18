//! How many entities may be deleted: a mistake must not empty a catalogue.
//!
//! A run may delete a share of all that we own, which the mapping names; live looks together may delete as much within a
//! day. What is beyond that stays claimed, and the next run decides.

use std::sync::Mutex;
use std::sync::PoisonError;

use super::plan::Kept;
use crate::deadline::Clock;
use crate::store::documents::{LiveDeletions, completed, live_deletions};
use crate::store::{Revision, Store, StoreError};

/// What live looks may delete within a day before the first run has counted what there is.
const BEFORE_THE_FIRST_RUN: usize = 100;

const HOURS: i64 = 24;
const SECONDS_PER_HOUR: i64 = 3_600;

pub struct Guard {
    /// `FERRY__DELETE=off`.
    off: bool,
    /// Of all that we own, 0 to 1.
    threshold: f64,
    budget: Budget,
}

enum Budget {
    Live {
        clock: Clock,
    },
    /// What is left of a run's share.
    Run {
        left: Mutex<usize>,
    },
}

impl Guard {
    pub fn live(off: bool, threshold: f64, clock: Clock) -> Guard {
        Guard {
            off,
            threshold,
            budget: Budget::Live { clock },
        }
    }

    /// For a run that has deleted so many of the `owned` entities already.
    pub fn run(off: bool, threshold: f64, owned: usize, deleted: usize) -> Guard {
        let share = share(threshold, owned);
        Guard {
            off,
            threshold,
            budget: Budget::Run {
                left: Mutex::new(share.saturating_sub(deleted)),
            },
        }
    }

    /// Why nothing at all is deleted, if so.
    pub fn keeps_all(&self) -> Option<Kept> {
        self.off.then_some(Kept::SwitchedOff)
    }

    /// Whether `more` entities may go now.
    pub async fn allows(&self, more: usize, store: &Store) -> Result<bool, StoreError> {
        if more == 0 {
            return Ok(true);
        }
        let left = match &self.budget {
            Budget::Run { left } => *left.lock().unwrap_or_else(PoisonError::into_inner),
            Budget::Live { clock } => {
                let (completed_key, deletions_key) = (completed(), live_deletions());
                let (completed, deletions) =
                    tokio::try_join!(store.load(&completed_key), store.load(&deletions_key))?;
                let share = completed.value.map_or(BEFORE_THE_FIRST_RUN, |completed| {
                    share(self.threshold, completed.owned)
                });
                let deletions = deletions.value.unwrap_or_default();
                share.saturating_sub(deletions.within_a_day(hour(clock)))
            }
        };
        Ok(more <= left)
    }

    /// How many more a run may delete; of no meaning to live looks.
    pub fn left(&self) -> usize {
        match &self.budget {
            Budget::Run { left } => *left.lock().unwrap_or_else(PoisonError::into_inner),
            Budget::Live { .. } => 0,
        }
    }

    /// So many have gone.
    pub async fn note(&self, deleted: usize, store: &Store) -> Result<(), StoreError> {
        if deleted == 0 {
            return Ok(());
        }
        match &self.budget {
            Budget::Run { left } => {
                let mut left = left.lock().unwrap_or_else(PoisonError::into_inner);
                *left = left.saturating_sub(deleted);
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

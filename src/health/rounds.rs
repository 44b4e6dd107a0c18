//! What a process remembers between two ticks, so that an idle one asks nobody: when it has asked last, and what it was
//! told then.
//!
//! Nothing of it is missed by a process that begins: it asks at once.

use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use crate::deadline::later;
use crate::locked::locked;

/// How often Bitbucket, Port and the stored looks are asked for news. Port's webhook, which is registered, comes in
/// between; a look that came to nothing is not due earlier.
const EVERY: Duration = Duration::from_secs(300);

/// How often a worker notes that events come.
const EVENTS_NOTED_EVERY: Duration = Duration::from_secs(600);

/// When this process has asked last.
pub struct Rounds {
    every: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    asked_at: Option<Timestamp>,
    oldest: Option<OldestLook>,
    event_noted_at: Option<Timestamp>,
}

/// The stored look that has waited for the longest time after it came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OldestLook {
    pub since: Timestamp,
    /// What is looked at, and why it came to nothing.
    pub cause: String,
}

impl Default for Rounds {
    fn default() -> Rounds {
        Rounds::every(EVERY)
    }
}

impl Rounds {
    /// Asks so often.
    pub fn every(every: Duration) -> Rounds {
        Rounds {
            every,
            state: Mutex::default(),
        }
    }

    /// Whether it is time to ask.
    pub fn are_due(&self, now: Timestamp) -> bool {
        let asked_at = locked(&self.state).asked_at;
        asked_at.is_none_or(|asked_at| later(asked_at, self.every) <= now)
    }

    /// Everybody was asked, and this is the oldest look that waits.
    pub fn note(&self, now: Timestamp, oldest: Option<OldestLook>) {
        let mut state = locked(&self.state);
        state.asked_at = Some(now);
        state.oldest = oldest;
    }

    /// Something was done after which the next tick has to ask.
    pub fn ask_soon(&self) {
        locked(&self.state).asked_at = None;
    }

    /// As far as was known when it was asked last.
    pub fn oldest_look(&self) -> Option<OldestLook> {
        locked(&self.state).oldest.clone()
    }

    /// Whether it is time to note that an event has come; if so, it counts as noted.
    pub fn note_event(&self, now: Timestamp) -> bool {
        let mut state = locked(&self.state);
        let is_due = state
            .event_noted_at
            .is_none_or(|noted_at| later(noted_at, EVENTS_NOTED_EVERY) <= now);
        if is_due {
            state.event_noted_at = Some(now);
        }
        is_due
    }
}

//! What the log says of repetitions: that a server makes us ask again is worth a line, and not one for each try.
//!
//! Owns how often a cause is told. Knows nothing of what is repeated, or why.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use crate::deadline::Clock;
use crate::locked::locked;

/// A cause that lasts is told so often.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// Causes that are remembered: servers times reasons, of which a process meets a handful.
const MOST_CAUSES: usize = 100;

/// Tells of repetitions, once a minute for each server and reason.
#[derive(Debug)]
pub struct Repeats {
    clock: Clock,
    /// By server and reason.
    told: Mutex<BTreeMap<(String, String), Told>>,
}

#[derive(Clone, Copy, Debug)]
struct Told {
    /// When the last line was written, by [`Clock::elapsed`].
    at: Duration,
    /// Repetitions since.
    untold: u64,
}

/// Something that is about to be asked again.
#[derive(Clone, Copy, Debug)]
pub struct Repeat<'a> {
    /// Host, or service.
    pub server: &'a str,
    pub request: &'a str,
    pub reason: &'a str,
    /// Tries so far.
    pub attempt: u32,
    /// Until the next one.
    pub wait: Duration,
}

impl Repeats {
    pub fn new(clock: Clock) -> Repeats {
        Repeats {
            clock,
            told: Mutex::default(),
        }
    }

    /// Writes a line, unless one with the same server and reason was written less than a minute ago.
    pub fn tell(&self, repeat: Repeat<'_>) {
        let Some(untold) = self.due(&repeat) else {
            return;
        };
        let Repeat {
            server,
            request,
            reason,
            attempt,
            wait,
        } = repeat;
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        tracing::warn!(
            server,
            request,
            reason,
            attempt,
            wait_ms,
            untold,
            "asking again"
        );
    }

    /// How many repetitions have not been told since the last line; `None` where it is too early for another.
    fn due(&self, repeat: &Repeat<'_>) -> Option<u64> {
        let now = self.clock.elapsed();
        let mut told = locked(&self.told);
        if MOST_CAUSES <= told.len() {
            told.clear();
        }
        let cause = (repeat.server.to_owned(), repeat.reason.to_owned());
        match told.get_mut(&cause) {
            Some(last) if now.saturating_sub(last.at) < TOLD_EVERY => {
                last.untold += 1;
                None
            }
            known => {
                let untold = known.map_or(0, |last| last.untold);
                told.insert(cause, Told { at: now, untold: 0 });
                Some(untold)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn a_cause_is_told_once_a_minute_with_what_was_not_told() {
        let clock = Clock::simulated(Timestamp::UNIX_EPOCH);
        let repeats = Repeats::new(clock.clone());
        let repeat = |reason| Repeat {
            server: "api.getport.io",
            request: "GET /v1/x",
            reason,
            attempt: 1,
            wait: Duration::ZERO,
        };
        assert_eq!(repeats.due(&repeat("HTTP 503")), Some(0));
        assert_eq!(repeats.due(&repeat("HTTP 503")), None);
        assert_eq!(
            repeats.due(&repeat("HTTP 429")),
            Some(0),
            "another cause has a line of its own"
        );
        clock.advance(Duration::from_secs(59));
        assert_eq!(repeats.due(&repeat("HTTP 503")), None);
        clock.advance(Duration::from_secs(1));
        assert_eq!(repeats.due(&repeat("HTTP 503")), Some(2));
        assert_eq!(repeats.due(&repeat("HTTP 503")), None);
    }
}

//! Time, as a value that is passed down: which instant it is, and how much of an invocation is left.
//!
//! Nothing else reads a clock, so that a run can be driven on simulated time.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

/// Where "now" comes from, and what waiting means.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The machine's clock; waiting waits.
    System,
    /// A clock that stands still until something waits or advances it; waiting takes no real time.
    Simulated(Arc<Mutex<Timestamp>>),
}

impl Clock {
    pub fn simulated(start: Timestamp) -> Clock {
        Clock::Simulated(Arc::new(Mutex::new(start)))
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the machine's clock"
    )]
    pub fn now(&self) -> Timestamp {
        match self {
            Clock::System => Timestamp::now(),
            Clock::Simulated(now) => *now.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// Time since some fixed moment of this process. It never goes backwards, and no correction of the machine's clock
    /// moves it.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the machine's clock"
    )]
    pub fn elapsed(&self) -> Duration {
        static START: OnceLock<Instant> = OnceLock::new();
        match self {
            Clock::System => START.get_or_init(Instant::now).elapsed(),
            Clock::Simulated(_) => {
                Duration::try_from(self.now().duration_since(Timestamp::UNIX_EPOCH))
                    .unwrap_or_default()
            }
        }
    }

    /// On a simulated clock this takes no time of the machine, but whatever else goes on gets its turn.
    pub async fn sleep(&self, duration: Duration) {
        match self {
            Clock::System => tokio::time::sleep(duration).await,
            Clock::Simulated(_) => {
                self.advance(duration);
                tokio::task::yield_now().await;
            }
        }
    }

    /// Moves a simulated clock forward; the machine's clock moves by itself.
    pub fn advance(&self, duration: Duration) {
        if let Clock::Simulated(now) = self {
            let mut now = now.lock().unwrap_or_else(PoisonError::into_inner);
            *now = later(*now, duration);
        }
    }
}

/// The instant by which an invocation has to be done. Every retry and every wait has to fit it.
#[derive(Clone, Debug)]
pub struct Deadline {
    clock: Clock,
    at: Timestamp,
}

impl Deadline {
    pub fn after(clock: &Clock, duration: Duration) -> Deadline {
        Deadline {
            clock: clock.clone(),
            at: later(clock.now(), duration),
        }
    }

    pub fn at(clock: &Clock, at: Timestamp) -> Deadline {
        Deadline {
            clock: clock.clone(),
            at,
        }
    }

    /// The same deadline, `margin` earlier: what is left for work when the margin is kept for winding up.
    #[must_use]
    pub fn earlier_by(&self, margin: Duration) -> Deadline {
        let at = self.at.checked_sub(margin).unwrap_or(Timestamp::MIN);
        Deadline {
            clock: self.clock.clone(),
            at,
        }
    }

    /// The same deadline, or `limit` from now where that is earlier.
    #[must_use]
    pub fn at_most(&self, limit: Duration) -> Deadline {
        Deadline {
            clock: self.clock.clone(),
            at: self.at.min(later(self.clock.now(), limit)),
        }
    }

    /// The present moment by the clock that this deadline goes by.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Zero once the deadline has passed.
    pub fn remaining(&self) -> Duration {
        Duration::try_from(self.at.duration_since(self.clock.now())).unwrap_or(Duration::ZERO)
    }

    pub fn has(&self, needed: Duration) -> bool {
        needed < self.remaining()
    }
}

/// `at + duration`, held at the end of time instead of overflowing.
pub fn later(at: Timestamp, duration: Duration) -> Timestamp {
    at.checked_add(duration).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_runs_down_with_its_clock() {
        let clock = Clock::simulated(Timestamp::UNIX_EPOCH);
        let deadline = Deadline::after(&clock, Duration::from_secs(10));
        assert!(deadline.has(Duration::from_secs(9)));
        clock.advance(Duration::from_secs(4));
        assert_eq!(deadline.remaining(), Duration::from_secs(6));
        assert_eq!(
            deadline.earlier_by(Duration::from_secs(5)).remaining(),
            Duration::from_secs(1)
        );
        clock.advance(Duration::from_secs(100));
        assert_eq!(deadline.remaining(), Duration::ZERO);
    }
}

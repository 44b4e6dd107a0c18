//! Time, as a value that is passed down: which instant it is, and how much of an invocation is left.
//!
//! Nothing else reads a clock, so that a run can be driven on simulated time.

use crate::locked::locked;
use std::sync::{Arc, Mutex, OnceLock};
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
            Clock::Simulated(now) => *locked(now),
        }
    }

    /// Time since some fixed moment of this process. It never goes backwards, and no correction of the machine's clock
    /// moves it.
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
            let mut now = locked(now);
            *now = later(*now, duration);
        }
    }
}

/// The instant by which an invocation has to be done. Every retry and every wait has to fit it.
#[derive(Clone, Debug)]
pub struct Deadline {
    clock: Clock,
    at: Timestamp,
    /// The same moment by [`Clock::elapsed`]. What comes first counts: one clock may be set back, the other stands still
    /// while the machine is frozen.
    elapsed: Duration,
    /// What may bring the end forward, and how much earlier than that this deadline is.
    stop: Option<Box<(Stop, Duration)>>,
}

/// Brings deadlines forward when the process is told to end. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<OnceLock<Duration>>);

impl Stop {
    /// All that goes by this has to be done within `duration` from now. The first call counts.
    pub fn within(&self, clock: &Clock, duration: Duration) {
        self.0
            .get_or_init(|| clock.elapsed().saturating_add(duration));
    }
}

impl Deadline {
    pub fn after(clock: &Clock, duration: Duration) -> Deadline {
        Deadline {
            clock: clock.clone(),
            at: later(clock.now(), duration),
            elapsed: clock.elapsed().saturating_add(duration),
            stop: None,
        }
    }

    /// The same deadline, or the end that `stop` sets where that is earlier.
    #[must_use]
    pub fn stopped_by(self, stop: &Stop) -> Deadline {
        Deadline {
            stop: Some(Box::new((stop.clone(), Duration::ZERO))),
            ..self
        }
    }

    pub fn at(clock: &Clock, at: Timestamp) -> Deadline {
        Deadline {
            at,
            ..Deadline::after(clock, until(clock, at))
        }
    }

    /// The same deadline, `margin` earlier: what is left for work when the margin is kept for winding up.
    #[must_use]
    pub fn earlier_by(&self, margin: Duration) -> Deadline {
        Deadline {
            clock: self.clock.clone(),
            at: self.at.checked_sub(margin).unwrap_or(Timestamp::MIN),
            elapsed: self.elapsed.saturating_sub(margin),
            stop: self.stop.as_deref().map(|(stop, earlier)| {
                let earlier = earlier.saturating_add(margin);
                Box::new((stop.clone(), earlier))
            }),
        }
    }

    /// The same deadline, or `limit` from now where that is earlier.
    #[must_use]
    pub fn at_most(&self, limit: Duration) -> Deadline {
        let other = Deadline::after(&self.clock, limit);
        Deadline {
            at: self.at.min(other.at),
            elapsed: self.elapsed.min(other.elapsed),
            stop: self.stop.clone(),
            ..other
        }
    }

    /// The present moment by the clock that this deadline goes by.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The moment at which it passes, as far as that is known now; [`Timestamp::MAX`] for one that never does.
    pub fn ends_at(&self) -> Timestamp {
        later(self.now(), self.remaining()).min(self.at)
    }

    /// Zero once the deadline has passed.
    pub fn remaining(&self) -> Duration {
        let stop = self.stop.as_deref();
        let stopped = stop.and_then(|(stop, earlier)| Some(stop.0.get()?.saturating_sub(*earlier)));
        let end = stopped.map_or(self.elapsed, |stopped| stopped.min(self.elapsed));
        let by_elapsed = end.saturating_sub(self.clock.elapsed());
        until(&self.clock, self.at).min(by_elapsed)
    }

    pub fn has(&self, needed: Duration) -> bool {
        needed < self.remaining()
    }
}

/// From now until `at`; zero where that has passed.
fn until(clock: &Clock, at: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(clock.now())).unwrap_or(Duration::ZERO)
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

    #[test]
    fn a_stop_brings_every_deadline_that_goes_by_it_forward() {
        let seconds = Duration::from_secs;
        let clock = Clock::simulated(Timestamp::UNIX_EPOCH);
        let stop = Stop::default();
        let deadline = Deadline::after(&clock, seconds(100)).stopped_by(&stop);
        let (margin, limited) = (
            deadline.earlier_by(seconds(3)),
            deadline.at_most(seconds(50)),
        );
        assert_eq!(deadline.remaining(), seconds(100));
        assert_eq!(limited.remaining(), seconds(50));
        stop.within(&clock, seconds(8));
        stop.within(&clock, seconds(80));
        assert_eq!(deadline.remaining(), seconds(8));
        assert_eq!(margin.remaining(), seconds(5));
        assert_eq!(limited.remaining(), seconds(8));
        assert_eq!(deadline.at_most(seconds(2)).remaining(), seconds(2));
    }
}

//! The time that a simulated service writes into its answers: the machine's, or one that a test sets.
//!
//! Knows nothing of the services. Readings for stored things never repeat, so that "written before" is always decided.

use jiff::{Timestamp, ToSpan as _};

/// Follows the machine until [`set`](Clock::set); from then on it stands still except for one millisecond a write.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    set: Option<Timestamp>,
    last_write: Option<Timestamp>,
}

impl Clock {
    pub fn now(&self) -> Timestamp {
        self.set.unwrap_or_else(machine_now)
    }

    /// The time of a write: later than all writes before.
    pub fn write(&mut self) -> Timestamp {
        let step = if self.set.is_some() {
            1.millisecond()
        } else {
            1.microsecond()
        };
        let mut time = self.now();
        if let Some(last) = self.last_write.filter(|last| time <= *last) {
            time = last.saturating_add(step).unwrap_or(last);
        }
        self.last_write = Some(time);
        if self.set.is_some() {
            self.set = Some(time);
        }
        time
    }

    /// Leaves the machine's time for good. A time in the past is taken as it is, but writes keep their order.
    pub fn set(&mut self, now: Timestamp) {
        self.set = Some(now);
    }
}

/// The machine's clock: clients under test compare our times with theirs.
#[expect(
    clippy::disallowed_methods,
    reason = "the sandbox is the outside world, which has its own clock"
)]
pub fn machine_now() -> Timestamp {
    Timestamp::now()
}

/// `2026-08-20T10:00:00.123Z`, the form of Port's own times.
pub fn millis(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_at_one_set_moment_stay_in_order() {
        let mut clock = Clock::default();
        clock.set("2026-08-20T10:00:00Z".parse().unwrap());
        let times = [clock.write(), clock.write(), clock.write()];
        assert_eq!(
            times.map(millis),
            [
                "2026-08-20T10:00:00.000Z",
                "2026-08-20T10:00:00.001Z",
                "2026-08-20T10:00:00.002Z"
            ]
        );
    }

    #[test]
    fn machine_writes_never_repeat() {
        let mut clock = Clock::default();
        let times: Vec<Timestamp> = (0..100).map(|_| clock.write()).collect();
        assert!(times.is_sorted_by(|a, b| a < b));
    }
}

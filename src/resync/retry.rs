//! Another attempt at a run that has failed: asked for by the failure itself, later and later.
//!
//! A schedule, Port, a webhook that was found missing ask for one at once, and so do fresh credentials.

use std::time::Duration;

use crate::app::App;
use crate::deadline::later;
use crate::failure::Failure;
use crate::store::Revision;
use crate::store::StoreError;
use crate::store::run::{FailedAttempt, RunRequest, run_request};
use crate::telemetry::chain;

/// After the first attempt that failed; each further one doubles it. What may pass by itself is tried with every tick.
const FIRST: Duration = Duration::from_secs(300);
const LONGEST: Duration = Duration::from_secs(4 * 3600);

/// Notes why the attempt has failed, and when the next one is due. `before`: what had asked for it.
pub(super) async fn ask_again(
    app: &App,
    before: Option<RunRequest>,
    failure: &Failure,
) -> Result<(), StoreError> {
    let now = app.clock.now();
    let earlier = before.as_ref().and_then(|before| before.failure.as_ref());
    let times = earlier.map_or(1, |earlier| earlier.times.saturating_add(1));
    let wait = match failure.is_retryable() {
        true => Duration::ZERO,
        false => delay(times),
    };
    let attempt = FailedAttempt {
        at: now,
        since: earlier.map_or(now, |earlier| earlier.since),
        times,
        not_before: later(now, wait),
        number: failure.condition().number(),
        cause: chain(failure),
    };
    let request = RunRequest {
        reason: before.as_ref().map_or_else(
            || "the last attempt failed".to_owned(),
            |it| it.reason.clone(),
        ),
        at: before.map_or(now, |before| before.at),
        failure: Some(attempt),
    };
    app.store
        .save(&run_request(), &request, Revision::ANYTHING)
        .await?;
    Ok(())
}

fn delay(times: u32) -> Duration {
    let doubled = 2_u32.saturating_pow(times.saturating_sub(1));
    FIRST.saturating_mul(doubled).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_made_later_and_later_and_within_hours() {
        let minutes = (1..9).map(|times| delay(times).as_secs() / 60);
        let minutes: Vec<u64> = minutes.collect();
        assert_eq!(minutes, [5, 10, 20, 40, 80, 160, 240, 240]);
        assert_eq!(delay(u32::MAX), LONGEST);
    }
}

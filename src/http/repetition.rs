//! The tries for one answer: whether there is another, and after how long.
//!
//! The one decision what is repeated in place, and how patiently. Sends nothing.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use reqwest::StatusCode;

use super::repeats::Repeat;
use super::unreachable::NoConnection;
use super::wait::retry_after;
use super::{Http, HttpError, Reply, RetryPolicy};
use crate::deadline::Deadline;

/// All waits for one answer together, in longest waits.
const WAITS: u32 = 3;

/// No try to connect begins later than this after the first: with [`CONNECT_TIMEOUT`](super::CONNECT_TIMEOUT) it is over
/// within 20 seconds, and there are better things to do.
const CONNECTING: Duration = Duration::from_secs(15);

pub(super) struct Repetition<'a> {
    http: &'a Http,
    policy: &'a RetryPolicy,
    deadline: &'a Deadline,
    delays: ExponentialBackoff,
    /// No single wait is longer.
    longest: Duration,
    attempt: u32,
    defects: usize,
    waited: Duration,
    begun: Duration,
}

impl<'a> Repetition<'a> {
    pub(super) fn new(
        http: &'a Http,
        policy: &'a RetryPolicy,
        deadline: &'a Deadline,
    ) -> Repetition<'a> {
        let delays = ExponentialBuilder::default()
            .with_min_delay(policy.base_delay)
            .with_max_delay(policy.max_delay)
            .with_max_times(policy.max_retries)
            .with_jitter();
        Repetition {
            http,
            policy,
            deadline,
            delays: delays.build(),
            longest: policy.max_delay.min(http.patience),
            attempt: 0,
            defects: 0,
            waited: Duration::ZERO,
            begun: http.clock.elapsed(),
        }
    }

    /// How long to wait before another try; `None`: this is the outcome.
    ///
    /// A wait that the server asks for takes the place of the back-off. A wait that does not fit the deadline is not
    /// begun, nor one for the end of a limit that is longer than anybody's patience: the caller has better to do.
    pub(super) fn after<T>(
        &mut self,
        (server, request): (&str, &str),
        outcome: &Result<Reply<T>, HttpError>,
    ) -> Option<Duration> {
        self.attempt += 1;
        let (reason, asked) = self.reason(outcome)?;
        let wait = asked.unwrap_or(self.delays.next()?).min(self.longest);
        self.waited += wait;
        if self.longest * WAITS < self.waited || !self.deadline.has(wait) {
            return None;
        }
        if let Err(HttpError::Transport { source, .. }) = outcome
            && NoConnection::of(source).is_some()
            && CONNECTING < self.http.clock.elapsed() - self.begun + wait
        {
            return None;
        }
        self.http.repeats.tell(Repeat {
            server,
            request,
            reason: &reason,
            attempt: self.attempt,
            wait,
        });
        Some(wait)
    }

    /// Why a repetition may mend it, and after how long the server asks for it; `None` where it would not.
    fn reason<T>(
        &mut self,
        outcome: &Result<Reply<T>, HttpError>,
    ) -> Option<(String, Option<Duration>)> {
        let reply = match outcome {
            Ok(reply) => reply,
            Err(HttpError::Transport { source, .. }) => return Some((broken(source), None)),
            Err(_) => return None,
        };
        let status = reply.answer.status;
        if reply.is_defect() {
            self.defects += 1;
            let reason = match status.is_success() {
                true => "an answer that cannot be read".to_owned(),
                false => format!("HTTP {}", status.as_u16()),
            };
            return (self.defects <= self.policy.max_defects).then_some((reason, None));
        }
        if !self.policy.statuses.contains(&status.as_u16()) {
            return None;
        }
        let asked = retry_after(&reply.answer, self.http.clock.now());
        let is_limit = status == StatusCode::TOO_MANY_REQUESTS;
        let is_too_long = is_limit && asked.is_some_and(|asked| self.longest < asked);
        (!is_too_long).then(|| (format!("HTTP {}", status.as_u16()), asked))
    }
}

/// In few words, the same ones for the same cause.
fn broken(source: &reqwest::Error) -> String {
    match NoConnection::of(source) {
        Some(NoConnection::UnknownName) => "its name is not known",
        Some(NoConnection::Refused) => "the connection is refused",
        Some(NoConnection::Untrusted) => "TLS fails",
        Some(NoConnection::Silent | NoConnection::Other) => "there is no connection",
        None if source.is_timeout() => "no answer in time",
        None => "the connection broke",
    }
    .to_owned()
}

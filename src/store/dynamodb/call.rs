//! One request to DynamoDB: how long it may take, and whether it is made again.
//!
//! The SDK's own repetitions are off, so that this is the only place that decides.

use std::time::Duration;

use anyhow::anyhow;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use backon::{BackoffBuilder as _, ExponentialBuilder};

use crate::aws::explain;
use crate::deadline::{Clock, Deadline};
use crate::http::{Repeat, Repeats};
use crate::store::PATIENCE;

/// DynamoDB answers within milliseconds; a request that takes longer has got lost.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(3);

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What DynamoDB calls a request that may succeed later (developer guide, "Error handling with DynamoDB").
const LATER: &[&str] = &[
    "InternalServerError",
    "LimitExceededException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ServiceUnavailable",
    "ThrottlingException",
    "TransactionConflictException",
];

/// The time and the pauses of one operation, which may need several requests.
pub(super) struct Patience<'a> {
    clock: &'a Clock,
    repeats: &'a Repeats,
    deadline: Deadline,
    pauses: backon::ExponentialBackoff,
    /// Pauses so far.
    attempt: u32,
}

/// Why a request did not succeed.
#[derive(Debug)]
pub(super) enum TableRefusal<E> {
    /// DynamoDB's answer, for whoever knows it.
    Service(E),
    Other(anyhow::Error),
}

impl<'a> Patience<'a> {
    pub(super) fn new(
        (clock, repeats): (&'a Clock, &'a Repeats),
        deadline: Option<&Deadline>,
    ) -> Patience<'a> {
        let deadline = match deadline {
            Some(deadline) => deadline.at_most(PATIENCE),
            None => Deadline::after(clock, PATIENCE),
        };
        let pauses = ExponentialBuilder::default()
            .with_min_delay(FIRST_PAUSE)
            .with_max_delay(LONGEST_PAUSE)
            .with_jitter()
            .without_max_times();
        Patience {
            clock,
            repeats,
            deadline,
            pauses: pauses.build(),
            attempt: 0,
        }
    }

    /// Sends until there is an answer that repeating would not change, or no time is left.
    pub(super) async fn call<T, E, F>(&mut self, send: impl Fn() -> F) -> Result<T, TableRefusal<E>>
    where
        F: Future<Output = Result<T, SdkError<E>>>,
        E: std::error::Error + ProvideErrorMetadata + 'static,
    {
        loop {
            let timeout = ATTEMPT_TIMEOUT.min(self.deadline.remaining());
            if timeout.is_zero() {
                return Err(TableRefusal::Other(anyhow!(
                    "no time is left for a request"
                )));
            }
            let (problem, reason) = match tokio::time::timeout(timeout, send()).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) if is_passing(&error) => {
                    let reason = error.code().unwrap_or("no answer").to_owned();
                    (anyhow!(explain(&error)), reason)
                }
                Ok(Err(SdkError::ServiceError(answer))) => {
                    return Err(TableRefusal::Service(answer.into_err()));
                }
                Ok(Err(error)) => return Err(TableRefusal::Other(anyhow!(explain(&error)))),
                Err(_) => {
                    let reason = "no answer in time".to_owned();
                    (anyhow!("no answer within {timeout:?}"), reason)
                }
            };
            if !self.pause(&reason).await {
                return Err(TableRefusal::Other(problem));
            }
        }
    }

    /// Waits a little longer than the last time; false if there is no time for it.
    pub(super) async fn pause(&mut self, reason: &str) -> bool {
        let pause = self.pauses.next().unwrap_or(LONGEST_PAUSE);
        let fits = self.deadline.has(pause);
        if fits {
            self.attempt += 1;
            self.repeats.tell(Repeat {
                server: "DynamoDB",
                request: "the table",
                reason,
                attempt: self.attempt,
                wait: pause,
            });
            self.clock.sleep(pause).await;
        }
        fits
    }
}

impl<E: std::error::Error + ProvideErrorMetadata> TableRefusal<E> {
    pub(super) fn into_error(self) -> anyhow::Error {
        match self {
            TableRefusal::Service(error) => anyhow!(explain(&error)),
            TableRefusal::Other(error) => error,
        }
    }
}

fn is_passing<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    match error {
        SdkError::TimeoutError(_) | SdkError::ResponseError(_) => true,
        SdkError::DispatchFailure(failure) => failure.is_io() || failure.is_timeout(),
        SdkError::ServiceError(answer) => {
            let code = answer.err().code().unwrap_or_default();
            LATER.contains(&code) || 500 <= answer.raw().status().as_u16()
        }
        _ => false,
    }
}

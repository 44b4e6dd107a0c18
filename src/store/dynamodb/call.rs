//! One request to DynamoDB: how long it may take, and whether it is made again.
//!
//! The SDK's own repetitions are off, so that this is the only place that decides.

use std::time::Duration;

use anyhow::anyhow;
use aws_sdk_dynamodb::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use backon::{BackoffBuilder as _, ExponentialBuilder};

use crate::deadline::{Clock, Deadline};
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
pub(super) struct Patience {
    clock: Clock,
    deadline: Deadline,
    pauses: backon::ExponentialBackoff,
}

/// Why a request did not succeed.
#[derive(Debug)]
pub(super) enum TableRefusal<E> {
    /// DynamoDB's answer, for whoever knows it.
    Service(E),
    Other(anyhow::Error),
}

impl Patience {
    pub(super) fn new(clock: &Clock, deadline: Option<&Deadline>) -> Patience {
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
            clock: clock.clone(),
            deadline,
            pauses: pauses.build(),
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
            let problem = match tokio::time::timeout(timeout, send()).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) if is_passing(&error) => explain(&error),
                Ok(Err(SdkError::ServiceError(answer))) => {
                    return Err(TableRefusal::Service(answer.into_err()));
                }
                Ok(Err(error)) => return Err(TableRefusal::Other(explain(&error))),
                Err(_) => anyhow!("no answer within {timeout:?}"),
            };
            if !self.pause().await {
                return Err(TableRefusal::Other(problem));
            }
        }
    }

    /// Waits a little longer than the last time; false if there is no time for it.
    pub(super) async fn pause(&mut self) -> bool {
        let pause = self.pauses.next().unwrap_or(LONGEST_PAUSE);
        let fits = self.deadline.has(pause);
        if fits {
            self.clock.sleep(pause).await;
        }
        fits
    }
}

impl<E: std::error::Error + 'static> TableRefusal<E> {
    pub(super) fn into_error(self) -> anyhow::Error {
        match self {
            TableRefusal::Service(error) => anyhow!("{}", DisplayErrorContext(error)),
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

fn explain<E: std::error::Error + 'static>(error: &SdkError<E>) -> anyhow::Error {
    anyhow!("{}", DisplayErrorContext(error))
}

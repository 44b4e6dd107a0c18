//! AWS event → flow → AWS answer. The only module that knows the shapes in which Lambda is invoked.
//!
//! `event` tells the shapes apart, `route` answers requests. Here each goes to its trigger.

mod event;
mod route;

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse};
use lambda_runtime::Diagnostic;
use serde::Serialize;
use serde_json::Value;

pub use route::{Request, Response, route};

use crate::app::App;
use crate::deadline::Deadline;
use crate::failure::Failure;
use crate::subscription::Occasion;
use crate::telemetry::chain;
use crate::{resync, subscription, watch, webhook};
use event::Invocation;

/// The invocation failed as a whole. Lambda counts it, and alarms go by [`error_type`](Error::error_type).
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "unknown event with the fields [{fields}]: expected an HTTP request (function URL, API Gateway), SQS records, \
         an EventBridge schedule, or {{\"action\":\"resync\"}}, {{\"action\":\"tick\"}} or {{\"action\":\"uninstall\"}}"
    )]
    UnknownEvent { fields: String },
    #[error("the event is a {shape}, but not a complete one")]
    Malformed {
        shape: &'static str,
        source: anyhow::Error,
    },
    #[error(transparent)]
    Failed(#[from] Failure),
    #[error("cannot write the answer")]
    Answer(#[source] serde_json::Error),
}

/// What the runtime logs under this target is what an invocation has returned, as a dump of its structure, or a panic.
pub const ECHO: &str = "lambda_runtime::layers::panic";

/// Libraries that panic at what they cannot read; `event` makes errors of that.
const PANICKING_READERS: &[&str] = &["/lambda_http-", "/aws_lambda_events-"];

/// Tells of a panic in one line, as of everything else, instead of what Rust prints.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        if PANICKING_READERS
            .iter()
            .any(|reader| place.contains(reader))
        {
            return;
        }
        let reason = panic.payload_as_str().unwrap_or_default();
        tracing::error!(place, reason, "a defect of Ferry: this invocation is lost");
    }));
}

/// Serves one invocation, whatever its kind.
pub async fn handle(app: &App, event: Value, deadline: &Deadline) -> Result<Value, Error> {
    let answer = serve(app, event, deadline).await;
    if let Err(error) = &answer {
        tracing::error!(
            error = chain(error),
            error_type = error.error_type(),
            "invocation failed"
        );
    }
    answer
}

async fn serve(app: &App, event: Value, deadline: &Deadline) -> Result<Value, Error> {
    match Invocation::of(event)? {
        Invocation::Http(origin, request) => {
            route::wrap(&origin, &route(app, &request, deadline).await)
        }
        Invocation::Queue(messages) => {
            let again = Box::pin(webhook::work_off(app, &messages, deadline)).await;
            if let Err(failure) = resync::request_for_unreadable(app).await {
                tracing::error!(error = chain(&failure), "resync not asked for");
            }
            let mut answer = SqsBatchResponse::default();
            answer.batch_item_failures = again.into_iter().map(failed_item).collect();
            to_value(&answer)
        }
        // Boxed: one flow at a time should not cost the memory of all.
        Invocation::Resync {
            address,
            by_schedule,
        } => {
            if let Some(address) = address {
                let address = app.config.reached_at(&address);
                let occasion = match by_schedule {
                    true => Occasion::Schedule,
                    false => Occasion::Request,
                };
                Box::pin(subscription::keep(app, &address, occasion, deadline)).await;
            }
            let outcome = Box::pin(resync::resync(app, "scheduled", deadline)).await?;
            Box::pin(webhook::again::settle(app, deadline)).await;
            to_value(&outcome)
        }
        Invocation::Tick { address } => {
            let address = address.map(|address| app.config.reached_at(&address));
            let outcome = Box::pin(watch::tick(app, address.as_deref(), deadline)).await?;
            to_value(&outcome)
        }
        Invocation::Uninstall { address } => {
            let address = address.map(|address| app.config.reached_at(&address));
            let removed = subscription::uninstall(app, address.as_deref(), deadline);
            to_value(&Box::pin(removed).await?)
        }
    }
}

fn failed_item(id: String) -> BatchItemFailure {
    let mut failure = BatchItemFailure::default();
    failure.item_identifier = id;
    failure
}

fn to_value<T: Serialize>(answer: &T) -> Result<Value, Error> {
    serde_json::to_value(answer).map_err(Error::Answer)
}

impl Error {
    /// A stable name for alarms and metric filters.
    pub fn error_type(&self) -> &'static str {
        match self {
            Error::UnknownEvent { .. } => "UnknownEvent",
            Error::Malformed { .. } => "MalformedEvent",
            Error::Failed(failure) => failure.error_type(),
            Error::Answer(_) => "Answer",
        }
    }
}

impl From<Error> for Diagnostic {
    fn from(error: Error) -> Diagnostic {
        Diagnostic {
            error_type: error.error_type().to_owned(),
            error_message: chain(&error),
        }
    }
}

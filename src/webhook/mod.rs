//! The webhook flow: a request from Bitbucket in, an answer out, the catalogue brought up to date in between.
//!
//! Verify, parse, apply. Knows nothing of Lambda's request types and nothing of resyncs.

mod apply;
mod event;
mod queue;
mod signature;

use std::time::Duration;

use crate::app::App;
use crate::deadline::Deadline;
use crate::failure::{Failure, chain};
use crate::secrets::SecretsError;

pub use event::{Change, Malformed, Parsed, RepositoryRef, parse};
pub use queue::{Envelope, Received, work_off};

/// Larger bodies are refused unread. Bitbucket's own limit for a delivery is 256 KB (Bitbucket Cloud, manage
/// webhooks); nobody else has anything to say here.
pub const MAX_BODY: usize = 1 << 20;

/// Bitbucket waits ten seconds for an answer (Bitbucket Cloud, manage webhooks), the way there and back included.
const PATIENCE: Duration = Duration::from_secs(9);

/// How much of a header that anybody can send is worth a place in the log.
const SHOWN_CHARS: usize = 64;

/// One request to the webhook address, as it came.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// `X-Event-Key`
    pub event_key: Option<&'a str>,
    /// `X-Request-UUID`: the same for every attempt at one event.
    pub request_id: Option<&'a str>,
    /// `X-Hub-Signature`
    pub signature: Option<&'a str>,
    /// The bytes that were signed.
    pub body: &'a [u8],
}

/// What Bitbucket gets to hear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Stored, or done, or nothing can ever be done about it.
    Accepted,
    /// Valid, and nothing to us.
    Ignored,
    /// Says nothing about why: it may be anybody.
    Unsigned,
    Malformed(String),
    TooLarge,
    /// Please send it again.
    Unavailable,
}

/// Takes one delivery in. Nothing is asked of anybody before the signature is found valid.
pub async fn receive(app: &App, delivery: Delivery<'_>, deadline: &Deadline) -> Answer {
    let deadline = deadline.at_most(PATIENCE);
    if MAX_BODY < delivery.body.len() {
        return Answer::TooLarge;
    }
    let secrets = match app.secrets.webhook_secrets(&deadline).await {
        Ok(secrets) => secrets,
        Err(error) => {
            tracing::error!(error = chain(&error), "webhook not verified");
            return Answer::Unavailable;
        }
    };
    if secrets.is_empty() {
        tracing::error!(
            remedy = "set webhookSecret in the secret, FERRY__WEBHOOK_SECRET_ID, or \
                      OCEAN__INTEGRATION__CONFIG__WEBHOOK_SECRET",
            "webhook refused: no webhook secret is configured"
        );
        return Answer::Unsigned;
    }
    if !signature::is_valid(&secrets, delivery.body, delivery.signature) {
        tracing::warn!(
            signed = delivery.signature.is_some(),
            "webhook refused: its signature is missing or wrong"
        );
        return Answer::Unsigned;
    }
    let Some(key) = delivery.event_key else {
        return Answer::Malformed("the header `X-Event-Key` is missing".to_owned());
    };
    let request_id = shown(delivery.request_id.unwrap_or_default());
    let change = match parse(key, delivery.body) {
        Ok(Parsed::Change(change)) => *change,
        Ok(Parsed::Ignored) => {
            tracing::debug!(event = shown(key), request_id, "webhook ignored");
            return Answer::Ignored;
        }
        Err(malformed) => {
            tracing::warn!(event = shown(key), request_id, error = %malformed, "webhook refused");
            return Answer::Malformed(malformed.to_string());
        }
    };
    if let Some(queue) = &app.queue {
        let queued = queue::enqueue(queue, key, delivery.request_id, change, &deadline).await;
        return match queued {
            Ok(()) => Answer::Accepted,
            Err(error) => {
                let error = chain(&error);
                tracing::error!(event = key, request_id, error, "webhook not queued");
                Answer::Unavailable
            }
        };
    }
    let outcome = apply::apply(app, &[("", &change)], &deadline).await.pop();
    let Some(Err(failure)) = outcome else {
        return Answer::Accepted;
    };
    let (error, error_type) = (chain(failure.as_ref()), failure.error_type());
    if deserves_another_try(&failure) {
        tracing::warn!(
            event = key,
            request_id,
            error,
            error_type,
            "webhook postponed"
        );
        return Answer::Unavailable;
    }
    tracing::error!(
        event = key,
        request_id,
        error,
        error_type,
        "webhook not applied"
    );
    Answer::Accepted
}

/// Whether an event is to be kept: what failed may pass by itself, or somebody will mend the credentials.
fn deserves_another_try(failure: &Failure) -> bool {
    failure.is_retryable()
        || failure.is_unauthorized()
        || matches!(failure, Failure::Secrets(SecretsError::Invalid(_)))
}

/// Text from outside, cut to a length that cannot flood a log.
fn shown(text: &str) -> String {
    text.chars()
        .filter(|char| !char.is_control())
        .take(SHOWN_CHARS)
        .collect()
}

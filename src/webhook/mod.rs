//! The webhook flow: a request from Bitbucket in, an answer out, and what is to be looked at into the queue.
//!
//! Verify, parse, queue; and the other end of the queue: a `batch` of messages, looks whose time has come [`again`].
//! Knows nothing of Lambda's request types and nothing of runs.

pub mod again;
mod batch;
mod event;
mod signature;
mod verdict;

use std::time::Duration;

use sha2::{Digest as _, Sha256};

pub use batch::{Received, work_off};
pub use event::{Ignored, Malformed, Parsed, parse, subscribed_events};

use crate::app::App;
use crate::deadline::Deadline;
use crate::deliveries::DeliveryEffect;
use crate::live::{self, Wanted};
use crate::look::Cause;
use crate::queue::{Message, Queue};
use crate::telemetry::chain;
use verdict::{Failed, Remembered};

/// Larger bodies are refused unread. Bitbucket's own limit for a delivery is 256 KB (Bitbucket Cloud, manage
/// webhooks); nobody else has anything to say here.
pub const MAX_BODY: usize = 1 << 20;

/// Bitbucket waits ten seconds for an answer (Bitbucket Cloud, manage webhooks), the way there and back included.
const PATIENCE: Duration = Duration::from_secs(9);

/// Of that, what is kept for storing a look that could not be taken.
const STORING: Duration = Duration::from_secs(2);

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
pub enum Receipt {
    /// The look waits in the queue.
    Queued,
    /// The look has been taken.
    Done,
    /// The look could not be taken now; it is stored, and taken again later.
    Remembered,
    /// Valid, and nothing to us.
    Ignored(Ignored),
    /// Says nothing about why: it may be anybody.
    Unsigned,
    Malformed(Malformed),
    NoEventKey,
    TooLarge,
    /// Please send it again.
    Unavailable,
}

/// Takes one delivery in. Nothing is asked of anybody before the signature is found valid.
pub async fn receive(app: &App, delivery: Delivery<'_>, deadline: &Deadline) -> Receipt {
    let deadline = deadline.at_most(PATIENCE);
    if MAX_BODY < delivery.body.len() {
        return Receipt::TooLarge;
    }
    match is_signed(app, &delivery, &deadline).await {
        Some(true) => {}
        Some(false) => return Receipt::Unsigned,
        None => return Receipt::Unavailable,
    }
    let Some(key) = delivery.event_key else {
        return Receipt::NoEventKey;
    };
    let request_id = shown(delivery.request_id.unwrap_or_default());
    let workspace = app.config.given.bitbucket_workspace.as_deref();
    let wanted = match parse(key, delivery.body, workspace) {
        Ok(Parsed::Look(wanted)) => wanted,
        Ok(Parsed::Ignored(reason)) => {
            let event = shown(key);
            tracing::debug!(event, request_id, ?reason, "webhook ignored");
            let cause = Cause { event, request_id };
            let told = DeliveryEffect::ignored(&cause, reason.to_string(), deadline.now());
            app.deliveries.tell(told);
            return Receipt::Ignored(reason);
        }
        Err(malformed) => {
            tracing::warn!(event = shown(key), request_id, error = %malformed, "webhook refused");
            return Receipt::Malformed(malformed);
        }
    };
    let message = Message {
        look: wanted.look.clone(),
        not_older_than: wanted.not_older_than,
        event_key: key.to_owned(),
        request_id,
        accepted_at: Some(deadline.now()),
        tries: 0,
        again: false,
    };
    match &app.queue {
        Some(queue) => enqueue(queue, &delivery, &message, &deadline).await,
        None => take_now(app, wanted, &message, &deadline).await,
    }
}

/// `None`: there is no telling, because the secret could not be read.
async fn is_signed(app: &App, delivery: &Delivery<'_>, deadline: &Deadline) -> Option<bool> {
    if delivery.signature.is_none() {
        tracing::warn!("webhook refused: it is not signed");
        return Some(false);
    }
    let secrets = match app.webhook_secrets(deadline).await {
        Ok(secrets) => secrets,
        Err(error) => {
            tracing::error!(error = chain(&error), "webhook not verified");
            return None;
        }
    };
    if secrets.is_empty() {
        tracing::error!(
            remedy = "set webhookSecret in the secret, FERRY__WEBHOOK_SECRET_ID, or \
                      OCEAN__INTEGRATION__CONFIG__WEBHOOK_SECRET",
            "webhook refused: no webhook secret is configured"
        );
        return Some(false);
    }
    let is_valid = signature::is_valid(&secrets, delivery.body, delivery.signature);
    if !is_valid {
        tracing::warn!("webhook refused: its signature is wrong");
    }
    Some(is_valid)
}

async fn enqueue(
    queue: &Queue,
    delivery: &Delivery<'_>,
    message: &Message,
    deadline: &Deadline,
) -> Receipt {
    // Two deliveries without an id are the same if they say the same.
    let occasion = match delivery.request_id.filter(|id| !id.is_empty()) {
        Some(id) => id.to_owned(),
        None => hex::encode(Sha256::digest(delivery.body)),
    };
    match queue.send(message, &occasion, deadline).await {
        Ok(()) => Receipt::Queued,
        Err(error) => {
            let (event, request_id) = (&message.event_key, &message.request_id);
            let error = chain(&error);
            tracing::error!(event, request_id, error, "webhook not queued");
            Receipt::Unavailable
        }
    }
}

/// Without a queue: takes the look before Bitbucket is answered.
async fn take_now(app: &App, wanted: Wanted, message: &Message, deadline: &Deadline) -> Receipt {
    if let Some(accepted) = message.accepted_at {
        app.note_event(accepted).await;
    }
    let taking = deadline.earlier_by(STORING);
    let wanted = Wanted {
        causes: message.cause().into_iter().collect(),
        accepted_at: message.accepted_at,
        ..wanted
    };
    let outcome = live::take(app, std::slice::from_ref(&wanted), &taking)
        .await
        .pop();
    let Some(Err(failure)) = outcome else {
        return Receipt::Done;
    };
    let failed = Failed {
        look: &wanted.look,
        not_older_than: wanted.not_older_than,
        failure: &failure,
        cause: message.cause(),
        since: message.accepted_at,
        tries: 0,
        was_due: false,
    };
    failed.log();
    wanted.tell_wait(app, &failure);
    match failed
        .remember_if_it_helps(&app.store.within(deadline), deadline.now())
        .await
    {
        Ok(Remembered::NotNeeded) => Receipt::Done,
        Ok(Remembered::Stored) => Receipt::Remembered,
        Err(error) => {
            tracing::error!(error = chain(&error), "webhook not stored");
            Receipt::Unavailable
        }
    }
}

/// Text from outside, cut to a length that cannot flood a log.
fn shown(text: &str) -> String {
    text.chars()
        .filter(|char| !char.is_control())
        .take(SHOWN_CHARS)
        .collect()
}

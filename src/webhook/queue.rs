//! Changes on their way through a queue: what a message holds, and how a batch of them is worked off.
//!
//! Knows the message format and the order rules of a FIFO queue. Does not know whose queue it is.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::apply::apply;
use super::event::Change;
use super::shown;
use crate::app::App;
use crate::deadline::Deadline;
use crate::failure::chain;

/// Raised when a message of an older version cannot be read any more.
const ENVELOPE_VERSION: u32 = 1;

/// The body of a message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    pub version: u32,
    pub event_key: String,
    /// Bitbucket's `X-Request-UUID`.
    pub request_id: String,
    pub change: Change,
}

/// A message as it was received.
#[derive(Clone, Debug)]
pub struct Received {
    pub id: String,
    /// Messages of a group have to be worked off in their order.
    pub group: String,
    pub body: String,
}

/// Applies `messages` one after the other.
///
/// Returns the ids of those to be delivered again: the ones that failed for the moment, and every later one of their groups, so that no event overtakes an earlier one.
pub async fn work_off(app: &App, messages: &[Received], deadline: &Deadline) -> Vec<String> {
    let mut blocked: HashSet<&str> = HashSet::new();
    let mut again = Vec::new();
    for Received { id, group, body } in messages {
        if blocked.contains(group.as_str()) {
            again.push(id.clone());
            continue;
        }
        let envelope = match serde_json::from_str::<Envelope>(body) {
            Ok(envelope) if envelope.version == ENVELOPE_VERSION => envelope,
            // Not ours to drop: after some attempts it lies in the dead-letter queue, where it can be looked at.
            unreadable => {
                let error = unreadable.err().map(|error| error.to_string());
                tracing::error!(
                    message = id,
                    error,
                    "message is not an event of a known version"
                );
                blocked.insert(group);
                again.push(id.clone());
                continue;
            }
        };
        let (event, request_id) = (shown(&envelope.event_key), shown(&envelope.request_id));
        match apply(app, &envelope.change, deadline).await {
            Ok(()) => {}
            Err(failure) if failure.is_retryable() => {
                tracing::warn!(
                    event,
                    request_id,
                    error = chain(&failure),
                    "event postponed"
                );
                blocked.insert(group);
                again.push(id.clone());
            }
            Err(failure) => {
                let error_type = failure.error_type();
                tracing::error!(
                    event,
                    request_id,
                    error = chain(&failure),
                    error_type,
                    "event not applied"
                );
            }
        }
    }
    again
}

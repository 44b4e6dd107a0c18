//! Changes on their way through the queue: what a message holds, and how a batch of them is worked off.
//!
//! Knows the message format, and what is to become of messages that cannot be worked off now.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::apply::{InLine, Outcome, apply};
use super::event::Change;
use super::{deserves_another_try, shown};
use crate::app::App;
use crate::deadline::Deadline;
use crate::failure::chain;
use crate::metrics::Figure;
use crate::queue::{Message, Postponed, Queue, QueueError};

/// Raised when a message of an older version cannot be read any more.
const ENVELOPE_VERSION: u32 = 1;

/// Changes of the workspace as a whole.
const WORKSPACE_LINE: &str = "workspace";

/// Characters that SQS takes in a group or an id (SQS, message group ids: 128 of letters, digits and punctuation).
const MAX_NAME_CHARS: usize = 128;

/// Beyond this, what the event saw of its object is left out of the message: it only matters where no record is, and
/// SQS takes at most 1 MiB.
const LARGE_BODY: usize = 200 * 1024;

/// Waits before the tries after the first. Together they outlast two hours, within the ten receives that a message
/// has.
const WAITS: [u64; 9] = [30, 60, 120, 240, 480, 960, 1800, 1800, 1800];

/// The body of a message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    pub version: u32,
    pub event_key: String,
    /// Bitbucket's `X-Request-UUID`.
    pub request_id: String,
    pub change: Change,
    /// When it was put into the queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted_at: Option<Timestamp>,
}

/// A message as it was received.
#[derive(Clone, Debug, Default)]
pub struct Received {
    pub id: String,
    /// Messages of a line have to be worked off in their order.
    pub line: String,
    pub body: String,
    /// Times it was received, this one included.
    pub receives: u32,
    /// By which its return can be put off.
    pub receipt: String,
}

/// Puts `change` into `queue`. Returns after it is stored.
pub(super) async fn enqueue(
    queue: &Queue,
    event_key: &str,
    request_id: Option<&str>,
    change: Change,
    deadline: &Deadline,
) -> Result<(), QueueError> {
    let line = name(change.repository_uuid().unwrap_or(WORKSPACE_LINE));
    let mut envelope = Envelope {
        version: ENVELOPE_VERSION,
        event_key: event_key.to_owned(),
        request_id: request_id.map(shown).unwrap_or_default(),
        change,
        accepted_at: Some(deadline.now()),
    };
    let mut body = encode(&envelope)?;
    if LARGE_BODY < body.len() {
        envelope.change.forget_what_was_seen();
        body = encode(&envelope)?;
    }
    // Two deliveries without an id are the same if they say the same.
    let id = match request_id.filter(|id| !id.is_empty()) {
        Some(id) => name(id),
        None => {
            envelope.accepted_at = None;
            name(&encode(&envelope)?)
        }
    };
    let message = Message {
        line: &line,
        id: &id,
        body: &body,
    };
    queue.send(message, deadline).await
}

fn encode(envelope: &Envelope) -> Result<String, QueueError> {
    serde_json::to_string(envelope).map_err(|error| QueueError::Unavailable(error.to_string()))
}

/// `text` where a queue takes it as a name, else its digest.
fn name(text: &str) -> String {
    let allowed = |c: char| c.is_ascii_graphic();
    match text.len() <= MAX_NAME_CHARS && !text.is_empty() && text.chars().all(allowed) {
        true => text.to_owned(),
        false => hex::encode(Sha256::digest(text)),
    }
}

/// Applies the changes in `messages`; what several of them are about is looked at once.
///
/// Returns the ids of those to be delivered again: the ones that failed for the moment, and every later one of their
/// lines, so that no event overtakes an earlier one. The queue has been told when.
pub async fn work_off(app: &App, messages: &[Received], deadline: &Deadline) -> Vec<String> {
    let mut waits: HashMap<&str, Duration> = HashMap::new();
    let mut again: Vec<&Received> = Vec::new();
    let mut readable: Vec<(&Received, Envelope)> = Vec::new();
    for message in messages {
        if waits.contains_key(message.line.as_str()) {
            again.push(message);
            continue;
        }
        match read(message) {
            Some(envelope) => readable.push((message, envelope)),
            // Not ours to drop: after some attempts it lies in the dead-letter queue, where it can be looked at.
            None => {
                waits.insert(&message.line, Duration::ZERO);
                again.push(message);
            }
        }
    }
    let changes: Vec<InLine<'_>> = readable
        .iter()
        .map(|(message, envelope)| (message.line.as_str(), &envelope.change))
        .collect();
    let outcomes = match changes.is_empty() {
        true => Vec::new(),
        false => apply(app, &changes, deadline).await,
    };
    let now = app.clock.now();
    let mut lags = Vec::new();
    for ((message, envelope), outcome) in readable.iter().zip(outcomes) {
        if let (Ok(()), Some(accepted_at)) = (&outcome, envelope.accepted_at) {
            lags.push(now.duration_since(accepted_at).as_secs_f64());
        }
        if let Some(wait) = wait_after(message, envelope, &outcome) {
            let longest = waits.entry(&message.line).or_default();
            *longest = wait.max(*longest);
            again.push(message);
        }
    }
    let figures = vec![
        Figure::seconds("LagSeconds", lags),
        Figure::count("PostponedEvents", again.len()),
    ];
    app.metrics.put(now, figures);
    let postponed: Vec<Postponed> = again
        .iter()
        .filter(|message| !message.receipt.is_empty())
        .map(|message| Postponed {
            receipt: message.receipt.clone(),
            wait: waits
                .get(message.line.as_str())
                .copied()
                .unwrap_or_default(),
        })
        .collect();
    if let (Some(queue), false) = (&app.queue, postponed.is_empty())
        && let Err(error) = queue.postpone(&postponed, deadline).await
    {
        // They come back all the same, when the queue's own visibility timeout has passed.
        tracing::warn!(error = chain(&error), "messages not postponed");
    }
    again
        .into_iter()
        .map(|message| message.id.clone())
        .collect()
}

fn read(message: &Received) -> Option<Envelope> {
    let error = match serde_json::from_str::<Envelope>(&message.body) {
        Ok(envelope) if envelope.version == ENVELOPE_VERSION => return Some(envelope),
        Ok(envelope) => format!("version {}", envelope.version),
        Err(error) => error.to_string(),
    };
    tracing::error!(
        message = message.id,
        error,
        "message is not an event of a known version"
    );
    None
}

/// How long a message is to stay away; `None` if there is nothing more to do for it.
fn wait_after(message: &Received, envelope: &Envelope, outcome: &Outcome) -> Option<Duration> {
    let failure = outcome.as_ref().err()?;
    let (event, request_id) = (shown(&envelope.event_key), shown(&envelope.request_id));
    let (error, error_type) = (chain(failure.as_ref()), failure.error_type());
    if !deserves_another_try(failure) {
        tracing::error!(event, request_id, error, error_type, "event not applied");
        return None;
    }
    let tried = usize::try_from(message.receives.max(1) - 1).unwrap_or(usize::MAX);
    let own = WAITS.get(tried).or(WAITS.last()).copied().unwrap_or(0);
    let wait = Duration::from_secs(own).max(failure.wait().unwrap_or_default());
    let seconds = wait.as_secs();
    tracing::warn!(
        event,
        request_id,
        error,
        error_type,
        seconds,
        "event postponed"
    );
    Some(wait)
}

impl Change {
    fn repository_uuid(&self) -> Option<&str> {
        match self {
            Change::PullRequest { repository, .. }
            | Change::Repository { repository, .. }
            | Change::RepositoryGone { repository, .. } => Some(&repository.uuid),
            Change::Projects { .. } => None,
        }
    }

    fn forget_what_was_seen(&mut self) {
        match self {
            Change::PullRequest { last_seen, .. }
            | Change::Repository { last_seen, .. }
            | Change::RepositoryGone { last_seen, .. } => *last_seen = Value::Null,
            Change::Projects { .. } => {}
        }
    }
}

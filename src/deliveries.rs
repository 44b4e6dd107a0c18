//! What becomes of each webhook, for whoever watches: a terminal, or lines for a machine.
//!
//! Plain data; those who work an event off know, the command line shows.

use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::broadcast;

use crate::look::Cause;

/// Of those that nobody has taken yet; who is slower is told how many he has missed.
const MOST_KEPT: usize = 1_000;

/// What became of one look that an event has asked for. An event that takes several looks has one for each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeliveryEffect {
    pub at: Timestamp,
    /// Bitbucket's event key.
    pub event: String,
    /// Of its delivery (`X-Request-UUID`).
    pub request_id: String,
    /// What was looked at; empty where nothing was.
    pub object: String,
    pub effect: Effect,
    pub written: usize,
    pub deleted: usize,
    /// The first of them, deleted ones with a sign.
    pub entities: Vec<String>,
    /// How many more there are.
    pub more: usize,
    /// Why it was ignored, or waits.
    pub reason: Option<String>,
    /// From its acceptance on; `None` where that is not known.
    pub elapsed_ms: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Entities were written; some may have been deleted, too.
    Written,
    Deleted,
    /// Port has all of it as it is.
    Unchanged,
    /// It says nothing that anything is looked at for.
    Ignored,
    /// It came to nothing yet, and is looked at again later.
    Waits,
}

impl Effect {
    fn of(written: usize, deleted: usize) -> Effect {
        match (written, deleted) {
            (0, 0) => Effect::Unchanged,
            (0, _) => Effect::Deleted,
            _ => Effect::Written,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Effect::Written => "written",
            Effect::Deleted => "deleted",
            Effect::Unchanged => "unchanged",
            Effect::Ignored => "ignored",
            Effect::Waits => "waits",
        }
    }
}

impl DeliveryEffect {
    /// A look is over. `accepted`: when the event was.
    pub fn done(
        cause: &Cause,
        object: &str,
        (written, deleted): (usize, usize),
        entities: Vec<String>,
        (accepted, now): (Option<Timestamp>, Timestamp),
    ) -> DeliveryEffect {
        DeliveryEffect {
            effect: Effect::of(written, deleted),
            written,
            deleted,
            more: (written + deleted).saturating_sub(entities.len()),
            entities,
            elapsed_ms: accepted.and_then(|accepted| elapsed(accepted, now)),
            ..DeliveryEffect::without_effect(cause, object, now)
        }
    }

    /// A look came to nothing yet.
    pub fn waits(
        cause: &Cause,
        object: &str,
        reason: String,
        (accepted, now): (Option<Timestamp>, Timestamp),
    ) -> DeliveryEffect {
        DeliveryEffect {
            effect: Effect::Waits,
            reason: Some(reason),
            elapsed_ms: accepted.and_then(|accepted| elapsed(accepted, now)),
            ..DeliveryEffect::without_effect(cause, object, now)
        }
    }

    pub fn ignored(cause: &Cause, reason: String, now: Timestamp) -> DeliveryEffect {
        DeliveryEffect {
            effect: Effect::Ignored,
            reason: Some(reason),
            elapsed_ms: Some(0),
            ..DeliveryEffect::without_effect(cause, "", now)
        }
    }

    fn without_effect(cause: &Cause, object: &str, now: Timestamp) -> DeliveryEffect {
        DeliveryEffect {
            at: now,
            event: cause.event.clone(),
            request_id: cause.request_id.clone(),
            object: object.to_owned(),
            effect: Effect::Unchanged,
            written: 0,
            deleted: 0,
            entities: Vec::new(),
            more: 0,
            reason: None,
            elapsed_ms: None,
        }
    }
}

/// `None`: a clock was set back meanwhile.
fn elapsed(accepted: Timestamp, now: Timestamp) -> Option<u64> {
    u64::try_from(now.duration_since(accepted).as_millis()).ok()
}

/// Where they are told, whether or not anybody listens.
#[derive(Clone, Debug)]
pub struct Deliveries(broadcast::Sender<DeliveryEffect>);

impl Default for Deliveries {
    fn default() -> Deliveries {
        Deliveries(broadcast::Sender::new(MOST_KEPT))
    }
}

impl Deliveries {
    pub fn tell(&self, effect: DeliveryEffect) {
        // Nobody has to listen.
        self.0.send(effect).ok();
    }

    /// What is told from now on.
    pub fn listen(&self) -> broadcast::Receiver<DeliveryEffect> {
        self.0.subscribe()
    }
}

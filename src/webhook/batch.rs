//! The other end of the queue: a batch of messages, worked off object by object.
//!
//! Owns what is merged and what becomes of each message. One engine call takes all looks of a batch; one object that
//! fails or hangs, and one message that is none, cost their neighbours nothing. What only a later edition reads is left to
//! its workers, and, where there are none any more, to a run.

use std::time::Duration;

use jiff::Timestamp;

use super::verdict::{Failed, Verdict, verdict};
use crate::app::App;
use crate::condition::Condition;
use crate::deadline::{Deadline, later};
use crate::failure::{Class, Failure};
use crate::live::{self, LookOutcome, Wanted};
use crate::look::Look;
use crate::metrics::Figure;
use crate::queue::{MAX_RECEIVES, Message, PutOff, Queue, Undecodable, again};
use crate::store::documents::Again;
use crate::store::run::{RunRequest, run_request};
use crate::store::{Found, Revision, Store};
use crate::telemetry::chain;

/// Kept of the time for what follows the looks: storing what failed, and putting messages off.
const CONCLUDING: Duration = Duration::from_secs(5);

/// Between two receives of a message that a later edition wrote: its workers are about to take over, or had to give way.
const EDITION_WAIT: Duration = Duration::from_secs(60);

/// An event that fails and has waited for longer is late.
const LATE: Duration = Duration::from_secs(3600);

/// Until a look that could not even be stored is taken again.
const STORE_WAIT: Duration = Duration::from_secs(60);

/// A message as it was received.
#[derive(Clone, Debug, Default)]
pub struct Received {
    pub id: String,
    pub body: String,
    /// Times it was received, this one included.
    pub receives: u32,
    /// By which its return can be put off; empty where it cannot.
    pub receipt: String,
}

/// Takes the looks that `messages` ask for, each object once.
///
/// Returns the ids of those to be delivered again; the queue has been told when. All others are done, or stored to be
/// looked at again: nothing is acknowledged before.
pub async fn work_off(app: &App, messages: &[Received], deadline: &Deadline) -> Vec<String> {
    let store = app.store.within(deadline);
    let Decoded {
        readable,
        later,
        mut back,
    } = decode(messages);
    back.extend(leave_to_others(&store, later, app.clock.now()).await);
    let mut objects = objects(&readable);
    load_stored(&store, &mut objects).await;
    let wanted: Vec<Wanted> = objects.iter().map(|object| object.wanted.clone()).collect();
    let outcomes = match wanted.is_empty() {
        true => Vec::new(),
        false => Box::pin(live::take(app, &wanted, &deadline.earlier_by(CONCLUDING))).await,
    };
    back.extend(conclude(&store, &objects, &outcomes, app.clock.now()).await);
    if let Some(queue) = &app.queue {
        put_off(queue, &back, deadline).await;
    }
    note(app, &readable, &objects, &outcomes, &back).await;
    tell(app, &objects, &outcomes, back.len());
    back.into_iter()
        .map(|(message, _)| message.id.clone())
        .collect()
}

/// A message that comes back, and after how long.
type Back<'a> = (&'a Received, Duration);

/// What is to be looked at once, and all messages that ask for it.
struct Object<'a> {
    wanted: Wanted,
    messages: Vec<&'a (&'a Received, Message)>,
    /// What is stored of it, where a message says that something is.
    stored: Option<Found<Again>>,
}

/// Messages by what can be done with them.
#[derive(Default)]
struct Decoded<'a> {
    readable: Vec<(&'a Received, Message)>,
    /// A later edition wrote them.
    later: Vec<&'a Received>,
    /// They are none.
    back: Vec<Back<'a>>,
}

fn decode(messages: &[Received]) -> Decoded<'_> {
    let mut decoded = Decoded::default();
    for received in messages {
        match Message::decode(&received.body) {
            Ok(message) => decoded.readable.push((received, message)),
            Err(Undecodable::Later(_)) => decoded.later.push(received),
            Err(Undecodable::Malformed(error)) => {
                tracing::error!(
                    message_id = received.id,
                    error = chain(&error),
                    "message cannot be decoded: it will lie with the dead letters"
                );
                // Not ours to drop: where dead letters lie, somebody can look at it.
                decoded.back.push((received, Duration::ZERO));
            }
        }
    }
    decoded
}

/// Messages of a later edition come back for its workers. Where these have given way to us, nobody reads them any more:
/// before they would lie with the dead letters a run is asked for, which looks at everything, and they are done.
async fn leave_to_others<'a>(
    store: &Store,
    later: Vec<&'a Received>,
    now: Timestamp,
) -> Vec<Back<'a>> {
    let is_last = |received: &&Received| MAX_RECEIVES <= received.receives.saturating_add(1);
    let (last, mut back): (Vec<&Received>, Vec<&Received>) = later.into_iter().partition(is_last);
    if !last.is_empty() {
        let request = RunRequest {
            reason: "messages of a later edition could not be read".to_owned(),
            at: now,
            failure: None,
        };
        match store
            .save(&run_request(), &request, Revision::ANYTHING)
            .await
        {
            Ok(_) => tracing::warn!(
                messages = last.len(),
                "messages of a later edition are left to a resync"
            ),
            Err(error) => {
                tracing::error!(error = chain(&error), "resync not asked for");
                back.extend(last);
            }
        }
    }
    let backs = back.into_iter().map(|received| (received, EDITION_WAIT));
    backs.collect()
}

/// In the order in which they first occur.
fn objects<'a>(readable: &'a [(&'a Received, Message)]) -> Vec<Object<'a>> {
    let mut objects: Vec<Object<'a>> = Vec::new();
    for pair in readable {
        let (_, message) = pair;
        let name = message.look.object();
        match objects
            .iter_mut()
            .find(|object| object.wanted.look.object() == name)
        {
            Some(object) => {
                object.wanted.look.merge(message.look.clone());
                object.wanted.not_older_than(message.not_older_than);
                object.wanted.causes.extend(message.cause());
                object.wanted.accepted_at = earlier(object.wanted.accepted_at, message.accepted_at);
                object.messages.push(pair);
            }
            None => objects.push(Object {
                wanted: Wanted {
                    look: message.look.clone(),
                    not_older_than: message.not_older_than,
                    causes: message.cause().into_iter().collect(),
                    accepted_at: message.accepted_at,
                },
                messages: vec![pair],
                stored: None,
            }),
        }
    }
    objects
}

fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    [one, other].into_iter().flatten().min()
}

/// Of objects that have been stored to be looked at again: what is stored by now is looked at along with the message.
async fn load_stored(store: &Store, objects: &mut [Object<'_>]) {
    let mut asked: Vec<&mut Object<'_>> = objects
        .iter_mut()
        .filter(|object| object.is_again())
        .collect();
    if asked.is_empty() {
        return;
    }
    let looks: Vec<Look> = asked
        .iter()
        .map(|object| object.wanted.look.clone())
        .collect();
    let found = match again::stored(store, &looks).await {
        Ok(found) => found,
        // Then nothing is removed, and the looks are taken once more.
        Err(error) => {
            tracing::warn!(error = chain(&error), "stored looks not read");
            return;
        }
    };
    for (object, found) in asked.iter_mut().zip(found) {
        if let Some(again) = &found.value {
            object.wanted.look.merge(again.look.clone());
            object.wanted.not_older_than(again.not_older_than);
            object.stored = Some(found);
        }
    }
}

/// Returns the messages that come back.
async fn conclude<'a>(
    store: &Store,
    objects: &[Object<'a>],
    outcomes: &[LookOutcome],
    now: Timestamp,
) -> Vec<Back<'a>> {
    let mut back = Vec::new();
    for (object, outcome) in objects.iter().zip(outcomes) {
        let wait = match outcome {
            Ok(()) => {
                object.forget(store).await;
                None
            }
            Err(failure) => object.fail(store, failure, now).await,
        };
        if let Some(wait) = wait {
            let messages = object.messages.iter().map(|(received, _)| *received);
            back.extend(messages.map(|received| (received, wait)));
        }
    }
    back
}

impl Object<'_> {
    fn is_again(&self) -> bool {
        self.messages.iter().any(|(_, message)| message.again)
    }

    fn is_late(&self, now: Timestamp) -> bool {
        let accepted = self.messages.iter();
        let accepted = accepted
            .filter_map(|(_, message)| message.accepted_at)
            .min();
        accepted.is_some_and(|accepted| later(accepted, LATE) <= now)
    }

    async fn forget(&self, store: &Store) {
        let Some(stored) = &self.stored else {
            return;
        };
        if let Err(error) = again::forget(store, &self.wanted.look, stored).await {
            tracing::warn!(error = chain(&error), "a look that is done stays stored");
        }
    }

    /// How long its messages stay away; `None` if they are done.
    async fn fail(&self, store: &Store, failure: &Failure, now: Timestamp) -> Option<Duration> {
        let messages = || self.messages.iter();
        let failed = Failed {
            look: &self.wanted.look,
            not_older_than: self.wanted.not_older_than,
            failure,
            cause: messages().find_map(|(_, message)| message.cause()),
            since: messages()
                .filter_map(|(_, message)| message.accepted_at)
                .min(),
            tries: messages().map(|(_, message)| message.tries).max()?,
            was_due: self.is_again(),
        };
        failed.log();
        let receives = messages().map(|(received, _)| received.receives).max()?;
        match verdict(failure.class(), failure.wait(), receives, self.is_again()) {
            Verdict::Done => {
                self.forget(store).await;
                None
            }
            Verdict::PutOff(wait) | Verdict::Failed(wait) => Some(wait),
            Verdict::Again(pace) => match failed.remember(store, pace, now).await {
                Ok(()) => None,
                Err(error) => {
                    tracing::error!(error = chain(&error), "look not stored, message put off");
                    Some(STORE_WAIT.max(failure.wait().unwrap_or_default()))
                }
            },
        }
    }
}

/// Notes what somebody has to know of later: that events come, that some are late, that some are given up.
async fn note(
    app: &App,
    readable: &[(&Received, Message)],
    objects: &[Object<'_>],
    outcomes: &[LookOutcome],
    back: &[Back<'_>],
) {
    let events = readable
        .iter()
        .filter(|(_, message)| !message.event_key.is_empty());
    if let Some(last) = events.filter_map(|(_, message)| message.accepted_at).max() {
        app.note_event(last).await;
    }
    let is_out = |received: &Received| MAX_RECEIVES <= received.receives;
    let gives_up = |received: &Received| {
        let mut back = back.iter();
        is_out(received) && back.any(|(message, _)| message.id == received.id)
    };
    for (object, outcome) in objects.iter().zip(outcomes) {
        let Err(failure) = outcome else { continue };
        let mut messages = object.messages.iter().map(|(received, _)| *received);
        let cause = || format!("{}: {}", object.wanted.look.object(), chain(&**failure));
        if messages.any(gives_up) {
            app.note(Condition::DeadLetters, &cause()).await;
        } else if object.is_late(app.clock.now()) {
            app.note(Condition::EventsLate, &cause()).await;
        }
    }
    let is_readable = |id: &str| readable.iter().any(|(received, _)| received.id == id);
    let mut given_up = back.iter().filter(|(received, _)| is_out(received));
    if let Some((received, _)) = given_up.find(|(received, _)| !is_readable(&received.id)) {
        let cause = format!("the message {} cannot be decoded", received.id);
        app.note(Condition::DeadLetters, &cause).await;
    }
}

async fn put_off(queue: &Queue, back: &[Back<'_>], deadline: &Deadline) {
    let postponed: Vec<PutOff> = back
        .iter()
        .filter(|(received, _)| !received.receipt.is_empty())
        .map(|(received, wait)| PutOff {
            receipt: received.receipt.clone(),
            wait: *wait,
        })
        .collect();
    if postponed.is_empty() {
        return;
    }
    if let Err(error) = queue.postpone(&postponed, deadline).await {
        // They come back all the same, when the queue's own visibility timeout has passed.
        tracing::warn!(error = chain(&error), "messages not put off");
    }
}

fn tell(app: &App, objects: &[Object<'_>], outcomes: &[LookOutcome], back: usize) {
    let now = app.clock.now();
    for (object, outcome) in objects.iter().zip(outcomes) {
        if let Err(failure) = outcome {
            object.wanted.tell_wait(app, failure);
        }
    }
    let done = objects.iter().zip(outcomes);
    let done = done.filter(|(_, outcome)| outcome.is_ok());
    let accepted = done.flat_map(|(object, _)| &object.messages);
    let accepted = accepted.filter_map(|(_, message)| message.accepted_at);
    let lag = |accepted: Timestamp| now.duration_since(accepted).as_secs_f64();
    let is_part =
        |outcome: &&LookOutcome| matches!(outcome, Err(failure) if failure.class() == Class::Part);
    let events = objects.iter().map(|object| object.messages.len()).sum();
    let figures = vec![
        Figure::count("Events", events),
        Figure::seconds("LagSeconds", accepted.map(lag).collect()),
        Figure::count("PostponedEvents", back),
        Figure::count("UnreadableObjects", outcomes.iter().filter(is_part).count()),
    ];
    app.metrics.put(now, figures);
}

#[cfg(test)]
mod tests;

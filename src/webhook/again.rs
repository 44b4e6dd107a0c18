//! Stored looks whose time has come: sent into the queue, or taken at once where there is none.
//!
//! Owns how many at a time. A look stays stored until it has succeeded, so that neither a lost message nor a death costs
//! it.

use std::time::Duration;

use super::verdict::{Failed, Remembered};
use crate::app::App;
use crate::deadline::{Deadline, later};
use crate::live::{self, Wanted};
use crate::queue::{Message, Queue, QueueError, again};
use crate::store::documents::{self, Again};
use crate::store::{Found, Store, StoreError};
use crate::telemetry::chain;

/// Looks that one tick brings back: with a tick a minute, more than a token's allowance of an hour bears.
const MOST_AT_ONCE: usize = 50;

/// Looks taken together where there is no queue.
const TOGETHER: usize = 10;

/// No looks are begun without a queue when less than this is left.
const LEAST_TIME: Duration = Duration::from_secs(20);

/// How long a look that was sent has to succeed, before it is sent once more.
const SENT_FOR: Duration = Duration::from_secs(3600);

/// What became of the looks that were due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// Into the queue.
    pub sent: usize,
    pub succeeded: usize,
    /// They are due later.
    pub failed: usize,
}

/// Rounds in which looks that bring up other looks are followed at once.
const MOST_ROUNDS: usize = 20;

/// Brings back what is due, and, where there is no queue, what the looks bring up themselves. Its failure costs nothing
/// else: what is stored stays stored.
pub async fn settle(app: &App, deadline: &Deadline) {
    for _ in 0..MOST_ROUNDS {
        match due(app, deadline).await {
            Ok(Due { succeeded: 0, .. }) => return,
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(error = chain(&error), "stored looks not taken again");
                return;
            }
        }
    }
}

/// Brings back what is due, the longest due first. What it does not come to, the next call does.
pub async fn due(app: &App, deadline: &Deadline) -> Result<Due, QueueError> {
    let store = app.store.within(deadline);
    let due = again::due(&store, app.clock.now(), MOST_AT_ONCE).await?;
    match &app.queue {
        Some(queue) => send(&store, queue, due, deadline).await,
        None => Ok(take(app, &due, deadline).await?),
    }
}

async fn send(
    store: &Store,
    queue: &Queue,
    due: Vec<(Again, Found<Again>)>,
    deadline: &Deadline,
) -> Result<Due, QueueError> {
    let now = deadline.now();
    let (mut outgoing, mut sent) = (Vec::new(), Vec::new());
    for (stored, found) in due {
        let put_off = Again {
            due: later(now, SENT_FOR),
            ..stored.clone()
        };
        let key = documents::again(&stored.look);
        match store.save(&key, &put_off, found.revision).await {
            Ok(revision) => sent.push((key, stored.clone(), revision)),
            // Somebody else is at it.
            Err(StoreError::Conflict { .. }) => continue,
            Err(error) => return Err(error.into()),
        }
        let message = Message {
            not_older_than: stored.not_older_than,
            tries: stored.tries,
            accepted_at: Some(stored.since),
            again: true,
            ..Message::of_look(stored.look, now).because(stored.cause.as_ref())
        };
        // Tells this sending from the one before, and from a repetition of itself.
        outgoing.push(message.outgoing(&format!("again {}", stored.due))?);
    }
    if let Err(error) = queue.send_all(&outgoing, deadline).await {
        for (key, stored, revision) in sent {
            // Where this fails, too, it is due when it would be sent once more.
            store.save(&key, &stored, revision).await.ok();
        }
        return Err(error);
    }
    Ok(Due {
        sent: outgoing.len(),
        ..Due::default()
    })
}

async fn take(
    app: &App,
    due: &[(Again, Found<Again>)],
    deadline: &Deadline,
) -> Result<Due, StoreError> {
    let store = app.store.within(deadline);
    let mut counts = Due::default();
    for together in due.chunks(TOGETHER) {
        if !deadline.has(LEAST_TIME) {
            break;
        }
        let wanted: Vec<Wanted> = together
            .iter()
            .map(|(stored, _)| Wanted {
                look: stored.look.clone(),
                not_older_than: stored.not_older_than,
                causes: stored.cause.iter().cloned().collect(),
                accepted_at: Some(stored.since),
            })
            .collect();
        let taking = deadline.earlier_by(LEAST_TIME / 2);
        let outcomes = live::take(app, &wanted, &taking).await;
        for (((stored, found), wanted), outcome) in together.iter().zip(&wanted).zip(outcomes) {
            let is_done = match &outcome {
                Ok(()) => true,
                Err(failure) => {
                    let failed = Failed {
                        look: &stored.look,
                        not_older_than: stored.not_older_than,
                        failure,
                        cause: stored.cause.clone(),
                        since: Some(stored.since),
                        tries: stored.tries,
                        was_due: true,
                    };
                    failed.log();
                    wanted.tell_wait(app, failure);
                    let kept = failed.remember_if_it_helps(&store, app.clock.now());
                    kept.await? == Remembered::NotNeeded
                }
            };
            if is_done {
                again::forget(&store, &stored.look, found).await?;
                counts.succeeded += 1;
            } else {
                counts.failed += 1;
            }
        }
    }
    if counts != Due::default() {
        tracing::info!(
            succeeded = counts.succeeded,
            failed = counts.failed,
            "stored looks taken again"
        );
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::deadline::Clock;
    use crate::failure::Failure;
    use crate::identity::RepositoryId;
    use crate::look::Look;
    use crate::queue::Local;
    use crate::queue::again::Pace;

    async fn failed(store: &Store, now: Timestamp) {
        let look = Look::PullRequest {
            repository: RepositoryId::new("{1}"),
            id: 7,
            closed: false,
        };
        let failed = Failed {
            look: &look,
            not_older_than: None,
            failure: &Failure::Bitbucket(crate::bitbucket::Error::OutOfTime),
            cause: None,
            since: Some(now),
            tries: 0,
            was_due: false,
        };
        failed.remember(store, Pace::Often, now).await.unwrap();
    }

    async fn sent(store: &Store, queue: &Queue, clock: &Clock) -> Result<Due, QueueError> {
        let due = again::due(store, clock.now(), MOST_AT_ONCE).await?;
        let deadline = Deadline::after(clock, Duration::from_secs(60));
        send(store, queue, due, &deadline).await
    }

    #[tokio::test]
    async fn what_is_due_is_sent_once_and_stays_stored() {
        let clock = Clock::simulated(Timestamp::UNIX_EPOCH);
        let store = Store::memory();
        let local = Local::open(Store::memory(), clock.clone()).await.unwrap();
        let queue = Queue::Local(local);
        failed(&store, clock.now()).await;
        assert_eq!(sent(&store, &queue, &clock).await.unwrap().sent, 0);
        clock.advance(Duration::from_secs(300));
        for expected in [1, 0] {
            let due = sent(&store, &queue, &clock).await.unwrap();
            assert_eq!(due.sent, expected);
        }
        let Queue::Local(local) = &queue else {
            panic!("another queue");
        };
        let taken = local.receive().await.unwrap();
        let [taken] = taken.as_slice() else {
            panic!("{taken:?}");
        };
        let message = Message::decode(&taken.body).unwrap();
        assert!(message.again);
        assert_eq!(message.tries, 1);
        assert_eq!(message.accepted_at, Some(Timestamp::UNIX_EPOCH));
        clock.advance(SENT_FOR);
        let lost = sent(&store, &queue, &clock).await.unwrap();
        assert_eq!(lost.sent, 1, "the message got lost");
    }

    #[tokio::test]
    async fn what_could_not_be_sent_is_still_due() {
        let clock = Clock::simulated(Timestamp::UNIX_EPOCH);
        let store = Store::memory();
        failed(&store, clock.now()).await;
        clock.advance(Duration::from_secs(300));
        let nowhere = aws_sdk_sqs::Config::builder()
            .behavior_version(aws_sdk_sqs::config::BehaviorVersion::latest())
            .build();
        let client = aws_sdk_sqs::Client::from_conf(nowhere);
        let queue = Queue::sqs(client, "https://queue.example".to_owned());
        assert!(sent(&store, &queue, &clock).await.is_err());
        let due = again::due(&store, clock.now(), MOST_AT_ONCE).await.unwrap();
        assert_eq!(due.len(), 1);
    }
}

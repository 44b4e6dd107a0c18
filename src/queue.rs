//! The queue between a webhook's answer and its effect: Amazon SQS (FIFO), or one inside the process.
//!
//! Knows lines (message groups), not what messages say. Within a line order is kept: while one message is being
//! worked on or waits for another try, no later one is handed out.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::DisplayErrorContext;
use aws_sdk_sqs::types::ChangeMessageVisibilityBatchRequestEntry;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::deadline::{Clock, Deadline, later};
use crate::state::{Document, Expected, StateError, Store};

/// Receives after which a message lies in the dead-letter queue; `template.yaml` says the same to SQS.
pub const MAX_RECEIVES: u32 = 10;

/// SQS: a message is invisible for at most twelve hours from its receipt.
const LONGEST_WAIT: Duration = Duration::from_secs(11 * 3600);

/// SQS and Lambda hand out at most this many messages of a FIFO queue at once.
const MAX_BATCH: usize = 10;

/// How long a message that somebody is working on is left to them, in the queue inside the process.
const WORKING_TIME: Duration = Duration::from_secs(900);

pub enum Queue {
    Sqs(Sqs),
    Local(Local),
}

/// A message to be sent.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Its line: SQS's message group. Up to 128 ASCII characters without spaces.
    pub line: &'a str,
    /// The same id within five minutes is the same message. Shaped as a line.
    pub id: &'a str,
    pub body: &'a str,
}

/// When a message that was received is to come back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Postponed {
    /// Names the receipt, not the message.
    pub receipt: String,
    pub wait: Duration,
}

#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    #[error("cannot reach the queue: {0}")]
    Unavailable(String),
    #[error(transparent)]
    State(#[from] StateError),
}

/// A queue in SQS. Receiving and deleting is Lambda's.
pub struct Sqs {
    client: Client,
    url: String,
}

impl Queue {
    pub fn sqs(client: Client, url: String) -> Queue {
        Queue::Sqs(Sqs { client, url })
    }

    /// Returns after the message is stored.
    pub async fn send(&self, message: Message<'_>, deadline: &Deadline) -> Result<(), QueueError> {
        match self {
            Queue::Local(local) => local.send(message, deadline.now()).await,
            Queue::Sqs(sqs) => {
                let request = sqs
                    .client
                    .send_message()
                    .queue_url(&sqs.url)
                    .message_group_id(message.line)
                    .message_deduplication_id(message.id)
                    .message_body(message.body)
                    .send();
                within(deadline, request).await.map(|_| ())
            }
        }
    }

    /// Makes messages come back when their time has come.
    pub async fn postpone(
        &self,
        postponed: &[Postponed],
        deadline: &Deadline,
    ) -> Result<(), QueueError> {
        match self {
            Queue::Local(local) => local.postpone(postponed, deadline.now()).await,
            Queue::Sqs(sqs) => {
                for postponed in postponed.chunks(MAX_BATCH) {
                    sqs.postpone(postponed, deadline).await?;
                }
                Ok(())
            }
        }
    }
}

impl Sqs {
    async fn postpone(
        &self,
        postponed: &[Postponed],
        deadline: &Deadline,
    ) -> Result<(), QueueError> {
        let mut request = self
            .client
            .change_message_visibility_batch()
            .queue_url(&self.url);
        for (index, Postponed { receipt, wait }) in postponed.iter().enumerate() {
            let seconds = wait.min(&LONGEST_WAIT).as_secs();
            let entry = ChangeMessageVisibilityBatchRequestEntry::builder()
                .id(index.to_string())
                .receipt_handle(receipt)
                .visibility_timeout(i32::try_from(seconds).unwrap_or(i32::MAX))
                .build()
                .map_err(|error| QueueError::Unavailable(error.to_string()))?;
            request = request.entries(entry);
        }
        let answer = within(deadline, request.send()).await?;
        match answer.failed().first() {
            None => Ok(()),
            Some(failed) => Err(QueueError::Unavailable(format!(
                "{} of {} messages not postponed: {}: {}",
                answer.failed().len(),
                postponed.len(),
                failed.code(),
                failed.message().unwrap_or_default()
            ))),
        }
    }
}

async fn within<T, E: std::error::Error>(
    deadline: &Deadline,
    request: impl Future<Output = Result<T, E>>,
) -> Result<T, QueueError> {
    let unavailable = |reason: String| QueueError::Unavailable(reason);
    tokio::time::timeout(deadline.remaining(), request)
        .await
        .map_err(|_| unavailable("no answer before the deadline".to_owned()))?
        .map_err(|error| unavailable(DisplayErrorContext(error).to_string()))
}

/// A queue inside the process; its messages are as durable as the store they lie in.
pub struct Local {
    store: Store,
    clock: Clock,
    messages: Mutex<Messages>,
}

#[derive(Default)]
struct Messages {
    /// In the order of their arrival.
    waiting: BTreeMap<u64, Stored>,
    dead: BTreeMap<u64, Stored>,
    next: u64,
    /// Ids of late, which make a repetition known.
    ids: Vec<(String, Timestamp)>,
}

/// A message of the queue inside the process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stored {
    pub line: String,
    pub id: String,
    pub body: String,
    pub receives: u32,
    /// Nobody gets it before.
    visible_at: Timestamp,
}

const QUEUE: &str = "queue";
const DEAD: &str = "dead-letters";
const SAME_ID: Duration = Duration::from_secs(300);

impl Local {
    /// Takes up what `store` still holds.
    pub async fn open(store: Store, clock: Clock) -> Result<Local, StateError> {
        let mut messages = Messages::default();
        for (folder, into) in [(QUEUE, &mut messages.waiting), (DEAD, &mut messages.dead)] {
            store
                .list(folder, |name, found: Document<Stored>| {
                    if let Ok(number) = name.parse() {
                        let value = Stored {
                            visible_at: Timestamp::UNIX_EPOCH,
                            ..found.value
                        };
                        into.insert(number, value);
                    }
                    std::ops::ControlFlow::Continue(())
                })
                .await?;
        }
        let last = messages.waiting.keys().chain(messages.dead.keys()).max();
        messages.next = last.map_or(0, |last| last + 1);
        Ok(Local {
            store,
            clock,
            messages: Mutex::new(messages),
        })
    }

    async fn send(&self, message: Message<'_>, now: Timestamp) -> Result<(), QueueError> {
        let (number, stored) = {
            let mut messages = self.messages();
            messages.ids.retain(|(_, at)| now < later(*at, SAME_ID));
            if messages.ids.iter().any(|(id, _)| id == message.id) {
                return Ok(());
            }
            messages.next += 1;
            let stored = Stored {
                line: message.line.to_owned(),
                id: message.id.to_owned(),
                body: message.body.to_owned(),
                receives: 0,
                visible_at: now,
            };
            (messages.next, stored)
        };
        self.store
            .save(&format!("{QUEUE}/{number}"), &stored, Expected::Anything)
            .await?;
        let mut messages = self.messages();
        messages.ids.push((stored.id.clone(), now));
        messages.waiting.insert(number, stored);
        Ok(())
    }

    /// Up to ten messages whose turn it is, in their order, with their receipts. Those that nobody could deal with are
    /// put with the dead letters.
    pub async fn receive(&self) -> Result<Vec<(String, Stored)>, QueueError> {
        let now = self.clock.now();
        let (received, dead) = self.messages().receive(now);
        for (number, message) in dead {
            self.store
                .save(&format!("{DEAD}/{number}"), &message, Expected::Anything)
                .await?;
            self.store.remove(&format!("{QUEUE}/{number}")).await?;
            tracing::error!(
                id = message.id,
                "message given up: it lies with the dead letters"
            );
        }
        Ok(received)
    }

    /// Messages that are done.
    pub async fn complete(&self, receipts: &[String]) -> Result<(), QueueError> {
        for receipt in receipts {
            self.store.remove(&format!("{QUEUE}/{receipt}")).await?;
            let number = receipt.parse().unwrap_or(u64::MAX);
            self.messages().waiting.remove(&number);
        }
        Ok(())
    }

    async fn postpone(&self, postponed: &[Postponed], now: Timestamp) -> Result<(), QueueError> {
        let mut messages = self.messages();
        for Postponed { receipt, wait } in postponed {
            let number = receipt.parse().unwrap_or(u64::MAX);
            if let Some(message) = messages.waiting.get_mut(&number) {
                message.visible_at = later(now, *wait);
            }
        }
        Ok(())
    }

    /// When the next message may be received; `None` while there is none.
    pub fn next_at(&self) -> Option<Timestamp> {
        let messages = self.messages();
        messages
            .waiting
            .values()
            .map(|message| message.visible_at)
            .min()
    }

    pub fn dead_letters(&self) -> usize {
        self.messages().dead.len()
    }

    fn messages(&self) -> MutexGuard<'_, Messages> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Messages {
    #[expect(clippy::type_complexity, reason = "two lists of the same kind")]
    fn receive(&mut self, now: Timestamp) -> (Vec<(String, Stored)>, Vec<(u64, Stored)>) {
        let given_up =
            |message: &Stored| MAX_RECEIVES <= message.receives && message.visible_at <= now;
        let dead: Vec<(u64, Stored)> = self
            .waiting
            .iter()
            .filter(|(_, message)| given_up(message))
            .map(|(number, message)| (*number, message.clone()))
            .collect();
        for (number, message) in &dead {
            self.waiting.remove(number);
            self.dead.insert(*number, message.clone());
        }
        let mut held = HashSet::new();
        let mut received = Vec::new();
        for (number, message) in &mut self.waiting {
            let its_turn = message.visible_at <= now && !held.contains(&message.line);
            if !its_turn || MAX_BATCH <= received.len() {
                held.insert(message.line.clone());
                continue;
            }
            message.receives += 1;
            message.visible_at = later(now, WORKING_TIME);
            received.push((number.to_string(), message.clone()));
        }
        (received, dead)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn queue() -> (Local, Clock) {
        let clock = Clock::simulated(Timestamp::UNIX_EPOCH);
        let local = Local::open(Store::memory(), clock.clone()).await.unwrap();
        (local, clock)
    }

    async fn send(local: &Local, line: &str, id: &str) {
        let message = Message { line, id, body: id };
        local.send(message, local.clock.now()).await.unwrap();
    }

    async fn received(local: &Local) -> Vec<String> {
        let received = local.receive().await.unwrap();
        received
            .into_iter()
            .map(|(_, message)| message.id)
            .collect()
    }

    #[tokio::test]
    async fn lines_keep_their_order_and_do_not_wait_for_each_other() {
        let (local, clock) = queue().await;
        for (line, id) in [("a", "a1"), ("b", "b1"), ("a", "a2")] {
            send(&local, line, id).await;
        }
        send(&local, "a", "a1").await;
        assert_eq!(received(&local).await, ["a1", "b1", "a2"]);
        send(&local, "a", "a3").await;
        assert!(received(&local).await.is_empty(), "a1 is being worked on");
        local
            .complete(&["2".to_owned(), "3".to_owned()])
            .await
            .unwrap();
        let wait = Duration::from_secs(60);
        let receipt = "1".to_owned();
        local
            .postpone(&[Postponed { receipt, wait }], clock.now())
            .await
            .unwrap();
        assert!(received(&local).await.is_empty(), "a3 does not overtake a1");
        clock.advance(wait);
        assert_eq!(received(&local).await, ["a1", "a3"]);
    }

    #[tokio::test]
    async fn what_nobody_can_deal_with_ends_with_the_dead_letters() {
        let (local, clock) = queue().await;
        send(&local, "a", "a1").await;
        for _ in 0..MAX_RECEIVES {
            assert_eq!(received(&local).await, ["a1"]);
            clock.advance(WORKING_TIME);
        }
        assert!(received(&local).await.is_empty());
        assert_eq!(local.dead_letters(), 1);
    }

    #[tokio::test]
    async fn a_restart_loses_nothing_that_was_stored() {
        let path = std::env::temp_dir().join(format!("ferry-queue-{}", uuid::Uuid::new_v4()));
        let clock = Clock::simulated(Timestamp::UNIX_EPOCH);
        let open = || Local::open(Store::directory(&path), clock.clone());
        let local = open().await.unwrap();
        send(&local, "a", "a1").await;
        assert_eq!(received(&local).await, ["a1"]);
        let local = open().await.unwrap();
        assert_eq!(received(&local).await, ["a1"]);
        std::fs::remove_dir_all(&path).unwrap();
    }
}

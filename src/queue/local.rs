//! A queue inside the process: its messages are as durable as the store that they lie in.
//!
//! Owns who has which message, as SQS does for a FIFO queue. Times are of this process: a restart makes every message
//! available at once.

use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;

use super::{MAX_BATCH, MAX_RECEIVES, Outgoing, PutOff, QueueDepth, QueueError};
use crate::deadline::{Clock, later};
use crate::locked::locked;
use crate::store::documents::{QueuedMessage, dead_letters, queued, queued_name};
use crate::store::{DocumentBatch, Store, StoreError};

/// How long a message is left to the worker that has it.
const WORKING_TIME: Duration = Duration::from_secs(900);

/// How long an id is remembered, as SQS does.
const SAME_ID: Duration = Duration::from_secs(300);

/// Clones share it.
#[derive(Clone)]
pub struct Local {
    store: Store,
    clock: Clock,
    messages: Arc<Mutex<Messages>>,
    /// Somebody may get something.
    news: Arc<Notify>,
}

/// A message that a worker has received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Names it to [`complete`](Local::complete) and to a [`PutOff`].
    pub receipt: String,
    pub body: String,
    /// Times it was received, this one included.
    pub receives: u32,
}

#[derive(Default)]
struct Messages {
    waiting: BTreeMap<u64, Waiting>,
    dead: usize,
    next: u64,
    /// Ids of late, which make a repetition known.
    ids: Vec<(String, Timestamp)>,
}

#[derive(Clone)]
struct Waiting {
    message: QueuedMessage,
    /// Nobody gets it before.
    visible_at: Timestamp,
    /// A worker has it until it becomes visible: others of its group wait.
    is_out: bool,
}

impl Local {
    /// Takes up what `store` still holds.
    pub async fn open(store: Store, clock: Clock) -> Result<Local, StoreError> {
        let now = clock.now();
        let mut messages = Messages::default();
        let mut take_up = |name: &str, message: Option<QueuedMessage>| {
            if let (Ok(number), Some(message)) = (name.parse(), message) {
                messages.next = messages.next.max(number);
                messages.ids.push((message.id.clone(), now));
                let waiting = Waiting {
                    message,
                    visible_at: now,
                    is_out: false,
                };
                messages.waiting.insert(number, waiting);
            }
        };
        store
            .list(&queued(), "", |name, found| {
                take_up(name, found.value);
                ControlFlow::Continue(())
            })
            .await?;
        let dead = store.names(&dead_letters(), "").await?;
        messages.dead = dead.len();
        let last = dead.last().and_then(|name| name.parse().ok());
        messages.next = messages.next.max(last.unwrap_or(0));
        Ok(Local {
            store,
            clock,
            messages: Arc::new(Mutex::new(messages)),
            news: Arc::default(),
        })
    }

    pub(super) async fn send(
        &self,
        messages: &[Outgoing],
        now: Timestamp,
    ) -> Result<(), QueueError> {
        let new = self.messages().number(messages, now);
        let documents = new
            .iter()
            .map(|(number, message)| (queued().key(queued_name(*number)), message.clone()))
            .collect();
        let stored = self.store.save_all(documents).await;
        let mut known = self.messages();
        if let Err(error) = stored {
            // Whoever sends them again must not be taken for a repetition.
            known
                .ids
                .retain(|(id, _)| !new.iter().any(|(_, message)| message.id == *id));
            return Err(error.into());
        }
        known
            .waiting
            .extend(new.into_iter().map(|(number, message)| {
                let waiting = Waiting {
                    message,
                    visible_at: now,
                    is_out: false,
                };
                (number, waiting)
            }));
        drop(known);
        self.news.notify_one();
        Ok(())
    }

    /// Up to ten messages of groups of which no other worker has any. Those that nobody could deal with are put with the
    /// dead letters.
    pub async fn receive(&self) -> Result<Vec<Taken>, QueueError> {
        let now = self.clock.now();
        let (received, dead) = self.messages().receive(now);
        let mut batch = DocumentBatch::new();
        for (number, message) in &received {
            // Before it is worked on: a message that kills the process is counted, too.
            batch.put(&queued().key(queued_name(*number)), message)?;
        }
        for (number, message) in &dead {
            batch.put(&dead_letters().key(queued_name(*number)), message)?;
            batch.remove(&queued().key(queued_name(*number)));
            tracing::error!(
                id = message.id,
                receives = message.receives,
                "message given up: it lies with the dead letters"
            );
        }
        if let Err(error) = self.store.write(batch).await {
            self.messages().put_back(received, dead, now);
            return Err(error.into());
        }
        if !received.is_empty() {
            // Another worker may find more.
            self.news.notify_one();
        }
        let taken = received.into_iter().map(|(number, message)| Taken {
            receipt: number.to_string(),
            body: message.body,
            receives: message.receives,
        });
        Ok(taken.collect())
    }

    /// Removes messages that are done.
    pub async fn complete(&self, receipts: &[String]) -> Result<(), QueueError> {
        let numbers: Vec<u64> = receipts.iter().filter_map(|it| it.parse().ok()).collect();
        let keys: Vec<_> = numbers
            .iter()
            .map(|number| queued().key(queued_name(*number)))
            .collect();
        self.store.remove_all(&keys).await?;
        let mut messages = self.messages();
        for number in numbers {
            messages.waiting.remove(&number);
        }
        let has_more = !messages.waiting.is_empty();
        drop(messages);
        if has_more {
            // Others of their groups have waited for them.
            self.news.notify_one();
        }
        Ok(())
    }

    pub(super) fn postpone(&self, postponed: &[PutOff], now: Timestamp) {
        let mut messages = self.messages();
        for PutOff { receipt, wait } in postponed {
            let number = receipt.parse().unwrap_or(u64::MAX);
            if let Some(waiting) = messages.waiting.get_mut(&number) {
                waiting.visible_at = later(now, *wait);
                waiting.is_out = false;
            }
        }
    }

    /// Returns when there may be something to receive: a message was sent, or one is done that others waited for. What was
    /// put off comes back without a word.
    pub async fn news(&self) {
        self.news.notified().await;
    }

    /// When the next message may be received; `None` while there is none.
    pub fn next_at(&self) -> Option<Timestamp> {
        let messages = self.messages();
        messages
            .waiting
            .values()
            .map(|waiting| waiting.visible_at)
            .min()
    }

    pub(super) fn depth(&self, now: Timestamp) -> QueueDepth {
        let messages = self.messages();
        let all = messages.waiting.len();
        let waiting = messages.waiting.values();
        let waiting = waiting.filter(|waiting| waiting.visible_at <= now && !waiting.is_out);
        let waiting = waiting.count();
        QueueDepth {
            waiting,
            out: all - waiting,
            dead_letters: messages.dead,
            is_shared: false,
        }
    }

    pub fn dead_letters(&self) -> usize {
        self.messages().dead
    }

    fn messages(&self) -> MutexGuard<'_, Messages> {
        locked(&self.messages)
    }
}

impl Messages {
    /// Those of `messages` that are no repetitions, each with its number.
    fn number(&mut self, messages: &[Outgoing], now: Timestamp) -> Vec<(u64, QueuedMessage)> {
        self.ids.retain(|(_, at)| now < later(*at, SAME_ID));
        let mut new = Vec::new();
        for Outgoing { group, id, body } in messages {
            if self.ids.iter().any(|(known, _)| known == id) {
                continue;
            }
            self.ids.push((id.clone(), now));
            self.next += 1;
            let message = QueuedMessage {
                group: group.clone(),
                id: id.clone(),
                body: body.clone(),
                receives: 0,
            };
            new.push((self.next, message));
        }
        new
    }

    /// Nobody got these after all.
    fn put_back(
        &mut self,
        received: Vec<(u64, QueuedMessage)>,
        dead: Vec<(u64, QueuedMessage)>,
        now: Timestamp,
    ) {
        self.dead -= dead.len();
        for (number, message) in received.into_iter().chain(dead) {
            let waiting = Waiting {
                message,
                visible_at: now,
                is_out: false,
            };
            self.waiting.insert(number, waiting);
        }
    }

    #[expect(clippy::type_complexity, reason = "two lists of the same kind")]
    fn receive(
        &mut self,
        now: Timestamp,
    ) -> (Vec<(u64, QueuedMessage)>, Vec<(u64, QueuedMessage)>) {
        let given_up = |waiting: &Waiting| {
            MAX_RECEIVES <= waiting.message.receives && waiting.visible_at <= now
        };
        let dead: Vec<(u64, QueuedMessage)> = self
            .waiting
            .iter()
            .filter(|(_, waiting)| given_up(waiting))
            .map(|(number, waiting)| (*number, waiting.message.clone()))
            .collect();
        self.dead += dead.len();
        for (number, _) in &dead {
            self.waiting.remove(number);
        }
        let held: HashSet<String> = self
            .waiting
            .values()
            .filter(|waiting| waiting.is_out && now < waiting.visible_at)
            .map(|waiting| waiting.message.group.clone())
            .collect();
        let its_turn =
            |waiting: &Waiting| waiting.visible_at <= now && !held.contains(&waiting.message.group);
        let received = self
            .waiting
            .iter_mut()
            .filter(|(_, waiting)| its_turn(waiting))
            .take(MAX_BATCH)
            .map(|(number, waiting)| {
                waiting.message.receives += 1;
                waiting.visible_at = later(now, WORKING_TIME);
                waiting.is_out = true;
                (*number, waiting.message.clone())
            });
        (received.collect(), dead)
    }
}

#[cfg(test)]
mod tests;

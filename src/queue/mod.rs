//! The queue between a webhook's answer and its effect: Amazon SQS (FIFO), or one inside the process.
//!
//! Owns what a message says, how it is sent, and what is kept of looks that came to nothing. Knows nothing of how a look
//! is taken. Messages about different objects are in no order; of one object's messages only one worker has some at a
//! time.

pub mod again;
mod local;
mod message;
mod sqs;

use std::time::Duration;

use serde::Serialize;

pub use local::{Local, Taken};
pub use message::{Message, Outgoing, Undecodable};
pub use sqs::Sqs;

use crate::deadline::Deadline;
use crate::look::{Cause, Look};
use crate::store::StoreError;

/// Receives after which a message lies in the dead-letter queue; `template.yaml` says the same to SQS.
pub const MAX_RECEIVES: u32 = 10;

/// Longest time that a message can be put off. SQS: twelve hours from its receipt.
pub const LONGEST_WAIT: Duration = Duration::from_secs(11 * 3600);

/// SQS sends, and SQS and Lambda hand out, at most this many messages at once.
const MAX_BATCH: usize = 10;

pub enum Queue {
    Sqs(Sqs),
    Local(Local),
}

/// When a message that was received is to come back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutOff {
    /// Names the receipt, not the message.
    pub receipt: String,
    pub wait: Duration,
}

/// How many messages there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct QueueDepth {
    /// A worker may have them now.
    pub waiting: usize,
    /// A worker has them, or they are put off.
    pub out: usize,
    /// Nobody could deal with them.
    pub dead_letters: usize,
    /// It lies outside of this process.
    pub is_shared: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    #[error("cannot reach the queue: {0}")]
    Unavailable(String),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("a message cannot be written")]
    Unwritable(#[from] serde_json::Error),
}

impl Queue {
    pub fn sqs(client: aws_sdk_sqs::Client, url: String) -> Queue {
        Queue::Sqs(Sqs::new(client, url))
    }

    /// Returns after the message is stored. Messages with the same `occasion` about the same object, sent within five
    /// minutes, are one.
    pub async fn send(
        &self,
        message: &Message,
        occasion: &str,
        deadline: &Deadline,
    ) -> Result<(), QueueError> {
        self.send_all(&[message.outgoing(occasion)?], deadline)
            .await
    }

    /// Returns after all are stored. After an error, any of them may be.
    pub async fn send_all(
        &self,
        messages: &[Outgoing],
        deadline: &Deadline,
    ) -> Result<(), QueueError> {
        match self {
            Queue::Local(local) => local.send(messages, deadline.now()).await,
            Queue::Sqs(sqs) => sqs.send(messages, deadline).await,
        }
    }

    /// Returns after a message for each look, owed to `cause`, is stored. `occasion` tells two wishes to look at the same object apart.
    pub async fn send_looks(
        &self,
        looks: Vec<Look>,
        (occasion, cause): (&str, Option<&Cause>),
        deadline: &Deadline,
    ) -> Result<(), QueueError> {
        let now = deadline.now();
        let messages: Vec<Outgoing> = looks
            .into_iter()
            .map(|look| {
                let message = Message::of_look(look, now).because(cause);
                message.outgoing(occasion)
            })
            .collect::<Result<_, _>>()?;
        self.send_all(&messages, deadline).await
    }

    /// As SQS counts, about so many.
    pub async fn depth(&self, deadline: &Deadline) -> Result<QueueDepth, QueueError> {
        match self {
            Queue::Local(local) => Ok(local.depth(deadline.now())),
            Queue::Sqs(sqs) => sqs.depth(deadline).await,
        }
    }

    /// Makes messages come back when their time has come.
    pub async fn postpone(
        &self,
        postponed: &[PutOff],
        deadline: &Deadline,
    ) -> Result<(), QueueError> {
        match self {
            Queue::Local(local) => {
                local.postpone(postponed, deadline.now());
                Ok(())
            }
            Queue::Sqs(sqs) => sqs.postpone(postponed, deadline).await,
        }
    }
}

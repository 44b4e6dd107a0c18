//! A queue in Amazon SQS (FIFO). Receiving and deleting is Lambda's.
//!
//! The only file that talks to SQS.

use std::collections::HashMap;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::ProvideErrorMetadata;
use aws_sdk_sqs::types::{
    BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry, QueueAttributeName,
    SendMessageBatchRequestEntry,
};

use super::{LONGEST_WAIT, MAX_BATCH, Outgoing, PutOff, QueueDepth, QueueError};
use crate::aws::explain;
use crate::deadline::Deadline;

/// Bytes of the bodies of one call. SQS takes 1 MiB, and took 256 KiB for long; a message has less than one KiB, as a
/// rule.
const MAX_CALL_BYTES: usize = 200 * 1024;

/// How often messages are sent that SQS did not take while it took their neighbours.
const ATTEMPTS: usize = 3;

pub struct Sqs {
    client: Client,
    url: String,
}

impl Sqs {
    pub(super) fn new(client: Client, url: String) -> Sqs {
        Sqs { client, url }
    }

    pub(super) async fn send(
        &self,
        messages: &[Outgoing],
        deadline: &Deadline,
    ) -> Result<(), QueueError> {
        let mut rest = messages;
        while !rest.is_empty() {
            let (call, after) = rest.split_at(of_one_call(rest));
            self.send_batch(call, deadline).await?;
            rest = after;
        }
        Ok(())
    }

    /// Sends up to ten messages; those that SQS does not take in passing are sent once more.
    async fn send_batch(
        &self,
        messages: &[Outgoing],
        deadline: &Deadline,
    ) -> Result<(), QueueError> {
        let mut open: Vec<(usize, &Outgoing)> = messages.iter().enumerate().collect();
        let mut attempt = 1;
        loop {
            let failed = self.try_to_send(&open, deadline).await?;
            let Some(first) = failed.first() else {
                return Ok(());
            };
            // A sender's fault: the same message would be refused again.
            let is_final = failed.iter().any(BatchResultErrorEntry::sender_fault);
            if is_final || ATTEMPTS <= attempt {
                return Err(refused("sent", &failed, messages.len(), first));
            }
            open.retain(|(at, _)| failed.iter().any(|entry| entry.id() == at.to_string()));
            attempt += 1;
        }
    }

    async fn try_to_send(
        &self,
        messages: &[(usize, &Outgoing)],
        deadline: &Deadline,
    ) -> Result<Vec<BatchResultErrorEntry>, QueueError> {
        let mut request = self.client.send_message_batch().queue_url(&self.url);
        for (at, Outgoing { group, id, body }) in messages {
            let entry = SendMessageBatchRequestEntry::builder()
                .id(at.to_string())
                .message_group_id(group)
                .message_deduplication_id(id)
                .message_body(body)
                .build()
                .map_err(|error| QueueError::Unavailable(error.to_string()))?;
            request = request.entries(entry);
        }
        let answer = within(deadline, request.send()).await?;
        Ok(answer.failed)
    }

    pub(super) async fn postpone(
        &self,
        postponed: &[PutOff],
        deadline: &Deadline,
    ) -> Result<(), QueueError> {
        for postponed in postponed.chunks(MAX_BATCH) {
            self.postpone_batch(postponed, deadline).await?;
        }
        Ok(())
    }

    async fn postpone_batch(
        &self,
        postponed: &[PutOff],
        deadline: &Deadline,
    ) -> Result<(), QueueError> {
        let mut request = self
            .client
            .change_message_visibility_batch()
            .queue_url(&self.url);
        for (index, PutOff { receipt, wait }) in postponed.iter().enumerate() {
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
            Some(first) => Err(refused("put off", answer.failed(), postponed.len(), first)),
        }
    }
}

impl Sqs {
    /// Of the queue, and of the one with its dead letters.
    pub(super) async fn depth(&self, deadline: &Deadline) -> Result<QueueDepth, QueueError> {
        use QueueAttributeName as Name;
        let counts = [
            Name::ApproximateNumberOfMessages,
            Name::ApproximateNumberOfMessagesNotVisible,
            Name::ApproximateNumberOfMessagesDelayed,
            Name::RedrivePolicy,
        ];
        let found = self.attributes(&self.url, &counts, deadline).await?;
        let out = count(&found, &Name::ApproximateNumberOfMessagesNotVisible)
            + count(&found, &Name::ApproximateNumberOfMessagesDelayed);
        let dead = found
            .get(&Name::RedrivePolicy)
            .and_then(|policy| dead_letters_of(policy));
        let dead_letters = match dead {
            None => 0,
            Some((owner, name)) => {
                let url = self.client.get_queue_url().queue_name(name);
                let url = url.queue_owner_aws_account_id(owner).send();
                let url = within(deadline, url).await?.queue_url.unwrap_or_default();
                let found = self.attributes(&url, &counts, deadline).await?;
                count(&found, &Name::ApproximateNumberOfMessages)
            }
        };
        Ok(QueueDepth {
            waiting: count(&found, &Name::ApproximateNumberOfMessages),
            out,
            dead_letters,
            is_shared: true,
        })
    }

    async fn attributes(
        &self,
        url: &str,
        names: &[QueueAttributeName],
        deadline: &Deadline,
    ) -> Result<HashMap<QueueAttributeName, String>, QueueError> {
        let request = self.client.get_queue_attributes().queue_url(url);
        let request = request.set_attribute_names(Some(names.to_vec())).send();
        let answer = within(deadline, request).await?;
        Ok(answer.attributes.unwrap_or_default())
    }
}

fn count(found: &HashMap<QueueAttributeName, String>, name: &QueueAttributeName) -> usize {
    let count = found.get(name).and_then(|count| count.parse().ok());
    count.unwrap_or_default()
}

/// Account and name of the queue that a redrive policy (JSON) names by its ARN.
fn dead_letters_of(policy: &str) -> Option<(String, String)> {
    let policy: serde_json::Value = serde_json::from_str(policy).ok()?;
    let arn = policy.get("deadLetterTargetArn")?.as_str()?;
    let mut parts = arn.rsplit(':');
    let (name, owner) = (parts.next()?, parts.next()?);
    Some((owner.to_owned(), name.to_owned()))
}

/// How many of the first `messages` fit into one call; one at least.
fn of_one_call(messages: &[Outgoing]) -> usize {
    let mut bytes = 0;
    let fitting = messages.iter().take(MAX_BATCH).take_while(|message| {
        bytes += message.body.len();
        bytes <= MAX_CALL_BYTES
    });
    fitting.count().max(1)
}

fn refused(
    done: &str,
    failed: &[BatchResultErrorEntry],
    of: usize,
    first: &BatchResultErrorEntry,
) -> QueueError {
    QueueError::Unavailable(format!(
        "{} of {of} messages not {done}: {}: {}",
        failed.len(),
        first.code(),
        first.message().unwrap_or_default()
    ))
}

async fn within<T, E: std::error::Error + ProvideErrorMetadata>(
    deadline: &Deadline,
    request: impl Future<Output = Result<T, E>>,
) -> Result<T, QueueError> {
    let unavailable = |reason: String| QueueError::Unavailable(reason);
    tokio::time::timeout(deadline.remaining(), request)
        .await
        .map_err(|_| unavailable("no answer before the deadline".to_owned()))?
        .map_err(|error| unavailable(explain(&error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_holds_ten_messages_or_as_many_as_fit() {
        let message = |bytes: usize| Outgoing {
            group: "g".to_owned(),
            id: "i".to_owned(),
            body: "x".repeat(bytes),
        };
        let half = MAX_CALL_BYTES / 2;
        for (sizes, expected) in [
            (vec![1; 3], 3),
            (vec![1; 11], 10),
            (vec![half, half, 1], 2),
            (vec![half + 1, half], 1),
            (vec![2 * MAX_CALL_BYTES, 1], 1),
        ] {
            let messages: Vec<Outgoing> = sizes.into_iter().map(message).collect();
            assert_eq!(of_one_call(&messages), expected);
        }
    }
}

//! What waits in a world: messages in the queue, and looks that are stored to be taken again.

use std::ops::ControlFlow;
use std::time::Duration;

use ferry::app::App;
use ferry::deadline::Deadline;
use ferry::queue::{Local, Queue};
use ferry::store::documents;
use ferry::webhook::again;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::world::{INVOCATION, PAUSE, World};

impl World {
    pub(crate) fn queue(&self) -> &Local {
        match &self.app().queue {
            Some(Queue::Local(local)) => local,
            _ => panic!("a world without a queue"),
        }
    }

    /// One invocation with what the queue hands out now, as Lambda would make it. Returns how many messages there
    /// were, and how many of them came back.
    pub(crate) async fn work_off(&self) -> (usize, usize) {
        let worked = self.work_off_at(self.app(), INVOCATION).await;
        if 0 < worked.0 {
            self.clock.advance(PAUSE);
        }
        worked
    }

    /// The same in another environment, which has `time` for it.
    pub(crate) async fn work_off_at(&self, app: &App, time: Duration) -> (usize, usize) {
        let received = self.queue().receive().await.unwrap();
        if received.is_empty() {
            return (0, 0);
        }
        let records = received.iter().map(|message| {
            json!({
                "messageId": message.receipt, "receiptHandle": message.receipt, "body": message.body,
                "attributes": {"ApproximateReceiveCount": message.receives.to_string()},
                "messageAttributes": {}, "md5OfBody": "", "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:ferry.fifo", "awsRegion": "eu-central-1",
            })
        });
        let event = json!({"Records": records.collect::<Vec<Value>>()});
        let answer = self.invoke_for(app, event, time).await.unwrap();
        let again: Vec<&str> = answer["batchItemFailures"]
            .as_array()
            .unwrap()
            .iter()
            .map(|failure| failure["itemIdentifier"].as_str().unwrap())
            .collect();
        let done = received.iter().map(|message| message.receipt.clone());
        let done: Vec<String> = done
            .filter(|receipt| !again.contains(&receipt.as_str()))
            .collect();
        self.queue().complete(&done).await.unwrap();
        (received.len(), again.len())
    }

    /// Works off the queue and what is stored to be looked at again, however long it has to wait.
    pub(crate) async fn drain(&self) {
        loop {
            while let Some(next_at) = self.queue().next_at() {
                let wait = next_at.duration_since(self.clock.now());
                self.clock
                    .advance(Duration::try_from(wait).unwrap_or_default());
                self.work_off().await;
            }
            if !self.bring_back().await {
                break;
            }
        }
        assert_eq!(self.queue().dead_letters(), 0);
    }

    /// Takes again what is stored to be, when its time has come, until nothing is stored.
    pub(crate) async fn settle(&self) {
        while self.bring_back().await {}
    }

    /// Without a queue, what looks bring up waits for a tick.
    pub(super) async fn follow(&self) {
        if self.app().queue.is_none() {
            let deadline = Deadline::after(&self.clock, INVOCATION);
            again::settle(self.app(), &deadline).await;
        }
    }

    /// One tick at the moment when the first stored look is due; false where none is stored.
    pub(crate) async fn bring_back(&self) -> bool {
        let mut first: Option<Timestamp> = None;
        self.app()
            .store
            .list(&documents::agains(), "", |_, found| {
                let due = found.value.map(|again| again.due);
                first = match (first, due) {
                    (Some(one), Some(other)) => Some(one.min(other)),
                    (one, other) => one.or(other),
                };
                ControlFlow::Continue(())
            })
            .await
            .unwrap();
        let Some(first) = first else { return false };
        let wait = first.duration_since(self.clock.now());
        self.clock
            .advance(Duration::try_from(wait).unwrap_or_default());
        let deadline = Deadline::after(&self.clock, INVOCATION);
        self.port.set_now(self.clock.now());
        again::settle(self.app(), &deadline).await;
        true
    }
}

//! As much of SQS as a function with a FIFO queue sees: what it sends and puts off, over HTTP; and, for whoever plays
//! Lambda, what is handed out, deleted and given up.
//!
//! Owns who has which message, in a time that only moves when told. Knows nothing of what messages say. What a client
//! makes of SQS's own answers is tested against an emulator.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::edition::Edition;
use crate::server::{Request, Response, Server};

const CONTENT_TYPE: &str = "application/x-amz-json-1.0";

/// Lambda hands out at most this many messages of a FIFO queue at once.
const MAX_BATCH: usize = 10;

/// The same id within this is the same message.
const SAME_ID: SignedDuration = SignedDuration::from_secs(300);

/// Receives after which a message is a dead letter, as in template.yaml.
const MAX_RECEIVES: u32 = 10;

/// A message that is out stays away so long unless it is put off: as in template.yaml.
const VISIBILITY: SignedDuration = SignedDuration::from_secs(720);

/// A running queue. Clones are handles to the same one.
#[derive(Clone)]
pub struct FifoQueue {
    server: Server,
    content: Arc<Mutex<Content>>,
    edition: Edition,
}

/// A message that was handed out.
#[derive(Clone, Debug)]
pub struct HandedOut {
    /// By which it is deleted.
    pub receipt: String,
    /// As Lambda passes it to a function.
    pub record: Value,
}

struct Content {
    now: Timestamp,
    next: u64,
    /// By the order in which they came.
    messages: BTreeMap<u64, Waiting>,
    dead: Vec<String>,
    /// Group and id of what was sent of late.
    ids: Vec<(String, String, Timestamp)>,
}

struct Waiting {
    group: String,
    body: String,
    receives: u32,
    visible_at: Timestamp,
    /// Somebody has it until it becomes visible: others of its group wait.
    is_out: bool,
}

impl FifoQueue {
    pub async fn start() -> anyhow::Result<FifoQueue> {
        let content = Arc::new(Mutex::new(Content {
            now: Timestamp::UNIX_EPOCH,
            next: 0,
            messages: BTreeMap::new(),
            dead: Vec::new(),
            ids: Vec::new(),
        }));
        FifoQueue::serve(content, Edition::Present).await
    }

    /// The same queue as an edition uses it whose messages the present one cannot read: the next version's.
    pub async fn of_later_edition(&self) -> anyhow::Result<FifoQueue> {
        FifoQueue::serve(Arc::clone(&self.content), Edition::Later).await
    }

    async fn serve(content: Arc<Mutex<Content>>, edition: Edition) -> anyhow::Result<FifoQueue> {
        let model = Arc::clone(&content);
        let answer = move |request: &Request| lock(&model).answer(request, edition);
        let server = Server::start(answer).await?;
        Ok(FifoQueue {
            server,
            content,
            edition,
        })
    }

    /// Where the function finds SQS.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The queue's own address.
    pub fn url(&self) -> String {
        format!("{}/000000000000/ferry.fifo", self.server.url())
    }

    pub fn set_now(&self, now: Timestamp) {
        self.content().now = now;
    }

    /// Up to ten messages, of groups of which nobody else has any.
    pub fn hand_out(&self) -> Vec<HandedOut> {
        self.content().hand_out(self.edition)
    }

    /// Removes what was worked off.
    pub fn delete(&self, receipts: &[String]) {
        let mut content = self.content();
        for number in receipts.iter().filter_map(|receipt| number_of(receipt)) {
            content.messages.remove(&number);
        }
    }

    /// When the next message can be handed out; `None` while there is none.
    pub fn next_at(&self) -> Option<Timestamp> {
        let content = self.content();
        content.messages.values().map(|it| it.visible_at).min()
    }

    /// Messages that wait or are out.
    pub fn len(&self) -> usize {
        self.content().messages.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bodies of what nobody could deal with.
    pub fn dead_letters(&self) -> Vec<String> {
        self.content().dead.clone()
    }

    /// Puts a message in as somebody else has written it.
    pub fn put(&self, group: &str, body: &str) {
        self.content().put(group.to_owned(), body.to_owned());
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        lock(&self.content)
    }
}

fn lock(content: &Mutex<Content>) -> MutexGuard<'_, Content> {
    content.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Of the receipt `number-receives`: an old receipt of a message still deletes it.
fn number_of(receipt: &str) -> Option<u64> {
    receipt.split('-').next()?.parse().ok()
}

impl Content {
    fn answer(&mut self, request: &Request, edition: Edition) -> Response {
        let body = request.json();
        let target = request.header("x-amz-target").unwrap_or_default();
        let entries = body["Entries"].as_array().cloned().unwrap_or_default();
        let (status, answer) = match target {
            "AmazonSQS.SendMessageBatch" => (200, self.send(&entries, edition)),
            "AmazonSQS.ChangeMessageVisibilityBatch" => (200, self.put_off(&entries)),
            other => (
                400,
                json!({"__type": "com.amazonaws.sqs#UnsupportedOperation", "message": other}),
            ),
        };
        Response::bytes(status, CONTENT_TYPE, answer.to_string().into_bytes())
    }

    fn send(&mut self, entries: &[Value], edition: Edition) -> Value {
        let text = |entry: &Value, name: &str| entry[name].as_str().unwrap_or_default().to_owned();
        let mut successful = Vec::new();
        for entry in entries {
            let group = text(entry, "MessageGroupId");
            let id = text(entry, "MessageDeduplicationId");
            self.ids
                .retain(|(_, _, at)| self.now.duration_since(*at) < SAME_ID);
            let is_known = self.ids.iter().any(|(g, i, _)| (g, i) == (&group, &id));
            if !is_known {
                self.ids.push((group.clone(), id, self.now));
                let body = edition.writes_message(&text(entry, "MessageBody"));
                self.put(group, body);
            }
            successful.push(json!({"Id": entry["Id"], "MessageId": self.next.to_string(), "MD5OfMessageBody": ""}));
        }
        json!({"Successful": successful, "Failed": []})
    }

    fn put(&mut self, group: String, body: String) {
        self.next += 1;
        let waiting = Waiting {
            group,
            body,
            receives: 0,
            visible_at: self.now,
            is_out: false,
        };
        self.messages.insert(self.next, waiting);
    }

    fn put_off(&mut self, entries: &[Value]) -> Value {
        let mut successful = Vec::new();
        for entry in entries {
            let number = entry["ReceiptHandle"].as_str().and_then(number_of);
            if let Some(waiting) = number.and_then(|number| self.messages.get_mut(&number)) {
                let seconds = entry["VisibilityTimeout"].as_i64().unwrap_or_default();
                waiting.visible_at = self.now + SignedDuration::from_secs(seconds);
            }
            successful.push(json!({"Id": entry["Id"]}));
        }
        json!({"Successful": successful, "Failed": []})
    }

    fn hand_out(&mut self, edition: Edition) -> Vec<HandedOut> {
        let now = self.now;
        self.give_up();
        let mut held = BTreeSet::new();
        for waiting in self.messages.values_mut() {
            waiting.is_out &= now < waiting.visible_at;
            if waiting.is_out {
                held.insert(waiting.group.clone());
            }
        }
        let mut handed_out = Vec::new();
        for (number, waiting) in &mut self.messages {
            let its_turn = waiting.visible_at <= now && !held.contains(&waiting.group);
            if MAX_BATCH <= handed_out.len() || !its_turn {
                continue;
            }
            waiting.receives += 1;
            waiting.visible_at = now + VISIBILITY;
            waiting.is_out = true;
            handed_out.push(waiting.handed_out(*number, edition));
        }
        handed_out
    }

    fn give_up(&mut self) {
        let now = self.now;
        let is_dead = |it: &Waiting| MAX_RECEIVES <= it.receives && it.visible_at <= now;
        let (dead, alive) = std::mem::take(&mut self.messages)
            .into_iter()
            .partition(|(_, waiting)| is_dead(waiting));
        let dead: BTreeMap<u64, Waiting> = dead;
        self.messages = alive;
        self.dead.extend(dead.into_values().map(|it| it.body));
    }
}

impl Waiting {
    fn handed_out(&self, number: u64, edition: Edition) -> HandedOut {
        let receipt = format!("{number}-{}", self.receives);
        let record = json!({
            "messageId": number.to_string(), "receiptHandle": receipt, "body": edition.reads_message(&self.body),
            "attributes": {"ApproximateReceiveCount": self.receives.to_string(), "MessageGroupId": self.group},
            "messageAttributes": {}, "md5OfBody": "", "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:eu-central-1:000000000000:ferry.fifo", "awsRegion": "eu-central-1",
        });
        HandedOut { receipt, record }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bodies(handed_out: &[HandedOut]) -> Vec<&str> {
        let bodies = handed_out.iter().map(|it| it.record["body"].as_str());
        bodies.map(Option::unwrap_or_default).collect()
    }

    fn pass(queue: &FifoQueue, seconds: i64) {
        let now = queue.content().now;
        queue.set_now(now + SignedDuration::from_secs(seconds));
    }

    #[tokio::test]
    async fn a_group_is_out_with_one_worker_and_comes_back_when_its_time_is_over() {
        let queue = FifoQueue::start().await.unwrap();
        for (group, body) in [("a", "a1"), ("b", "b1"), ("a", "a2")] {
            queue.put(group, body);
        }
        assert_eq!(bodies(&queue.hand_out()), ["a1", "b1", "a2"]);
        queue.put("b", "b2");
        queue.put("c", "c1");
        assert_eq!(bodies(&queue.hand_out()), ["c1"], "b is out");
        queue.delete(&["2-1".to_owned()]);
        assert_eq!(bodies(&queue.hand_out()), ["b2"]);
        pass(&queue, 720);
        assert_eq!(bodies(&queue.hand_out()), ["a1", "a2", "b2", "c1"]);
    }

    #[tokio::test]
    async fn what_nobody_deletes_ends_with_the_dead_letters() {
        let queue = FifoQueue::start().await.unwrap();
        queue.put("a", "a1");
        for _ in 0..MAX_RECEIVES {
            assert_eq!(bodies(&queue.hand_out()), ["a1"]);
            pass(&queue, 720);
        }
        assert!(queue.hand_out().is_empty() && queue.is_empty());
        assert_eq!(queue.dead_letters(), ["a1"]);
    }

    #[tokio::test]
    async fn sent_twice_within_five_minutes_is_sent_once_and_put_off_is_put_off() {
        let queue = FifoQueue::start().await.unwrap();
        let http = crate::loopback::fixture::client().build().unwrap();
        let post = async |operation: &str, entry: Value| {
            let request = http
                .post(queue.url())
                .header("x-amz-target", format!("AmazonSQS.{operation}"))
                .body(json!({"Entries": [entry]}).to_string());
            request.send().await.unwrap().json::<Value>().await.unwrap()
        };
        let entry = json!({"Id": "0", "MessageGroupId": "g", "MessageDeduplicationId": "d", "MessageBody": "m"});
        for expected in [1, 1, 2] {
            let answer = post("SendMessageBatch", entry.clone()).await;
            assert_eq!(answer["Successful"][0]["Id"], "0");
            assert_eq!(queue.len(), expected);
            pass(&queue, 200);
        }
        let handed_out = queue.hand_out();
        let receipt = handed_out[0].receipt.clone();
        let entry = json!({"Id": "0", "ReceiptHandle": receipt, "VisibilityTimeout": 30});
        post("ChangeMessageVisibilityBatch", entry).await;
        pass(&queue, 30);
        assert!(queue.hand_out().is_empty(), "the other one is still out");
        queue.delete(&[handed_out[1].receipt.clone()]);
        assert_eq!(bodies(&queue.hand_out()), ["m"]);
    }
}

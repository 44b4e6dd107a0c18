//! The queue, and both flows, against an emulator of AWS over HTTP. Needs a `python3` on the path that has moto;
//! `.ci/run emulated` installs and runs it.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region, SharedCredentialsProvider};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use aws_sdk_sqs::types::{MessageSystemAttributeName, QueueAttributeName};
use ferry::deadline::{Clock, Deadline};
use ferry::http::Http;
use ferry::identity::RepositoryId;
use ferry::look::Look;
use ferry::queue::{Message, PutOff, Queue};
use ferry::store::Store;
use jiff::Timestamp;
use sandbox::bitbucket::NewPullRequest;
use sandbox::server::Fault;
use serde_json::{Value, json};

use crate::support::{World, event};

/// A running emulator, which ends with its test.
pub(crate) struct Aws {
    process: Child,
    pub(crate) config: SdkConfig,
}

impl Drop for Aws {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

impl Aws {
    pub(crate) fn start() -> Aws {
        let mut process = Command::new("python3")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/emulator.py"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("python3 is not on the path");
        let mut port = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut port)
            .unwrap();
        let port = port.trim_end();
        assert!(
            !port.is_empty(),
            "python3 has no moto: `.ci/run emulated` installs it"
        );
        let config = sdk_config(&format!("http://127.0.0.1:{port}"));
        Aws { process, config }
    }

    async fn table(&self, name: &str) -> Store {
        let client = self.create_table(name).await;
        Store::dynamodb(client, name.to_owned(), Clock::System)
    }

    pub(crate) async fn create_table(&self, name: &str) -> aws_sdk_dynamodb::Client {
        let client = aws_sdk_dynamodb::Client::new(&self.config);
        let mut table = client
            .create_table()
            .table_name(name)
            .billing_mode(BillingMode::PayPerRequest);
        for (key, kind) in [("pk", KeyType::Hash), ("sk", KeyType::Range)] {
            let schema = KeySchemaElement::builder()
                .attribute_name(key)
                .key_type(kind);
            let attribute = AttributeDefinition::builder()
                .attribute_name(key)
                .attribute_type(ScalarAttributeType::S);
            table = table
                .key_schema(schema.build().unwrap())
                .attribute_definitions(attribute.build().unwrap());
        }
        table.send().await.unwrap();
        client
    }

    /// A FIFO queue with a dead-letter queue, as `template.yaml` makes them; and the URLs of both.
    async fn queue(&self) -> (Queue, String, String) {
        let client = aws_sdk_sqs::Client::new(&self.config);
        let dead = create_queue(&client, "dead.fifo", &[]).await;
        let arn = client
            .get_queue_attributes()
            .queue_url(&dead)
            .attribute_names(QueueAttributeName::QueueArn)
            .send()
            .await
            .unwrap()
            .attributes
            .unwrap()
            .remove(&QueueAttributeName::QueueArn)
            .unwrap();
        let redrive = json!({"deadLetterTargetArn": arn, "maxReceiveCount": "10"}).to_string();
        let attributes = [
            (QueueAttributeName::RedrivePolicy, redrive.as_str()),
            (QueueAttributeName::VisibilityTimeout, "900"),
        ];
        let url = create_queue(&client, "ferry.fifo", &attributes).await;
        (Queue::sqs(client, url.clone()), url, dead)
    }
}

pub(crate) fn sdk_config(url: &str) -> SdkConfig {
    let credentials = Credentials::new("AKIAIOSFODNN7EXAMPLE", "not-a-secret", None, None, "test");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .endpoint_url(url)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(ferry::aws::http_client(&Http::new(Clock::System).unwrap()))
        .build()
}

/// A client of DynamoDB at an address where nobody listens.
pub(crate) fn nowhere() -> aws_sdk_dynamodb::Client {
    aws_sdk_dynamodb::Client::new(&sdk_config("http://127.0.0.1:9"))
}

async fn create_queue(
    client: &aws_sdk_sqs::Client,
    name: &str,
    attributes: &[(QueueAttributeName, &str)],
) -> String {
    let mut request = client
        .create_queue()
        .queue_name(name)
        .attributes(QueueAttributeName::FifoQueue, "true");
    for (attribute, value) in attributes {
        request = request.attributes(attribute.clone(), *value);
    }
    request.send().await.unwrap().queue_url.unwrap()
}

/// A look at a pull request.
fn message(id: u64) -> Message {
    let repository = RepositoryId::new("{r}");
    Message::of_look(
        Look::PullRequest {
            repository,
            id,
            closed: false,
        },
        Timestamp::UNIX_EPOCH,
    )
}

/// What Lambda would call the function with, and delete afterwards.
async fn receive(client: &aws_sdk_sqs::Client, url: &str) -> Vec<(String, Value)> {
    let received = client
        .receive_message()
        .queue_url(url)
        .max_number_of_messages(10)
        .message_system_attribute_names(MessageSystemAttributeName::All)
        .send()
        .await
        .unwrap();
    let messages = received.messages.unwrap_or_default().into_iter();
    messages
        .map(|message| {
            let attributes = message.attributes.unwrap_or_default().into_iter();
            let attributes: serde_json::Map<String, Value> = attributes
                .map(|(name, value)| (name.as_str().to_owned(), json!(value)))
                .collect();
            let receipt = message.receipt_handle.unwrap();
            let record = json!({
                "messageId": message.message_id, "receiptHandle": receipt, "body": message.body,
                "attributes": attributes, "messageAttributes": {}, "md5OfBody": message.md5_of_body,
                "eventSource": "aws:sqs", "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:ferry.fifo",
                "awsRegion": "eu-central-1",
            });
            (receipt, record)
        })
        .collect()
}

/// Text that does not become shorter by compression.
pub(crate) fn noise(length: usize) -> String {
    let mut state = 1_u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        char::from(b'!' + u8::try_from((state >> 33) % 90).unwrap())
    };
    (0..length).map(|_| next()).collect()
}

pub(crate) async fn count_items(aws: &Aws, table: &str) -> usize {
    let client = aws_sdk_dynamodb::Client::new(&aws.config);
    let items = client
        .scan()
        .table_name(table)
        .into_paginator()
        .items()
        .send();
    items.try_collect().await.unwrap().len()
}

#[tokio::test]
#[ignore = "needs moto; run by .ci/run emulated"]
async fn a_queue_in_sqs_keeps_objects_apart_and_waits() {
    let aws = Aws::start();
    let (queue, url, dead) = aws.queue().await;
    let client = aws_sdk_sqs::Client::new(&aws.config);
    let deadline = Deadline::after(&Clock::System, Duration::from_secs(60));
    for (object, occasion) in [(1, "a"), (1, "b"), (2, "a"), (1, "a")] {
        let message = message(object);
        queue.send(&message, occasion, &deadline).await.unwrap();
    }
    let received = receive(&client, &url).await;
    let objects = received.iter().map(|(_, record)| {
        let body = record["body"].as_str().unwrap();
        let group = record["attributes"]["MessageGroupId"].as_str().unwrap();
        (group.to_owned(), Message::decode(body).unwrap())
    });
    let mut objects: Vec<(String, Message)> = objects.collect();
    objects.sort_by(|(one, _), (other, _)| one.cmp(other));
    let sent = |number: u64| (format!("{{r}}/{number}"), message(number));
    assert_eq!(
        objects,
        [sent(1), sent(1), sent(2)],
        "the repetition is dropped"
    );
    // A worker has both objects: nobody else gets what else is to be looked at of them.
    queue.send(&message(2), "c", &deadline).await.unwrap();
    assert!(receive(&client, &url).await.is_empty());

    // Nine more receives, each after a wait that is over at once; the next one is the dead-letter queue's. The message
    // that was sent later has one more left.
    let mut receipts: Vec<String> = received.into_iter().map(|(receipt, _)| receipt).collect();
    for _ in 2..=10 {
        let wait = Duration::ZERO;
        let postponed: Vec<PutOff> = receipts
            .drain(..)
            .map(|receipt| PutOff { receipt, wait })
            .collect();
        queue.postpone(&postponed, &deadline).await.unwrap();
        receipts = receive(&client, &url)
            .await
            .into_iter()
            .map(|(receipt, _)| receipt)
            .collect();
        assert_eq!(receipts.len(), 4);
    }
    let postponed: Vec<PutOff> = receipts
        .drain(..)
        .map(|receipt| PutOff {
            receipt,
            wait: Duration::ZERO,
        })
        .collect();
    queue.postpone(&postponed, &deadline).await.unwrap();
    assert_eq!(receive(&client, &url).await.len(), 1);
    assert_eq!(receive(&client, &dead).await.len(), 3);

    let refused = Queue::sqs(client, url.replace("ferry.fifo", "gone.fifo"));
    let error = refused.send(&message(1), "d", &deadline).await.unwrap_err();
    assert!(error.to_string().contains("NonExistentQueue"), "{error}");
}

#[tokio::test]
#[ignore = "needs moto; run by .ci/run emulated"]
async fn both_flows_run_on_dynamodb_and_sqs() {
    let aws = Aws::start();
    let store = aws.table("ferry").await;
    let (queue, url, _) = aws.queue().await;
    let client = aws_sdk_sqs::Client::new(&aws.config);
    let world = World::demo().await.on(store, queue);
    world.resync().await;
    let new = NewPullRequest::new("Round totals", "Luis Ferro");
    let (id, mut deliveries) = world.bitbucket.open_pull_request("monorepo", new).unwrap();
    deliveries.extend(world.bitbucket.merge("monorepo", id, "Mina Sato").unwrap());
    deliveries.extend(
        world
            .bitbucket
            .rename_repository("perl-scripts", "Raku Scripts")
            .unwrap(),
    );
    deliveries.extend(world.bitbucket.delete_repository("zurich-unicode").unwrap());
    let before = world.port.catalogue();
    world.accept(&deliveries).await;
    assert_eq!(
        world.port.catalogue(),
        before,
        "nothing happens before the queue hands it out"
    );
    loop {
        let received = receive(&client, &url).await;
        if received.is_empty() {
            break;
        }
        let records: Vec<&Value> = received.iter().map(|(_, record)| record).collect();
        let answer = world.invoke(json!({"Records": records})).await.unwrap();
        assert_eq!(answer, json!({"batchItemFailures": []}));
        for (receipt, _) in &received {
            client
                .delete_message()
                .queue_url(&url)
                .receipt_handle(receipt)
                .send()
                .await
                .unwrap();
        }
    }
    assert_eq!(world.port.catalogue(), world.fresh_catalogue().await);
    // Paused by the rate limit, continued by ticks, with nothing but the table in between.
    let limited = Fault::status("/pullrequests", 429).after(3).always();
    world.bitbucket.server().misbehave(limited);
    let cut = world.invoke(event("eventbridge-rule")).await.unwrap();
    assert_eq!(cut["status"], "paused");
    world.bitbucket.server().behave();
    world.clock.advance(Duration::from_secs(600));
    assert_eq!(world.tick().await.unwrap()["status"], "completed");
    world.assert_converged().await;
    world.finish();
}

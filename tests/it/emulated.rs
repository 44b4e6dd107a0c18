//! The queue and the store against an emulator of AWS over HTTP. Needs a `python3` on the path that has moto;
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
use ferry::queue::{Message, Postponed, Queue};
use ferry::state::{Document, Expected, Lease, StateError, Store};
use sandbox::bitbucket::NewPullRequest;
use sandbox::server::{Fault, Response, Server};
use serde_json::{Value, json};

use crate::support::{World, event};

/// A running emulator, which ends with its test.
struct Aws {
    process: Child,
    config: SdkConfig,
}

impl Drop for Aws {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

impl Aws {
    fn start() -> Aws {
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
        Store::dynamodb(client, name.to_owned(), Clock::System)
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

fn sdk_config(url: &str) -> SdkConfig {
    let credentials = Credentials::new("AKIAIOSFODNN7EXAMPLE", "not-a-secret", None, None, "test");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .endpoint_url(url)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(ferry::aws::http_client(&Http::new(Clock::System).unwrap()))
        .build()
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
fn noise(length: usize) -> String {
    let mut state = 1_u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        char::from(b'!' + u8::try_from((state >> 33) % 90).unwrap())
    };
    (0..length).map(|_| next()).collect()
}

async fn count_items(aws: &Aws, table: &str) -> usize {
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
async fn documents_in_dynamodb_keep_their_conditions_and_any_size() {
    let aws = Aws::start();
    let store = aws.table("ferry").await;
    assert_eq!(store.load::<String>("a/b").await.unwrap(), None);
    let first = store.save("a/b", &"one", Expected::Absent).await.unwrap();
    let lost = store.save("a/b", &"two", Expected::Absent).await;
    assert!(matches!(lost, Err(StateError::Conflict { .. })), "{lost:?}");
    let second = store
        .save("a/b", &"two", Expected::Version(first))
        .await
        .unwrap();
    let lost = store.save("a/b", &"three", Expected::Version(first)).await;
    assert!(matches!(lost, Err(StateError::Conflict { .. })), "{lost:?}");
    let read: Document<String> = store.load("a/b").await.unwrap().unwrap();
    assert_eq!((read.value.as_str(), read.version), ("two", second));

    // Three parts, then two, then none: what is replaced leaves nothing behind.
    for (length, items) in [(1_000_000, 1 + 3), (600_000, 1 + 2), (10, 1)] {
        let large = noise(length);
        store.save("a/b", &large, Expected::Anything).await.unwrap();
        assert_eq!(
            store.load::<String>("a/b").await.unwrap().unwrap().value,
            large
        );
        assert_eq!(count_items(&aws, "ferry").await, items, "{length}");
    }
    let lost = store
        .save("a/b", &noise(700_000), Expected::Version(1))
        .await;
    assert!(matches!(lost, Err(StateError::Conflict { .. })), "{lost:?}");
    assert_eq!(count_items(&aws, "ferry").await, 1);

    // More than DynamoDB returns in one page of 1 MB.
    for number in 0..5 {
        let text = noise(300_000);
        store
            .save(&format!("many/{number}"), &text, Expected::Absent)
            .await
            .unwrap();
    }
    let mut names = Vec::new();
    let each = |name: &str, _: Document<String>| {
        names.push(name.to_owned());
        std::ops::ControlFlow::Continue(())
    };
    store.list("many", each).await.unwrap();
    assert_eq!(names, ["0", "1", "2", "3", "4"]);
    store.remove("a/b").await.unwrap();
    store.remove("a/b").await.unwrap();
    assert_eq!(store.load::<String>("a/b").await.unwrap(), None);
}

#[tokio::test]
#[ignore = "needs moto; run by .ci/run emulated"]
async fn a_lease_in_dynamodb_has_one_holder() {
    let aws = Aws::start();
    let store = aws.table("ferry").await;
    let clock = Clock::simulated("2026-11-23T07:00:00Z".parse().unwrap());
    let minute = Duration::from_secs(60);
    let acquire = || Lease::acquire(&store, "lease", &clock, minute);
    let (first, second) = tokio::join!(acquire(), acquire());
    let (first, second) = (first.unwrap(), second.unwrap());
    assert!(first.is_some() != second.is_some(), "{first:?} {second:?}");
    let zombie = first.or(second).unwrap();
    clock.advance(2 * minute);
    let successor = acquire().await.unwrap().unwrap();
    assert!(!zombie.is_held(&store, &clock).await.unwrap());
    assert!(successor.is_held(&store, &clock).await.unwrap());
    zombie.release(&store).await.unwrap();
    assert!(
        acquire().await.unwrap().is_none(),
        "the zombie must not let anybody in"
    );
}

#[tokio::test]
#[ignore = "needs moto; run by .ci/run emulated"]
async fn a_missing_table_and_a_throttled_one_are_told_apart_and_lose_nothing() {
    let aws = Aws::start();
    let client = aws_sdk_dynamodb::Client::new(&aws.config);
    let store = Store::dynamodb(client, "nowhere".to_owned(), Clock::System);
    let missing = store.save("run", &1, Expected::Absent).await.unwrap_err();
    let missing = ferry::failure::chain(&missing);
    assert!(
        missing.contains("`nowhere`") && missing.contains("ResourceNotFound"),
        "{missing}"
    );

    let throttled = json!({"__type": "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
        "message": "The level of configured provisioned throughput for the table was exceeded."});
    let server = Server::start(move |_| Response::json(400, &throttled))
        .await
        .unwrap();
    let client = aws_sdk_dynamodb::Client::new(&sdk_config(server.url()));
    let store = Store::dynamodb(client, "ferry".to_owned(), Clock::System);
    let error = store.save("run", &1, Expected::Absent).await.unwrap_err();
    assert!(matches!(error, StateError::Unavailable { .. }));
    assert!(
        ferry::failure::chain(&error).contains("throughput"),
        "{error:?}"
    );
    assert!(1 < server.take_requests().len(), "it was tried again");
}

#[tokio::test]
#[ignore = "needs moto; run by .ci/run emulated"]
async fn a_queue_in_sqs_keeps_lines_apart_and_waits() {
    let aws = Aws::start();
    let (queue, url, dead) = aws.queue().await;
    let client = aws_sdk_sqs::Client::new(&aws.config);
    let deadline = Deadline::after(&Clock::System, Duration::from_secs(60));
    for (line, id) in [("{a}", "1"), ("{a}", "2"), ("{b}", "3"), ("{a}", "1")] {
        let message = Message { line, id, body: id };
        queue.send(message, &deadline).await.unwrap();
    }
    let bodies = |received: &[(String, Value)]| -> Vec<String> {
        received
            .iter()
            .map(|(_, record)| record["body"].as_str().unwrap().to_owned())
            .collect()
    };
    let received = receive(&client, &url).await;
    let mut all = bodies(&received);
    all.sort();
    assert_eq!(all, ["1", "2", "3"], "the repetition is dropped");
    assert!(
        receive(&client, &url).await.is_empty(),
        "they are being worked on"
    );

    // Nine more receives, each after a wait that is over at once; the next one is the dead-letter queue's.
    let mut receipts: Vec<String> = received.into_iter().map(|(receipt, _)| receipt).collect();
    for _ in 2..=10 {
        let wait = Duration::ZERO;
        let postponed: Vec<Postponed> = receipts
            .drain(..)
            .map(|receipt| Postponed { receipt, wait })
            .collect();
        queue.postpone(&postponed, &deadline).await.unwrap();
        receipts = receive(&client, &url)
            .await
            .into_iter()
            .map(|(receipt, _)| receipt)
            .collect();
        assert_eq!(receipts.len(), 3);
    }
    let postponed: Vec<Postponed> = receipts
        .drain(..)
        .map(|receipt| Postponed {
            receipt,
            wait: Duration::ZERO,
        })
        .collect();
    queue.postpone(&postponed, &deadline).await.unwrap();
    assert!(receive(&client, &url).await.is_empty());
    assert_eq!(receive(&client, &dead).await.len(), 3);

    let refused = Queue::sqs(client, url.replace("ferry.fifo", "gone.fifo"));
    let message = Message {
        line: "a",
        id: "1",
        body: "1",
    };
    let error = refused.send(message, &deadline).await.unwrap_err();
    assert!(error.to_string().contains("QueueDoesNotExist"), "{error}");
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

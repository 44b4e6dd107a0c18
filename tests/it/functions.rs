//! One binary, deployed three times (template.yaml): what each of the functions asks for, and that none of them leans on
//! what another one knows.

use std::time::Duration;

use ferry::queue::{Local, Queue};
use ferry::store::{Asker, Attempt, LeaseName, Store};
use sandbox::bitbucket::NewPullRequest;
use sandbox::server::{Fault, FaultKind, Request, Response, Server};
use sandbox::webhook::Delivery;
use serde_json::json;

use crate::credentials::{SECRET_ID, WEBHOOK_SECRET_ID, document, from_secrets, secrets};
use crate::doubt::{assert_fresh, retitle};
use crate::emulated::sdk_config;
use crate::support::{PORT_CLIENT_SECRET, WEBHOOK_SECRET, World, event};

/// The timeout of the function that works off events.
const EVENTS: Duration = Duration::from_secs(120);

/// A world whose table counts what it is asked, and holds nothing.
async fn receiver(secrets: &sandbox::aws::SecretsManager) -> (World, Server) {
    let table = Server::start(|_: &Request| Response::json(200, &json!({})))
        .await
        .unwrap();
    let world = World::with_secrets(from_secrets(), secrets).await;
    let client = aws_sdk_dynamodb::Client::new(&sdk_config(table.url()));
    let store = Store::dynamodb(client, "ferry".to_owned(), world.clock.clone());
    let queue = Local::open(Store::memory(), world.clock.clone()).await;
    (world.on(store, Queue::Local(queue.unwrap())), table)
}

fn described(world: &World, text: &str) -> Delivery {
    let told = world.bitbucket.describe_repository("payments-api", text);
    told.unwrap().remove(0)
}

#[tokio::test]
async fn the_receiver_asks_only_the_queue_and_every_five_minutes_the_webhook_secret() {
    let secrets = secrets().await;
    let long_ago = "2026-01-01T00:00:00Z".parse().unwrap();
    secrets.put_at(WEBHOOK_SECRET_ID, WEBHOOK_SECRET, long_ago);
    let (world, table) = receiver(&secrets).await;
    for minute in 0..11 {
        let delivery = described(&world, &format!("Minute {minute}"));
        assert_eq!(world.post(&delivery, WEBHOOK_SECRET).await, 202);
        let asked = 1 + minute / 5;
        assert_eq!(secrets.count(), asked, "minute {minute}");
    }
    assert_eq!(
        world.send("GET", "/health", &[], b"").await["statusCode"],
        200
    );
    let asked = secrets.server().take_requests();
    let ids = asked
        .iter()
        .map(|request| request.json()["SecretId"].clone());
    assert!(ids.into_iter().all(|id| id == WEBHOOK_SECRET_ID));
    let (bitbucket, port) = world.take_requests();
    assert!(bitbucket.is_empty() && port.is_empty());
    assert!(table.take_requests().is_empty(), "the table was asked");
    assert!(world.queue().next_at().is_some());
    world.finish();
}

/// The role of the receiver allows no more than this (template.yaml).
#[tokio::test]
async fn the_receiver_writes_what_port_asks_for_and_reads_nothing() {
    let secrets = secrets().await;
    let (world, table) = receiver(&secrets).await;
    let answer = world.invoke(event("port-resync")).await.unwrap();
    assert_eq!(answer["statusCode"], 202, "{answer:#}");
    let requests = table.take_requests();
    let [request] = requests.as_slice() else {
        panic!("{requests:?}");
    };
    let target = request.header("x-amz-target").unwrap();
    assert!(target.ends_with(".PutItem"), "{target}");
    assert_eq!(request.json()["Item"]["pk"]["S"], "request");
    let template = concat!(env!("CARGO_MANIFEST_DIR"), "/template.yaml");
    let template = std::fs::read_to_string(template).unwrap();
    assert!(template.contains("dynamodb:LeadingKeys: [request]"));
    world.finish();
}

/// Before anybody has filled the secret, a tick is no failure, and asks nobody for more.
#[tokio::test]
async fn ticks_wait_for_credentials_and_begin_the_first_run_when_they_are_there() {
    let secrets = sandbox::aws::SecretsManager::start().await.unwrap();
    secrets.create(SECRET_ID);
    secrets.put(WEBHOOK_SECRET_ID, WEBHOOK_SECRET);
    let world = World::with_secrets(from_secrets(), &secrets).await;
    let tick = || world.invoke(json!({"action": "tick", "url": "https://ferry.example.com/"}));
    for minute in 0..3 {
        let outcome = tick().await.unwrap();
        assert_eq!(outcome, json!({"status": "idle"}), "minute {minute}");
    }
    let (bitbucket, port) = world.take_requests();
    assert!(bitbucket.is_empty() && port.is_empty());
    // Who asks for a run is told why there is none.
    let refused = world.invoke(json!({"action": "resync"})).await.unwrap_err();
    assert_eq!(refused.error_type(), "NoCredentials");
    assert!(
        refused.to_string().contains("ferry secret put"),
        "{refused}"
    );
    secrets.put(
        SECRET_ID,
        &document(PORT_CLIENT_SECRET, sandbox::bitbucket::Bitbucket::TOKEN),
    );
    let outcome = tick().await.unwrap();
    assert_eq!(outcome["status"], "completed", "{outcome:#}");
    world.finish();
}

/// What takes long, and what somebody dead holds up, fits the two minutes that events have.
#[tokio::test]
async fn two_minutes_are_enough_for_a_slow_bitbucket_and_the_pen_of_a_dead_worker() {
    let world = World::demo().await.with_queue().await;
    world.resync().await;
    let new = NewPullRequest::new("Slow", "Luis Ferro");
    let (slow, told) = world.bitbucket.open_pull_request("monorepo", new).unwrap();
    world.accept(&told).await;
    world
        .accept(&retitle(&world.bitbucket, "payments-api", 2, "Quick"))
        .await;
    let fault = Fault::new("/pullrequests", FaultKind::slow(50)).times(1);
    world.bitbucket.server().misbehave(fault);
    let dead = world.elsewhere();
    match dead
        .leases
        .try_take(LeaseName::Pen, Asker::Live)
        .await
        .unwrap()
    {
        Attempt::Taken(pen) => drop(pen),
        Attempt::Refused => panic!("the pen is free"),
    }
    let begun = world.clock.now();
    let worker = world.elsewhere();
    let (received, back) = world.work_off_at(&worker, EVENTS).await;
    assert!(2 < received && back == 0, "{back} of {received} come back");
    let took = Duration::try_from(world.clock.now().duration_since(begun)).unwrap();
    assert!(Duration::from_secs(80) <= took && took < EVENTS, "{took:?}");
    let entity = |id: &str| world.port.entity("bitbucketPullRequest", id);
    assert!(entity(&format!("monorepo/{slow}")).is_some());
    assert_fresh(&world, "in two minutes").await;
    world.finish();
}

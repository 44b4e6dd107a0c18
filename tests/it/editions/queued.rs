//! What lies in the queue when a stack is brought up to date: messages as earlier editions wrote them, recorded in
//! `tests/fixtures/editions/`, each file once and for good.
//!
//! `first.json` was written by the edition before the engine became one (what its messages had seen of their objects is
//! shortened), `second.json` by the present one. A form that changes gets the next version and a file of its own.

use std::collections::BTreeMap;

use ferry::queue::Message;
use sandbox::aws::{FifoQueue, Table};
use sandbox::bitbucket::{Bitbucket, NewPullRequest, PullRequestChange};
use sandbox::webhook::Delivery;
use serde::Deserialize;
use serde_json::Value;

use super::{Edition, assert_settled};
use crate::doubt::assert_fresh;
use crate::support::World;

/// Messages that wait, and which repositories they are about.
#[derive(Deserialize)]
struct Recorded {
    /// Uuids by slug.
    repositories: BTreeMap<String, String>,
    messages: Vec<Value>,
    /// That no event leads to by itself.
    #[serde(default)]
    further: Vec<Value>,
}

impl Recorded {
    fn read(name: &str) -> Recorded {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/editions");
        let text = std::fs::read_to_string(format!("{folder}/{name}.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// As messages say it about the repositories that are there now.
    fn bodies(&self, messages: &[Value], now: &BTreeMap<String, String>) -> Vec<String> {
        let bodies = messages.iter().map(|message| {
            let mut body = message.to_string();
            for (slug, uuid) in &self.repositories {
                body = body.replace(uuid, now.get(slug).unwrap_or(uuid));
            }
            body
        });
        bodies.collect()
    }
}

/// Uuids by slug.
fn repositories(bitbucket: &Bitbucket) -> BTreeMap<String, String> {
    let slugs = [
        "a.b_c",
        "checkout-service",
        "monorepo",
        "payments-api",
        "perl-scripts",
        "raku-scripts",
        "zurich-unicode",
        "of-old",
        "payments-fork",
    ];
    let found = slugs.into_iter().filter_map(|slug| {
        let uuid = bitbucket.repository_uuid(slug).ok()?;
        Some((slug.to_owned(), uuid))
    });
    found.collect()
}

/// One change of each sort of event, and what Bitbucket tells of it.
fn changes(bitbucket: &Bitbucket) -> Vec<Delivery> {
    let (payments, mono) = ("payments-api", "monorepo");
    let new = NewPullRequest::new("Of old", "Luis Ferro").reviewed_by("Dana Okafor");
    let (id, mut told) = bitbucket.open_pull_request(mono, new).unwrap();
    told.extend(bitbucket.approve(mono, id, "Dana Okafor").unwrap());
    told.extend(bitbucket.comment(mono, id, "Mina Sato", "Good").unwrap());
    told.extend(bitbucket.merge(payments, 1, "Mina Sato").unwrap());
    let change = PullRequestChange {
        title: Some("Told before the update".to_owned()),
        ..PullRequestChange::default()
    };
    told.extend(bitbucket.update_pull_request(payments, 2, change).unwrap());
    let readme = [("README.md", Some("# Pushed before the update\n"))];
    told.extend(
        bitbucket
            .push("checkout-service", "main", &readme)
            .unwrap()
            .1,
    );
    told.extend(bitbucket.describe_repository("a.b_c", "Described").unwrap());
    told.extend(
        bitbucket
            .fork_repository(payments, "PLAT", "Payments Fork")
            .unwrap()
            .1,
    );
    told.extend(bitbucket.create_repository("PLAT", "Of old").unwrap().1);
    told.extend(bitbucket.rename_project("PAY", "Payments of old").unwrap());
    told.extend(bitbucket.delete_repository("zurich-unicode").unwrap());
    told.extend(
        bitbucket
            .rename_repository("perl-scripts", "Raku Scripts")
            .unwrap(),
    );
    told
}

async fn stand(world: &World) -> Edition {
    let (table, queue) = (
        Table::start().await.unwrap(),
        FifoQueue::start().await.unwrap(),
    );
    Edition::of(world, &table, &queue)
}

/// Without the help of a resync: nothing asks for one.
#[tokio::test]
async fn what_earlier_editions_have_queued_is_worked_off() {
    for edition in ["first", "second"] {
        let world = World::demo().await;
        let stand = stand(&world).await;
        assert_eq!(stand.resync(&world).await["status"], "completed");
        let mut now = repositories(&world.bitbucket);
        assert!(10 < changes(&world.bitbucket).len());
        now.extend(repositories(&world.bitbucket));
        let recorded = Recorded::read(edition);
        let messages = [recorded.messages.as_slice(), recorded.further.as_slice()].concat();
        for body in recorded.bodies(&messages, &now) {
            let message = Message::decode(&body).unwrap();
            stand.queue.put(&message.look.object(), &body);
        }
        let begun = super::runs_begun(&world);
        stand.drain(&world).await;
        assert_eq!(
            super::runs_begun(&world),
            begun,
            "{edition}: no resync helps"
        );
        assert_settled(&world, &stand, edition).await;
        assert_fresh(&world, edition).await;
        world.finish();
    }
}

/// Whoever changes what is written raises its version, and keeps what is recorded of this one.
#[tokio::test]
async fn messages_are_written_as_recorded() {
    let world = World::demo().await;
    let stand = stand(&world).await;
    let mut now = repositories(&world.bitbucket);
    let told = changes(&world.bitbucket);
    now.extend(repositories(&world.bitbucket));
    for delivery in told {
        assert_eq!(world.post_at(&stand.app, &delivery).await, 202);
    }
    let mut written = Vec::new();
    while !stand.queue.is_empty() {
        for message in stand.queue.hand_out() {
            written.push(json(message.record["body"].as_str().unwrap()));
            stand.queue.delete(&[message.receipt]);
        }
    }
    let recorded = Recorded::read("second");
    let bodies = recorded.bodies(&recorded.messages, &now);
    let recorded: Vec<Value> = bodies.iter().map(|body| json(body)).collect();
    assert_eq!(bare(written), bare(recorded));
    world.finish();
}

fn json(body: &str) -> Value {
    serde_json::from_str(body).unwrap()
}

/// Without what differs each time.
fn bare(mut messages: Vec<Value>) -> Vec<Value> {
    for message in &mut messages {
        let message = message.as_object_mut().unwrap();
        for name in ["acceptedAt", "requestId", "notOlderThan"] {
            message.remove(name);
        }
    }
    messages.sort_by_key(Value::to_string);
    messages
}

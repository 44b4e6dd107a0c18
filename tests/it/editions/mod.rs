//! An update of a stack that is at work, and its withdrawal: for minutes two editions share the table and the queue, and
//! afterwards one meets what the other has left. Nothing that was told is lost, nothing that exists is deleted, and
//! nobody begins one resync after another.
//!
//! The later edition is the present one behind a veil (`sandbox::aws`): each shape that it writes is one that the present
//! edition does not know.

// mod queued;

use std::time::Duration;

use ferry::app::App;
use ferry::queue::Queue;
use ferry::store::Store;
use sandbox::aws::{FifoQueue, Table};
use sandbox::port::Write;
use sandbox::server::Fault;
use serde_json::{Value, json};

use crate::convergence::every_kind;
use crate::doubt::{assert_fresh, retitle};
use crate::emulated::sdk_config;
use crate::support::{World, event};

const MINUTE: Duration = Duration::from_secs(60);

/// The timeout of the function that works off events.
const EVENTS: Duration = Duration::from_secs(120);

/// What one edition runs with: its own sight of the table and of the queue that both share.
pub(crate) struct Edition {
    app: App,
    queue: FifoQueue,
    // Ends when it is dropped.
    _table: Table,
}

/// Which edition has which function for now.
#[derive(Clone, Copy)]
struct Roles<'a> {
    receiver: &'a Edition,
    events: &'a Edition,
    runs: &'a Edition,
}

impl<'a> Roles<'a> {
    fn all(edition: &'a Edition) -> Roles<'a> {
        Roles {
            receiver: edition,
            events: edition,
            runs: edition,
        }
    }
}

impl Edition {
    fn of(world: &World, table: &Table, queue: &FifoQueue) -> Edition {
        let client = aws_sdk_dynamodb::Client::new(&sdk_config(table.server().url()));
        let store = Store::dynamodb(client, "ferry".to_owned(), world.clock.clone());
        let client = aws_sdk_sqs::Client::new(&sdk_config(queue.server().url()));
        let app = world.elsewhere().with_store(store);
        Edition {
            app: app.with_queue(Queue::sqs(client, queue.url())),
            queue: queue.clone(),
            _table: table.clone(),
        }
    }

    /// The present edition and a later one, which share table and queue.
    async fn two(world: &World) -> (Edition, Edition) {
        let table = Table::start().await.unwrap();
        let queue = FifoQueue::start().await.unwrap();
        let (later_table, later_queue) = (table.of_later_edition(), queue.of_later_edition());
        let (later_table, later_queue) = (later_table.await.unwrap(), later_queue.await.unwrap());
        (
            Edition::of(world, &table, &queue),
            Edition::of(world, &later_table, &later_queue),
        )
    }

    /// One invocation with what the queue hands out now; returns how many messages there were.
    async fn work_off(&self, world: &World) -> usize {
        self.queue.set_now(world.clock.now());
        let batch = self.queue.hand_out();
        if batch.is_empty() {
            return 0;
        }
        let records: Vec<&Value> = batch.iter().map(|message| &message.record).collect();
        let invoked = world.invoke_for(&self.app, json!({"Records": records}), EVENTS);
        let answer = invoked.await.unwrap();
        let failed = answer["batchItemFailures"].as_array().unwrap();
        let failed: Vec<&Value> = failed.iter().map(|it| &it["itemIdentifier"]).collect();
        let done = batch.iter();
        let done = done.filter(|message| !failed.contains(&&message.record["messageId"]));
        let done: Vec<String> = done.map(|message| message.receipt.clone()).collect();
        self.queue.delete(&done);
        batch.len()
    }

    async fn tick(&self, world: &World) -> Value {
        let tick = world.invoke_at(&self.app, json!({"action": "tick"}));
        tick.await.unwrap()
    }

    async fn resync(&self, world: &World) -> Value {
        let resync = world.invoke_at(&self.app, event("eventbridge-rule"));
        resync.await.unwrap()
    }

    /// Minutes pass, with a tick each, until nothing waits in the queue.
    async fn drain(&self, world: &World) {
        for _ in 0..90 {
            while 0 < self.work_off(world).await {}
            self.tick(world).await;
            world.clock.advance(MINUTE);
            if self.queue.is_empty() {
                break;
            }
        }
        assert!(self.queue.is_empty(), "{} messages wait", self.queue.len());
        assert_eq!(self.queue.dead_letters(), Vec::<String>::new());
    }
}

/// Runs that Port has heard of.
fn runs_begun(world: &World) -> usize {
    let states = world.port.resync_states();
    let begun = states
        .iter()
        .filter(|state| state.to_string().contains("\"running\""));
    begun.count()
}

/// Minutes of work: changes that are told at once, a turn of the queue, a tick. What happened is added to `story`.
async fn minutes(world: &World, roles: Roles<'_>, seeds: std::ops::Range<u64>, story: &mut String) {
    for seed in seeds {
        let (what, deliveries) = world.bitbucket.change_at_random(seed).unwrap();
        story.push_str(&format!("{what}\n"));
        for delivery in &deliveries {
            assert_eq!(world.post_at(&roles.receiver.app, delivery).await, 202);
        }
        // Some of it waits for the next minute.
        roles.events.work_off(world).await;
        let outcome = roles.runs.tick(world).await;
        story.push_str(&format!(
            "tick: {} {}\n",
            outcome["status"], outcome["reason"]
        ));
        world.clock.advance(MINUTE);
    }
}

/// Everything is as a first resync would make it, and stays so without another one.
async fn assert_settled(world: &World, edition: &Edition, story: &str) {
    edition.drain(world).await;
    // A run may have to wait for an hour's allowance.
    for _ in 0..90 {
        while 0 < edition.work_off(world).await {}
        edition.tick(world).await;
        world.clock.advance(MINUTE);
    }
    let fresh = world.fresh_catalogue().await;
    let live = world.port.catalogue();
    let difference = crate::convergence::difference(&live, &fresh);
    assert!(live == fresh, "{story}\n{difference}");
    let begun = runs_begun(world);
    for _ in 0..20 {
        edition.tick(world).await;
        world.clock.advance(MINUTE);
    }
    assert_eq!(runs_begun(world), begun, "{story}: resyncs go on and on");
}

/// Runs that a change of editions may cost: one that finds nothing it can read, one for what a run of the other edition
/// has left, one for what was queued.
const RUNS_OF_A_CHANGE: usize = 3;

#[tokio::test]
async fn an_update_and_its_withdrawal_lose_nothing_and_delete_nothing() {
    for seed in [1_000, 2_000] {
        let world = every_kind().await;
        let (present, later) = Edition::two(&world).await;
        let mut story = String::new();
        assert_eq!(present.resync(&world).await["status"], "completed");
        let mut seeds = (seed..).step_by(5).map(|first| first..first + 5);
        let mut five = || seeds.next().unwrap();
        minutes(&world, Roles::all(&present), five(), &mut story).await;
        for (before, after) in [(&present, &later), (&later, &present)] {
            story.push_str("another edition\n");
            let begun = runs_begun(&world);
            // CloudFormation brings one function after the other up to date, in any order.
            for roles in [
                Roles {
                    runs: after,
                    ..Roles::all(before)
                },
                Roles {
                    receiver: after,
                    runs: after,
                    ..Roles::all(before)
                },
            ] {
                minutes(&world, roles, five().start..five().start + 2, &mut story).await;
            }
            let mixed = 4;
            minutes(&world, Roles::all(after), five(), &mut story).await;
            assert_settled(&world, after, &story).await;
            let begun = runs_begun(&world) - begun;
            assert!(begun <= mixed + RUNS_OF_A_CHANGE, "{begun} runs:\n{story}");
        }
        world.finish();
    }
}

/// A run is under way, a look is stored to be taken again, and events wait.
#[tokio::test]
async fn what_is_unfinished_at_an_update_is_finished_after_it() {
    for back in [false, true] {
        let world = every_kind().await;
        let (present, later) = Edition::two(&world).await;
        let (mut before, after) = match back {
            false => (present, later),
            true => (later, present),
        };
        assert_eq!(before.resync(&world).await["status"], "completed");
        let repository = "payments-api";
        let unreadable = Fault::refused("/pullrequests", 403).always();
        world.bitbucket.server().misbehave(unreadable);
        for delivery in retitle(&world.bitbucket, repository, 2, "Not to be read for now") {
            assert_eq!(world.post_at(&before.app, &delivery).await, 202);
        }
        before.work_off(&world).await;
        assert!(before.queue.is_empty(), "the look is stored");
        world.bitbucket.server().behave();
        pause_a_run(&world, &mut before).await;
        let (_, mut told) = world
            .bitbucket
            .create_repository("PLAT", "Of the update")
            .unwrap();
        told.extend(world.bitbucket.delete_repository("zurich-unicode").unwrap());
        for delivery in &told {
            assert_eq!(world.post_at(&before.app, delivery).await, 202);
        }
        let writes: Vec<Write> = world.port.take_writes();
        assert!(!writes.is_empty());
        let begun = runs_begun(&world);
        assert_settled(&world, &after, &format!("back: {back}")).await;
        assert_fresh(&world, &format!("back: {back}")).await;
        let begun = runs_begun(&world) - begun;
        assert!(begun <= RUNS_OF_A_CHANGE, "{begun} runs, back: {back}");
        world.finish();
    }
}

/// A run of `edition` that has come half the way when its time is up.
async fn pause_a_run(world: &World, edition: &mut Edition) {
    world
        .bitbucket
        .rename_repository("monorepo", "Mono Repo")
        .unwrap();
    let margin = std::mem::replace(
        &mut edition.app.config.slice_margin,
        Duration::from_secs(800),
    );
    for server in [world.bitbucket.server(), world.port.server()] {
        let clock = world.clock.clone();
        server.before_each(move |_| clock.advance(Duration::from_secs(4)));
    }
    let outcome = edition.resync(world).await;
    assert_eq!(outcome["status"], "paused", "{outcome:#}");
    for server in [world.bitbucket.server(), world.port.server()] {
        server.before_each(|_| ());
    }
    edition.app.config.slice_margin = margin;
}

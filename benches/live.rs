//! How long a live event takes, alone and while a run is at work: `cargo bench --bench live`.

#![expect(clippy::print_stdout, reason = "the result of the bench")]

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use aws_config::SdkConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region, SharedCredentialsProvider};
use ferry::app::App;
use ferry::config::Config;
use ferry::deadline::{Clock, Deadline};
use ferry::http::Http;
use ferry::invocation;
use ferry::metrics::Metrics;
use ferry::queue::{Local, Queue, Taken};
use ferry::secrets::Secrets;
use ferry::store::Store;
use sandbox::aws::{Table, function_url_event};
use sandbox::bitbucket::{Bitbucket, PullRequestChange, PullRequestState, Workspace};
use sandbox::port::Port;
use serde_json::{Value, json};

/// About what Bitbucket and Port take from a region nearby.
const LATENCY: Duration = Duration::from_millis(50);

/// What they take while a run is at work, and what DynamoDB takes.
const SLOW: Duration = Duration::from_millis(100);
const TABLE_LATENCY: Duration = Duration::from_millis(5);

const EVENTS: usize = 200;

/// Of the workspace that a run is at work on.
const REPOSITORIES: usize = 300;
const PULL_REQUESTS: usize = 40;

/// Between two events while a run is at work.
const PAUSE: Duration = Duration::from_millis(100);

const SECRET: &str = "for the bench";

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    alone().await?;
    while_a_run_is_at_work().await
}

fn deadline() -> Deadline {
    Deadline::after(&Clock::System, Duration::from_secs(900))
}

async fn alone() -> anyhow::Result<()> {
    let bitbucket = Bitbucket::start(Workspace::demo()?).await?;
    let port = Port::start().await?.with_credentials("id", "secret");
    let app = app(&bitbucket, &port, Store::memory()).await?;
    invocation::handle(&app, json!({"action": "resync"}), &deadline()).await?;
    for latency in [Duration::ZERO, LATENCY] {
        for server in [bitbucket.server(), port.server()] {
            server.answer_after(latency);
        }
        let (mut accepted, mut applied) = (Vec::new(), Vec::new());
        for number in 0..EVENTS {
            for (received, done) in event(&app, &bitbucket, "payments-api", number).await? {
                accepted.push(received);
                applied.push(done);
            }
        }
        println!("pull request events, one at a time, servers that answer after {latency:?}");
        report("delivery to 202", accepted);
        report("delivery to catalogue", applied);
    }
    Ok(())
}

/// A first run, which commits all the time, and events that another process works off.
async fn while_a_run_is_at_work() -> anyhow::Result<()> {
    let bitbucket = Workspace::generate(5, REPOSITORIES, PULL_REQUESTS, 7)?;
    let bitbucket = Bitbucket::start(bitbucket).await?;
    let port = Port::start().await?.with_credentials("id", "secret");
    let table = Table::start().await?;
    let runner = app(&bitbucket, &port, store(&table)?).await?;
    let mut worker = app(&bitbucket, &port, store(&table)?).await?;
    let figures = Figures::default();
    worker.metrics = Metrics::to("bench".to_owned(), true, figures.clone());
    for server in [bitbucket.server(), port.server()] {
        server.answer_after(SLOW);
    }
    table.server().answer_after(TABLE_LATENCY);
    let repositories = bitbucket.repositories();
    let is_over = AtomicBool::new(false);
    let run = async {
        let begun = Instant::now();
        let outcome = invocation::handle(&runner, json!({"action": "resync"}), &deadline()).await?;
        is_over.store(true, Ordering::Relaxed);
        ensure!(outcome["status"] == "completed", "{outcome}");
        Ok((begun.elapsed(), outcome))
    };
    let events = async {
        let mut applied = Vec::new();
        while !is_over.load(Ordering::Relaxed) {
            let number = applied.len();
            let repository = repositories.get(number % repositories.len());
            let repository = repository.context("no repository")?;
            let times = event(&worker, &bitbucket, repository, number).await?;
            applied.extend(times.into_iter().map(|(_, done)| done));
            tokio::time::sleep(PAUSE).await;
        }
        anyhow::Ok(applied)
    };
    let (run, applied) = tokio::join!(run, events);
    let (took, outcome) = run?;
    println!(
        "a first run of {REPOSITORIES} repositories at work for {took:.1?}, {} entities; servers that answer after {SLOW:?}, \
         a table after {TABLE_LATENCY:?}",
        outcome["counts"]["written"]
    );
    report("an event waits for the pen", figures.waits());
    report("delivery to catalogue", applied?);
    Ok(())
}

/// Lines of figures that were printed.
#[derive(Clone, Default)]
struct Figures(Arc<Mutex<Vec<u8>>>);

impl Write for Figures {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut printed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        printed.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Figures {
    fn waits(&self) -> Vec<Duration> {
        let printed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = printed.split(|byte| *byte == b'\n');
        let values = lines.filter_map(|line| {
            let line: Value = serde_json::from_slice(line).ok()?;
            let wait = line.get("PenWaitSeconds")?;
            wait.as_f64().or_else(|| wait.get(0)?.as_f64())
        });
        values.map(Duration::from_secs_f64).collect()
    }
}

/// The `number`th change of an open pull request of `repository`, told and worked off: for each delivery how long it
/// took until it was accepted, and until it was in the catalogue.
async fn event(
    app: &App,
    bitbucket: &Bitbucket,
    repository: &str,
    number: usize,
) -> anyhow::Result<Vec<(Duration, Duration)>> {
    let mut all = bitbucket.pull_requests(repository)?.into_iter();
    let Some((id, _)) = all.find(|(_, state)| *state == PullRequestState::Open) else {
        return Ok(Vec::new());
    };
    let change = PullRequestChange {
        title: Some(format!("Title {number}")),
        ..PullRequestChange::default()
    };
    let mut times = Vec::new();
    for delivery in bitbucket.update_pull_request(repository, id, change)? {
        let headers = delivery.headers(SECRET);
        let event = function_url_event("POST", "/webhook", &headers, &delivery.body);
        let begun = Instant::now();
        let answer = invocation::handle(app, event, &deadline()).await?;
        let accepted = begun.elapsed();
        ensure!(answer["statusCode"] == 202, "{answer}");
        let answer = invocation::handle(app, records(app).await?, &deadline()).await?;
        times.push((accepted, begun.elapsed()));
        ensure!(answer["batchItemFailures"] == json!([]), "{answer}");
    }
    Ok(times)
}

fn store(table: &Table) -> anyhow::Result<Store> {
    let credentials = Credentials::new("AKIAIOSFODNN7EXAMPLE", "not-a-secret", None, None, "bench");
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .endpoint_url(table.server().url())
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(ferry::aws::http_client(&Http::new(Clock::System)?))
        .build();
    let client = aws_sdk_dynamodb::Client::new(&config);
    Ok(Store::dynamodb(client, "ferry".to_owned(), Clock::System))
}

/// What Lambda would hand out of the queue.
async fn records(app: &App) -> anyhow::Result<Value> {
    let Some(Queue::Local(queue)) = &app.queue else {
        anyhow::bail!("no queue");
    };
    let received = queue.receive().await?;
    let receipts: Vec<String> = received.iter().map(|taken| taken.receipt.clone()).collect();
    queue.complete(&receipts).await?;
    let record = |taken: Taken| {
        json!({
            "messageId": taken.receipt, "receiptHandle": taken.receipt, "body": taken.body,
            "attributes": {"ApproximateReceiveCount": taken.receives.to_string()},
            "eventSource": "aws:sqs", "messageAttributes": {},
        })
    };
    Ok(json!({"Records": received.into_iter().map(record).collect::<Vec<Value>>()}))
}

fn report(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |share: usize| {
        times
            .get(times.len() * share / 100)
            .copied()
            .unwrap_or_default()
    };
    let longest = times.last().copied().unwrap_or_default();
    println!(
        "  {what}: p50 {:.2?}, p95 {:.2?}, at most {longest:.2?} ({} times)",
        at(50),
        at(95),
        times.len()
    );
}

async fn app(bitbucket: &Bitbucket, port: &Port, store: Store) -> anyhow::Result<App> {
    let settings = [
        ("OCEAN__PORT__BASE_URL", port.url()),
        ("OCEAN__PORT__CLIENT_ID", "id".to_owned()),
        ("OCEAN__PORT__CLIENT_SECRET", "secret".to_owned()),
        (
            "OCEAN__INTEGRATION__CONFIG__BITBUCKET_HOST_URL",
            bitbucket.url(),
        ),
        (
            "OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE",
            bitbucket.workspace(),
        ),
        (
            "OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE_TOKEN",
            Bitbucket::TOKEN.to_owned(),
        ),
        (
            "OCEAN__INTEGRATION__CONFIG__WEBHOOK_SECRET",
            SECRET.to_owned(),
        ),
    ];
    let config = Config::read(settings)?;
    let clock = Clock::System;
    let secrets = Secrets::new(&config, None, clock.clone());
    let mut app = App::new(config, Http::new(clock.clone())?, secrets, store);
    app.queue = Some(Queue::Local(Local::open(Store::memory(), clock).await?));
    Ok(app)
}

//! How long a live event takes, with servers that answer after 50 ms: `cargo bench --bench live`.

#![expect(clippy::print_stdout, reason = "the result of the bench")]

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use ferry::app::App;
use ferry::config::Config;
use ferry::deadline::{Clock, Deadline};
use ferry::http::Http;
use ferry::invocation;
use ferry::queue::{Local, Queue, Taken};
use ferry::secrets::Secrets;
use ferry::store::Store;
use sandbox::aws::function_url_event;
use sandbox::bitbucket::{Bitbucket, PullRequestChange, PullRequestState, Workspace};
use sandbox::port::Port;
use serde_json::{Value, json};

/// About what Bitbucket and Port take from a region nearby.
const LATENCY: Duration = Duration::from_millis(50);

const EVENTS: usize = 200;

const SECRET: &str = "for the bench";

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let bitbucket = Bitbucket::start(Workspace::demo()?).await?;
    let port = Port::start().await?.with_credentials("id", "secret");
    let app = app(&bitbucket, &port).await?;
    let deadline = || Deadline::after(&Clock::System, Duration::from_secs(900));
    invocation::handle(&app, json!({"action": "resync"}), &deadline()).await?;
    for server in [bitbucket.server(), port.server()] {
        server.answer_after(LATENCY);
    }
    let (id, _) = bitbucket
        .pull_requests("payments-api")?
        .into_iter()
        .find(|(_, state)| *state == PullRequestState::Open)
        .context("nothing is open")?;
    let (mut accepted, mut applied) = (Vec::new(), Vec::new());
    for number in 0..EVENTS {
        let change = PullRequestChange {
            title: Some(format!("Title {number}")),
            ..PullRequestChange::default()
        };
        for delivery in bitbucket.update_pull_request("payments-api", id, change)? {
            let headers = delivery.headers(SECRET);
            let event = function_url_event("POST", "/webhook", &headers, &delivery.body);
            let begun = Instant::now();
            let answer = invocation::handle(&app, event, &deadline()).await?;
            accepted.push(begun.elapsed());
            ensure!(answer["statusCode"] == 202, "{answer}");
            let answer = invocation::handle(&app, records(&app).await?, &deadline()).await?;
            applied.push(begun.elapsed());
            ensure!(answer["batchItemFailures"] == json!([]), "{answer}");
        }
    }
    println!("pull request events, one at a time, servers that answer after {LATENCY:?}");
    report("delivery to 202", accepted);
    report("delivery to catalogue", applied);
    Ok(())
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
    println!("{what}: p50 {:.2?}, p95 {:.2?}", at(50), at(95));
}

async fn app(bitbucket: &Bitbucket, port: &Port) -> anyhow::Result<App> {
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
    let mut app = App::new(config, Http::new(clock.clone())?, secrets, Store::memory());
    app.queue = Some(Queue::Local(Local::open(Store::memory(), clock).await?));
    Ok(app)
}

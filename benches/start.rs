//! What the function's process takes: processor time until it waits for its first event, and memory with webhooks:
//! `cargo bench --bench start` (Linux, `/proc`).

#![expect(clippy::print_stdout, reason = "the result of the bench")]

use std::time::Duration;

use anyhow::{Context as _, ensure};
use sandbox::aws::{Function, Program, RuntimeApi, function_url_event};
use sandbox::bitbucket::{Bitbucket, NewPullRequest, Workspace};
use sandbox::port::Port;
use serde_json::{Value, json};

const STARTS: usize = 30;

const SECRET: &str = "for the bench";

const LIMIT: Duration = Duration::from_secs(60);

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let bitbucket = Bitbucket::start(Workspace::demo()?).await?;
    let port = Port::start().await?.with_credentials("id", "secret");
    let setting = |name: &str| format!("OCEAN__INTEGRATION__CONFIG__{name}");
    let program = Program::new(env!("CARGO_BIN_EXE_ferry-lambda"))
        .var("OCEAN__PORT__BASE_URL", port.url())
        .var("OCEAN__PORT__CLIENT_ID", "id")
        .var("OCEAN__PORT__CLIENT_SECRET", "secret")
        .var(setting("BITBUCKET_HOST_URL"), bitbucket.url())
        .var(setting("BITBUCKET_WORKSPACE"), bitbucket.workspace())
        .var(setting("BITBUCKET_WORKSPACE_TOKEN"), Bitbucket::TOKEN)
        .var(setting("WEBHOOK_SECRET"), SECRET);
    let runtime = RuntimeApi::start().await?;
    starts(&runtime, program.clone()).await?;
    // In the place of the table: what a run has recorded, the next process has to find.
    let state = std::env::temp_dir().join(format!("ferry-bench-{}", std::process::id()));
    let program = program.var("FERRY__STATE_DIR", state.display().to_string());
    let measured = events(&runtime, program, &bitbucket).await;
    std::fs::remove_dir_all(&state)?;
    measured
}

async fn starts(runtime: &RuntimeApi, program: Program) -> anyhow::Result<()> {
    // With everything that the template names; nothing of it is asked before the first event.
    let deployed = [
        ("FERRY__SECRET_ID", "credentials"),
        ("FERRY__WEBHOOK_SECRET_ID", "webhook"),
        ("FERRY__STATE_TABLE", "ferry"),
        (
            "FERRY__QUEUE_URL",
            "https://sqs.eu-central-1.amazonaws.com/123456789012/ferry.fifo",
        ),
        ("FERRY__METRICS_NAMESPACE", "Ferry/bench"),
    ];
    let deployed = deployed
        .into_iter()
        .fold(program, |program, (name, value)| program.var(name, value));
    let mut function = Function::start(runtime, deployed)?;
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        function.restart().await?;
        function.wait_ready(LIMIT).await?;
        starts.push(processor_time(&function)?);
    }
    starts.sort();
    let median = starts.get(STARTS / 2).context("no starts")?;
    println!(
        "processor time until the first event is waited for: {median:.1?} (median of {STARTS})"
    );
    println!("  memory then: {} MB", memory(&function)?);
    function.kill().await;
    Ok(())
}

async fn events(
    runtime: &RuntimeApi,
    program: Program,
    bitbucket: &Bitbucket,
) -> anyhow::Result<()> {
    let mut function = Function::start(runtime, program)?;
    function.wait_ready(LIMIT).await?;
    let refused = function_url_event("POST", "/webhook", &[], b"{}");
    let before = processor_time(&function)?;
    for _ in 0..100 {
        let answer = invoke(runtime, refused.clone()).await?;
        ensure!(answer["statusCode"] == 401, "{answer}");
    }
    let each = (processor_time(&function)? - before) / 100;
    println!(
        "an unsigned webhook: {each:.2?}; memory at most {} MB",
        peak(&function)?
    );

    invoke(runtime, json!({"action": "resync"})).await?;
    function.restart().await?;
    function.wait_ready(LIMIT).await?;
    for number in 0..50 {
        let new = NewPullRequest::new(format!("Number {number}"), "Luis Ferro");
        let (_, deliveries) = bitbucket.open_pull_request("monorepo", new)?;
        for delivery in deliveries {
            let headers = delivery.headers(SECRET);
            let event = function_url_event("POST", "/webhook", &headers, &delivery.body);
            let answer = invoke(runtime, event).await?;
            ensure!(answer["body"] == r#"{"message":"done"}"#, "{answer}");
        }
    }
    println!(
        "webhooks with their effect, one after the other: memory at most {} MB",
        peak(&function)?
    );
    function.kill().await;
    Ok(())
}

async fn invoke(runtime: &RuntimeApi, event: Value) -> anyhow::Result<Value> {
    let outcome = runtime.invoke(event, LIMIT).await;
    outcome.map_err(|error| anyhow::anyhow!("{error:?}"))
}

/// Of all threads so far.
fn processor_time(function: &Function) -> anyhow::Result<Duration> {
    let id = function.process_id().context("it has ended")?;
    let mut nanoseconds = 0;
    for thread in std::fs::read_dir(format!("/proc/{id}/task"))? {
        let times = std::fs::read_to_string(thread?.path().join("schedstat"))?;
        let first = times.split_whitespace().next().context("no time")?;
        nanoseconds += first.parse::<u64>()?;
    }
    Ok(Duration::from_nanos(nanoseconds))
}

/// Resident, in MB.
fn memory(function: &Function) -> anyhow::Result<u64> {
    status(function, "VmRSS:")
}

fn peak(function: &Function) -> anyhow::Result<u64> {
    status(function, "VmHWM:")
}

fn status(function: &Function, name: &str) -> anyhow::Result<u64> {
    let id = function.process_id().context("it has ended")?;
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kilobytes = line.context("no such line")?.trim().trim_end_matches(" kB");
    Ok(kilobytes.trim().parse::<u64>()? / 1024)
}

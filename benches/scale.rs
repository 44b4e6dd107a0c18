//! A resync of a large workspace on simulated time: `cargo bench --bench scale`.
//!
//! Bitbucket and Port run in a process of their own, so that the peak memory is Ferry's.

#![expect(clippy::print_stdout, reason = "the result of the bench")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use ferry::app::App;
use ferry::config::Config;
use ferry::deadline::{Clock, Deadline};
use ferry::http::Http;
use ferry::resync::{self, Outcome};
use ferry::secrets::Secrets;
use ferry::state::Store;
use sandbox::bitbucket::{Bitbucket, Workspace};
use sandbox::port::Port;

const REPOSITORIES: usize = 5_000;
const PULL_REQUESTS: usize = 40;

/// What a request adds to the time of a slice: an answer takes about 300 ms, and six are under way at once.
const PER_REQUEST: Duration = Duration::from_millis(50);

/// The share of each allowance that is left to live events.
const RESERVE: f64 = 0.1;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.iter().any(|argument| argument == "servers") {
        return servers().await;
    }
    if let Some(tokens) = arguments
        .iter()
        .position(|argument| argument == "tokens")
        .and_then(|position| arguments.get(position + 1))
    {
        return resync(tokens.parse()?).await;
    }
    println!(
        "{REPOSITORIES} repositories with {PULL_REQUESTS} pull requests each, a third of them open; default mapping, first resync"
    );
    for tokens in ["1", "4"] {
        // A process each: its peak memory is its own.
        let program = arguments.first().context("no program")?;
        let status = Command::new(program).args(["tokens", tokens]).status()?;
        ensure!(status.success(), "{tokens} tokens: {status}");
    }
    Ok(())
}

async fn servers() -> anyhow::Result<()> {
    let workspace = Workspace::generate(10, REPOSITORIES, PULL_REQUESTS, 7)?;
    let bitbucket = Bitbucket::start(workspace).await?;
    for token in 2..=4 {
        bitbucket.accept_token(&format!("token-{token}"));
    }
    let port = Port::start().await?.with_credentials("id", "secret");
    println!(
        "{} {} {}",
        bitbucket.url(),
        bitbucket.workspace(),
        port.url()
    );
    loop {
        // Requests are kept for tests; nobody asks here.
        tokio::time::sleep(Duration::from_secs(1)).await;
        bitbucket.server().take_requests();
        port.server().take_requests();
        port.take_writes();
    }
}

struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

async fn resync(tokens: usize) -> anyhow::Result<()> {
    let program = std::env::args().next().context("no program")?;
    let mut servers = Ended(
        Command::new(program)
            .arg("servers")
            .stdout(Stdio::piped())
            .spawn()?,
    );
    let mut addresses = String::new();
    let output = servers.0.stdout.take().context("no output")?;
    BufReader::new(output).read_line(&mut addresses)?;
    let addresses: Vec<&str> = addresses.split_whitespace().collect();
    let [bitbucket, workspace, port] = addresses[..] else {
        anyhow::bail!("the servers did not start");
    };
    let state = std::env::temp_dir().join(format!("ferry-scale-{}", std::process::id()));
    let clock = Clock::simulated("2026-11-23T07:00:00Z".parse()?);
    let others = (2..=tokens).map(|token| format!(",token-{token}"));
    let tokens_text: String = std::iter::once(Bitbucket::TOKEN.to_owned())
        .chain(others)
        .collect();
    let settings = [
        ("OCEAN__PORT__BASE_URL", port),
        ("OCEAN__PORT__CLIENT_ID", "id"),
        ("OCEAN__PORT__CLIENT_SECRET", "secret"),
        ("OCEAN__INTEGRATION__CONFIG__BITBUCKET_HOST_URL", bitbucket),
        ("OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE", workspace),
        (
            "OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE_TOKEN",
            &tokens_text,
        ),
    ];
    let lookup = |name: &str| {
        let found = settings.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    let config = Config::read(lookup)?;
    let secrets = Secrets::new(&config, None, clock.clone());
    let app = App::new(
        config,
        Http::new(clock.clone())?,
        secrets,
        Store::directory(&state),
    );
    let begun = clock.now();
    let mut billed = Duration::ZERO;
    let mut slices = 0;
    let mut computed = Duration::ZERO;
    let mut first = true;
    let summary = loop {
        let (sent, slice) = (app.http.sent(), Instant::now());
        let deadline = Deadline::after(&clock, Duration::from_secs(900));
        let outcome = match std::mem::take(&mut first) {
            true => resync::resync(&app, "bench", &deadline).await?,
            false => resync::tick(&app, &deadline).await?,
        };
        let worked = PER_REQUEST * u32::try_from(app.http.sent() - sent)?;
        computed += slice.elapsed();
        billed += worked;
        slices += u32::from(!worked.is_zero());
        clock.advance(worked);
        match outcome {
            Outcome::Completed(summary) => break summary,
            // The next tick.
            _ => clock.advance(Duration::from_secs(60)),
        }
    };
    let wall = Duration::try_from(clock.now().duration_since(begun))?;
    // Projects, repositories, and a page of open pull requests for each.
    let requests = 1 + REPOSITORIES.div_ceil(100) + REPOSITORIES;
    let an_hour = (1_000.0 * (1.0 - RESERVE)) as usize * tokens;
    let bound = Duration::from_secs(3600) * u32::try_from(requests / an_hour)?;
    let documents = documents(&state)?;
    std::fs::remove_dir_all(&state)?;
    ensure!(
        summary.failed_partitions.is_empty(),
        "{:?}",
        summary.failed_partitions
    );
    println!(
        "{tokens} token(s): {} entities, {} requests in all, {requests} of them limited to {an_hour}/h: at least {bound:?}",
        summary.counts.written,
        app.http.sent(),
    );
    println!(
        "  wall {wall:.0?} ({:+.1} %), {slices} slices, billed {billed:.0?} ({:.2} % of wall), of which {computed:.0?} \
         computed here, peak memory {} MB",
        100.0 * (wall.as_secs_f64() / bound.as_secs_f64().max(1.0) - 1.0),
        100.0 * billed.as_secs_f64() / wall.as_secs_f64(),
        peak_memory()? / 1024,
    );
    println!(
        "  {} documents in the store, the largest {} KB",
        documents.0,
        documents.1 / 1024
    );
    Ok(())
}

/// How many there are, and the bytes of the largest.
fn documents(path: &Path) -> anyhow::Result<(usize, u64)> {
    let mut found = (0, 0);
    for entry in std::fs::read_dir(path)? {
        found = (found.0 + 1, found.1.max(entry?.metadata()?.len()));
    }
    Ok(found)
}

/// In KB (Linux, `/proc`).
fn peak_memory() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let text = line.context("no VmHWM")?.trim().trim_end_matches(" kB");
    Ok(text.trim().parse()?)
}

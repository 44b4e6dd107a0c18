//! A resync of a large workspace on simulated time: `cargo bench --bench scale`, with another latency
//! `cargo bench --bench scale -- 200`.
//!
//! Bitbucket, Port and the table run in a process of their own, so that the peak memory is Ferry's. They take as long
//! to answer as real ones, so what Ferry takes while it works is measured; only the hours in between are simulated.
//! The servers are told the simulated time, and count what each token sends in any hour.

#![expect(clippy::print_stdout, reason = "the result of the bench")]

use std::collections::{HashMap, VecDeque};
use std::process::Stdio;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use aws_config::SdkConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region, SharedCredentialsProvider};
use ferry::app::App;
use ferry::config::Config;
use ferry::deadline::{Clock, Deadline};
use ferry::http::Http;
use ferry::resync::{self, RunOutcome, Summary};
use ferry::secrets::Secrets;
use ferry::store::Store;
use sandbox::aws::Table;
use sandbox::bitbucket::{Bitbucket, Workspace};
use sandbox::port::Port;
use sandbox::server::Request;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const REPOSITORIES: usize = 5_000;
const PULL_REQUESTS: usize = 40;

/// How long Bitbucket and Port take to answer, in milliseconds, unless the command line says otherwise.
const LATENCY: u64 = 100;

/// How long DynamoDB takes.
const TABLE_LATENCY: Duration = Duration::from_millis(5);

/// How often the simulated clock is set.
const BEAT: Duration = Duration::from_millis(10);

/// The share of each allowance that is left to live events.
const RESERVE: f64 = 0.1;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let numbers = arguments
        .iter()
        .filter_map(|argument| argument.parse().ok());
    let numbers: Vec<u64> = numbers.collect();
    let latency = numbers.first().copied().unwrap_or(LATENCY);
    match arguments.first().map(String::as_str) {
        Some("servers") => return servers(Duration::from_millis(latency)).await,
        Some("resync") => {
            let tokens = numbers.get(1).context("no number of tokens")?;
            return resync(latency, usize::try_from(*tokens)?).await;
        }
        _ => {}
    }
    println!(
        "{REPOSITORIES} repositories with {PULL_REQUESTS} pull requests each, a third of them open; default mapping, \
         first resync; answers of Bitbucket and Port after {latency} ms, of the table after {TABLE_LATENCY:?}"
    );
    for tokens in ["1", "4"] {
        // A process each: its peak memory is its own.
        let status = this_program()?
            .args(["resync", &latency.to_string(), tokens])
            .status()
            .await?;
        ensure!(status.success(), "{tokens} tokens: {status}");
    }
    Ok(())
}

fn this_program() -> anyhow::Result<Command> {
    Ok(Command::new(std::env::current_exe()?))
}

/// Starts a server on a thread of its own, so that none waits for another's work.
fn on_its_own<T: Clone + Send + 'static>(
    start: impl AsyncFnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    let (started, server) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let server = start().await;
            let _running = server.as_ref().ok().cloned();
            started.send(server).ok();
            std::future::pending::<anyhow::Result<()>>().await
        })
    });
    server.recv()?
}

async fn servers(latency: Duration) -> anyhow::Result<()> {
    let bitbucket = on_its_own(async || {
        Bitbucket::start(Workspace::generate(10, REPOSITORIES, PULL_REQUESTS, 7)?).await
    })?;
    for token in 2..=4 {
        bitbucket.accept_token(&format!("token-{token}"));
    }
    let port = on_its_own(async || Ok(Port::start().await?.with_credentials("id", "secret")))?;
    let table = on_its_own(Table::start)?;
    bitbucket.server().answer_after(latency);
    port.server().answer_after(latency);
    table.server().answer_after(TABLE_LATENCY);
    let now = Arc::new(AtomicI64::new(0));
    let used = Arc::new(Mutex::new(Used::default()));
    let (clock, counted) = (Arc::clone(&now), Arc::clone(&used));
    bitbucket.server().before_each(move |request| {
        let mut used = counted.lock().unwrap_or_else(PoisonError::into_inner);
        used.count(request, clock.load(Ordering::Relaxed));
    });
    println!(
        "{} {} {} {}",
        bitbucket.url(),
        bitbucket.workspace(),
        port.url(),
        table.server().url()
    );
    let mut times = BufReader::new(tokio::io::stdin()).lines();
    let mut answered = [0; 3];
    while let Some(line) = times.next_line().await? {
        // Requests are kept for tests; nobody asks here.
        let servers = [bitbucket.server(), port.server(), table.server()];
        for (answered, server) in answered.iter_mut().zip(servers) {
            *answered += server.take_requests().len();
        }
        port.take_writes();
        table.take_work();
        match line.parse() {
            Ok(time) => now.store(time, Ordering::Relaxed),
            Err(_) => {
                let used = used.lock().unwrap_or_else(PoisonError::into_inner);
                let [of_bitbucket, of_port, of_table] = answered;
                let [api, files] = used.most;
                let largest = table.largest();
                println!("{of_bitbucket} {of_port} {of_table} {api} {files} {largest}");
            }
        }
    }
    Ok(())
}

/// What each token has sent: when, in the last hour, by group of resources.
#[derive(Default)]
struct Used {
    recent: HashMap<(String, usize), VecDeque<i64>>,
    /// The most in any hour by any token: of the API, of contents of files.
    most: [usize; 2],
}

impl Used {
    fn count(&mut self, request: &Request, now: i64) {
        let token = request.header("authorization").unwrap_or_default();
        let group = usize::from(request.path.contains("/src/") && !request.path.ends_with('/'));
        let recent = self.recent.entry((token.to_owned(), group)).or_default();
        recent.push_back(now);
        while recent.front().is_some_and(|at| at + 3600 <= now) {
            recent.pop_front();
        }
        if let Some(most) = self.most.get_mut(group) {
            *most = recent.len().max(*most);
        }
    }
}

/// Lets the simulated clock keep pace with the real one, and tells the servers what time it is.
async fn keep_time(
    clock: Clock,
    mut times: ChildStdin,
    mut end: oneshot::Receiver<()>,
) -> anyhow::Result<ChildStdin> {
    let (mut last, mut told) = (Instant::now(), 0);
    loop {
        tokio::select! {
            _ = &mut end => return Ok(times),
            () = tokio::time::sleep(BEAT) => {}
        }
        let elapsed = last.elapsed();
        last += elapsed;
        clock.advance(elapsed);
        let now = clock.now().as_second();
        if told != now {
            told = now;
            times.write_all(format!("{now}\n").as_bytes()).await?;
        }
    }
}

async fn resync(latency: u64, tokens: usize) -> anyhow::Result<()> {
    let mut servers: Child = this_program()?
        .args(["servers", &latency.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut lines = BufReader::new(servers.stdout.take().context("no output")?).lines();
    let addresses = lines.next_line().await?.context("no servers")?;
    let addresses: Vec<&str> = addresses.split_whitespace().collect();
    let [bitbucket, workspace, port, table] = addresses[..] else {
        anyhow::bail!("the servers did not start");
    };
    let clock = Clock::simulated("2026-11-23T07:00:00Z".parse()?);
    let store = store(table, &Http::new(clock.clone())?, &clock);
    let app = app([bitbucket, workspace, port], tokens, store, &clock)?;
    let (end, ended) = oneshot::channel();
    let times = servers.stdin.take().context("no input")?;
    let time = tokio::spawn(keep_time(clock.clone(), times, ended));
    let begun = clock.now();
    let work = to_the_end(&app, &time).await?;
    let wall = Duration::try_from(clock.now().duration_since(begun))?;
    let computed = processor_time()?;
    end.send(()).ok();
    let mut times = time.await??;
    times.write_all(b"?\n").await?;
    let told = lines.next_line().await?.context("the servers have ended")?;
    let told = told.split_whitespace().map(str::parse);
    let told: Vec<usize> = told.collect::<Result<_, _>>()?;
    let [of_bitbucket, of_port, of_table, api, files, largest] = told[..] else {
        anyhow::bail!("the servers said {told:?}");
    };
    let Work {
        summary,
        slices,
        at_work,
    } = work;
    // Projects, repositories, and a page of open pull requests for each.
    let requests = 1 + REPOSITORIES.div_ceil(100) + REPOSITORIES;
    let an_hour = (1_000.0 * (1.0 - RESERVE)) as usize * tokens;
    let bound = Duration::from_secs(3600) * u32::try_from(requests / an_hour)?;
    let share = |billed: Duration| 100.0 * billed.as_secs_f64() / wall.as_secs_f64();
    println!(
        "{tokens} token(s): {} entities, {of_bitbucket} requests to Bitbucket, {requests} of them limited to \
         {an_hour}/h: at least {bound:?}; {of_port} requests to Port, {of_table} to the table",
        summary.counts.written,
    );
    println!(
        "  wall {wall:.0?} ({:+.1} %), {slices} slices; at work {at_work:.1?} ({:.2} % of wall), computing \
         {computed:.1?} ({:.2} %); peak memory {} MB",
        100.0 * (wall.as_secs_f64() / bound.as_secs_f64().max(1.0) - 1.0),
        share(at_work),
        share(computed),
        peak_memory()? / 1024,
    );
    println!(
        "  at most {api} requests to the API and {files} for files in any hour with any token"
    );
    println!("  the largest item in the table: {largest} bytes");
    Ok(())
}

/// What a run took.
struct Work {
    summary: Summary,
    slices: u32,
    at_work: Duration,
}

/// One slice after the other, as ticks make them, until the run has completed.
async fn to_the_end(
    app: &App,
    time: &JoinHandle<anyhow::Result<ChildStdin>>,
) -> anyhow::Result<Work> {
    let (mut slices, mut at_work) = (0, Duration::ZERO);
    let mut first = true;
    loop {
        let sent = app.http.sent();
        let deadline = Deadline::after(&app.clock, Duration::from_secs(900));
        let woken = Instant::now();
        let outcome = match std::mem::take(&mut first) {
            true => resync::resync(app, "bench", &deadline).await?,
            false => resync::tick(app, &deadline).await?,
        };
        at_work += woken.elapsed();
        slices += u32::from(sent < app.http.sent());
        ensure!(!time.is_finished(), "the servers have ended");
        match outcome {
            RunOutcome::Completed(summary) => {
                return Ok(Work {
                    summary,
                    slices,
                    at_work,
                });
            }
            RunOutcome::CompletedWithLosses(summary) => anyhow::bail!("losses: {summary:#?}"),
            // The next tick.
            RunOutcome::Paused { .. } | RunOutcome::Busy | RunOutcome::Idle => {
                app.clock.advance(Duration::from_secs(60));
            }
        }
        // The servers learn the time.
        tokio::time::sleep(2 * BEAT).await;
    }
}

fn app(
    [bitbucket, workspace, port]: [&str; 3],
    tokens: usize,
    store: Store,
    clock: &Clock,
) -> anyhow::Result<App> {
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
    let config = Config::read(settings)?;
    let secrets = Secrets::new(&config, None, clock.clone());
    Ok(App::new(config, Http::new(clock.clone())?, secrets, store))
}

fn store(url: &str, http: &Http, clock: &Clock) -> Store {
    let credentials = Credentials::new("AKIAIOSFODNN7EXAMPLE", "not-a-secret", None, None, "bench");
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .endpoint_url(url)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(ferry::aws::http_client(http))
        .build();
    let client = aws_sdk_dynamodb::Client::new(&config);
    Store::dynamodb(client, "ferry".to_owned(), clock.clone())
}

/// Of this process (Linux, `/proc`: in hundredths of a second).
fn processor_time() -> anyhow::Result<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(')').context("no name")?;
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: Vec<u64> = ticks.map(str::parse).collect::<Result<_, _>>()?;
    Ok(Duration::from_millis(10 * ticks.iter().sum::<u64>()))
}

/// In KB (Linux, `/proc`).
fn peak_memory() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let text = line.context("no VmHWM")?.trim().trim_end_matches(" kB");
    Ok(text.trim().parse()?)
}

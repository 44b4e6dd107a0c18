//! A resync of a large workspace on simulated time: `cargo bench --bench scale`.
//!
//! Bitbucket and Port run in a process of their own, so that the peak memory is Ferry's. That process says how many
//! requests it has answered, which moves the simulated clock; it learns the time, and counts what each token sends in
//! any hour.

#![expect(clippy::print_stdout, reason = "the result of the bench")]

use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

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
use sandbox::server::Request;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

const REPOSITORIES: usize = 5_000;
const PULL_REQUESTS: usize = 40;

/// How long an answer takes; the bench also says what a third of it would come to.
const LATENCY: Duration = Duration::from_millis(300);

/// Repositories read at once with each token, which is how many requests are under way to either side.
const CONCURRENT_REQUESTS: u32 = 8;

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
        let status = Command::new(program)
            .args(["tokens", tokens])
            .status()
            .await?;
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
    let now = Arc::new(AtomicI64::new(0));
    let used = Arc::new(Mutex::new(Used::default()));
    let (clock, counted) = (Arc::clone(&now), Arc::clone(&used));
    bitbucket.server().before_each(move |request| {
        let mut used = counted.lock().unwrap_or_else(PoisonError::into_inner);
        used.count(request, clock.load(Ordering::Relaxed));
    });
    println!(
        "{} {} {}",
        bitbucket.url(),
        bitbucket.workspace(),
        port.url()
    );
    let mut times = BufReader::new(tokio::io::stdin()).lines();
    let (mut of_bitbucket, mut of_port) = (0, 0);
    loop {
        let before = of_bitbucket + of_port;
        // Requests are kept for tests; nobody asks here.
        of_bitbucket += bitbucket.server().take_requests().len();
        of_port += port.server().take_requests().len();
        port.take_writes();
        if before < of_bitbucket + of_port {
            let used = used.lock().unwrap_or_else(PoisonError::into_inner);
            println!("{of_bitbucket} {of_port} {} {}", used.most[0], used.most[1]);
        }
        tokio::select! {
            line = times.next_line() => match line? {
                Some(line) => now.store(line.parse()?, Ordering::Relaxed),
                None => return Ok(()),
            },
            () = tokio::time::sleep(Duration::from_millis(2)) => {}
        }
    }
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

/// What the servers have said last.
#[derive(Clone, Copy, Default)]
struct Told {
    of_bitbucket: u32,
    of_port: u32,
    most: [usize; 2],
    /// Added to the simulated time for it.
    latency: Duration,
}

/// Moves the clock with each answer, and tells the servers what time it is.
async fn keep_time(
    clock: Clock,
    tokens: u32,
    mut lines: tokio::io::Lines<BufReader<ChildStdout>>,
    mut times: ChildStdin,
    told: Arc<Mutex<Told>>,
) -> anyhow::Result<()> {
    let mut last = 0;
    loop {
        let line = tokio::select! {
            line = lines.next_line() => Some(line?.context("the servers have ended")?),
            () = tokio::time::sleep(Duration::from_millis(2)) => None,
        };
        if let Some(line) = line {
            let numbers = line.split_whitespace().map(str::parse);
            let numbers: Vec<u32> = numbers.collect::<Result<_, _>>()?;
            let [of_bitbucket, of_port, api, files] = numbers[..] else {
                anyhow::bail!("the servers said {line}");
            };
            let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
            let answered = of_bitbucket - told.of_bitbucket + of_port - told.of_port;
            let latency = LATENCY * answered / (CONCURRENT_REQUESTS * tokens);
            clock.advance(latency);
            *told = Told {
                of_bitbucket,
                of_port,
                most: [api as usize, files as usize],
                latency: told.latency + latency,
            };
        }
        let now = clock.now().as_second();
        if last != now {
            last = now;
            times.write_all(format!("{now}\n").as_bytes()).await?;
        }
    }
}

async fn resync(tokens: usize) -> anyhow::Result<()> {
    let program = std::env::args().next().context("no program")?;
    let mut servers: Child = Command::new(program)
        .arg("servers")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut lines = BufReader::new(servers.stdout.take().context("no output")?).lines();
    let addresses = lines.next_line().await?.context("no servers")?;
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
    let told = Arc::new(Mutex::new(Told::default()));
    let time = tokio::spawn(keep_time(
        clock.clone(),
        u32::try_from(tokens)?,
        lines,
        servers.stdin.take().context("no input")?,
        Arc::clone(&told),
    ));
    let begun = clock.now();
    let mut slices = 0;
    let mut first = true;
    let summary = loop {
        let sent = app.http.sent();
        let deadline = Deadline::after(&clock, Duration::from_secs(900));
        let outcome = match std::mem::take(&mut first) {
            true => resync::resync(&app, "bench", &deadline).await?,
            false => resync::tick(&app, &deadline).await?,
        };
        slices += u32::from(sent < app.http.sent());
        ensure!(!time.is_finished(), "the servers have ended");
        match outcome {
            Outcome::Completed(summary) => break summary,
            // The next tick.
            _ => clock.advance(Duration::from_secs(60)),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    let wall = Duration::try_from(clock.now().duration_since(begun))?;
    let told = *told.lock().unwrap_or_else(PoisonError::into_inner);
    let computed = processor_time()?;
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
    let share = |billed: Duration| 100.0 * billed.as_secs_f64() / wall.as_secs_f64();
    println!(
        "{tokens} token(s): {} entities, {} requests to Bitbucket, {requests} of them limited to {an_hour}/h: at least \
         {bound:?}; {} requests to Port",
        summary.counts.written, told.of_bitbucket, told.of_port,
    );
    println!(
        "  wall {wall:.0?} ({:+.1} %), {slices} slices; computing {computed:.1?} ({:.2} % of wall), with answers after \
         100 ms {:.0?} at work ({:.2} %), after 300 ms {:.0?} ({:.2} %); peak memory {} MB",
        100.0 * (wall.as_secs_f64() / bound.as_secs_f64().max(1.0) - 1.0),
        share(computed),
        computed + told.latency / 3,
        share(computed + told.latency / 3),
        computed + told.latency,
        share(computed + told.latency),
        peak_memory()? / 1024,
    );
    println!(
        "  at most {} requests to the API and {} for files in any hour with any token",
        told.most[0], told.most[1]
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

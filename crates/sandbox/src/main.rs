//! The sandbox: the real function between a simulated Bitbucket and a simulated Port, to watch and to play with.
//!
//! Shows a page at once, builds `ferry-lambda` meanwhile, deploys it as template.yaml does, plays a few scenes, and stays.

mod arguments;
mod compile;
mod deployed;
mod play;
mod scenes;
mod terminal;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use arguments::{Ports, USAGE, Wish};
use deployed::Outside;
use play::{Phase, Playground};
use sandbox::bitbucket::{Bitbucket, Workspace};
use sandbox::loopback;
use sandbox::port::Port;
use serde_json::{Value, json};
use terminal::Terminal;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let terminal = Terminal::new();
    match arguments::read(std::env::args_os().skip(1))? {
        Wish::Help => terminal.show(USAGE),
        Wish::Servers(ports) => return servers(&terminal, ports).await,
        Wish::Play {
            once,
            ports,
            function,
        } => {
            let taken =
                "choose other ports with --port, as in: cargo run --package sandbox -- --port 5300";
            let (listeners, playground) = open(terminal, ports).await.context(taken)?;
            let watched = Arc::clone(&playground);
            return tokio::select! {
                ended = play_and_stay(&playground, listeners, function, once) => ended,
                // Whoever reads has seen enough: `| head`.
                ended = watched.terminal.closed() => ended,
                ended = stopped() => ended,
            };
        }
    }
    Ok(())
}

/// The page's listener, and the function's.
type Listeners = (TcpListener, TcpListener);

/// Takes all ports, so that nothing is built before it is known that they are free.
async fn open(terminal: Terminal, ports: Ports) -> anyhow::Result<(Listeners, Arc<Playground>)> {
    let page = loopback::listen(ports.page).await?;
    let function = loopback::listen(ports.function).await?;
    let url = format!("http://{}/", function.local_addr()?);
    let outside = Outside::start(ports).await?;
    let playground = Playground::new(outside, terminal, url);
    Ok(((page, function), Arc::new(playground)))
}

async fn play_and_stay(
    playground: &Arc<Playground>,
    (page, function): Listeners,
    given: Option<PathBuf>,
    once: bool,
) -> anyhow::Result<()> {
    let terminal = &playground.terminal;
    let address = format!("http://{}", page.local_addr()?);
    tokio::spawn(deployed::serve(function, playground.deployment()));
    if !once {
        terminal.say(&format!("The page: {address}"));
        tokio::spawn(play::serve(page, Arc::clone(playground)));
    }
    let binary = match given {
        Some(binary) => binary,
        None => build(playground).await?,
    };
    let started = Instant::now();
    playground.deploy(binary).await?;
    let took = started.elapsed().as_millis();
    terminal.say(&format!(
        "ferry-lambda runs three times, as receiver, events and runs; started in {took} ms"
    ));
    playground.enter(Phase::Scenes);
    scenes::play(playground).await?;
    if once {
        return Ok(());
    }
    tokio::spawn(play::tick_for_good(Arc::clone(playground)));
    playground.enter(Phase::Ready);
    terminal.say(&format!(
        "\nIt is yours now: {address}, or words here (`help` lists them). Ctrl-C ends it."
    ));
    play::obey(playground).await
}

async fn build(playground: &Arc<Playground>) -> anyhow::Result<PathBuf> {
    let how_long = "a few minutes the first time, some seconds afterwards";
    playground.terminal.say(&format!(
        "Building the function, ferry-lambda, without optimisation: {how_long} .."
    ));
    playground.enter(Phase::Building(how_long.to_owned()));
    compile::function(|how_far| playground.enter(Phase::Building(how_far))).await
}

/// Waits for Ctrl-C, or for whoever ends processes.
async fn stopped() -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed?,
        _ = terminated.recv() => {}
    }
    Ok(())
}

/// Serves the demo workspace and an empty catalogue for a function that runs elsewhere. The first line says where they
/// are; each line of input, a number, makes a change at random, and is answered with its deliveries.
async fn servers(terminal: &Terminal, ports: Ports) -> anyhow::Result<()> {
    let bitbucket = Bitbucket::start_at(ports.bitbucket, Workspace::demo()?).await?;
    let port = Port::start_at(ports.port).await?;
    let port = port.with_credentials("id", "secret");
    let tell = |value: Value| terminal.show(&value.to_string());
    tell(json!({
        "bitbucket": bitbucket.url(), "workspace": bitbucket.workspace(), "token": Bitbucket::TOKEN,
        "port": port.url(), "clientId": "id", "clientSecret": "secret",
    }));
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let (what, deliveries) = bitbucket.change_at_random(line.trim().parse()?)?;
        let deliveries = deliveries.iter().map(|delivery| {
            json!({
                "event": delivery.event_key, "id": delivery.request_uuid,
                "body": String::from_utf8_lossy(&delivery.body),
            })
        });
        tell(json!({"what": what, "deliveries": deliveries.collect::<Vec<Value>>()}));
    }
    Ok(())
}

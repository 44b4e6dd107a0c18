//! The demonstration: the real function binary between a simulated Bitbucket and a simulated Port.
//!
//! Builds `ferry-lambda`, unless an argument says where one is, runs it under a local Lambda Runtime API, sends the
//! schedule event and a few webhooks, and shows what each one changed in the catalogue. Ends with an error when something did not go as it should.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use sandbox::aws::{Function, Program, RuntimeApi, SecretsManager, function_url_event};
use sandbox::bitbucket::{Bitbucket, NewPullRequest, Workspace};
use sandbox::port::Port;
use sandbox::present::{Style, TableOptions, changes, render_changes, render_table};
use sandbox::webhook::Delivery;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

const SECRET_NAME: &str = "ferry/credentials";
const WEBHOOK_SECRET: &str = "a secret between Bitbucket and Ferry";

/// The function's time limit, as in template.yaml.
const TIME_LIMIT: Duration = Duration::from_secs(900);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match run().await {
        // Whoever reads has seen enough: `| head`.
        Err(error) if is_closed_pipe(&error) => Ok(()),
        ended => ended,
    }
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

fn say(text: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{text}")
}

async fn run() -> anyhow::Result<()> {
    let argument = std::env::args().nth(1);
    if argument.as_deref() == Some("servers") {
        return servers().await;
    }
    let style = match io::stdout().is_terminal() && !wants_no_color() {
        true => Style::Ansi,
        false => Style::Plain,
    };
    let binary = match argument {
        Some(path) => PathBuf::from(path),
        None => build().await?,
    };
    let world = World::start(binary, style).await?;
    world.tell().await
}

/// As <https://no-color.org> has it.
fn wants_no_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// Serves the demo workspace and an empty catalogue for a function that runs elsewhere. The first line says where they
/// are; each line of input, a number, makes a change at random, and is answered with its deliveries.
async fn servers() -> anyhow::Result<()> {
    let bitbucket = Bitbucket::start(Workspace::demo()?).await?;
    let port = Port::start().await?.with_credentials("id", "secret");
    let tell = |value: Value| say(&value.to_string());
    tell(json!({
        "bitbucket": bitbucket.url(), "workspace": bitbucket.workspace(), "token": Bitbucket::TOKEN,
        "port": port.url(), "clientId": "id", "clientSecret": "secret",
    }))?;
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let (what, deliveries) = bitbucket.change_at_random(line.trim().parse()?)?;
        let deliveries = deliveries.iter().map(|delivery| {
            json!({
                "event": delivery.event_key, "id": delivery.request_uuid,
                "body": String::from_utf8_lossy(&delivery.body),
            })
        });
        tell(json!({"what": what, "deliveries": deliveries.collect::<Vec<Value>>()}))?;
    }
    Ok(())
}

/// Builds the function and returns where it is.
async fn build() -> anyhow::Result<PathBuf> {
    // `cargo run` says which cargo it is.
    #[expect(
        clippy::disallowed_methods,
        reason = "cargo says this way which cargo runs the demo"
    )]
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    say("Building the function, ferry-lambda: some minutes the first time, seconds afterwards ..")?;
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml");
    let output = Command::new(cargo)
        .args([
            "build",
            "--package",
            "ferry",
            "--bin",
            "ferry-lambda",
            "--message-format",
            "json-render-diagnostics",
        ])
        .args(["--manifest-path", manifest])
        .stderr(Stdio::inherit())
        .output()
        .await
        .context("cannot run cargo")?;
    ensure!(output.status.success(), "ferry-lambda does not build");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == "ferry-lambda")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .context("cargo does not say where it put ferry-lambda")
}

struct World {
    bitbucket: Bitbucket,
    port: Port,
    runtime: RuntimeApi,
    style: Style,
    // Stops when it is dropped.
    _secrets: SecretsManager,
    function: Function,
}

impl World {
    async fn start(binary: PathBuf, style: Style) -> anyhow::Result<World> {
        let bitbucket = Bitbucket::start(Workspace::demo()?).await?;
        let port = Port::start().await?;
        let secrets = SecretsManager::start().await?;
        let credentials = json!({
            "portClientId": "test-client",
            "portClientSecret": "test-secret",
            "bitbucketWorkspaceToken": Bitbucket::TOKEN,
            "webhookSecret": WEBHOOK_SECRET,
        });
        secrets.put(SECRET_NAME, &credentials.to_string());
        let runtime = RuntimeApi::start().await?;
        let program = Program::new(binary)
            .var("FERRY__SECRET_ID", SECRET_NAME)
            .var("AWS_ENDPOINT_URL_SECRETS_MANAGER", secrets.url())
            .var("OCEAN__PORT__BASE_URL", port.url())
            .var("OCEAN__INTEGRATION__IDENTIFIER", "demo")
            .var(
                "OCEAN__INTEGRATION__CONFIG__BITBUCKET_HOST_URL",
                bitbucket.url(),
            )
            .var(
                "OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE",
                bitbucket.workspace(),
            );
        let mut function = Function::start(&runtime, program)?;
        let started = Instant::now();
        function.wait_ready(Duration::from_secs(30)).await?;
        let world = World {
            bitbucket,
            port,
            runtime,
            style,
            _secrets: secrets,
            function,
        };
        world.say(&format!(
            "ferry-lambda started in {} ms and waits for its first event",
            started.elapsed().as_millis()
        ))?;
        Ok(world)
    }

    async fn tell(&self) -> anyhow::Result<()> {
        self.title("1. EventBridge: the scheduled resync, on an empty catalogue")?;
        let schedule: Value =
            serde_json::from_str(include_str!("../../../events/eventbridge-rule.json"))?;
        let first = self.resync(schedule.clone()).await?;
        let options = TableOptions {
            max_width: 36,
            max_rows: 12,
            style: self.style,
            ..TableOptions::default()
        };
        self.say(&render_table(&self.port.entities(), &options))?;

        self.title("2. The same again, on an unchanged workspace")?;
        let second = self.resync(schedule).await?;
        ensure!(0 < first, "the first resync wrote nothing");
        ensure!(
            second == 0,
            "a resync of an unchanged workspace wrote {second} entities"
        );

        let repository = "checkout-service";
        self.title("3. Bitbucket: the repository Checkout Service is renamed to Checkout")?;
        self.webhooks(self.bitbucket.rename_repository(repository, "Checkout")?)
            .await?;

        let repository = "checkout";
        self.title("4. Bitbucket: a pull request is opened, with two reviewers")?;
        let pull_request = NewPullRequest::new("Round cart totals to cents", "Luis Ferro")
            .reviewed_by("Dana Okafor")
            .reviewed_by("Mina Sato");
        let (id, deliveries) = self.bitbucket.open_pull_request(repository, pull_request)?;
        self.webhooks(deliveries).await?;

        self.title(
            "5. Bitbucket: it is merged, and no longer matches the mapping's query (state OPEN)",
        )?;
        self.webhooks(self.bitbucket.merge(repository, id, "Dana Okafor")?)
            .await?;

        self.title("6. Bitbucket: the repository perl-scripts is deleted")?;
        self.webhooks(self.bitbucket.delete_repository("perl-scripts")?)
            .await?;

        self.title("7. Somebody else: a webhook with a wrong signature")?;
        let forged = self.bitbucket.describe_repository("monorepo", "Forged")?;
        for delivery in &forged {
            let before = self.requests();
            let status = self.post(delivery, "a guess").await?;
            ensure!(status == 401, "a forged webhook was answered with {status}");
            ensure!(
                before == self.requests(),
                "a forged webhook caused requests"
            );
            self.say(&format!(
                "{} → {status}, no request to anybody",
                delivery.event_key
            ))?;
        }

        let unknown = self.port.unknown_requests();
        ensure!(
            unknown.is_empty(),
            "requests that Port does not know: {unknown:?}"
        );
        self.say("\nThat is all: one function, two kinds of event, one catalogue.")?;
        Ok(())
    }

    /// Sends the schedule event; returns how many entities were written.
    async fn resync(&self, event: Value) -> anyhow::Result<u64> {
        let before = self.requests();
        let started = Instant::now();
        let outcome = self.invoke(event).await?;
        let after = self.requests();
        ensure!(
            outcome["status"] == "completed",
            "the resync did not complete: {outcome}"
        );
        let counts = &outcome["counts"];
        self.say(&format!(
            "completed in {} ms: {} items read, {} entities mapped, {} written, {} unchanged, {} deleted",
            started.elapsed().as_millis(),
            counts["extracted"],
            counts["transformed"],
            counts["written"],
            counts["unchanged"],
            counts["deleted"],
        ))?;
        self.say(&format!(
            "requests: {} to Bitbucket, {} to Port\n",
            after.0 - before.0,
            after.1 - before.1
        ))?;
        for problem in outcome["mapping_problems"].as_array().into_iter().flatten() {
            self.say(&format!("mapping: {problem}"))?;
        }
        Ok(counts["written"].as_u64().unwrap_or_default())
    }

    async fn webhooks(&self, deliveries: Vec<Delivery>) -> anyhow::Result<()> {
        for delivery in deliveries {
            let (before, catalogue) = (self.requests(), self.port.entities());
            let started = Instant::now();
            let status = self.post(&delivery, WEBHOOK_SECRET).await?;
            let (after, elapsed) = (self.requests(), started.elapsed());
            ensure!(
                status == 202,
                "{} was answered with {status}",
                delivery.event_key
            );
            self.say(&format!(
                "{} → {status} in {} ms, requests: {} to Bitbucket, {} to Port",
                delivery.event_key,
                elapsed.as_millis(),
                after.0 - before.0,
                after.1 - before.1,
            ))?;
            let changed = changes(&catalogue, &self.port.entities());
            if !changed.is_empty() {
                self.say(&render_changes(&changed, self.style))?;
            }
        }
        Ok(())
    }

    async fn post(&self, delivery: &Delivery, secret: &str) -> anyhow::Result<u64> {
        let event = function_url_event(
            "POST",
            "/webhook",
            &delivery.headers(secret),
            &delivery.body,
        );
        let answer = self.invoke(event).await?;
        answer["statusCode"]
            .as_u64()
            .context("the answer has no status")
    }

    async fn invoke(&self, event: Value) -> anyhow::Result<Value> {
        match self.runtime.invoke(event, TIME_LIMIT).await {
            Ok(answer) => Ok(answer),
            Err(error) => {
                let log = self.function.stdout();
                bail!(
                    "the function failed ({}): {}\n{}",
                    error.error_type,
                    error.message,
                    log.join("\n")
                )
            }
        }
    }

    /// Requests that Bitbucket and Port have received so far.
    fn requests(&self) -> (usize, usize) {
        (
            self.bitbucket.server().requests().len(),
            self.port.server().requests().len(),
        )
    }

    fn title(&self, text: &str) -> io::Result<()> {
        match self.style {
            Style::Ansi => self.say(&format!("\n\x1b[1m{text}\x1b[0m")),
            Style::Plain => self.say(&format!("\n{text}")),
        }
    }

    fn say(&self, text: &str) -> io::Result<()> {
        say(text)
    }
}

//! The command line: the same flows as the function, run to their end, and waited for.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use ferry::app::App;
use ferry::aws;
use ferry::config::Config;
use ferry::deadline::{Clock, Deadline};
use ferry::failure::chain;
use ferry::http::Http;
use ferry::resync::{self, Outcome, Summary};
use ferry::telemetry;
use jiff::Timestamp;

/// Keep a Port catalogue in step with a Bitbucket Cloud workspace.
///
/// Settings come from the environment, under the names that Port's Ocean integration uses; docs/configuration.md
/// lists them.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run one full resync to its end, waiting out rate limits.
    ///
    /// Exits with 0 only if it completed.
    Resync,
}

/// How long to stay away when another process holds the lease.
const BUSY: Duration = Duration::from_secs(15);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let config = Config::from_env();
    telemetry::init_text(
        config
            .as_ref()
            .ok()
            .and_then(|config| config.log_level.as_deref()),
    );
    let config = config?;
    let http = Http::new(Clock::System)?;
    let aws = match config.uses_aws() {
        true => Some(aws::of_machine(&http).await),
        false => None,
    };
    let app = App::connect(config, http, aws.as_ref());
    match arguments.command {
        Command::Resync => resync_to_the_end(&app).await,
    }
}

async fn resync_to_the_end(app: &App) -> anyhow::Result<()> {
    let deadline = Deadline::at(&app.clock, Timestamp::MAX);
    let mut outcome = resync::resync(app, "asked for on the command line", &deadline).await;
    loop {
        let wait = match outcome
            .map_err(|failure| anyhow::anyhow!(chain(&failure)))
            .context("the resync failed")?
        {
            Outcome::Completed(summary) => return report(&summary),
            Outcome::Idle => return Ok(()),
            Outcome::Busy => BUSY,
            Outcome::Paused { not_before, .. } => {
                let not_before = not_before.unwrap_or_else(|| app.clock.now());
                Duration::try_from(not_before.duration_since(app.clock.now())).unwrap_or_default()
            }
        };
        app.clock.sleep(wait).await;
        outcome = resync::tick(app, &deadline).await;
    }
}

#[expect(clippy::print_stdout, reason = "the result of the command")]
fn report(summary: &Summary) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string_pretty(summary)?);
    Ok(())
}

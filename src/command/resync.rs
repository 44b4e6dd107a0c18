//! `ferry resync`: one resync to its end, waiting out rate limits.

use std::time::Duration;

use anyhow::Context as _;
use ferry::app::App;
use ferry::deadline::Deadline;
use ferry::failure::chain;
use ferry::resync::{self, Outcome, Summary};
use jiff::Timestamp;

/// How long to stay away when another process holds the lease.
const BUSY: Duration = Duration::from_secs(15);

pub(crate) async fn run(app: &App) -> anyhow::Result<()> {
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

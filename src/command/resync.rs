//! `ferry resync`: one resync to its end, waiting out rate limits.

use std::time::Duration;

use anyhow::Context as _;
use ferry::app::App;
use ferry::deadline::Deadline;
use ferry::failure::chain;
use ferry::progress::Progress;
use ferry::resync::{self, Outcome, Summary};
use indicatif::{HumanCount, MultiProgress};
use jiff::Timestamp;

use super::progress::show;
use super::terminal::{Audience, BAD, DOUBTFUL, GOOD, painted, print, table};

/// How long to stay away when another process holds the lease.
const BUSY: Duration = Duration::from_secs(15);

pub(crate) async fn run(app: &App, audience: Audience, bars: &MultiProgress) -> anyhow::Result<()> {
    let summary = tokio::select! {
        summary = to_the_end(app) => summary?,
        () = show(app.progress.subscribe(), audience, bars) => return Ok(()),
    };
    let Some(summary) = summary else {
        return Ok(());
    };
    print(match audience {
        Audience::Machine => serde_json::to_string(&Outcome::Completed(summary))?,
        Audience::People => as_text(&summary, &app.progress.borrow()),
    });
    Ok(())
}

/// `None` when another process has done what was asked for.
async fn to_the_end(app: &App) -> anyhow::Result<Option<Summary>> {
    let deadline = Deadline::at(&app.clock, Timestamp::MAX);
    let mut outcome = resync::resync(app, "asked for on the command line", &deadline).await;
    loop {
        let wait = match outcome
            .map_err(|failure| anyhow::anyhow!(chain(&failure)))
            .context("the resync failed")?
        {
            Outcome::Completed(summary) => return Ok(Some(summary)),
            Outcome::Idle => return Ok(None),
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

fn as_text(summary: &Summary, progress: &Progress) -> String {
    let number = |count: usize| HumanCount(count.try_into().unwrap_or(u64::MAX)).to_string();
    let kinds = progress.parts.iter().map(|part| {
        vec![
            part.kind.clone(),
            number(part.done),
            number(part.items),
            number(part.entities),
        ]
    });
    let mut lines = vec![table(&["kind", "partitions", "items", "entities"], kinds)];
    let counts = summary.counts;
    let rows = [
        ("written", counts.written),
        ("as they were", counts.unchanged),
        ("deleted", counts.deleted),
        ("refused by Port", counts.refused),
        ("items filtered out", counts.filtered_out),
        ("items not mapped", counts.not_mapped),
        ("files left out", counts.skipped),
    ];
    lines.extend(
        rows.into_iter()
            .filter(|(_, count)| 0 < *count)
            .map(|(what, count)| format!("{:>9} {what}", number(count))),
    );
    let problems = summary.mapping_problems.iter();
    lines.extend(problems.map(|problem| painted(DOUBTFUL, format!("mapping: {problem}"))));
    lines.extend(summary.kept.iter().map(|kept| painted(DOUBTFUL, kept)));
    let failed = &summary.failed_partitions;
    lines.extend(
        failed
            .iter()
            .map(|part| painted(BAD, format!("not read: {part}"))),
    );
    lines.push(match failed.len() {
        0 => painted(GOOD, "completed"),
        some => painted(DOUBTFUL, format!("completed, {some} parts not read")),
    });
    lines.join("\n")
}

//! The entities in Port that an installation's data source owns: how many there are, and their removal.
//!
//! Whatever interrupts a removal, the next one finds what is left.

use anyhow::{Context as _, bail};
use ferry::app::App;
use ferry::deadline::Deadline;
use ferry::port::{DeleteOptions, DeleteOutcome, PortClient, WriteEvent};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use jiff::Timestamp;

/// Entities between two moves of the bar.
const STEP: usize = 500;

const STYLE: &str = "deleting entities {wide_bar:.green/dim} {pos}/{len} {eta:>4}";

pub(super) async fn count(app: &App) -> anyhow::Result<usize> {
    let deadline = Deadline::at(&app.clock, Timestamp::MAX);
    let session = app.session(&deadline).await?;
    let owned = session.port.owned(None, &deadline).await;
    Ok(owned.context("cannot ask Port for the entities")?.len())
}

/// Deletes what Port says is ours, and returns how many entities that were. What is required by others of them goes after
/// these, in another round; entities that others require for good are told.
pub(super) async fn delete_all(app: &App, bars: &MultiProgress) -> anyhow::Result<usize> {
    let deadline = Deadline::at(&app.clock, Timestamp::MAX);
    let session = app.session(&deadline).await?;
    let mut deleted = 0;
    // Each round deletes at least one, or is the last.
    loop {
        let round = round(&session.port, bars, &deadline).await?;
        deleted += round.deleted;
        match (round.deleted, round.refused) {
            (0, Some(reason)) => bail!(
                "{deleted} entities are deleted, {} are not: {reason}; remove what requires them, and run the same again",
                round.left
            ),
            (0, None) => return Ok(deleted),
            _ if round.left == 0 => return Ok(deleted),
            _ => {}
        }
    }
}

#[derive(Default)]
struct Round {
    deleted: usize,
    left: usize,
    /// Why one of those that are left is.
    refused: Option<String>,
}

async fn round(
    port: &PortClient,
    bars: &MultiProgress,
    deadline: &Deadline,
) -> anyhow::Result<Round> {
    let owned = port.owned(None, deadline).await;
    let owned = owned.context("cannot ask Port for the entities")?;
    let style = ProgressStyle::with_template(STYLE);
    let bar = bars.add(ProgressBar::new(
        u64::try_from(owned.len()).unwrap_or(u64::MAX),
    ));
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let options = DeleteOptions {
        // Those of others may be among them.
        dependents: false,
        event: WriteEvent::Resync {
            id: "uninstall".to_owned(),
        },
    };
    let mut round = Round::default();
    for keys in owned.chunks(STEP) {
        let deletion = port.delete(keys, &options, deadline).await;
        for outcome in &deletion.outcomes {
            match outcome {
                DeleteOutcome::Deleted => round.deleted += 1,
                DeleteOutcome::WasAbsent => {}
                DeleteOutcome::Refused { refusal, .. } => {
                    round.left += 1;
                    round.refused.get_or_insert(refusal.message.clone());
                }
                DeleteOutcome::Later(postponed) => {
                    round.left += 1;
                    round.refused.get_or_insert(postponed.message.clone());
                }
            }
        }
        if let Some(error) = deletion.stopped {
            bar.finish_and_clear();
            let done = format!(
                "{} entities of this round are deleted; run the same again",
                round.deleted
            );
            return Err(anyhow::Error::new(error).context(done));
        }
        bar.inc(u64::try_from(keys.len()).unwrap_or(u64::MAX));
    }
    bar.finish_and_clear();
    Ok(round)
}

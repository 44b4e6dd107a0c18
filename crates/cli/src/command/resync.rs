//! `ferry resync`: one resync to its end, waiting out rate limits.
//!
//! Owns when it is over, and what is said of it. What is stored to be looked at again is part of it.

use std::ops::ControlFlow;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use ferry::app::App;
use ferry::deadline::{Deadline, later};
use ferry::progress::{Obstacle, Paused};
use ferry::resync::{self, RunOutcome, Summary};
use ferry::store::StoreError;
use ferry::store::documents::{agains, completed};
use ferry::store::run::{run as current_run, run_holder, run_request};
use ferry::telemetry::chain;
use ferry::webhook::again;
use indicatif::{HumanCount, MultiProgress};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::progress::show;
use super::reach::reach;
use super::shutdown::Shutdown;
use super::terminal::{Audience, BAD, DOUBTFUL, GOOD, painted, print, print_fitted, table};
use super::{COMPLETED, COMPLETED_WITH_LOSSES};
use crate::report::Files;
use crate::report::outcome::{KindTable, Outcome, by_kind, figures};
use crate::report::plan::Subject;

/// How long to stay away while another process works on the run.
const BUSY: Duration = Duration::from_secs(15);

/// A resync may wait for as many hours as rate limits ask for.
const AS_LONG_AS_IT_TAKES: Duration = Duration::MAX;

/// How a resync ended that was not cut short.
enum Ended {
    Here {
        summary: Box<Summary>,
        /// Objects that came to nothing, and are stored to be looked at again.
        looks_left: usize,
        is_complete: bool,
    },
    /// Another process has done what was asked for.
    Elsewhere { is_complete: bool },
}

/// How a resync is reported.
pub(crate) struct Options {
    pub(crate) audience: Audience,
    pub(crate) files: Files,
    /// Problems of the mapping count as losses.
    pub(crate) strict: bool,
}

/// Returns with what to exit; fails where the resync was not completed.
pub(crate) async fn run(
    app: &App,
    options: &Options,
    bars: &MultiProgress,
) -> anyhow::Result<ExitCode> {
    reach(app).await?;
    let shutdown = Shutdown::default();
    let ended = tokio::select! {
        ended = shutdown.end(app, to_the_end(app, &shutdown)) => ended,
        () = show(app.progress.subscribe(), options.audience, bars) => None,
    };
    let Some(ended) = ended.transpose()?.flatten() else {
        bail!(
            "the resync was interrupted: the next one {}",
            what_is_kept(app)
        );
    };
    report(app, &ended, &options.files).await?;
    tell(&ended, options)
}

/// Writes the files that were asked for. Another process's resync is that one's to report.
async fn report(app: &App, ended: &Ended, files: &Files) -> anyhow::Result<()> {
    let Ended::Here {
        summary,
        looks_left,
        is_complete,
    } = ended
    else {
        return Ok(());
    };
    let deadline = Deadline::at(&app.clock, Timestamp::MAX);
    let losses = (!is_complete).then(|| losses(summary, *looks_left));
    let outcome = Outcome {
        subject: Subject::of(app, &deadline).await?,
        summary,
        losses: losses.as_deref(),
    };
    files.write(|| outcome.html(), || outcome.markdown())
}

/// `None` if a signal came first: what was done is saved.
async fn to_the_end(app: &App, shutdown: &Shutdown) -> anyhow::Result<Option<Ended>> {
    let deadline = shutdown.deadline(&app.clock, AS_LONG_AS_IT_TAKES);
    let asked_at = app.clock.now();
    let mut outcome = resync::resync(app, "asked for on the command line", &deadline).await;
    loop {
        if outcome.is_err() && shutdown.is_begun() {
            tell_interrupted(app, &deadline).await;
            return Ok(None);
        }
        let (summary, is_complete) = match outcome
            .map_err(|failure| anyhow!(chain(&failure)))
            .context("the resync was not completed")?
        {
            RunOutcome::Completed(summary) => (summary, true),
            RunOutcome::CompletedWithLosses(summary) => (summary, false),
            unfinished => {
                let wait = match unfinished {
                    RunOutcome::Paused { not_before, .. } => until(app, not_before),
                    RunOutcome::Idle => match over_elsewhere(app, asked_at).await? {
                        Some(ended) => return Ok(Some(ended)),
                        None => busy(app).await,
                    },
                    _ => busy(app).await,
                };
                shutdown.pause(&app.clock, wait).await;
                if shutdown.is_begun() {
                    tell_interrupted(app, &deadline).await;
                    return Ok(None);
                }
                outcome = resync::tick(app, &deadline).await;
                continue;
            }
        };
        let looks_left = take_again(app, &deadline).await?;
        return Ok(Some(Ended::Here {
            summary: Box::new(summary),
            looks_left,
            is_complete: is_complete && looks_left == 0,
        }));
    }
}

/// Tells Port that nobody works on the run any more; the lease is let go by now.
pub(super) async fn tell_interrupted(app: &App, deadline: &Deadline) {
    match resync::interrupted(app, deadline).await {
        Ok(None) => {}
        Ok(Some(run)) => tracing::info!(run, "Port is told that the resync is aborted"),
        Err(failure) => tracing::warn!(
            error = chain(&failure),
            "Port is not told that the resync is aborted"
        ),
    }
}

/// Shows who else works on the run; returns how long to stay away.
async fn busy(app: &App) -> Duration {
    let holder = app.store.load(&run_holder()).await;
    let holder = holder.ok().and_then(|found| found.value);
    let reason = match holder.map(|holder| (holder.name, holder.until)) {
        Some((name, Some(until))) => format!("{name} works on the resync, until {until} at most"),
        Some((name, None)) => format!("{name} works on the resync"),
        None => "another process works on the resync".to_owned(),
    };
    let until = later(app.clock.now(), BUSY);
    app.progress.send_modify(|progress| {
        progress.paused = Some(Paused {
            until,
            waits_for: Obstacle::AnotherProcess,
            reason,
        });
    });
    BUSY
}

fn until(app: &App, not_before: Option<Timestamp>) -> Duration {
    let not_before = not_before.unwrap_or_else(|| app.clock.now());
    Duration::try_from(not_before.duration_since(app.clock.now())).unwrap_or_default()
}

/// How another process has ended the run that was asked for at `asked_at`; `None` while it is at it.
async fn over_elsewhere(app: &App, asked_at: Timestamp) -> anyhow::Result<Option<Ended>> {
    let under_way = app.store.load(&current_run()).await?.value.is_some();
    if under_way || app.store.load(&run_request()).await?.value.is_some() {
        return Ok(None);
    }
    let end = app.store.load(&completed()).await?.value;
    match end.filter(|end| asked_at <= end.at) {
        Some(end) => Ok(Some(Ended::Elsewhere {
            is_complete: end.all_recorded,
        })),
        None => bail!(
            "the resync was not completed: another process has ended it, and its log says why"
        ),
    }
}

/// Takes what is stored to be looked at again, as far as its time has come. Returns how much is left.
async fn take_again(app: &App, deadline: &Deadline) -> anyhow::Result<usize> {
    // What is looked at may bring up more of it.
    while 0 < again::due(app, deadline).await?.succeeded {}
    Ok(stored_looks(app).await?)
}

async fn stored_looks(app: &App) -> Result<usize, StoreError> {
    let mut count = 0;
    let each = |_: &str, found: ferry::store::Found<_>| {
        count += usize::from(found.value.is_some());
        ControlFlow::Continue(())
    };
    app.store.list(&agains(), "", each).await?;
    Ok(count)
}

/// What becomes of a run that was interrupted.
pub(super) fn what_is_kept(app: &App) -> &'static str {
    match (&app.config.state_table, &app.config.state_dir) {
        (None, None) => "begins anew (FERRY__STATE_DIR would keep what is done)",
        _ => "goes on where it stopped",
    }
}

fn tell(ended: &Ended, options: &Options) -> anyhow::Result<ExitCode> {
    let (summary, looks_left, is_complete) = match ended {
        Ended::Here {
            summary,
            looks_left,
            is_complete,
        } => (summary, *looks_left, *is_complete),
        Ended::Elsewhere { is_complete } => {
            tracing::info!("another process has done it");
            return Ok(code(*is_complete));
        }
    };
    let losses = (!is_complete).then(|| losses(summary, looks_left));
    let faults = faults(summary).filter(|_| options.strict);
    match options.audience {
        Audience::People => print_fitted(as_text(summary, losses.as_deref()))?,
        Audience::Machine => {
            print(as_json(summary, looks_left, is_complete))?;
            if let Some(losses) = losses {
                tracing::warn!("{losses}");
            }
        }
    }
    if let Some(faults) = &faults {
        tracing::warn!(faults, "completed, and --strict asks for more");
    }
    Ok(code(is_complete && faults.is_none()))
}

/// What is no loss, and not as it was meant either.
fn faults(summary: &Summary) -> Option<String> {
    let problems = summary.mapping_problems.len();
    match problems {
        0 => None,
        1 => Some("1 problem of the mapping".to_owned()),
        _ => Some(format!("{} problems of the mapping", number(problems))),
    }
}

fn code(is_complete: bool) -> ExitCode {
    ExitCode::from(match is_complete {
        true => COMPLETED,
        false => COMPLETED_WITH_LOSSES,
    })
}

/// As the function returns it, with how many looks are left.
fn as_json(summary: &Summary, looks_left: usize, is_complete: bool) -> Value {
    let outcome = match is_complete {
        true => RunOutcome::Completed(summary.clone()),
        false => RunOutcome::CompletedWithLosses(summary.clone()),
    };
    let mut told = json!(outcome);
    told["looks_left"] = looks_left.into();
    told
}

/// What is not in Port as it should be, in one line.
fn losses(summary: &Summary, looks_left: usize) -> String {
    let counts = &summary.counts;
    let lost = [
        (summary.failures, "not read", "part", "parts"),
        (counts.refused, "refused by Port", "entity", "entities"),
        (
            counts.waiting,
            "without what it points at",
            "entity",
            "entities",
        ),
        (
            counts.undeleted,
            "not deleted by Port",
            "entity",
            "entities",
        ),
        (counts.not_mapped, "not mapped", "item", "items"),
        (
            summary.withheld,
            "left in place",
            "stale entity",
            "stale entities",
        ),
        (
            summary.hidden.len(),
            "that show nothing of what they count",
            "list",
            "lists",
        ),
        (counts.left_out, "left out", "value", "values"),
        (looks_left, "to be looked at again", "object", "objects"),
    ];
    let lost = lost.into_iter().filter(|(count, ..)| 0 < *count);
    let lost: Vec<String> = lost
        .map(|(count, what, one, many)| {
            let noun = if count == 1 { one } else { many };
            format!("{} {noun} {what}", number(count))
        })
        .collect();
    match lost.is_empty() {
        true => "completed with losses: the log says which".to_owned(),
        false => format!("completed with losses: {}", lost.join(", ")),
    }
}

fn number(count: usize) -> String {
    HumanCount(count.try_into().unwrap_or(u64::MAX)).to_string()
}

fn as_text(summary: &Summary, losses: Option<&str>) -> String {
    let KindTable { columns, rows } = by_kind(summary);
    let rows = rows.into_iter().map(|(kind, counts)| {
        let counts = counts.into_iter().map(number);
        [kind].into_iter().chain(counts).collect()
    });
    let mut lines = vec![table(&columns, rows), String::new()];
    let figures = figures(&summary.counts).into_iter();
    lines.extend(figures.map(|(count, what, _)| format!("{:>9} {what}", number(count))));
    let problems = summary.mapping_problems.iter();
    lines.extend(problems.map(|problem| painted(DOUBTFUL, format!("mapping: {problem}"))));
    lines.extend(summary.kept.iter().map(|kept| painted(DOUBTFUL, kept)));
    let failed = summary.failed_partitions.iter();
    lines.extend(failed.map(|part| painted(BAD, format!("not read: {part}"))));
    lines.push(match losses {
        None => painted(GOOD, "completed"),
        Some(losses) => painted(DOUBTFUL, losses),
    });
    lines.join("\n")
}

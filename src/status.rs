//! How the installation stands, for whoever asks: `ferry status`, and `GET /status` of `ferry serve`.
//!
//! Reads what is stored and how the queue stands; asks neither Bitbucket nor Port.

use jiff::Timestamp;
use serde::Serialize;

use crate::app::App;
use crate::condition::Condition;
use crate::deadline::{Deadline, later};
use crate::failure::Failure;
use crate::health::{Diagnosis, Facts, OldestLook, oldest_look};
use crate::queue::QueueDepth;
use crate::store::run::{Losses, Run, RunRequest, Usage, usage};
use crate::telemetry::chain;
use crate::watch;

/// An installation at one moment.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    pub version: &'static str,
    /// Of the installation, in Port.
    pub identifier: String,
    pub at: Timestamp,
    /// No condition holds.
    pub is_healthy: bool,
    /// The most serious first.
    pub conditions: Vec<Diagnosis>,
    /// The last resync that came to its end.
    pub last_run: Option<LastRun>,
    /// The one that is under way.
    pub run: Option<RunUnderWay>,
    /// The one that was asked for and has not begun.
    pub wanted_run: Option<WantedRun>,
    /// When the schedule brings the next one, as far as the last one tells.
    pub next_run: Option<Timestamp>,
    /// `None`: there is none in this process, or it cannot be reached.
    pub queue: Option<QueueDepth>,
    /// Why the queue cannot be reached.
    pub queue_problem: Option<String>,
    /// The stored look that has waited longest.
    pub oldest_look: Option<OldestLook>,
    /// When the last webhook was accepted, to ten minutes.
    pub last_webhook: Option<Timestamp>,
    pub allowances: Vec<TokenAllowance>,
}

#[derive(Clone, Debug, Serialize)]
pub struct LastRun {
    pub started_at: Option<Timestamp>,
    pub completed_at: Timestamp,
    /// Entities that Port says are ours.
    pub entities: usize,
    pub has_losses: bool,
    pub losses: Losses,
}

#[derive(Clone, Debug, Serialize)]
pub struct RunUnderWay {
    pub id: String,
    pub started_at: Timestamp,
    pub paused_since: Option<Timestamp>,
    pub pause: Option<String>,
    pub not_before: Option<Timestamp>,
}

#[derive(Clone, Debug, Serialize)]
pub struct WantedRun {
    pub reason: String,
    pub asked_at: Timestamp,
    /// Attempts that failed in a row.
    pub failed_attempts: u32,
    pub cause: Option<String>,
    pub not_before: Option<Timestamp>,
}

/// Of one credential of Bitbucket, within this hour.
#[derive(Clone, Debug, Serialize)]
pub struct TokenAllowance {
    /// Which one, from 1, in the order of the settings.
    pub token: usize,
    pub requests_left: u32,
    pub limit: u32,
}

/// How it stands now. Fails only where nothing stored can be read.
pub async fn status(app: &App, deadline: &Deadline) -> Result<Status, Failure> {
    let store = app.store.within(deadline);
    let facts = Facts::read(&store).await?;
    let oldest = oldest_look(&store).await?;
    let (queue, queue_problem) = match &app.queue {
        None => (None, None),
        Some(queue) => match queue.depth(deadline).await {
            Ok(depth) => (Some(depth), None),
            Err(error) => (None, Some(chain(&error))),
        },
    };
    let mut conditions = watch::diagnoses(app, &facts, oldest.clone());
    add_dead_letters(&mut conditions, queue.as_ref(), app.clock.now());
    let interval = app.config.resync_interval;
    let begun = facts
        .completed
        .as_ref()
        .map(|last| last.started_at.unwrap_or(last.at));
    Ok(Status {
        version: env!("CARGO_PKG_VERSION"),
        identifier: app.config.identifier.clone(),
        at: app.clock.now(),
        is_healthy: conditions.is_empty(),
        conditions,
        next_run: begun
            .zip(interval)
            .map(|(begun, interval)| later(begun, interval)),
        last_run: facts.completed.map(|last| LastRun {
            started_at: last.started_at,
            completed_at: last.at,
            entities: last.owned,
            has_losses: last.losses.are_any(),
            losses: last.losses,
        }),
        run: facts.run.map(under_way),
        wanted_run: facts.request.map(wanted),
        queue,
        queue_problem,
        oldest_look: oldest,
        last_webhook: facts.last_event,
        allowances: allowances(app, deadline).await?,
    })
}

fn under_way(run: Run) -> RunUnderWay {
    RunUnderWay {
        id: run.id,
        started_at: run.started_at,
        paused_since: run.pause.as_ref().map(|pause| pause.since),
        pause: run.pause.map(|pause| pause.reason),
        not_before: run.not_before,
    }
}

fn wanted(request: RunRequest) -> WantedRun {
    let failure = request.failure;
    WantedRun {
        reason: request.reason,
        asked_at: request.at,
        failed_attempts: failure.as_ref().map_or(0, |failure| failure.times),
        not_before: failure.as_ref().map(|failure| failure.not_before),
        cause: failure.map(|failure| failure.cause),
    }
}

/// Those in SQS lie there until somebody acts. Of a queue in the process, the next run does what they asked for.
fn add_dead_letters(found: &mut Vec<Diagnosis>, queue: Option<&QueueDepth>, now: Timestamp) {
    let condition = Condition::DeadLetters;
    let Some(depth) = queue.filter(|depth| depth.is_shared && 0 < depth.dead_letters) else {
        return;
    };
    if found.iter().any(|known| known.condition == condition) {
        return;
    }
    found.push(Diagnosis {
        number: condition.number(),
        condition,
        cause: format!("{} in the dead-letter queue", depth.dead_letters),
        remedy: condition.remedy(),
        since: now,
    });
    found.sort_by_key(|known| std::cmp::Reverse(known.condition));
}

/// As stored; without the right to read the credentials, in no particular order.
async fn allowances(app: &App, deadline: &Deadline) -> Result<Vec<TokenAllowance>, Failure> {
    let stored = app.store.within(deadline).load(&usage()).await?.value;
    let Usage(stored) = stored.unwrap_or_default();
    let known = match app.session(deadline).await {
        Ok(session) => {
            session.bitbucket.learn(&stored);
            session.bitbucket.allowances()
        }
        Err(_) => stored.into_values().collect(),
    };
    let now = app.clock.now();
    let known = known.into_iter().enumerate();
    let known = known.map(|(at, mut allowance)| TokenAllowance {
        token: at + 1,
        requests_left: allowance.requests_left(now),
        limit: allowance.requests_an_hour(),
    });
    Ok(known.collect())
}

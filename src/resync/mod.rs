//! The resync flow: everything looked at by list, then what the lists did not show.
//!
//! A resync is a run that any number of invocations work on, one at a time, each for a slice. [`resync`] asks for one and
//! works on it, [`tick`] goes on with it. What is written and deleted is the engine's business (`sync`); a run only says
//! what is to be looked at. Knows nothing of webhooks or of Lambda.

mod adopt;
mod begin;
mod committer;
mod examples;
mod figures;
mod finish;
mod journal;
mod order;
mod pages;
mod preview;
mod read;
mod slice;
mod snapshots;

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use crate::app::{App, Session};
use crate::bitbucket;
use crate::bitbucket::Purpose;
use crate::counts::Counts;
use crate::deadline::{Deadline, later};
use crate::failure::Failure;
use crate::port::{self, ResyncReport, ResyncStatus};
use crate::progress::Paused;
use crate::store::documents::{Completed, completed, generation};
use crate::store::run::{
    FailedRepositories, Run, RunRequest, Usage, Watermark, failed_repositories, pages, run,
    run_request, usage, watermark,
};
use crate::store::{Asker, Attempt, Lease, LeaseName, Revision};
use crate::telemetry::chain;

pub use preview::{Change, Field, Preview, Scope, preview};

use begin::{Begun, begin, resume};
use figures::put_age;
use journal::Phase;
use slice::{Slice, Step};

/// How a call ended when nothing was wrong.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Outcome {
    /// A run has looked at everything, and all of it is in Port.
    Completed(Summary),
    /// A run is over, and something is not in Port as it should be: parts that could not be read, entities that Port
    /// refused, items that could not be mapped.
    CompletedWithLosses(Summary),
    /// There is more to do; a later tick goes on.
    Paused {
        run: String,
        reason: String,
        not_before: Option<Timestamp>,
    },
    /// Another invocation is at work; what was asked for is noted.
    Busy,
    /// Nothing to do.
    Idle,
}

/// What a run did that is over.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    pub run: String,
    pub counts: Counts,
    /// Parts of the workspace that could not be read, each with its reason: the first of many.
    pub failed_partitions: Vec<String>,
    /// Why stale entities were left in place, if they were.
    pub kept: Option<String>,
    /// Each problem of the mapping once, with the number of items it cost.
    pub mapping_problems: Vec<String>,
}

/// How long to stay away after a failure that may pass by itself and says nothing about when.
const PAUSE: Duration = Duration::from_secs(60);

/// How often a slice goes on at once after it has lost the pen.
const MOST_RETURNS: usize = 20;

/// Whether there is nothing to wait for.
fn is_brief(failure: &Failure) -> bool {
    matches!(failure, Failure::PenIsBusy) || failure.wait() == Some(Duration::ZERO)
}

/// Asks for a run and works on it. A run that is under way is continued first.
pub async fn resync(app: &App, reason: &str, deadline: &Deadline) -> Result<Outcome, Failure> {
    request(app, reason).await?;
    work(app, deadline).await
}

/// Notes that a run is wanted; a tick will begin it.
pub async fn request(app: &App, reason: &str) -> Result<(), Failure> {
    let request = RunRequest {
        reason: reason.to_owned(),
        at: app.clock.now(),
    };
    app.store
        .save(&run_request(), &request, Revision::ANYTHING)
        .await?;
    Ok(())
}

/// Goes on with an unfinished run, or begins one that was asked for here or in Port, or that the store needs.
pub async fn tick(app: &App, deadline: &Deadline) -> Result<Outcome, Failure> {
    put_age(app).await?;
    if let Some(run) = app.store.load(&run()).await?.value {
        return match run.not_before {
            Some(not_before) if app.clock.now() < not_before => Ok(Outcome::Idle),
            _ => work(app, deadline).await,
        };
    }
    let wanted = app.store.load(&run_request()).await?.value.is_some()
        || store_asks(app).await?
        || port_asks(app, deadline).await?;
    match wanted {
        true => work(app, deadline).await,
        false => Ok(Outcome::Idle),
    }
}

/// Whether the store has lost something that only a run can find again.
async fn store_asks(app: &App) -> Result<bool, Failure> {
    let unreadable = app.store.take_unreadable();
    let reason = if app.store.load(&generation()).await?.value.is_none() {
        "nothing is known of an earlier run"
    } else if !unreadable.is_empty() {
        "stored documents could not be read"
    } else {
        return Ok(false);
    };
    request(app, reason).await?;
    Ok(true)
}

/// Whether Port asks for a resync that was not followed yet: a saved mapping, the Resync button. Notes the request.
async fn port_asks(app: &App, deadline: &Deadline) -> Result<bool, Failure> {
    let session = app.session(deadline).await?;
    let asked_at = session.port.resync_request(deadline).await?;
    let followed = app.store.load(&watermark()).await?.value;
    let followed = followed.map_or(Timestamp::UNIX_EPOCH, |watermark| watermark.0);
    let Some(asked_at) = asked_at.filter(|asked_at| followed < *asked_at) else {
        return Ok(false);
    };
    request(app, "asked for in Port").await?;
    app.store
        .save(&watermark(), &Watermark(asked_at), Revision::ANYTHING)
        .await?;
    Ok(true)
}

/// Works on what is to be done until it is done or the deadline is near. One invocation at a time does.
async fn work(app: &App, deadline: &Deadline) -> Result<Outcome, Failure> {
    let lease = match app.leases.try_take(LeaseName::Run, Asker::Run).await? {
        Attempt::Taken(lease) => lease,
        Attempt::Refused => {
            tracing::info!("another invocation is at work");
            return Ok(Outcome::Busy);
        }
    };
    let lease = tokio::sync::Mutex::new(lease);
    let mut outcome = work_under_lease(app, &lease, deadline).await;
    if matches!(&outcome, Err(failure) if failure.is_unauthorized()) && app.secrets.forget() {
        tracing::info!("reading the credentials again after a refusal");
        if app.store.load(&run()).await?.value.is_none() {
            // The refusal ended what was asked for.
            request(app, "the credentials were refused").await?;
        }
        outcome = work_under_lease(app, &lease, deadline).await;
    }
    lease.into_inner().release().await?;
    outcome
}

async fn work_under_lease(
    app: &App,
    lease: &tokio::sync::Mutex<Lease>,
    deadline: &Deadline,
) -> Result<Outcome, Failure> {
    let mut outcome = Outcome::Idle;
    loop {
        let wanted = app.store.load(&run_request()).await?.value.is_some();
        let unfinished = app.store.load(&run()).await?;
        if !wanted && unfinished.value.is_none() {
            return Ok(outcome);
        }
        let session = app.session(deadline).await?;
        let usage_key = usage();
        if let Some(Usage(known)) = app.store.load(&usage_key).await?.value {
            session.bitbucket.learn(&known);
        }
        let begun = match unfinished.value {
            Some(found) => resume(app, &session, (found, unfinished.revision), deadline).await?,
            None => match begin(app, &session, deadline).await {
                Ok(begun) => Some(begun),
                Err(failure) => return not_begun(app, &session, failure, deadline).await,
            },
        };
        // The mapping has changed: that run is over, and another one is asked for.
        let Some(begun) = begun else { continue };
        let continued = continue_run(app, &session, begun, lease, deadline).await;
        let used = Usage(session.bitbucket.usage());
        app.store
            .save(&usage_key, &used, Revision::ANYTHING)
            .await?;
        match continued {
            Err(Failure::MappingChanged) => {
                abandon(app, &session, deadline).await?;
                continue;
            }
            continued => outcome = continued?,
        }
        if !matches!(
            outcome,
            Outcome::Completed(_) | Outcome::CompletedWithLosses(_)
        ) {
            return Ok(outcome);
        }
    }
}

async fn not_begun(
    app: &App,
    session: &Session,
    failure: Failure,
    deadline: &Deadline,
) -> Result<Outcome, Failure> {
    if !failure.is_retryable() && !failure.is_unauthorized() {
        // Asking again every minute would not change it; the schedule and Port will.
        app.store.remove(&run_request()).await?;
    }
    let now = app.clock.now();
    report(app, session, ResyncStatus::Failed, now, deadline).await;
    Err(failure)
}

/// Ends a run whose mapping is not the one in Port any more, and asks for another.
async fn abandon(app: &App, session: &Session, deadline: &Deadline) -> Result<(), Failure> {
    if let Some(found) = app.store.load(&run()).await?.value {
        tracing::info!(
            run = found.id,
            "the mapping has changed: the run is abandoned"
        );
        clean_up(app, &found.id).await?;
        report(
            app,
            session,
            ResyncStatus::Aborted,
            found.started_at,
            deadline,
        )
        .await;
    }
    request(app, "the mapping has changed").await
}

/// Removes what only the run `id` needed.
async fn clean_up(app: &App, id: &str) -> Result<(), Failure> {
    let folder = pages(id);
    let names = app.store.names(&folder, "").await?;
    let keys: Vec<_> = names.into_iter().map(|name| folder.key(name)).collect();
    app.store.remove_all(&keys).await?;
    app.store.remove(&run()).await?;
    Ok(())
}

async fn continue_run(
    app: &App,
    session: &Session,
    begun: Begun,
    lease: &tokio::sync::Mutex<Lease>,
    deadline: &Deadline,
) -> Result<Outcome, Failure> {
    let bitbucket = session.bitbucket.with_purpose(Purpose::Resync);
    let logs = begun.logs.clone();
    let slice = Slice::new(app, session, &bitbucket, begun, lease, deadline);
    slice.tell_begin();
    let outcome = match Box::pin(slice.work()).await {
        Ok(outcome) => Ok(outcome),
        Err(Failure::MappingChanged) => Err(Failure::MappingChanged),
        Err(failure) if failure.is_retryable() => slice.pause(failure).await,
        Err(failure) => {
            // The run is over. Nothing was deleted for that; the next one begins afresh.
            slice.journal.error(chain(&failure));
            let (id, started_at) = {
                let run = slice.run();
                (run.id.clone(), run.started_at)
            };
            clean_up(app, &id).await?;
            report(
                app,
                session,
                ResyncStatus::Failed,
                started_at,
                &slice.deadline,
            )
            .await;
            Err(failure)
        }
    };
    slice.tell_mapping_problems();
    for line in session.bitbucket.take_set_aside() {
        slice.journal.warn(Phase::Extract, line);
    }
    slice.journal.send(session, logs.as_ref(), deadline).await;
    outcome
}

impl Slice<'_> {
    /// Takes the run as far as it goes.
    async fn work(&self) -> Result<Outcome, Failure> {
        if self.run().is_read && !self.load_pages().await? {
            self.run().is_read = false;
        }
        if !self.run().is_read {
            if let Step::Paused(failure) = self.read_on().await? {
                return self.pause(failure).await;
            }
            self.run().is_read = true;
            self.save().await?;
            self.send_examples().await;
        }
        if let Some(reason) = self.nothing_read() {
            return Err(Failure::NothingRead(reason));
        }
        if let Step::Paused(failure) = self.finish().await? {
            return self.pause(failure).await;
        }
        self.complete().await
    }

    /// Reads until everything is read or the run has to pause. A section that was given up because somebody else wanted
    /// the pen, or held it for long, is read again at once.
    async fn read_on(&self) -> Result<Step, Failure> {
        for _ in 0..MOST_RETURNS {
            match self.read().await? {
                Step::Paused(failure) if is_brief(&failure) && self.deadline.has(PAUSE) => {}
                step => return Ok(step),
            }
        }
        self.read().await
    }

    /// False where a page is lost.
    async fn load_pages(&self) -> Result<bool, Failure> {
        let (id, lists) = {
            let run = self.run();
            (run.id.clone(), run.lists.clone())
        };
        for (list, state) in lists {
            if !self
                .pages
                .load(self.store(), &id, (&list, state.pages))
                .await?
            {
                self.run().lists.remove(&list);
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Why there is not a single item, though something was to be read.
    fn nothing_read(&self) -> Option<String> {
        let run = self.run();
        let failed = run.failed.first()?;
        let nothing = run.counts.extracted == 0;
        nothing.then(|| failed.reason.clone())
    }

    async fn complete(&self) -> Result<Outcome, Failure> {
        self.count();
        let mapping_problems = self.tell_mapping_problems();
        let run = self.run().clone();
        let now = self.app.clock.now();
        let summary = Summary {
            run: run.id.clone(),
            counts: run.counts,
            failed_partitions: run.failed.iter().map(ToString::to_string).collect(),
            kept: run.kept.iter().next().cloned(),
            mapping_problems,
        };
        let failed = run
            .failed
            .iter()
            .filter_map(|failed| failed.repository.clone());
        let failed = FailedRepositories(failed.collect());
        let end = Completed {
            at: now,
            mapping: self.sources().mapping().fingerprint().to_owned(),
            owned: run.owned,
            all_recorded: run.failures == 0 && run.unsound.is_empty(),
        };
        let store = self.store();
        store
            .save(&failed_repositories(), &failed, Revision::ANYTHING)
            .await?;
        store.save(&completed(), &end, Revision::ANYTHING).await?;
        clean_up(self.app, &run.id).await?;
        let status = match run.has_losses() {
            true => ResyncStatus::Failed,
            false => ResyncStatus::Completed,
        };
        report(
            self.app,
            self.session,
            status,
            run.started_at,
            &self.deadline,
        )
        .await;
        self.log_completed(&run, &summary);
        self.tell_end(&run, &summary);
        self.put_completed(now, &summary);
        Ok(match run.has_losses() {
            true => Outcome::CompletedWithLosses(summary),
            false => Outcome::Completed(summary),
        })
    }

    fn log_completed(&self, run: &Run, summary: &Summary) {
        let counts = &summary.counts;
        tracing::info!(
            run = run.id,
            extracted = counts.extracted,
            skipped = counts.skipped,
            transformed = counts.transformed,
            filtered_out = counts.filtered_out,
            not_mapped = counts.not_mapped,
            written = counts.written,
            unchanged = counts.unchanged,
            refused = counts.refused,
            waiting = counts.waiting,
            deleted = counts.deleted,
            kept = counts.kept,
            failed_partitions = run.failures,
            losses = run.has_losses(),
            "resync completed"
        );
    }

    fn tell_mapping_problems(&self) -> Vec<String> {
        let problems = self.mapper.take_report().lines();
        for problem in &problems {
            tracing::warn!(problem, "the mapping could not be applied everywhere");
            self.journal.warn(Phase::Transform, problem.as_str());
        }
        problems
    }

    async fn pause(&self, failure: Failure) -> Result<Outcome, Failure> {
        let wait = match &failure {
            Failure::Bitbucket(bitbucket::Error::OutOfTime)
            | Failure::Port(port::Error::OutOfTime { .. })
            | Failure::PenIsBusy => Duration::ZERO,
            failure => failure.wait().unwrap_or(PAUSE),
        };
        let not_before = later(self.app.clock.now(), wait);
        self.run().not_before = Some(not_before);
        self.save().await?;
        let reason = chain(&failure);
        self.publish(Some(Paused {
            until: not_before,
            reason: reason.clone(),
        }));
        self.put_budget();
        self.tell_pause(not_before, &reason);
        let run = self.run().id.clone();
        tracing::info!(run, reason, %not_before, "resync paused");
        Ok(Outcome::Paused {
            run,
            reason,
            not_before: Some(not_before),
        })
    }
}

/// Tells Port how the run stands. Its failure costs nothing else.
async fn report(
    app: &App,
    session: &Session,
    status: ResyncStatus,
    started_at: Timestamp,
    deadline: &Deadline,
) {
    let now = app.clock.now();
    let interval = app.config.resync_interval;
    let minutes = interval.map(|interval| interval.as_secs() / 60);
    let report = ResyncReport {
        status,
        start: Some(started_at),
        end: (status != ResyncStatus::Running).then_some(now),
        next: interval.map(|interval| later(started_at, interval)),
        interval_minutes: minutes.and_then(|minutes| u32::try_from(minutes).ok()),
    };
    if let Err(error) = session.port.report_resync(report, deadline).await {
        tracing::warn!(error = chain(&error), "resync state not reported to Port");
    }
}

//! The resync flow: everything looked at by list, then what the lists did not show.
//!
//! A resync is a run that any number of invocations work on, one at a time, each for a slice. [`resync`] asks for one and
//! works on it, [`tick`] goes on with it. What is written and deleted is the engine's business (`sync`); a run only says
//! what is to be looked at. Knows nothing of webhooks or of Lambda.

mod absent;
mod adopt;
mod begin;
mod clashes;
mod committer;
mod end;
mod examples;
mod figures;
mod finish;
mod hidden;
mod holder;
mod identifiers;
mod journal;
mod lint;
mod listing;
mod names;
mod order;
mod pages;
mod partition;
mod preview;
mod proof;
mod read;
mod retry;
mod rival;
mod slice;
mod snapshots;
mod takeover;
mod told;
mod unreadable;

use jiff::Timestamp;
use serde::Serialize;

use crate::app::{App, Session};
use crate::bitbucket::Purpose;
use crate::condition::Condition;
use crate::deadline::Deadline;
use crate::failure::Failure;
use crate::health::Facts;
use crate::on_heap::on_heap;
use crate::port::{ResyncStatus, SyncEnd};
use crate::store::run::{
    Run, RunRequest, Usage, Watermark, pages, run, run_request, usage, watermark,
};
use crate::store::{Asker, Attempt, Lease, LeaseName, Revision};
use crate::telemetry::chain;

pub use end::Summary;
pub use figures::KindSummary;
pub use figures::put_age;
pub use holder::interrupted;
pub use preview::{
    FieldChange, ForeseenRefusal, Preview, PreviewedChange, PreviewedDeletion, RefusalCost, Scope,
    preview,
};
pub use unreadable::request_for_unreadable;

use begin::{Begun, begin, resume};
use holder::{note_holder, tell_holder};
use journal::Phase;
use rival::rival_line;
use slice::Slice;
use told::{report, report_again, report_end};

/// How a call ended when nothing was wrong.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum RunOutcome {
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
    /// Nothing to do, or no credentials yet to do it with.
    Idle,
}

/// Asks for a run and works on it. A run that is under way is continued first.
pub async fn resync(app: &App, reason: &str, deadline: &Deadline) -> Result<RunOutcome, Failure> {
    request(app, reason).await?;
    work(app, deadline).await
}

/// Notes that a run is wanted; a tick will begin it.
pub async fn request(app: &App, reason: &str) -> Result<(), Failure> {
    let request = RunRequest {
        reason: reason.to_owned(),
        at: app.clock.now(),
        failure: None,
    };
    app.store
        .save(&run_request(), &request, Revision::ANYTHING)
        .await?;
    Ok(())
}

/// Goes on with an unfinished run, or begins one that was asked for, or that the store needs.
pub async fn tick(app: &App, deadline: &Deadline) -> Result<RunOutcome, Failure> {
    let facts = Facts::read(&app.store).await?;
    go_on(app, &facts, deadline).await
}

/// The same by what was read a moment ago.
pub async fn go_on(app: &App, facts: &Facts, deadline: &Deadline) -> Result<RunOutcome, Failure> {
    report_again(app, facts.untold_end.as_ref(), deadline).await;
    let now = app.clock.now();
    if let Some(run) = &facts.run {
        return match run.not_before {
            Some(not_before) if now < not_before => Ok(RunOutcome::Idle),
            _ => work(app, deadline).await,
        };
    }
    if app.secrets.credentials_if_filled(deadline).await?.is_none() {
        return Ok(RunOutcome::Idle);
    }
    match facts.want_run(now, app.started_at) || store_asks(app, facts).await? {
        true => work(app, deadline).await,
        false => Ok(RunOutcome::Idle),
    }
}

/// What a process does every minute that takes events alone: it makes no run, and goes on with the mapping that Port has.
pub async fn follow_mapping(app: &App, deadline: &Deadline) -> Result<(), Failure> {
    let session = app.session(deadline).await?;
    begin::follow_mapping(app, &session, deadline).await
}

/// Whether the store has lost something that only a run can find again.
async fn store_asks(app: &App, facts: &Facts) -> Result<bool, Failure> {
    if facts.generation.is_none() && facts.request.is_none() {
        app.store.take_unreadable();
        request(app, "nothing is known of an earlier run").await?;
        return Ok(true);
    }
    request_for_unreadable(app).await
}

/// Notes whether Port asks for a resync that was not followed yet: a saved mapping, the Resync button.
pub async fn port_asks(app: &App, session: &Session, deadline: &Deadline) -> Result<(), Failure> {
    let asked_at = session.port.resync_request(deadline).await?;
    let followed = app.store.load(&watermark()).await?.value;
    let followed = followed.map_or(Timestamp::UNIX_EPOCH, |watermark| watermark.0);
    let Some(asked_at) = asked_at.filter(|asked_at| followed < *asked_at) else {
        return Ok(());
    };
    request(app, "asked for in Port").await?;
    app.store
        .save(&watermark(), &Watermark(asked_at), Revision::ANYTHING)
        .await?;
    Ok(())
}

/// Works on what is to be done until it is done or the deadline is near. One invocation at a time does.
async fn work(app: &App, deadline: &Deadline) -> Result<RunOutcome, Failure> {
    let lease = match app.leases.try_take(LeaseName::Run, Asker::Run).await? {
        Attempt::Taken(lease) => lease,
        Attempt::Refused => {
            tell_holder(app).await;
            return Ok(RunOutcome::Busy);
        }
    };
    if lease.was_stolen() {
        let cause = "the process that worked on the resync ended without saying so";
        app.note(Condition::WorkerDied, cause).await;
    }
    let lease = tokio::sync::Mutex::new(lease);
    let before = app.store.load(&run_request()).await?.value;
    let mut outcome = on_heap(|| work_under_lease(app, &lease, deadline)).await;
    if matches!(&outcome, Err(failure) if failure.is_unauthorized()) && app.secrets.forget() {
        tracing::info!("reading the credentials again after a refusal");
        if app.store.load(&run()).await?.value.is_none() {
            // The refusal ended what was asked for.
            request(app, "the credentials were refused").await?;
        }
        outcome = on_heap(|| work_under_lease(app, &lease, deadline)).await;
    }
    if let Err(failure) = &outcome {
        on_heap(|| retry::ask_again(app, before, failure)).await?;
    }
    lease.into_inner().release().await?;
    outcome
}

async fn work_under_lease(
    app: &App,
    lease: &tokio::sync::Mutex<Lease>,
    deadline: &Deadline,
) -> Result<RunOutcome, Failure> {
    let mut outcome = RunOutcome::Idle;
    loop {
        let wanted = app.store.load(&run_request()).await?.value.is_some();
        let unfinished = app.store.load(&run()).await?;
        if !wanted && unfinished.value.is_none() {
            return Ok(outcome);
        }
        note_holder(app, deadline).await;
        let session = app.session(deadline).await?;
        let usage_key = usage();
        if let Some(Usage(known)) = app.store.load(&usage_key).await?.value {
            session.bitbucket.learn(&known);
        }
        let begun = match unfinished.value {
            Some(found) => {
                let found = (found, unfinished.revision);
                on_heap(|| resume(app, &session, found, deadline)).await?
            }
            None => match on_heap(|| begin(app, &session, deadline)).await {
                Ok(begun) => Some(begun),
                Err(failure) => return not_begun(app, &session, failure, deadline).await,
            },
        };
        // The mapping has changed: that run is over, and another one is asked for.
        let Some(begun) = begun else { continue };
        // These futures are large, and each would be laid out in all that wait for it.
        let continued = on_heap(|| continue_run(app, &session, begun, lease, deadline)).await;
        let used = Usage(session.bitbucket.usage());
        app.store
            .save(&usage_key, &used, Revision::ANYTHING)
            .await?;
        match continued {
            Err(Failure::MappingChanged) => {
                on_heap(|| abandon(app, &session, deadline)).await?;
                continue;
            }
            continued => outcome = continued?,
        }
        if !matches!(
            outcome,
            RunOutcome::Completed(_) | RunOutcome::CompletedWithLosses(_)
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
) -> Result<RunOutcome, Failure> {
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
        clean_up(app, &found).await?;
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

/// Removes the run, and pages of earlier runs in places that the next one will not need.
async fn clean_up(app: &App, over: &Run) -> Result<(), Failure> {
    let folder = pages();
    let names = app.store.names(&folder, "").await?;
    let left = names.into_iter().filter(|name| !over.has_page(name));
    let keys: Vec<_> = left.map(|name| folder.key(name)).collect();
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
) -> Result<RunOutcome, Failure> {
    let bitbucket = session.bitbucket.with_purpose(Purpose::Resync);
    let is_new = begun.is_new;
    let slice = Slice::new(app, session, &bitbucket, begun, lease, deadline);
    slice.tell_begin();
    if is_new {
        slice.tell_mistakes();
    }
    if slice.run().has_rival {
        slice.journal.error(rival_line());
    }
    let outcome = match Box::pin(slice.work()).await {
        Ok(outcome) => Ok(outcome),
        Err(Failure::MappingChanged) => Err(Failure::MappingChanged),
        Err(failure) if failure.is_retryable() => slice.pause(failure).await,
        Err(failure) => {
            // The run is over. Nothing was deleted for that; the next one begins afresh.
            slice.journal.error(chain(&failure));
            let over = slice.run().clone();
            clean_up(app, &over).await?;
            let metrics = slice.metrics(&over, SyncEnd::Failed);
            let end = (ResyncStatus::Failed, over.started_at);
            report_end(app, session, end, metrics, &slice.deadline).await;
            Err(failure)
        }
    };
    slice.tell_mapping_problems();
    slice.put_git_fallbacks();
    for line in session.bitbucket.take_set_aside() {
        slice.journal.warn(Phase::Extract, line);
    }
    let to = slice.ingest.logs.as_ref();
    slice.journal.send(session, to, deadline).await;
    outcome
}

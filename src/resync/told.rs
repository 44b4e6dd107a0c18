//! What Port is told of how runs stand. How one has ended is told until Port has heard it, or until another run begins.

use jiff::Timestamp;

use super::rival::note_start;
use crate::app::{App, Session};
use crate::class::Class;
use crate::deadline::{Deadline, later};
use crate::port::{ResyncReport, ResyncStatus, SyncMetrics};
use crate::store::run::{UntoldEnd, untold_end};
use crate::store::{Revision, StoreError};
use crate::telemetry::chain;

/// Tells Port how the run stands. Its failure costs nothing else.
pub(super) async fn report(
    app: &App,
    session: &Session,
    status: ResyncStatus,
    started_at: Timestamp,
    deadline: &Deadline,
) {
    report_end(app, session, (status, started_at), None, deadline).await;
}

/// The same of a run that is over, with what became of each kind.
pub(super) async fn report_end(
    app: &App,
    session: &Session,
    (status, started_at): (ResyncStatus, Timestamp),
    metrics: Option<SyncMetrics>,
    deadline: &Deadline,
) {
    let now = app.clock.now();
    let interval = app.config.resync_interval;
    let minutes = interval.map(|interval| interval.as_secs() / 60);
    let is_over = status != ResyncStatus::Running;
    let report = ResyncReport {
        status,
        start: Some(started_at),
        end: is_over.then_some(now),
        next: interval.map(|interval| later(started_at, interval)),
        interval_minutes: minutes.and_then(|minutes| u32::try_from(minutes).ok()),
    };
    // A start that Port knows and we do not would be another installation's.
    if let Err(error) = note_start(app, started_at).await {
        tracing::warn!(error = chain(&error), "resync state not reported to Port");
        return;
    }
    let end = UntoldEnd {
        report: Some(report),
        metrics,
    };
    let untold = still_untold(session, end, deadline).await;
    if let Err(error) = remember(app, untold.filter(|_| is_over)).await {
        tracing::warn!(
            error = chain(&error),
            "what Port has to be told is not remembered"
        );
    }
}

/// Tells Port how the last run has ended, if it could not be told then.
pub(super) async fn report_again(app: &App, untold: Option<&UntoldEnd>, deadline: &Deadline) {
    let Some(untold) = untold else {
        return;
    };
    let Ok(session) = app.session(deadline).await else {
        // Whatever comes next says why.
        return;
    };
    let left = still_untold(&session, untold.clone(), deadline).await;
    if left.as_ref() != Some(untold)
        && let Err(error) = remember(app, left).await
    {
        tracing::warn!(error = chain(&error), "Port will be told again");
    }
}

/// Tells Port how the run stands, then its figures, as Ocean does: those of a run that Port takes for running would be
/// another's. Returns what Port could not be told, if anything.
async fn still_untold(
    session: &Session,
    mut end: UntoldEnd,
    deadline: &Deadline,
) -> Option<UntoldEnd> {
    if let Some(report) = end.report {
        if let Err(error) = session.port.report_resync(report, deadline).await {
            tracing::warn!(error = chain(&error), "resync state not reported to Port");
            return Some(end);
        }
        end.report = None;
    }
    let metrics = end.metrics.as_ref()?;
    match session.port.send_sync_metrics(metrics, deadline).await {
        Ok(()) => None,
        Err(error) => {
            tracing::warn!(error = chain(&error), "sync metrics not sent to Port");
            // What Port refuses as it is, it would refuse for ever.
            (error.class() == Class::Later).then_some(end)
        }
    }
}

/// Another end, or another run, takes the place of what was not told.
async fn remember(app: &App, untold: Option<UntoldEnd>) -> Result<(), StoreError> {
    let key = untold_end();
    match untold {
        Some(untold) => app
            .store
            .save(&key, &untold, Revision::ANYTHING)
            .await
            .map(|_| ()),
        None if app.store.load(&key).await?.value.is_some() => app.store.remove(&key).await,
        None => Ok(()),
    }
}

//! What Port is told of how runs stand. How one has ended is told until Port has heard it, or until another run begins.

use jiff::Timestamp;

use super::rival::note_start;
use crate::app::{App, Session};
use crate::deadline::{Deadline, later};
use crate::port::{ResyncReport, ResyncStatus};
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
    let told = session.port.report_resync(report, deadline).await;
    if let Err(error) = &told {
        tracing::warn!(error = chain(error), "resync state not reported to Port");
    }
    let untold = (is_over && told.is_err()).then_some(UntoldEnd(report));
    if let Err(error) = remember(app, untold).await {
        tracing::warn!(
            error = chain(&error),
            "what Port has to be told is not remembered"
        );
    }
}

/// Tells Port how the last run has ended, if it could not be told then.
pub(super) async fn report_again(app: &App, untold: Option<UntoldEnd>, deadline: &Deadline) {
    let Some(UntoldEnd(report)) = untold else {
        return;
    };
    let Ok(session) = app.session(deadline).await else {
        // Whatever comes next says why.
        return;
    };
    match session.port.report_resync(report, deadline).await {
        Ok(()) => {
            if let Err(error) = remember(app, None).await {
                tracing::warn!(error = chain(&error), "Port will be told again");
            }
        }
        Err(error) => tracing::warn!(error = chain(&error), "resync state not reported to Port"),
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

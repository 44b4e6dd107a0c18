//! Who works on the run: noted for those who meet the lease taken, and told to Port when nobody does any more.
//!
//! The lease alone decides who may. What is noted here only says it to people.

use jiff::Timestamp;

use super::told::report;
use crate::app::App;
use crate::deadline::Deadline;
use crate::failure::Failure;
use crate::port::ResyncStatus;
use crate::store::run::{RunHolder, run, run_holder};
use crate::store::{Asker, Attempt, LeaseName, Revision};
use crate::telemetry::chain;

/// Notes that this process works on the run until `deadline` at the latest. Its failure costs nothing else.
pub(super) async fn note_holder(app: &App, deadline: &Deadline) {
    let until = deadline.ends_at();
    let holder = RunHolder {
        name: app.config.process.clone(),
        until: (until < Timestamp::MAX).then_some(until),
    };
    let saved = app
        .store
        .save(&run_holder(), &holder, Revision::ANYTHING)
        .await;
    if let Err(error) = saved {
        tracing::warn!(error = chain(&error), "who works on the run is not noted");
    }
}

/// Says who works on the run, and until when: its log says how far it is. Where it has died, the lease passes on 30 seconds
/// after its last sign of life.
pub(super) async fn tell_holder(app: &App) {
    let found = app.store.load(&run_holder()).await;
    let holder = found.ok().and_then(|found| found.value);
    let (name, until) = match &holder {
        Some(holder) => (Some(&holder.name), holder.until),
        None => (None, None),
    };
    tracing::info!(
        holder = name,
        until = until.map(tracing::field::display),
        "another invocation is at work"
    );
}

/// Tells Port that nobody works on the run for now, where one is under way and nobody does. What is done of it is stored,
/// and the next call goes on with it. Returns its id.
pub async fn interrupted(app: &App, deadline: &Deadline) -> Result<Option<String>, Failure> {
    let Attempt::Taken(lease) = app.leases.try_take(LeaseName::Run, Asker::Run).await? else {
        return Ok(None);
    };
    let told = tell_interrupted(app, deadline).await;
    lease.release().await?;
    told
}

async fn tell_interrupted(app: &App, deadline: &Deadline) -> Result<Option<String>, Failure> {
    let found = app.store.load(&run()).await?;
    let Some(mut under_way) = found.value else {
        return Ok(None);
    };
    under_way.is_interrupted = true;
    app.store.save(&run(), &under_way, found.revision).await?;
    let session = app.session(deadline).await?;
    let started_at = under_way.started_at;
    report(app, &session, ResyncStatus::Aborted, started_at, deadline).await;
    Ok(Some(under_way.id))
}

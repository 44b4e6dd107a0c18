//! Figures of runs, for whoever watches the function; how long a slice takes.

use std::time::Duration;

use jiff::Timestamp;

use super::end::Summary;
use super::slice::Slice;
use crate::app::App;
use crate::locked::locked;
use crate::metrics::Figure;
use crate::store::documents::CompletedRun;

/// Says how old the last completed resync is, in intervals: one that is due is overdue from 1 on.
pub fn put_age(app: &App, completed: Option<&CompletedRun>) {
    let now = app.clock.now();
    let Some(interval) = app.config.resync_interval else {
        return;
    };
    // Nothing is late before it could have been in time: the first run begins by itself.
    let at = completed.map_or(app.started_at, |completed| completed.at);
    let age = now.duration_since(at).as_secs_f64();
    let age = Figure::ratio("ResyncAge", age / interval.as_secs_f64().max(1.0));
    app.metrics.put(now, vec![age]);
}

impl Slice<'_> {
    /// How long it has been at work.
    pub(super) fn age(&self) -> Duration {
        self.app.clock.elapsed().saturating_sub(self.begun_at)
    }

    /// How long nothing of the run was stored.
    pub(super) fn since_saved(&self) -> Duration {
        let now = self.app.clock.elapsed();
        now.saturating_sub(*locked(&self.saved_at))
    }

    /// Of a run that is over.
    pub(super) fn put_completed(&self, now: Timestamp, summary: &Summary) {
        let run = self.run();
        let took = now.duration_since(run.started_at).as_secs_f64();
        let figures = vec![
            Figure::count("CompletedRuns", 1),
            Figure::count("RunsWithLosses", usize::from(run.has_losses())),
            Figure::count("FailedPartitions", run.failures),
            Figure::count("WrittenEntities", summary.counts.written),
            Figure::count("DeletedEntities", summary.counts.deleted),
            Figure::count("RefusedEntities", summary.counts.refused),
            Figure::seconds("RunSeconds", vec![took]),
        ];
        self.app.metrics.put(now, figures);
        for (kind, tally) in &run.tally {
            let figures = vec![Figure::count("Entities", tally.entities)];
            self.app.metrics.put_of_kind(now, kind, figures);
        }
        self.put_budget();
    }

    /// How much Bitbucket would still answer.
    pub(super) fn put_budget(&self) {
        let left = usize::try_from(self.bitbucket.requests_left()).unwrap_or(usize::MAX);
        let figures = vec![Figure::count("RequestsLeft", left)];
        self.app.metrics.put(self.app.clock.now(), figures);
    }
}

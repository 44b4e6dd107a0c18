//! Figures of runs, for whoever watches the function, and how far one is, for whoever watches that; how long a slice takes.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::end::Summary;
use super::slice::Slice;
use crate::app::App;
use crate::extract::{Source, filter_id};
use crate::locked::locked;
use crate::mapping::Kind;
use crate::metrics::Figure;
use crate::progress::{KindProgress, Paused, RunProgress};
use crate::store::documents::CompletedRun;
use crate::store::run::Tally;

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

    /// How many repositories REST has read in the place of git.
    pub(super) fn put_git_fallbacks(&self) {
        let fallbacks = self.bitbucket.take_git_fallbacks();
        if 0 < fallbacks {
            let figures = vec![Figure::count("GitFallbacks", fallbacks)];
            self.app.metrics.put(self.app.clock.now(), figures);
        }
    }

    /// How much Bitbucket would still answer.
    pub(super) fn put_budget(&self) {
        let left = usize::try_from(self.bitbucket.requests_left()).unwrap_or(usize::MAX);
        let figures = vec![Figure::count("RequestsLeft", left)];
        self.app.metrics.put(self.app.clock.now(), figures);
    }

    /// Tells whoever watches how far the run is.
    pub(super) fn publish(&self, paused: Option<Paused>) {
        let (run, through) = (self.run(), locked(&self.through));
        let mut parts: Vec<KindProgress> = Vec::new();
        for group in self.sources().groups() {
            let (done, total) = match group.source.repositories() {
                None => (usize::from(run.read.contains(&group.id)), Some(1)),
                Some(filter) => {
                    let list = run
                        .lists
                        .get(&filter_id(filter))
                        .cloned()
                        .unwrap_or_default();
                    let done = match group.source {
                        Source::Repositories(_) => list.repositories,
                        _ if run.is_read => list.repositories,
                        _ => through.get(group.id.as_str()).copied().unwrap_or(0),
                    };
                    (done, list.is_complete.then_some(list.repositories))
                }
            };
            let kinds: BTreeSet<Kind> = group.resources.iter().map(|one| one.kind).collect();
            let names: Vec<String> = kinds.iter().map(ToString::to_string).collect();
            let kind = names.join(" and ");
            // A kind with two queries is read twice, and shown once.
            match parts.iter_mut().find(|part| part.kind == kind) {
                Some(part) => {
                    part.done += done;
                    part.total = part.total.zip(total).map(|(one, other)| one + other);
                }
                None => {
                    let tallies = names.iter().filter_map(|name| run.tally.get(name));
                    let tallies: Vec<&Tally> = tallies.collect();
                    parts.push(KindProgress {
                        kind,
                        done,
                        total,
                        items: tallies.iter().map(|tally| tally.items).sum(),
                        entities: tallies.iter().map(|tally| tally.entities).sum(),
                    });
                }
            }
        }
        self.app.progress.send_replace(RunProgress {
            run: run.id.clone(),
            parts,
            requests_left: self.bitbucket.requests_left(),
            reconciling: run.is_read,
            paused,
        });
    }
}

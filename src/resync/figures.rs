//! Figures of runs, for whoever watches the function, and how far one is, for whoever watches that; how long a slice takes.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::end::Summary;
use super::slice::Slice;
use crate::app::App;
use crate::counts::{Tallies, Tally};
use crate::deadline::later;
use crate::extract::{Source, filter_id};
use crate::locked::locked;
use crate::mapping::{Kind, Mapping};
use crate::metrics::Figure;
use crate::port::{ResourceMetrics, SyncEnd, SyncMetrics};
use crate::progress::{KindProgress, Obstacle, Paused, RunProgress};
use crate::store::documents::CompletedRun;
use crate::store::run::Run;

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

/// What became of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KindSummary {
    pub kind: String,
    #[serde(flatten)]
    pub tally: Tally,
}

/// Each kind of `mapping` once, in its order.
pub(super) fn kinds(tallies: &Tallies, mapping: &Mapping) -> Vec<KindSummary> {
    let mut kinds: Vec<KindSummary> = Vec::new();
    for resource in mapping.resources() {
        let tally = tallies.resources.get(&resource.index);
        let tally = tally.copied().unwrap_or_default();
        let name = resource.kind.name();
        match kinds.iter_mut().find(|known| known.kind == name) {
            Some(known) => known.tally += tally,
            None => kinds.push(KindSummary {
                kind: name.to_owned(),
                tally,
            }),
        }
    }
    for KindSummary { kind, tally } in &mut kinds {
        // What several of its resources take counts once.
        tally.read = tallies.items.get(kind).copied().unwrap_or(0);
    }
    kinds
}

impl Slice<'_> {
    /// What Port's page shows of a run that is over; `None` where Port takes no such figures.
    pub(super) fn metrics(&self, run: &Run, end: SyncEnd) -> Option<SyncMetrics> {
        let to = self.ingest.metrics.clone()?;
        let took = self.app.clock.now().duration_since(run.started_at);
        let tally = |position| run.tallies.resources.get(&position).copied();
        let resources = self.sources().mapping().resources().iter();
        let resources = resources.map(|resource| ResourceMetrics {
            kind: resource.kind.to_string(),
            index: resource.index,
            blueprint: resource.blueprint.clone(),
            tally: tally(resource.index).unwrap_or_default(),
        });
        Some(SyncMetrics {
            to,
            installation_type: self.ingest.installation_type.clone(),
            run: run.id.clone(),
            end,
            seconds: took.as_secs_f64(),
            deleted: run.counts.deleted,
            resources: resources.collect(),
        })
    }

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
            Figure::count(
                "RefusedEntities",
                summary.counts.refused + summary.counts.undeleted,
            ),
            Figure::count("UnreadPartitions", summary.taken_over),
            Figure::count("AuditDifferences", run.skipping.refuted),
            Figure::seconds("RunSeconds", vec![took]),
        ];
        self.app.metrics.put(now, figures);
        for KindSummary { kind, tally } in &summary.kinds {
            let figures = vec![Figure::count("Entities", tally.mapped)];
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

    /// Tells whoever watches that Port asks for a moment.
    pub(super) fn publish_wait(&self, wait: Duration, reason: &str) {
        self.publish(Some(Paused {
            until: later(self.app.clock.now(), wait),
            waits_for: Obstacle::Port,
            reason: reason.to_owned(),
        }));
    }

    /// Tells whoever watches how far the run is.
    pub(super) fn publish(&self, paused: Option<Paused>) {
        let (run, through) = (self.run(), locked(&self.through));
        let counted = kinds(&run.tallies, self.sources().mapping());
        let mut parts: Vec<KindProgress> = Vec::new();
        for group in self.sources().groups() {
            let (done, total) = match group.source.repositories() {
                None => {
                    let is_done = run.is_read || run.read.contains(&group.id);
                    (usize::from(is_done), Some(1))
                }
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
                    // Of a list that broke off nothing more is read.
                    let is_known = list.is_complete || run.is_read || list.failed.is_some();
                    (done, is_known.then_some(list.repositories))
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
                    let counted = counted.iter().filter(|one| names.contains(&one.kind));
                    let (items, entities) = counted.fold((0, 0), |(items, entities), one| {
                        (items + one.tally.read, entities + one.tally.mapped)
                    });
                    parts.push(KindProgress {
                        kind,
                        done,
                        total,
                        items,
                        entities,
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

//! How a run ends or pauses, and who is told: the caller, Port, the log, the figures.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::figures::{KindSummary, kinds};
use super::journal::Phase;
use super::slice::Slice;
use super::told::report_end;
use super::unreadable::drop_superfluous;
use super::{RunOutcome, clean_up};
use crate::bitbucket;
use crate::condition::Condition;
use crate::counts::Counts;
use crate::deadline::later;
use crate::failure::Failure;
use crate::locked::locked;
use crate::mapping::Mapping;
use crate::port::{self, ResyncStatus, SyncEnd};
use crate::progress::Paused;
use crate::store::documents::{CompletedRun, completed};
use crate::store::incidents::{incidents, last_event};
use crate::store::run::{FailedRepositories, Run, RunPause, failed_repositories};
use crate::store::{Revision, WantedDocuments};
use crate::sync::outbox::Outbox;
use crate::telemetry::chain;

/// What a run did that is over.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    pub run: String,
    pub counts: Counts,
    /// The same of each kind, in the order of the mapping.
    pub kinds: Vec<KindSummary>,
    /// Parts of the workspace that could not be read, each with its reason: the first of many.
    pub failed_partitions: Vec<String>,
    /// All of them.
    pub failures: usize,
    /// Why stale entities were left in place, if they were.
    pub kept: Option<String>,
    /// How many of them nobody has asked to be left.
    pub withheld: usize,
    /// Partitions that were taken over unread, since nothing about them had changed.
    pub taken_over: usize,
    /// Lists that say they have objects and show none; new ones are a loss.
    pub hidden: Vec<String>,
    /// Each problem of the mapping once, with the number of items it cost.
    pub mapping_problems: Vec<String>,
}

impl Summary {
    fn of(run: &Run, mapping: &Mapping, mapping_problems: Vec<String>) -> Summary {
        Summary {
            run: run.id.clone(),
            counts: run.counts,
            kinds: kinds(&run.tallies, mapping),
            failed_partitions: run.failed.iter().map(ToString::to_string).collect(),
            failures: run.failures,
            kept: (!run.kept.is_empty())
                .then(|| run.kept.iter().cloned().collect::<Vec<_>>().join("; ")),
            withheld: run.withheld,
            taken_over: run.skipping.taken_over.partitions,
            hidden: run.hidden.iter().cloned().collect(),
            mapping_problems,
        }
    }
}

/// A slice that pauses again within this time has got nowhere.
const BRIEF: Duration = Duration::from_secs(300);

/// How long to stay away after a failure that may pass by itself and says nothing about when.
pub(super) const PAUSE: Duration = Duration::from_secs(60);

impl Slice<'_> {
    /// Nothing is left to do.
    pub(super) async fn complete(&self) -> Result<RunOutcome, Failure> {
        self.count();
        let mut mapping_problems = self.unmet_names();
        for problem in &mapping_problems {
            tracing::warn!(problem, "a name in the mapping selects nothing");
            self.journal.warn(Phase::Transform, problem.as_str());
        }
        let mistakes = self.sources().mapping().problems();
        mapping_problems.splice(0..0, mistakes.iter().map(ToString::to_string));
        mapping_problems.extend(self.tell_figures());
        let mut run = self.run().clone();
        for left in &run.not_ours {
            tracing::warn!(reason = %left, "stale entities kept");
            self.journal.warn(Phase::Delete, left.to_string());
            run.kept.insert(left.to_string());
        }
        mapping_problems.extend(run.problems.iter().map(ToString::to_string));
        mapping_problems.extend(run.clashes.values().cloned());
        let now = self.app.clock.now();
        let summary = Summary::of(&run, self.sources().mapping(), mapping_problems);
        let failed = run
            .failed
            .iter()
            .filter_map(|failed| failed.repository.clone());
        let failed = FailedRepositories(failed.collect());
        let store = self.store();
        let end = CompletedRun {
            at: now,
            started_at: Some(run.started_at),
            losses: run.losses(),
            untold_changes: self.untold_changes(&run).await?,
            mapping: self.sources().mapping().fingerprint().to_owned(),
            owned: run.owned,
            all_recorded: run.failures == 0 && run.unsound.is_empty(),
            distrusted: self.distrusted(),
            runs: run.skipping.audits + 1,
            hidden: run.hidden.clone(),
        };
        let key = failed_repositories();
        if store.load(&key).await?.value.as_ref() != Some(&failed) {
            store.save(&key, &failed, Revision::ANYTHING).await?;
        }
        store.save(&completed(), &end, Revision::ANYTHING).await?;
        if run.failures == 0 {
            let outbox = Outbox::new(None, store, &self.app.clock);
            outbox.forget_asked_before(run.started_at).await?;
            drop_superfluous(store).await?;
        }
        clean_up(self.app, &run).await?;
        self.publish(None);
        let (status, end) = match run.has_losses() {
            true => (ResyncStatus::Failed, SyncEnd::WithLosses),
            false => (ResyncStatus::Completed, SyncEnd::Completed),
        };
        report_end(
            self.app,
            self.session,
            (status, run.started_at),
            self.metrics(&run, end),
            &self.deadline,
        )
        .await;
        self.log_completed(&run, &summary);
        self.tell_end(&run, &summary);
        self.put_completed(now, &summary);
        Ok(match run.has_losses() {
            true => RunOutcome::CompletedWithLosses(summary),
            false => RunOutcome::Completed(summary),
        })
    }

    /// A slice that gets nowhere is part of the pause before it.
    fn paused_since(&self) -> Timestamp {
        let now = self.app.clock.now();
        let before = self.run().pause.as_ref().map(|pause| pause.since);
        before.filter(|_| self.age() < BRIEF).unwrap_or(now)
    }

    /// Pull requests that this run has found changed, if no event at all has come since the one before: then webhooks
    /// do not come. A run under another mapping finds all of them changed.
    async fn untold_changes(&self, run: &Run) -> Result<usize, Failure> {
        let changed = run.changed_pull_requests;
        if changed == 0 || run.is_first {
            return Ok(0);
        }
        let known = WantedDocuments::default()
            .and(&completed())
            .and(&last_event())
            .and(&incidents());
        let known = self.store().load_together(known).await?;
        let fingerprint = self.sources().mapping().fingerprint();
        let before = known.get(&completed()).value;
        let before = before.filter(|before| before.all_recorded && before.mapping == fingerprint);
        let last_event = known.get(&last_event()).value;
        let incidents = known.get(&incidents()).value.unwrap_or_default();
        let lost = incidents.get(Condition::WebhookLost);
        let is_untold = before.is_some_and(|before| {
            // That the webhook had gone has been told, and mended.
            lost.is_none_or(|lost| lost.seen < before.at)
                && last_event.is_none_or(|it| it.0 < before.at)
        });
        Ok(if is_untold { changed } else { 0 })
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
            left_out = counts.left_out,
            written = counts.written,
            unchanged = counts.unchanged,
            refused = counts.refused,
            waiting = counts.waiting,
            postponed = counts.postponed,
            deleted = counts.deleted,
            undeleted = counts.undeleted,
            kept = counts.kept,
            failed_partitions = run.failures,
            taken_over = run.skipping.taken_over.partitions,
            audited = run.skipping.audited,
            audit_differences = run.skipping.refuted,
            lists_showing_none = run.hidden.len(),
            losses = run.has_losses(),
            "resync completed"
        );
    }

    /// Of this slice.
    pub(super) fn tell_mapping_problems(&self) {
        self.count();
        let problems = std::mem::take(&mut *locked(&self.problems));
        for problem in problems {
            tracing::warn!(%problem, "the mapping could not be applied everywhere");
            self.journal.warn(Phase::Transform, problem.to_string());
        }
    }

    /// A later slice goes on, when that makes sense again.
    pub(super) async fn pause(&self, failure: Failure) -> Result<RunOutcome, Failure> {
        let wait = match &failure {
            Failure::Bitbucket(bitbucket::Error::OutOfTime)
            | Failure::Port(port::Error::OutOfTime { .. })
            | Failure::PenIsBusy => Duration::ZERO,
            failure => failure.wait().unwrap_or(PAUSE),
        };
        let reason = chain(&failure);
        let not_before = later(self.app.clock.now(), wait);
        let pause = (!wait.is_zero()).then(|| RunPause {
            since: self.paused_since(),
            reason: reason.clone(),
            number: failure.condition().number(),
        });
        {
            let mut run = self.run();
            run.not_before = Some(not_before);
            run.pause = pause;
        }
        self.save().await?;
        let waits_for = failure.obstacle();
        self.publish(Some(Paused {
            until: not_before,
            waits_for,
            reason: reason.clone(),
        }));
        self.put_budget();
        self.tell_pause(not_before, &reason);
        let run = self.run().id.clone();
        let waits_for = waits_for.as_str();
        tracing::info!(run, waits_for, reason, %not_before, "resync paused");
        Ok(RunOutcome::Paused {
            run,
            reason,
            not_before: Some(not_before),
        })
    }
}

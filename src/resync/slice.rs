//! One invocation's share of a run: partitions read, mapped, loaded and recorded until all are done or time is up.
//!
//! A partition counts as done only after Port has answered for its entities and its record is stored. Whatever an
//! interruption loses is done again; doing it again changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::journal::Journal;
use super::run::{Run, Tally};
use crate::app::{App, Session};
use crate::bitbucket::{self, BitbucketClient};
use crate::deadline::Deadline;
use crate::extract::{Batch, Group, Listing, Repository, Skipped, Source, filter_id};
use crate::failure::{Failure, chain};
use crate::mapping::{Kind, Mapping};
use crate::partition::RUN;
use crate::pipeline::{Counts, Pipeline, Processed, Produced};
use crate::progress::{Part, Paused, Progress};
use crate::state::{Expected, Lease, StateError};

/// Shared by everything that goes on at once.
pub(super) struct Slice<'a> {
    pub(super) app: &'a App,
    pub(super) session: &'a Session,
    /// Leaves the live events their share of the API budget.
    pub(super) bitbucket: &'a BitbucketClient,
    pub(super) mapping: &'a Mapping,
    pub(super) groups: &'a [Group],
    pub(super) pipeline: Pipeline<'a>,
    /// When to stop working; later than this there is only time to save.
    pub(super) deadline: Deadline,
    /// [`run`](Slice::run) locks it.
    pub(super) run: Mutex<Run>,
    /// Version of the stored run: whoever else has written it meanwhile has taken the run over. Held while it is
    /// written.
    pub(super) version: tokio::sync::Mutex<u64>,
    pub(super) lease: &'a Lease,
    pub(super) journal: Journal,
    /// How many repositories are through, by source, for whoever watches.
    pub(super) through: Mutex<BTreeMap<String, usize>>,
}

/// How a step ended when it did not fail.
pub(super) enum Step {
    Done,
    /// Time or the rate limit is used up; the failure says which.
    Paused(Failure),
}

impl Slice<'_> {
    /// The run, for as long as nothing is awaited.
    pub(super) fn run(&self) -> MutexGuard<'_, Run> {
        locked(&self.run)
    }

    /// Reads, maps and loads whatever the run has not done yet.
    pub(super) async fn extract(&self) -> Result<Step, Failure> {
        loop {
            let groups = self.groups.get(self.run().group..).unwrap_or_default();
            let Some(group) = groups.first() else {
                return Ok(Step::Done);
            };
            let (step, done) = match group.source.repositories() {
                None => (self.workspace_partition(group).await?, 1),
                Some(filter) => {
                    let same = |group: &&Group| group.source.repositories() == Some(filter);
                    let together = groups.iter().take_while(same).count();
                    let groups = groups.get(..together).unwrap_or_default();
                    (self.by_repository(filter, groups).await?, together)
                }
            };
            if let Step::Paused(_) = step {
                return Ok(step);
            }
            self.run().group += done;
            self.save().await?;
        }
    }

    pub(super) async fn save(&self) -> Result<(), StateError> {
        let store = &self.app.store;
        let mut version = self.version.lock().await;
        self.lease.keep(store, &self.app.clock).await?;
        let run = self.run().clone();
        *version = store.save(RUN, &run, Expected::Version(*version)).await?;
        self.publish(None);
        Ok(())
    }

    /// Notes that one more repository of `source` is through; returns how many are.
    pub(super) fn note_through(&self, source: &str) -> usize {
        let mut through = locked(&self.through);
        let through = through.entry(source.to_owned()).or_default();
        *through += 1;
        *through
    }

    /// Tells whoever watches how far the run is.
    pub(super) fn publish(&self, paused: Option<Paused>) {
        let mut parts: Vec<Part> = Vec::new();
        let (run, through) = (self.run(), locked(&self.through));
        for (index, group) in self.groups.iter().enumerate() {
            let is_done = index < run.group;
            let (done, total) = match group.source.repositories() {
                None => (usize::from(is_done), Some(1)),
                Some(filter) => {
                    let listing = run.listings.get(&filter_id(filter));
                    let listed = listing.map_or(0, |listing| listing.repositories);
                    let complete = listing.is_some_and(|listing| listing.complete);
                    let done = match group.source {
                        Source::Repositories(_) => listed,
                        _ if is_done => listed,
                        _ => *through.get(&group.source.id()).unwrap_or(&0),
                    };
                    (done, (complete || is_done).then_some(listed))
                }
            };
            let resources = group.resources.iter();
            let kinds: BTreeSet<Kind> = resources
                .filter_map(|&index| self.mapping.resources().get(index))
                .map(|resource| resource.kind)
                .collect();
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
                    parts.push(Part {
                        kind,
                        done,
                        total,
                        items: tallies.iter().map(|tally| tally.items).sum(),
                        entities: tallies.iter().map(|tally| tally.entities).sum(),
                    });
                }
            }
        }
        self.app.progress.send_replace(Progress {
            run: run.id.clone(),
            parts,
            requests_left: self.bitbucket.requests_left(),
            reconciling: run.extracted,
            paused,
        });
    }

    /// A source of the workspace as a whole is one partition, read from its beginning each time.
    async fn workspace_partition(&self, group: &Group) -> Result<Step, Failure> {
        let since = self.app.clock.now();
        let mut listing = Listing::open(self.bitbucket, group, None);
        let mut items = Vec::new();
        loop {
            let batch = match listing.next(&self.deadline).await {
                Ok(Some(batch)) => batch,
                Ok(None) => break,
                Err(error) => return self.partition_failed(group, None, error),
            };
            items.extend(self.process(group, batch).await?);
            self.publish(None);
        }
        self.record(group, None, items, since).await?;
        Ok(Step::Done)
    }

    /// [`load`](Slice::load), with examples for Port, and counted.
    pub(super) async fn process(
        &self,
        group: &Group,
        batch: Batch,
    ) -> Result<Vec<(String, Produced)>, Failure> {
        let kind = self.kind(&batch);
        if let Some(kind) = kind {
            self.send_examples(kind, &batch.items).await;
        }
        let (items, counts) = self.load(group, batch).await?;
        self.run().count(kind, counts);
        Ok(items)
    }

    /// Maps and writes a batch, and says what its items stand for. They themselves are gone when Port is waited for:
    /// many batches wait at the same time.
    pub(super) async fn load(
        &self,
        group: &Group,
        batch: Batch,
    ) -> Result<(Vec<(String, Produced)>, Counts), Failure> {
        let Batch {
            resources,
            items: raw,
            skipped,
            ..
        } = batch;
        let mapped = self.pipeline.transform(&resources, &raw);
        let names: Vec<String> = raw.iter().map(|raw| group.source.item(raw)).collect();
        drop(raw);
        let Processed {
            items,
            mut counts,
            refusals,
        } = self.pipeline.load(mapped, &self.deadline).await?;
        counts.skipped += skipped.len();
        for Skipped { path, reason } in &skipped {
            tracing::warn!(path, reason, "file left out");
        }
        for refusal in &refusals {
            tracing::warn!(
                kind = group.source.name(),
                refusal,
                "entity refused by Port"
            );
            self.journal.warn(format!("entity refused: {refusal}"));
        }
        Ok((names.into_iter().zip(items).collect(), counts))
    }

    /// Gives entities another try whose relation targets have come meanwhile.
    pub(super) async fn settle(&self) -> Result<(), Failure> {
        let settled = self.pipeline.settle(&self.deadline).await?;
        for refusal in &settled.refusals {
            tracing::warn!(refusal, "entity refused by Port");
            self.journal.warn(format!("entity refused: {refusal}"));
        }
        self.run().counts += settled.counts;
        Ok(())
    }

    /// The kind of a batch's items; `None` where no resource wants them.
    pub(super) fn kind(&self, batch: &Batch) -> Option<Kind> {
        let resource = self.mapping.resources().get(*batch.resources.first()?)?;
        Some(resource.kind)
    }

    /// A failure of the moment pauses the run, one of the credentials ends it, any other costs only its partition.
    pub(super) fn partition_failed(
        &self,
        group: &Group,
        repository: Option<&Repository>,
        error: bitbucket::Error,
    ) -> Result<Step, Failure> {
        use bitbucket::Error;
        match error {
            Error::RateLimited { .. } | Error::OutOfTime => Ok(Step::Paused(error.into())),
            Error::Unauthorized { .. } => Err(error.into()),
            error => {
                let reason = chain(&error);
                let name = repository.map(|repository| repository.full_name.as_str());
                tracing::warn!(
                    kind = group.source.name(),
                    repository = name,
                    error = reason,
                    "partition not read"
                );
                self.journal.warn(format!(
                    "{} of {} not read: {reason}",
                    group.source.name(),
                    name.unwrap_or("the workspace")
                ));
                self.run().fail(&group.source.id(), repository, reason);
                Ok(Step::Done)
            }
        }
    }
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The one that may go on first decides about the pause.
pub(super) fn soonest(one: Failure, other: Failure) -> Failure {
    if other.wait() < one.wait() {
        other
    } else {
        one
    }
}

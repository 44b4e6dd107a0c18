//! Partitions that a run takes over unread: what Bitbucket's list, the mapping, the blueprints and Port say proves that
//! reading them would change nothing.
//!
//! Owns what has to be proven, and the self-audit: of each page of repositories one is read all the same, another one in
//! each run. One difference, and this run reads everything. Nothing is written for what is taken over; it is counted as if
//! it had been read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::Value;

use super::journal::Phase;
use super::listing::ListReader;
use super::pages::{Spot, Stamps};
use super::read::RunReader;
use super::slice::{RunPart, Slice};
use crate::condition::Condition;
use crate::counts::{IdentifierCounts, Tally};
use crate::extract::{Group, Source};
use crate::failure::Failure;
use crate::identity::{ItemId, Repository, RepositoryId, SourceId};
use crate::port::ShownFields;
use crate::store::basis::TakenOver;
use crate::store::documents::{Entry, Stamp};
use crate::store::run::Run;
use crate::sync::blueprints::Blueprints;
use crate::sync::look::each_record;
use crate::sync::origin::RememberedPartition;

/// What is known before a list is taken.
pub(super) struct Known {
    /// What is recorded of the repositories themselves.
    pub(super) before: BTreeMap<RepositoryId, Entry>,
    pub(super) stamps: Stamps,
    /// By source, partitions of which Port holds what was written.
    remembered: BTreeMap<SourceId, BTreeMap<RepositoryId, RememberedPartition>>,
}

/// What is done with a partition whose turn has come.
pub(super) enum PartTurn {
    Read,
    /// Read, to see whether it might have been taken over: what is recorded of it bears this stamp.
    Audit(Stamp),
    TakeOver,
}

/// One in so many repositories is audited.
pub(super) const AUDITED: u64 = 100;

/// Whether reading `group` asks for contents: everything else is listed anyway.
fn reads_contents(group: &Group) -> bool {
    match group.source {
        Source::Trees(_) => true,
        Source::Repositories(_) => !group.included_files.is_empty(),
        _ => false,
    }
}

impl ListReader<'_> {
    /// What is recorded of the repositories and of what they hold.
    pub(super) async fn known(&self) -> Result<Known, Failure> {
        let slice = self.reader.slice;
        let mut known = Known {
            before: BTreeMap::new(),
            stamps: Stamps::new(),
            remembered: BTreeMap::new(),
        };
        let takes_over = slice.takes_over();
        for group in self.groups() {
            let is_tree = matches!(group.source, Source::Trees(_));
            if Some(&group.id) != self.own.map(|own| &own.id) && !is_tree {
                continue;
            }
            let is_read = slice.is_complete(&self.id) && self.pages().is_read(&self.id, &group.id);
            let may = takes_over
                && !is_read
                && reads_contents(group)
                && slice.sources().rules(&group.id).is_some();
            let mut blueprints = BTreeSet::new();
            let mut remembered = BTreeMap::new();
            each_record(slice.store(), &group.id, "", |place, mut record| {
                let entry = record.items.remove(&ItemId::Whole);
                let Some((repository, entry)) = place.partition.repository.zip(entry) else {
                    return;
                };
                if is_tree {
                    // What was committed last of the partitions that depend on the main branch.
                    let stamps = known.stamps.entry(group.id.clone()).or_default();
                    stamps.insert(repository.clone(), entry.stamp);
                } else {
                    known.before.insert(repository.clone(), entry.clone());
                }
                if may && let Some(one) = RememberedPartition::of(entry, &mut blueprints) {
                    remembered.insert(repository, one);
                }
            })
            .await?;
            if !remembered.is_empty() {
                let retained = slice.retain_held(group, &mut remembered, &blueprints);
                Box::pin(retained).await?;
                known.remembered.insert(group.id.clone(), remembered);
            }
        }
        Ok(known)
    }

    /// By source, what items will show of `repositories`, as far as a later run may ask for it.
    pub(super) fn carried(
        &self,
        repositories: &[Option<&Value>],
    ) -> BTreeMap<SourceId, BTreeMap<u64, u64>> {
        let sources = self.reader.slice.sources();
        let groups = self.groups();
        let groups = groups.filter(|it| reads_contents(it) && sources.rules(&it.id).is_some());
        let carried = groups.map(|group| {
            let all = (0..).zip(repositories);
            let all = all.filter_map(|(at, raw)| Some((at, group.carried((*raw)?))));
            (group.id.clone(), all.collect())
        });
        carried.collect()
    }

    /// Whether the repository `raw` may do without its files: it is the same as when they were read last.
    pub(super) fn is_as_before(&self, raw: &Value, known: &Known) -> bool {
        let (Some(group), Some(repository)) = (self.own, Repository::of(raw)) else {
            return false;
        };
        let carried = Some(group.carried(raw));
        self.reader.slice.takes_over()
            && self
                .reader
                .slice
                .remembered(group, &repository, carried, known)
                .is_some()
    }
}

impl RunReader<'_> {
    /// What is to be done with the partition of `group`; where it is taken over, that is done and counted.
    pub(super) fn turn(
        &self,
        group: &Group,
        repository: &Repository,
        spot: &Spot,
        known: &Known,
    ) -> PartTurn {
        let slice = self.slice;
        let carried = slice.pages.carried(spot, &group.id);
        let Some(remembered) = slice.remembered(group, repository, carried, known) else {
            return PartTurn::Read;
        };
        let mut run = slice.run();
        if !slice.takes_over_in(&run) {
            return PartTurn::Read;
        }
        if slice.pages.is_audited(spot, run.skipping.audits % AUDITED) {
            run.skipping.audited += 1;
            return PartTurn::Audit(remembered.stamp);
        }
        let counted = slice.counted(remembered);
        run.counts += counted.counts;
        run.tallies += counted.tallies.clone();
        for (resource, counts) in &counted.identifiers {
            *run.identifiers.entry(resource.clone()).or_default() += *counts;
        }
        run.skipping.taken_over += &counted;
        slice.pages.take_over(spot, &group.id);
        slice.parts_done.fetch_add(1, Ordering::Relaxed);
        PartTurn::TakeOver
    }
}

impl Slice<'_> {
    /// Whether anything may be taken over. A rehearsal reads everything: somebody has asked to see it.
    fn takes_over(&self) -> bool {
        self.takes_over_in(&self.run())
    }

    fn takes_over_in(&self, run: &Run) -> bool {
        run.skipping.reads_all.is_none()
            && !self.app.config.reads_unchanged
            && !self.session.port.is_rehearsing()
    }

    /// What is recorded of a partition, where all that this run knows of it is as it was then.
    fn remembered<'k>(
        &self,
        group: &Group,
        repository: &Repository,
        carried: Option<u64>,
        known: &'k Known,
    ) -> Option<&'k RememberedPartition> {
        let rules = self.sources().rules(&group.id);
        let remembered = known.remembered.get(&group.id)?.get(&repository.uuid)?;
        let is_of = remembered.is_of(repository, carried, rules);
        (is_of && group.reads_main_branch_only(repository)).then_some(remembered)
    }

    /// Leaves those of which Port holds all that was written, under blueprints as they were.
    async fn retain_held(
        &self,
        group: &Group,
        remembered: &mut BTreeMap<RepositoryId, RememberedPartition>,
        blueprints: &BTreeSet<Arc<str>>,
    ) -> Result<(), Failure> {
        let (port, sources) = (&self.session.port, self.sources());
        let names: BTreeSet<&str> = blueprints.iter().map(|name| &**name).collect();
        let schemas = Blueprints::of(port, names.clone(), &self.deadline).await?;
        self.snapshots
            .prepare_for(port, sources, names.clone(), &self.deadline)
            .await?;
        let fields: BTreeMap<&str, ShownFields> = names
            .into_iter()
            .map(|name| (name, sources.shown_fields(&group.id, name)))
            .collect();
        remembered.retain(|_, one| {
            let own: BTreeSet<&str> = one.entities.iter().map(|it| &*it.blueprint).collect();
            let is_held = schemas.digest(own) == Some(one.basis.schemas)
                && self.snapshots.show(&one.entities, &fields);
            // There may be thousands.
            one.entities = Vec::new();
            is_held
        });
        Ok(())
    }

    /// What reading the partition would have counted.
    fn counted(&self, remembered: &RememberedPartition) -> TakenOver {
        let read = &remembered.basis.read;
        let mut taken = TakenOver {
            partitions: 1,
            ..TakenOver::default()
        };
        taken.counts.extracted = read.extracted;
        taken.tallies.items.clone_from(&read.items);
        for resource in self.sources().mapping().resources() {
            let Some(counts) = read.resources.get(&resource.fingerprint) else {
                continue;
            };
            let (items, turned_away, entities) = *counts;
            *taken.tallies.of(resource.index) += Tally {
                read: items,
                skipped: turned_away,
                mapped: entities,
                unchanged: entities,
                ..Tally::default()
            };
            taken.counts.filtered_out += turned_away;
            taken.counts.transformed += entities;
            taken.counts.unchanged += entities;
            let counts = IdentifierCounts {
                usable: entities,
                unusable: 0,
            };
            let fingerprint = resource.fingerprint.clone();
            taken.identifiers.insert(fingerprint, counts);
        }
        taken
    }

    /// The audit has found that reading `part` gives something else than was taken for granted: from now on this run reads
    /// everything, what it has taken over included.
    pub(super) async fn audit_failed(&self, part: &RunPart) {
        let kind = self.sources().group(&part.id.source);
        let kind = kind.map_or("", |group| group.source.name());
        let name = part.name.as_deref().unwrap_or_default();
        let reason = format!(
            "{kind} of {name} seemed unchanged, and reading it gave something else: this run reads everything"
        );
        tracing::error!(kind, repository = name, "what seemed unchanged has changed");
        self.journal.warn_of(kind, Phase::Extract, reason.as_str());
        {
            let mut run = self.run();
            run.skipping.refuted += 1;
            run.skipping.reads_all.get_or_insert_with(|| reason.clone());
            let taken = std::mem::take(&mut run.skipping.taken_over);
            run.counts -= taken.counts;
            run.tallies -= taken.tallies;
            for (resource, counts) in taken.identifiers {
                *run.identifiers.entry(resource).or_default() -= counts;
            }
            let reopened = self.pages.reopen();
            self.is_reopened.fetch_or(reopened, Ordering::Relaxed);
        }
        self.app.note(Condition::UnreadChanged, &reason).await;
    }
}

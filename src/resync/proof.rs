//! That nothing has slipped through a list: where only that speaks for something being gone, the list is read by key.
//!
//! Whatever nobody has recorded, and no list has shown, would be taken for nobody's at the end of a run. A list whose count
//! does not fit is read by key at once, so that the run takes in what was overlooked. One whose count fits is read by key
//! only when something is about to be adopted: an unchanged run asks for nothing more.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::mpsc::UnboundedSender;

use super::finish::paused;
use super::listing::{ListReader, Listed};
use super::pages::{Carried, Stamps};
use super::read::MOST_STALLS;
use super::slice::{Slice, Step};
use super::takeover::Known;
use crate::bitbucket::Shown;
use crate::entity::EntityKey;
use crate::extract::{Group, filter_id};
use crate::failure::{Class, Failure};
use crate::identity::{ItemId, Repository, RepositoryId};
use crate::mapping::RepositoryFilter;
use crate::telemetry::chain;

impl ListReader<'_> {
    /// Looks after what the list may have overlooked. `shown`: where it came to its end in one slice.
    pub(super) async fn prove(
        &self,
        shown: Option<Shown>,
        known: &Known,
        listed: &UnboundedSender<Listed>,
    ) -> Result<(), Failure> {
        let slice = self.reader.slice;
        let is_counted = shown.is_some_and(|shown| shown.is_counted);
        if self.has_failed() || !is_counted && self.reader.is_stopped() {
            return Ok(());
        }
        if !is_counted && let Err(failure) = Box::pin(self.read_by_key(known, listed)).await {
            let groups: Vec<&Group> = self.groups().collect();
            slice.not_proven(failure, &groups)?;
        }
        let mut run = slice.run();
        let list = run.lists.entry(self.id.clone()).or_default();
        list.is_proven = true;
        list.is_open = is_counted && !shown.is_some_and(|shown| shown.is_one_page);
        Ok(())
    }

    fn has_failed(&self) -> bool {
        let run = self.reader.slice.run();
        run.lists
            .get(&self.id)
            .is_some_and(|list| list.failed.is_some() || !list.is_complete)
    }

    /// Repositories that the list by number has not shown are taken in.
    async fn read_by_key(
        &self,
        known: &Known,
        listed: &UnboundedSender<Listed>,
    ) -> Result<(), Failure> {
        let slice = self.reader.slice;
        let met = self.pages().listed(&self.id);
        let mut overlooked = Vec::new();
        for (one, raw) in slice.overlooked_repositories(self.filter, &met).await? {
            let raw = match self.own {
                Some(group) => slice.looker().with_files(group, raw).await,
                None => Ok(raw),
            };
            overlooked.push((one, raw));
        }
        if !overlooked.is_empty() {
            self.page(None, overlooked, known, listed).await?;
        }
        Ok(())
    }
}

impl Slice<'_> {
    /// Reads by key the lists of which nothing but their count says that they have overlooked nothing, as far as `orphans`
    /// may be of something that they should have shown. What was overlooked is recorded, or left to be read: then the
    /// run is not read to its end any more. Of what cannot be told, nothing is adopted.
    pub(super) async fn check_lists(&self, orphans: &[EntityKey]) -> Result<Step, Failure> {
        let blueprints: BTreeSet<&str> = orphans.iter().map(|key| &*key.blueprint).collect();
        let makes = |group: &&Group| {
            let mut constants = group.resources.iter().map(|one| one.constant_blueprint());
            constants.any(|one| one.is_none_or(|one| blueprints.contains(one)))
        };
        for (filter, groups) in self.sources().by_filter() {
            let concerned: Vec<&Group> = groups.iter().copied().filter(makes).collect();
            if concerned.is_empty() {
                continue;
            }
            if let Err(failure) = self.check_repositories(filter).await
                && let Step::Paused(failure) = self.put_off_check(failure, &groups)?
            {
                return Ok(Step::Paused(failure));
            }
            for group in concerned.into_iter().filter(|it| it.source.is_numbered()) {
                let step = self.check_partitions(filter, group).await?;
                if let Step::Paused(failure) = step {
                    return Ok(Step::Paused(failure));
                }
            }
        }
        Ok(Step::Done)
    }

    async fn check_repositories(&self, filter: &RepositoryFilter) -> Result<(), Failure> {
        let id = filter_id(filter);
        if !self.run().lists.get(&id).is_some_and(|list| list.is_open) {
            return Ok(());
        }
        let listed = self.pages.listed(&id);
        let overlooked = self.overlooked_repositories(filter, &listed).await?;
        let mut run = self.run();
        let begun = run.started_at;
        let list = run.lists.entry(id.clone()).or_default();
        list.is_open = false;
        // Whatever is made of one that was created since is recorded before it is written.
        let older = overlooked.into_iter().filter(|(_, raw)| {
            let created_on = raw.get("created_on").and_then(Value::as_str);
            let created_on = created_on.and_then(|text| text.parse::<Timestamp>().ok());
            created_on.is_none_or(|created_on| created_on < begun)
        });
        let older: Vec<Repository> = older.map(|(one, _)| one).collect();
        if !older.is_empty() {
            tracing::info!(
                repositories = older.len(),
                "read now: a list had overlooked them"
            );
            let number = list.pages;
            list.pages += 1;
            list.repositories += older.len();
            run.is_read = false;
            let nothing = (&Stamps::new(), Carried::new());
            self.pages.add((&id, number), older, nothing);
        }
        Ok(())
    }

    async fn check_partitions(
        &self,
        filter: &RepositoryFilter,
        group: &Group,
    ) -> Result<Step, Failure> {
        let looker = self.looker();
        for (spot, repository) in self.pages.open(&filter_id(filter), &group.id) {
            self.keep().await?;
            let uuid = &repository.uuid;
            let entries = looker.entries(&group.partition(Some(uuid))).await?;
            let known = |number| entries.contains_key(&ItemId::Number(number));
            let step = match looker.overlooked(group, uuid, known).await {
                Ok(seen) if seen.is_empty() => Step::Done,
                Ok(seen) => self.commit_missing(seen).await?,
                Err(failure) => self.put_off_check(failure, &[group])?,
            };
            match step {
                Step::Done => self.pages.close(&spot, &group.id),
                Step::Paused(failure) => return Ok(Step::Paused(failure)),
            }
        }
        Ok(Step::Done)
    }

    /// A check that meets what everything meets now is made by the next slice, a few times.
    fn put_off_check(&self, failure: Failure, groups: &[&Group]) -> Result<Step, Failure> {
        if failure.meets_everything() && self.run().stalls < MOST_STALLS {
            self.run().stalls += 1;
            return paused(failure);
        }
        self.not_proven(failure, groups)?;
        Ok(Step::Done)
    }

    /// Nobody can tell what a list of `groups` has overlooked: nothing of them is adopted.
    pub(super) fn not_proven(&self, failure: Failure, groups: &[&Group]) -> Result<(), Failure> {
        if failure.class() == Class::Credentials {
            return Err(failure);
        }
        let error = chain(&failure);
        tracing::warn!(error, "nobody can tell what a list has overlooked");
        for group in groups {
            self.doubt(group);
        }
        Ok(())
    }

    /// Repositories that a list through which nothing slips shows, and that are not among the `known`.
    async fn overlooked_repositories(
        &self,
        filter: &RepositoryFilter,
        known: &BTreeSet<RepositoryId>,
    ) -> Result<Vec<(Repository, Value)>, Failure> {
        let (role, query) = (filter.role.as_deref(), filter.query.as_deref());
        let mut pages = self.bitbucket.repositories_by_key(role, query);
        let mut overlooked: BTreeMap<RepositoryId, (Repository, Value)> = BTreeMap::new();
        while let Some(values) = pages.next(&self.deadline).await? {
            self.keep().await?;
            for raw in values {
                if let Some(one) = Repository::of(&raw).filter(|one| !known.contains(&one.uuid)) {
                    overlooked.insert(one.uuid.clone(), (one, raw));
                }
            }
        }
        Ok(overlooked.into_values().collect())
    }
}

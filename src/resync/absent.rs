//! Repositories that claim something and that no list has shown: each is asked for by its id, then by its own address,
//! before it counts as gone.

use std::collections::{BTreeMap, BTreeSet};

use super::finish::MOST_ASKED;
use super::slice::{RunPart, Slice};
use crate::extract::{self, Group, filter_id};
use crate::failure::Failure;
use crate::identity::{Repository, RepositoryId};
use crate::look::{Look, News};
use crate::mapping::RepositoryFilter;
use crate::sync::outbox::Outbox;
use crate::sync::plan::Seen;
use crate::telemetry::chain;

/// Repositories asked for in one request.
const REPOSITORIES_AT_ONCE: usize = 50;

impl Slice<'_> {
    /// Repositories that claim something and were not listed: what is left of those that are not selected any more.
    pub(super) async fn repositories(
        &self,
        unlisted: &BTreeMap<String, BTreeSet<RepositoryId>>,
    ) -> Result<Vec<Seen>, Failure> {
        let mut seen = Vec::new();
        for (filter, groups) in self.sources().by_filter() {
            let repositories = unlisted.get(&filter_id(filter)).into_iter().flatten();
            let repositories: Vec<&RepositoryId> = repositories.collect();
            for chunk in repositories.chunks(REPOSITORIES_AT_ONCE) {
                if MOST_ASKED <= seen.len() {
                    return Ok(seen);
                }
                self.keep().await?;
                seen.extend(self.not_listed(filter, &groups, chunk).await?);
            }
        }
        Ok(seen)
    }

    async fn not_listed(
        &self,
        filter: &RepositoryFilter,
        groups: &[&Group],
        repositories: &[&RepositoryId],
    ) -> Result<Vec<Seen>, Failure> {
        // The records first: whoever brings a repository back writes them after.
        let looker = self.looker();
        let mut recorded: Vec<(RepositoryId, Vec<Seen>)> = Vec::new();
        for repository in repositories {
            let mut seen = Vec::new();
            for group in groups {
                seen.extend(looker.gone(&group.partition(Some(repository))).await?);
            }
            recorded.push(((*repository).clone(), seen));
        }
        let uuids: Vec<RepositoryId> = repositories.iter().map(|one| (*one).clone()).collect();
        let found = extract::repositories(self.bitbucket, filter, &uuids, &self.deadline).await?;
        let found: BTreeSet<RepositoryId> = found
            .iter()
            .filter_map(Repository::of)
            .map(|repository| repository.uuid)
            .collect();
        if found.len() < recorded.len() {
            // That nothing is shown may be the credentials' doing.
            self.bitbucket.workspace(&self.deadline).await?;
        }
        let overlooked = found.iter().map(|repository| Look::Repository {
            repository: repository.clone(),
            news: News {
                all: true,
                ..News::default()
            },
        });
        let outbox =
            Outbox::new(None, self.store(), &self.app.clock).because(self.audit.only_cause());
        outbox.remember(overlooked.collect()).await?;
        let missing: Vec<RepositoryId> = uuids
            .into_iter()
            .filter(|uuid| !found.contains(uuid))
            .collect();
        let gone = self.really_gone(filter, groups, missing).await?;
        let gone = recorded.into_iter().filter(|(one, _)| gone.contains(one));
        Ok(gone.flat_map(|(_, seen)| seen).collect())
    }

    /// Those of `missing` that the filter does not select any more, or that are not there when they are asked for
    /// themselves. What is there, or may not be read, has failed.
    async fn really_gone(
        &self,
        filter: &RepositoryFilter,
        groups: &[&Group],
        missing: Vec<RepositoryId>,
    ) -> Result<BTreeSet<RepositoryId>, Failure> {
        let (bitbucket, deadline) = (self.bitbucket, &self.deadline);
        let mut gone = BTreeSet::new();
        if filter.selects() && !missing.is_empty() {
            let all = RepositoryFilter::default();
            let shown = extract::repositories(bitbucket, &all, &missing, deadline).await?;
            gone.extend(shown.iter().filter_map(Repository::of).map(|one| one.uuid));
            gone.retain(|one| missing.contains(one));
        }
        for repository in missing {
            if gone.contains(&repository) {
                continue;
            }
            self.keep().await?;
            let reason = match bitbucket
                .is_repository_there(repository.as_str(), deadline)
                .await
            {
                Ok(false) => {
                    gone.insert(repository);
                    continue;
                }
                Ok(true) => "no list shows the repository, and it is there".to_owned(),
                Err(error) if error.meets_every_request() => return Err(error.into()),
                Err(error) => chain(&error),
            };
            if let Some(group) = groups.first() {
                let part = RunPart::of(group.partition(Some(&repository)));
                self.give_up(&part, true, &reason);
            }
        }
        Ok(gone)
    }
}

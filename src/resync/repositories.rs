//! The lists of repositories that a run goes by: taken once per run and filter, page after page, and kept until its
//! end. What is read of each repository follows while the next pages come.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::slice::{Slice, Step, soonest};
use crate::extract::{Batch, Group, Listing, Repository, Source, filter_id, stops_everything};
use crate::failure::{Failure, chain};
use crate::mapping::RepositoryFilter;
use crate::partition::{self, RUN, WHOLE};
use crate::state::{Expected, StateError};

/// Repositories that are asked about ahead of the list. Where more have failed, the reason was none of theirs.
const MOST_FIRST: usize = 50;

impl Slice<'_> {
    /// The list of the repositories that `filter` selects, and what `groups` want of each of them. The list waits for
    /// contents of files, the rest for everything else: each has an allowance of its own.
    pub(super) async fn by_repository(
        &self,
        filter: &RepositoryFilter,
        groups: &[Group],
    ) -> Result<Step, Failure> {
        let (listed, mut repositories) = unbounded_channel();
        let failed = AtomicBool::new(false);
        let list = async {
            let list = self.list(filter, &listed, &failed).await;
            // Nobody waits for more.
            drop(listed);
            failed.fetch_or(list.is_err(), Ordering::Relaxed);
            list
        };
        let repositories = stream::poll_fn(|context| repositories.poll_recv(context));
        let (list, read) =
            tokio::join!(list, self.read_repositories(groups, repositories, &failed));
        let step = match (list?, read?) {
            (Step::Paused(one), Step::Paused(other)) => Step::Paused(soonest(one, other)),
            (Step::Done, step) | (step, Step::Done) => step,
        };
        let listing = self.run().listings.get(&filter_id(filter)).cloned();
        if let Some(reason) = listing.and_then(|listing| listing.failed) {
            for group in groups {
                self.run().fail(&group.source.id(), None, reason.clone());
            }
        }
        Ok(step)
    }

    /// Takes the list of repositories that `filter` selects, once per run, and maps it for the resources that want
    /// the repositories themselves. Each goes to `listed` once that is done.
    async fn list(
        &self,
        filter: &RepositoryFilter,
        listed: &UnboundedSender<Repository>,
        failed: &AtomicBool,
    ) -> Result<Step, Failure> {
        let id = filter_id(filter);
        let state = self.run().listings.entry(id.clone()).or_default().clone();
        let source = Source::Repositories(filter.clone());
        let nobody = Group::of_nobody(source.clone());
        let group = self
            .groups
            .iter()
            .find(|group| group.source == source)
            .unwrap_or(&nobody);
        let known = match state.pages {
            0 => self.first(group).await?,
            _ => self.repositories(filter).await?,
        };
        hand_out(known, listed);
        if state.complete || state.failed.is_some() {
            return Ok(Step::Done);
        }
        let mut listing = match &state.cursor {
            Some(cursor) => Listing::resume(self.bitbucket, group, cursor),
            None => Listing::open(self.bitbucket, group, None),
        };
        let mut next = listing.next(&self.deadline).await;
        while !failed.load(Ordering::Relaxed) {
            let batch = match next {
                Ok(Some(batch)) => batch,
                Ok(None) => {
                    self.run().listings.entry(id).or_default().complete = true;
                    self.save().await?;
                    break;
                }
                Err(error) => {
                    let reason = chain(&error);
                    let step = self.partition_failed(group, None, error)?;
                    if let Step::Done = step {
                        self.run().listings.entry(id).or_default().failed = Some(reason);
                    }
                    return Ok(step);
                }
            };
            let (cursor, since) = (listing.cursor().map(str::to_owned), listing.since());
            // While this page is written, the next one is read.
            let (written, following) = tokio::join!(
                self.page(group, &id, batch, since),
                listing.next(&self.deadline)
            );
            let repositories = written?;
            next = following;
            {
                let mut run = self.run();
                let state = run.listings.entry(id.clone()).or_default();
                state.pages += 1;
                state.repositories += repositories.len();
                // Without a cursor this page was the last.
                state.complete = cursor.is_none();
                state.cursor = cursor;
            }
            self.save().await?;
            hand_out(repositories, listed);
        }
        Ok(Step::Done)
    }

    /// The repositories that the last run could not read, as far as they are selected.
    async fn first(&self, list: &Group) -> Result<Vec<Repository>, Failure> {
        let first: Vec<String> = self.run().first.iter().cloned().collect();
        if MOST_FIRST < first.len() {
            return Ok(Vec::new());
        }
        let found = stream::iter(&first)
            .map(|uuid| self.repository_now(list, uuid))
            .buffered(self.repositories_at_once())
            .filter_map(async |found| match found {
                Ok(found) => found.map(Ok),
                Err(Failure::Bitbucket(error)) if stops_everything(&error) => {
                    Some(Err(error.into()))
                }
                // The list will show.
                Err(_) => None,
            });
        found.try_collect().await
    }

    /// Writes a page of the list, and keeps it.
    async fn page(
        &self,
        group: &Group,
        list: &str,
        batch: Batch,
        since: Timestamp,
    ) -> Result<Vec<Repository>, Failure> {
        let source = group.source.id();
        let mut repositories: Vec<Repository> =
            batch.items.iter().filter_map(Repository::of).collect();
        if !group.resources.is_empty() {
            let processed = self.process(group, &batch).await?;
            let read = batch.items.iter().zip(processed.items);
            let read = read.filter_map(|(raw, produced)| {
                let items = vec![(WHOLE.to_owned(), produced)];
                Some((Repository::of(raw)?, items))
            });
            stream::iter(read)
                .map(async |(repository, items)| {
                    let known = partition::load(&self.app.store, &source, &repository.uuid).await?;
                    self.record_read(group, &repository, items, (known, since))
                        .await
                })
                .buffered(self.repositories_at_once())
                .try_collect::<()>()
                .await?;
        }
        for (repository, error) in batch.failed {
            tracing::warn!(
                repository = repository.full_name,
                error = chain(&error),
                "repository not read"
            );
            self.run().fail(&source, Some(&repository), chain(&error));
            repositories.push(repository);
        }
        let key = {
            let run = self.run();
            let pages = run.listings.get(list).map_or(0, |state| state.pages);
            page_key(&run.id, list, pages)
        };
        let store = &self.app.store;
        store.save(&key, &repositories, Expected::Anything).await?;
        Ok(repositories)
    }

    /// The repositories that `filter` selected in this run, each once, in the order of the list.
    pub(super) async fn repositories(
        &self,
        filter: &RepositoryFilter,
    ) -> Result<Vec<Repository>, StateError> {
        let mut repositories: Vec<Repository> = Vec::new();
        let mut seen = BTreeSet::new();
        for key in self.page_keys(|list| list == filter_id(filter)) {
            let found = self.app.store.load::<Vec<Repository>>(&key).await?;
            for repository in found.map(|found| found.value).unwrap_or_default() {
                if seen.insert(repository.uuid.clone()) {
                    repositories.push(repository);
                }
            }
        }
        Ok(repositories)
    }

    /// Removes what only this run needed.
    pub(super) async fn clean_up(&self) -> Result<(), StateError> {
        for key in self.page_keys(|_| true) {
            self.app.store.remove(&key).await?;
        }
        self.app.store.remove(RUN).await
    }

    fn page_keys(&self, wanted: impl Fn(&str) -> bool) -> Vec<String> {
        let run = self.run();
        let lists = run.listings.iter().filter(|(list, _)| wanted(list));
        let keys = lists
            .flat_map(|(list, state)| (0..state.pages).map(|page| page_key(&run.id, list, page)));
        keys.collect()
    }
}

fn hand_out(repositories: Vec<Repository>, listed: &UnboundedSender<Repository>) {
    for repository in repositories {
        // Whoever does not listen any more has said why.
        listed.send(repository).ok();
    }
}

fn page_key(run: &str, list: &str, page: usize) -> String {
    format!("run/{run}/repositories/{list}/{page}")
}

//! The lists of repositories that a run goes by: taken once per run and filter, page after page, and kept until its
//! end. What is read of each repository follows while the next pages come.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::record::Recorded;
use super::slice::{Slice, Step, soonest};
use crate::extract::{
    Batch, Group, Page, Repository, Source, filter_id, repository_pages, stops_everything,
};
use crate::failure::{Failure, chain};
use crate::mapping::RepositoryFilter;
use crate::partition::{RUN, WHOLE};
use crate::state::{Expected, StateError};

/// Repositories that are asked about ahead of the list. Where more have failed, the reason was none of theirs.
const MOST_FIRST: usize = 50;

/// Pages of the list in memory at once: their files being read, or they themselves written.
const PAGES_AT_ONCE: usize = 4;

impl Slice<'_> {
    /// The list of the repositories that `filter` selects, and what `groups` want of each of them. The list waits for
    /// contents of files, the rest for everything else: each has an allowance of its own.
    pub(super) async fn by_repository(
        &self,
        filter: &RepositoryFilter,
        groups: &[Group],
    ) -> Result<Step, Failure> {
        let (listed, mut repositories) = unbounded_channel();
        hand_out(self.first(filter, groups).await?, &listed);
        let failed = AtomicBool::new(false);
        let repositories = stream::poll_fn(|context| repositories.poll_recv(context));
        let list = self.list(filter, listed, &failed);
        let read = self.read_repositories(groups, repositories, &failed);
        // Both are large, and so is the stack that they would need here.
        let (list, read) = tokio::join!(
            Box::pin(raising(&failed, list)),
            Box::pin(raising(&failed, read))
        );
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
        listed: UnboundedSender<Repository>,
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
        hand_out(self.repositories(filter).await?, &listed);
        if state.complete || state.failed.is_some() {
            return Ok(Step::Done);
        }
        let recorded = self.recorded(&group.source.id()).await?;
        let room = Semaphore::new(PAGES_AT_ONCE);
        let (read, mut pages) = unbounded_channel();
        let (cursor, deadline) = (state.cursor.as_deref(), &self.deadline);
        let reading = repository_pages(self.bitbucket, group, cursor, &room, deadline);
        let reading = async move {
            let mut reading = std::pin::pin!(reading);
            loop {
                tokio::select! {
                    page = reading.next() => match page {
                        Some(page) => read.send(page).ok(),
                        None => break,
                    },
                    // Whoever does not take any more says why.
                    () = read.closed() => break,
                };
            }
        };
        let recorded = &recorded;
        let writing = async move {
            while let Some(page) = pages.recv().await
                && !failed.load(Ordering::Relaxed)
            {
                match page {
                    Ok(Page { batch, cursor, .. }) => {
                        let repositories = self.page(group, &id, batch, recorded).await?;
                        self.note_page(&id, repositories.len(), cursor).await?;
                        hand_out(repositories, &listed);
                    }
                    Err(error) => {
                        let reason = chain(&error);
                        let step = self.partition_failed(group, None, error)?;
                        if let Step::Done = step {
                            self.run().listings.entry(id).or_default().failed = Some(reason);
                        }
                        return Ok(step);
                    }
                }
            }
            Ok(Step::Done)
        };
        let ((), written) = tokio::join!(reading, writing);
        written
    }

    async fn note_page(
        &self,
        list: &str,
        repositories: usize,
        cursor: Option<String>,
    ) -> Result<(), StateError> {
        {
            let mut run = self.run();
            let state = run.listings.entry(list.to_owned()).or_default();
            state.pages += 1;
            state.repositories += repositories;
            // Without a cursor this page was the last.
            state.complete = cursor.is_none();
            state.cursor = cursor;
        }
        self.save().await
    }

    /// The repositories that the last run could not read, as far as `filter` selects them: they are read before the
    /// list is, where `groups` want more of them than that.
    async fn first(
        &self,
        filter: &RepositoryFilter,
        groups: &[Group],
    ) -> Result<Vec<Repository>, Failure> {
        let first: Vec<String> = {
            let run = self.run();
            match run.listings.contains_key(&filter_id(filter)) {
                true => Vec::new(),
                false => run.first.iter().cloned().collect(),
            }
        };
        let is_list = |group: &&Group| matches!(group.source, Source::Repositories(_));
        let Some(group) = groups.iter().find(|group| !is_list(group)) else {
            return Ok(Vec::new());
        };
        if MOST_FIRST < first.len() {
            return Ok(Vec::new());
        }
        let found = stream::iter(&first)
            .map(|uuid| self.repository_now(group, uuid))
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
        mut batch: Batch,
        recorded: &Recorded,
    ) -> Result<Vec<Repository>, Failure> {
        let places: Vec<Option<Repository>> = batch.items.iter().map(Repository::of).collect();
        let failed = std::mem::take(&mut batch.failed);
        if !group.resources.is_empty() {
            let items = self.process(group, batch).await?;
            let read = places.iter().zip(items).filter_map(|(place, (_, item))| {
                Some((place.as_ref()?, vec![(WHOLE.to_owned(), item)]))
            });
            stream::iter(read)
                .map(async |(repository, items)| {
                    self.record_read(group, repository, items, recorded).await
                })
                .buffered(self.repositories_at_once())
                .try_collect::<()>()
                .await?;
        }
        let mut repositories: Vec<Repository> = places.into_iter().flatten().collect();
        for (repository, error) in failed {
            tracing::warn!(
                repository = repository.full_name,
                error = chain(&error),
                "repository not read"
            );
            self.run()
                .fail(&group.source.id(), Some(&repository), chain(&error));
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

/// Tells the rest of what goes on when there is no point any more.
async fn raising<T>(
    failed: &AtomicBool,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let done = work.await;
    failed.fetch_or(done.is_err(), Ordering::Relaxed);
    done
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

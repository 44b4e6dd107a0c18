//! One invocation's share of a run: partitions read, mapped, loaded and recorded until all are done or time is up.
//!
//! A partition counts as done only after Port has answered for its entities and its record is stored. Whatever an
//! interruption loses is done again; doing it again changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::future::ready;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::journal::Journal;
use super::run::{Run, Tally};
use crate::app::{App, Session};
use crate::bitbucket::{self, BitbucketClient};
use crate::deadline::Deadline;
use crate::extract::{self, Batch, Group, Item, Listing, Repository, Skipped, Source, filter_id};
use crate::failure::{Failure, chain};
use crate::mapping::{Kind, Mapping, RepositoryFilter};
use crate::partition::{self, RUN, WHOLE};
use crate::pipeline::{Counts, Pipeline, Processed, Produced};
use crate::progress::{Part, Paused, Progress};
use crate::state::{Expected, Lease, StateError};

/// Raw items of a kind that Port's mapping editor gets to show.
const EXAMPLES_PER_KIND: usize = 5;

/// Partitions read at once, however many credentials there are: each has a page in memory.
const MOST_PARTITIONS_AT_ONCE: usize = 48;

/// Progress is saved after so many times the partitions that are read at once: all of them have to end for it.
const CHUNK: usize = 8;

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
    pub(super) run: Run,
    /// Version of the stored run: whoever else has written it meanwhile has taken the run over.
    pub(super) version: u64,
    pub(super) lease: &'a Lease,
    pub(super) journal: Journal,
}

/// How a step ended when it did not fail.
pub(super) enum Step {
    Done,
    /// Time or the rate limit is used up; the failure says which.
    Paused(Failure),
}

/// What one repository gave.
struct Partition {
    /// When it began to be read.
    since: Timestamp,
    counts: BTreeMap<Option<Kind>, Counts>,
    /// What it stands for, unless that is recorded.
    unrecorded: Option<Vec<(String, Produced)>>,
    /// The first few raw items of each kind.
    examples: BTreeMap<Kind, Vec<Value>>,
}

impl Slice<'_> {
    /// Reads, maps and loads whatever the run has not done yet.
    pub(super) async fn extract(&mut self) -> Result<Step, Failure> {
        while let Some(group) = self.groups.get(self.run.group) {
            let step = match group.source.repositories() {
                None => self.workspace_partition(group).await?,
                Some(filter) => match self.list_repositories(filter).await? {
                    Step::Done => self.repository_partitions(group, filter).await?,
                    Step::Paused(failure) => self.meanwhile(filter, failure).await?,
                },
            };
            if let Step::Paused(_) = step {
                return Ok(step);
            }
            self.run.group += 1;
            self.save().await?;
        }
        Ok(Step::Done)
    }

    /// Contents of files have an allowance of their own. While the list of repositories waits for it, what needs no
    /// files goes on with the repositories that are known by then; whoever may go on first decides about the pause.
    async fn meanwhile(
        &mut self,
        filter: &RepositoryFilter,
        failure: Failure,
    ) -> Result<Step, Failure> {
        let mut soonest = failure;
        for group in self.groups {
            let of_filter = group.source.repositories() == Some(filter);
            let is_list = matches!(group.source, Source::Repositories(_));
            if !of_filter || is_list || soonest.wait().is_none() {
                continue;
            }
            if let Step::Paused(failure) = self.repository_partitions(group, filter).await?
                && failure.wait() < soonest.wait()
            {
                soonest = failure;
            }
        }
        Ok(Step::Paused(soonest))
    }

    pub(super) async fn save(&mut self) -> Result<(), StateError> {
        self.lease.keep(&self.app.store, &self.app.clock).await?;
        self.version = self
            .app
            .store
            .save(RUN, &self.run, Expected::Version(self.version))
            .await?;
        self.publish(None);
        Ok(())
    }

    /// Tells whoever watches how far the run is.
    pub(super) fn publish(&self, paused: Option<Paused>) {
        let mut parts: Vec<Part> = Vec::new();
        for (index, group) in self.groups.iter().enumerate() {
            let is_done = index < self.run.group;
            let (done, total) = match group.source.repositories() {
                None => (usize::from(is_done), Some(1)),
                Some(filter) => {
                    let listing = self.run.listings.get(&filter_id(filter));
                    let listed = listing.map_or(0, |listing| listing.repositories);
                    let complete = listing.is_some_and(|listing| listing.complete);
                    let done = match group.source {
                        Source::Repositories(_) => listed,
                        _ if is_done => listed,
                        _ => *self.run.done.get(&group.source.id()).unwrap_or(&0),
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
                    let tallies = names.iter().filter_map(|name| self.run.tally.get(name));
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
            run: self.run.id.clone(),
            parts,
            requests_left: self.bitbucket.requests_left(),
            reconciling: self.run.extracted,
            paused,
        });
    }

    /// A source of the workspace as a whole is one partition, read from its beginning each time.
    async fn workspace_partition(&mut self, group: &Group) -> Result<Step, Failure> {
        let since = self.app.clock.now();
        let mut listing = Listing::open(self.bitbucket, group, None);
        let mut items = Vec::new();
        loop {
            let batch = match listing.next(&self.deadline).await {
                Ok(Some(batch)) => batch,
                Ok(None) => break,
                Err(error) => return self.partition_failed(group, None, error),
            };
            let processed = self.process(group, &batch).await?;
            items.extend(named(group, &batch, processed.items));
            self.publish(None);
        }
        self.record(group, None, items, since).await?;
        Ok(Step::Done)
    }

    /// Takes the list of repositories that `filter` selects, once per run, and maps it for the resources that want
    /// the repositories themselves.
    async fn list_repositories(&mut self, filter: &RepositoryFilter) -> Result<Step, Failure> {
        let id = filter_id(filter);
        let state = self.run.listings.entry(id.clone()).or_default().clone();
        if state.complete || state.failed.is_some() {
            return Ok(Step::Done);
        }
        let source = Source::Repositories(filter.clone());
        let nobody = Group::of_nobody(source.clone());
        let group = self
            .groups
            .iter()
            .find(|group| group.source == source)
            .unwrap_or(&nobody);
        let mut listing = match &state.cursor {
            Some(cursor) => Listing::resume(self.bitbucket, group, cursor),
            None => Listing::open(self.bitbucket, group, None),
        };
        let deadline = self.deadline.clone();
        let mut since = self.app.clock.now();
        let mut next = listing.next(&deadline).await;
        loop {
            let batch = match next {
                Ok(Some(batch)) => batch,
                Ok(None) => break,
                Err(error) => {
                    let reason = chain(&error);
                    let step = self.partition_failed(group, None, error)?;
                    if let Step::Done = step {
                        self.run.listings.entry(id).or_default().failed = Some(reason);
                    }
                    return Ok(step);
                }
            };
            let cursor = listing.cursor().map(str::to_owned);
            let begun = std::mem::replace(&mut since, self.app.clock.now());
            // While this page is written, the next one is read.
            let (written, following) = tokio::join!(
                self.repository_page(group, &id, batch, begun),
                listing.next(&deadline)
            );
            written?;
            next = following;
            let state = self.run.listings.entry(id.clone()).or_default();
            state.pages += 1;
            state.cursor = cursor;
            // Without a cursor this page was the last.
            if state.cursor.is_none() {
                self.list_is_complete(filter);
            }
            self.save().await?;
        }
        self.list_is_complete(filter);
        self.save().await?;
        Ok(Step::Done)
    }

    /// From now on the repositories are in another order; which ones are done shows in the records.
    fn list_is_complete(&mut self, filter: &RepositoryFilter) {
        self.run
            .listings
            .entry(filter_id(filter))
            .or_default()
            .complete = true;
        for group in self.groups {
            if group.source.repositories() == Some(filter) {
                self.run.done.remove(&group.source.id());
            }
        }
    }

    async fn repository_page(
        &mut self,
        group: &Group,
        list: &str,
        batch: Batch,
        since: Timestamp,
    ) -> Result<(), Failure> {
        let mut repositories: Vec<Repository> =
            batch.items.iter().filter_map(Repository::of).collect();
        if !group.resources.is_empty() {
            let processed = self.process(group, &batch).await?;
            let read = batch.items.iter().zip(processed.items);
            let read = read.filter_map(|(raw, produced)| {
                let items = vec![(WHOLE.to_owned(), produced)];
                Some((Repository::of(raw)?, items))
            });
            let (this, source) = (&*self, group.source.id());
            let unrecorded: Vec<_> = stream::iter(read)
                .map(async |(repository, items)| {
                    let known = partition::load(&this.app.store, &source, &repository.uuid).await?;
                    let items = this
                        .record_untouched(&source, &repository.uuid, items, known)
                        .await?;
                    Ok::<_, Failure>((repository, items))
                })
                .buffered(this.partitions_at_once())
                .try_collect()
                .await?;
            for (repository, items) in unrecorded {
                if let Some(items) = items {
                    self.record(group, Some(&repository), items, since).await?;
                }
            }
        }
        for (repository, error) in batch.failed {
            tracing::warn!(
                repository = repository.full_name,
                error = chain(&error),
                "repository not read"
            );
            self.run
                .fail(&group.source.id(), Some(&repository), chain(&error));
            repositories.push(repository);
        }
        let state = self.run.listings.entry(list.to_owned()).or_default();
        state.repositories += repositories.len();
        let page = state.pages;
        self.app
            .store
            .save(
                &page_key(&self.run.id, list, page),
                &repositories,
                Expected::Anything,
            )
            .await?;
        Ok(())
    }

    /// The partitions of a source that is read per repository, a few at a time.
    async fn repository_partitions(
        &mut self,
        group: &Group,
        filter: &RepositoryFilter,
    ) -> Result<Step, Failure> {
        let listing = self
            .run
            .listings
            .get(&filter_id(filter))
            .cloned()
            .unwrap_or_default();
        if let Some(reason) = listing.failed {
            self.run.fail(&group.source.id(), None, reason);
            return Ok(Step::Done);
        }
        if let Source::Repositories(_) = group.source {
            return Ok(Step::Done);
        }
        let mut repositories = self.repositories(filter).await?;
        if listing.complete {
            repositories.sort_by_key(|repository| !self.run.first.contains(&repository.uuid));
        }
        let source = group.source.id();
        let at_once = self.partitions_at_once();
        while let Some(chunk) = repositories
            .get(self.run.done.get(&source).copied().unwrap_or(0)..)
            .filter(|rest| !rest.is_empty())
        {
            let chunk = chunk.get(..at_once * CHUNK).unwrap_or(chunk);
            let (outcomes, examples) = self.read_chunk(group, chunk, at_once).await;
            for (kind, examples) in &examples {
                self.send_examples(*kind, examples).await;
            }
            let mut paused = None;
            for (repository, outcome) in chunk.iter().zip(outcomes) {
                // What was not begun is left to the next slice.
                let Some(outcome) = outcome else {
                    continue;
                };
                match outcome {
                    Ok(None) => {}
                    Ok(Some(done)) => {
                        for (kind, counts) in done.counts {
                            self.run.count(kind, counts);
                        }
                        if let Some(items) = done.unrecorded {
                            self.record(group, Some(repository), items, done.since)
                                .await?;
                        }
                    }
                    Err(Failure::Bitbucket(error)) => {
                        if let Step::Paused(failure) =
                            self.partition_failed(group, Some(repository), error)?
                        {
                            paused = Some(failure);
                        }
                    }
                    Err(failure) => return Err(failure),
                }
            }
            if let Some(failure) = paused {
                return Ok(Step::Paused(failure));
            }
            *self.run.done.entry(source.clone()).or_default() += chunk.len();
            self.save().await?;
        }
        Ok(Step::Done)
    }

    /// Reads `chunk`, `at_once` at a time, until something stops all of it. With it come the first items of each kind.
    async fn read_chunk(
        &self,
        group: &Group,
        chunk: &[Repository],
        at_once: usize,
    ) -> (
        Vec<Option<Result<Option<Partition>, Failure>>>,
        BTreeMap<Kind, Vec<Value>>,
    ) {
        let stopped = AtomicBool::new(false);
        let partitions = stream::iter(chunk.iter().enumerate())
            .take_while(|_| ready(!stopped.load(Ordering::Relaxed)))
            .map(async |(index, repository)| {
                (index, self.repository_partition(group, repository).await)
            })
            .buffer_unordered(at_once);
        let mut partitions = std::pin::pin!(partitions);
        let mut outcomes: Vec<_> = chunk.iter().map(|_| None).collect();
        let mut examples: BTreeMap<Kind, (usize, Vec<Value>)> = BTreeMap::new();
        // Nothing else is awaited here: what is under way holds slots of the clients, and goes on only when it is
        // polled.
        while let Some((index, mut outcome)) = partitions.next().await {
            match &mut outcome {
                Ok(Some(partition)) => {
                    for (kind, items) in std::mem::take(&mut partition.examples) {
                        // Those that come first in the list: the same ones in each run.
                        let known = examples.get(&kind).map(|(known, _)| *known);
                        if known.is_none_or(|known| index < known) {
                            examples.insert(kind, (index, items));
                        }
                    }
                }
                Ok(None) => {}
                Err(Failure::Bitbucket(error)) if !extract::stops_everything(error) => {}
                Err(_) => stopped.store(true, Ordering::Relaxed),
            }
            if let Some(place) = outcomes.get_mut(index) {
                *place = Some(outcome);
            }
        }
        let examples = examples.into_iter().map(|(kind, (_, items))| (kind, items));
        (outcomes, examples.collect())
    }

    /// While some wait for Port or for the store, others use what may be asked of Bitbucket.
    fn partitions_at_once(&self) -> usize {
        (2 * self.bitbucket.requests_at_once()).min(MOST_PARTITIONS_AT_ONCE)
    }

    /// `None` when this run has done the partition before an interruption.
    async fn repository_partition(
        &self,
        group: &Group,
        repository: &Repository,
    ) -> Result<Option<Partition>, Failure> {
        let (source, uuid) = (group.source.id(), &repository.uuid);
        let known = partition::load(&self.app.store, &source, uuid).await?;
        let record = known.as_ref().map(|known| &known.value);
        if record.is_some_and(|record| record.run == self.run.id) {
            return Ok(None);
        }
        let mut done = Partition {
            since: self.app.clock.now(),
            counts: BTreeMap::new(),
            unrecorded: None,
            examples: BTreeMap::new(),
        };
        // Live events about it have come since the list was taken: it may have another main branch by now.
        let begun = self.run.started_at;
        let is_touched = record.is_some_and(|record| record.touched_since(begun).contains(WHOLE));
        let repository = match is_touched {
            false => Some(repository.clone()),
            true => self.repository_now(group, repository).await?,
        };
        let mut items = Vec::new();
        let Some(repository) = repository else {
            done.unrecorded = Some(items);
            return Ok(Some(done));
        };
        let mut listing = Listing::open(self.bitbucket, group, Some(&repository));
        while let Some(batch) = listing.next(&self.deadline).await? {
            let processed = self.load(group, &batch).await?;
            *done.counts.entry(self.kind(&batch)).or_default() += processed.counts;
            items.extend(named(group, &batch, processed.items));
            if let Some(kind) = self.kind(&batch)
                && !batch.items.is_empty()
            {
                let examples = done.examples.entry(kind).or_default();
                let missing = EXAMPLES_PER_KIND.saturating_sub(examples.len());
                examples.extend(batch.items.into_iter().take(missing));
            }
        }
        done.unrecorded = self.record_untouched(&source, uuid, items, known).await?;
        Ok(Some(done))
    }

    /// `None` when it is gone, or the group's query does not select it any more.
    async fn repository_now(
        &self,
        group: &Group,
        repository: &Repository,
    ) -> Result<Option<Repository>, Failure> {
        let Some(filter) = group.source.repositories() else {
            return Ok(None);
        };
        let own = Group::of_nobody(Source::Repositories(filter.clone()));
        let uuid = &repository.uuid;
        let raw = extract::fetch(
            self.bitbucket,
            &own,
            Item::Repository { uuid },
            &self.deadline,
        );
        Ok(raw.await?.as_ref().and_then(Repository::of))
    }

    async fn process(&mut self, group: &Group, batch: &Batch) -> Result<Processed, Failure> {
        if let Some(kind) = self.kind(batch) {
            self.send_examples(kind, &batch.items).await;
        }
        let processed = self.load(group, batch).await?;
        self.run.count(self.kind(batch), processed.counts);
        Ok(processed)
    }

    async fn load(&self, group: &Group, batch: &Batch) -> Result<Processed, Failure> {
        let mut processed = self
            .pipeline
            .process(&batch.resources, &batch.items, &self.deadline)
            .await?;
        processed.counts.skipped += batch.skipped.len();
        for Skipped { path, reason } in &batch.skipped {
            tracing::warn!(path, reason, "file left out");
        }
        for refusal in &processed.refusals {
            tracing::warn!(
                kind = group.source.name(),
                refusal,
                "entity refused by Port"
            );
            self.journal.warn(format!("entity refused: {refusal}"));
        }
        Ok(processed)
    }

    /// Gives entities another try whose relation targets have come meanwhile.
    pub(super) async fn settle(&mut self) -> Result<(), Failure> {
        let settled = self.pipeline.settle(&self.deadline).await?;
        for refusal in &settled.refusals {
            tracing::warn!(refusal, "entity refused by Port");
            self.journal.warn(format!("entity refused: {refusal}"));
        }
        self.run.counts += settled.counts;
        Ok(())
    }

    /// The kind of a batch's items; `None` where no resource wants them.
    fn kind(&self, batch: &Batch) -> Option<Kind> {
        let resource = self.mapping.resources().get(*batch.resources.first()?)?;
        Some(resource.kind)
    }

    /// A failure of the moment pauses the run, one of the credentials ends it, any other costs only its partition.
    pub(super) fn partition_failed(
        &mut self,
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
                self.run.fail(&group.source.id(), repository, reason);
                Ok(Step::Done)
            }
        }
    }

    /// Gives Port's mapping editor something to show. Its failure costs nothing else.
    async fn send_examples(&mut self, kind: Kind, items: &[Value]) {
        let kind = kind.to_string();
        let wanted = self.app.config.send_raw_data_examples && !items.is_empty();
        if !wanted || !self.run.examples.insert(kind.clone()) {
            return;
        }
        let examples = items.get(..EXAMPLES_PER_KIND).unwrap_or(items);
        let key = format!("examples/{kind}");
        let digest = hex::encode(Sha256::digest(Value::from(examples.to_vec()).to_string()));
        // Unchanged examples are not worth a request; a store that cannot tell is asked again next time.
        let known = self.app.store.load::<String>(&key).await.ok().flatten();
        if known.is_some_and(|known| known.value == digest) {
            return;
        }
        let sent = match self.session.masker() {
            Ok(masker) => {
                let sent = self
                    .session
                    .port
                    .send_examples(&kind, examples, &masker, &self.deadline)
                    .await;
                sent.map_err(|error| chain(&error))
            }
            Err(error) => Err(format!("{error:#}")),
        };
        let remembered = match sent {
            Ok(()) => self
                .app
                .store
                .save(&key, &digest, Expected::Anything)
                .await
                .map_err(|error| chain(&error)),
            failed => failed.map(|()| 0),
        };
        if let Err(error) = remembered {
            tracing::warn!(
                kind,
                error,
                "examples not sent to Port, or not remembered as sent"
            );
        }
    }

    /// The repositories that `filter` selected in this run, each once, in the order of the list.
    pub(super) async fn repositories(
        &self,
        filter: &RepositoryFilter,
    ) -> Result<Vec<Repository>, StateError> {
        let list = filter_id(filter);
        let pages = self.run.listings.get(&list).map_or(0, |state| state.pages);
        let mut repositories: Vec<Repository> = Vec::new();
        let mut seen = BTreeSet::new();
        for page in 0..pages {
            let key = page_key(&self.run.id, &list, page);
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
        for (list, state) in &self.run.listings {
            for page in 0..state.pages {
                self.app
                    .store
                    .remove(&page_key(&self.run.id, list, page))
                    .await?;
            }
        }
        self.app.store.remove(RUN).await
    }
}

fn named(group: &Group, batch: &Batch, items: Vec<Produced>) -> Vec<(String, Produced)> {
    let names = batch.items.iter().map(|raw| group.source.item(raw));
    names.zip(items).collect()
}

fn page_key(run: &str, list: &str, page: usize) -> String {
    format!("run/{run}/repositories/{list}/{page}")
}

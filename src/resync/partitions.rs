//! What is read of each repository: a few repositories at a time, each in the order of the mapping.

use std::collections::{BTreeMap, BTreeSet};
use std::future::ready;
use std::ops::ControlFlow;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::{Stream, StreamExt as _};
use serde_json::Value;

use super::examples::EXAMPLES_PER_KIND;
use super::slice::{Slice, Step, locked, named, soonest};
use crate::extract::{self, Group, Item, Listing, Repository, Source};
use crate::failure::Failure;
use crate::mapping::Kind;
use crate::partition::{self, WHOLE};
use crate::pipeline::Counts;
use crate::state::StateError;

/// Repositories read at once, however many credentials there are: each has a page in memory.
const MOST_AT_ONCE: usize = 64;

/// The run is saved whenever so many repositories more are through.
const SAVED_AFTER: usize = 100;

/// A source that is read repository by repository.
struct Reading<'a> {
    group: &'a Group,
    source: String,
    /// Repositories of which this run has read it before.
    through: BTreeSet<String>,
    /// Why it does not go on in this slice.
    paused: Mutex<Option<Failure>>,
}

/// The first few raw items of each kind, with the place of their repository among those that were read.
type Examples = Mutex<BTreeMap<Kind, (usize, Vec<Value>)>>;

impl Slice<'_> {
    /// Reads of each of `repositories` what `groups` want, until all are through, something stops every group, or
    /// `failed` says that there is no point any more.
    pub(super) async fn read_repositories(
        &self,
        groups: &[Group],
        repositories: impl Stream<Item = Repository>,
        failed: &AtomicBool,
    ) -> Result<Step, Failure> {
        let mut readings = Vec::new();
        for group in groups {
            if !matches!(group.source, Source::Repositories(_)) {
                readings.push(self.reading(group).await?);
            }
        }
        let (examples, mut met) = (Examples::default(), BTreeSet::new());
        let goes_on = || {
            !failed.load(Ordering::Relaxed) && !readings.iter().all(|reading| reading.is_paused())
        };
        let outcomes = repositories
            .take_while(|_| ready(goes_on()))
            // Lists that shift while they are read name some twice.
            .filter(|repository| ready(met.insert(repository.uuid.clone())))
            .enumerate()
            .map(|(place, repository)| {
                let (readings, examples) = (&readings, &examples);
                async move {
                    for reading in readings {
                        self.read_repository(reading, &repository, (place, examples))
                            .await?;
                    }
                    Ok::<_, Failure>(())
                }
            })
            .buffer_unordered(self.repositories_at_once());
        let mut outcomes = std::pin::pin!(outcomes);
        let mut failure = None;
        // Nothing else is awaited here: what is under way holds slots of the clients, and goes on only when it is
        // polled.
        while let Some(outcome) = outcomes.next().await {
            if let Err(error) = outcome {
                failed.store(true, Ordering::Relaxed);
                failure.get_or_insert(error);
            }
        }
        for (kind, (_, examples)) in std::mem::take(&mut *locked(&examples)) {
            self.send_examples(kind, &examples).await;
        }
        if let Some(failure) = failure {
            return Err(failure);
        }
        let paused = readings
            .iter()
            .filter_map(|reading| locked(&reading.paused).take());
        Ok(paused.reduce(soonest).map_or(Step::Done, Step::Paused))
    }

    async fn reading<'a>(&self, group: &'a Group) -> Result<Reading<'a>, StateError> {
        let source = group.source.id();
        let mut through = BTreeSet::new();
        let (run, is_new) = {
            let run = self.run();
            (run.id.clone(), run.is_new)
        };
        if !is_new {
            partition::list(&self.app.store, &source, |repository, record| {
                if record.run == run {
                    through.insert(repository.to_owned());
                }
                ControlFlow::Continue(())
            })
            .await?;
            let failed = &self.run().failed;
            through.extend(
                failed
                    .iter()
                    .filter(|failed| failed.source == source)
                    .filter_map(|failed| Some(failed.repository.as_ref()?.0.clone())),
            );
        }
        Ok(Reading {
            group,
            source,
            through,
            paused: Mutex::default(),
        })
    }

    /// While some wait for Port or for the store, others use what may be asked of Bitbucket.
    pub(super) fn repositories_at_once(&self) -> usize {
        (2 * self.bitbucket.requests_at_once()).min(MOST_AT_ONCE)
    }

    async fn read_repository(
        &self,
        reading: &Reading<'_>,
        repository: &Repository,
        examples: (usize, &Examples),
    ) -> Result<(), Failure> {
        if reading.is_paused() {
            return Ok(());
        }
        if !reading.through.contains(&repository.uuid) {
            match self.partition(reading, repository, examples).await {
                Err(Failure::Bitbucket(error)) => {
                    let failed = self.partition_failed(reading.group, Some(repository), error)?;
                    if let Step::Paused(failure) = failed {
                        locked(&reading.paused).get_or_insert(failure);
                        return Ok(());
                    }
                }
                read => read?,
            }
        }
        if self
            .note_through(&reading.source, 1)
            .is_multiple_of(SAVED_AFTER)
        {
            self.save().await?;
        }
        Ok(())
    }

    async fn partition(
        &self,
        reading: &Reading<'_>,
        repository: &Repository,
        (place, examples): (usize, &Examples),
    ) -> Result<(), Failure> {
        let Reading { group, source, .. } = reading;
        let known = partition::load(&self.app.store, source, &repository.uuid).await?;
        let since = self.app.clock.now();
        // Live events about it have come since the list was taken: it may have another main branch by now.
        let begun = self.run().started_at;
        let is_touched = known
            .as_ref()
            .is_some_and(|known| known.value.touched_since(begun).contains(WHOLE));
        let now = match is_touched {
            false => Some(repository.clone()),
            true => self.repository_now(group, &repository.uuid).await?,
        };
        let mut items = Vec::new();
        let mut counted: BTreeMap<Option<Kind>, Counts> = BTreeMap::new();
        let mut shown: BTreeMap<Kind, Vec<Value>> = BTreeMap::new();
        if let Some(now) = &now {
            let mut listing = Listing::open(self.bitbucket, group, Some(now));
            while let Some(batch) = listing.next(&self.deadline).await? {
                let processed = self.load(group, &batch).await?;
                *counted.entry(self.kind(&batch)).or_default() += processed.counts;
                items.extend(named(group, &batch, processed.items));
                if let Some(kind) = self.kind(&batch) {
                    let shown = shown.entry(kind).or_default();
                    let missing = EXAMPLES_PER_KIND.saturating_sub(shown.len());
                    shown.extend(batch.items.into_iter().take(missing));
                }
            }
        }
        for (kind, counts) in counted {
            self.run().count(kind, counts);
        }
        for (kind, items) in shown {
            offer(examples, kind, place, items);
        }
        self.record_read(group, repository, items, (known, since))
            .await
    }

    /// `None` when it is gone, or the group's query does not select it any more.
    pub(super) async fn repository_now(
        &self,
        group: &Group,
        uuid: &str,
    ) -> Result<Option<Repository>, Failure> {
        let Some(filter) = group.source.repositories() else {
            return Ok(None);
        };
        let own = Group::of_nobody(Source::Repositories(filter.clone()));
        let raw = extract::fetch(
            self.bitbucket,
            &own,
            Item::Repository { uuid },
            &self.deadline,
        );
        Ok(raw.await?.as_ref().and_then(Repository::of))
    }
}

impl Reading<'_> {
    fn is_paused(&self) -> bool {
        locked(&self.paused).is_some()
    }
}

/// Keeps those that come first: the same ones in each run.
fn offer(examples: &Examples, kind: Kind, place: usize, items: Vec<Value>) {
    if items.is_empty() {
        return;
    }
    let mut examples = locked(examples);
    let known = examples.get(&kind).map(|(known, _)| *known);
    if known.is_none_or(|known| place < known) {
        examples.insert(kind, (place, items));
    }
}

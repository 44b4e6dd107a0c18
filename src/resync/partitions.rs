//! What is read of each repository: a few repositories at a time, each in the order of the mapping.

use std::collections::{BTreeMap, BTreeSet};
use std::future::ready;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::{Stream, StreamExt as _};
use serde_json::Value;

use super::examples::EXAMPLES_PER_KIND;
use super::record::Recorded;
use super::slice::{Slice, Step, locked, soonest};
use crate::extract::{self, Group, Item, Listing, Repository, Source};
use crate::failure::Failure;
use crate::mapping::Kind;
use crate::pipeline::Counts;
use crate::state::StateError;

/// Repositories under way for each request that may be: while some wait for Port or for the store, others use what may
/// be asked of Bitbucket. They hold little meanwhile; pages are in memory only as far as requests are under way.
const EACH_REQUEST: usize = 3;

/// The run is saved whenever so many repositories more are through.
const SAVED_AFTER: usize = 100;

/// After a slice in which no repository got through, one in so many is read at once: large ones that share an hour's
/// allowance may never end.
const NARROWED: usize = 4;

/// A source that is read repository by repository.
struct Reading<'a> {
    group: &'a Group,
    source: String,
    recorded: Recorded,
    /// Repositories that could not be read in an earlier slice of this run.
    failed: BTreeSet<String>,
    /// Why it does not go on in this slice.
    paused: Mutex<Option<Failure>>,
}

/// The first few raw items of each kind, with the place of their repository among those that were read.
type Examples = BTreeMap<Kind, (usize, Vec<Value>)>;

/// What repositories that are read together have come to.
#[derive(Default)]
struct Together {
    examples: Mutex<Examples>,
    /// Pages came ..
    has_begun: AtomicBool,
    /// .. and all of some repository.
    has_ended: AtomicBool,
}

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
        let (together, mut met) = (Together::default(), BTreeSet::new());
        let at_once = self.run().at_once;
        let at_once = at_once.unwrap_or_else(|| self.repositories_at_once());
        let goes_on = || {
            !failed.load(Ordering::Relaxed) && !readings.iter().all(|reading| reading.is_paused())
        };
        let outcomes = repositories
            .take_while(|_| ready(goes_on()))
            // Lists that shift while they are read name some twice.
            .filter(|repository| ready(met.insert(repository.uuid.clone())))
            .enumerate()
            .map(|(place, repository)| {
                let (readings, together) = (&readings, &together);
                async move {
                    for reading in readings {
                        self.read_repository(reading, &repository, (place, together))
                            .await?;
                    }
                    Ok::<_, Failure>(())
                }
            })
            .buffer_unordered(at_once);
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
        let examples = std::mem::take(&mut *locked(&together.examples));
        for (kind, (_, examples)) in examples {
            self.send_examples(kind, &examples).await;
        }
        if let Some(failure) = failure {
            return Err(failure);
        }
        let paused = readings
            .iter()
            .filter_map(|reading| locked(&reading.paused).take());
        let Some(failure) = paused.reduce(soonest) else {
            return Ok(Step::Done);
        };
        let has = |what: &AtomicBool| what.load(Ordering::Relaxed);
        if has(&together.has_begun) && !has(&together.has_ended) {
            self.run().at_once = Some((at_once / NARROWED).max(1));
        }
        Ok(Step::Paused(failure))
    }

    async fn reading<'a>(&self, group: &'a Group) -> Result<Reading<'a>, StateError> {
        let source = group.source.id();
        let recorded = self.recorded(&source).await?;
        let run = self.run();
        let failed = run.failed.iter().filter(|failed| failed.source == source);
        let failed = failed.filter_map(|failed| Some(failed.repository.as_ref()?.0.clone()));
        Ok(Reading {
            group,
            recorded,
            failed: failed.collect(),
            paused: Mutex::default(),
            source,
        })
    }

    pub(super) fn repositories_at_once(&self) -> usize {
        EACH_REQUEST * self.bitbucket.requests_at_once()
    }

    async fn read_repository(
        &self,
        reading: &Reading<'_>,
        repository: &Repository,
        (place, together): (usize, &Together),
    ) -> Result<(), Failure> {
        if reading.is_paused() {
            return Ok(());
        }
        let is_through = reading.is_through(&repository.uuid);
        if !is_through {
            match self.partition(reading, repository, (place, together)).await {
                Err(Failure::Bitbucket(error)) => {
                    let failed = self.partition_failed(reading.group, Some(repository), error)?;
                    if let Step::Paused(failure) = failed {
                        locked(&reading.paused).get_or_insert(failure);
                        return Ok(());
                    }
                }
                read => read?,
            }
            together.has_ended.store(true, Ordering::Relaxed);
        }
        let through = self.note_through(&reading.source);
        if !is_through && through.is_multiple_of(SAVED_AFTER) {
            self.save().await?;
        }
        Ok(())
    }

    async fn partition(
        &self,
        reading: &Reading<'_>,
        repository: &Repository,
        (place, together): (usize, &Together),
    ) -> Result<(), Failure> {
        let Reading {
            group, recorded, ..
        } = reading;
        // Live events about it have come since the list was taken: it may have another main branch by now.
        let now = match recorded.is_touched_whole(&repository.uuid) {
            false => Some(repository.clone()),
            true => self.repository_now(group, &repository.uuid).await?,
        };
        let mut items = Vec::new();
        let mut counted: BTreeMap<Option<Kind>, Counts> = BTreeMap::new();
        let mut shown: BTreeMap<Kind, Vec<Value>> = BTreeMap::new();
        if let Some(now) = &now {
            let mut listing = Listing::open(self.bitbucket, group, Some(now));
            while let Some(batch) = listing.next(&self.deadline).await? {
                let kind = self.kind(&batch);
                let wanted = |kind: &Kind| {
                    self.lacks_examples(*kind)
                        && comes_first(&locked(&together.examples), *kind, place)
                };
                if let Some(kind) = kind.filter(wanted) {
                    let shown = shown.entry(kind).or_default();
                    let missing = EXAMPLES_PER_KIND.saturating_sub(shown.len());
                    shown.extend(batch.items.iter().take(missing).cloned());
                }
                let (produced, counts) = self.load(group, batch).await?;
                together.has_begun.store(true, Ordering::Relaxed);
                *counted.entry(kind).or_default() += counts;
                items.extend(produced);
            }
        }
        for (kind, counts) in counted {
            self.run().count(kind, counts);
        }
        for (kind, items) in shown {
            offer(&mut locked(&together.examples), kind, place, items);
        }
        self.record_read(group, repository, items, recorded).await
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
    /// Whether this run has been there before.
    fn is_through(&self, repository: &str) -> bool {
        self.recorded.is_of_run(repository) || self.failed.contains(repository)
    }

    fn is_paused(&self) -> bool {
        locked(&self.paused).is_some()
    }
}

/// Keeps those that come first: the same ones in each run.
fn offer(examples: &mut Examples, kind: Kind, place: usize, items: Vec<Value>) {
    if !items.is_empty() && comes_first(examples, kind, place) {
        examples.insert(kind, (place, items));
    }
}

fn comes_first(examples: &Examples, kind: Kind, place: usize) -> bool {
    examples.get(&kind).is_none_or(|(known, _)| place < *known)
}

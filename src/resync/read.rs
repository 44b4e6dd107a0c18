//! Everything that a run reads: the partitions of the workspace, the lists of repositories, and what each repository
//! holds.
//!
//! Lists only add: what they do not show is noted, and looked at in `finish`. Nothing is committed here; what is read goes
//! to the one task that commits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::{StreamExt as _, stream};
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{Sender, UnboundedSender, channel, unbounded_channel};

use super::committer::{ReadPart, Then};
use super::pages::{Pages, Spot, Stamps, State};
use super::slice::{Slice, Step, locked};
use crate::bitbucket;
use crate::extract::{self, Group, Page, Source, filter_id, repository_pages};
use crate::failure::{Class, Failure};
use crate::identity::{ItemId, PartitionId, Repository, RepositoryId};
use crate::look::Progress;
use crate::mapping::RepositoryFilter;
use crate::store::documents::Entry;
use crate::store::run::RepositoryList;
use crate::sync::look::Standing;
use crate::sync::plan::Seen;
use crate::sync::reading::Reading;
use crate::telemetry::chain;

/// Parts that may wait for the task that commits.
const PARTS_AT_ONCE: usize = 32;

/// Pages of the list in memory at once: their files being read, or they themselves committed.
const PAGES_AT_ONCE: usize = 4;

/// Repositories under way for each request that may be: while some wait for the commit or for the store, others use what
/// may be asked of Bitbucket.
const EACH_REQUEST: usize = 3;

/// Repositories that are asked about ahead of the list. Where more have failed, the reason was none of theirs.
const MOST_FIRST: usize = 50;

/// Partitions that fail one after the other, for a reason that may pass, before the server is taken to be down.
const OUTAGE: usize = 5;

/// After a slice in which no partition got through, one in so many is read at once: large ones that share an hour's
/// allowance would keep each other from ending.
const NARROWED: usize = 4;

/// Slices that a part may fail in for a reason that passes, before it has failed for this run.
const MOST_STALLS: u32 = 3;

/// What those who read share.
struct Reader<'a> {
    slice: &'a Slice<'a>,
    pages: &'a Pages,
    parts: Sender<ReadPart>,
    /// Why nothing more is read in this slice.
    stopped: Mutex<Option<Failure>>,
    /// Why parts were left for the next slice.
    left: Mutex<Option<Failure>>,
    failed_in_a_row: AtomicUsize,
    has_begun: AtomicUsize,
    has_ended: AtomicUsize,
}

/// A repository as it was listed.
type Listed = (Spot, Repository);

/// A raw repository with its files, or why it has none.
type Raw = Result<Value, bitbucket::Error>;

/// What is known before a list is taken.
struct Known {
    /// What is recorded of the repositories themselves.
    before: BTreeMap<RepositoryId, Entry>,
    stamps: Stamps,
}

impl Slice<'_> {
    /// Reads and commits whatever the run has not done yet.
    pub(super) async fn read(&self) -> Result<Step, Failure> {
        let (parts, received) = channel(PARTS_AT_ONCE);
        let reader = Reader {
            slice: self,
            pages: &self.pages,
            parts,
            stopped: Mutex::default(),
            left: Mutex::default(),
            failed_in_a_row: AtomicUsize::new(0),
            has_begun: AtomicUsize::new(0),
            has_ended: AtomicUsize::new(0),
        };
        let committing = Box::pin(self.commit_parts(received));
        let (read, committed) = tokio::join!(Box::pin(reader.everything()), committing);
        let step = match (read?, committed?) {
            (Step::Paused(one), Step::Paused(other)) => Step::Paused(soonest(one, other)),
            (Step::Done, step) | (step, Step::Done) => step,
        };
        Ok(step)
    }

    fn repositories_at_once(&self) -> usize {
        EACH_REQUEST * self.bitbucket.requests_at_once()
    }
}

/// The one that may go on first decides about the pause.
fn soonest(one: Failure, other: Failure) -> Failure {
    if other.wait() < one.wait() {
        other
    } else {
        one
    }
}

impl<'a> Reader<'a> {
    async fn everything(self) -> Result<Step, Failure> {
        let sources = self.slice.sources();
        let mut filters = sources.by_filter();
        for group in self.slice.order().await? {
            match group.source.repositories() {
                None => self.of_workspace(group).await?,
                Some(filter) => {
                    let position = filters.iter().position(|(known, _)| *known == filter);
                    // The groups of one filter are read together, with the first of them.
                    if let Some(position) = position {
                        let (filter, groups) = filters.remove(position);
                        Box::pin(self.by_repository(filter, &groups)).await?;
                    }
                }
            }
            if self.is_stopped() {
                break;
            }
        }
        let has = |what: &AtomicUsize| 0 < what.load(Ordering::Relaxed);
        let mut run = self.slice.run();
        if has(&self.has_begun) && !has(&self.has_ended) {
            let at_once = run
                .at_once
                .unwrap_or_else(|| self.slice.repositories_at_once());
            run.at_once = Some((at_once / NARROWED).max(1));
        }
        if let Some(failure) = locked(&self.stopped).take() {
            return Ok(Step::Paused(failure));
        }
        Ok(match locked(&self.left).take() {
            Some(failure) => {
                run.stalls += 1;
                Step::Paused(failure)
            }
            None => Step::Done,
        })
    }

    fn is_stopped(&self) -> bool {
        self.parts.is_closed() || locked(&self.stopped).is_some()
    }

    /// A partition of the workspace as a whole.
    async fn of_workspace(&self, group: &Group) -> Result<(), Failure> {
        if self.slice.run().read.contains(&group.id) {
            return Ok(());
        }
        let partition = group.partition(None);
        match self.slice.looker().whole(group, None).await {
            Ok(seen) => {
                self.send(&partition, None, None, vec![seen], Then::Done(Vec::new()))
                    .await
            }
            Err(failure) => self.failed(&partition, None, None, failure).await?,
        }
        Ok(())
    }

    async fn send(
        &self,
        partition: &PartitionId,
        name: Option<&str>,
        spot: Option<&Spot>,
        seen: Vec<Seen>,
        then: Then,
    ) {
        self.failed_in_a_row.store(0, Ordering::Relaxed);
        self.has_begun.fetch_add(1, Ordering::Relaxed);
        if let Then::Done(_) = then {
            self.has_ended.fetch_add(1, Ordering::Relaxed);
        }
        let part = ReadPart {
            partition: partition.clone(),
            name: name.map(str::to_owned),
            spot: spot.cloned(),
            seen,
            then,
        };
        // Whoever does not take it any more says why.
        self.parts.send(part).await.ok();
    }

    /// What a failure costs: the slice, where it meets everything; time, where it may pass; else the part.
    async fn failed(
        &self,
        partition: &PartitionId,
        name: Option<&str>,
        spot: Option<&Spot>,
        failure: Failure,
    ) -> Result<(), Failure> {
        match failure.class() {
            Class::Credentials | Class::Ours => return Err(failure),
            Class::Later if failure.meets_everything() => {
                locked(&self.stopped).get_or_insert(failure);
                return Ok(());
            }
            Class::Later if self.slice.run().stalls < MOST_STALLS => {
                tracing::warn!(%partition, error = chain(&failure), "a part is left for later");
                let in_a_row = self.failed_in_a_row.fetch_add(1, Ordering::Relaxed) + 1;
                let into = if OUTAGE <= in_a_row {
                    &self.stopped
                } else {
                    &self.left
                };
                locked(into).get_or_insert(failure);
                return Ok(());
            }
            Class::Later | Class::Part | Class::Item | Class::Value => {}
        }
        // Of a partition that is read page by page a record may tell a part only.
        let item = partition.item(ItemId::Whole);
        let is_recorded = self.slice.looker().entry(&item).await?.is_some();
        self.slice
            .give_up(partition, name, is_recorded, &chain(&failure));
        self.send(partition, name, spot, Vec::new(), Then::Done(Vec::new()))
            .await;
        Ok(())
    }

    /// The list of the repositories that `filter` selects, and what `groups` show of each.
    async fn by_repository(
        &self,
        filter: &RepositoryFilter,
        groups: &[&Group],
    ) -> Result<(), Failure> {
        let slice = self.slice;
        let list = filter_id(filter);
        let state = self.list_state(&list).await?;
        let own = groups.iter().copied().find(|group| is_own(group));
        let known = Known {
            before: match own {
                Some(group) => slice.looker().whole_entries(&group.id).await?,
                None => BTreeMap::new(),
            },
            stamps: self.stamps(groups).await?,
        };
        let stored = self.pages.repositories(&list);
        if let Some(group) = own {
            self.own_items(group, filter, &stored, &known.before)
                .await?;
        }
        let (listed, mut repositories) = unbounded_channel();
        for repository in stored {
            listed.send(repository).ok();
        }
        let listing = async {
            // The channel is closed when the list is at its end.
            let listed = listed;
            if state.is_complete || state.failed.is_some() {
                return Ok(());
            }
            self.list(filter, (own, groups), &known, &listed).await
        };
        let at_once = slice.run().at_once;
        let at_once = at_once.unwrap_or_else(|| slice.repositories_at_once());
        let found = stream::poll_fn(|context| repositories.poll_recv(context));
        let reading = async {
            let outcomes = found
                .take_while(|_| std::future::ready(!self.is_stopped()))
                .map(|(spot, repository)| async move {
                    for group in groups.iter().filter(|group| !is_own(group)) {
                        if self.is_stopped() {
                            return Ok(());
                        }
                        self.partition(group, &repository, &spot).await?;
                    }
                    Ok::<_, Failure>(())
                })
                .buffer_unordered(at_once);
            let mut outcomes = std::pin::pin!(outcomes);
            let mut failure = None;
            while let Some(outcome) = outcomes.next().await {
                if let Err(error) = outcome {
                    failure.get_or_insert(error);
                    break;
                }
            }
            failure.map_or(Ok(()), Err)
        };
        // Both are large, and so is the stack that they would need here.
        let (listing, reading) = tokio::join!(Box::pin(listing), Box::pin(reading));
        listing?;
        reading
    }

    /// How far the list is; its beginning where pages of it are lost.
    async fn list_state(&self, list: &str) -> Result<RepositoryList, Failure> {
        let (id, state) = {
            let mut run = self.slice.run();
            let state = run.lists.entry(list.to_owned()).or_default().clone();
            (run.id.clone(), state)
        };
        let store = self.slice.store();
        if self.pages.load(store, &id, (list, state.pages)).await? {
            return Ok(state);
        }
        let state = RepositoryList::default();
        self.slice
            .run()
            .lists
            .insert(list.to_owned(), state.clone());
        Ok(state)
    }

    /// The repositories of pages that an earlier slice has listed and not committed, asked for by their ids.
    async fn own_items(
        &self,
        group: &Group,
        filter: &RepositoryFilter,
        stored: &[Listed],
        before: &BTreeMap<RepositoryId, Entry>,
    ) -> Result<(), Failure> {
        let open: Vec<&Listed> = stored
            .iter()
            .filter(|(spot, _)| matches!(self.pages.state(spot, &group.id), State::Open(_)))
            .collect();
        let uuids: Vec<RepositoryId> = open.iter().map(|(_, one)| one.uuid.clone()).collect();
        if uuids.is_empty() {
            return Ok(());
        }
        let (slice, looker) = (self.slice, self.slice.looker());
        let found = extract::repositories(slice.bitbucket, filter, &uuids, &slice.deadline).await;
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                return self
                    .failed(&group.partition(None), None, None, error.into())
                    .await;
            }
        };
        for raw in found {
            let Some(now) = Repository::of(&raw) else {
                continue;
            };
            let Some((spot, _)) = open.iter().find(|(_, one)| one.uuid == now.uuid) else {
                continue;
            };
            if self.is_stopped() {
                break;
            }
            let raw = looker.with_files(group, raw).await;
            self.own_item(group, &now, spot, raw, before.get(&now.uuid).cloned())
                .await?;
        }
        Ok(())
    }

    async fn own_item(
        &self,
        group: &Group,
        repository: &Repository,
        spot: &Spot,
        raw: Raw,
        before: Option<Entry>,
    ) -> Result<(), Failure> {
        let partition = group.partition(Some(&repository.uuid));
        let name = Some(repository.full_name.as_str());
        let is_read = raw.is_ok();
        let looked = self
            .slice
            .looker()
            .repository(group, (&repository.uuid, raw), before)
            .await;
        match looked {
            Ok(seen) => {
                if !is_read {
                    let reason = "a file that goes along could not be read";
                    self.slice.give_up(&partition, name, true, reason);
                }
                self.send(
                    &partition,
                    name,
                    Some(spot),
                    vec![seen],
                    Then::Done(Vec::new()),
                )
                .await;
                Ok(())
            }
            Err(failure) => self.failed(&partition, name, Some(spot), failure).await,
        }
    }

    /// Takes the list from where it was left, page after page; each repository goes to `listed`.
    async fn list(
        &self,
        filter: &RepositoryFilter,
        (own, groups): (Option<&Group>, &[&Group]),
        known: &Known,
        listed: &UnboundedSender<Listed>,
    ) -> Result<(), Failure> {
        let slice = self.slice;
        let list = filter_id(filter);
        let nobody = Group::of_nobody(Source::Repositories(filter.clone()));
        let group = own.unwrap_or(&nobody);
        let cursor = {
            let run = slice.run();
            run.lists.get(&list).and_then(|list| list.cursor.clone())
        };
        let mut met = self.pages.listed(&list);
        if cursor.is_none() && met.is_empty() {
            self.first(filter, (own, group), &list, known, (&mut met, listed))
                .await?;
        }
        let room = Semaphore::new(PAGES_AT_ONCE);
        let pages = repository_pages(
            slice.bitbucket,
            group,
            cursor.as_deref(),
            &room,
            &slice.deadline,
        );
        let mut pages = std::pin::pin!(pages);
        while let Some(page) = pages.next().await {
            if self.is_stopped() {
                return Ok(());
            }
            slice.keep().await?;
            match page {
                Ok(Page { batch, cursor, .. }) => {
                    let mut items: Vec<(Repository, Raw)> = Vec::new();
                    for raw in batch.items {
                        if let Some(one) = Repository::of(&raw) {
                            items.push((one, Ok(raw)));
                        }
                    }
                    let failed = batch.failed.into_iter();
                    items.extend(failed.map(|(one, error)| (one, Err(error))));
                    // Lists that shift name some twice.
                    items.retain(|(one, _)| met.insert(one.uuid.clone()));
                    self.page(own, (&list, cursor), items, known, listed)
                        .await?;
                }
                Err(error) => {
                    let failure = Failure::from(error);
                    if failure.class() == Class::Later
                        && (failure.meets_everything() || slice.run().stalls < MOST_STALLS)
                    {
                        let meets = failure.meets_everything();
                        let into = if meets { &self.stopped } else { &self.left };
                        locked(into).get_or_insert(failure);
                        return Ok(());
                    }
                    if failure.class() == Class::Credentials {
                        return Err(failure);
                    }
                    let reason = chain(&failure);
                    for group in groups {
                        slice.give_up(&group.partition(None), None, false, &reason);
                    }
                    slice.run().lists.entry(list).or_default().failed = Some(reason);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// A page of the list: its repositories, and where the next one is.
    async fn page(
        &self,
        own: Option<&Group>,
        (list, cursor): (&str, Option<String>),
        items: Vec<(Repository, Raw)>,
        known: &Known,
        listed: &UnboundedSender<Listed>,
    ) -> Result<(), Failure> {
        let repositories: Vec<Repository> = items.iter().map(|(one, _)| one.clone()).collect();
        let number = {
            let mut run = self.slice.run();
            let state = run.lists.entry(list.to_owned()).or_default();
            let number = state.pages;
            state.pages += 1;
            state.repositories += repositories.len();
            // Without a cursor this page was the last.
            state.is_complete = cursor.is_none();
            state.cursor = cursor;
            number
        };
        let spots = self.pages.add((list, number), repositories, &known.stamps);
        for (spot, (repository, raw)) in spots.into_iter().zip(items) {
            if let Some(group) = own {
                let entry = known.before.get(&repository.uuid).cloned();
                self.own_item(group, &repository, &spot, raw, entry).await?;
            }
            // Whoever does not listen any more has said why.
            listed.send((spot, repository)).ok();
        }
        self.slice.publish(None);
        Ok(())
    }

    /// The repositories that the last run could not read in part come first.
    async fn first(
        &self,
        filter: &RepositoryFilter,
        (own, group): (Option<&Group>, &Group),
        list: &str,
        known: &Known,
        (met, listed): (&mut BTreeSet<RepositoryId>, &UnboundedSender<Listed>),
    ) -> Result<(), Failure> {
        let slice = self.slice;
        let first: Vec<RepositoryId> = slice.run().first.iter().cloned().collect();
        if first.is_empty() || MOST_FIRST < first.len() {
            return Ok(());
        }
        let found = extract::repositories(slice.bitbucket, filter, &first, &slice.deadline).await;
        // The list will show what this could not.
        let Ok(found) = found else { return Ok(()) };
        let mut items = Vec::new();
        for raw in found {
            if let Some(one) = Repository::of(&raw).filter(|one| met.insert(one.uuid.clone())) {
                let raw = slice.looker().with_files(group, raw).await;
                items.push((one, raw));
            }
        }
        if items.is_empty() {
            return Ok(());
        }
        self.page(own, (list, None), items, known, listed).await?;
        // The list itself is still to come.
        slice
            .run()
            .lists
            .entry(list.to_owned())
            .or_default()
            .is_complete = false;
        Ok(())
    }

    /// What was committed last of the partitions that depend on the main branch.
    async fn stamps(&self, groups: &[&Group]) -> Result<Stamps, Failure> {
        let mut stamps = Stamps::new();
        for group in groups
            .iter()
            .filter(|group| matches!(group.source, Source::Trees(_)))
        {
            let entries = self.slice.looker().whole_entries(&group.id).await?;
            let of_source = entries.into_iter().map(|(one, entry)| (one, entry.stamp));
            stamps.insert(group.id.clone(), of_source.collect());
        }
        Ok(stamps)
    }

    /// A partition of a repository.
    async fn partition(
        &self,
        group: &Group,
        repository: &Repository,
        spot: &Spot,
    ) -> Result<(), Failure> {
        let State::Open(progress) = self.pages.state(spot, &group.id) else {
            self.slice.note_through(group);
            return Ok(());
        };
        let partition = group.partition(Some(&repository.uuid));
        let name = Some(repository.full_name.as_str());
        let read = match group.source.is_numbered() {
            true => self.numbered(group, repository, spot, progress).await,
            false => self.whole(group, repository, spot).await,
        };
        match read {
            Ok(()) => {}
            Err(Failure::Bitbucket(bitbucket::Error::NotFound { .. }))
                if self.has_vanished(group, repository).await? =>
            {
                self.send(
                    &partition,
                    name,
                    Some(spot),
                    Vec::new(),
                    Then::Done(Vec::new()),
                )
                .await;
            }
            Err(failure) => self.failed(&partition, name, Some(spot), failure).await?,
        }
        self.slice.note_through(group);
        Ok(())
    }

    /// Whether the repository has gone since it was listed: then its parts have not failed, and the end of the run asks
    /// for it.
    async fn has_vanished(&self, group: &Group, repository: &Repository) -> Result<bool, Failure> {
        let filter = group.source.repositories().cloned().unwrap_or_default();
        let standing = self
            .slice
            .looker()
            .standing(&filter, &repository.uuid)
            .await;
        let has_vanished = match standing {
            Ok(Standing::Selected(_)) => false,
            Ok(Standing::NotSelected | Standing::Invisible) => true,
            // What failed first decides.
            Err(failure) if failure.class() != Class::Credentials => false,
            Err(failure) => return Err(failure),
        };
        if has_vanished {
            self.slice.run().vanished.insert(repository.uuid.clone());
        }
        Ok(has_vanished)
    }

    async fn numbered(
        &self,
        group: &Group,
        repository: &Repository,
        spot: &Spot,
        progress: Option<Progress>,
    ) -> Result<(), Failure> {
        let partition = group.partition(Some(&repository.uuid));
        let name = Some(repository.full_name.as_str());
        let looker = self.slice.looker();
        let mut reading = Reading::open(&looker, group, repository, progress).await?;
        while let Some(seen) = reading.next().await? {
            let then = Then::More(reading.progress().clone());
            self.send(&partition, name, Some(spot), seen, then).await;
            // At its end there is nothing more to ask for.
            if self.is_stopped() && reading.progress().cursor.is_some() {
                return Ok(());
            }
        }
        let then = Then::Done(reading.missing());
        self.send(&partition, name, Some(spot), Vec::new(), then)
            .await;
        Ok(())
    }

    async fn whole(
        &self,
        group: &Group,
        repository: &Repository,
        spot: &Spot,
    ) -> Result<(), Failure> {
        let partition = group.partition(Some(&repository.uuid));
        let name = Some(repository.full_name.as_str());
        let looker = self.slice.looker();
        let mut seen = looker.whole(group, Some(repository)).await?;
        let depends = matches!(group.source, Source::Trees(_));
        if depends && self.pages.stamp(spot, &group.id) != seen.stamp() {
            // Somebody has looked at it since it was listed: it may have another main branch by now.
            let filter = group.source.repositories().cloned().unwrap_or_default();
            let now = match looker.standing(&filter, &repository.uuid).await? {
                Standing::Selected(raw) => Repository::of(&raw),
                Standing::NotSelected | Standing::Invisible => None,
            };
            let Some(now) = now else {
                // The end of the run asks for it.
                self.slice.run().vanished.insert(repository.uuid.clone());
                self.send(
                    &partition,
                    name,
                    Some(spot),
                    Vec::new(),
                    Then::Done(Vec::new()),
                )
                .await;
                return Ok(());
            };
            if now.main_branch != repository.main_branch {
                seen = looker.whole(group, Some(&now)).await?;
            }
        }
        debug_assert_eq!(seen.item.item, ItemId::Whole);
        self.send(
            &partition,
            name,
            Some(spot),
            vec![seen],
            Then::Done(Vec::new()),
        )
        .await;
        Ok(())
    }
}

fn is_own(group: &Group) -> bool {
    matches!(group.source, Source::Repositories(_))
}

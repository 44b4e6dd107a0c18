//! A list of repositories: taken page by page from where it was left, each page with the repositories' own items, while
//! what the repositories hold is read behind it.
//!
//! Owns how a list goes on after a pause. What a list does not show is nobody's business here.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::pages::{RunPages, Spot, State};
use super::read::RunReader;
use super::slice::RunPart;
use super::takeover::{Known, PartTurn};
use crate::bitbucket::{self, Shown};
use crate::extract::{self, Batch, Group, Source, filter_id, repository_pages};
use crate::failure::Failure;
use crate::identity::{Repository, RepositoryId};
use crate::mapping::RepositoryFilter;
use crate::store::run::RepositoryList;
use crate::telemetry::chain;

/// Pages of the list in memory at once: their files being read, or they themselves committed.
const PAGES_AT_ONCE: usize = 4;

/// Repositories that are asked about ahead of the list. Where more have failed, the reason was none of theirs.
const MOST_FIRST: usize = 50;

/// A repository as it was listed.
pub(super) type Listed = (Spot, Repository);

/// A raw repository with its files, or why it has none.
type Raw = Result<Value, bitbucket::Error>;

/// The list of the repositories that a filter selects, and what is read of each.
pub(super) struct ListReader<'a> {
    pub(super) reader: &'a RunReader<'a>,
    pub(super) filter: &'a RepositoryFilter,
    /// Of the list.
    pub(super) id: String,
    /// Whose items the repositories themselves are, if anybody's.
    pub(super) own: Option<&'a Group>,
    /// Who reads what each repository holds.
    pub(super) inner: Vec<&'a Group>,
}

impl<'a> ListReader<'a> {
    pub(super) fn of(
        reader: &'a RunReader<'a>,
        filter: &'a RepositoryFilter,
        groups: &[&'a Group],
    ) -> ListReader<'a> {
        let is_own = |group: &&Group| matches!(group.source, Source::Repositories(_));
        let (own, inner): (Vec<&Group>, Vec<&Group>) =
            groups.iter().copied().partition(|group| is_own(group));
        ListReader {
            reader,
            filter,
            id: filter_id(filter),
            own: own.first().copied(),
            inner,
        }
    }

    /// Takes the list on from where it is, and reads what its repositories hold.
    pub(super) async fn read(&self) -> Result<(), Failure> {
        let state = self.state().await?;
        let known = Box::pin(self.known()).await?;
        let stored = self.pages().repositories(&self.id);
        self.own_items(&stored, &known).await?;
        let (listed, repositories) = unbounded_channel();
        for repository in stored {
            listed.send(repository).ok();
        }
        let listing = async {
            // The channel is closed when the list is at its end.
            let listed = listed;
            if state.failed.is_some() || state.is_proven {
                return Ok(());
            }
            let shown = match state.is_complete {
                true => None,
                false => Box::pin(self.list(&known, &listed)).await?,
            };
            Box::pin(self.prove(shown, &known, &listed)).await
        };
        let reading = self.read_inner(repositories, &known);
        // Both are large, and so is the stack that they would need here.
        let (listing, reading) = tokio::join!(Box::pin(listing), Box::pin(reading));
        listing.and(reading)
    }

    /// All that read the list, or what its repositories hold.
    pub(super) fn groups(&self) -> impl Iterator<Item = &'a Group> {
        self.own.iter().chain(&self.inner).copied()
    }

    pub(super) fn pages(&self) -> &'a RunPages {
        &self.reader.slice.pages
    }

    /// How far the list is; its beginning where pages of it are lost.
    async fn state(&self) -> Result<RepositoryList, Failure> {
        let slice = self.reader.slice;
        let (id, state) = {
            let mut run = slice.run();
            let state = run.lists.entry(self.id.clone()).or_default().clone();
            (run.id.clone(), state)
        };
        let list = (self.id.as_str(), state.pages);
        if self.pages().load(slice.store(), &id, list).await? {
            return Ok(state);
        }
        let state = RepositoryList::default();
        let mut run = slice.run();
        run.lists.insert(self.id.clone(), state.clone());
        Ok(state)
    }

    /// What the repositories that come through hold.
    async fn read_inner(
        &self,
        mut repositories: UnboundedReceiver<Listed>,
        known: &Known,
    ) -> Result<(), Failure> {
        let reader = self.reader;
        let at_once = reader.slice.repositories_at_once();
        stream::poll_fn(|context| repositories.poll_recv(context))
            .take_while(|_| std::future::ready(!reader.is_stopped()))
            .map(|(spot, repository)| async move {
                for group in &self.inner {
                    if reader.is_stopped() {
                        break;
                    }
                    Box::pin(reader.partition(group, &repository, &spot, known)).await?;
                }
                Ok(())
            })
            .buffer_unordered(at_once)
            .try_collect()
            .await
    }

    /// The repositories of pages that an earlier slice has listed and not committed, asked for by their ids.
    async fn own_items(&self, stored: &[Listed], known: &Known) -> Result<(), Failure> {
        let Some(group) = self.own else { return Ok(()) };
        let slice = self.reader.slice;
        let open: BTreeMap<&RepositoryId, &Spot> = stored
            .iter()
            .filter(|(spot, _)| matches!(self.pages().state(spot, &group.id), State::Open(_)))
            .map(|(spot, repository)| (&repository.uuid, spot))
            .collect();
        if open.is_empty() {
            return Ok(());
        }
        let uuids: Vec<RepositoryId> = open.keys().map(|uuid| (*uuid).clone()).collect();
        let found =
            extract::repositories(slice.bitbucket, self.filter, &uuids, &slice.deadline).await;
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                let part = RunPart::of_workspace(group);
                return self.reader.failed(&part, error.into()).await;
            }
        };
        for raw in found {
            let Some(now) = Repository::of(&raw) else {
                continue;
            };
            let Some(spot) = open.get(&now.uuid) else {
                continue;
            };
            if self.reader.is_stopped() {
                break;
            }
            self.own_item(group, (&now, Ok(raw)), spot, known).await?;
        }
        Ok(())
    }

    async fn own_item(
        &self,
        group: &Group,
        (repository, mut raw): (&Repository, Raw),
        spot: &Spot,
        known: &Known,
    ) -> Result<(), Failure> {
        let looker = self.reader.slice.looker();
        let mut part = RunPart::of_repository(group, repository, spot);
        let lacks_files = |raw: &&Value| !extract::has_files(raw);
        if !group.included_files.is_empty()
            && let Some(one) = raw.as_ref().ok().filter(lacks_files).cloned()
        {
            match self.reader.turn(group, repository, spot, known) {
                PartTurn::Read => {}
                PartTurn::Audit(stamp) => part.audited = Some(stamp),
                PartTurn::TakeOver => return Ok(()),
            }
            raw = Box::pin(looker.with_files(group, one)).await;
        }
        let before = known.before.get(&repository.uuid).cloned();
        let id = &repository.uuid;
        match Box::pin(looker.repository(group, (id, raw), before)).await {
            Ok(seen) => {
                self.reader.done(&part, vec![seen]).await;
                Ok(())
            }
            Err(failure) => self.reader.failed(&part, failure).await,
        }
    }

    /// Takes the list from where it was left, page after page; each repository goes to `listed`. What the list has shown,
    /// where it came to its end.
    async fn list(
        &self,
        known: &Known,
        listed: &UnboundedSender<Listed>,
    ) -> Result<Option<Shown>, Failure> {
        let slice = self.reader.slice;
        let nobody = Group::of_nobody(Source::Repositories(self.filter.clone()));
        let group = self.own.unwrap_or(&nobody);
        let cursor = {
            let run = slice.run();
            run.lists.get(&self.id).and_then(|list| list.cursor.clone())
        };
        let mut met = self.pages().listed(&self.id);
        if cursor.is_none() && met.is_empty() {
            self.first(group, known, &mut met, listed).await?;
        }
        let room = Semaphore::new(PAGES_AT_ONCE);
        let wants_files = |raw: &Value| !self.is_as_before(raw, known);
        let pages = repository_pages(
            slice.bitbucket,
            (group, &wants_files),
            cursor.as_deref(),
            &room,
            &slice.deadline,
        );
        let mut pages = std::pin::pin!(pages);
        let mut last = None;
        while let Some(page) = pages.next().await {
            if self.reader.is_stopped() {
                return Ok(None);
            }
            slice.keep().await?;
            match page {
                Ok(page) => {
                    let (mut items, nameless) = items(page.batch);
                    if let Some(first) = nameless.first() {
                        let count = nameless.len();
                        let reason = format!("{count} repositories without uuid: {first} ..");
                        slice.give_up(&RunPart::of_workspace(group), false, &reason);
                    }
                    // Lists that shift name some twice.
                    items.retain(|(one, _)| met.insert(one.uuid.clone()));
                    self.page(page.cursor, items, known, listed).await?;
                    last = Some(page.shown);
                }
                Err(error) => {
                    self.failed(error.into())?;
                    return Ok(None);
                }
            }
        }
        Ok(last)
    }

    /// The list cannot be read on: what it has not shown stays as it is.
    pub(super) fn failed(&self, failure: Failure) -> Result<(), Failure> {
        if self.is_hidden(&failure) {
            return Ok(());
        }
        let Some(failure) = self.reader.put_off(failure)? else {
            return Ok(());
        };
        let slice = self.reader.slice;
        let reason = chain(&failure);
        for group in self.groups() {
            slice.give_up(&RunPart::of_workspace(group), false, &reason);
        }
        let mut run = slice.run();
        run.lists.entry(self.id.clone()).or_default().failed = Some(reason);
        Ok(())
    }

    /// A page of the list: its repositories, and where the next one is.
    pub(super) async fn page(
        &self,
        cursor: Option<String>,
        items: Vec<(Repository, Raw)>,
        known: &Known,
        listed: &UnboundedSender<Listed>,
    ) -> Result<(), Failure> {
        let slice = self.reader.slice;
        let repositories: Vec<Repository> = items.iter().map(|(one, _)| one.clone()).collect();
        let number = {
            let mut run = slice.run();
            let state = run.lists.entry(self.id.clone()).or_default();
            let number = state.pages;
            state.pages += 1;
            state.repositories += repositories.len();
            // Without a cursor this page was the last.
            state.is_complete = cursor.is_none();
            state.cursor = cursor;
            number
        };
        let page = (self.id.as_str(), number);
        let raws: Vec<Option<&Value>> = items.iter().map(|(_, raw)| raw.as_ref().ok()).collect();
        let carried = self.carried(&raws);
        let said = (&known.stamps, carried);
        let spots = self.pages().add(page, repositories, said);
        for (spot, (repository, raw)) in spots.into_iter().zip(items) {
            if let Some(group) = self.own {
                self.own_item(group, (&repository, raw), &spot, known)
                    .await?;
            }
            // Whoever does not listen any more has said why.
            listed.send((spot, repository)).ok();
        }
        slice.publish(None);
        Ok(())
    }

    /// The repositories that the last run could not read in part come first.
    async fn first(
        &self,
        group: &Group,
        known: &Known,
        met: &mut BTreeSet<RepositoryId>,
        listed: &UnboundedSender<Listed>,
    ) -> Result<(), Failure> {
        let slice = self.reader.slice;
        let first: Vec<RepositoryId> = slice.run().first.iter().cloned().collect();
        if first.is_empty() || MOST_FIRST < first.len() {
            return Ok(());
        }
        let found =
            extract::repositories(slice.bitbucket, self.filter, &first, &slice.deadline).await;
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
        self.page(None, items, known, listed).await?;
        // The list itself is still to come.
        let mut run = slice.run();
        run.lists.entry(self.id.clone()).or_default().is_complete = false;
        Ok(())
    }
}

/// The repositories of a page, those whose files could not be read with the reason; and what those are called, if anything,
/// that cannot be told apart.
fn items(batch: Batch) -> (Vec<(Repository, Raw)>, Vec<String>) {
    let mut items: Vec<(Repository, Raw)> = Vec::new();
    let mut nameless = Vec::new();
    for raw in batch.items {
        match Repository::of(&raw) {
            Some(one) => items.push((one, Ok(raw))),
            None => nameless.push(called(&raw)),
        }
    }
    let failed = batch.failed.into_iter();
    items.extend(failed.map(|(one, error)| (one, Err(error))));
    (items, nameless)
}

/// What people may know a repository by that lacks its uuid.
fn called(raw: &Value) -> String {
    let names = ["full_name", "slug", "name"];
    let name = names.iter().find_map(|name| raw.get(name)?.as_str());
    name.unwrap_or("one without a name").to_owned()
}

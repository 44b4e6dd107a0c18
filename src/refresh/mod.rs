//! Objects looked at again: read back from Bitbucket, mapped as a resync would map them, and upserted or deleted.
//!
//! What live events do, and a resync where a live event has overtaken it. An entity goes when nothing stands for it
//! any more: no item of any partition, no relation that Port keeps its target for. What is ours to delete, Port says.

mod doubt;
mod ledger;
mod origin;

use std::collections::BTreeSet;

use serde_json::Value;

use crate::app::{App, Session};
use crate::bitbucket::BitbucketClient;
use crate::deadline::Deadline;
use crate::extract::{self, Group, Item, Listing, Repository, Skipped, Source};
use crate::failure::Failure;
use crate::mapping::{Kind, Mapping, RepositoryFilter};
use crate::partition::{Record, WHOLE, WORKSPACE};
use crate::pipeline::{Counts, Pipeline, Produced};
use crate::state::Expected;

pub use doubt::doubtful_since;
use ledger::{Ledger, Place};
pub use ledger::{Strays, found_shared, look_for_shared};
pub use origin::resolve;

/// A number of objects looked at again, with one search and one deletion for all.
pub struct Refresh<'a> {
    app: &'a App,
    session: &'a Session,
    mapping: &'a Mapping,
    groups: &'a [Group],
    pipeline: Pipeline<'a>,
    deadline: &'a Deadline,
    ledger: Ledger,
    pub counts: Counts,
}

/// What events say about one repository.
#[derive(Debug, Default)]
pub struct RepositoryNews<'a> {
    /// With braces, as Bitbucket writes it.
    pub uuid: &'a str,
    /// It had another name.
    pub renamed: bool,
    /// Branches that were pushed to; `None` when something else happened, too.
    pub pushed: Option<Vec<&'a str>>,
    /// As events saw it, under all its names.
    pub seen: Vec<Value>,
}

/// A resync's record that is not stored yet, and what has happened since it was read.
pub struct Overtaken<'a> {
    /// The stored one.
    pub before: &'a Record,
    pub expected: Expected,
    pub record: Record,
    /// What live events have looked at since.
    pub items: &'a BTreeSet<String>,
}

/// Where a [`Refresh`] can be taken back to.
pub struct Mark(Ledger);

impl<'a> Refresh<'a> {
    pub fn new(
        app: &'a App,
        session: &'a Session,
        mapping: &'a Mapping,
        groups: &'a [Group],
        deadline: &'a Deadline,
    ) -> Refresh<'a> {
        Refresh {
            app,
            session,
            mapping,
            groups,
            pipeline: Pipeline::for_live(&session.port, mapping),
            deadline,
            ledger: Ledger::default(),
            counts: Counts::default(),
        }
    }

    /// Tries again after an attempt that somebody else was faster than: what that one has written is looked after here.
    pub fn after(self, strays: Strays) -> Refresh<'a> {
        Refresh {
            ledger: Ledger::after(strays),
            ..self
        }
    }

    /// What this attempt has written and could not record.
    pub fn into_strays(self) -> Strays {
        self.ledger.into_strays()
    }

    /// One object that fails must not take along what others have come to.
    pub fn mark(&self) -> Mark {
        Mark(self.ledger.clone())
    }

    pub fn rewind(&mut self, Mark(ledger): Mark) {
        self.ledger = ledger;
    }

    pub async fn pull_request(
        &mut self,
        repository_uuid: &str,
        id: u64,
        seen: &[&Value],
    ) -> Result<(), Failure> {
        let groups = self.groups.iter();
        for group in groups.filter(|group| matches!(group.source, Source::PullRequests { .. })) {
            let place = self.open(group, repository_uuid).await?;
            self.pull_request_in(group, &place, id, seen).await?;
        }
        Ok(())
    }

    async fn pull_request_in(
        &mut self,
        group: &Group,
        place: &Place,
        id: u64,
        seen: &[&Value],
    ) -> Result<(), Failure> {
        let item = Item::PullRequest {
            repository_uuid: &place.1,
            id,
        };
        let raw = extract::fetch(self.bitbucket(), group, item, self.deadline).await?;
        let now = match &raw {
            Some(raw) => {
                self.load(&group.resources, std::slice::from_ref(raw))
                    .await?
            }
            None => Vec::new(),
        };
        let last_seen = self.last_seen(group, seen);
        self.ledger
            .put(place, &id.to_string(), joined(now), last_seen);
        Ok(())
    }

    pub async fn repository(&mut self, news: &RepositoryNews<'_>) -> Result<(), Failure> {
        let mut filters: Vec<&RepositoryFilter> = Vec::new();
        for filter in self
            .groups
            .iter()
            .filter_map(|group| group.source.repositories())
        {
            if !filters.contains(&filter) {
                filters.push(filter);
            }
        }
        for filter in filters {
            self.repository_under(filter, news).await?;
        }
        Ok(())
    }

    /// One request tells whether `filter` selects the repository; all groups that use the filter share it.
    async fn repository_under(
        &mut self,
        filter: &RepositoryFilter,
        news: &RepositoryNews<'_>,
    ) -> Result<(), Failure> {
        let own = Source::Repositories(filter.clone());
        let nobody = Group::of_nobody(own.clone());
        let groups = self.groups;
        let group = groups.iter().find(|group| group.source == own);
        let group = group.unwrap_or(&nobody);
        let item = Item::Repository { uuid: news.uuid };
        let raw = extract::fetch(self.bitbucket(), group, item, self.deadline).await?;
        for group in groups
            .iter()
            .filter(|group| group.source.repositories() == Some(filter))
        {
            let place = self.open(group, news.uuid).await?;
            match (&raw, &group.source) {
                (Some(raw), Source::Repositories(_)) => {
                    let now = self
                        .load(&group.resources, std::slice::from_ref(raw))
                        .await?;
                    self.replace_seen(group, &place, whole(joined(now)), &news.seen);
                }
                // What the event is not about is listed where it is known under another name, or not at all.
                (Some(raw), _)
                    if self.ledger.is_complete(&place)
                        && !news.renamed
                        && !self.concerns(group, raw, news.pushed.as_deref()) => {}
                (Some(raw), _) => {
                    let now = self.list(group, Repository::of(raw).as_ref()).await?;
                    self.ledger.replace(&place, now);
                }
                (None, _) => self.replace_seen(group, &place, Vec::new(), &news.seen),
            }
        }
        Ok(())
    }

    /// Whether a push or another event about a repository may change what `group` shows of it.
    fn concerns(&self, group: &Group, raw: &Value, pushed: Option<&[&str]>) -> bool {
        let Some(branches) = pushed else {
            // Its pull requests tell of themselves.
            return !matches!(group.source, Source::PullRequests { .. });
        };
        match &group.source {
            Source::Trees(_) => {
                let repository = Repository::of(raw);
                let read = |branch: &&str| {
                    let repository = repository.as_ref();
                    repository.is_some_and(|repository| group.reads_branch(repository, branch))
                };
                branches.iter().any(read) || self.reads_what_a_push_moves(group)
            }
            Source::Parts { part, .. } => {
                matches!(part.kind, Kind::Branch | Kind::Tag) || self.reads_what_a_push_moves(group)
            }
            _ => false,
        }
    }

    /// The repository goes along with what lies in it, and a push changes these fields of it.
    fn reads_what_a_push_moves(&self, group: &Group) -> bool {
        ["updated_on", "size"]
            .iter()
            .any(|field| self.reads(group, &["repo", field]))
    }

    pub async fn repository_gone(&mut self, uuid: &str, seen: &[Value]) -> Result<(), Failure> {
        let groups = self.groups.iter();
        for group in groups.filter(|group| group.source.repositories().is_some()) {
            let place = self.open(group, uuid).await?;
            self.replace_seen(group, &place, Vec::new(), seen);
        }
        Ok(())
    }

    /// Projects are few: all of them are looked at; and what shows the names of those with these `keys`.
    pub async fn projects(&mut self, keys: &[&str]) -> Result<(), Failure> {
        for group in self.groups {
            match &group.source {
                Source::Projects => {
                    let place = self.open(group, WORKSPACE).await?;
                    let now = self.list(group, None).await?;
                    self.ledger.replace(&place, now);
                }
                Source::Repositories(filter) if self.reads(group, &["project"]) => {
                    for key in keys {
                        self.repositories_of_project(group, filter, key).await?;
                    }
                }
                Source::Trees(filter)
                | Source::Parts {
                    repositories: filter,
                    ..
                } if self.reads(group, &["repo", "project"]) => {
                    for key in keys {
                        self.contents_of_project(group, filter, key).await?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn reads(&self, group: &Group, path: &[&str]) -> bool {
        let mut resources = group
            .resources
            .iter()
            .filter_map(|&index| self.mapping.resources().get(index));
        resources.any(|resource| resource.reads(path))
    }

    /// The repositories that show the project's name: those in it, as far as `filter` selects them.
    async fn repositories_of_project(
        &mut self,
        group: &Group,
        filter: &RepositoryFilter,
        key: &str,
    ) -> Result<(), Failure> {
        let narrowed = group.narrowed(in_project(filter, key));
        let session = self.session;
        let mut listing = Listing::open(&session.bitbucket, &narrowed, None);
        while let Some(batch) = listing.next(self.deadline).await? {
            if let Some((_, error)) = batch.failed.into_iter().next() {
                return Err(error.into());
            }
            let repositories: Vec<Option<Repository>> =
                batch.items.iter().map(Repository::of).collect();
            for repository in repositories.iter().flatten() {
                self.open(group, &repository.uuid).await?;
            }
            let now = self.load(&group.resources, &batch.items).await?;
            for (repository, now) in repositories.into_iter().zip(now) {
                if let Some(repository) = repository {
                    let place = (group.source.id(), repository.uuid);
                    self.ledger.replace(&place, whole(now));
                }
            }
        }
        Ok(())
    }

    /// What repositories hold that shows the project's name.
    async fn contents_of_project(
        &mut self,
        group: &Group,
        filter: &RepositoryFilter,
        key: &str,
    ) -> Result<(), Failure> {
        let session = self.session;
        let narrowed = Group::of_nobody(in_project(filter, key));
        let mut listing = Listing::open(&session.bitbucket, &narrowed, None);
        while let Some(batch) = listing.next(self.deadline).await? {
            for repository in batch.items.iter().filter_map(Repository::of) {
                let place = self.open(group, &repository.uuid).await?;
                let now = self.list(group, Some(&repository)).await?;
                self.ledger.replace(&place, now);
            }
        }
        Ok(())
    }

    /// Takes over what a resync has found of `group` in `repository` (a uuid, or [`WORKSPACE`]), and looks again at what
    /// live events have looked at since. What only the record before stands for goes.
    pub async fn overtaken(
        &mut self,
        group: &Group,
        repository: &str,
        overtaken: Overtaken<'_>,
    ) -> Result<(), Failure> {
        let Overtaken {
            before,
            expected,
            record,
            items,
        } = overtaken;
        let place = (group.source.id(), repository.to_owned());
        self.ledger.adopt(place.clone(), before, record, expected);
        if items.contains(WHOLE) {
            return self.partition(group, repository).await;
        }
        for id in items.iter().filter_map(|item| item.parse().ok()) {
            self.pull_request_in(group, &place, id, &[]).await?;
        }
        Ok(())
    }

    /// All of `group` in `repository` (a uuid, or [`WORKSPACE`]).
    pub async fn partition(&mut self, group: &Group, repository: &str) -> Result<(), Failure> {
        let place = self.open(group, repository).await?;
        let now = match group.source.repositories() {
            None => self.list(group, None).await?,
            Some(filter) => {
                // Its main branch may be another one by now.
                let own = Group::of_nobody(Source::Repositories(filter.clone()));
                let is_own = matches!(group.source, Source::Repositories(_));
                let item = Item::Repository { uuid: repository };
                let by = if is_own { group } else { &own };
                let raw = extract::fetch(self.bitbucket(), by, item, self.deadline).await?;
                match (raw, is_own) {
                    (Some(raw), true) => {
                        let raw = std::slice::from_ref(&raw);
                        whole(joined(self.load(&group.resources, raw).await?))
                    }
                    (Some(raw), false) => self.list(group, Repository::of(&raw).as_ref()).await?,
                    (None, _) => Vec::new(),
                }
            }
        };
        self.ledger.replace(&place, now);
        Ok(())
    }

    async fn open(&mut self, group: &Group, repository: &str) -> Result<Place, Failure> {
        let place = (group.source.id(), repository.to_owned());
        self.ledger.open(&self.app.store, &place).await?;
        Ok(place)
    }

    fn replace_seen(
        &mut self,
        group: &Group,
        place: &Place,
        now: Vec<(String, Produced)>,
        seen: &[Value],
    ) {
        if let (Source::Repositories(_), false) = (&group.source, self.ledger.is_complete(place)) {
            let seen: Vec<&Value> = seen.iter().collect();
            let Produced {
                keys, unselected, ..
            } = self.last_seen(group, &seen);
            self.ledger.guess(keys);
            self.ledger.guess(unselected);
        }
        self.ledger.replace(place, now);
    }

    /// What the events' own views of an object stand for.
    fn last_seen(&self, group: &Group, seen: &[&Value]) -> Produced {
        let produced = seen
            .iter()
            .map(|seen| self.pipeline.produced(&group.resources, seen));
        joined(produced)
    }

    /// Lists, maps and loads all items of a partition.
    async fn list(
        &mut self,
        group: &Group,
        repository: Option<&Repository>,
    ) -> Result<Vec<(String, Produced)>, Failure> {
        let session = self.session;
        let mut listing = Listing::open(&session.bitbucket, group, repository);
        let mut items = Vec::new();
        while let Some(batch) = listing.next(self.deadline).await? {
            for Skipped { path, reason } in &batch.skipped {
                tracing::warn!(path, reason, "file left out");
            }
            let now = self.load(&batch.resources, &batch.items).await?;
            let names = batch.items.iter().map(|raw| group.source.item(raw));
            items.extend(names.zip(now));
        }
        Ok(items)
    }

    async fn load(&mut self, resources: &[usize], raw: &[Value]) -> Result<Vec<Produced>, Failure> {
        if raw.is_empty() {
            return Ok(Vec::new());
        }
        let processed = self.pipeline.process(resources, raw, self.deadline).await?;
        self.counts += processed.counts;
        for refusal in processed.refusals {
            tracing::warn!(refusal, "entity refused by Port");
        }
        Ok(processed.items)
    }

    /// Logs what the mapping could not do.
    pub fn log_problems(&self) {
        for problem in self.pipeline.take_report().lines() {
            tracing::warn!(problem, "the mapping could not be applied everywhere");
        }
    }

    fn bitbucket(&self) -> &'a BitbucketClient {
        &self.session.bitbucket
    }
}

/// The repositories of a project that `filter` selects.
fn in_project(filter: &RepositoryFilter, key: &str) -> Source {
    let in_project = format!("project.key=\"{}\"", key.replace(['"', '\\'], ""));
    let query = match &filter.query {
        Some(query) => format!("({query}) AND {in_project}"),
        None => in_project,
    };
    Source::Repositories(RepositoryFilter {
        role: filter.role.clone(),
        query: Some(query),
    })
}

fn whole(produced: Produced) -> Vec<(String, Produced)> {
    vec![(WHOLE.to_owned(), produced)]
}

fn joined(items: impl IntoIterator<Item = Produced>) -> Produced {
    let mut all = Produced::default();
    for produced in items {
        all.absorb(produced);
    }
    all
}

//! What a change means for the catalogue: its object read back from Bitbucket, mapped as a resync would map it, and
//! upserted or deleted.
//!
//! An event never says what to write, only what to look at. Which entities go is known from the partition records,
//! from what the mapping makes of the object as the event saw it, and from Port, which says what is ours to delete.

use std::collections::BTreeSet;

use serde_json::Value;

use super::event::{Change, FormerName, RepositoryRef};
use crate::app::{App, Session};
use crate::bitbucket::BitbucketClient;
use crate::deadline::Deadline;
use crate::entity::EntityKey;
use crate::extract::{self, Group, Item, Listing, Repository, Skipped, Source};
use crate::failure::Failure;
use crate::mapping::{Kind, Mapping, RepositoryFilter};
use crate::partition::{self, WORKSPACE};
use crate::pipeline::{Counts, Pipeline, Produced};

/// Brings the catalogue up to date with `change`. Doing so twice, or late, changes nothing.
pub(super) async fn apply(app: &App, change: &Change, deadline: &Deadline) -> Result<(), Failure> {
    let applied = apply_once(app, change, deadline).await;
    if matches!(&applied, Err(failure) if failure.is_unauthorized()) && app.secrets.forget() {
        tracing::info!("reading the credentials again after a refusal");
        return apply_once(app, change, deadline).await;
    }
    applied
}

async fn apply_once(app: &App, change: &Change, deadline: &Deadline) -> Result<(), Failure> {
    let session = app.session(deadline).await?;
    let Some(mapping) = app.live_mapping(&session, deadline).await? else {
        tracing::warn!(
            "event skipped: Port does not know this installation yet, the first resync will tell it"
        );
        return Ok(());
    };
    let groups = extract::groups(&mapping);
    let mut live = Live {
        app,
        session: &session,
        mapping: &mapping,
        groups: &groups,
        pipeline: Pipeline::for_live(&session.port, &mapping),
        deadline,
        present: BTreeSet::new(),
        gone: BTreeSet::new(),
        records: Vec::new(),
        counts: Counts::default(),
    };
    match change {
        Change::PullRequest {
            repository,
            id,
            last_seen,
        } => live.pull_request(repository, *id, last_seen).await?,
        Change::Repository {
            repository,
            former,
            pushed,
            last_seen,
        } => {
            live.repository(repository, former.as_ref(), pushed.as_deref(), last_seen)
                .await?;
        }
        Change::RepositoryGone {
            repository,
            last_seen,
        } => live.repository_gone(repository, last_seen).await?,
        Change::Projects { key } => live.projects(key.as_deref()).await?,
    }
    live.delete().await?;
    live.remember().await?;
    live.log(change);
    Ok(())
}

/// One change being applied.
struct Live<'a> {
    app: &'a App,
    session: &'a Session,
    mapping: &'a Mapping,
    groups: &'a [Group],
    pipeline: Pipeline<'a>,
    deadline: &'a Deadline,
    /// Entities that the changed object stands for now.
    present: BTreeSet<EntityKey>,
    /// Entities that it stood for, or would stand for if it were selected.
    gone: BTreeSet<EntityKey>,
    /// Written last: until everything is done, the old records say what there is to do.
    records: Vec<RecordChange>,
    counts: Counts,
}

/// What an event does to the record of one partition.
struct RecordChange {
    source: String,
    /// uuid, or [`WORKSPACE`].
    repository: String,
    kind: RecordChangeKind,
}

enum RecordChangeKind {
    /// Some of its items were looked at.
    Amend {
        present: Produced,
        gone: BTreeSet<EntityKey>,
    },
    /// All of its items were looked at.
    Replace(Produced),
    Remove,
}

impl Live<'_> {
    fn bitbucket(&self) -> &BitbucketClient {
        &self.session.bitbucket
    }

    async fn pull_request(
        &mut self,
        repository: &RepositoryRef,
        id: u64,
        last_seen: &Value,
    ) -> Result<(), Failure> {
        let item = Item::PullRequest {
            repository_uuid: &repository.uuid,
            id,
        };
        for group in self
            .groups
            .iter()
            .filter(|group| matches!(group.source, Source::PullRequests { .. }))
        {
            let raw = extract::fetch(self.bitbucket(), group, item, self.deadline).await?;
            let present = match &raw {
                Some(raw) => {
                    self.load(&group.resources, std::slice::from_ref(raw))
                        .await?
                }
                None => Produced::default(),
            };
            let before = self.pipeline.produced(&group.resources, last_seen);
            let mut gone = before.keys;
            gone.extend(before.unselected);
            gone.extend(present.unselected.iter().cloned());
            gone.retain(|key| !present.keys.contains(key));
            self.gone.extend(gone.iter().cloned());
            self.record(
                group,
                &repository.uuid,
                RecordChangeKind::Amend { present, gone },
            );
        }
        Ok(())
    }

    fn record(&mut self, group: &Group, repository: &str, kind: RecordChangeKind) {
        self.records.push(RecordChange {
            source: group.source.id(),
            repository: repository.to_owned(),
            kind,
        });
    }

    async fn repository(
        &mut self,
        repository: &RepositoryRef,
        former: Option<&FormerName>,
        pushed: Option<&[String]>,
        last_seen: &Value,
    ) -> Result<(), Failure> {
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
            self.repository_under(filter, repository, former, pushed, last_seen)
                .await?;
        }
        Ok(())
    }

    /// One request tells whether `filter` selects the repository; all groups that use the filter share it.
    async fn repository_under(
        &mut self,
        filter: &RepositoryFilter,
        repository: &RepositoryRef,
        former: Option<&FormerName>,
        pushed: Option<&[String]>,
        last_seen: &Value,
    ) -> Result<(), Failure> {
        let own = Source::Repositories(filter.clone());
        let nobody = Group::of_nobody(own.clone());
        let group = self
            .groups
            .iter()
            .find(|group| group.source == own)
            .unwrap_or(&nobody);
        let item = Item::Repository {
            uuid: &repository.uuid,
        };
        let raw = extract::fetch(self.bitbucket(), group, item, self.deadline).await?;
        let as_it_was = former.map(|former| renamed_back(last_seen, &repository.uuid, former));
        for group in self
            .groups
            .iter()
            .filter(|group| group.source.repositories() == Some(filter))
        {
            let record =
                partition::load(&self.app.store, &group.source.id(), &repository.uuid).await?;
            let mut before = record
                .as_ref()
                .map(|record| record.produced.keys.clone())
                .unwrap_or_default();
            let present = match (&raw, &group.source) {
                (Some(raw), Source::Repositories(_)) => {
                    self.load(&group.resources, std::slice::from_ref(raw))
                        .await?
                }
                // What the event is not about is listed where it is known under another name, or not at all.
                (Some(raw), _)
                    if record.is_some() && former.is_none() && !concerns(group, raw, pushed) =>
                {
                    continue;
                }
                (Some(raw), _) => self.list(group, Repository::of(raw).as_ref()).await?,
                (None, _) => Produced::default(),
            };
            if let Source::Repositories(_) = group.source {
                for raw in as_it_was.iter().chain(raw.is_none().then_some(last_seen)) {
                    let produced = self.pipeline.produced(&group.resources, raw);
                    before.extend(produced.keys);
                    before.extend(produced.unselected);
                }
                before.extend(present.unselected.iter().cloned());
            }
            self.gone.append(&mut before);
            let kind = if raw.is_some() {
                RecordChangeKind::Replace(present)
            } else {
                RecordChangeKind::Remove
            };
            self.record(group, &repository.uuid, kind);
        }
        Ok(())
    }

    async fn repository_gone(
        &mut self,
        repository: &RepositoryRef,
        last_seen: &Value,
    ) -> Result<(), Failure> {
        for group in self
            .groups
            .iter()
            .filter(|group| group.source.repositories().is_some())
        {
            let record =
                partition::load(&self.app.store, &group.source.id(), &repository.uuid).await?;
            self.gone
                .extend(record.into_iter().flat_map(|record| record.produced.keys));
            if let Source::Repositories(_) = group.source {
                let produced = self
                    .pipeline
                    .produced(&group.resources, &with_slug(last_seen.clone()));
                self.gone.extend(produced.keys);
                self.gone.extend(produced.unselected);
            }
            self.record(group, &repository.uuid, RecordChangeKind::Remove);
        }
        Ok(())
    }

    async fn projects(&mut self, key: Option<&str>) -> Result<(), Failure> {
        for group in self.groups {
            match &group.source {
                Source::Projects => {
                    let present = self.list(group, None).await?;
                    let record =
                        partition::load(&self.app.store, &group.source.id(), WORKSPACE).await?;
                    self.gone
                        .extend(record.into_iter().flat_map(|record| record.produced.keys));
                    self.record(group, WORKSPACE, RecordChangeKind::Replace(present));
                }
                Source::Repositories(filter) if self.reads(group, &["project"]) => {
                    let Some(key) = key else { continue };
                    self.repositories_of_project(group, filter, key).await?;
                }
                Source::Trees(filter)
                | Source::Parts {
                    repositories: filter,
                    ..
                } if self.reads(group, &["repo", "project"]) => {
                    let Some(key) = key else { continue };
                    self.contents_of_project(group, filter, key).await?;
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

    /// Whatever the partition stood for goes, unless it turns out to be present.
    async fn forget(&mut self, group: &Group, repository: &str) -> Result<(), Failure> {
        let source = group.source.id();
        let record = partition::load(&self.app.store, &source, repository).await?;
        let keys = record.into_iter().flat_map(|record| record.produced.keys);
        self.gone.extend(keys);
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
                self.forget(group, &repository.uuid).await?;
                let present = self.list(group, Some(&repository)).await?;
                self.record(group, &repository.uuid, RecordChangeKind::Replace(present));
            }
        }
        Ok(())
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
            let processed = self
                .pipeline
                .process(&group.resources, &batch.items, self.deadline)
                .await?;
            self.note(processed.counts, &processed.refusals);
            for (raw, present) in batch.items.iter().zip(processed.items) {
                let Some(repository) = Repository::of(raw) else {
                    continue;
                };
                self.forget(group, &repository.uuid).await?;
                self.present.extend(present.keys.iter().cloned());
                self.gone.extend(present.unselected.iter().cloned());
                self.record(group, &repository.uuid, RecordChangeKind::Replace(present));
            }
        }
        Ok(())
    }

    /// Lists, maps and loads all items of a partition.
    async fn list(
        &mut self,
        group: &Group,
        repository: Option<&Repository>,
    ) -> Result<Produced, Failure> {
        let session = self.session;
        let mut listing = Listing::open(&session.bitbucket, group, repository);
        let mut produced = Produced::default();
        while let Some(batch) = listing.next(self.deadline).await? {
            for Skipped { path, reason } in &batch.skipped {
                tracing::warn!(path, reason, "file left out");
            }
            produced.absorb(self.load(&batch.resources, &batch.items).await?);
        }
        Ok(produced)
    }

    async fn load(&mut self, resources: &[usize], raw: &[Value]) -> Result<Produced, Failure> {
        let processed = self.pipeline.process(resources, raw, self.deadline).await?;
        self.note(processed.counts, &processed.refusals);
        let mut produced = Produced::default();
        processed
            .items
            .into_iter()
            .for_each(|item| produced.absorb(item));
        self.present.extend(produced.keys.iter().cloned());
        Ok(produced)
    }

    fn note(&mut self, counts: Counts, refusals: &[String]) {
        self.counts += counts;
        for refusal in refusals {
            tracing::warn!(refusal, "entity refused by Port");
        }
    }

    /// Deletes what has no object any more, as far as it is ours.
    async fn delete(&mut self) -> Result<(), Failure> {
        let gone: Vec<EntityKey> = self.gone.difference(&self.present).cloned().collect();
        if gone.is_empty() {
            return Ok(());
        }
        let owned = self.session.port.owned_among(&gone, self.deadline).await?;
        if owned.is_empty() {
            return Ok(());
        }
        let dependents = self.mapping.settings().delete_dependent_entities;
        let report = self
            .session
            .port
            .delete(&owned, dependents, self.deadline)
            .await?;
        if let Some(error) = report.stopped {
            return Err(error.into());
        }
        for failed in &report.failed {
            tracing::warn!(%failed, "entity not deleted");
        }
        self.counts.deleted += report.deleted;
        Ok(())
    }

    /// Notes what the partitions stand for now.
    async fn remember(&mut self) -> Result<(), Failure> {
        let store = &self.app.store;
        for RecordChange {
            source,
            repository,
            kind,
        } in std::mem::take(&mut self.records)
        {
            match kind {
                RecordChangeKind::Amend { present, gone } => {
                    partition::amend(store, &source, &repository, &present, &gone).await?;
                }
                RecordChangeKind::Replace(produced) => {
                    partition::replace(store, &source, &repository, produced).await?;
                }
                RecordChangeKind::Remove => partition::remove(store, &source, &repository).await?,
            }
        }
        Ok(())
    }

    fn log(&self, change: &Change) {
        for problem in self.pipeline.take_report().lines() {
            tracing::warn!(problem, "the mapping could not be applied everywhere");
        }
        let Counts {
            written,
            refused,
            not_mapped,
            deleted,
            ..
        } = self.counts;
        let (object, repository) = match change {
            Change::PullRequest { id, repository, .. } => {
                (format!("pull request {id}"), Some(repository))
            }
            Change::Repository { repository, .. } => ("repository".to_owned(), Some(repository)),
            Change::RepositoryGone { repository, .. } => {
                ("deleted repository".to_owned(), Some(repository))
            }
            Change::Projects { .. } => ("projects".to_owned(), None),
        };
        let repository = repository.map(|repository| super::shown(&repository.full_name));
        tracing::info!(
            object,
            repository,
            written,
            deleted,
            refused,
            not_mapped,
            "event applied"
        );
    }
}

/// The repository as it was before it was renamed, wherever its identity appears.
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

/// Whether an event about a repository may change what `group` shows of it.
fn concerns(group: &Group, raw: &Value, pushed: Option<&[String]>) -> bool {
    match (&group.source, pushed) {
        // Its pull requests tell of themselves.
        (Source::PullRequests { .. }, _) => false,
        (Source::Trees(_), Some(branches)) => {
            let repository = Repository::of(raw);
            let read = |branch: &String| {
                let repository = repository.as_ref();
                repository.is_some_and(|repository| group.reads_branch(repository, branch))
            };
            branches.iter().any(read)
        }
        (Source::Parts { part, .. }, Some(_)) => matches!(part.kind, Kind::Branch | Kind::Tag),
        (_, None) => true,
        (_, Some(_)) => false,
    }
}

fn renamed_back(last_seen: &Value, uuid: &str, former: &FormerName) -> Value {
    let mut repository = with_slug(last_seen.clone());
    let is_it = repository.get("uuid").and_then(Value::as_str) == Some(uuid);
    if let (true, Value::Object(fields)) = (is_it, &mut repository) {
        if let Some(name) = &former.name {
            fields.insert("name".to_owned(), name.clone().into());
        }
        if let Some(full_name) = &former.full_name {
            fields.insert("full_name".to_owned(), full_name.clone().into());
            fields.remove("slug");
        }
    }
    with_slug(repository)
}

/// Bodies of events leave the slug out; the API does not.
fn with_slug(mut repository: Value) -> Value {
    let full_name = repository.get("full_name").and_then(Value::as_str);
    let slug = full_name
        .and_then(|full_name| full_name.split_once('/'))
        .map(|(_, slug)| slug.to_owned());
    if let (Some(slug), Value::Object(fields)) = (slug, &mut repository)
        && !fields.contains_key("slug")
    {
        fields.insert("slug".to_owned(), slug.into());
    }
    repository
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_renamed_repository_is_known_by_its_old_identity() {
        let seen = json!({"uuid": "{a}", "name": "New Name", "full_name": "acme/new-name", "slug": "new-name"});
        let former = FormerName {
            name: Some("Old Name".to_owned()),
            full_name: Some("acme/old-name".to_owned()),
        };
        let before = renamed_back(&seen, "{a}", &former);
        insta::assert_json_snapshot!(before, @r#"
        {
          "uuid": "{a}",
          "name": "Old Name",
          "full_name": "acme/old-name",
          "slug": "old-name"
        }
        "#);
        let only_name = FormerName {
            name: Some("Old Name".to_owned()),
            full_name: None,
        };
        assert_eq!(renamed_back(&seen, "{a}", &only_name)["slug"], "new-name");
        assert_eq!(renamed_back(&seen, "{b}", &former)["slug"], "new-name");
    }
}

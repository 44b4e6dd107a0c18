//! One real item of Bitbucket, looked at as a resync looks at it: by the query of each source that is about its kind.
//!
//! Knows nothing of entities or of Port.

use std::sync::Arc;

use anyhow::{anyhow, bail};
use ferry::app::Session;
use ferry::bitbucket;
use ferry::deadline::Deadline;
use ferry::extract::{self, Group, Listing, Source};
use ferry::identity::Repository;
use ferry::mapping::{Kind, RepositoryFilter, RepositoryName, Resource};
use ferry::nearest::nearest;
use ferry::sync::sources::Sources;
use ferry::telemetry::chain;
use serde_json::Value;

use crate::command::AskedWrongly;

/// Which item.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) kind: Kind,
    /// Slug, name or uuid.
    pub(crate) repository: Option<String>,
    /// Its number, name, key or path; `None`: the first one.
    pub(crate) id: Option<String>,
}

/// What a resync would see of the item.
pub(crate) struct Sighting {
    /// Whose item it is.
    pub(crate) resources: Vec<Arc<Resource>>,
    /// The raw item, or why there is none.
    pub(crate) raw: Result<Value, String>,
}

/// Looks with each source of the mapping that is about the kind.
pub(crate) async fn sightings(
    session: &Session,
    sources: &Sources,
    wanted: &Wanted,
    deadline: &Deadline,
) -> anyhow::Result<Vec<Sighting>> {
    let of_kind = |resource: &&Arc<Resource>| resource.kind == wanted.kind;
    let groups = sources.groups().iter();
    let groups = groups.map(|group| {
        let resources = group.resources.iter().filter(of_kind).cloned();
        (group, resources.collect::<Vec<_>>())
    });
    let groups: Vec<_> = groups
        .filter(|(_, resources)| !resources.is_empty())
        .collect();
    if groups.is_empty() {
        let kinds = sources.mapping().resources().iter();
        let kinds: Vec<&str> = kinds.map(|resource| resource.kind.name()).collect();
        let (kind, kinds) = (wanted.kind, kinds.join(", "));
        bail!(AskedWrongly(format!(
            "the mapping has no resource of kind {kind}, only of {kinds}"
        )));
    }
    let mut repository = None;
    let mut sightings = Vec::new();
    for (group, resources) in groups {
        if group.source.repositories().is_some() && repository.is_none() {
            repository = Some(find_repository(session, wanted, deadline).await?);
        }
        let repository = repository.as_ref();
        sightings.extend(look(session, (group, resources), repository, wanted, deadline).await?);
    }
    Ok(sightings)
}

async fn look(
    session: &Session,
    (group, resources): (&Group, Vec<Arc<Resource>>),
    repository: Option<&Repository>,
    wanted: &Wanted,
    deadline: &Deadline,
) -> anyhow::Result<Vec<Sighting>> {
    let bitbucket = &session.bitbucket;
    let one = |raw| {
        vec![Sighting {
            resources: resources.clone(),
            raw,
        }]
    };
    if let (Some(filter), Some(repository)) = (group.source.repositories(), repository) {
        let found = extract::repository(bitbucket, filter, &repository.uuid, deadline).await?;
        let Some(raw) = found else {
            return Ok(one(Err(not_selected(repository, filter))));
        };
        if let Source::Repositories(_) = &group.source {
            let raw = extract::with_files(bitbucket, group, raw, deadline).await?;
            return Ok(one(Ok(raw)));
        }
    }
    if let (Source::PullRequests { query, .. }, Some(id), Some(repository)) =
        (&group.source, &wanted.id, repository)
    {
        let number = id.parse::<u64>().map_err(|_| {
            AskedWrongly(format!(
                "--id {id:?} is no number, as that of a pull request is"
            ))
        })?;
        let ids = [number];
        let asked = extract::pull_requests(bitbucket, group, &repository.uuid, &ids, deadline);
        let raw = match asked.await?.remove(&number) {
            Some(Ok(raw)) => Ok(raw),
            Some(Err(unread)) => Err(unread.file.to_string()),
            None => Err(format!(
                "{} has no pull request {number} that `{query}` selects",
                repository.full_name
            )),
        };
        return Ok(one(raw));
    }
    listed(session, (group, resources), repository, wanted, deadline).await
}

/// Of what the source lists, the first that is wanted, for each of `resources`.
async fn listed(
    session: &Session,
    (group, resources): (&Group, Vec<Arc<Resource>>),
    repository: Option<&Repository>,
    wanted: &Wanted,
    deadline: &Deadline,
) -> anyhow::Result<Vec<Sighting>> {
    let mut open = resources;
    let mut sightings = Vec::new();
    let mut listing = Listing::open(&session.bitbucket, group, repository);
    while let Some(batch) = listing.next(deadline).await? {
        let is_of_batch =
            |resource: &Arc<Resource>| batch.resources.iter().any(|it| Arc::ptr_eq(it, resource));
        let mut items = batch.items.iter();
        let found = items.find(|raw| is_wanted(&group.source, raw, wanted));
        if let Some(raw) = found {
            let (resources, left) = open.into_iter().partition(is_of_batch);
            open = left;
            sightings.push(Sighting {
                resources,
                raw: Ok(raw.clone()),
            });
        }
        if open.is_empty() {
            break;
        }
    }
    sightings.retain(|sighting| !sighting.resources.is_empty());
    if !open.is_empty() {
        let place = repository.map_or("the workspace", |repository| repository.full_name.as_str());
        let what = match &wanted.id {
            Some(id) => format!("no {} {id:?}", wanted.kind),
            None => format!("no {}", wanted.kind),
        };
        sightings.push(Sighting {
            resources: open,
            raw: Err(format!("{place} has {what} that the selector selects")),
        });
    }
    Ok(sightings)
}

/// Whether `raw` goes by the name that was given; without one, anything does.
fn is_wanted(source: &Source, raw: &Value, wanted: &Wanted) -> bool {
    let Some(id) = &wanted.id else {
        return true;
    };
    let kind = wanted.kind.name();
    let names = [
        "/key",
        "/slug",
        "/name",
        "/uuid",
        "/id",
        "/folder/path",
        "/metadata/path",
        "/user/display_name",
        "/user/uuid",
    ];
    let mut names = names.iter().map(|name| raw.pointer(name)).chain([
        raw.pointer(&format!("/{kind}/name")),
        raw.pointer(&format!("/{kind}/uuid")),
        raw.pointer(&format!("/{kind}/build_number")),
    ]);
    let is_id = |value: &Value| match value {
        Value::String(text) => text == id,
        Value::Number(number) => number.to_string() == *id,
        _ => false,
    };
    source.member(raw) == *id || names.any(|name| name.is_some_and(is_id))
}

/// By slug or uuid; else by the name that a mapping may give it.
async fn find_repository(
    session: &Session,
    wanted: &Wanted,
    deadline: &Deadline,
) -> anyhow::Result<Repository> {
    let Some(name) = &wanted.repository else {
        let kind = wanted.kind;
        bail!(AskedWrongly(format!(
            "give --repo: a {kind} belongs to a repository"
        )));
    };
    let name = name.rsplit('/').next().unwrap_or(name);
    match session.bitbucket.repository(name, deadline).await {
        Ok(raw) => {
            return Repository::of(&raw)
                .ok_or_else(|| anyhow!("Bitbucket answers no repository for {name:?}"));
        }
        Err(bitbucket::Error::NotFound { .. }) => {}
        Err(error) => return Err(anyhow!(chain(&error))),
    }
    let all = Group::of_nobody(Source::Repositories(RepositoryFilter::default()));
    let mut listing = Listing::open(&session.bitbucket, &all, None);
    let mut repositories = Vec::new();
    while let Some(batch) = listing.next(deadline).await? {
        repositories.extend(batch.items.iter().filter_map(Repository::of));
    }
    let given = RepositoryName {
        path: "--repo".to_owned(),
        name: name.to_owned(),
    };
    if let Some(found) = repositories.iter().find(|found| given.means(found)) {
        return Ok(found.clone());
    }
    let known = repositories
        .iter()
        .flat_map(|one| [one.slug(), one.name.as_str()]);
    let remedy = match nearest(name, known) {
        Some(meant) => format!("the nearest name is {meant:?}"),
        None => "give a slug or a name".to_owned(),
    };
    bail!("{name:?} is no repository that the credentials see: {remedy}")
}

fn not_selected(repository: &Repository, filter: &RepositoryFilter) -> String {
    let RepositoryFilter { role, query } = filter;
    let role = role.iter().map(|role| format!("userRole {role}"));
    let query = query.iter().map(|query| format!("repoQuery `{query}`"));
    let by: Vec<String> = role.chain(query).collect();
    match by.is_empty() {
        true => format!(
            "the list of repositories does not show {}",
            repository.full_name
        ),
        false => format!(
            "{} is not selected by {}",
            repository.full_name,
            by.join(" and ")
        ),
    }
}

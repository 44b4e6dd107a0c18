//! Raw items out of Bitbucket: the same item, in the same shape, whether a resync lists it or an event asks for it.
//!
//! Resources that want the same data share a [`Group`] and thereby its requests. Knows what a selector asks for;
//! knows nothing of entities or Port.

mod content;
mod included;
mod listing;
mod part;
mod tree;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::bitbucket::{self, BitbucketClient};
use crate::deadline::Deadline;
use crate::mapping::{Mapping, Part, RepositoryFilter, Resource, Selector};

pub use listing::{Listing, Page, repository_pages};

use included::IncludedFiles;
use tree::TreeResource;

/// Where raw items come from: one query per distinct source, however many resources read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    Projects,
    Repositories(RepositoryFilter),
    PullRequests {
        repositories: RepositoryFilter,
        query: String,
    },
    /// Folders and files.
    Trees(RepositoryFilter),
    /// Branches, tags, pipelines, deployments or environments.
    Parts {
        repositories: RepositoryFilter,
        part: Part,
    },
    Workspace,
    Members,
}

/// Resources with the same source.
#[derive(Clone, Debug)]
pub struct Group {
    pub source: Source,
    /// Indices into the mapping's resources, in their order.
    pub resources: Vec<usize>,
    /// Paths of files that go along with each item, as `__includedFiles`.
    pub included_files: Vec<String>,
    /// What its resources want of trees.
    trees: Vec<TreeResource>,
}

/// What later requests need to know of a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repository {
    /// With braces, as Bitbucket writes it.
    pub uuid: String,
    /// `workspace/slug`
    pub full_name: String,
    /// `None` for a repository without commits.
    pub main_branch: Option<String>,
}

/// The sources of `mapping` in the order in which its resources first need them.
pub fn groups(mapping: &Mapping) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (index, resource) in mapping.resources().iter().enumerate() {
        let source = Source::of(resource);
        let position = groups
            .iter()
            .position(|group| group.source == source)
            .unwrap_or_else(|| {
                groups.push(Group::of_nobody(source));
                groups.len() - 1
            });
        if let Some(group) = groups.get_mut(position) {
            group.resources.push(index);
            group.trees.extend(TreeResource::of(resource));
            for path in resource.included_files() {
                if !group.included_files.contains(path) {
                    group.included_files.push(path.clone());
                }
            }
        }
    }
    groups
}

impl Group {
    /// A source that no resource asks for: it is listed for what others need to know of it.
    pub fn of_nobody(source: Source) -> Group {
        Group {
            source,
            resources: Vec::new(),
            included_files: Vec::new(),
            trees: Vec::new(),
        }
    }

    /// The same, of another source: a part of its own.
    pub fn narrowed(&self, source: Source) -> Group {
        Group {
            source,
            ..self.clone()
        }
    }

    /// Whether a push to `branch` of `repository` may change its items.
    pub fn reads_branch(&self, repository: &Repository, branch: &str) -> bool {
        let slug = repository.full_name.rsplit('/').next().unwrap_or_default();
        let default = repository.main_branch.as_deref();
        let mut trees = self.trees.iter();
        trees.any(|tree| tree.reads_branch(slug, default, branch))
    }
}

impl Source {
    fn of(resource: &Resource) -> Source {
        match &resource.selector {
            Selector::Project => Source::Projects,
            Selector::Repository { repositories, .. } => Source::Repositories(repositories.clone()),
            Selector::PullRequest {
                repositories,
                query,
                ..
            } => Source::PullRequests {
                repositories: repositories.clone(),
                query: query.clone(),
            },
            Selector::Folder { repositories, .. } | Selector::File { repositories, .. } => {
                Source::Trees(repositories.clone())
            }
            Selector::Part { repositories, part } => Source::Parts {
                repositories: repositories.clone(),
                part: part.clone(),
            },
            Selector::Workspace => Source::Workspace,
            Selector::User => Source::Members,
        }
    }

    /// The repositories that this source covers; `None` for data of the workspace as a whole.
    pub fn repositories(&self) -> Option<&RepositoryFilter> {
        match self {
            Source::Projects | Source::Workspace | Source::Members => None,
            Source::Repositories(repositories)
            | Source::PullRequests { repositories, .. }
            | Source::Trees(repositories)
            | Source::Parts { repositories, .. } => Some(repositories),
        }
    }

    /// Which item of its partition `raw` is: the id of a pull request; empty where a partition is always looked at as
    /// a whole.
    pub fn item(&self, raw: &Value) -> String {
        match (self, raw.get("id").and_then(Value::as_u64)) {
            (Source::PullRequests { .. }, Some(id)) => id.to_string(),
            _ => String::new(),
        }
    }

    /// What logs call its items.
    pub fn name(&self) -> &'static str {
        match self {
            Source::Projects => "project",
            Source::Repositories(_) => "repository",
            Source::PullRequests { .. } => "pull-request",
            Source::Trees(_) => "folder and file",
            Source::Parts { part, .. } => part.kind.name(),
            Source::Workspace => "workspace",
            Source::Members => "user",
        }
    }

    /// Names this source in stored documents: the same query has the same id in every run.
    pub fn id(&self) -> String {
        match self {
            Source::Projects => "project".to_owned(),
            Source::Repositories(filter) => format!("repository-{}", filter_id(filter)),
            Source::Workspace => "workspace".to_owned(),
            Source::Members => "user".to_owned(),
            Source::Trees(filter) => format!("tree-{}", filter_id(filter)),
            Source::Parts { repositories, part } => {
                // A stored document is found by what was asked for.
                let asked = short_hash(&format!("{part:?}"));
                format!("{}-{}-{asked}", part.kind, filter_id(repositories))
            }
            Source::PullRequests {
                repositories,
                query,
            } => {
                format!(
                    "pull-request-{}-{}",
                    filter_id(repositories),
                    short_hash(query)
                )
            }
        }
    }
}

/// Names a repository filter in stored documents.
pub fn filter_id(filter: &RepositoryFilter) -> String {
    let RepositoryFilter { role, query } = filter;
    match (role, query) {
        (None, None) => "all".to_owned(),
        _ => short_hash(&format!(
            "{}\n{}",
            role.as_deref().unwrap_or_default(),
            query.as_deref().unwrap_or_default()
        )),
    }
}

fn short_hash(text: &str) -> String {
    let mut digest = hex::encode(Sha256::digest(text));
    digest.truncate(16);
    digest
}

impl Repository {
    /// What `raw` says; `None` when it is no repository that could be asked about.
    pub fn of(raw: &Value) -> Option<Repository> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        Some(Repository {
            uuid: text(raw.get("uuid")?)?,
            full_name: raw.get("full_name").and_then(text).unwrap_or_default(),
            main_branch: raw.pointer("/mainbranch/name").and_then(text),
        })
    }
}

/// One page of raw items.
#[derive(Debug, Default)]
pub struct Batch {
    /// Indices of the resources whose items these are.
    pub resources: Vec<usize>,
    pub items: Vec<Value>,
    /// Repositories whose item could not be completed.
    pub failed: Vec<(Repository, bitbucket::Error)>,
    /// What a selector matches and is no item all the same.
    pub skipped: Vec<Skipped>,
}

/// A file that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// `workspace/slug/path`
    pub path: String,
    pub reason: &'static str,
}

/// Files of one item or repository are read this many at a time; the client bounds what is in flight altogether.
const FILES_AT_ONCE: usize = 6;

/// Errors that are about the moment or the credentials, not about one item.
pub fn stops_everything(error: &bitbucket::Error) -> bool {
    use bitbucket::Error;
    matches!(
        error,
        Error::RateLimited { .. } | Error::OutOfTime | Error::Unauthorized { .. }
    )
}

/// One object as an event names it.
#[derive(Clone, Copy, Debug)]
pub enum Item<'a> {
    Project { key: &'a str },
    Repository { uuid: &'a str },
    PullRequest { repository_uuid: &'a str, id: u64 },
}

/// The present raw item of `group`, as a resync would list it; `None` when it is gone or the group's query does not
/// select it any more.
pub async fn fetch(
    bitbucket: &BitbucketClient,
    group: &Group,
    item: Item<'_>,
    deadline: &Deadline,
) -> Result<Option<Value>, bitbucket::Error> {
    match (&group.source, item) {
        (Source::Projects, Item::Project { key }) => {
            gone_is_none(bitbucket.project(key, deadline).await)
        }
        (Source::Repositories(filter), Item::Repository { uuid }) => {
            let Some(raw) = fetch_repository(bitbucket, filter, uuid, deadline).await? else {
                return Ok(None);
            };
            with_included(bitbucket, group, raw, deadline)
                .await
                .map(Some)
        }
        (
            Source::PullRequests {
                repositories,
                query,
            },
            Item::PullRequest {
                repository_uuid,
                id,
            },
        ) => {
            let filtered = repositories.role.is_some() || repositories.query.is_some();
            if filtered
                && fetch_repository(bitbucket, repositories, repository_uuid, deadline)
                    .await?
                    .is_none()
            {
                return Ok(None);
            }
            let found = bitbucket.pull_request_matching(repository_uuid, id, query, deadline);
            match gone_is_none(found.await)?.flatten() {
                Some(raw) => with_included(bitbucket, group, raw, deadline)
                    .await
                    .map(Some),
                None => Ok(None),
            }
        }
        _ => Ok(None),
    }
}

async fn with_included(
    bitbucket: &BitbucketClient,
    group: &Group,
    raw: Value,
    deadline: &Deadline,
) -> Result<Value, bitbucket::Error> {
    match IncludedFiles::of(bitbucket, group) {
        Some(included) => {
            let added = included.add_to(raw, deadline).await;
            added.map_err(|(_, error)| error)
        }
        None => Ok(raw),
    }
}

async fn fetch_repository(
    bitbucket: &BitbucketClient,
    filter: &RepositoryFilter,
    uuid: &str,
    deadline: &Deadline,
) -> Result<Option<Value>, bitbucket::Error> {
    let role = filter.role.as_deref();
    match (&filter.query, role) {
        (None, None) => gone_is_none(bitbucket.repository(uuid, deadline).await),
        (Some(query), _) => {
            bitbucket
                .repository_matching(uuid, role, Some(query), deadline)
                .await
        }
        (None, Some(_)) => {
            bitbucket
                .repository_matching(uuid, role, None, deadline)
                .await
        }
    }
}

/// A single object that Bitbucket does not know (any more) is gone; on a listing the same answer is a failure.
fn gone_is_none<T>(result: Result<T, bitbucket::Error>) -> Result<Option<T>, bitbucket::Error> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(bitbucket::Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

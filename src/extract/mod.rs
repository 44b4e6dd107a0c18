//! Raw items out of Bitbucket: the same item, in the same shape, whether a resync lists it or an event asks for it.
//!
//! Resources that want the same data share a [`Group`] and thereby its requests. Knows what a selector asks for;
//! knows nothing of entities or Port.

mod content;
mod included;
mod part;
mod tree;

use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::bitbucket::{self, BitbucketClient, Pages};
use crate::deadline::Deadline;
use crate::mapping::{Mapping, Part, RepositoryFilter, Resource, Selector};

use included::IncludedFiles;
use part::PartListing;
use tree::{TreeListing, TreeResource};

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

/// A listing in progress.
pub struct Listing<'a> {
    bitbucket: &'a BitbucketClient,
    group: &'a Group,
    included: Option<IncludedFiles<'a>>,
    feed: Feed<'a>,
    /// When the page that was handed out last began to be read.
    since: Timestamp,
    /// Where the page after it is.
    cursor: Option<String>,
    ahead: Option<Ahead>,
}

/// A page that was read while the one before it was completed.
struct Ahead {
    since: Timestamp,
    items: Result<Option<Vec<Value>>, bitbucket::Error>,
}

enum Feed<'a> {
    Pages(Pages),
    Tree(Box<TreeListing<'a>>),
    Part(Box<PartListing<'a>>),
    Workspace,
    /// There is nothing to list.
    Nothing,
}

/// Files of one item or repository are read this many at a time; the client bounds what is in flight altogether.
const FILES_AT_ONCE: usize = 6;

impl<'a> Listing<'a> {
    /// Lists `group`'s items: of `repository` where the source is one per repository, else of the workspace.
    pub fn open(
        bitbucket: &'a BitbucketClient,
        group: &'a Group,
        repository: Option<&Repository>,
    ) -> Listing<'a> {
        let uuid = repository
            .map(|repository| repository.uuid.as_str())
            .unwrap_or_default();
        let feed = match &group.source {
            Source::Projects => Feed::Pages(bitbucket.projects()),
            Source::Repositories(filter) => {
                Feed::Pages(bitbucket.repositories(filter.role.as_deref(), filter.query.as_deref()))
            }
            Source::PullRequests { query, .. } => {
                Feed::Pages(bitbucket.pull_requests(uuid, Some(query)))
            }
            Source::Workspace => Feed::Workspace,
            Source::Members => Feed::Pages(bitbucket.members()),
            Source::Parts { part, .. } => repository.map_or(Feed::Nothing, |repository| {
                let resources = &group.resources;
                let listing = PartListing::new(bitbucket, resources, part, repository);
                Feed::Part(Box::new(listing))
            }),
            Source::Trees(_) => repository.map_or(Feed::Nothing, |repository| {
                let tree = TreeListing::new(bitbucket, &group.trees, repository.clone());
                Feed::Tree(Box::new(tree))
            }),
        };
        Listing {
            bitbucket,
            group,
            included: IncludedFiles::of(bitbucket, group),
            feed,
            since: Timestamp::UNIX_EPOCH,
            cursor: None,
            ahead: None,
        }
    }

    /// Takes a listing up again where [`cursor`](Listing::cursor) said it was.
    pub fn resume(bitbucket: &'a BitbucketClient, group: &'a Group, cursor: &str) -> Listing<'a> {
        Listing {
            bitbucket,
            group,
            included: IncludedFiles::of(bitbucket, group),
            feed: Feed::Pages(Pages::resume(bitbucket.clone(), cursor)),
            since: Timestamp::UNIX_EPOCH,
            cursor: Some(cursor.to_owned()),
            ahead: None,
        }
    }

    /// The next page; `None` after the last one.
    pub async fn next(&mut self, deadline: &Deadline) -> Result<Option<Batch>, bitbucket::Error> {
        self.since = deadline.now();
        let pages = match &mut self.feed {
            Feed::Pages(pages) => pages,
            Feed::Tree(tree) => return tree.next(deadline).await,
            Feed::Part(part) => return part.next(deadline).await,
            Feed::Workspace => {
                let workspace = self.bitbucket.workspace(deadline).await?;
                self.feed = Feed::Nothing;
                return Ok(Some(Batch {
                    resources: self.group.resources.clone(),
                    items: vec![workspace],
                    ..Batch::default()
                }));
            }
            Feed::Nothing => return Ok(None),
        };
        let items = match self.ahead.take() {
            Some(ahead) => {
                self.since = ahead.since;
                ahead.items?
            }
            None => pages.next(deadline).await?,
        };
        let Some(items) = items else {
            return Ok(None);
        };
        self.cursor = pages.cursor().map(str::to_owned);
        let mut batch = Batch {
            resources: self.group.resources.clone(),
            ..Batch::default()
        };
        let Some(included) = &self.included else {
            batch.items = items;
            return Ok(Some(batch));
        };
        // Each item is a partition of its own, which may fail alone.
        let is_of_repositories = matches!(self.group.source, Source::Repositories(_));
        let complete = async {
            let completed = stream::iter(items)
                .map(|item| included.add_to(item, deadline))
                .buffered(self.bitbucket.files_at_once());
            let mut completed = std::pin::pin!(completed);
            while let Some(item) = completed.next().await {
                match item {
                    Ok(item) => batch.items.push(item),
                    Err((_, error)) if stops_everything(&error) => return Err(error),
                    Err((Some(repository), error)) if is_of_repositories => {
                        batch.failed.push((repository, error));
                    }
                    Err((_, error)) => return Err(error),
                }
            }
            Ok(batch)
        };
        if !is_of_repositories {
            return complete.await.map(Some);
        }
        // The files of a page take long: the next one is read meanwhile.
        let since = deadline.now();
        let (batch, items) = tokio::join!(complete, pages.next(deadline));
        self.ahead = Some(Ahead { since, items });
        batch.map(Some)
    }

    /// When the page that was handed out last began to be read: what happened later may not be in it.
    pub fn since(&self) -> Timestamp {
        self.since
    }

    /// Where the next page is, for a checkpoint.
    pub fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }
}

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

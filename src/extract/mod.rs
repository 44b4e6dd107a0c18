//! Raw items out of Bitbucket: the same item, in the same shape, whether a resync lists it or an event asks for it.
//!
//! Resources that want the same data share a [`Group`] and thereby its requests. Knows what a selector asks for;
//! knows nothing of entities or Port.

mod ask;
mod carried;
mod content;
mod included;
mod listing;
mod part;
mod tree;
mod unread;

use std::sync::Arc;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::bitbucket;
use crate::identity::{ItemId, PartitionId, Repository, RepositoryId, SourceId};
use crate::mapping::{Mapping, Part, RepositoryFilter, Resource, Selector};

pub use ask::{
    Asked, Hidden, completed, member, pull_requests, repositories, repositories_of_project,
    repository, with_files,
};
pub use carried::names_digest;
pub use listing::{Listing, Page, repository_pages};

pub use unread::{Unread, unread_file};

use carried::CarriedFields;
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
#[derive(Clone)]
pub struct Group {
    pub id: SourceId,
    pub source: Source,
    /// In the order of the mapping.
    pub resources: Vec<Arc<Resource>>,
    /// Paths of files that go along with each item, as `__includedFiles`.
    pub included_files: Vec<String>,
    /// What its resources want of trees.
    trees: Vec<TreeResource>,
    carried: CarriedFields,
}

/// The commit that all contents of a partition were read at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The main branch, whose head it was.
    pub branch: String,
    /// Its hash.
    pub head: String,
    /// What items show of the repository, as [`Group::carried`] has it; `None` where there is no item.
    pub carried: Option<u64>,
}

/// The sources of `mapping` in the order in which its resources first need them.
pub fn groups(mapping: &Mapping) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for resource in mapping.resources() {
        let source = Source::of(resource);
        let position = groups
            .iter()
            .position(|group| group.source == source)
            .unwrap_or_else(|| {
                groups.push(Group::of_nobody(source));
                groups.len() - 1
            });
        if let Some(group) = groups.get_mut(position) {
            group.resources.push(Arc::clone(resource));
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
            id: source.id(),
            source,
            resources: Vec::new(),
            included_files: Vec::new(),
            trees: Vec::new(),
            carried: CarriedFields::default(),
        }
    }

    /// The partition of `repository`, or that of the workspace.
    pub fn partition(&self, repository: Option<&RepositoryId>) -> PartitionId {
        PartitionId {
            source: self.id.clone(),
            repository: repository.cloned(),
        }
    }

    /// Whether everything that it reads of the contents of `repository` lies on its main branch.
    pub fn reads_main_branch_only(&self, repository: &Repository) -> bool {
        let mut trees = self.trees.iter();
        trees.all(|tree| tree.reads_main_branch_only(repository))
    }

    /// Whether a push to `branch` of `repository` may change its items.
    pub fn reads_branch(&self, repository: &Repository, branch: &str) -> bool {
        let mut trees = self.trees.iter();
        trees.any(|tree| tree.reads_branch(repository, branch))
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

    /// Whether its partitions are looked at item by item; any other is looked at as a whole.
    pub fn is_numbered(&self) -> bool {
        matches!(self, Source::PullRequests { .. })
    }

    /// Which item of its partition `raw` is; `None` for a pull request without a number.
    pub fn item(&self, raw: &Value) -> Option<ItemId> {
        match self {
            Source::PullRequests { .. } => {
                let id = bitbucket::number_of(raw)?;
                Some(ItemId::Number(id))
            }
            _ => Some(ItemId::Whole),
        }
    }

    /// Which member of a partition that is looked at as a whole `raw` is, by a name that Bitbucket can be asked for;
    /// empty where the partition has one member only, or none could be asked for.
    pub fn member(&self, raw: &Value) -> String {
        let text = |pointer: &str| {
            let value = raw.pointer(pointer).and_then(Value::as_str);
            value.unwrap_or_default().to_owned()
        };
        match self {
            Source::Projects => text("/key"),
            Source::Members => text("/user/uuid"),
            Source::Trees(_) => member_of_tree(raw),
            Source::Parts { part, .. } => part::member(part.kind, raw),
            Source::Repositories(_) | Source::PullRequests { .. } | Source::Workspace => {
                String::new()
            }
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
    pub fn id(&self) -> SourceId {
        SourceId::new(match self {
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
        })
    }
}

/// Branch and path of a folder or file.
fn member_of_tree(raw: &Value) -> String {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    let path = raw
        .pointer("/folder/path")
        .or_else(|| raw.pointer("/metadata/path"));
    format!("{}:{}", text(raw.get("branch")), text(path))
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

/// One page of raw items.
#[derive(Default)]
pub struct Batch {
    /// Whose items these are.
    pub resources: Vec<Arc<Resource>>,
    pub items: Vec<Value>,
    /// Repositories whose item could not be completed.
    pub failed: Vec<(Repository, bitbucket::Error)>,
    /// Items that are there, and of which a file could not be read.
    pub unread: Vec<Unread>,
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

/// Whether `raw` carries its files.
pub fn has_files(raw: &Value) -> bool {
    raw.get(INCLUDED_FILES).is_some()
}

/// Leaves `raw` as Bitbucket shows it.
pub fn without_files(raw: &mut Value) {
    if let Value::Object(raw) = raw {
        raw.shift_remove(INCLUDED_FILES);
    }
}

/// The key under which an item carries its files.
const INCLUDED_FILES: &str = "__includedFiles";

/// Files of one item or repository are read this many at a time; the client bounds what is in flight altogether.
const FILES_AT_ONCE: usize = 6;

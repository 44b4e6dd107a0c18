//! Which raw items a resource asks for: its kind and the kind's own selector fields. The `query` of a selector,
//! which judges items once they are there, belongs to [`super::resource`].

mod files;
mod folders;
mod kind;
mod parts;
mod repositories;

pub use files::FileSelector;
pub use folders::{FolderRepository, FolderSelector};
pub use kind::Kind;
pub use parts::Part;
pub use repositories::{RepositoryFilter, RepositoryName};

use super::path_glob::PathGlob;
use super::read::{ConfigNode, Object, Reader};

/// What to ask Bitbucket for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    Project,
    Repository {
        repositories: RepositoryFilter,
        included_files: Vec<String>,
    },
    PullRequest {
        repositories: RepositoryFilter,
        /// In Bitbucket's query language.
        query: String,
        included_files: Vec<String>,
    },
    Folder {
        repositories: RepositoryFilter,
        folders: Vec<FolderSelector>,
        included_files: Vec<String>,
    },
    File {
        repositories: RepositoryFilter,
        files: Vec<FileSelector>,
        included_files: Vec<String>,
    },
    Workspace,
    /// Members of the workspace.
    User,
    /// What each repository has of something.
    Part {
        repositories: RepositoryFilter,
        part: Part,
    },
}

/// The pull requests that are asked for unless the selector says otherwise.
const DEFAULT_PULL_REQUEST_QUERY: &str = r#"state="OPEN""#;

impl Selector {
    pub(super) fn read(reader: &mut Reader, kind: Kind, selector: &Object<'_>) -> Selector {
        reader.known_keys(selector, keys(kind));
        let mut repositories = || RepositoryFilter::read(reader, selector);
        match kind {
            Kind::Project => Selector::Project,
            Kind::Repository => Selector::Repository {
                repositories: repositories(),
                included_files: reader.texts(selector, "includedFiles"),
            },
            Kind::PullRequest => Selector::PullRequest {
                repositories: repositories(),
                query: reader
                    .given_text(selector, "pullRequestQuery")
                    .unwrap_or_else(|| DEFAULT_PULL_REQUEST_QUERY.to_owned()),
                included_files: reader.texts(selector, "includedFiles"),
            },
            Kind::Folder => Selector::Folder {
                repositories: repositories(),
                folders: folders::read(reader, selector),
                included_files: reader.texts(selector, "includedFiles"),
            },
            Kind::File => Selector::File {
                repositories: repositories(),
                files: files::read(reader, selector),
                included_files: reader.texts(selector, "includedFiles"),
            },
            Kind::Workspace => Selector::Workspace,
            Kind::User => Selector::User,
            Kind::Branch | Kind::Tag | Kind::Pipeline | Kind::Deployment | Kind::Environment => {
                Selector::Part {
                    repositories: repositories(),
                    part: Part::read(reader, kind, selector),
                }
            }
        }
    }

    /// Paths of files that go along with each item.
    pub(super) fn included_files(&self) -> &[String] {
        match self {
            Selector::Project | Selector::Workspace | Selector::User | Selector::Part { .. } => &[],
            Selector::Repository { included_files, .. }
            | Selector::PullRequest { included_files, .. }
            | Selector::Folder { included_files, .. }
            | Selector::File { included_files, .. } => included_files,
        }
    }

    /// The names by which it picks repositories out; none where it takes every one that its filter selects.
    pub(super) fn repository_names(&self) -> Vec<&RepositoryName> {
        match self {
            Selector::Folder { folders, .. } => {
                let named = folders.iter().flat_map(|folder| &folder.repositories);
                named.map(|repository| &repository.name).collect()
            }
            Selector::File { files, .. } => {
                files.iter().flat_map(|files| &files.repositories).collect()
            }
            Selector::Project
            | Selector::Repository { .. }
            | Selector::PullRequest { .. }
            | Selector::Workspace
            | Selector::User
            | Selector::Part { .. } => Vec::new(),
        }
    }
}

/// What a selector of this kind may hold.
fn keys(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Project | Kind::Workspace | Kind::User => &["query"],
        Kind::Repository => &["query", "userRole", "repoQuery", "includedFiles"],
        Kind::PullRequest => &[
            "query",
            "userRole",
            "repoQuery",
            "pullRequestQuery",
            "includedFiles",
        ],
        Kind::Folder => &["query", "userRole", "repoQuery", "folders", "includedFiles"],
        Kind::File => &["query", "userRole", "repoQuery", "files", "includedFiles"],
        Kind::Branch => &[
            "query",
            "userRole",
            "repoQuery",
            "branchQuery",
            "names",
            "limit",
        ],
        Kind::Tag => &[
            "query",
            "userRole",
            "repoQuery",
            "tagQuery",
            "names",
            "limit",
        ],
        Kind::Pipeline => &[
            "query",
            "userRole",
            "repoQuery",
            "sinceDays",
            "targetBranch",
            "limit",
        ],
        Kind::Deployment => &["query", "userRole", "repoQuery", "limit"],
        Kind::Environment => &["query", "userRole", "repoQuery", "names", "limit"],
    }
}

fn read_glob(reader: &mut Reader, node: &ConfigNode<'_>, pattern: &str) -> Option<PathGlob> {
    match PathGlob::new(pattern) {
        Ok(glob) => Some(glob),
        Err(error) => {
            reader.mistake(
                &node.path,
                format_args!("{pattern:?} is not a glob: {error}"),
            );
            None
        }
    }
}

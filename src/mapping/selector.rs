//! Which raw items a resource asks for: its kind and the kind's own selector fields. The `query` of a selector,
//! which judges items once they are there, belongs to [`super::resource`].

use std::fmt;

use super::path_glob::PathGlob;
use super::read::{Node, Object, Reader};

/// A kind of raw item, by the name that it has in Port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    Project,
    Repository,
    PullRequest,
    Folder,
    File,
    Workspace,
    User,
    Branch,
    Tag,
    Pipeline,
    Deployment,
    Environment,
}

impl Kind {
    pub const ALL: [Kind; 12] = [
        Kind::Project,
        Kind::Repository,
        Kind::PullRequest,
        Kind::Folder,
        Kind::File,
        Kind::Workspace,
        Kind::User,
        Kind::Branch,
        Kind::Tag,
        Kind::Pipeline,
        Kind::Deployment,
        Kind::Environment,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Kind::Project => "project",
            Kind::Repository => "repository",
            Kind::PullRequest => "pull-request",
            Kind::Folder => "folder",
            Kind::File => "file",
            Kind::Workspace => "workspace",
            Kind::User => "user",
            Kind::Branch => "branch",
            Kind::Tag => "tag",
            Kind::Pipeline => "pipeline",
            Kind::Deployment => "deployment",
            Kind::Environment => "environment",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

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
        folders: Vec<Folder>,
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

/// Branches, tags, pipelines, deployments or environments of a repository, the newest first where there is an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub kind: Kind,
    /// In Bitbucket's query language; branches and tags only.
    pub query: Option<String>,
    /// Globs for the name; empty means every name. Not for pipelines and deployments, which have none.
    pub names: Vec<PathGlob>,
    /// Of pipelines: how old they may be, in days.
    pub since_days: Option<u32>,
    /// Of pipelines: the branch that they ran on.
    pub target_branch: Option<String>,
    /// Items of one repository at most.
    pub limit: usize,
}

/// Items of one repository, unless the selector's `limit` says otherwise: a resync must not explode by default.
const DEFAULT_LIMIT: usize = 200;
/// Days that pipelines are looked back, unless the selector's `sinceDays` says otherwise.
const DEFAULT_SINCE_DAYS: u32 = 30;

/// Which repositories; the default is all that the credentials see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepositoryFilter {
    /// `member`, `contributor`, `admin` or `owner`.
    pub role: Option<String>,
    /// In Bitbucket's query language.
    pub query: Option<String>,
}

impl RepositoryFilter {
    /// Whether it leaves any repository out that the credentials see.
    pub fn selects(&self) -> bool {
        self.role.is_some() || self.query.is_some()
    }
}

/// Folders by path, such as `apps/*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// As the selector writes it; raw items carry it as `pattern`.
    pub pattern: String,
    pub path: PathGlob,
    /// Empty means every repository.
    pub repositories: Vec<FolderRepository>,
}

/// A repository by slug, at a branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderRepository {
    pub name: String,
    /// `None` means the default branch.
    pub branch: Option<String>,
}

/// Files by folder and name, on the default branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSelector {
    /// A file is selected that one of them matches.
    pub paths: Vec<PathGlob>,
    /// Slugs; empty means every repository.
    pub repositories: Vec<String>,
    /// The content stays text.
    pub skip_parsing: bool,
}

/// The pull requests that are asked for unless the selector says otherwise.
const DEFAULT_PULL_REQUEST_QUERY: &str = r#"state="OPEN""#;
/// What `userRole` may be (Bitbucket REST API, repositories of a workspace: `role`).
const ROLES: [&str; 4] = ["member", "contributor", "admin", "owner"];
/// Stands for the default branch in a folder's `branch`.
const DEFAULT_BRANCH: &str = "default";

impl Selector {
    pub(super) fn read(reader: &mut Reader, kind: Kind, selector: &Object<'_>) -> Selector {
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
                    .optional_text(selector, "pullRequestQuery")
                    .unwrap_or_else(|| DEFAULT_PULL_REQUEST_QUERY.to_owned()),
                included_files: reader.texts(selector, "includedFiles"),
            },
            Kind::Folder => Selector::Folder {
                repositories: repositories(),
                folders: read_folders(reader, selector),
                included_files: reader.texts(selector, "includedFiles"),
            },
            Kind::File => Selector::File {
                repositories: repositories(),
                files: read_files(reader, selector),
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
}

impl Part {
    fn read(reader: &mut Reader, kind: Kind, selector: &Object<'_>) -> Part {
        let query = match kind {
            Kind::Branch => reader.optional_text(selector, "branchQuery"),
            Kind::Tag => reader.optional_text(selector, "tagQuery"),
            _ => None,
        };
        let names = if matches!(kind, Kind::Branch | Kind::Tag | Kind::Environment) {
            reader.texts(selector, "names")
        } else {
            Vec::new()
        };
        let node = selector.get("names");
        let globs = names
            .iter()
            .filter_map(|name| read_glob(reader, node.as_ref()?, name));
        let names = globs.collect();
        let is_pipeline = kind == Kind::Pipeline;
        let since_days = is_pipeline
            .then(|| reader.count(selector, "sinceDays"))
            .flatten();
        Part {
            kind,
            query,
            names,
            since_days: is_pipeline.then(|| since_days.unwrap_or(DEFAULT_SINCE_DAYS)),
            target_branch: is_pipeline
                .then(|| reader.optional_text(selector, "targetBranch"))
                .flatten(),
            limit: reader
                .count(selector, "limit")
                .and_then(|limit| usize::try_from(limit).ok())
                .unwrap_or(DEFAULT_LIMIT),
        }
    }
}

impl RepositoryFilter {
    fn read(reader: &mut Reader, selector: &Object<'_>) -> RepositoryFilter {
        let role = reader.optional_text(selector, "userRole");
        if let Some(role) = &role
            && !ROLES.contains(&role.as_str())
        {
            let known = ROLES.join(", ");
            reader.mistake(
                selector.path_of("userRole"),
                format_args!("must be one of {known}, not {role:?}"),
            );
        }
        let query = reader
            .optional_text(selector, "repoQuery")
            .filter(|query| !query.trim().is_empty());
        RepositoryFilter { role, query }
    }
}

fn read_folders(reader: &mut Reader, selector: &Object<'_>) -> Vec<Folder> {
    let Some(node) = selector.get("folders") else {
        return Vec::new();
    };
    let folders = reader.list(&node).unwrap_or_default();
    folders
        .iter()
        .filter_map(|node| {
            if node.value.is_string() {
                return Folder::read(reader, node, Vec::new());
            }
            let folder = reader.object(node)?;
            let path = reader.required(&folder, "path", "give a glob such as apps/*")?;
            let repositories = match folder.get("repos") {
                Some(repositories) if repositories.value.is_string() => reader
                    .text(&repositories)
                    .map(FolderRepository::at_default_branch)
                    .into_iter()
                    .collect(),
                Some(repositories) => {
                    let repositories = reader.list(&repositories).unwrap_or_default();
                    repositories
                        .iter()
                        .filter_map(|node| FolderRepository::read(reader, node))
                        .collect()
                }
                None => Vec::new(),
            };
            Folder::read(reader, &path, repositories)
        })
        .collect()
}

impl FolderRepository {
    fn read(reader: &mut Reader, node: &Node<'_>) -> Option<FolderRepository> {
        if !node.value.is_object() {
            return reader.text(node).map(FolderRepository::at_default_branch);
        }
        let repository = reader.object(node)?;
        let name = reader.required(&repository, "name", "give the repository's slug")?;
        let name = reader.text(&name)?;
        let branch = reader
            .optional_text(&repository, "branch")
            .filter(|branch| branch != DEFAULT_BRANCH);
        Some(FolderRepository { name, branch })
    }

    fn at_default_branch(name: String) -> FolderRepository {
        FolderRepository { name, branch: None }
    }
}

impl Folder {
    fn read(
        reader: &mut Reader,
        path: &Node<'_>,
        repositories: Vec<FolderRepository>,
    ) -> Option<Folder> {
        let pattern = reader.text(path)?;
        let path = read_glob(reader, path, &pattern)?;
        Some(Folder {
            pattern,
            path,
            repositories,
        })
    }
}

fn read_glob(reader: &mut Reader, node: &Node<'_>, pattern: &str) -> Option<PathGlob> {
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

/// `files` is a map, or a list of them as in Port's other Git integrations.
fn read_files(reader: &mut Reader, selector: &Object<'_>) -> Vec<FileSelector> {
    let Some(node) = selector.get("files") else {
        let remedy = "say which, such as {path: '/', filenames: [package.json]}";
        let path = selector.path_of("files");
        reader.problem(
            path,
            format_args!("is missing, so no file is selected: {remedy}"),
        );
        return Vec::new();
    };
    let nodes = if node.value.is_array() {
        reader.list(&node).unwrap_or_default()
    } else {
        vec![node]
    };
    nodes
        .iter()
        .filter_map(|node| FileSelector::read(reader, node))
        .collect()
}

impl FileSelector {
    fn read(reader: &mut Reader, node: &Node<'_>) -> Option<FileSelector> {
        let files = reader.object(node)?;
        let folder = reader
            .optional_text(&files, "path")
            .unwrap_or_else(|| ANYWHERE.to_owned());
        let names = reader.texts(&files, "filenames");
        let patterns: Vec<String> = match names.as_slice() {
            [] if folder.ends_with('/') => {
                let path = files.path_of("filenames");
                let remedy = "name them, such as [package.json, \"*.yml\"]";
                reader.problem(
                    path,
                    format_args!("is missing, so no file is selected: {remedy}"),
                );
                Vec::new()
            }
            // The path itself names the files: `**/port.yml`.
            [] => vec![folder],
            names => names.iter().map(|name| in_folder(&folder, name)).collect(),
        };
        let paths = patterns
            .iter()
            .filter_map(|pattern| read_glob(reader, node, pattern))
            .collect();
        Some(FileSelector {
            paths,
            repositories: reader.texts(&files, "repos"),
            skip_parsing: reader.flag(&files, "skipParsing").unwrap_or(false),
        })
    }
}

/// Stands for every folder, the root included.
const ANYWHERE: &str = "*/";

fn in_folder(folder: &str, name: &str) -> String {
    match folder.trim_matches('/') {
        "*" | "**" => format!("**/{name}"),
        folder => format!("{folder}/{name}"),
    }
}

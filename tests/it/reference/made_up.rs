//! Workspaces and mappings that nobody thought of, as plain data.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::contents::{Content, file, files};
use super::objects::{MadeUpPullRequest, PROJECTS, QUERIES, pull_request, written};

/// The blueprint of what is there only to be counted.
pub(super) const COUNTED: &str = "counted";

/// Names of repositories, and the slugs that Bitbucket makes of them.
pub(super) const REPOSITORIES: [(&str, &str); 4] = [
    ("Checkout Service", "checkout-service"),
    ("payments", "payments"),
    ("A.B_C", "a.b_c"),
    ("Zürich", "zurich"),
];

const FOLDER_PATTERNS: [&str; 10] = [
    "*",
    "apps/*",
    "apps/**",
    "**/deploy",
    "services/*/b",
    "apps",
    "/apps/",
    "Docs*",
    "a?ps",
    "**",
];

const FILE_PATHS: [&str; 14] = [
    "",
    " ",
    "*",
    "*/",
    "**/*",
    "/",
    "apps",
    "/apps/",
    "apps/*",
    "*/deploy",
    "app?",
    "[as]*",
    "services/[!b]",
    "Docs dir",
];

const FILE_NAMES: [&[&str]; 7] = [
    &["catalog.yml"],
    &["*.yml", "*.yaml"],
    &["README.md", "data.json"],
    &["deploy/catalog.yml"],
    &["web/*.md", "x.txt"],
    &["data.json"],
    &["atalog.yml"],
];

const REPOSITORY_NAMES: [&str; 12] = [
    "checkout-service",
    "Checkout Service",
    "CHECKOUT-SERVICE",
    "Checkout-service",
    "Payments",
    "payments",
    "a.b_c",
    "ZÜRICH",
    "zurich",
    "fork-of-payments",
    "nobody",
    "",
];

const INCLUDED: [&str; 8] = [
    "README.md",
    "./README.md",
    "../README.md",
    "apps/web",
    "apps/web/catalog.yml",
    "./deploy/../catalog.yml",
    "none.md",
    "/x.txt",
];

#[derive(Clone, Debug)]
pub(super) struct MadeUpRepository {
    /// By path; empty for a repository without commits.
    pub(super) main: BTreeMap<String, Content>,
    /// What a second branch adds.
    pub(super) develop: Option<BTreeMap<String, Content>>,
}

/// A repository by its name, and the branch of it.
pub(super) type Place = (&'static str, Option<&'static str>);

#[derive(Clone, Debug)]
pub(super) enum MadeUpResource {
    Repository {
        included: Vec<&'static str>,
    },
    Folder {
        /// Patterns, each with the repositories that it is about and their branches.
        patterns: Vec<(&'static str, Vec<Place>)>,
        included: Vec<&'static str>,
    },
    File {
        path: Option<&'static str>,
        names: &'static [&'static str],
        repositories: Vec<&'static str>,
        skip_parsing: bool,
        included: Vec<&'static str>,
    },
    PullRequest {
        query: Option<&'static str>,
        included: Vec<&'static str>,
    },
    Project,
}

#[derive(Clone, Debug)]
pub(super) enum Change {
    Write {
        repository: usize,
        path: String,
        content: Content,
    },
    Remove {
        repository: usize,
        path: String,
    },
    Fork {
        repository: usize,
    },
    Open {
        repository: usize,
        pull_request: MadeUpPullRequest,
    },
    /// Of the pull request with this number.
    Decline {
        repository: usize,
        id: usize,
    },
    /// Of the project at this position.
    Rename {
        project: usize,
        name: &'static str,
    },
}

#[derive(Clone, Debug)]
pub(super) struct MadeUp {
    /// In the order of [`REPOSITORIES`].
    pub(super) repositories: Vec<MadeUpRepository>,
    /// What the main branches held first; second branches begin there.
    pub(super) first: Vec<BTreeMap<String, Content>>,
    /// What was forked, and what it held then.
    pub(super) forks: BTreeMap<usize, MadeUpRepository>,
    /// Of each repository, by number from 1.
    pub(super) pull_requests: Vec<Vec<MadeUpPullRequest>>,
    /// Names, in the order of [`PROJECTS`]; only the first one has repositories.
    pub(super) projects: Vec<&'static str>,
    pub(super) resources: Vec<MadeUpResource>,
    pub(super) changes: Vec<Change>,
}

impl MadeUp {
    /// The mapping: an entity per item, with everything that the rules say of the item.
    pub(super) fn mapping(&self) -> Value {
        let resources = self.resources.iter().enumerate();
        let resources = resources.map(|(number, resource)| {
            let (kind, mut selector, identifier, raw) = resource.written();
            selector["query"] = json!("true");
            json!({"kind": kind, "selector": selector, "port": {"entity": {"mappings": {
                "identifier": format!("{identifier} | tojson | @base64"),
                "blueprint": format!("'r{number}'"),
                "properties": {"raw": raw},
            }}}})
        });
        // Events may delete as much as the last run has counted: enough, whatever the made-up resources give.
        let counted = (0..10).map(|number| {
            json!({"kind": "workspace", "selector": {"query": "true"}, "port": {"entity": {"mappings": {
                "identifier": format!("'{number}'"), "blueprint": format!("'{COUNTED}'"),
            }}}})
        });
        let resources: Vec<Value> = resources.chain(counted).collect();
        json!({"entityDeletionThreshold": 1, "resources": resources})
    }

    /// The change that is chosen, or a file where that one is not to be had.
    fn choose(&self, (repository, (path, content), pull_request, choice): Choice) -> Change {
        let holds = &self.repositories[repository].main;
        let mut pull_requests = self.pull_requests[repository].iter();
        let open = pull_requests.position(|one| one.state == "OPEN");
        match (choice, open) {
            (0, _) if !self.forks.contains_key(&repository) => Change::Fork { repository },
            (1, _) if 1 < holds.len() => {
                let path = holds.keys().next().cloned().unwrap();
                Change::Remove { repository, path }
            }
            (2, _) => Change::Open {
                repository,
                pull_request: MadeUpPullRequest {
                    state: "OPEN",
                    ..pull_request
                },
            },
            (3, Some(position)) => Change::Decline {
                repository,
                id: position + 1,
            },
            (4, _) => Change::Rename {
                project: self.projects.len() - 1,
                name: "Another name",
            },
            _ => Change::Write {
                repository,
                path,
                content,
            },
        }
    }

    pub(super) fn apply(&mut self, change: &Change) {
        match change {
            Change::Write {
                repository,
                path,
                content,
            } => {
                let main = &mut self.repositories[*repository].main;
                main.insert(path.clone(), content.clone());
            }
            Change::Remove { repository, path } => {
                self.repositories[*repository].main.remove(path);
            }
            Change::Fork { repository } => {
                let forked = self.repositories[*repository].clone();
                self.forks.insert(*repository, forked);
            }
            Change::Open {
                repository,
                pull_request,
            } => self.pull_requests[*repository].push(pull_request.clone()),
            Change::Decline { repository, id } => {
                self.pull_requests[*repository][id - 1].state = "DECLINED";
            }
            Change::Rename { project, name } => self.projects[*project] = name,
        }
    }
}

impl MadeUpResource {
    fn written(&self) -> (&'static str, Value, &'static str, &'static str) {
        match self {
            MadeUpResource::Repository { included } => (
                "repository",
                json!({ "includedFiles": included }),
                "[.slug]",
                "{included: .__includedFiles}",
            ),
            MadeUpResource::Folder { patterns, included } => {
                let folders = patterns.iter().map(|(path, repositories)| {
                    let repositories = repositories.iter().map(|(name, branch)| match branch {
                        Some(branch) => json!({"name": name, "branch": branch}),
                        None => json!({"name": name}),
                    });
                    let repositories: Vec<Value> = repositories.collect();
                    json!({"path": path, "repos": repositories})
                });
                (
                    "folder",
                    json!({"folders": folders.collect::<Vec<Value>>(), "includedFiles": included}),
                    "[.repo.slug, .branch, .folder.path, .pattern]",
                    "{included: .__includedFiles, name: .folder.name}",
                )
            }
            MadeUpResource::File {
                path,
                names,
                repositories,
                skip_parsing,
                included,
            } => {
                let mut files =
                    json!({"filenames": names, "repos": repositories, "skipParsing": skip_parsing});
                if let Some(path) = path {
                    files["path"] = json!(path);
                }
                (
                    "file",
                    json!({"files": files, "includedFiles": included}),
                    "[.repo.slug, .metadata.path]",
                    "{included: .__includedFiles, content: .content, file: .file, \
                     repository: .metadata.commit.repository.name, branch: .branch}",
                )
            }
            MadeUpResource::PullRequest { query, included } => written(*query, included),
            MadeUpResource::Project => ("project", json!({}), "[.key]", "{name: .name}"),
        }
    }
}

fn repository() -> impl Strategy<Value = MadeUpRepository> {
    let develop = prop::option::of(files(3));
    (files(8), develop).prop_map(|(main, develop)| MadeUpRepository {
        // A branch begins at the main one, and nothing is no commit.
        develop: develop.filter(|develop| !main.is_empty() && !develop.is_empty()),
        main,
    })
}

fn some(of: &'static [&'static str], most: usize) -> impl Strategy<Value = Vec<&'static str>> {
    prop::sample::subsequence(of.to_vec(), 0..=most)
}

fn resource() -> impl Strategy<Value = MadeUpResource> {
    let included = || some(&INCLUDED, 3);
    let branch = || prop::option::of(select(vec!["default", "develop", "gone"]));
    let repositories = prop::collection::vec((select(&REPOSITORY_NAMES[..]), branch()), 0..3);
    let patterns = prop::collection::vec((select(&FOLDER_PATTERNS[..]), repositories), 0..3);
    prop_oneof![
        1 => included().prop_map(|included| MadeUpResource::Repository { included }),
        2 => (patterns, included())
            .prop_map(|(patterns, included)| MadeUpResource::Folder { patterns, included }),
        1 => Just(MadeUpResource::Project),
        2 => (prop::option::of(select(&QUERIES[..])), included())
            .prop_map(|(query, included)| MadeUpResource::PullRequest { query, included }),
        4 => (
            prop::option::of(select(&FILE_PATHS[..])),
            select(&FILE_NAMES[..]),
            some(&REPOSITORY_NAMES, 3),
            prop::bool::weighted(0.2),
            included(),
        )
            .prop_map(|(path, names, repositories, skip_parsing, included)| {
                MadeUpResource::File { path, names, repositories, skip_parsing, included }
            }),
    ]
}

/// Where, what is written or opened there, and which of all changes it is.
type Choice = (usize, (String, Content), MadeUpPullRequest, u8);

fn change(repositories: Vec<usize>) -> impl Strategy<Value = Choice> {
    (select(repositories), file(), pull_request(), 0..7_u8)
}

pub(super) fn made_up() -> impl Strategy<Value = MadeUp> {
    let repository = (repository(), prop::collection::vec(pull_request(), 0..3));
    let repositories = prop::collection::vec(repository, 1..=REPOSITORIES.len());
    let resources = prop::collection::vec(resource(), 1..4);
    let projects = 1..=PROJECTS.len();
    (repositories, resources, projects).prop_flat_map(|(repositories, resources, projects)| {
        let (repositories, mut pull_requests): (Vec<_>, Vec<_>) = repositories.into_iter().unzip();
        for (repository, requests) in repositories.iter().zip(&mut pull_requests) {
            // A pull request needs a commit.
            requests.truncate(if repository.main.is_empty() { 0 } else { 3 });
        }
        // What holds nothing yet gets its first commit elsewhere.
        let full: Vec<usize> = (0..repositories.len())
            .filter(|number| !repositories[*number].main.is_empty())
            .collect();
        let changes = match full.is_empty() {
            true => Just(Vec::new()).boxed(),
            false => prop::collection::vec(change(full), 0..3).boxed(),
        };
        changes.prop_map(move |choices| {
            let mut made_up = MadeUp {
                first: repositories.iter().map(|one| one.main.clone()).collect(),
                repositories: repositories.clone(),
                forks: BTreeMap::new(),
                pull_requests: pull_requests.clone(),
                projects: PROJECTS
                    .iter()
                    .take(projects)
                    .map(|(_, name)| *name)
                    .collect(),
                resources: resources.clone(),
                changes: Vec::new(),
            };
            let mut now = made_up.clone();
            for choice in choices {
                let change = now.choose(choice);
                now.apply(&change);
                made_up.changes.push(change);
            }
            made_up
        })
    })
}

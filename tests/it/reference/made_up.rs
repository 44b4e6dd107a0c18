//! Workspaces and mappings that nobody thought of, as plain data.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

/// Names of repositories, and the slugs that Bitbucket makes of them.
pub(super) const REPOSITORIES: [(&str, &str); 4] = [
    ("Checkout Service", "checkout-service"),
    ("payments", "payments"),
    ("A.B_C", "a.b_c"),
    ("Zürich", "zurich"),
];

const FOLDERS: [&str; 7] = [
    "",
    "apps/",
    "apps/web/",
    "apps/web/deploy/",
    "services/a/",
    "services/a/b/",
    "Docs dir/",
];

const NAMES: [&str; 7] = [
    "catalog.yml",
    "README.md",
    "port.yaml",
    "data.json",
    "x.txt",
    "two\nlines\t#1?.yml",
    "\"50%\" back\\slash ü.yml",
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

/// What a file holds, and what that means by its name.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Content {
    pub(super) text: String,
    pub(super) parsed: Value,
}

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
}

#[derive(Clone, Debug)]
pub(super) struct MadeUp {
    /// In the order of [`REPOSITORIES`].
    pub(super) repositories: Vec<MadeUpRepository>,
    /// What the main branches held first; second branches begin there.
    pub(super) first: Vec<BTreeMap<String, Content>>,
    /// What was forked, and what it held then.
    pub(super) forks: BTreeMap<usize, MadeUpRepository>,
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
        json!({"entityDeletionThreshold": 1, "resources": resources.collect::<Vec<Value>>()})
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
        }
    }
}

/// YAML texts with what `PyYAML` makes of them.
static YAML: LazyLock<Vec<Content>> = LazyLock::new(|| {
    let vectors = include_str!("../../fixtures/vectors/yaml-11.json");
    let vectors: Value = serde_json::from_str(vectors).unwrap();
    let cases = vectors["cases"].as_array().unwrap().iter();
    let contents = cases.map(|case| {
        let text = case["yaml"].as_str().unwrap().to_owned();
        let parsed = match (case.get("value"), case.get("documents")) {
            (Some(value), _) => value.clone(),
            (None, Some(documents)) => documents.clone(),
            (None, None) => json!(text),
        };
        Content { text, parsed }
    });
    contents.collect()
});

/// What `file://` means is up to the place of the file: see `meaning`.
const REFERENCES: [&str; 6] = [
    "file://README.md",
    "file://data.json",
    "file://./README.md",
    "file://../port.yaml",
    "file:///x.txt",
    "file://nowhere",
];

fn content(name: &'static str) -> BoxedStrategy<Content> {
    let plain = |text: &str, parsed: Value| Content {
        text: text.to_owned(),
        parsed,
    };
    if name.ends_with(".json") {
        return select(vec![
            plain("{\"a\": [1, null]}", json!({"a": [1, null]})),
            plain("\u{feff}[1]", json!([1])),
            plain("{\"a\": NaN, \"b\": 1e400}", json!({"a": null, "b": null})),
            plain("{oops", json!("{oops")),
            plain("\"half \\ud83d\"", json!("half \u{fffd}")),
        ])
        .boxed();
    }
    if name.ends_with("ml") {
        let referring = select(&REFERENCES[..]).prop_map(|reference| Content {
            text: format!("a: 1\nb: [{reference}]\n"),
            parsed: json!({"a": 1, "b": [reference]}),
        });
        return prop_oneof![3 => select(YAML.clone()), 1 => referring].boxed();
    }
    select(vec!["one\n", "two", "Zürich\n", ""])
        .prop_map(|text| Content {
            text: text.to_owned(),
            parsed: json!(text),
        })
        .boxed()
}

fn file() -> impl Strategy<Value = (String, Content)> {
    (select(&FOLDERS[..]), select(&NAMES[..])).prop_flat_map(|(folder, name)| {
        content(name).prop_map(move |content| (format!("{folder}{name}"), content))
    })
}

fn files(most: usize) -> impl Strategy<Value = BTreeMap<String, Content>> {
    prop::collection::vec(file(), 0..=most).prop_map(|files| files.into_iter().collect())
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

pub(super) fn made_up() -> impl Strategy<Value = MadeUp> {
    let repositories = prop::collection::vec(repository(), 1..=REPOSITORIES.len());
    let resources = prop::collection::vec(resource(), 1..4);
    (repositories, resources).prop_flat_map(|(repositories, resources)| {
        // What holds nothing yet gets its first commit elsewhere.
        let full: Vec<usize> = (0..repositories.len())
            .filter(|number| !repositories[*number].main.is_empty())
            .collect();
        let changes = match full.is_empty() {
            true => Just(Vec::new()).boxed(),
            false => prop::collection::vec((select(full), file(), 0..4), 0..3).boxed(),
        };
        changes.prop_map(move |choices| {
            let mut made_up = MadeUp {
                first: repositories.iter().map(|one| one.main.clone()).collect(),
                repositories: repositories.clone(),
                forks: BTreeMap::new(),
                resources: resources.clone(),
                changes: Vec::new(),
            };
            let mut now = made_up.clone();
            for (repository, (path, content), choice) in choices {
                let holds = &now.repositories[repository].main;
                let change = match choice {
                    0 if !now.forks.contains_key(&repository) => Change::Fork { repository },
                    1 if 1 < holds.len() => {
                        let path = holds.keys().next().cloned().unwrap();
                        Change::Remove { repository, path }
                    }
                    _ => Change::Write {
                        repository,
                        path,
                        content,
                    },
                };
                now.apply(&change);
                made_up.changes.push(change);
            }
            made_up
        })
    })
}

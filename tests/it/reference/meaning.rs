//! What the rules say of a made-up workspace under a made-up mapping, sentence by sentence. Slow, and apart from the product:
//! it shares no code with it.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::Entities;
use super::contents::Content;
use super::made_up::{MadeUp, MadeUpResource, REPOSITORIES};
use super::objects::{MadeUpPullRequest, PROJECTS, meant};

/// A repository at rest.
struct Repository {
    name: String,
    slug: String,
    main: BTreeMap<String, Content>,
    develop: Option<BTreeMap<String, Content>>,
    pull_requests: Vec<MadeUpPullRequest>,
}

/// What holds for every kind: an item per thing that a selector means, an entity per item.
pub(super) fn entities(made_up: &MadeUp) -> Entities {
    let mut repositories = Vec::new();
    let named = made_up.repositories.iter().enumerate();
    for (number, repository) in named {
        let (name, slug) = REPOSITORIES[number];
        repositories.push((number, name.to_owned(), slug.to_owned(), repository));
    }
    // "Files of forks are included."
    for (number, fork) in &made_up.forks {
        let (_, slug) = REPOSITORIES[*number];
        let (name, slug) = (format!("Fork of {slug}"), format!("fork-of-{slug}"));
        repositories.push((*number, name, slug, fork));
    }
    let mut entities = Entities::new();
    for (number, resource) in made_up.resources.iter().enumerate() {
        if let MadeUpResource::Project = resource {
            let made = entities.entry(format!("r{number}")).or_default();
            for ((key, _), name) in PROJECTS.iter().zip(&made_up.projects) {
                made.insert(
                    STANDARD.encode(json!([key]).to_string()),
                    json!({ "name": name }),
                );
            }
        }
    }
    for (number, name, slug, repository) in repositories {
        let develop = repository.develop.as_ref().map(|added| {
            let mut develop = made_up.first[number].clone();
            develop.extend(added.clone());
            develop
        });
        let repository = Repository {
            name,
            slug: slug.clone(),
            main: repository.main.clone(),
            develop,
            // A fork begins with none.
            pull_requests: match REPOSITORIES[number].1 == slug {
                true => made_up.pull_requests[number].clone(),
                false => Vec::new(),
            },
        };
        for (number, resource) in made_up.resources.iter().enumerate() {
            let made = entities.entry(format!("r{number}")).or_default();
            let shared = shared(&made_up.resources, resource);
            for (identifier, raw) in repository.items(resource, &shared) {
                made.insert(STANDARD.encode(identifier.to_string()), raw);
            }
        }
    }
    entities
}

/// "Resources with one query share the files that go along."
fn shared<'m>(resources: &'m [MadeUpResource], of: &MadeUpResource) -> Vec<&'m str> {
    let mut files = Vec::new();
    for resource in resources {
        match (resource, of) {
            (MadeUpResource::Repository { included }, MadeUpResource::Repository { .. }) => {
                files.extend(included);
            }
            (
                MadeUpResource::PullRequest { query, included },
                MadeUpResource::PullRequest { query: own, .. },
            ) if meant(*query) == meant(*own) => files.extend(included),
            _ => {}
        }
    }
    files
}

impl Repository {
    fn items(&self, resource: &MadeUpResource, shared: &[&str]) -> Vec<(Value, Value)> {
        match resource {
            MadeUpResource::Repository { .. } => {
                let files = self.included(&self.main, "", shared);
                vec![(json!([self.slug]), json!({ "included": files }))]
            }
            MadeUpResource::Folder { patterns, included } => {
                let mut items = Vec::new();
                for (pattern, repositories) in patterns {
                    for branch in self.branches(repositories) {
                        items.extend(self.folders(pattern, branch, included));
                    }
                }
                items
            }
            MadeUpResource::File {
                path,
                names,
                repositories,
                skip_parsing,
                included,
            } => {
                let is_meant =
                    repositories.is_empty() || repositories.iter().any(|name| self.is_called(name));
                let wanted = self.main.keys().filter(|file| {
                    is_meant && names.iter().any(|name| is_selected(*path, name, file))
                });
                wanted
                    .map(|file| self.file(file, *skip_parsing, included))
                    .collect()
            }
            MadeUpResource::PullRequest { query, .. } => {
                let numbered = (1..).zip(&self.pull_requests);
                let selected = numbered.filter(|(_, one)| one.is_selected(meant(*query)));
                selected
                    .map(|(id, one)| self.pull_request(id, one, shared))
                    .collect()
            }
            MadeUpResource::Project => Vec::new(),
        }
    }

    /// "Files go along from the branch that a pull request goes to."
    fn pull_request(
        &self,
        id: u64,
        pull_request: &MadeUpPullRequest,
        shared: &[&str],
    ) -> (Value, Value) {
        let mut raw = pull_request.raw();
        raw["included"] = self.included(&self.main, "", shared);
        (json!([format!("acme/{}", self.slug), id]), raw)
    }

    /// "A name matches slug, display name, or display name with blanks as dashes, in any case."
    fn is_called(&self, name: &str) -> bool {
        let lower = |text: &str| {
            text.chars()
                .flat_map(char::to_lowercase)
                .collect::<String>()
        };
        let dashed: String = self
            .name
            .chars()
            .map(|c| if c == ' ' { '-' } else { c })
            .collect();
        let known = [lower(&self.slug), lower(&self.name), lower(&dashed)];
        !name.is_empty() && known.contains(&lower(name))
    }

    /// The branches that a folder's `repos` mean here: the default branch where there is no `repos`.
    fn branches(&self, repositories: &[(&str, Option<&str>)]) -> Vec<&'static str> {
        let mut branches = Vec::new();
        if repositories.is_empty() {
            branches.push("main");
        }
        for (name, branch) in repositories {
            if self.is_called(name) {
                branches.push(match branch {
                    None | Some("default") => "main",
                    Some("develop") => "develop",
                    Some(_) => "gone",
                });
            }
        }
        branches
    }

    fn tree(&self, branch: &str) -> Option<&BTreeMap<String, Content>> {
        match branch {
            "main" => Some(&self.main),
            "develop" => self.develop.as_ref(),
            _ => None,
        }
    }

    /// "Folder patterns are globs": `*` stays within a segment, `**` spans any number of them.
    fn folders(
        &self,
        pattern: &str,
        branch: &'static str,
        included: &[&str],
    ) -> Vec<(Value, Value)> {
        let Some(tree) = self.tree(branch) else {
            return Vec::new();
        };
        let mut folders = Vec::new();
        for file in tree.keys() {
            let mut path = file.as_str();
            while let Some((parent, _)) = path.rsplit_once('/') {
                if !folders.contains(&parent) {
                    folders.push(parent);
                }
                path = parent;
            }
        }
        let segments: Vec<&str> = pattern.split('/').filter(|one| !one.is_empty()).collect();
        let matching = folders.into_iter().filter(|folder| {
            let path: Vec<&str> = folder.split('/').collect();
            glob(&segments, &path)
        });
        matching
            .map(|folder| {
                let identifier = json!([self.slug, branch, folder, pattern]);
                let name = folder.rsplit('/').next();
                let files = self.included(tree, folder, included);
                (identifier, json!({"included": files, "name": name}))
            })
            .collect()
    }

    fn file(&self, path: &str, skip_parsing: bool, included: &[&str]) -> (Value, Value) {
        let content = &self.main[path];
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let text = content.text.trim_start_matches('\u{feff}');
        let value = match skip_parsing {
            true => json!(text),
            false => self.filled(&content.parsed, folder),
        };
        let files = self.included(&self.main, folder, included);
        let raw = json!({
            "included": files,
            "content": value,
            "file": {
                "path": path, "name": name, "directory": folder, "content": value,
                "size": content.text.len(),
            },
            "repository": self.name,
            "branch": "main",
        });
        (json!([self.slug, path]), raw)
    }

    /// "Included files are read from the root; `./` is relative to the folder. A folder is null."
    fn included(&self, tree: &BTreeMap<String, Content>, folder: &str, paths: &[&str]) -> Value {
        if paths.is_empty() {
            return Value::Null;
        }
        let mut files = Map::new();
        for path in paths {
            let base = if path.starts_with('.') { folder } else { "" };
            let file = tree.get(&joined(base, path));
            let text = file.map(|file| file.text.trim_start_matches('\u{feff}'));
            files.insert((*path).to_owned(), json!(text));
        }
        Value::Object(files)
    }

    /// "`file://` inside parsed values: beside the file first, then the root; JSON and YAML are parsed."
    fn filled(&self, value: &Value, folder: &str) -> Value {
        match value {
            Value::String(text) => match text.strip_prefix("file://") {
                None => value.clone(),
                Some(path) => {
                    let beside = self.main.get(&joined(folder, path));
                    let in_root = self.main.get(&joined("", path));
                    let found = match path {
                        path if path.starts_with('.') => beside,
                        path if path.starts_with('/') => in_root,
                        _ => beside.or(in_root),
                    };
                    found.map_or(Value::Null, |found| found.parsed.clone())
                }
            },
            Value::Array(items) => items.iter().map(|item| self.filled(item, folder)).collect(),
            Value::Object(entries) => {
                let entries = entries.iter();
                let entries = entries.map(|(key, value)| (key.clone(), self.filled(value, folder)));
                Value::Object(entries.collect())
            }
            other => other.clone(),
        }
    }
}

fn joined(base: &str, path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in base.split('/').chain(path.split('/')) {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            segment => segments.push(segment),
        }
    }
    segments.join("/")
}

/// "`path` is a Python fnmatch pattern on the folder; slashes at its ends do not matter; five spellings are everything, `/` is
/// the root alone. File names match whole segments."
fn is_selected(path: Option<&str>, name: &str, file: &str) -> bool {
    let mut at = 0;
    let folder = loop {
        let rest: String = file.chars().skip(at).collect();
        if fnmatch(name, &rest) && name.matches('/').count() == rest.matches('/').count() {
            break file.chars().take(at.saturating_sub(1)).collect::<String>();
        }
        match rest.find('/') {
            Some(_) => at += rest.chars().take_while(|c| *c != '/').count() + 1,
            None => return false,
        }
    };
    match path.unwrap_or_default().trim() {
        "" | "*" | "*/" | "**" | "**/*" => true,
        path => match path.trim_matches('/') {
            "" => folder.is_empty(),
            path => fnmatch(path, &folder),
        },
    }
}

/// Python's fnmatch: `*` is any text, `?` any character, `[..]` and `[!..]` sets.
fn fnmatch(pattern: &str, text: &str) -> bool {
    let (mut pattern_rest, mut text_rest) = (pattern.chars(), text.chars());
    match pattern_rest.next() {
        None => text.is_empty(),
        Some('*') => {
            let pattern = pattern_rest.as_str();
            (0..=text.chars().count())
                .any(|skip| fnmatch(pattern, &text.chars().skip(skip).collect::<String>()))
        }
        Some('[') => {
            let rest = pattern_rest.as_str();
            let Some((set, rest)) = rest.split_once(']') else {
                return text_rest.next() == Some('[') && fnmatch(rest, text_rest.as_str());
            };
            let is_in = |c: char| match set.strip_prefix('!') {
                Some(set) => !set.contains(c),
                None => set.contains(c),
            };
            text_rest.next().is_some_and(is_in) && fnmatch(rest, text_rest.as_str())
        }
        Some(wanted) => {
            let next = text_rest.next();
            next.is_some_and(|c| wanted == '?' || wanted == c)
                && fnmatch(pattern_rest.as_str(), text_rest.as_str())
        }
    }
}

fn glob(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern, path) {
        ([], path) => path.is_empty(),
        (["**"], path) => !path.is_empty(),
        (["**", rest @ ..], path) => (0..=path.len()).any(|skip| glob(rest, &path[skip..])),
        (_, []) => false,
        ([first, pattern @ ..], [segment, path @ ..]) => {
            fnmatch(first, segment) && glob(pattern, path)
        }
    }
}

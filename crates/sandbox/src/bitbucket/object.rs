//! What exists in a workspace, by name, and how a single object is made to look wrong.

use std::fmt;

use serde_json::Value;

use super::Bitbucket;
use super::state::State;

/// Stands in a text for half a surrogate pair: answers and webhook bodies have `\ud83d` in its place, which is JSON to many parsers and
/// none to others.
pub const HALF_SURROGATE: char = '\u{f8ff}';

/// What Bitbucket writes for [`HALF_SURROGATE`].
pub(crate) const WRITTEN: &str = "\\ud83d";

/// One thing that exists. Repositories and projects are named by uuid, as people are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Object {
    Project(String),
    Repository(String),
    PullRequest(String, u64),
    Branch(String, String),
    Tag(String, String),
    /// A file of the main branch's head, by path.
    File(String, String),
    Pipeline(String, String),
    Deployment(String, String),
    Environment(String, String),
    Member(String),
}

/// What an object shows at a place that is not so in the workspace.
#[derive(Clone, Debug)]
pub(super) struct Distortion {
    pub(super) object: Object,
    /// A JSON pointer whose parent exists.
    pointer: String,
    /// None: nothing is there.
    value: Option<Value>,
}

impl Bitbucket {
    /// Everything that exists, in order: what a list of it must show to be complete.
    pub fn objects(&self) -> Vec<Object> {
        let model = self.model();
        let state = &model.state;
        let mut objects: Vec<Object> = Vec::new();
        let projects = state.projects.iter();
        objects.extend(projects.map(|project| Object::Project(project.uuid.clone())));
        for repository in &state.repositories {
            let uuid = || repository.uuid.clone();
            objects.push(Object::Repository(uuid()));
            let pull_requests = repository.pull_requests.keys();
            objects.extend(pull_requests.map(|id| Object::PullRequest(uuid(), *id)));
            let branches = repository.branches.keys();
            objects.extend(branches.map(|name| Object::Branch(uuid(), name.clone())));
            let tags = repository.tags.keys();
            objects.extend(tags.map(|name| Object::Tag(uuid(), name.clone())));
            let head = repository.head();
            let head = head.and_then(|hash| repository.commits.get(&hash));
            let paths = head.into_iter().flat_map(|commit| commit.tree.keys());
            objects.extend(paths.map(|path| Object::File(uuid(), path.clone())));
            let pipelines = repository.pipelines.iter().flatten();
            objects.extend(pipelines.map(|it| Object::Pipeline(uuid(), it.uuid.clone())));
            let deployments = repository.deployments.iter();
            objects.extend(deployments.map(|it| Object::Deployment(uuid(), it.uuid.clone())));
            let environments = repository.environments.iter();
            objects.extend(environments.map(|it| Object::Environment(uuid(), it.uuid.clone())));
        }
        let members = state.users.iter().filter(|user| !user.former);
        objects.extend(members.map(|user| Object::Member(user.uuid.clone())));
        objects.sort();
        objects
    }

    /// From now on whatever shows `object` in full, answers and webhook bodies, has `value` at `pointer` (`/author`,
    /// `/reviewers/0`, `/display_name`); with None, nothing. Another call with the same pointer replaces this one. Files show no JSON
    /// of their own: push what they should hold.
    pub fn distort(&self, object: Object, pointer: &str, value: impl Into<Option<Value>>) {
        let distortions = &mut self.model().state.distortions;
        distortions.retain(|it| it.object != object || it.pointer != pointer);
        distortions.push(Distortion {
            object,
            pointer: pointer.to_owned(),
            value: value.into(),
        });
    }
}

impl State {
    /// `value`, which shows `object`, as it is to look.
    pub(super) fn shown(&self, object: impl FnOnce() -> Object, mut value: Value) -> Value {
        // Most workspaces have none, and most objects are shown often.
        if self.distortions.is_empty() {
            return value;
        }
        let object = object();
        for distortion in self.distortions.iter().filter(|it| it.object == object) {
            distortion.apply(&mut value);
        }
        value
    }
}

impl Distortion {
    fn apply(&self, value: &mut Value) {
        let Some((parent, name)) = self.pointer.rsplit_once('/') else {
            return;
        };
        match (value.pointer_mut(parent), &self.value) {
            (Some(Value::Object(members)), Some(value)) => {
                members.insert(name.to_owned(), value.clone());
            }
            (Some(Value::Object(members)), None) => {
                members.shift_remove(name);
            }
            (Some(Value::Array(items)), value) => {
                let place = name.parse().unwrap_or(items.len());
                match (items.get_mut(place), value) {
                    (Some(item), Some(value)) => *item = value.clone(),
                    (Some(_), None) => {
                        items.remove(place);
                    }
                    (None, value) => items.extend(value.clone()),
                }
            }
            _ => {}
        }
    }
}

/// JSON with each [`HALF_SURROGATE`] as Bitbucket writes it.
pub(super) fn with_half_surrogates(json: Vec<u8>) -> Vec<u8> {
    match String::from_utf8(json) {
        Ok(text) if text.contains(HALF_SURROGATE) => {
            text.replace(HALF_SURROGATE, WRITTEN).into_bytes()
        }
        Ok(text) => text.into_bytes(),
        Err(other) => other.into_bytes(),
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Object::Project(uuid) => write!(f, "project {uuid}"),
            Object::Repository(uuid) => write!(f, "repository {uuid}"),
            Object::PullRequest(uuid, id) => write!(f, "pull request {uuid}#{id}"),
            Object::Branch(uuid, name) => write!(f, "branch {uuid} {name}"),
            Object::Tag(uuid, name) => write!(f, "tag {uuid} {name}"),
            Object::File(uuid, path) => write!(f, "file {uuid} {path}"),
            Object::Pipeline(uuid, of) => write!(f, "pipeline {uuid} {of}"),
            Object::Deployment(uuid, of) => write!(f, "deployment {uuid} {of}"),
            Object::Environment(uuid, of) => write!(f, "environment {uuid} {of}"),
            Object::Member(uuid) => write!(f, "member {uuid}"),
        }
    }
}

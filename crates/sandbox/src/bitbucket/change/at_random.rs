//! A change chosen by a number, for tests that try many.

use anyhow::Context as _;

use super::{NewPullRequest, PullRequestChange};
use crate::bitbucket::state::{PullRequestState, State};
use crate::bitbucket::{Bitbucket, FileKind};
use crate::random::Random;
use crate::webhook::Delivery;

/// Choices that turn out impossible, such as a merge without an open pull request, before giving up.
const ATTEMPTS: usize = 200;

const PATHS: [&str; 7] = [
    "README.md",
    "CODEOWNERS",
    "port.yml",
    "package.json",
    "docs/guide/index.md",
    "src/lib.rs",
    "services/new/package.json",
];

impl Bitbucket {
    /// Makes a change and returns what it was, in words, with its deliveries. The same workspace and `choice` give the
    /// same change.
    ///
    /// Only changes of which the deliveries tell all are made: nothing is created or deleted in silence, and no
    /// repository that another refers to is renamed or goes.
    pub fn change_at_random(&self, choice: u64) -> anyhow::Result<(String, Vec<Delivery>)> {
        let mut random = Random(choice);
        for _ in 0..ATTEMPTS {
            let kind = random.below(KINDS.len());
            let (name, make) = KINDS.get(kind).context("no kind of change")?;
            let before = {
                let model = self.model();
                (model.state.clone(), model.memory.clone())
            };
            match make(self, &mut random) {
                Ok((what, deliveries)) => return Ok((format!("{name} {what}"), deliveries)),
                Err(error) => {
                    // Half a change would be one that no delivery tells of.
                    let mut model = self.model();
                    (model.state, model.memory) = before;
                    tracing::trace!(%error, name, "not possible here");
                }
            }
        }
        anyhow::bail!("no change is possible")
    }

    fn any_repository(&self, random: &mut Random) -> anyhow::Result<String> {
        let all = self.repositories();
        random.one_of(&all).cloned().context("no repository")
    }

    /// The uuids of repositories that no other has to do with: what is told of a change of theirs is all that changes.
    pub fn lone_repositories(&self) -> Vec<String> {
        let model = self.model();
        let all = model.state.repositories.iter();
        let uuids = all.map(|repository| &repository.uuid);
        let lone = uuids.filter(|uuid| !model.state.is_referred_to(uuid));
        lone.cloned().collect()
    }

    fn lone_repository(&self, random: &mut Random) -> anyhow::Result<String> {
        let lone = self.lone_repositories();
        random.one_of(&lone).cloned().context("no lone repository")
    }

    fn any_branch(&self, random: &mut Random) -> anyhow::Result<(String, String)> {
        let repository = self.any_repository(random)?;
        let branches = self.branches(&repository)?;
        let (branch, _) = random.one_of(&branches).context("no branch")?;
        Ok((repository, branch.clone()))
    }

    fn any_open(&self, random: &mut Random) -> anyhow::Result<(String, u64)> {
        let repository = self.any_repository(random)?;
        let mut pull_requests = self.pull_requests(&repository)?;
        pull_requests.retain(|(_, state)| *state == PullRequestState::Open);
        let (id, _) = random.one_of(&pull_requests).context("none open")?;
        Ok((repository, *id))
    }

    fn any_user(&self, random: &mut Random) -> anyhow::Result<String> {
        random.one_of(&self.users()).cloned().context("no user")
    }

    fn any_project(&self, random: &mut Random) -> anyhow::Result<String> {
        random
            .one_of(&self.projects())
            .cloned()
            .context("no project")
    }
}

impl State {
    /// Whether another repository is its fork or its origin, or shares a pull request with it.
    fn is_referred_to(&self, uuid: &str) -> bool {
        self.repositories.iter().any(|other| {
            let related = if other.uuid == uuid {
                other.parent.is_some()
            } else {
                other.parent.as_deref() == Some(uuid)
            };
            let shares = other.pull_requests.values().any(|pull_request| {
                (other.uuid == uuid) != (pull_request.source.repository == uuid)
            });
            related || shares
        })
    }
}

type Made = anyhow::Result<(String, Vec<Delivery>)>;

type Make = fn(&Bitbucket, &mut Random) -> Made;

/// Those that stand here more than once are chosen more often.
const KINDS: [(&str, Make); 21] = [
    ("create repository", create_repository),
    ("rename repository", rename_repository),
    ("delete repository", |bitbucket, random| {
        let uuid = bitbucket.lone_repository(random)?;
        let deliveries = bitbucket.delete_repository(&uuid)?;
        Ok((uuid, deliveries))
    }),
    ("transfer repository", |bitbucket, random| {
        let uuid = bitbucket.lone_repository(random)?;
        let deliveries = bitbucket.transfer_out(&uuid, "acme-labs")?;
        Ok((uuid, deliveries))
    }),
    ("describe repository", |bitbucket, random| {
        let uuid = bitbucket.any_repository(random)?;
        let text = format!("Described as {}", random.below(1_000));
        let deliveries = bitbucket.describe_repository(&uuid, &text)?;
        Ok((uuid, deliveries))
    }),
    ("move repository", |bitbucket, random| {
        let uuid = bitbucket.any_repository(random)?;
        let project = bitbucket.any_project(random)?;
        let deliveries = bitbucket.move_repository(&uuid, &project)?;
        Ok((format!("{uuid} to {project}"), deliveries))
    }),
    ("set default branch", |bitbucket, random| {
        let (uuid, branch) = bitbucket.any_branch(random)?;
        let deliveries = bitbucket.set_default_branch(&uuid, &branch)?;
        Ok((format!("{uuid} {branch}"), deliveries))
    }),
    ("rename project", |bitbucket, random| {
        let key = bitbucket.any_project(random)?;
        let name = format!("Projekt Nº {}", random.below(1_000));
        let deliveries = bitbucket.rename_project(&key, &name)?;
        Ok((format!("{key} to {name}"), deliveries))
    }),
    ("push", push),
    ("push", push),
    ("push", push),
    ("push a binary file", |bitbucket, random| {
        let (uuid, branch) = bitbucket.any_branch(random)?;
        let (kind, path) = (FileKind::Binary, "assets/blob.bin");
        let content = [0, u8::try_from(random.below(256))?];
        let (_, deliveries) = bitbucket.push_special(&uuid, &branch, path, content, kind)?;
        Ok((format!("{uuid} {branch}"), deliveries))
    }),
    ("force push", |bitbucket, random| {
        let (uuid, branch) = bitbucket.any_branch(random)?;
        let (path, content) = any_file(random);
        let (_, deliveries) = bitbucket.force_push(&uuid, &branch, &[(path, content)])?;
        Ok((format!("{uuid} {branch} {path}"), deliveries))
    }),
    ("create branch", |bitbucket, random| {
        let uuid = bitbucket.any_repository(random)?;
        let name = format!("topic/{}", random.below(1_000));
        let deliveries = bitbucket.create_branch(&uuid, &name, None)?;
        Ok((format!("{uuid} {name}"), deliveries))
    }),
    ("delete branch", |bitbucket, random| {
        let (uuid, branch) = bitbucket.any_branch(random)?;
        let deliveries = bitbucket.delete_branch(&uuid, &branch)?;
        Ok((format!("{uuid} {branch}"), deliveries))
    }),
    ("create tag", |bitbucket, random| {
        let uuid = bitbucket.any_repository(random)?;
        let name = format!("v{}", random.below(1_000));
        let deliveries = bitbucket.create_tag(&uuid, &name, Some("Release"))?;
        Ok((format!("{uuid} {name}"), deliveries))
    }),
    ("open pull request", |bitbucket, random| {
        let uuid = bitbucket.any_repository(random)?;
        let (author, reviewer) = (bitbucket.any_user(random)?, bitbucket.any_user(random)?);
        let title = format!("Idea {}", random.below(1_000_000));
        let new = NewPullRequest::new(title, author).reviewed_by(reviewer);
        let (id, deliveries) = bitbucket.open_pull_request(&uuid, new)?;
        Ok((format!("{uuid} #{id}"), deliveries))
    }),
    ("update pull request", |bitbucket, random| {
        let (uuid, id) = bitbucket.any_open(random)?;
        let change = PullRequestChange {
            title: Some(format!("Better idea {}", random.below(1_000))),
            draft: Some(random.below(2) == 0),
            ..PullRequestChange::default()
        };
        let deliveries = bitbucket.update_pull_request(&uuid, id, change)?;
        Ok((format!("{uuid} #{id}"), deliveries))
    }),
    ("review pull request", |bitbucket, random| {
        let (uuid, id) = bitbucket.any_open(random)?;
        let user = bitbucket.any_user(random)?;
        let deliveries = match random.below(5) {
            0 => bitbucket.approve(&uuid, id, &user)?,
            1 => bitbucket.unapprove(&uuid, id, &user)?,
            2 => bitbucket.request_changes(&uuid, id, &user)?,
            3 => bitbucket.withdraw_changes_request(&uuid, id, &user)?,
            _ => bitbucket.comment(&uuid, id, &user, "Hm")?,
        };
        Ok((format!("{uuid} #{id} by {user}"), deliveries))
    }),
    ("merge pull request", |bitbucket, random| {
        let (uuid, id) = bitbucket.any_open(random)?;
        let user = bitbucket.any_user(random)?;
        let deliveries = bitbucket.merge(&uuid, id, &user)?;
        Ok((format!("{uuid} #{id}"), deliveries))
    }),
    ("decline pull request", |bitbucket, random| {
        let (uuid, id) = bitbucket.any_open(random)?;
        let user = bitbucket.any_user(random)?;
        let deliveries = bitbucket.decline(&uuid, id, &user, "Not now")?;
        Ok((format!("{uuid} #{id}"), deliveries))
    }),
];

fn create_repository(bitbucket: &Bitbucket, random: &mut Random) -> Made {
    let project = bitbucket.any_project(random)?;
    let name = format!("New Thing {}", random.below(1_000_000));
    let (_, deliveries) = bitbucket.create_repository(&project, &name)?;
    Ok((format!("{name} in {project}"), deliveries))
}

fn rename_repository(bitbucket: &Bitbucket, random: &mut Random) -> Made {
    let uuid = bitbucket.lone_repository(random)?;
    let name = format!("Renamed Thing {}", random.below(1_000_000));
    let deliveries = bitbucket.rename_repository(&uuid, &name)?;
    Ok((format!("{uuid} to {name}"), deliveries))
}

fn push(bitbucket: &Bitbucket, random: &mut Random) -> Made {
    let uuid = bitbucket.any_repository(random)?;
    let branches = bitbucket.branches(&uuid)?;
    // The first push to an empty repository makes its main branch.
    let branch = random.one_of(&branches).map_or("main", |(name, _)| name);
    let files = [any_file(random), any_file(random)];
    let (_, deliveries) = bitbucket.push(&uuid, branch, &files)?;
    Ok((format!("{uuid} {branch} {files:?}"), deliveries))
}

fn any_file(random: &mut Random) -> (&'static str, Option<String>) {
    let path = random.one_of(&PATHS).copied().unwrap_or_default();
    let content = match random.below(4) {
        0 => None,
        _ if path.ends_with(".json") => Some(format!("{{\"n\": {}}}\n", random.below(100))),
        _ => Some(format!("n: {}\n", random.below(100))),
    };
    (path, content)
}

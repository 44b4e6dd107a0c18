//! The things in a workspace, as plain data.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::same_uuid;

/// Seconds since 1970 on the model's own clock, which moves one second with each change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::bitbucket) struct Stamp(pub(in crate::bitbucket) i64);

#[derive(Clone)]
pub(in crate::bitbucket) struct User {
    pub(in crate::bitbucket) uuid: String,
    pub(in crate::bitbucket) account_id: String,
    pub(in crate::bitbucket) display_name: String,
    pub(in crate::bitbucket) email: String,
    /// A deleted account: shown as "Former user", no longer a member.
    pub(in crate::bitbucket) former: bool,
}

#[derive(Clone)]
pub(in crate::bitbucket) struct Project {
    pub(in crate::bitbucket) uuid: String,
    pub(in crate::bitbucket) key: String,
    pub(in crate::bitbucket) name: String,
    pub(in crate::bitbucket) description: Option<String>,
    pub(in crate::bitbucket) is_private: bool,
    pub(in crate::bitbucket) created_on: Stamp,
    pub(in crate::bitbucket) updated_on: Stamp,
}

#[derive(Clone)]
pub(in crate::bitbucket) struct Repository {
    pub(in crate::bitbucket) uuid: String,
    pub(in crate::bitbucket) slug: String,
    pub(in crate::bitbucket) name: String,
    pub(in crate::bitbucket) description: String,
    pub(in crate::bitbucket) website: String,
    pub(in crate::bitbucket) language: String,
    pub(in crate::bitbucket) is_private: bool,
    /// The project's uuid.
    pub(in crate::bitbucket) project: String,
    /// The uuid of the repository it was forked from.
    pub(in crate::bitbucket) parent: Option<String>,
    /// None while nothing was pushed.
    pub(in crate::bitbucket) main_branch: Option<String>,
    pub(in crate::bitbucket) created_on: Stamp,
    pub(in crate::bitbucket) updated_on: Stamp,
    /// Name to commit hash.
    pub(in crate::bitbucket) branches: BTreeMap<String, String>,
    pub(in crate::bitbucket) tags: BTreeMap<String, Tag>,
    pub(in crate::bitbucket) commits: HashMap<String, Commit>,
    pub(in crate::bitbucket) pull_requests: BTreeMap<u64, PullRequest>,
    /// None while Pipelines is switched off.
    pub(in crate::bitbucket) pipelines: Option<Vec<Pipeline>>,
    pub(in crate::bitbucket) environments: Vec<Environment>,
    pub(in crate::bitbucket) deployments: Vec<Deployment>,
}

#[derive(Clone)]
pub(in crate::bitbucket) struct Tag {
    pub(in crate::bitbucket) hash: String,
    /// An annotated tag has one.
    pub(in crate::bitbucket) message: Option<String>,
    pub(in crate::bitbucket) date: Stamp,
}

#[derive(Clone)]
pub(in crate::bitbucket) struct Commit {
    pub(in crate::bitbucket) hash: String,
    pub(in crate::bitbucket) parents: Vec<String>,
    /// User uuid.
    pub(in crate::bitbucket) author: String,
    pub(in crate::bitbucket) message: String,
    pub(in crate::bitbucket) date: Stamp,
    pub(in crate::bitbucket) tree: Tree,
}

/// Path to file; directories exist through their files.
pub(in crate::bitbucket) type Tree = Arc<BTreeMap<String, File>>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::bitbucket) struct File {
    pub(in crate::bitbucket) content: Arc<[u8]>,
    pub(in crate::bitbucket) kind: FileKind,
}

/// What Bitbucket reports in a file's `attributes`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FileKind {
    #[default]
    Plain,
    Executable,
    Binary,
    /// The content is the target's path.
    Link,
    Submodule,
    /// Content lives on the media service; the API answers with a redirect.
    Lfs,
}

#[derive(Clone)]
pub(in crate::bitbucket) struct PullRequest {
    pub(in crate::bitbucket) id: u64,
    pub(in crate::bitbucket) title: String,
    pub(in crate::bitbucket) description: String,
    pub(in crate::bitbucket) state: PullRequestState,
    pub(in crate::bitbucket) draft: bool,
    /// User uuid; None when Bitbucket no longer knows.
    pub(in crate::bitbucket) author: Option<String>,
    pub(in crate::bitbucket) source: Side,
    pub(in crate::bitbucket) destination: Side,
    pub(in crate::bitbucket) reviewers: Vec<String>,
    pub(in crate::bitbucket) participants: Vec<Participant>,
    pub(in crate::bitbucket) merge_commit: Option<String>,
    pub(in crate::bitbucket) closed_by: Option<String>,
    pub(in crate::bitbucket) closed_on: Option<Stamp>,
    pub(in crate::bitbucket) reason: String,
    pub(in crate::bitbucket) comments: u64,
    pub(in crate::bitbucket) close_source_branch: bool,
    pub(in crate::bitbucket) created_on: Stamp,
    pub(in crate::bitbucket) updated_on: Stamp,
}

/// Open, or how it was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullRequestState {
    Open,
    Merged,
    Declined,
    Superseded,
}

#[derive(Clone)]
pub(in crate::bitbucket) struct Side {
    /// Repository uuid; it may no longer exist.
    pub(in crate::bitbucket) repository: String,
    pub(in crate::bitbucket) branch: String,
    pub(in crate::bitbucket) hash: String,
}

#[derive(Clone)]
pub(in crate::bitbucket) struct Participant {
    pub(in crate::bitbucket) user: String,
    pub(in crate::bitbucket) reviewer: bool,
    pub(in crate::bitbucket) verdict: Option<Verdict>,
    pub(in crate::bitbucket) participated_on: Option<Stamp>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::bitbucket) enum Verdict {
    Approved,
    ChangesRequested,
}

#[derive(Clone)]
pub(in crate::bitbucket) struct Pipeline {
    pub(in crate::bitbucket) uuid: String,
    pub(in crate::bitbucket) build_number: u64,
    pub(in crate::bitbucket) branch: String,
    pub(in crate::bitbucket) hash: String,
    pub(in crate::bitbucket) creator: String,
    /// `SUCCESSFUL`, `FAILED`, ...; None while it runs.
    pub(in crate::bitbucket) result: Option<String>,
    pub(in crate::bitbucket) created_on: Stamp,
}

#[derive(Clone)]
pub(in crate::bitbucket) struct Environment {
    pub(in crate::bitbucket) uuid: String,
    pub(in crate::bitbucket) name: String,
    /// `Test`, `Staging` or `Production`.
    pub(in crate::bitbucket) tier: String,
}

#[derive(Clone)]
pub(in crate::bitbucket) struct Deployment {
    pub(in crate::bitbucket) uuid: String,
    /// Environment uuid.
    pub(in crate::bitbucket) environment: String,
    pub(in crate::bitbucket) release: String,
    pub(in crate::bitbucket) hash: String,
    pub(in crate::bitbucket) deployer: String,
    pub(in crate::bitbucket) succeeded: bool,
    pub(in crate::bitbucket) date: Stamp,
}

/// A webhook subscription.
#[derive(Clone, Debug)]
pub(in crate::bitbucket) struct Hook {
    pub(in crate::bitbucket) uuid: String,
    /// None: of the workspace.
    pub(in crate::bitbucket) repository: Option<String>,
    pub(in crate::bitbucket) description: String,
    pub(in crate::bitbucket) url: String,
    pub(in crate::bitbucket) active: bool,
    pub(in crate::bitbucket) events: Vec<String>,
    pub(in crate::bitbucket) secret: Option<String>,
    pub(in crate::bitbucket) created_on: Stamp,
}

impl Repository {
    /// Whether it has this uuid (with or without braces) or slug.
    pub(in crate::bitbucket) fn is(&self, id: &str) -> bool {
        // Most ask by the full uuid, thousands of times: no more than a comparison of strings for them.
        self.uuid == id || (!id.starts_with('{') && (self.slug == id || same_uuid(&self.uuid, id)))
    }

    /// The commit at the tip of the main branch.
    pub(in crate::bitbucket) fn head(&self) -> Option<String> {
        self.branches.get(self.main_branch.as_ref()?).cloned()
    }

    /// By full hash, unambiguous prefix of at least seven digits, branch or tag name.
    pub(in crate::bitbucket) fn resolve(&self, revision: &str) -> Option<&Commit> {
        let hash = self
            .branches
            .get(revision)
            .or_else(|| self.tags.get(revision).map(|tag| &tag.hash));
        if let Some(commit) = self.commits.get(hash.map_or(revision, String::as_str)) {
            return Some(commit);
        }
        if revision.len() < 7 {
            return None;
        }
        let mut found = self
            .commits
            .values()
            .filter(|commit| commit.hash.starts_with(revision));
        let first = found.next();
        if found.next().is_some() { None } else { first }
    }

    /// `hash` and everything it builds on, newest first.
    pub(in crate::bitbucket) fn history(&self, hash: &str) -> Vec<&Commit> {
        let mut seen: BTreeMap<&str, &Commit> = BTreeMap::new();
        let mut open = vec![hash];
        while let Some(hash) = open.pop() {
            if let Some(commit) = self.commits.get(hash)
                && seen.insert(&commit.hash, commit).is_none()
            {
                open.extend(commit.parents.iter().map(String::as_str));
            }
        }
        let mut commits: Vec<&Commit> = seen.into_values().collect();
        commits.sort_by(|a, b| (b.date, &b.hash).cmp(&(a.date, &a.hash)));
        commits
    }

    /// The newest commit that both build on.
    pub(in crate::bitbucket) fn merge_base(&self, a: &str, b: &str) -> Option<&Commit> {
        let of_b: Vec<&str> = self.history(b).iter().map(|c| c.hash.as_str()).collect();
        self.history(a)
            .into_iter()
            .find(|commit| of_b.contains(&commit.hash.as_str()))
    }
}

impl PullRequestState {
    pub const ALL: [PullRequestState; 4] = [
        PullRequestState::Open,
        PullRequestState::Merged,
        PullRequestState::Declined,
        PullRequestState::Superseded,
    ];

    /// As Bitbucket writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            PullRequestState::Open => "OPEN",
            PullRequestState::Merged => "MERGED",
            PullRequestState::Declined => "DECLINED",
            PullRequestState::Superseded => "SUPERSEDED",
        }
    }
}

impl File {
    pub(in crate::bitbucket) fn new(content: impl AsRef<[u8]>) -> File {
        let content: Arc<[u8]> = content.as_ref().into();
        let kind = if content.contains(&0) {
            FileKind::Binary
        } else {
            FileKind::Plain
        };
        File { content, kind }
    }
}

//! What a workspace holds: projects, repositories with their commits, pull requests, people, hooks.
//!
//! Plain data with a clock and a source of identifiers, both deterministic. Knows no JSON and no HTTP; a change here
//! tells nobody.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};

/// The whole workspace.
#[derive(Clone)]
pub(super) struct State {
    /// API base including `/2.0`, for links.
    pub(super) base: String,
    pub(super) slug: String,
    pub(super) name: String,
    pub(super) uuid: String,
    pub(super) users: Vec<User>,
    pub(super) projects: Vec<Project>,
    pub(super) repositories: Vec<Repository>,
    pub(super) hooks: Vec<Hook>,
    now: Stamp,
    ids: u64,
}

/// Seconds since 1970 on the model's own clock, which moves one second with each change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stamp(pub(super) i64);

/// 2026-11-20T09:00:00Z.
const START: Stamp = Stamp(1_795_165_200);

#[derive(Clone)]
pub(super) struct User {
    pub(super) uuid: String,
    pub(super) account_id: String,
    pub(super) display_name: String,
    pub(super) email: String,
    /// A deleted account: shown as "Former user", no longer a member.
    pub(super) former: bool,
}

#[derive(Clone)]
pub(super) struct Project {
    pub(super) uuid: String,
    pub(super) key: String,
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) is_private: bool,
    pub(super) created_on: Stamp,
    pub(super) updated_on: Stamp,
}

#[derive(Clone)]
pub(super) struct Repository {
    pub(super) uuid: String,
    pub(super) slug: String,
    pub(super) name: String,
    pub(super) description: String,
    pub(super) website: String,
    pub(super) language: String,
    pub(super) is_private: bool,
    /// The project's uuid.
    pub(super) project: String,
    /// The uuid of the repository it was forked from.
    pub(super) parent: Option<String>,
    /// None while nothing was pushed.
    pub(super) main_branch: Option<String>,
    pub(super) created_on: Stamp,
    pub(super) updated_on: Stamp,
    /// Name to commit hash.
    pub(super) branches: BTreeMap<String, String>,
    pub(super) tags: BTreeMap<String, Tag>,
    pub(super) commits: HashMap<String, Commit>,
    pub(super) pull_requests: BTreeMap<u64, PullRequest>,
    /// None while Pipelines is switched off.
    pub(super) pipelines: Option<Vec<Pipeline>>,
    pub(super) environments: Vec<Environment>,
    pub(super) deployments: Vec<Deployment>,
}

#[derive(Clone)]
pub(super) struct Tag {
    pub(super) hash: String,
    /// An annotated tag has one.
    pub(super) message: Option<String>,
    pub(super) date: Stamp,
}

#[derive(Clone)]
pub(super) struct Commit {
    pub(super) hash: String,
    pub(super) parents: Vec<String>,
    /// User uuid.
    pub(super) author: String,
    pub(super) message: String,
    pub(super) date: Stamp,
    pub(super) tree: Tree,
}

/// Path to file; directories exist through their files.
pub(super) type Tree = Arc<BTreeMap<String, File>>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct File {
    pub(super) content: Arc<[u8]>,
    pub(super) kind: FileKind,
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
pub(super) struct PullRequest {
    pub(super) id: u64,
    pub(super) title: String,
    pub(super) description: String,
    pub(super) state: PullRequestState,
    pub(super) draft: bool,
    /// User uuid; None when Bitbucket no longer knows.
    pub(super) author: Option<String>,
    pub(super) source: Side,
    pub(super) destination: Side,
    pub(super) reviewers: Vec<String>,
    pub(super) participants: Vec<Participant>,
    pub(super) merge_commit: Option<String>,
    pub(super) closed_by: Option<String>,
    pub(super) closed_on: Option<Stamp>,
    pub(super) reason: String,
    pub(super) comments: u64,
    pub(super) close_source_branch: bool,
    pub(super) created_on: Stamp,
    pub(super) updated_on: Stamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullRequestState {
    Open,
    Merged,
    Declined,
    Superseded,
}

#[derive(Clone)]
pub(super) struct Side {
    /// Repository uuid; it may no longer exist.
    pub(super) repository: String,
    pub(super) branch: String,
    pub(super) hash: String,
}

#[derive(Clone)]
pub(super) struct Participant {
    pub(super) user: String,
    pub(super) reviewer: bool,
    pub(super) verdict: Option<Verdict>,
    pub(super) participated_on: Option<Stamp>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Approved,
    ChangesRequested,
}

#[derive(Clone)]
pub(super) struct Pipeline {
    pub(super) uuid: String,
    pub(super) build_number: u64,
    pub(super) branch: String,
    pub(super) hash: String,
    pub(super) creator: String,
    /// `SUCCESSFUL`, `FAILED`, ...; None while it runs.
    pub(super) result: Option<String>,
    pub(super) created_on: Stamp,
}

#[derive(Clone)]
pub(super) struct Environment {
    pub(super) uuid: String,
    pub(super) name: String,
    /// `Test`, `Staging` or `Production`.
    pub(super) tier: String,
}

#[derive(Clone)]
pub(super) struct Deployment {
    pub(super) uuid: String,
    /// Environment uuid.
    pub(super) environment: String,
    pub(super) release: String,
    pub(super) hash: String,
    pub(super) deployer: String,
    pub(super) succeeded: bool,
    pub(super) date: Stamp,
}

/// A webhook subscription.
#[derive(Clone, Debug)]
pub(super) struct Hook {
    pub(super) uuid: String,
    /// None: of the workspace.
    pub(super) repository: Option<String>,
    pub(super) description: String,
    pub(super) url: String,
    pub(super) active: bool,
    pub(super) events: Vec<String>,
    pub(super) secret: Option<String>,
    pub(super) created_on: Stamp,
}

impl State {
    pub(super) fn new(slug: &str) -> State {
        let mut state = State {
            base: "https://api.bitbucket.org/2.0".to_owned(),
            slug: slug.to_owned(),
            name: title_case(slug),
            uuid: String::new(),
            users: Vec::new(),
            projects: Vec::new(),
            repositories: Vec::new(),
            hooks: Vec::new(),
            now: START,
            ids: 0,
        };
        state.uuid = state.next_uuid();
        state
    }

    pub(super) fn now(&self) -> Stamp {
        self.now
    }

    /// Moves the clock by a second and returns the new time: every change has its own.
    pub(super) fn tick(&mut self) -> Stamp {
        self.now.0 += 1;
        self.now
    }

    pub(super) fn advance(&mut self, seconds: i64) {
        self.now.0 += seconds;
    }

    /// The next identifier, in braces.
    pub(super) fn next_uuid(&mut self) -> String {
        format!("{{{}}}", uuid_from(&self.digest("uuid")))
    }

    /// The next identifier, without braces.
    pub(super) fn next_plain_uuid(&mut self) -> String {
        uuid_from(&self.digest("uuid"))
    }

    /// 40 hexadecimal digits.
    fn next_hash(&mut self) -> String {
        let digest = self.digest("commit");
        hex::encode(digest.get(..20).unwrap_or_default())
    }

    fn digest(&mut self, what: &str) -> Vec<u8> {
        self.ids += 1;
        Sha256::digest(format!("{what} {} {}", self.slug, self.ids)).to_vec()
    }

    pub(super) fn add_user(&mut self, display_name: &str) -> String {
        let (uuid, account) = (self.next_uuid(), self.next_plain_uuid());
        let mailbox = slugify(display_name).replace('-', ".");
        self.users.push(User {
            account_id: format!("712020:{account}"),
            uuid: uuid.clone(),
            display_name: display_name.to_owned(),
            email: format!("{mailbox}@{}.example", self.slug),
            former: false,
        });
        uuid
    }

    pub(super) fn add_project(&mut self, key: &str, name: &str) -> anyhow::Result<String> {
        let legal = key
            .chars()
            .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
            && key.starts_with(|c: char| c.is_ascii_uppercase());
        anyhow::ensure!(legal, "{key} is no project key");
        anyhow::ensure!(
            self.projects.iter().all(|project| project.key != key),
            "there is a project {key} already"
        );
        let (uuid, now) = (self.next_uuid(), self.tick());
        self.projects.push(Project {
            uuid: uuid.clone(),
            key: key.to_owned(),
            name: name.to_owned(),
            description: None,
            is_private: true,
            created_on: now,
            updated_on: now,
        });
        Ok(uuid)
    }

    /// Adds a repository to which nothing was pushed yet.
    pub(super) fn add_repository(&mut self, project: &str, name: &str) -> anyhow::Result<String> {
        let project = self.project(project)?.uuid.clone();
        let slug = self.free_slug(name)?;
        let (uuid, now) = (self.next_uuid(), self.tick());
        self.repositories.push(Repository {
            uuid: uuid.clone(),
            slug,
            name: name.to_owned(),
            description: String::new(),
            website: String::new(),
            language: String::new(),
            is_private: true,
            project,
            parent: None,
            main_branch: None,
            created_on: now,
            updated_on: now,
            branches: BTreeMap::new(),
            tags: BTreeMap::new(),
            commits: HashMap::new(),
            pull_requests: BTreeMap::new(),
            pipelines: None,
            environments: Vec::new(),
            deployments: Vec::new(),
        });
        Ok(uuid)
    }

    /// The slug that `name` gives; an error when another repository has it.
    pub(super) fn free_slug(&self, name: &str) -> anyhow::Result<String> {
        let slug = slugify(name);
        anyhow::ensure!(!slug.is_empty(), "the name {name:?} gives no slug");
        anyhow::ensure!(
            self.repositories.iter().all(|other| other.slug != slug),
            "there is a repository {slug} already"
        );
        Ok(slug)
    }

    /// Adds a commit to a branch, creating the branch, and returns its hash. `parents` decides what it builds on.
    pub(super) fn add_commit(
        &mut self,
        repository: &str,
        branch: &str,
        author: &str,
        message: &str,
        parents: Vec<String>,
        tree: BTreeMap<String, File>,
    ) -> anyhow::Result<String> {
        let (hash, now) = (self.next_hash(), self.tick());
        let repository = self.repository_mut(repository)?;
        repository.commits.insert(
            hash.clone(),
            Commit {
                hash: hash.clone(),
                parents,
                author: author.to_owned(),
                message: message.to_owned(),
                date: now,
                tree: Arc::new(tree),
            },
        );
        repository.branches.insert(branch.to_owned(), hash.clone());
        if repository.main_branch.is_none() {
            repository.main_branch = Some(branch.to_owned());
        }
        repository.updated_on = now;
        Ok(hash)
    }

    /// Adds the next commit to a branch with these files replaced (`Some`) or removed (`None`).
    pub(super) fn commit_files(
        &mut self,
        repository: &str,
        branch: &str,
        author: &str,
        message: &str,
        files: &[(String, Option<File>)],
    ) -> anyhow::Result<String> {
        let repository = self.repository(repository)?;
        let parent = repository.branches.get(branch).cloned();
        let start = parent.clone().or_else(|| repository.head());
        let mut tree = start
            .as_ref()
            .and_then(|hash| repository.commits.get(hash))
            .map(|commit| BTreeMap::clone(&commit.tree))
            .unwrap_or_default();
        for (path, file) in files {
            match file {
                Some(file) => tree.insert(path.clone(), file.clone()),
                None => tree.remove(path),
            };
        }
        let uuid = repository.uuid.clone();
        let parents = start.into_iter().collect();
        self.add_commit(&uuid, branch, author, message, parents, tree)
    }

    /// By uuid (with or without braces) or key.
    pub(super) fn project(&self, id: &str) -> anyhow::Result<&Project> {
        self.find_project(id)
            .with_context(|| format!("no project {id}"))
    }

    pub(super) fn find_project(&self, id: &str) -> Option<&Project> {
        self.projects
            .iter()
            .find(|project| project.key == id || same_uuid(&project.uuid, id))
    }

    pub(super) fn project_mut(&mut self, id: &str) -> anyhow::Result<&mut Project> {
        self.projects
            .iter_mut()
            .find(|project| project.key == id || same_uuid(&project.uuid, id))
            .with_context(|| format!("no project {id}"))
    }

    /// By uuid (with or without braces) or slug.
    pub(super) fn repository(&self, id: &str) -> anyhow::Result<&Repository> {
        self.find_repository(id)
            .with_context(|| format!("no repository {id}"))
    }

    pub(super) fn find_repository(&self, id: &str) -> Option<&Repository> {
        self.repositories
            .iter()
            .find(|repository| repository.slug == id || same_uuid(&repository.uuid, id))
    }

    pub(super) fn repository_mut(&mut self, id: &str) -> anyhow::Result<&mut Repository> {
        self.repositories
            .iter_mut()
            .find(|repository| repository.slug == id || same_uuid(&repository.uuid, id))
            .with_context(|| format!("no repository {id}"))
    }

    pub(super) fn pull_request_mut(
        &mut self,
        repository: &str,
        id: u64,
    ) -> anyhow::Result<&mut PullRequest> {
        self.repository_mut(repository)?
            .pull_requests
            .get_mut(&id)
            .with_context(|| format!("no pull request {id} in {repository}"))
    }

    /// By uuid, account id or display name.
    pub(super) fn user(&self, id: &str) -> anyhow::Result<&User> {
        self.find_user(id).with_context(|| format!("no user {id}"))
    }

    pub(super) fn find_user(&self, id: &str) -> Option<&User> {
        self.users.iter().find(|user| {
            same_uuid(&user.uuid, id) || user.account_id == id || user.display_name == id
        })
    }

    /// Who acts when a change names nobody: the first user.
    pub(super) fn default_actor(&self) -> anyhow::Result<String> {
        let user = self.users.iter().find(|user| !user.former);
        Ok(user.context("the workspace has no user")?.uuid.clone())
    }
}

impl Repository {
    /// The commit at the tip of the main branch.
    pub(super) fn head(&self) -> Option<String> {
        self.branches.get(self.main_branch.as_ref()?).cloned()
    }

    /// By full hash, unambiguous prefix of at least seven digits, branch or tag name.
    pub(super) fn resolve(&self, revision: &str) -> Option<&Commit> {
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
    pub(super) fn history(&self, hash: &str) -> Vec<&Commit> {
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
    pub(super) fn merge_base(&self, a: &str, b: &str) -> Option<&Commit> {
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
    pub(super) fn new(content: impl AsRef<[u8]>) -> File {
        let content: Arc<[u8]> = content.as_ref().into();
        let kind = if content.contains(&0) {
            FileKind::Binary
        } else {
            FileKind::Plain
        };
        File { content, kind }
    }
}

/// The slug Bitbucket derives from a repository name: lower case, Latin letters without their accents, words joined
/// by `-`; `.`, `_` and `-` stay.
pub(super) fn slugify(name: &str) -> String {
    let mut slug = String::new();
    for c in name.to_lowercase().chars() {
        match c {
            'a'..='z' | '0'..='9' | '.' | '_' | '-' => slug.push(c),
            'ä' | 'á' | 'à' | 'â' | 'å' | 'ã' => slug.push('a'),
            'é' | 'è' | 'ê' | 'ë' => slug.push('e'),
            'í' | 'ì' | 'î' | 'ï' => slug.push('i'),
            'ö' | 'ó' | 'ò' | 'ô' | 'õ' => slug.push('o'),
            'ü' | 'ú' | 'ù' | 'û' => slug.push('u'),
            'ç' => slug.push('c'),
            'ñ' => slug.push('n'),
            _ if !slug.is_empty() && !slug.ends_with('-') => slug.push('-'),
            _ => {}
        }
    }
    slug.trim_end_matches('-').to_owned()
}

fn title_case(slug: &str) -> String {
    let words = slug.split('-').map(|word| {
        let mut chars = word.chars();
        let first = chars.next().map(|c| c.to_ascii_uppercase());
        first.into_iter().chain(chars).collect::<String>()
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Equal but for the braces around them.
pub(super) fn same_uuid(uuid: &str, id: &str) -> bool {
    uuid.trim_matches(['{', '}']) == id.trim_matches(['{', '}'])
}

fn uuid_from(digest: &[u8]) -> String {
    let bytes: [u8; 16] = digest
        .get(..16)
        .and_then(|bytes| bytes.try_into().ok())
        .unwrap_or_default();
    uuid::Builder::from_sha1_bytes(bytes)
        .into_uuid()
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_lose_accents_and_spaces_but_keep_dots() {
        for (name, slug) in [
            ("Payments API", "payments-api"),
            ("Zürich Ünïcode", "zurich-unicode"),
            ("a.b_c", "a.b_c"),
            ("  Über & Out!", "uber-out"),
        ] {
            assert_eq!(slugify(name), slug);
        }
    }

    #[test]
    fn identifiers_repeat_from_run_to_run_and_never_within_one() {
        let mut first = State::new("acme");
        let mut second = State::new("acme");
        let ids: Vec<String> = (0..100).map(|_| first.next_uuid()).collect();
        assert_eq!(
            ids,
            (0..100).map(|_| second.next_uuid()).collect::<Vec<_>>()
        );
        assert_eq!(
            ids.iter().collect::<std::collections::BTreeSet<_>>().len(),
            100
        );
    }
}

//! What a workspace holds: projects, repositories with their commits, pull requests, people, hooks.
//!
//! Plain data with a clock and a source of identifiers, both deterministic. Knows no JSON and no HTTP; a change here
//! tells nobody.

mod objects;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};

pub(super) use objects::{
    Commit, Deployment, Environment, File, Hook, Participant, Pipeline, Project, PullRequest,
    Repository, Side, Stamp, Tag, User, Verdict,
};
pub use objects::{FileKind, PullRequestState};

use super::git;
use super::object::Distortion;

/// The whole workspace.
#[derive(Clone)]
pub(in crate::bitbucket) struct State {
    /// API base including `/2.0`, for links.
    pub(in crate::bitbucket) base: String,
    pub(in crate::bitbucket) slug: String,
    pub(in crate::bitbucket) name: String,
    pub(in crate::bitbucket) uuid: String,
    pub(in crate::bitbucket) users: Vec<User>,
    pub(in crate::bitbucket) projects: Vec<Project>,
    pub(in crate::bitbucket) repositories: Vec<Repository>,
    pub(in crate::bitbucket) hooks: Vec<Hook>,
    /// How objects look other than they are.
    pub(in crate::bitbucket) distortions: Vec<Distortion>,
    now: Stamp,
    ids: u64,
}

/// 2026-11-20T09:00:00Z.
const START: Stamp = Stamp(1_795_165_200);

impl State {
    pub(in crate::bitbucket) fn new(slug: &str) -> State {
        let mut state = State {
            base: "https://api.bitbucket.org/2.0".to_owned(),
            slug: slug.to_owned(),
            name: title_case(slug),
            uuid: String::new(),
            users: Vec::new(),
            projects: Vec::new(),
            repositories: Vec::new(),
            hooks: Vec::new(),
            distortions: Vec::new(),
            now: START,
            ids: 0,
        };
        state.uuid = state.next_uuid();
        state
    }

    pub(in crate::bitbucket) fn now(&self) -> Stamp {
        self.now
    }

    /// Moves the clock by a second and returns the new time: every change has its own.
    pub(in crate::bitbucket) fn tick(&mut self) -> Stamp {
        self.now.0 += 1;
        self.now
    }

    /// Whether nothing that has a time or an identifier has changed since.
    pub(in crate::bitbucket) fn is_as_new_as(&self, other: &State) -> bool {
        (self.now, self.ids) == (other.now, other.ids)
    }

    pub(in crate::bitbucket) fn advance(&mut self, seconds: i64) {
        self.now.0 += seconds;
    }

    /// The next identifier, in braces.
    pub(in crate::bitbucket) fn next_uuid(&mut self) -> String {
        format!("{{{}}}", uuid_from(&self.digest("uuid")))
    }

    /// The next identifier, without braces.
    pub(in crate::bitbucket) fn next_plain_uuid(&mut self) -> String {
        uuid_from(&self.digest("uuid"))
    }

    fn digest(&mut self, what: &str) -> Vec<u8> {
        self.ids += 1;
        Sha256::digest(format!("{what} {} {}", self.slug, self.ids)).to_vec()
    }

    pub(in crate::bitbucket) fn add_user(&mut self, display_name: &str) -> String {
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

    pub(in crate::bitbucket) fn add_project(
        &mut self,
        key: &str,
        name: &str,
    ) -> anyhow::Result<String> {
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
    pub(in crate::bitbucket) fn add_repository(
        &mut self,
        project: &str,
        name: &str,
    ) -> anyhow::Result<String> {
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
    pub(in crate::bitbucket) fn free_slug(&self, name: &str) -> anyhow::Result<String> {
        let slug = slugify(name);
        anyhow::ensure!(!slug.is_empty(), "the name {name:?} gives no slug");
        anyhow::ensure!(
            self.repositories.iter().all(|other| other.slug != slug),
            "there is a repository {slug} already"
        );
        Ok(slug)
    }

    /// Adds a commit to a branch, creating the branch, and returns its hash. `parents` decides what it builds on.
    pub(in crate::bitbucket) fn add_commit(
        &mut self,
        repository: &str,
        branch: &str,
        author: &str,
        message: &str,
        parents: Vec<String>,
        tree: BTreeMap<String, File>,
    ) -> anyhow::Result<String> {
        let now = self.tick();
        self.ids += 1;
        let mut commit = Commit {
            hash: String::new(),
            parents,
            author: author.to_owned(),
            message: message.to_owned(),
            date: now,
            tree: Arc::new(tree),
        };
        let hash = git::hash(&commit);
        commit.hash.clone_from(&hash);
        let repository = self.repository_mut(repository)?;
        repository.commits.insert(hash.clone(), commit);
        repository.branches.insert(branch.to_owned(), hash.clone());
        if repository.main_branch.is_none() {
            repository.main_branch = Some(branch.to_owned());
        }
        repository.updated_on = now;
        Ok(hash)
    }

    /// Adds the next commit to a branch with these files replaced (`Some`) or removed (`None`).
    pub(in crate::bitbucket) fn commit_files(
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
    pub(in crate::bitbucket) fn project(&self, id: &str) -> anyhow::Result<&Project> {
        self.find_project(id)
            .with_context(|| format!("no project {id}"))
    }

    pub(in crate::bitbucket) fn find_project(&self, id: &str) -> Option<&Project> {
        self.projects
            .iter()
            .find(|project| project.key == id || same_uuid(&project.uuid, id))
    }

    pub(in crate::bitbucket) fn project_mut(&mut self, id: &str) -> anyhow::Result<&mut Project> {
        self.projects
            .iter_mut()
            .find(|project| project.key == id || same_uuid(&project.uuid, id))
            .with_context(|| format!("no project {id}"))
    }

    /// By uuid (with or without braces) or slug.
    pub(in crate::bitbucket) fn repository(&self, id: &str) -> anyhow::Result<&Repository> {
        self.find_repository(id)
            .with_context(|| format!("no repository {id}"))
    }

    pub(in crate::bitbucket) fn find_repository(&self, id: &str) -> Option<&Repository> {
        // The newest is the one most asked for while a workspace is built.
        self.repositories
            .iter()
            .rev()
            .find(|repository| repository.is(id))
    }

    pub(in crate::bitbucket) fn repository_mut(
        &mut self,
        id: &str,
    ) -> anyhow::Result<&mut Repository> {
        self.repositories
            .iter_mut()
            .rev()
            .find(|repository| repository.is(id))
            .with_context(|| format!("no repository {id}"))
    }

    pub(in crate::bitbucket) fn pull_request_mut(
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
    pub(in crate::bitbucket) fn user(&self, id: &str) -> anyhow::Result<&User> {
        self.find_user(id).with_context(|| format!("no user {id}"))
    }

    pub(in crate::bitbucket) fn find_user(&self, id: &str) -> Option<&User> {
        self.users.iter().find(|user| {
            same_uuid(&user.uuid, id) || user.account_id == id || user.display_name == id
        })
    }

    /// Who acts when a change names nobody: the first user.
    pub(in crate::bitbucket) fn default_actor(&self) -> anyhow::Result<String> {
        let user = self.users.iter().find(|user| !user.former);
        Ok(user.context("the workspace has no user")?.uuid.clone())
    }
}

/// The slug Bitbucket derives from a repository name: lower case, Latin letters without their accents, words joined
/// by `-`; `.`, `_` and `-` stay.
pub(in crate::bitbucket) fn slugify(name: &str) -> String {
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
pub(in crate::bitbucket) fn same_uuid(uuid: &str, id: &str) -> bool {
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

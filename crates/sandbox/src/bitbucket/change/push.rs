//! Branches and tags move: `repo:push`, and what it does to the pull requests of a branch.

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::bitbucket::Bitbucket;
use crate::bitbucket::render::{href, set};
use crate::bitbucket::state::{Commit, File, FileKind, PullRequestState, State, Tag};
use crate::webhook::Delivery;

/// A push body lists at most this many commits.
const MOST_COMMITS: usize = 5;

impl Bitbucket {
    /// Pushes one commit that writes (`Some`) or removes (`None`) files; a new branch starts at the main branch. Returns
    /// the commit's hash. The first branch of an empty repository becomes its main branch.
    pub fn push<C: AsRef<[u8]>>(
        &self,
        repository: &str,
        branch: &str,
        files: &[(&str, Option<C>)],
    ) -> anyhow::Result<(String, Vec<Delivery>)> {
        let files = owned(files);
        let state = &mut self.model().state;
        let old = state.repository(repository)?.branches.get(branch).cloned();
        let actor = state.default_actor()?;
        let message = format!("Change {} files\n", files.len());
        let hash = state.commit_files(repository, branch, &actor, &message, &files)?;
        let change = Change::branch(branch, old, Some(hash.clone()));
        Ok((hash, state.pushed(repository, &actor, &[change])?))
    }

    /// Pushes one file of a special kind.
    pub fn push_special(
        &self,
        repository: &str,
        branch: &str,
        path: &str,
        content: impl AsRef<[u8]>,
        kind: FileKind,
    ) -> anyhow::Result<(String, Vec<Delivery>)> {
        let file = File {
            content: content.as_ref().into(),
            kind,
        };
        let state = &mut self.model().state;
        let old = state.repository(repository)?.branches.get(branch).cloned();
        let actor = state.default_actor()?;
        let files = [(path.to_owned(), Some(file))];
        let hash = state.commit_files(repository, branch, &actor, "Add a file\n", &files)?;
        let change = Change::branch(branch, old, Some(hash.clone()));
        Ok((hash, state.pushed(repository, &actor, &[change])?))
    }

    /// Pushes so many commits at once; the body lists five of them and is `truncated` beyond.
    pub fn push_commits(
        &self,
        repository: &str,
        branch: &str,
        count: usize,
    ) -> anyhow::Result<(String, Vec<Delivery>)> {
        let state = &mut self.model().state;
        let old = state.repository(repository)?.branches.get(branch).cloned();
        let actor = state.default_actor()?;
        let mut hash = old.clone();
        for number in 1..=count {
            let file = File::new(format!("{number}\n"));
            let files = [("counter.txt".to_owned(), Some(file))];
            let message = format!("Commit {number} of {count}\n");
            hash = Some(state.commit_files(repository, branch, &actor, &message, &files)?);
        }
        let hash = hash.context("no commit to push")?;
        let change = Change::branch(branch, old, Some(hash.clone()));
        Ok((hash, state.pushed(repository, &actor, &[change])?))
    }

    /// Replaces the last commit of a branch by another with these files, as after `git commit --amend`.
    pub fn force_push<C: AsRef<[u8]>>(
        &self,
        repository: &str,
        branch: &str,
        files: &[(&str, Option<C>)],
    ) -> anyhow::Result<(String, Vec<Delivery>)> {
        let mut model = self.model();
        let forget = model.quirks.forget_forced_commits;
        let state = &mut model.state;
        let actor = state.default_actor()?;
        let found = state.repository(repository)?;
        let old = found.branches.get(branch).cloned().context("no branch")?;
        let commit = found.commits.get(&old).context("no commit")?;
        let parents = commit.parents.clone();
        let parent = parents.first().and_then(|parent| found.commits.get(parent));
        let mut tree = parent
            .map(|parent| (*parent.tree).clone())
            .unwrap_or_default();
        for (path, file) in owned(files) {
            match file {
                Some(file) => tree.insert(path, file),
                None => tree.remove(&path),
            };
        }
        let message = "Amend\n";
        let hash = state.add_commit(repository, branch, &actor, message, parents, tree)?;
        let change = Change {
            forced: true,
            ..Change::branch(branch, Some(old.clone()), Some(hash.clone()))
        };
        let deliveries = state.pushed(repository, &actor, &[change])?;
        if forget {
            let repository = state.repository_mut(repository)?;
            if !repository.branches.values().any(|tip| *tip == old) {
                repository.commits.remove(&old);
            }
        }
        Ok((hash, deliveries))
    }

    /// Starts a branch at the head of another, or of the main branch.
    pub fn create_branch(
        &self,
        repository: &str,
        name: &str,
        from: Option<&str>,
    ) -> anyhow::Result<Vec<Delivery>> {
        let state = &mut self.model().state;
        let found = state.repository_mut(repository)?;
        anyhow::ensure!(!found.branches.contains_key(name), "branch {name} exists");
        let hash = match from {
            Some(from) => found.branches.get(from).cloned(),
            None => found.head(),
        };
        let hash = hash.context("nothing to branch from")?;
        found.branches.insert(name.to_owned(), hash.clone());
        let actor = state.default_actor()?;
        state.pushed(
            repository,
            &actor,
            &[Change::branch(name, None, Some(hash))],
        )
    }

    /// Pull requests from the branch stay open. The main branch cannot be deleted.
    pub fn delete_branch(&self, repository: &str, name: &str) -> anyhow::Result<Vec<Delivery>> {
        let state = &mut self.model().state;
        let actor = state.default_actor()?;
        state.remove_branch(repository, name, &actor)
    }

    /// Tags the head of the main branch; with a message it is an annotated tag.
    pub fn create_tag(
        &self,
        repository: &str,
        name: &str,
        message: Option<&str>,
    ) -> anyhow::Result<Vec<Delivery>> {
        let state = &mut self.model().state;
        state.add_tag(repository, name, message)?;
        let tag = state.repository(repository)?.tags.get(name).cloned();
        let actor = state.default_actor()?;
        state.pushed(repository, &actor, &[Change::tag(name, None, tag)])
    }

    pub fn delete_tag(&self, repository: &str, name: &str) -> anyhow::Result<Vec<Delivery>> {
        let state = &mut self.model().state;
        state.tick();
        let tag = state.repository_mut(repository)?.tags.remove(name);
        let tag = tag.with_context(|| format!("no tag {name}"))?;
        let actor = state.default_actor()?;
        state.pushed(repository, &actor, &[Change::tag(name, Some(tag), None)])
    }
}

/// One ref that moved.
pub(super) struct Change {
    name: String,
    old: Option<Ref>,
    new: Option<Ref>,
    forced: bool,
}

enum Ref {
    Branch(String),
    Tag(Tag),
}

impl Change {
    pub(super) fn branch(name: &str, old: Option<String>, new: Option<String>) -> Change {
        Change {
            name: name.to_owned(),
            old: old.map(Ref::Branch),
            new: new.map(Ref::Branch),
            forced: false,
        }
    }

    fn tag(name: &str, old: Option<Tag>, new: Option<Tag>) -> Change {
        Change {
            name: name.to_owned(),
            old: old.map(Ref::Tag),
            new: new.map(Ref::Tag),
            forced: false,
        }
    }
}

impl State {
    /// Reports refs that have moved: `repo:push`, then `pullrequest:updated` for each open pull request that comes from
    /// a moved branch.
    pub(super) fn pushed(
        &mut self,
        repository: &str,
        actor: &str,
        changes: &[Change],
    ) -> anyhow::Result<Vec<Delivery>> {
        let now = self.now();
        let uuid = self.repository(repository)?.uuid.clone();
        self.repository_mut(&uuid)?.updated_on = now;
        let rows: Vec<Value> = changes
            .iter()
            .map(|change| self.push_change(&uuid, change))
            .collect::<anyhow::Result<_>>()?;
        let body = self.repository_body(&uuid)?;
        let push = json!({"changes": rows});
        let mut deliveries =
            vec![self.delivery("repo:push", actor, [("push", push), ("repository", body)])];
        for change in changes {
            if let (Some(Ref::Branch(_)), Some(Ref::Branch(hash))) = (&change.old, &change.new) {
                deliveries.extend(self.follow_source(&uuid, &change.name, hash, actor)?);
            }
        }
        Ok(deliveries)
    }

    pub(super) fn remove_branch(
        &mut self,
        repository: &str,
        name: &str,
        actor: &str,
    ) -> anyhow::Result<Vec<Delivery>> {
        self.tick();
        let found = self.repository_mut(repository)?;
        anyhow::ensure!(
            found.main_branch.as_deref() != Some(name),
            "the main branch cannot be deleted"
        );
        let hash = found.branches.remove(name);
        let hash = hash.with_context(|| format!("no branch {name}"))?;
        self.pushed(repository, actor, &[Change::branch(name, Some(hash), None)])
    }

    pub(in crate::bitbucket) fn add_tag(
        &mut self,
        repository: &str,
        name: &str,
        message: Option<&str>,
    ) -> anyhow::Result<()> {
        let date = self.tick();
        let repository = self.repository_mut(repository)?;
        let hash = repository.head().context("nothing to tag")?;
        anyhow::ensure!(!repository.tags.contains_key(name), "tag {name} exists");
        let message = message.map(str::to_owned);
        let tag = Tag {
            hash,
            message,
            date,
        };
        repository.tags.insert(name.to_owned(), tag);
        Ok(())
    }

    fn follow_source(
        &mut self,
        repository: &str,
        branch: &str,
        hash: &str,
        actor: &str,
    ) -> anyhow::Result<Vec<Delivery>> {
        let now = self.now();
        let mut moved = Vec::new();
        for destination in &mut self.repositories {
            for pull_request in destination.pull_requests.values_mut() {
                let source = &mut pull_request.source;
                if pull_request.state == PullRequestState::Open
                    && source.repository == repository
                    && source.branch == branch
                {
                    hash.clone_into(&mut source.hash);
                    pull_request.updated_on = now;
                    moved.push((destination.uuid.clone(), pull_request.id));
                }
            }
        }
        moved
            .into_iter()
            .map(|(destination, id)| {
                self.pull_request_event("pullrequest:updated", &destination, id, actor, None)
            })
            .collect()
    }

    /// One entry of `push.changes`.
    fn push_change(&self, repository: &str, change: &Change) -> anyhow::Result<Value> {
        let repository = self.repository(repository)?;
        let show = |side: &Option<Ref>| match side {
            None => Value::Null,
            Some(Ref::Branch(hash)) => self.branch_event_json(repository, &change.name, hash),
            Some(Ref::Tag(tag)) => self.tag_event_json(repository, &change.name, tag),
        };
        let mut row = json!({
            "old": show(&change.old),
            "new": show(&change.new),
            "truncated": false,
            "created": change.old.is_none(),
            "forced": change.forced,
            "closed": change.new.is_none(),
        });
        let (url, html) = (
            self.repository_url(repository),
            format!("https://bitbucket.org/{}", self.full_name(repository)),
        );
        match (&change.old, &change.new) {
            (_, Some(Ref::Tag(tag))) => {
                let commits = format!("{url}/commits?include={}", tag.hash);
                set(&mut row, "links", json!({"commits": href(commits)}));
            }
            (old, Some(Ref::Branch(new))) => {
                let (range, page) = match old {
                    Some(Ref::Branch(old)) => (
                        format!("include={new}&exclude={old}"),
                        format!("{html}/branches/compare/{new}..{old}"),
                    ),
                    _ => (
                        format!("include={new}"),
                        format!("{html}/branch/{}", change.name),
                    ),
                };
                let mut links = json!({
                    "commits": href(format!("{url}/commits?{range}")),
                    "html": href(page),
                });
                if let (Some(Ref::Branch(old)), false) = (old, change.forced) {
                    set(&mut links, "diff", href(format!("{url}/diff/{new}..{old}")));
                }
                set(&mut row, "links", links);
                let known: Vec<&str> = match old {
                    Some(Ref::Branch(old)) => hashes(&repository.history(old)),
                    // A new branch brings what no other has.
                    _ => repository
                        .branches
                        .iter()
                        .filter(|(name, _)| **name != change.name)
                        .flat_map(|(_, hash)| hashes(&repository.history(hash)))
                        .collect(),
                };
                let mut commits = repository.history(new);
                commits.retain(|commit| !known.contains(&commit.hash.as_str()));
                set(&mut row, "truncated", json!(MOST_COMMITS < commits.len()));
                commits.truncate(MOST_COMMITS);
                let commits = commits
                    .into_iter()
                    .map(|commit| self.commit_json(repository, commit));
                set(&mut row, "commits", commits.collect());
            }
            (_, None) => {}
        }
        Ok(row)
    }
}

fn hashes<'c>(commits: &[&'c Commit]) -> Vec<&'c str> {
    commits.iter().map(|commit| commit.hash.as_str()).collect()
}

fn owned<C: AsRef<[u8]>>(files: &[(&str, Option<C>)]) -> Vec<(String, Option<File>)> {
    files
        .iter()
        .map(|(path, content)| ((*path).to_owned(), content.as_ref().map(File::new)))
        .collect()
}

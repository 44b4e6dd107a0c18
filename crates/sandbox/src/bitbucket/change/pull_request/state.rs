//! What a change of a pull request does to the workspace, and the body that reports it.

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::{NewBranch, NewPullRequest};
use crate::bitbucket::render::rendered;
use crate::bitbucket::state::{
    File, Participant, PullRequest, PullRequestState, Side, Stamp, State, slugify,
};
use crate::webhook::Delivery;

impl State {
    /// Adds a pull request; when its source branch is new returns that too.
    pub(in crate::bitbucket) fn add_pull_request(
        &mut self,
        repository: &str,
        new: &NewPullRequest,
    ) -> anyhow::Result<(u64, Option<NewBranch>)> {
        let author = self.user(&new.author)?.uuid.clone();
        let reviewers = self.user_ids(&new.reviewers)?;
        let found = self.repository(repository)?;
        let destination = new
            .destination
            .clone()
            .or_else(|| found.main_branch.clone())
            .context("an empty repository has no pull requests")?;
        let destination = self.side_at(repository, &destination)?;
        let id = found
            .pull_requests
            .keys()
            .next_back()
            .map_or(1, |id| id + 1);
        let branch = new
            .source
            .clone()
            .unwrap_or_else(|| format!("feature/{}", slugify(&new.title)));
        let source = new.source_repository.as_deref().unwrap_or(repository);
        let mut pushed = None;
        if !self.repository(source)?.branches.contains_key(&branch) {
            let path = format!("notes/{}.md", slugify(&branch));
            let files = [(path, Some(File::new(format!("# {}\n", new.title))))];
            let message = format!("{}\n", new.title);
            let hash = self.commit_files(source, &branch, &author, &message, &files)?;
            pushed = Some(NewBranch {
                repository: source.to_owned(),
                name: branch.clone(),
                hash,
            });
        }
        let source = self.side_at(source, &branch)?;
        let now = self.tick();
        let mut pull_request = PullRequest {
            id,
            title: new.title.clone(),
            description: new.description.clone(),
            state: PullRequestState::Open,
            draft: new.draft,
            author: Some(author),
            source,
            destination,
            reviewers: reviewers.clone(),
            participants: Vec::new(),
            merge_commit: None,
            closed_by: None,
            closed_on: None,
            reason: String::new(),
            comments: 0,
            close_source_branch: true,
            created_on: now,
            updated_on: now,
        };
        for reviewer in &reviewers {
            participant(&mut pull_request, reviewer).reviewer = true;
        }
        self.repository_mut(repository)?
            .pull_requests
            .insert(id, pull_request);
        Ok((id, pushed))
    }

    /// A delivery about a pull request of `repository`.
    pub(in crate::bitbucket::change) fn pull_request_event(
        &mut self,
        key: &str,
        repository: &str,
        id: u64,
        actor: &str,
        extra: Option<(&str, Value)>,
    ) -> anyhow::Result<Delivery> {
        let found = self.repository(repository)?;
        let pull_request = found.pull_requests.get(&id).context("no pull request")?;
        let mut shown = self.pull_request_json(found, pull_request);
        if let Some(members) = shown.as_object_mut() {
            members.shift_remove("closed_on");
        }
        let body = self.repository_event_json(found);
        let parts = [("repository", body), ("pullrequest", shown)];
        Ok(self.delivery(key, actor, parts.into_iter().chain(extra)))
    }

    pub(super) fn comment_event(
        &mut self,
        event: &str,
        repository: &str,
        id: u64,
        user: &str,
        text: &str,
    ) -> anyhow::Result<Vec<Delivery>> {
        let found = self.repository(repository)?;
        let title = &found
            .pull_requests
            .get(&id)
            .context("no pull request")?
            .title;
        let now = self.now();
        // Unique and stable enough: one comment a second.
        let number = now.0;
        let url = format!("{}/pullrequests/{id}", self.repository_url(found));
        let html = format!(
            "https://bitbucket.org/{}/pull-requests/{id}",
            self.full_name(found)
        );
        let comment = json!({
            "id": number,
            "created_on": now.micros(),
            "updated_on": now.micros(),
            "content": rendered(text),
            "user": self.user_json(user),
            "deleted": event == "comment_deleted",
            "pending": false,
            "type": "pullrequest_comment",
            "links": {
                "self": {"href": format!("{url}/comments/{number}")},
                "html": {"href": format!("{html}/_/diff#comment-{number}")},
            },
            "pullrequest": {
                "type": "pullrequest",
                "id": id,
                "title": title,
                "draft": false,
                "links": {"self": {"href": url}, "html": {"href": html}},
            },
        });
        let key = format!("pullrequest:{event}");
        let delivery =
            self.pull_request_event(&key, repository, id, user, Some(("comment", comment)))?;
        Ok(vec![delivery])
    }

    /// What the destination holds after the merge: its files, with what the source changed since both parted.
    pub(super) fn merged_tree(
        &mut self,
        repository: &str,
        source: &Side,
        head: &str,
    ) -> anyhow::Result<BTreeMap<String, File>> {
        // A fork's commits come along.
        let commits = match self.find_repository(&source.repository) {
            Some(other) if other.uuid != repository => other.commits.clone(),
            _ => Default::default(),
        };
        let found = self.repository_mut(repository)?;
        for (hash, commit) in commits {
            found.commits.entry(hash).or_insert(commit);
        }
        let theirs = found
            .commits
            .get(&source.hash)
            .context("the source commit is gone")?;
        let ours = found
            .commits
            .get(head)
            .context("the destination commit is gone")?;
        let base = found.merge_base(&source.hash, head);
        let mut tree = (*ours.tree).clone();
        let base = base
            .map(|commit| (*commit.tree).clone())
            .unwrap_or_default();
        for (path, file) in theirs.tree.iter() {
            if base.get(path) != Some(file) {
                tree.insert(path.clone(), file.clone());
            }
        }
        for path in base.keys() {
            if !theirs.tree.contains_key(path) {
                tree.remove(path);
            }
        }
        Ok(tree)
    }

    pub(super) fn side_at(&self, repository: &str, branch: &str) -> anyhow::Result<Side> {
        let repository = self.repository(repository)?;
        let hash = repository.branches.get(branch);
        Ok(Side {
            repository: repository.uuid.clone(),
            branch: branch.to_owned(),
            hash: hash.with_context(|| format!("no branch {branch}"))?.clone(),
        })
    }

    pub(super) fn user_ids(&self, users: &[String]) -> anyhow::Result<Vec<String>> {
        users
            .iter()
            .map(|user| Ok(self.user(user)?.uuid.clone()))
            .collect()
    }

    pub(super) fn open_mut(
        &mut self,
        repository: &str,
        id: u64,
    ) -> anyhow::Result<&mut PullRequest> {
        let pull_request = self.pull_request_mut(repository, id)?;
        anyhow::ensure!(
            pull_request.state == PullRequestState::Open,
            "pull request {id} is closed"
        );
        Ok(pull_request)
    }

    /// Marks a pull request as changed now.
    pub(super) fn touch(&mut self, repository: &str, id: u64) -> anyhow::Result<Stamp> {
        let now = self.tick();
        self.pull_request_mut(repository, id)?.updated_on = now;
        Ok(now)
    }
}

/// The user's part in a pull request, which begins here when there was none.
pub(in crate::bitbucket) fn participant<'p>(
    pull_request: &'p mut PullRequest,
    user: &str,
) -> &'p mut Participant {
    let participants = &mut pull_request.participants;
    let known = participants.iter().position(|known| known.user == user);
    let position = known.unwrap_or(participants.len());
    if known.is_none() {
        participants.push(Participant {
            user: user.to_owned(),
            reviewer: false,
            verdict: None,
            participated_on: None,
        });
    }
    &mut participants[position]
}

pub(in crate::bitbucket) fn close_as(
    pull_request: &mut PullRequest,
    state: PullRequestState,
    user: Option<&str>,
    now: Stamp,
) {
    pull_request.state = state;
    pull_request.closed_by = user.map(str::to_owned);
    pull_request.closed_on = Some(now);
    pull_request.updated_on = now;
}

//! Pull requests are opened, reviewed, merged and declined.

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::push::Change;
use crate::bitbucket::Bitbucket;
use crate::bitbucket::render::rendered;
use crate::bitbucket::state::{
    File, Participant, PullRequest, PullRequestState, Side, Stamp, State, Verdict, slugify,
};
use crate::webhook::Delivery;

/// A pull request to open.
#[derive(Clone, Debug, Default)]
pub struct NewPullRequest {
    pub title: String,
    /// Display name or uuid.
    pub author: String,
    pub description: String,
    /// The source branch; when it does not exist it is pushed with one commit. None: `feature/` and the title.
    pub source: Option<String>,
    /// The fork it comes from, by uuid or slug; None: the repository itself.
    pub source_repository: Option<String>,
    /// None: the main branch.
    pub destination: Option<String>,
    /// Display names or uuids.
    pub reviewers: Vec<String>,
    pub draft: bool,
}

impl NewPullRequest {
    pub fn new(title: impl Into<String>, author: impl Into<String>) -> NewPullRequest {
        NewPullRequest {
            title: title.into(),
            author: author.into(),
            ..NewPullRequest::default()
        }
    }

    #[must_use]
    pub fn reviewed_by(mut self, reviewer: impl Into<String>) -> NewPullRequest {
        self.reviewers.push(reviewer.into());
        self
    }
}

/// A branch that was made for a pull request.
pub(in crate::bitbucket) struct NewBranch {
    repository: String,
    name: String,
    hash: String,
}

/// What changes about a pull request; None stays.
#[derive(Clone, Debug, Default)]
pub struct PullRequestChange {
    pub title: Option<String>,
    pub description: Option<String>,
    pub reviewers: Option<Vec<String>>,
    pub destination: Option<String>,
    pub draft: Option<bool>,
}

impl Bitbucket {
    /// Returns the number. When the source branch is new, its push comes first among the deliveries.
    pub fn open_pull_request(
        &self,
        repository: &str,
        new: NewPullRequest,
    ) -> anyhow::Result<(u64, Vec<Delivery>)> {
        let state = &mut self.model().state;
        let author = state.user(&new.author)?.uuid.clone();
        let (id, pushed) = state.add_pull_request(repository, &new)?;
        let mut deliveries = Vec::new();
        if let Some(branch) = pushed {
            let change = Change::branch(&branch.name, None, Some(branch.hash));
            deliveries = state.pushed(&branch.repository, &author, &[change])?;
        }
        let created =
            state.pull_request_event("pullrequest:created", repository, id, &author, None)?;
        deliveries.push(created);
        Ok((id, deliveries))
    }

    pub fn update_pull_request(
        &self,
        repository: &str,
        id: u64,
        change: PullRequestChange,
    ) -> anyhow::Result<Vec<Delivery>> {
        let state = &mut self.model().state;
        let reviewers = change
            .reviewers
            .map(|reviewers| state.user_ids(&reviewers))
            .transpose()?;
        let side = change
            .destination
            .map(|branch| state.side_at(repository, &branch))
            .transpose()?;
        let pull_request = state.open_mut(repository, id)?;
        if let Some(title) = change.title {
            pull_request.title = title;
        }
        if let Some(description) = change.description {
            pull_request.description = description;
        }
        if let Some(draft) = change.draft {
            pull_request.draft = draft;
        }
        if let Some(side) = side {
            pull_request.destination = side;
        }
        if let Some(reviewers) = reviewers {
            pull_request.participants.retain(|participant| {
                !participant.reviewer || reviewers.contains(&participant.user)
            });
            for reviewer in &reviewers {
                let participant = participant(pull_request, reviewer);
                participant.reviewer = true;
            }
            pull_request.reviewers = reviewers;
        }
        let actor = state.default_actor()?;
        state.touch(repository, id)?;
        let updated =
            state.pull_request_event("pullrequest:updated", repository, id, &actor, None)?;
        Ok(vec![updated])
    }

    pub fn approve(&self, repository: &str, id: u64, user: &str) -> anyhow::Result<Vec<Delivery>> {
        let verdict = Some(Verdict::Approved);
        self.judge(repository, id, user, verdict, "approved", "approval")
    }

    pub fn unapprove(
        &self,
        repository: &str,
        id: u64,
        user: &str,
    ) -> anyhow::Result<Vec<Delivery>> {
        self.judge(repository, id, user, None, "unapproved", "approval")
    }

    pub fn request_changes(
        &self,
        repository: &str,
        id: u64,
        user: &str,
    ) -> anyhow::Result<Vec<Delivery>> {
        let verdict = Some(Verdict::ChangesRequested);
        let event = "changes_request_created";
        self.judge(repository, id, user, verdict, event, "changes_request")
    }

    pub fn withdraw_changes_request(
        &self,
        repository: &str,
        id: u64,
        user: &str,
    ) -> anyhow::Result<Vec<Delivery>> {
        let event = "changes_request_removed";
        self.judge(repository, id, user, None, event, "changes_request")
    }

    pub fn comment(
        &self,
        repository: &str,
        id: u64,
        user: &str,
        text: &str,
    ) -> anyhow::Result<Vec<Delivery>> {
        let state = &mut self.model().state;
        let user = state.user(user)?.uuid.clone();
        let now = state.touch(repository, id)?;
        let pull_request = state.pull_request_mut(repository, id)?;
        pull_request.comments += 1;
        participant(pull_request, &user).participated_on = Some(now);
        state.comment_event("comment_created", repository, id, &user, text)
    }

    /// Deletes the last comment.
    pub fn delete_comment(
        &self,
        repository: &str,
        id: u64,
        user: &str,
    ) -> anyhow::Result<Vec<Delivery>> {
        let state = &mut self.model().state;
        let user = state.user(user)?.uuid.clone();
        let pull_request = state.pull_request_mut(repository, id)?;
        anyhow::ensure!(0 < pull_request.comments, "there is no comment");
        pull_request.comments -= 1;
        state.touch(repository, id)?;
        state.comment_event("comment_deleted", repository, id, &user, "")
    }

    /// Adds a merge commit to the destination; a source branch of the same repository is deleted when the pull request
    /// says so, unless it is the main branch.
    pub fn merge(&self, repository: &str, id: u64, user: &str) -> anyhow::Result<Vec<Delivery>> {
        let state = &mut self.model().state;
        let user = state.user(user)?.uuid.clone();
        let uuid = state.repository(repository)?.uuid.clone();
        let (source, destination, close) = {
            let open = state.open_mut(&uuid, id)?;
            let close = open.close_source_branch;
            (open.source.clone(), open.destination.clone(), close)
        };
        let old = state
            .repository(&uuid)?
            .branches
            .get(&destination.branch)
            .cloned()
            .context("the destination branch is gone")?;
        let message = format!("Merged in {} (pull request #{id})\n", source.branch);
        let tree = state.merged_tree(&uuid, &source, &old)?;
        let parents = vec![old.clone(), source.hash.clone()];
        let hash = state.add_commit(&uuid, &destination.branch, &user, &message, parents, tree)?;
        let now = state.now();
        let pull_request = state.pull_request_mut(&uuid, id)?;
        pull_request.merge_commit = Some(hash.clone());
        close_as(pull_request, PullRequestState::Merged, Some(&user), now);
        let change = Change::branch(&destination.branch, Some(old), Some(hash));
        let mut deliveries = state.pushed(&uuid, &user, &[change])?;
        let found = state.repository(&uuid)?;
        let deletable = found.branches.contains_key(&source.branch)
            && found.main_branch.as_ref() != Some(&source.branch)
            && source.branch != destination.branch;
        if close && source.repository == uuid && deletable {
            deliveries.extend(state.remove_branch(&uuid, &source.branch, &user)?);
        }
        let fulfilled =
            state.pull_request_event("pullrequest:fulfilled", &uuid, id, &user, None)?;
        deliveries.push(fulfilled);
        Ok(deliveries)
    }

    pub fn decline(
        &self,
        repository: &str,
        id: u64,
        user: &str,
        reason: &str,
    ) -> anyhow::Result<Vec<Delivery>> {
        let state = &mut self.model().state;
        let user = state.user(user)?.uuid.clone();
        let now = state.tick();
        let pull_request = state.open_mut(repository, id)?;
        reason.clone_into(&mut pull_request.reason);
        close_as(pull_request, PullRequestState::Declined, Some(&user), now);
        let rejected =
            state.pull_request_event("pullrequest:rejected", repository, id, &user, None)?;
        Ok(vec![rejected])
    }

    /// Another pull request took its place. Bitbucket has no event for it.
    pub fn supersede(&self, repository: &str, id: u64) -> anyhow::Result<Vec<Delivery>> {
        let state = &mut self.model().state;
        let now = state.tick();
        let pull_request = state.open_mut(repository, id)?;
        close_as(pull_request, PullRequestState::Superseded, None, now);
        Ok(Vec::new())
    }

    fn judge(
        &self,
        repository: &str,
        id: u64,
        user: &str,
        verdict: Option<Verdict>,
        event: &str,
        part: &str,
    ) -> anyhow::Result<Vec<Delivery>> {
        let state = &mut self.model().state;
        let user = state.user(user)?.uuid.clone();
        let pull_request = state.open_mut(repository, id)?;
        participant(pull_request, &user).verdict = verdict;
        let now = state.touch(repository, id)?;
        let pull_request = state.pull_request_mut(repository, id)?;
        participant(pull_request, &user).participated_on = Some(now);
        let extra = json!({"date": now.micros(), "user": state.user_json(&user)});
        let key = format!("pullrequest:{event}");
        let judged = state.pull_request_event(&key, repository, id, &user, Some((part, extra)))?;
        Ok(vec![judged])
    }
}

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
    pub(super) fn pull_request_event(
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

    fn comment_event(
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
    fn merged_tree(
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

    fn side_at(&self, repository: &str, branch: &str) -> anyhow::Result<Side> {
        let repository = self.repository(repository)?;
        let hash = repository.branches.get(branch);
        Ok(Side {
            repository: repository.uuid.clone(),
            branch: branch.to_owned(),
            hash: hash.with_context(|| format!("no branch {branch}"))?.clone(),
        })
    }

    fn user_ids(&self, users: &[String]) -> anyhow::Result<Vec<String>> {
        users
            .iter()
            .map(|user| Ok(self.user(user)?.uuid.clone()))
            .collect()
    }

    fn open_mut(&mut self, repository: &str, id: u64) -> anyhow::Result<&mut PullRequest> {
        let pull_request = self.pull_request_mut(repository, id)?;
        anyhow::ensure!(
            pull_request.state == PullRequestState::Open,
            "pull request {id} is closed"
        );
        Ok(pull_request)
    }

    /// Marks a pull request as changed now.
    fn touch(&mut self, repository: &str, id: u64) -> anyhow::Result<Stamp> {
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

//! Pull requests are opened, reviewed, merged and declined.

mod state;

use anyhow::Context as _;
use serde_json::json;

use super::push::Change;
use crate::bitbucket::Bitbucket;
use crate::bitbucket::state::{PullRequestState, Verdict};
use crate::webhook::Delivery;

pub(in crate::bitbucket) use state::{close_as, participant};

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

    /// Bitbucket does not say any more who has opened it. It has no event for that.
    pub fn forget_author(&self, repository: &str, id: u64) -> anyhow::Result<()> {
        let state = &mut self.model().state;
        let uuid = state.repository(repository)?.uuid.clone();
        state.pull_request_mut(&uuid, id)?.author = None;
        Ok(())
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

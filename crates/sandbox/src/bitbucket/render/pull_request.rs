//! Pull requests.

use serde_json::{Value, json};

use super::{href, rendered, set, short};
use crate::bitbucket::object::Object;
use crate::bitbucket::state::{Participant, PullRequest, Repository, Side, Stamp, State, Verdict};

impl State {
    pub(in crate::bitbucket) fn pull_request_json(
        &self,
        repository: &Repository,
        pull_request: &PullRequest,
    ) -> Value {
        let id = pull_request.id;
        let url = format!("{}/pullrequests/{id}", self.repository_url(repository));
        let spec = format!(
            "{}:{}%0D{}?from_pullrequest_id={id}&topic=true",
            self.full_name(repository),
            short(&pull_request.source.hash),
            short(&pull_request.destination.hash),
        );
        let mut links = json!({
            "self": href(url.clone()),
            "html": href(format!("{}/pull-requests/{id}", self.repository_html(repository))),
        });
        for name in ["commits", "approve", "request-changes"] {
            set(&mut links, name, href(format!("{url}/{name}")));
        }
        for name in ["diff", "diffstat"] {
            let target = format!("{}/{name}/{spec}", self.repository_url(repository));
            set(&mut links, name, href(target));
        }
        for name in ["comments", "activity", "merge", "decline", "statuses"] {
            set(&mut links, name, href(format!("{url}/{name}")));
        }
        let account = |uuid: &Option<String>| {
            uuid.as_ref()
                .map_or(Value::Null, |uuid| self.user_json(uuid))
        };
        let merge_commit = pull_request.merge_commit.as_ref().map(|hash| {
            let mut value = self.commit_ref(repository, short(hash));
            set(&mut value, "type", json!("commit"));
            value
        });
        let value = json!({
            "comment_count": pull_request.comments,
            "task_count": 0,
            "type": "pullrequest",
            "id": id,
            "title": pull_request.title,
            "description": pull_request.description,
            "rendered": {
                "title": rendered(&pull_request.title),
                "description": rendered(&pull_request.description),
            },
            "state": pull_request.state.as_str(),
            "draft": pull_request.draft,
            "merge_commit": merge_commit,
            "close_source_branch": pull_request.close_source_branch,
            "closed_by": account(&pull_request.closed_by),
            "closed_on": pull_request.closed_on.map(Stamp::micros),
            "author": account(&pull_request.author),
            "reason": pull_request.reason,
            "created_on": pull_request.created_on.micros(),
            "updated_on": pull_request.updated_on.micros(),
            "destination": self.side(repository, &pull_request.destination, false),
            "source": self.side(repository, &pull_request.source, true),
            "reviewers": pull_request.reviewers.iter().map(|user| self.user_json(user)).collect::<Vec<_>>(),
            "participants": pull_request.participants.iter().map(|p| self.participant(p)).collect::<Vec<_>>(),
            "links": links,
            "summary": rendered(&pull_request.description),
            "queued": false,
        });
        self.shown(|| Object::PullRequest(repository.uuid.clone(), id), value)
    }

    /// Most sides are in the repository of the pull request itself, which need not be looked for.
    fn side(&self, own: &Repository, side: &Side, source: bool) -> Value {
        let branch = if source {
            json!({"name": side.branch, "links": {}, "sync_strategies": ["merge_commit", "rebase"]})
        } else {
            json!({"name": side.branch})
        };
        let repository = match side.repository == own.uuid {
            true => Some(own),
            false => self.find_repository(&side.repository),
        };
        match repository {
            Some(repository) => json!({
                "branch": branch,
                "commit": self.commit_ref(repository, short(&side.hash)),
                "repository": self.repository_ref(repository),
            }),
            // The fork was deleted, and its commits with it.
            None => json!({"branch": branch, "commit": null, "repository": null}),
        }
    }

    fn participant(&self, participant: &Participant) -> Value {
        let state = participant.verdict.map(|verdict| match verdict {
            Verdict::Approved => "approved",
            Verdict::ChangesRequested => "changes_requested",
        });
        json!({
            "type": "participant",
            "user": self.user_json(&participant.user),
            "role": if participant.reviewer { "REVIEWER" } else { "PARTICIPANT" },
            "approved": participant.verdict == Some(Verdict::Approved),
            "state": state,
            "participated_on": participant.participated_on.map(Stamp::micros),
        })
    }
}

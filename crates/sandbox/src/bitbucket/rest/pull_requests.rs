//! Pull requests of one repository.

use super::Call;
use crate::bitbucket::page::{Rules, list, query, single};
use crate::bitbucket::refusal::refuse;
use crate::bitbucket::state::{PullRequest, PullRequestState, Repository, State};
use crate::server::Response;

const PULL_REQUESTS: Rules = Rules {
    cap: 50,
    hidden: &[
        "reviewers",
        "participants",
        "rendered",
        "queued",
        "closed_on",
    ],
    queryable: &[
        "id",
        "title",
        "description",
        "state",
        "draft",
        "author.*",
        "source.*",
        "destination.*",
        "reviewers.*",
        "participants.*",
        "merge_commit.*",
        "closed_by.*",
        "close_source_branch",
        "comment_count",
        "task_count",
        "reason",
        "created_on",
        "updated_on",
    ],
    parameters: &["state"],
    ..Rules::PLAIN
};

/// What a single pull request shows only when `fields` asks for it.
const HIDDEN: &[&str] = &["closed_on"];

/// Below `/repositories/{workspace}/{repository}/pullrequests`.
pub(super) fn answer(
    call: &Call<'_>,
    state: &State,
    repository: &Repository,
    segments: &[&str],
) -> Result<Response, Response> {
    let (id, rest) = match segments {
        [] | [""] => return list_of(call, state, repository),
        [id, rest @ ..] => (id, rest),
    };
    let pull_request = id
        .parse()
        .ok()
        .and_then(|id: u64| repository.pull_requests.get(&id))
        .ok_or_else(|| refuse(404, &format!("Pull request {id} not found")))?;
    match rest {
        [] => single(
            call.request,
            state.pull_request_json(repository, pull_request),
            HIDDEN,
        ),
        _ => Err(refuse(404, "Resource not found")),
    }
}

fn list_of(call: &Call<'_>, state: &State, repository: &Repository) -> Result<Response, Response> {
    let request = call.request;
    let mut states = Vec::new();
    for name in request.query_all("state") {
        let state = PullRequestState::ALL
            .into_iter()
            .find(|state| state.as_str() == name)
            .ok_or_else(|| refuse(400, &format!("Invalid state \"{name}\"")))?;
        states.push(state);
    }
    if PullRequestState::ALL
        .iter()
        .all(|state| states.contains(state))
        && request.query("sort").is_some()
    {
        return Err(refuse(500, "Something went wrong"));
    }
    // Only a state named anywhere lifts the restriction to open ones.
    if states.is_empty() {
        let query = query(request, &PULL_REQUESTS)?;
        if query.is_some_and(|query| query.fields().contains(&"state")) {
            states = PullRequestState::ALL.to_vec();
        } else {
            states = vec![PullRequestState::Open];
        }
    }
    let newest_first: Vec<&PullRequest> = repository
        .pull_requests
        .values()
        .rev()
        .filter(|pull_request| states.contains(&pull_request.state))
        .collect();
    list(
        request,
        call.quirks,
        &PULL_REQUESTS,
        newest_first,
        |pull_request| state.pull_request_json(repository, pull_request),
    )
}

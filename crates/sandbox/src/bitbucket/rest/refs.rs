//! Branches, tags and commits of one repository.

use super::Call;
use crate::bitbucket::page::{Pages, Rules, list, single};
use crate::bitbucket::refusal::refuse;
use crate::bitbucket::state::{Repository, State};
use crate::server::Response;

const REFS: Rules = Rules {
    queryable: &["name", "target.*"],
    ..Rules::PLAIN
};

const COMMITS: Rules = Rules {
    default: 30,
    pages: Pages::Opaque,
    ..Rules::PLAIN
};

/// `refs/..`, `commits/..` and `commit/..` below a repository.
pub(super) fn answer(
    call: &Call<'_>,
    state: &State,
    repository: &Repository,
    segments: &[&str],
) -> Result<Response, Response> {
    let (request, quirks) = (call.request, call.quirks);
    match segments {
        ["refs", "branches"] => list(
            request,
            quirks,
            &REFS,
            repository.branches.iter().collect(),
            |(name, hash)| state.branch_json(repository, name, hash),
        ),
        // A name may contain slashes here, encoded or not.
        ["refs", "branches", name @ ..] => {
            let name = name.join("/");
            let hash = repository
                .branches
                .get(&name)
                .ok_or_else(|| refuse(404, &format!("Branch {name} not found")))?;
            single(request, state.branch_json(repository, &name, hash), &[])
        }
        ["refs", "tags"] => list(
            request,
            quirks,
            &REFS,
            repository.tags.iter().collect(),
            |(name, tag)| state.tag_json(repository, name, tag),
        ),
        ["refs", "tags", name @ ..] => {
            let name = name.join("/");
            let tag = repository
                .tags
                .get(&name)
                .ok_or_else(|| refuse(404, &format!("Tag {name} not found")))?;
            single(request, state.tag_json(repository, &name, tag), &[])
        }
        ["commits"] => history(call, state, repository, repository.head().as_deref()),
        ["commits", revision] => history(call, state, repository, Some(revision)),
        ["commit", revision] => {
            let commit = repository
                .resolve(revision)
                .ok_or_else(|| refuse(404, &format!("Commit {revision} not found")))?;
            single(request, state.commit_json(repository, commit), &[])
        }
        _ => Err(refuse(404, "Resource not found")),
    }
}

fn history(
    call: &Call<'_>,
    state: &State,
    repository: &Repository,
    revision: Option<&str>,
) -> Result<Response, Response> {
    let commits = match revision {
        None => Vec::new(),
        Some(revision) => {
            let tip = repository
                .resolve(revision)
                .ok_or_else(|| refuse(404, &format!("Commit {revision} not found")))?;
            repository.history(&tip.hash)
        }
    };
    list(call.request, call.quirks, &COMMITS, commits, |commit| {
        state.commit_json(repository, commit)
    })
}

//! Branches and tags of one repository.

use super::Call;
use crate::bitbucket::page::{Rules, list, single};
use crate::bitbucket::refusal::refuse;
use crate::bitbucket::state::{Repository, State};
use crate::server::Response;

const REFS: Rules = Rules {
    queryable: &["name", "target.*"],
    ..Rules::PLAIN
};

/// `refs/..` below a repository.
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
        _ => Err(refuse(404, "Resource not found")),
    }
}

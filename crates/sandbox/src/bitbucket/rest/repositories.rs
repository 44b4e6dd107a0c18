//! Repositories: the list of a workspace, one of them, its forks.

use super::Call;
use crate::bitbucket::page::{Rules, list as page, single};
use crate::bitbucket::settings::Hidden;
use crate::bitbucket::state::{Repository, State};
use crate::server::Response;

const REPOSITORIES: Rules = Rules {
    queryable: &[
        "uuid",
        "name",
        "slug",
        "full_name",
        "description",
        "is_private",
        "language",
        "size",
        "scm",
        "has_issues",
        "has_wiki",
        "created_on",
        "updated_on",
        "project.*",
        "parent.*",
        "owner.*",
        "workspace.*",
        "mainbranch.name",
    ],
    ..Rules::PLAIN
};

pub(super) fn list(call: &Call<'_>, state: &State) -> Result<Response, Response> {
    call.credential.requires("repository")?;
    let all = state.repositories.iter();
    page_of(call, state, all)
}

pub(super) fn get(
    call: &Call<'_>,
    state: &State,
    repository: &Repository,
) -> Result<Response, Response> {
    call.credential.requires("repository")?;
    single(call.request, state.repository_json(repository), &[])
}

pub(super) fn forks(
    call: &Call<'_>,
    state: &State,
    repository: &Repository,
) -> Result<Response, Response> {
    let parent = Some(&repository.uuid);
    let forks = state
        .repositories
        .iter()
        .filter(|fork| fork.parent.as_ref() == parent);
    page_of(call, state, forks)
}

fn page_of<'s>(
    call: &Call<'_>,
    state: &State,
    repositories: impl Iterator<Item = &'s Repository>,
) -> Result<Response, Response> {
    let hidden = &call.credential.hidden;
    let visible = repositories
        .filter(|repository| hidden.get(&repository.uuid) != Some(&Hidden::NotFound))
        .collect();
    page(call.request, call.quirks, &REPOSITORIES, visible, |r| {
        state.repository_json(r)
    })
}

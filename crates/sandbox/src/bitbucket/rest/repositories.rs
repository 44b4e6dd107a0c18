//! Repositories: the list of a workspace, and one of them.

use serde_json::Value;

use super::Call;
use crate::bitbucket::page::{Rules, list as page, single};
use crate::bitbucket::render::set;
use crate::bitbucket::settings::Hidden;
use crate::bitbucket::state::{Repository, State};
use crate::server::Response;

/// What shows only when `fields` asks for it.
const HIDDEN: &[&str] = &["mainbranch.target"];

const REPOSITORIES: Rules = Rules {
    hidden: HIDDEN,
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
    let closed = &call.credential.hidden;
    let visible = state
        .repositories
        .iter()
        .filter(|repository| closed.get(&repository.uuid) != Some(&Hidden::NotFound))
        .collect();
    page(call.request, call.quirks, &REPOSITORIES, visible, |r| {
        render(call, state, r)
    })
}

pub(super) fn get(
    call: &Call<'_>,
    state: &State,
    repository: &Repository,
) -> Result<Response, Response> {
    call.credential.requires("repository")?;
    single(call.request, render(call, state, repository), HIDDEN)
}

/// The head of the main branch is a commit of its own: shown to those who ask.
fn render(call: &Call<'_>, state: &State, repository: &Repository) -> Value {
    let fields = call.request.query("fields").unwrap_or_default();
    let mut value = state.repository_json(repository);
    if fields.contains("mainbranch.target")
        && let Some(head) = repository.head()
        && value["mainbranch"].is_object()
    {
        let target = state.target(repository, &head);
        set(&mut value["mainbranch"], "target", target);
    }
    value
}

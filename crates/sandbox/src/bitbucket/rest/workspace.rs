//! The workspace, its projects and its members.

use super::Call;
use crate::bitbucket::page::{Rules, list, single};
use crate::bitbucket::refusal::refuse;
use crate::bitbucket::state::State;
use crate::server::Response;

const PROJECTS: Rules = Rules {
    queryable: &[
        "uuid",
        "key",
        "name",
        "description",
        "is_private",
        "created_on",
        "updated_on",
    ],
    ..Rules::PLAIN
};

const MEMBERS: Rules = Rules {
    // Addresses are for those who ask.
    hidden: &["user.email"],
    queryable: &["user.email", "user.uuid", "user.account_id"],
    ..Rules::PLAIN
};

/// Below `/workspaces/{workspace}`.
pub(super) fn answer(
    call: &Call<'_>,
    state: &State,
    segments: &[&str],
) -> Result<Response, Response> {
    match segments {
        [] => single(call.request, state.workspace_json(), &[]),
        ["projects"] => {
            call.credential.requires("project")?;
            list(
                call.request,
                call.quirks,
                &PROJECTS,
                state.projects.iter().collect(),
                |project| state.project_json(project),
            )
        }
        ["projects", id] => {
            call.credential.requires("project")?;
            let project = state
                .projects
                .iter()
                .find(|project| project.key == *id || project.uuid == *id)
                .ok_or_else(|| refuse(404, &format!("Project {id} not found")))?;
            single(call.request, state.project_json(project), &[])
        }
        ["members"] => {
            call.credential.requires("account")?;
            list(
                call.request,
                call.quirks,
                &MEMBERS,
                state.users.iter().filter(|user| !user.former).collect(),
                |user| state.member_json(user),
            )
        }
        ["members", id] => {
            call.credential.requires("account")?;
            let user = state
                .users
                .iter()
                .find(|user| !user.former && (user.uuid == *id || user.account_id == *id))
                .ok_or_else(|| refuse(404, "No such member"))?;
            single(call.request, state.member_json(user), MEMBERS.hidden)
        }
        _ => Err(refuse(404, "Resource not found")),
    }
}

//! The REST API, version 2.0: who asks, for what, and which handler answers.

mod hooks;
mod pipelines;
mod pull_requests;
mod refs;
mod repositories;
mod source;
mod workspace;

use axum::http::Method;

use super::Model;
use super::git;
use super::refusal::{refuse, removed};
use super::settings::{Credential, Hidden, Quirks};
use super::state::{Repository, State, same_uuid};
use crate::server::{Request, Response};

/// Answers a request; every way out is a response.
pub(super) fn answer(model: &mut Model, request: &Request) -> Response {
    let segments = request.segments();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let segments = segments.as_slice();
    let segments = match segments {
        ["2.0", rest @ ..] => rest,
        ["media", hash] => return source::media(&model.state, request, hash),
        [_, name, "info", "refs"] | [_, name, "git-upload-pack"] if name.ends_with(".git") => {
            return match model.access.authenticate_git(request) {
                Some(credential) => {
                    git::answer(request, credential, &model.quirks, &model.state, segments)
                }
                None => Response::text(401, "Unauthorized"),
            };
        }
        _ => return refuse(404, "Resource not found"),
    };
    let credential = match model.access.authenticate(request) {
        Ok(credential) => credential,
        Err(refusal) => return refusal,
    };
    let raw_file = source::is_raw_file(request, segments);
    if let Err(refusal) = credential.spend(raw_file) {
        return refusal;
    }
    let credential = credential.clone();
    let call = Call {
        request,
        credential: &credential,
        quirks: &model.quirks,
    };
    let response = match segments {
        ["workspaces", _, "hooks", ..] | ["repositories", _, _, "hooks", ..] => {
            hooks::answer(&call, &mut model.state, segments)
        }
        _ => route(&call, &model.state, segments),
    };
    let response = credential.with_headers(response.unwrap_or_else(|refusal| refusal), raw_file);
    troubled(model, request, raw_file, response)
}

/// The answer, or what comes in its place in passing. Whatever a request was to change has been changed.
fn troubled(model: &mut Model, request: &Request, raw_file: bool, response: Response) -> Response {
    let Some(every) = model.quirks.trouble_every else {
        return response;
    };
    if request.method != Method::GET || response.status != 200 {
        return response;
    }
    model.answered += 1;
    if !model.answered.is_multiple_of(every) {
        return response;
    }
    match model.answered / every % 3 {
        0 => refuse(
            401,
            "Token is invalid, expired, or not supported for this endpoint.",
        ),
        // Nobody could see that a file is but half of it.
        1 if !raw_file => {
            let mut half = response;
            half.body.truncate(half.body.len() / 2);
            half
        }
        _ => Response::bytes(200, "text/html", b"<h1>Hold on</h1>".to_vec()),
    }
}

/// A request that has been let in.
struct Call<'a> {
    request: &'a Request,
    credential: &'a Credential,
    quirks: &'a Quirks,
}

fn route(call: &Call<'_>, state: &State, segments: &[&str]) -> Result<Response, Response> {
    if call.request.method != Method::GET {
        return Err(refuse(405, "Method not allowed"));
    }
    match segments {
        // Lists across workspaces were removed; an empty workspace leads there too.
        ["workspaces" | "repositories"]
        | ["workspaces" | "repositories", "", ..]
        | ["user", "permissions", ..] => Err(removed(
            "CHANGE-2770",
            "This API has been removed; see the announcement.",
        )),
        ["workspaces", id, rest @ ..] => {
            call.check_workspace(state, id)?;
            workspace::answer(call, state, rest)
        }
        ["repositories", id] | ["repositories", id, ""] => {
            call.check_workspace(state, id)?;
            repositories::list(call, state)
        }
        ["repositories", workspace, id, rest @ ..] => {
            let repository = call.repository(state, workspace, id)?;
            in_repository(call, state, repository, rest)
        }
        _ => Err(refuse(404, "Resource not found")),
    }
}

fn in_repository(
    call: &Call<'_>,
    state: &State,
    repository: &Repository,
    segments: &[&str],
) -> Result<Response, Response> {
    match segments {
        [] | [""] => repositories::get(call, state, repository),
        ["pullrequests", rest @ ..] => {
            call.credential.requires("pullrequest")?;
            pull_requests::answer(call, state, repository, rest)
        }
        ["pipelines" | "deployments" | "environments", ..] => {
            call.credential.requires("pipeline")?;
            pipelines::answer(call, state, repository, segments)
        }
        _ => {
            call.credential.requires("repository")?;
            match segments {
                ["src", rest @ ..] => source::answer(call, state, repository, rest),
                ["refs", ..] => refs::answer(call, state, repository, segments),
                _ => Err(refuse(404, "Resource not found")),
            }
        }
    }
}

impl Call<'_> {
    fn check_workspace(&self, state: &State, id: &str) -> Result<(), Response> {
        if id == state.slug || (id.starts_with('{') && same_uuid(&state.uuid, id)) {
            return Ok(());
        }
        Err(refuse(
            404,
            &format!("No workspace with identifier '{id}'."),
        ))
    }

    /// The addressed repository, when this credential may see it.
    fn repository<'s>(
        &self,
        state: &'s State,
        workspace: &str,
        id: &str,
    ) -> Result<&'s Repository, Response> {
        let by_uuid = id.starts_with('{') && id.ends_with('}');
        // `{}` stands for any workspace when the repository has its uuid.
        if !(by_uuid && workspace == "{}") {
            self.check_workspace(state, workspace)?;
        }
        let missing = || refuse(404, &format!("Repository {workspace}/{id} not found"));
        let repository = state
            .repositories
            .iter()
            .find(|repository| {
                if by_uuid {
                    repository.uuid == id
                } else {
                    repository.slug == id
                }
            })
            .ok_or_else(missing)?;
        match self.credential.hidden.get(&repository.uuid) {
            Some(Hidden::NotFound) => Err(missing()),
            Some(Hidden::Forbidden) => Err(refuse(403, "Forbidden")),
            None => Ok(repository),
        }
    }
}

//! Webhook subscriptions of the workspace and of repositories, and the list of events.

use axum::http::Method;
use serde_json::Value;

use super::Call;
use crate::bitbucket::page::{Rules, list, single};
use crate::bitbucket::refusal::refuse;
use crate::bitbucket::state::{Hook, State};
use crate::server::{Request, Response};

/// At most this many subscriptions for one subject.
const MOST_HOOKS: usize = 50;

const LONGEST_SECRET: usize = 128;

/// Event keys a subscription may name, with what they are about.
const EVENTS: [(&str, &[&str]); 4] = [
    (
        "repo",
        &[
            "push",
            "created",
            "deleted",
            "updated",
            "transfer",
            "fork",
            "imported",
            "commit_comment_created",
            "commit_status_created",
            "commit_status_updated",
        ],
    ),
    (
        "pullrequest",
        &[
            "created",
            "updated",
            "push",
            "approved",
            "unapproved",
            "changes_request_created",
            "changes_request_removed",
            "fulfilled",
            "rejected",
            "comment_created",
            "comment_updated",
            "comment_deleted",
            "comment_resolved",
            "comment_reopened",
        ],
    ),
    ("project", &["updated"]),
    ("pipeline", &["span_created"]),
];

/// Below `/workspaces/{workspace}/hooks` and `/repositories/{workspace}/{repository}/hooks`.
pub(super) fn answer(
    call: &Call<'_>,
    state: &mut State,
    segments: &[&str],
) -> Result<Response, Response> {
    let (subject, rest) = match segments {
        ["workspaces", workspace, "hooks", rest @ ..] => {
            call.check_workspace(state, workspace)?;
            (None, rest)
        }
        ["repositories", workspace, repository, "hooks", rest @ ..] => {
            let repository = call.repository(state, workspace, repository)?;
            (Some(repository.uuid.clone()), rest)
        }
        _ => return Err(refuse(404, "Resource not found")),
    };
    call.credential.requires("webhook")?;
    let method = &call.request.method;
    match rest {
        [] if *method == Method::GET => {
            let hooks = state
                .hooks
                .iter()
                .filter(|hook| hook.repository == subject)
                .collect();
            list(call.request, call.quirks, &Rules::PLAIN, hooks, |hook| {
                state.hook_json(hook)
            })
        }
        [] if *method == Method::POST => create(call.request, state, subject),
        [uuid] => {
            let position = state
                .hooks
                .iter()
                .position(|hook| hook.uuid == *uuid && hook.repository == subject)
                .ok_or_else(|| refuse(404, "Webhook not found"))?;
            if *method == Method::DELETE {
                state.hooks.remove(position);
                return Ok(Response::empty(204));
            }
            if *method == Method::PUT
                && let Some(hook) = state.hooks.get_mut(position)
            {
                change(hook, &call.request.json())?;
            } else if *method != Method::GET {
                return Err(refuse(405, "Method not allowed"));
            }
            let hook = state.hooks.get(position).map(|hook| state.hook_json(hook));
            single(call.request, hook.unwrap_or_default(), &[])
        }
        [] => Err(refuse(405, "Method not allowed")),
        _ => Err(refuse(404, "Resource not found")),
    }
}

fn create(
    request: &Request,
    state: &mut State,
    repository: Option<String>,
) -> Result<Response, Response> {
    let count = state
        .hooks
        .iter()
        .filter(|hook| hook.repository == repository)
        .count();
    if MOST_HOOKS <= count {
        return Err(refuse(400, "Too many webhooks"));
    }
    let body = request.json();
    for member in ["url", "events"] {
        if body[member].is_null() {
            return Err(refuse(400, &format!("{member}: required key not provided")));
        }
    }
    let mut hook = Hook {
        uuid: String::new(),
        repository,
        description: String::new(),
        url: String::new(),
        active: true,
        events: Vec::new(),
        secret: None,
        created_on: state.now(),
    };
    change(&mut hook, &body)?;
    hook.uuid = state.next_uuid();
    hook.created_on = state.tick();
    let answer = state.hook_json(&hook);
    state.hooks.push(hook);
    Ok(Response::json(201, &answer))
}

/// Takes over what the body says; a secret that it does not mention stays.
fn change(hook: &mut Hook, body: &Value) -> Result<(), Response> {
    let Value::Object(members) = body else {
        return Err(refuse(400, "Bad request"));
    };
    for (name, value) in members {
        match (name.as_str(), value) {
            ("description", Value::String(text)) => hook.description.clone_from(text),
            ("url", Value::String(url))
                if url.starts_with("http://") || url.starts_with("https://") =>
            {
                hook.url.clone_from(url);
            }
            ("active", Value::Bool(active)) => hook.active = *active,
            ("secret", Value::Null) => hook.secret = None,
            ("secret", Value::String(secret)) if secret.len() <= LONGEST_SECRET => {
                hook.secret = Some(secret.clone()).filter(|secret| !secret.is_empty());
            }
            ("events", Value::Array(events)) if !events.is_empty() => {
                hook.events = events.iter().map(event).collect::<Result<_, _>>()?;
            }
            _ => return Err(refuse(400, &format!("{name}: invalid value"))),
        }
    }
    Ok(())
}

fn event(value: &Value) -> Result<String, Response> {
    let key = value.as_str().unwrap_or_default();
    if event_keys().iter().any(|(_, known)| known == key) {
        Ok(key.to_owned())
    } else {
        Err(refuse(400, &format!("events: \"{key}\" is no event")))
    }
}

fn event_keys() -> Vec<(&'static str, String)> {
    EVENTS
        .iter()
        .flat_map(|(category, names)| {
            names
                .iter()
                .map(move |name| (*category, format!("{category}:{name}")))
        })
        .collect()
}

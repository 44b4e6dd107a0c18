//! From a request to the part of Port that answers it: size, token, path, and the trace id on every answer.

use serde_json::{Value, json};

use super::refusal::Refusal;
use super::{State, blueprint, delete, ingest, integration, search, upsert};
use crate::server::{Request, Response};

pub(super) type Answer = Result<Response, Refusal>;

/// Largest request body on all routes.
const MAX_BODY: usize = 1024 * 1024;

/// Answers one request. Every answer carries `X-Trace-Id`.
pub(super) fn answer(state: &mut State, request: &Request) -> Response {
    state.answers += 1;
    let trace = format!("sandbox-trace-{:06}", state.answers);
    route(state, request)
        .unwrap_or_else(|refusal| refusal.response())
        .with_header("x-trace-id", trace)
}

fn route(state: &mut State, request: &Request) -> Answer {
    if MAX_BODY < request.body.len() {
        return Err(Refusal::too_large());
    }
    let segments = request.segments();
    let path: Vec<&str> = segments.iter().map(String::as_str).collect();
    let method = request.method.as_str();
    if (method, path.as_slice()) == ("POST", &["v1", "auth", "access_token"]) {
        return token(state, request);
    }
    check_token(state, request)?;
    match path.as_slice() {
        ["v1", "blueprints" | "entities", ..] => catalogue(state, request, method, &path),
        ["v1", rest @ ..] => match integration::route(state, request, method, rest) {
            Some(answer) => answer,
            None => unknown(state, request),
        },
        ["ingest", rest @ ..] => match ingest::route(state, request, method, rest) {
            Some(answer) => answer,
            None => unknown(state, request),
        },
        _ => unknown(state, request),
    }
}

fn catalogue(state: &mut State, request: &Request, method: &str, path: &[&str]) -> Answer {
    let path = path.get(1..).unwrap_or_default();
    match (method, path) {
        ("POST", ["entities", "search"]) => search::organization(state, request),
        ("POST", ["blueprints", "entities", "datasource-entities"]) => {
            search::datasource(state, request)
        }
        ("GET", ["blueprints"]) => blueprint::list(state),
        ("POST", ["blueprints"]) => blueprint::create(state, request),
        ("GET", ["blueprints", id]) => blueprint::get(state, id),
        ("PATCH", ["blueprints", id]) => blueprint::change(state, request, id, true),
        ("PUT", ["blueprints", id]) => blueprint::change(state, request, id, false),
        ("DELETE", ["blueprints", id]) => blueprint::delete(state, id),
        ("GET", ["blueprints", id, "entities"]) => search::list(state, id),
        ("POST", ["blueprints", id, "entities"]) => upsert::single(state, request, id),
        ("POST", ["blueprints", id, "entities", "bulk"]) => upsert::bulk(state, request, id),
        ("POST", ["blueprints", id, "entities", "search"]) => search::paged(state, request, id),
        ("GET", ["blueprints", id, "entities", entity]) => search::get(state, id, entity),
        ("DELETE", ["blueprints", id, "entities", entity]) => {
            delete::single(state, request, id, entity)
        }
        ("POST", ["blueprints", id, "bulk", "entities", "delete"]) => {
            delete::bulk(state, request, id)
        }
        _ => unknown(state, request),
    }
}

fn unknown(state: &mut State, request: &Request) -> Answer {
    let line = format!("{} {}", request.method, request.target());
    state.unknown.insert(line.clone());
    Err(Refusal::not_found(format!("no route for {line}")))
}

/// Hands out the one active token of the credentials until it expires.
fn token(state: &mut State, request: &Request) -> Answer {
    let body = json_body(request)?;
    let (Some(id), Some(secret)) = (body["clientId"].as_str(), body["clientSecret"].as_str())
    else {
        return Err(Refusal::invalid("clientId and clientSecret must be texts"));
    };
    let now = state.clock.now();
    let life = state.behaviour.token_seconds;
    let credentials = &mut state.credentials;
    if (id, secret) != (&credentials.id, &credentials.secret) {
        return Err(Refusal::unauthorized("invalid credentials"));
    }
    let (token, expiry) = match credentials.token.take() {
        Some((token, expiry)) if now < expiry => (token, expiry),
        _ => {
            credentials.issued += 1;
            let expiry = now
                .saturating_add(jiff::SignedDuration::from_secs(life))
                .unwrap_or(now);
            (format!("sandbox-token-{}", credentials.issued), expiry)
        }
    };
    credentials.token = Some((token.clone(), expiry));
    let left = expiry.duration_since(now).as_secs();
    Ok(Response::json(
        200,
        &json!({"ok": true, "accessToken": token, "expiresIn": left, "tokenType": "Bearer"}),
    ))
}

fn check_token(state: &State, request: &Request) -> Result<(), Refusal> {
    let now = state.clock.now();
    let sent = request
        .header("authorization")
        .and_then(|value| value.strip_prefix("Bearer "));
    match (sent, &state.credentials.token) {
        (Some(sent), Some((token, expiry))) if sent == token && now < *expiry => Ok(()),
        (None, _) => Err(Refusal::unauthorized("no bearer token")),
        _ => Err(Refusal::unauthorized("the token is unknown or has expired")),
    }
}

/// The body, which must be JSON; an empty one is null.
pub(super) fn json_body(request: &Request) -> Result<Value, Refusal> {
    if request.body.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&request.body)
        .map_err(|error| Refusal::bad_request(format!("the body is not JSON: {error}")))
}

/// A query parameter that must be `true` or `false`.
pub(super) fn flag(request: &Request, name: &str) -> Result<Option<bool>, Refusal> {
    match request.query(name) {
        None => Ok(None),
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(other) => Err(Refusal::invalid(format!(
            "query parameter {name} must be true or false, not {other:?}"
        ))),
    }
}

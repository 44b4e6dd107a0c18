//! The integration object (mapping, resync state, resync requests), the organisation around it, and what a default install creates.
//!
//! Sync metrics and logs are in `ingest`; the object only says where to send them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::State;
use super::refusal::Refusal;
use super::routes::{Answer, flag, json_body};
use crate::clock::millis;
use crate::server::{Request, Response};

/// Raw items that a client may send per kind; Ocean sends as many.
const MAX_EXAMPLES: usize = 5;

#[derive(Clone, Debug, Default)]
pub(super) struct Organization {
    pub(super) integrations: BTreeMap<String, Integration>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Integration {
    body: Map<String, Value>,
    pub(super) resync_states: Vec<Value>,
    resync_requested: Option<Timestamp>,
    pub(super) examples: BTreeMap<String, Vec<Value>>,
}

/// What PATCH may change. Anything else is a mistake of the client.
const CHANGEABLE: [&str; 10] = [
    "installationAppType",
    "title",
    "version",
    "config",
    "changelogDestination",
    "actionsProcessingEnabled",
    "incrementalSyncEnabled",
    "arePortResourcesInitialized",
    "createPortResourcesOrigin",
    "processingMode",
];

const RESYNC_STATUSES: [&str; 4] = ["running", "completed", "failed", "aborted"];

impl Integration {
    /// An integration as it is after its first registration.
    pub(super) fn new(identifier: &str, kind: &str, config: Value) -> Integration {
        let body = json!({
            "identifier": identifier,
            "installationId": identifier,
            "title": identifier,
            "installationAppType": kind,
            "integrationType": kind,
            "installationType": "OnPrem",
            "version": "",
            "config": config,
            "changelogDestination": {},
            "actionsProcessingEnabled": false,
            "incrementalSyncEnabled": false,
            "arePortResourcesInitialized": false,
            "resyncState": {},
        });
        Integration {
            body: body.as_object().cloned().unwrap_or_default(),
            ..Integration::default()
        }
    }

    /// Stores a mapping as the UI does, which also asks for a resync.
    pub(super) fn save_config(&mut self, config: Value, now: Timestamp) {
        self.body.insert("config".to_owned(), config);
        self.resync_requested = Some(now);
    }

    pub(super) fn request_resync(&mut self, now: Timestamp) {
        self.resync_requested = Some(now);
    }

    pub(super) fn set(&mut self, name: &str, value: Value) {
        self.body.insert(name.to_owned(), value);
    }

    /// The object in an answer; its ingest addresses point back at this server.
    pub(super) fn render(&self, base: &str) -> Value {
        let mut body = self.body.clone();
        let identifier = body["identifier"].as_str().unwrap_or_default();
        let address =
            |what: &str| json!({"ingestUrl": format!("{base}/ingest/{what}/{identifier}")});
        let (logs, metrics, lake) = (address("logs"), address("metrics"), address("lake"));
        body.insert("logAttributes".to_owned(), logs);
        body.insert("metricAttributes".to_owned(), metrics);
        body.insert("ingestAttributes".to_owned(), lake);
        Value::Object(body)
    }
}

/// Routes below `/v1` other than those of the catalogue; `None` when there is no such route.
pub(super) fn route(
    state: &mut State,
    request: &Request,
    method: &str,
    path: &[&str],
) -> Option<Answer> {
    Some(match (method, path) {
        ("POST", ["integration"]) => create(state, request),
        ("GET", ["integration", id]) => get(state, request, id),
        ("PATCH", ["integration", id]) => change(state, request, id),
        ("DELETE", ["integration", id]) => delete(state, id),
        ("PATCH", ["integration", id, "config"]) => change_config(state, request, id),
        ("PATCH", ["integration", id, "resync-state"]) => resync_state(state, request, id),
        ("GET", ["integration", id, "resync-request"]) => resync_request(state, id),
        ("POST", ["integration", id, "kinds", kind, "examples"]) => {
            examples(state, request, id, kind)
        }
        _ => return None,
    })
}

fn create(state: &mut State, request: &Request) -> Answer {
    let body = object(request)?;
    let (Some(identifier), Some(kind)) = (
        body.get("installationId").and_then(Value::as_str),
        body.get("installationAppType").and_then(Value::as_str),
    ) else {
        return Err(Refusal::invalid(
            "installationId and installationAppType must be texts",
        ));
    };
    check_fields(&body, &["installationId"])?;
    if state.organization.integrations.contains_key(identifier) {
        return Err(Refusal::taken(format!("{identifier:?} already exists")));
    }
    let mut integration = Integration::new(identifier, kind, json!({}));
    integration.body.extend(body.clone());
    let answer = render(&integration, request, 201);
    state
        .organization
        .integrations
        .insert(identifier.to_owned(), integration);
    answer
}

fn get(state: &mut State, request: &Request, id: &str) -> Answer {
    flag(request, "isPolling")?;
    render(find(state, id)?, request, 200)
}

/// An empty body, or a new mapping, asks for a resync.
fn change(state: &mut State, request: &Request, id: &str) -> Answer {
    let now = state.clock.write();
    let integration = find(state, id)?;
    let body = if request.body.is_empty() {
        Map::new()
    } else {
        object(request)?
    };
    check_fields(&body, &[])?;
    if body.is_empty() || (body.contains_key("config") && !skips_resync(request)) {
        integration.request_resync(now);
    }
    integration.body.extend(body);
    render(integration, request, 200)
}

fn delete(state: &mut State, id: &str) -> Answer {
    find(state, id)?;
    state.organization.integrations.remove(id);
    Ok(Response::json(200, &json!({"ok": true})))
}

fn change_config(state: &mut State, request: &Request, id: &str) -> Answer {
    let now = state.clock.write();
    let integration = find(state, id)?;
    let mut body = object(request)?;
    let config = match body.remove("config") {
        Some(config) if config.is_object() && body.is_empty() => config,
        _ => {
            return Err(Refusal::invalid(
                "the body must hold config, an object, and nothing else",
            ));
        }
    };
    integration.set("config", config);
    if !skips_resync(request) {
        integration.request_resync(now);
    }
    render(integration, request, 200)
}

fn skips_resync(request: &Request) -> bool {
    request.header("x-skip-resync") == Some("true")
}

fn resync_state(state: &mut State, request: &Request, id: &str) -> Answer {
    let now = state.clock.write();
    let integration = find(state, id)?;
    let body = object(request)?;
    for (name, value) in &body {
        let fits = match name.as_str() {
            "status" => value
                .as_str()
                .is_some_and(|status| RESYNC_STATUSES.contains(&status)),
            "lastResyncStart" | "lastResyncEnd" | "nextResync" => value.is_null() || is_time(value),
            // Port's own spelling.
            "intervalInMinuets" => value.is_null() || value.is_number(),
            _ => false,
        };
        if !fits {
            return Err(Refusal::invalid(format!(
                "body/{name} does not match the schema: {value}"
            )));
        }
    }
    let mut merged = integration.body["resyncState"]
        .as_object()
        .cloned()
        .unwrap_or_default();
    merged.extend(body.clone());
    merged.insert("updatedAt".to_owned(), json!(millis(now)));
    integration.set("resyncState", Value::Object(merged));
    integration.resync_states.push(Value::Object(body));
    render(integration, request, 200)
}

fn resync_request(state: &mut State, id: &str) -> Answer {
    let request = find(state, id)?
        .resync_requested
        .map(|time| json!({"updatedAt": millis(time)}));
    Ok(Response::json(
        200,
        &json!({"ok": true, "request": request}),
    ))
}

fn examples(state: &mut State, request: &Request, id: &str, kind: &str) -> Answer {
    let integration = find(state, id)?;
    let body = json_body(request)?;
    let Some(examples) = body["examples"]
        .as_array()
        .filter(|list| (1..=MAX_EXAMPLES).contains(&list.len()))
    else {
        return Err(Refusal::invalid(format!(
            "examples must be a list of 1 to {MAX_EXAMPLES}"
        )));
    };
    integration
        .examples
        .insert(kind.to_owned(), examples.clone());
    Ok(Response::json(200, &json!({"ok": true})))
}

fn find<'a>(state: &'a mut State, id: &str) -> Result<&'a mut Integration, Refusal> {
    state.organization.integrations.get_mut(id).ok_or_else(|| {
        Refusal::not_found(format!("Integration with identifier {id:?} was not found"))
    })
}

fn object(request: &Request) -> Result<Map<String, Value>, Refusal> {
    match json_body(request)? {
        Value::Object(body) => Ok(body),
        _ => Err(Refusal::invalid("the body must be an object")),
    }
}

fn check_fields(body: &Map<String, Value>, also: &[&str]) -> Result<(), Refusal> {
    let unknown = body
        .keys()
        .find(|name| !CHANGEABLE.contains(&name.as_str()) && !also.contains(&name.as_str()));
    match unknown {
        Some(name) => Err(Refusal::invalid(format!("unknown field {name:?}"))),
        None if body.get("config").is_some_and(|config| !config.is_object()) => {
            Err(Refusal::invalid("config must be an object"))
        }
        None => Ok(()),
    }
}

fn render(integration: &Integration, request: &Request, status: u16) -> Answer {
    Ok(Response::json(
        status,
        &json!({"ok": true, "integration": integration.render(&request.base)}),
    ))
}

pub(super) fn is_time(value: &Value) -> bool {
    value
        .as_str()
        .is_some_and(|text| text.parse::<Timestamp>().is_ok())
}

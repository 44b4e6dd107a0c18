//! The client against a small Port over real HTTP.

mod calls;
mod classes;
mod defaults;
mod deletes;
mod outages;
mod redirects;
mod searches;
mod upserts;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use sandbox::server::{Request, Response, Server};
use serde_json::{Map, Value, json};

use super::*;
use crate::class::Class;
use crate::deadline::{Clock, Deadline};
use crate::entity::{Entity, EntityKey, Identifier};
use crate::http::Http;

/// A Port with just enough behaviour, and a client of it on simulated time.
struct Port {
    server: Server,
    state: Arc<Mutex<State>>,
    client: PortClient,
    clock: Clock,
}

#[derive(Default)]
struct State {
    tokens: usize,
    expires_in: u64,
    /// Blueprint to its relations (name to target).
    blueprints: BTreeMap<String, Value>,
    entities: BTreeMap<(String, String), Value>,
    integration: Option<Value>,
    max_bulk: Option<usize>,
    /// Entities (`*`: any) that a bulk call fails over, as a whole and with this status; 200 is garbage.
    bad: Vec<&'static str>,
    bad_status: u16,
}

impl Port {
    async fn start(blueprints: &[(&str, Value)]) -> Port {
        let state = Arc::new(Mutex::new(State {
            expires_in: 10_800,
            ..State::default()
        }));
        for (name, relations) in blueprints {
            let blueprint = json!({ "identifier": name, "relations": relations });
            lock(&state).blueprints.insert((*name).into(), blueprint);
        }
        let shared = Arc::clone(&state);
        let server = Server::start(move |request| lock(&shared).answer(request))
            .await
            .unwrap();
        let clock = Clock::simulated("2026-11-23T12:00:00Z".parse().unwrap());
        let settings = PortSettings {
            base_url: server.url().parse().unwrap(),
            client_id: "id".into(),
            client_secret: "the-secret".into(),
            identifier: "my-bb".into(),
        };
        // As off Lambda, where nobody pays for sleep.
        let http = Http::new(clock.clone()).unwrap();
        let http = http.patient(Duration::from_secs(300));
        let client = PortClient::new(http, settings);
        Port {
            server,
            state,
            client,
            clock,
        }
    }

    fn deadline(&self) -> Deadline {
        Deadline::after(&self.clock, Duration::from_secs(900))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// `METHOD target` of what arrived since the last call, the token aside.
    fn took(&self) -> Vec<String> {
        self.server
            .take_requests()
            .iter()
            .filter(|request| !request.path.ends_with("access_token"))
            .map(|request| format!("{} {}", request.method, request.path))
            .collect()
    }
}

/// As a live event deletes.
fn deleting(dependents: bool) -> DeleteOptions {
    DeleteOptions {
        dependents,
        event: WriteEvent::Live,
    }
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    fn answer(&mut self, request: &Request) -> Response {
        let segments = request.segments();
        let route: Vec<&str> = segments.iter().map(String::as_str).collect();
        let body = request.json();
        let ok = |body: Value| Response::json(200, &body);
        let missing = || refusal(404, "not_found");
        match (request.method.as_str(), route.as_slice()) {
            ("POST", ["v1", "auth", "access_token"]) => {
                self.tokens += 1;
                if body["clientSecret"] != "the-secret" {
                    return refusal(401, "unauthorized");
                }
                ok(json!({
                    "accessToken": format!("token-{}", self.tokens),
                    "expiresIn": self.expires_in,
                    "tokenType": "Bearer",
                }))
            }
            ("POST", ["v1", "blueprints", blueprint, "entities", "bulk"]) => {
                self.bulk(blueprint, &body, request)
            }
            ("POST", ["v1", "blueprints", blueprint, "bulk", "entities", "delete"]) => {
                self.bulk_delete(blueprint, &body, request)
            }
            ("DELETE", ["v1", "blueprints", blueprint, "entities", id]) => {
                let key = ((*blueprint).to_owned(), (*id).to_owned());
                if self.is_required(&key.1, &[]) {
                    return refusal(403, "has_dependents");
                }
                match self.entities.remove(&key) {
                    Some(_) => ok(json!({ "ok": true })),
                    None => missing(),
                }
            }
            ("POST", ["v1", "blueprints", blueprint, "entities", "search"]) => {
                if !self.blueprints.contains_key(*blueprint) {
                    return missing();
                }
                let found = self.found(|(held, _)| held == blueprint);
                let limit = body["limit"].as_u64().map_or(200, |limit| limit as usize);
                let from = body["from"]
                    .as_str()
                    .map_or(0, |from| from.parse().unwrap());
                let mut page = json!({
                    "entities": found.iter().skip(from).take(limit).collect::<Vec<_>>(),
                });
                if from + limit < found.len() {
                    page["next"] = (from + limit).to_string().into();
                }
                ok(page)
            }
            ("POST", ["v1", "entities", "search"] | ["v1", "blueprints", "entities", _]) => {
                ok(json!({ "entities": self.found(|_| true) }))
            }
            ("GET", ["v1", "blueprints", blueprint]) => match self.blueprints.get(*blueprint) {
                Some(blueprint) => ok(json!({ "blueprint": blueprint })),
                None => missing(),
            },
            ("POST", ["v1", "blueprints"]) => {
                let identifier = body["identifier"].as_str().unwrap().to_owned();
                self.blueprints.insert(identifier, body);
                Response::json(201, &json!({ "ok": true }))
            }
            ("PATCH", ["v1", "blueprints", blueprint]) => {
                self.blueprints.insert((*blueprint).into(), body);
                ok(json!({ "ok": true }))
            }
            ("DELETE", ["v1", "blueprints", blueprint]) => {
                self.blueprints.remove(*blueprint);
                ok(json!({ "ok": true }))
            }
            ("POST", ["v1", "integration"]) => {
                self.integration = Some(body.clone());
                Response::json(201, &json!({ "integration": body }))
            }
            ("GET", ["v1", "integration", _]) => match &self.integration {
                Some(integration) => ok(json!({ "integration": integration })),
                None => missing(),
            },
            ("PATCH", ["v1", "integration", ..]) => {
                if let Some(integration) = self.integration.as_mut() {
                    for (name, value) in body.as_object().unwrap() {
                        integration[name] = value.clone();
                    }
                }
                ok(json!({ "integration": self.integration }))
            }
            _ => ok(json!({ "ok": true })),
        }
    }

    fn found(&self, keep: impl Fn(&(String, String)) -> bool) -> Vec<Value> {
        self.entities
            .iter()
            .filter(|(key, _)| keep(key))
            .map(|((blueprint, _), entity)| {
                let mut entity = entity.clone();
                entity["blueprint"] = blueprint.as_str().into();
                entity
            })
            .collect()
    }

    fn bulk(&mut self, blueprint: &str, body: &Value, request: &Request) -> Response {
        if !self.blueprints.contains_key(blueprint) {
            return refusal(404, "not_found");
        }
        if 1 << 20 < request.body.len() {
            return refusal(413, "bad_request");
        }
        let entities = body["entities"].as_array().unwrap();
        let bad = |entity: &Value| {
            let identifier = entity["identifier"].as_str().unwrap_or_default();
            self.bad.iter().any(|bad| *bad == "*" || *bad == identifier)
        };
        if entities.iter().any(bad) {
            return match self.bad_status {
                200 => Response::text(200, "<html>Welcome</html>"),
                status => refusal(status, "some_code"),
            };
        }
        // Bad identifiers offend against the schema of the whole request.
        let is_bad = |entity: &Value| {
            entity["identifier"]
                .as_str()
                .is_some_and(|id| id.contains(' '))
        };
        if 20 < entities.len() || entities.iter().any(is_bad) {
            return refusal(422, "invalid_request");
        }
        let (mut written, mut errors) = (Vec::new(), Vec::new());
        let creates = request.query("create_missing_related_entities") == Some("true");
        for (index, entity) in entities.iter().enumerate() {
            let id = entity["identifier"]
                .as_str()
                .unwrap_or("unknown")
                .to_owned();
            let relations = entity["relations"].as_object().cloned().unwrap_or_default();
            let unmet = relations
                .values()
                .filter_map(Value::as_str)
                .any(|target| !self.entities.keys().any(|(_, id)| id == target));
            if unmet && !creates {
                errors.push(
                    json!({ "index": index, "identifier": "unknown", "statusCode": 404,
                    "error": "not_found", "message": "no such target" }),
                );
                continue;
            }
            self.entities
                .insert((blueprint.into(), id.clone()), entity.clone());
            written.push(json!({ "created": true, "identifier": id, "index": index }));
        }
        let status = if errors.is_empty() { 200 } else { 207 };
        let mut answer = json!({ "ok": true, "entities": written, "errors": errors });
        if let Some(max_bulk) = self.max_bulk {
            answer["maxBulkSize"] = max_bulk.into();
        }
        Response::json(status, &answer)
    }

    fn bulk_delete(&mut self, blueprint: &str, body: &Value, request: &Request) -> Response {
        if !self.blueprints.contains_key(blueprint) {
            return refusal(404, "not_found");
        }
        let ids: Vec<String> = serde_json::from_value(body["entities"].clone()).unwrap();
        let dependents = request.query("delete_dependents") == Some("true");
        if !dependents && ids.iter().any(|id| self.is_required(id, &ids)) {
            return refusal(403, "has_dependents");
        }
        let mut deleted = Vec::new();
        for id in ids {
            if self
                .entities
                .remove(&(blueprint.to_owned(), id.clone()))
                .is_some()
            {
                deleted.push(id);
            }
        }
        Response::json(200, &json!({ "ok": true, "deletedEntities": deleted }))
    }

    fn is_required(&self, id: &str, except: &[String]) -> bool {
        self.entities.iter().any(|((_, other), entity)| {
            let relations = entity["relations"].as_object();
            !except.contains(other)
                && relations.is_some_and(|relations| relations.values().any(|target| target == id))
        })
    }
}

fn refusal(status: u16, code: &str) -> Response {
    let body = json!({ "ok": false, "error": code, "message": "no" });
    Response::json(status, &body).with_header("x-trace-id", "t-1")
}

fn entity(blueprint: &str, identifier: &str, properties: Value, relations: Value) -> Entity {
    let object = |value: Value| -> Option<Map<String, Value>> { value.as_object().cloned() };
    Entity {
        blueprint: blueprint.into(),
        identifier: Identifier::Text(identifier.into()),
        title: None,
        icon: None,
        team: None,
        properties: object(properties),
        relations: object(relations),
    }
}

/// `count` entities of the blueprint `b`, named 0, 1, ...
fn many(count: usize) -> Vec<Entity> {
    (0..count)
        .map(|at| entity("b", &at.to_string(), json!({ "at": at }), json!({})))
        .collect()
}

fn live(create_missing_related: bool) -> UpsertOptions {
    UpsertOptions {
        merge: true,
        create_missing_related,
        event: WriteEvent::Live,
    }
}

fn keys(keys: &[(&str, &str)]) -> Vec<EntityKey> {
    keys.iter()
        .map(|(blueprint, identifier)| EntityKey::new(*blueprint, *identifier))
        .collect()
}

/// Both runtimes may move the futures between threads.
#[test]
fn futures_can_be_sent() {
    fn is_send<T: Send>(_: impl Fn(PortClient) -> T) {}
    fn never<T>() -> &'static T {
        unreachable!("only types are looked at")
    }
    is_send(|client| async move { client.upsert(&[], never(), never()).await });
    is_send(|client| async move { client.delete(&[], &deleting(true), never()).await });
    is_send(|client| async move { client.snapshot("b", never(), never()).await });
    is_send(|client| async move { client.owned(None, never()).await });
    is_send(|client| async move { client.owned_among(&[], never()).await });
    is_send(|client| async move { client.ensure_integration(never(), true, never()).await });
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

//! Bulk calls to Port of which a part fails, or is passed over in silence.

use std::sync::Arc;

use axum::body::Bytes;
use serde_json::{Map, Value, json};

use super::kind::traced;
use super::{Fault, FaultKind};
use crate::server::{Model, Request, Response};

/// Which entities of a bulk call are meant.
type Which = Arc<dyn Fn(&str) -> bool + Send + Sync>;

impl FaultKind {
    /// Every entity of a bulk upsert fails with `status` (207); Port writes none of them.
    pub fn all_entities_fail(status: u16) -> FaultKind {
        entities_fail(format!("every entity {status}"), Arc::new(|_| true), status)
    }

    /// The entity with this identifier fails with `status` (207) and is not written; Port writes its neighbours. Alone, it gets the
    /// status itself.
    pub fn entity_fails(identifier: &str, status: u16) -> FaultKind {
        let (name, meant) = (format!("{identifier} {status}"), identifier.to_owned());
        entities_fail(name, Arc::new(move |id| *id == meant), status)
    }

    /// Port writes all, and its answer to a bulk upsert does not mention the entity with this identifier.
    pub fn entity_not_mentioned(identifier: &str) -> FaultKind {
        let meant = identifier.to_owned();
        not_mentioned(format!("no word of {identifier}"), move |id| id == meant)
    }

    /// Port writes all, and its answer to a bulk upsert mentions no entity.
    pub fn no_entity_mentioned() -> FaultKind {
        not_mentioned("no word of any".to_owned(), |_| true)
    }

    /// A search or a list answers its entities without their identifiers, as when it misunderstood what to include.
    pub fn without_identifiers() -> FaultKind {
        FaultKind::rewrite("no identifiers", |_, mut answer| {
            if let Ok(Value::Object(mut body)) = serde_json::from_slice(&answer.body) {
                let entities = body.get_mut("entities").and_then(Value::as_array_mut);
                for entity in entities.into_iter().flatten() {
                    if let Some(members) = entity.as_object_mut() {
                        members.shift_remove("identifier");
                    }
                }
                answer.body = Value::Object(body).to_string().into_bytes();
            }
            answer
        })
    }
}

impl Fault {
    /// The entity with this identifier fails with `status` whenever it is written, alone or among others.
    pub fn entity_fails(identifier: &str, status: u16) -> Fault {
        let kind = FaultKind::entity_fails(identifier, status);
        Fault::new("/entities", kind)
            .when(is_upsert)
            .with_body(identifier)
            .always()
    }
}

pub(super) fn is_upsert(request: &Request) -> bool {
    request.method == axum::http::Method::POST
        && (request.path.ends_with("/entities") || is_bulk_upsert(request))
}

pub(super) fn is_bulk_upsert(request: &Request) -> bool {
    request.path.ends_with("/entities/bulk")
}

fn entities_fail(name: String, which: Which, status: u16) -> FaultKind {
    FaultKind::instead(name, move |request, model| {
        let body = request.json();
        let Some(items) = body["entities"].as_array() else {
            let alone = !body["identifier"].is_null() && which(identifier(&body));
            return if alone {
                traced(Response::json(status, &failure(status)))
            } else {
                model(request)
            };
        };
        without(request, &body, items, &*which, status, model)
    })
}

/// Lets the model write the rest, and answers for all.
fn without(
    request: &Request,
    body: &Value,
    items: &[Value],
    which: &(dyn Fn(&str) -> bool + Send + Sync),
    status: u16,
    model: &Model,
) -> Response {
    let (failed, kept): (Vec<_>, Vec<_>) = items
        .iter()
        .enumerate()
        .partition(|(_, item)| which(identifier(item)));
    if failed.is_empty() {
        return model(request);
    }
    let mut answer = json!({"ok": true, "entities": [], "errors": [], "maxBulkSize": 20});
    if !kept.is_empty() {
        let entities: Vec<&Value> = kept.iter().map(|(_, item)| *item).collect();
        let mut rest = body.clone();
        rest["entities"] = json!(entities);
        let rest = Request {
            body: Bytes::from(rest.to_string()),
            ..request.clone()
        };
        let written = model(&rest);
        if !written.status.is_success() {
            return written;
        }
        answer = serde_json::from_slice(&written.body).unwrap_or(answer);
        for list in ["entities", "errors"] {
            let entries = answer[list].as_array_mut().into_iter().flatten();
            for entry in entries {
                let index = entry["index"]
                    .as_u64()
                    .and_then(|index| usize::try_from(index).ok());
                if let Some((index, _)) = index.and_then(|index| kept.get(index)) {
                    entry["index"] = json!(index);
                }
            }
        }
    }
    if let Value::Array(errors) = &mut answer["errors"] {
        errors.extend(failed.iter().map(|(index, item)| {
            let mut error = failure(status);
            error["index"] = json!(index);
            error["identifier"] = json!(identifier(item));
            error["statusCode"] = json!(status);
            error
        }));
    }
    traced(Response::json(207, &answer))
}

fn failure(status: u16) -> Value {
    let (code, message) = match status {
        422 => (
            "blueprint_schema_mismatch",
            "a property does not fit the blueprint",
        ),
        429 => ("too_many_requests", "rate limit exceeded"),
        404 => ("not_found", "the target of a relation was not found"),
        _ => ("internal_error", "Internal server error"),
    };
    json!({"ok": false, "error": code, "message": message})
}

fn not_mentioned(name: String, which: impl Fn(&str) -> bool + Send + Sync + 'static) -> FaultKind {
    FaultKind::rewrite(name, move |_, mut answer| {
        if let Ok(Value::Object(mut body)) = serde_json::from_slice::<Value>(&answer.body) {
            forget(&mut body, &which);
            answer.body = Value::Object(body).to_string().into_bytes();
        }
        answer
    })
}

fn forget(body: &mut Map<String, Value>, which: &(impl Fn(&str) -> bool + ?Sized)) {
    for list in ["entities", "deletedEntities"] {
        if let Some(Value::Array(entries)) = body.get_mut(list) {
            entries.retain(|entry| !which(entry.as_str().unwrap_or_else(|| identifier(entry))));
        }
    }
}

/// The identifier, or nothing where a search query stands for it.
fn identifier(entity: &Value) -> &str {
    entity["identifier"].as_str().unwrap_or_default()
}

//! Sync metrics, heartbeats and logs, at the addresses that the integration object names.

use serde_json::{Value, json};

use super::State;
use super::integration::is_time;
use super::refusal::Refusal;
use super::routes::{Answer, json_body};
use crate::server::{Request, Response};

const SYNC_STATES: [&str; 5] = ["pending", "syncing", "completed", "failed", "aborted"];

/// Records that are about no kind of the mapping.
const SPECIAL: [&str; 2] = ["__runtime__", "__reconciliation__"];

/// What is counted, by phase.
const COUNTED: [(&str, &[&str]); 4] = [
    ("extract", &["raw_extracted", "failed"]),
    ("transform", &["transformed", "filtered_out", "failed"]),
    ("load", &["loaded", "failed", "skipped"]),
    ("delete", &["deleted"]),
];

#[derive(Clone, Debug, Default)]
pub(super) struct Ingest {
    pub(super) logs: Vec<Value>,
    pub(super) metrics: Vec<SyncMetric>,
    /// Event ids, one for each beat.
    pub(super) heartbeats: Vec<String>,
}

/// One record about one kind of one sync, as it arrived.
#[derive(Clone, Debug, PartialEq)]
pub struct SyncMetric {
    pub event_id: String,
    /// Kind and position, `repository-1`, or `__runtime__` and `__reconciliation__`.
    pub kind_identifier: String,
    pub sync_state: String,
    pub body: Value,
}

/// Routes below `/ingest`; `None` when there is no such route.
pub(super) fn route(
    state: &mut State,
    request: &Request,
    method: &str,
    path: &[&str],
) -> Option<Answer> {
    Some(match (method, path) {
        ("POST", ["logs", id]) => registered(state, id).and_then(|()| logs(state, request)),
        ("POST", ["metrics", id, "syncMetrics"]) => {
            registered(state, id).and_then(|()| metrics(state, request))
        }
        (
            "PUT",
            [
                "metrics",
                id,
                "syncMetrics",
                "resync",
                event_id,
                "kind",
                kind,
            ],
        ) => registered(state, id).and_then(|()| metric(state, request, event_id, kind)),
        ("POST", ["metrics", id, "heartbeat"]) => {
            registered(state, id).and_then(|()| heartbeat(state, request))
        }
        _ => return None,
    })
}

fn registered(state: &State, id: &str) -> Result<(), Refusal> {
    if state.organization.integrations.contains_key(id) {
        Ok(())
    } else {
        Err(Refusal::not_found(format!("no integration {id:?}")))
    }
}

fn logs(state: &mut State, request: &Request) -> Answer {
    let body = json_body(request)?;
    let Some(logs) = body["logs"].as_array() else {
        return Err(Refusal::invalid("logs must be a list"));
    };
    for log in logs {
        let fits =
            log["message"].is_string() && log["level"].is_string() && is_time(&log["timestamp"]);
        if !fits {
            return Err(Refusal::invalid(format!("not a log record: {log}")));
        }
    }
    state.ingest.logs.extend(logs.iter().cloned());
    Ok(Response::json(200, &json!({"ok": true})))
}

fn metrics(state: &mut State, request: &Request) -> Answer {
    let body = json_body(request)?;
    let records: Vec<SyncMetric> = body["syncKindsMetrics"]
        .as_array()
        .ok_or_else(|| Refusal::invalid("syncKindsMetrics must be a list"))?
        .iter()
        .map(parse)
        .collect::<Result<_, _>>()?;
    state.ingest.metrics.extend(records);
    Ok(Response::json(200, &json!({"ok": true})))
}

/// Changes a record that was posted before.
fn metric(state: &mut State, request: &Request, event_id: &str, kind: &str) -> Answer {
    let record = parse(&json_body(request)?["syncKindMetrics"])?;
    if (record.event_id.as_str(), record.kind_identifier.as_str()) != (event_id, kind) {
        return Err(Refusal::invalid("path and body name different records"));
    }
    let known = state
        .ingest
        .metrics
        .iter()
        .any(|it| it.event_id == event_id && it.kind_identifier == kind);
    if !known {
        return Err(Refusal::not_found(format!(
            "no metrics of {kind:?} in sync {event_id:?}"
        )));
    }
    state.ingest.metrics.push(record);
    Ok(Response::json(200, &json!({"ok": true})))
}

fn heartbeat(state: &mut State, request: &Request) -> Answer {
    let event_id = text(&json_body(request)?, "eventId")?;
    state.ingest.heartbeats.push(event_id);
    Ok(Response::json(200, &json!({"ok": true})))
}

fn parse(body: &Value) -> Result<SyncMetric, Refusal> {
    for name in [
        "integrationType",
        "integrationIdentifier",
        "integrationVersion",
        "kind",
    ] {
        text(body, name)?;
    }
    let sync_state = text(body, "syncState")?;
    if !SYNC_STATES.contains(&sync_state.as_str()) {
        return Err(Refusal::invalid("syncState must be known"));
    }
    let (kind, kind_identifier) = (text(body, "kind")?, text(body, "kindIdentifier")?);
    let Some(index) = body["kindIndex"].as_u64() else {
        return Err(Refusal::invalid("kindIndex must be a number"));
    };
    let is_special = SPECIAL.contains(&kind.as_str()) && kind_identifier == kind && index == 0;
    if !is_special && kind_identifier != format!("{kind}-{index}") {
        return Err(Refusal::invalid(format!(
            "{kind_identifier:?} does not name kind {kind:?} at {index}"
        )));
    }
    check_phases(&body["metrics"]["phase"])?;
    Ok(SyncMetric {
        event_id: text(body, "eventId")?,
        kind_identifier,
        sync_state,
        body: body.clone(),
    })
}

/// Phases with what they have counted, in the nesting of Ocean's labels.
fn check_phases(phases: &Value) -> Result<(), Refusal> {
    let Some(phases) = phases.as_object() else {
        return Err(Refusal::invalid("metrics must hold phases"));
    };
    for (name, phase) in phases {
        let fits = match COUNTED.iter().find(|(known, _)| known == name) {
            Some((_, known)) => {
                let counted = phase["object_count_type"].as_object();
                counted.is_some_and(|counted| {
                    counted.iter().all(|(what, count)| {
                        known.contains(&what.as_str()) && count["object_count"].is_f64()
                    })
                })
            }
            None if name == "resync" => {
                let measured = phase.as_object().into_iter().flatten();
                measured.into_iter().all(|(_, value)| value.is_f64())
            }
            None => false,
        };
        if !fits {
            return Err(Refusal::invalid(format!(
                "phase {name:?} does not match the schema: {phase}"
            )));
        }
    }
    Ok(())
}

fn text(body: &Value, name: &str) -> Result<String, Refusal> {
    match body[name].as_str() {
        Some(text) if !text.is_empty() => Ok(text.to_owned()),
        _ => Err(Refusal::invalid(format!("{name} must be a text"))),
    }
}

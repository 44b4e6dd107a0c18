//! Deleting entities, with those that cannot exist without them.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::State;
use super::refusal::Refusal;
use super::routes::{Answer, flag, json_body};
use super::state::{Cause, Key, WriteKind};
use crate::server::{Request, Response};

/// Most identifiers in one bulk delete.
const MAX_BULK_DELETE: usize = 100;

/// `POST /v1/blueprints/{blueprint}/bulk/entities/delete`: what does not exist is left out of the answer.
pub(super) fn bulk(state: &mut State, request: &Request, blueprint: &str) -> Answer {
    let dependents = flag(request, "delete_dependents")?.unwrap_or_default();
    let cause = Cause::of(request)?;
    state.blueprint(blueprint)?;
    let body = json_body(request)?;
    let identifiers: Vec<String> = body["entities"]
        .as_array()
        .filter(|list| (1..=MAX_BULK_DELETE).contains(&list.len()))
        .and_then(|list| {
            list.iter()
                .map(|it| Some(it.as_str()?.to_owned()))
                .collect()
        })
        .ok_or_else(|| {
            Refusal::invalid(format!(
                "entities must be a list of 1 to {MAX_BULK_DELETE} identifiers"
            ))
        })?;
    let wanted: BTreeSet<Key> = identifiers
        .into_iter()
        .map(|identifier| (blueprint.to_owned(), identifier))
        .filter(|key| state.entities.contains_key(key))
        .collect();
    let gone = remove(state, cause, &wanted, dependents)?;
    let named = match state.behaviour.names_dependents {
        true => gone,
        false => wanted,
    };
    let deleted: Vec<String> = named
        .into_iter()
        .map(|(_, identifier)| identifier)
        .collect();
    let answer = json!({"ok": true, "deletedEntities": deleted, "maxBulkSize": MAX_BULK_DELETE});
    Ok(Response::json(200, &answer))
}

/// `DELETE /v1/blueprints/{blueprint}/entities/{identifier}`.
pub(super) fn single(
    state: &mut State,
    request: &Request,
    blueprint: &str,
    identifier: &str,
) -> Answer {
    let dependents = flag(request, "delete_dependents")?.unwrap_or_default();
    let cause = Cause::of(request)?;
    state.blueprint(blueprint)?;
    let wanted = BTreeSet::from([state.entity(blueprint, identifier)?.key()]);
    if let Err(refusal) = remove(state, cause, &wanted, dependents) {
        state.refuse(blueprint, &json!(identifier), &refusal, true);
        return Err(refusal);
    }
    Ok(Response::json(200, &json!({"ok": true})))
}

/// All or nothing. Dependents go in a chain, whoever owns them; other relations to what is gone are cleared. Returns all
/// that went.
fn remove(
    state: &mut State,
    cause: Cause<'_>,
    wanted: &BTreeSet<Key>,
    delete_dependents: bool,
) -> Result<BTreeSet<Key>, Refusal> {
    let mut gone = wanted.clone();
    loop {
        let dependents: Vec<Key> = state
            .entities
            .keys()
            .filter(|key| !gone.contains(*key) && requires_any(state, key, &gone))
            .cloned()
            .collect();
        match dependents.first() {
            None => break,
            Some(first) if !delete_dependents => {
                return Err(Refusal::has_dependents(format!(
                    "entity {:?} of blueprint {:?} requires what is to be deleted",
                    first.1, first.0
                )));
            }
            Some(_) => gone.extend(dependents),
        }
    }
    for key in &gone {
        let kind = if wanted.contains(key) {
            WriteKind::Deleted
        } else {
            WriteKind::DeletedDependent
        };
        state.entities.remove(key);
        state.record(kind, key, cause);
    }
    forget_targets(state, &gone);
    Ok(gone)
}

impl State {
    /// Takes an entity away, and out of the relations that lead to it; false where there is none.
    pub(super) fn forget(&mut self, key: Key) -> bool {
        let was_there = self.entities.remove(&key).is_some();
        forget_targets(self, &BTreeSet::from([key]));
        was_there
    }
}

fn requires_any(state: &State, key: &Key, gone: &BTreeSet<Key>) -> bool {
    let (Some(blueprint), Some(entity)) = (state.blueprints.get(&key.0), state.entities.get(key))
    else {
        return false;
    };
    blueprint.relations().iter().any(|(name, relation)| {
        relation.required
            && entity
                .targets(name)
                .iter()
                .any(|target| gone.contains(&(relation.target.clone(), (*target).to_owned())))
    })
}

fn forget_targets(state: &mut State, gone: &BTreeSet<Key>) {
    for entity in state.entities.values_mut() {
        let Some(blueprint) = state.blueprints.get(&entity.blueprint) else {
            continue;
        };
        for (name, relation) in blueprint.relations() {
            let is_gone = |target: &Value| {
                let target = target.as_str().unwrap_or_default().to_owned();
                gone.contains(&(relation.target.clone(), target))
            };
            let empty = match entity.relations.get_mut(&name) {
                Some(Value::Array(targets)) => {
                    targets.retain(|target| !is_gone(target));
                    targets.is_empty()
                }
                Some(target) => is_gone(target),
                None => false,
            };
            if empty {
                entity.relations.remove(&name);
            }
        }
    }
}

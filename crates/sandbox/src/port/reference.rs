//! How an entity is named in a request: by its identifier, or by a search query that finds it.

use serde_json::Value;

use super::State;
use super::blueprint::{Blueprint, Relation};
use super::refusal::Refusal;
use super::rules::Query;
use super::state::no_entity;

/// Most entities that a search query may put into a `many` relation.
const MANY_RELATION_LIMIT: usize = 100;

/// The text itself, or the one entity that a search query finds.
pub(super) fn identifier(
    state: &State,
    blueprint: &Blueprint,
    reference: &Value,
) -> Result<String, Refusal> {
    if let Some(identifier) = reference.as_str() {
        return Ok(identifier.to_owned());
    }
    match find(state, blueprint.identifier(), reference)?.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(no_entity(blueprint.identifier(), "unknown")),
        several => Err(Refusal::invalid(format!(
            "the search query for the identifier matches {} entities",
            several.len()
        ))),
    }
}

/// What a relation points at, by text, texts or a search query.
pub(super) fn targets(
    state: &State,
    name: &str,
    relation: &Relation,
    value: &Value,
) -> Result<Vec<String>, Refusal> {
    match value {
        Value::Null => Ok(Vec::new()),
        Value::String(_) if relation.many => {
            Err(Refusal::many(format!("relation {name:?} must be a list")))
        }
        Value::Array(_) if !relation.many => Err(Refusal::many(format!(
            "relation {name:?} must not be a list"
        ))),
        Value::String(target) => Ok(vec![target.clone()]),
        Value::Array(targets) => Ok(targets
            .iter()
            .filter_map(|target| target.as_str().map(str::to_owned))
            .collect()),
        query => {
            let mut found = find(state, &relation.target, query)?;
            match found.len() {
                0 => return Err(no_entity(&relation.target, "unknown")),
                1 => {}
                _ if relation.many => found.truncate(MANY_RELATION_LIMIT),
                several => {
                    return Err(Refusal::many(format!(
                        "the search query for relation {name:?} matches {several} entities"
                    )));
                }
            }
            Ok(found)
        }
    }
}

/// The identifiers that a search query finds in one blueprint.
pub(super) fn find(state: &State, blueprint: &str, query: &Value) -> Result<Vec<String>, Refusal> {
    let query = Query::parse(query)?;
    Ok(state
        .entities_of(blueprint)
        .filter(|entity| query.matches(entity))
        .map(|entity| entity.identifier.clone())
        .collect())
}

//! Whether Port takes an entity, and what it makes of it (Port API: required properties and relations, relation targets
//! that do not exist, search queries, size). What `fit` can mend is mended by then.
//!
//! Pure.

use std::collections::BTreeSet;

use serde_json::Value;

use super::content::{EntityContent, identifiers};
use super::stage::{Hits, Stage};
use crate::entity::{Entity, EntityKey, Identifier};
use crate::port::batch;
use crate::port::blueprint::Blueprint;
use crate::port::outcome::Refusal;
use crate::port::upsert::{UpsertOptions, too_large};

/// Blueprints whose entities Port creates for nobody's relation.
const BUILT_IN: [&str; 2] = ["_user", "_team"];

const REQUIRED: &str = "the blueprint requires it";

/// What Port makes of an entity that it takes.
pub(super) struct TakenEntity {
    pub(super) key: EntityKey,
    pub(super) content: EntityContent,
    /// Relation targets that Port creates, empty.
    pub(super) stubs: BTreeSet<EntityKey>,
}

/// Why an entity is not written: the field, and what Port would say.
pub(super) struct Objection {
    pub(super) field: String,
    pub(super) refusal: Refusal,
    /// It may be taken once the target of a relation is there.
    pub(super) lacks_target: bool,
}

impl Objection {
    fn new(field: impl Into<String>, status: u16, code: &str, message: &str) -> Objection {
        Objection {
            field: field.into(),
            refusal: Refusal {
                status,
                code: code.to_owned(),
                message: message.to_owned(),
            },
            lacks_target: false,
        }
    }

    fn of(field: impl Into<String>, refusal: Refusal) -> Objection {
        Objection {
            field: field.into(),
            refusal,
            lacks_target: false,
        }
    }

    fn lacks_target(field: impl Into<String>, message: &str) -> Objection {
        Objection {
            lacks_target: true,
            ..Objection::new(field, 404, "not_found", message)
        }
    }
}

/// `None` where nobody knows which entity its search query finds.
pub(super) fn judge(
    stage: &Stage,
    entity: &Entity,
    options: &UpsertOptions,
) -> Result<Option<TakenEntity>, Objection> {
    if batch::is_too_large(entity) {
        return Err(Objection::of("", too_large()));
    }
    let Some(blueprint) = stage.blueprint(&entity.blueprint) else {
        let message = "Port has no such blueprint";
        return Err(Objection::new("", 404, "not_found", message));
    };
    let Some(key) = key_of(stage, entity)? else {
        return Ok(None);
    };
    let written = answered(stage, entity, blueprint)?;
    let now = stage.entities.get(&key).and_then(|it| it.after.clone());
    let mut content = now.filter(|_| options.merge).unwrap_or_default();
    content.take(&written);
    let mut required = blueprint.required.iter();
    if let Some(name) = required.find(|name| !content.properties.contains_key(*name)) {
        let field = format!("properties.{name}");
        return Err(Objection::new(field, 422, "", REQUIRED));
    }
    let stubs = missing_targets(stage, (&key, &written), blueprint, options)?;
    let mut required = blueprint.relations.iter().filter(|(_, it)| it.required);
    if let Some((name, _)) = required.find(|(name, _)| !content.relations.contains_key(*name)) {
        let field = format!("relations.{name}");
        return Err(Objection::new(field, 422, "required_relation", REQUIRED));
    }
    Ok(Some(TakenEntity {
        key,
        content,
        stubs,
    }))
}

/// Which entity is written; `None` where nobody knows what its query finds.
fn key_of(stage: &Stage, entity: &Entity) -> Result<Option<EntityKey>, Objection> {
    let query = match &entity.identifier {
        Identifier::Text(text) => return Ok(Some(EntityKey::new(&entity.blueprint, text))),
        Identifier::Search(query) => query,
    };
    let field = "identifier";
    match stage.found(&entity.blueprint, query) {
        Hits::These(found) => match found.as_slice() {
            [one] => Ok(Some(EntityKey::new(&entity.blueprint, one))),
            [] => {
                let message = "its search query finds no entity";
                Err(Objection::lacks_target(field, message))
            }
            _ => {
                let message = "its search query finds several entities";
                Err(Objection::new(field, 422, "", message))
            }
        },
        Hits::Refused(refusal) => Err(Objection::of(field, refusal)),
        Hits::Unknown => Ok(None),
    }
}

/// `entity` with what its search queries find in their place.
fn answered(stage: &Stage, entity: &Entity, blueprint: &Blueprint) -> Result<Entity, Objection> {
    let mut entity = entity.clone();
    if let Some(query) = entity.team.as_ref().filter(|team| team.is_object())
        && let Some(found) = answer(stage, "team", "_team", query)?
    {
        entity.team = Some(found.into());
    }
    for (name, value) in entity.relations.iter_mut().flatten() {
        let Some(relation) = blueprint.relations.get(name).filter(|_| value.is_object()) else {
            continue;
        };
        let field = format!("relations.{name}");
        if let Some(found) = answer(stage, &field, &relation.target, value)? {
            *value = match (relation.many, found.as_slice()) {
                (true, _) => found.into(),
                (false, [one]) => one.as_str().into(),
                (false, _) => {
                    let message = "its search query finds several entities";
                    return Err(Objection::new(field, 422, "", message));
                }
            };
        }
    }
    Ok(entity)
}

/// What a query that stands for a team or a relation finds; `None` where nobody knows.
fn answer(
    stage: &Stage,
    field: &str,
    blueprint: &str,
    query: &Value,
) -> Result<Option<Vec<String>>, Objection> {
    match stage.found(blueprint, query) {
        Hits::These(found) if found.is_empty() => {
            let message = "its search query finds no entity";
            Err(Objection::lacks_target(field, message))
        }
        Hits::These(found) => Ok(Some(found)),
        Hits::Refused(refusal) => Err(Objection::of(field, refusal)),
        Hits::Unknown => Ok(None),
    }
}

/// Targets that Port would create.
fn missing_targets(
    stage: &Stage,
    (key, written): (&EntityKey, &Entity),
    blueprint: &Blueprint,
    options: &UpsertOptions,
) -> Result<BTreeSet<EntityKey>, Objection> {
    let mut missing = BTreeSet::new();
    for (name, value) in written.relations.iter().flatten() {
        let Some(relation) = blueprint.relations.get(name) else {
            continue;
        };
        for target in identifiers(value) {
            let target = EntityKey::new(&relation.target, target);
            if target == *key || stage.exists(&target) == Some(true) {
                continue;
            }
            let is_built_in = BUILT_IN.contains(&relation.target.as_str());
            if !options.create_missing_related || is_built_in {
                let message = "it leads to an entity that Port does not have";
                return Err(Objection::lacks_target(
                    format!("relations.{name}"),
                    message,
                ));
            }
            missing.insert(target);
        }
    }
    Ok(missing)
}

//! Creating and changing entities, one or up to twenty at a time.
//!
//! Each entity is planned against the catalogue first and written only when nothing stands against it, so that a refusal changes nothing.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::State;
use super::blueprint::{BUILT_IN, Blueprint, Relation};
use super::reference::{self, find, targets};
use super::refusal::Refusal;
use super::routes::{Answer, flag, json_body};
use super::shape;
use super::state::{Cause, Key, StoredEntity, WriteKind, no_entity};
use super::value;
use crate::server::{Request, Response};

/// The query parameters of both upsert routes.
#[derive(Clone, Copy)]
struct Options {
    upsert: bool,
    merge: bool,
    create_missing: bool,
    validation_only: bool,
}

impl Options {
    fn read(request: &Request) -> Result<Options, Refusal> {
        let Some(upsert) = flag(request, "upsert")? else {
            return Err(Refusal::invalid("query parameter upsert is required"));
        };
        Cause::of(request)?;
        Ok(Options {
            upsert,
            merge: flag(request, "merge")?.unwrap_or_default(),
            create_missing: flag(request, "create_missing_related_entities")?.unwrap_or_default(),
            validation_only: flag(request, "validation_only")?.unwrap_or_default(),
        })
    }
}

/// `POST /v1/blueprints/{blueprint}/entities/bulk`: 200, or 207 when some failed.
pub(super) fn bulk(state: &mut State, request: &Request, blueprint: &str) -> Answer {
    let options = Options::read(request)?;
    let blueprint = state.blueprint(blueprint)?.clone();
    let body = json_body(request)?;
    let most = state.behaviour.max_bulk_size;
    let Some(items) = body["entities"]
        .as_array()
        .filter(|items| (1..=most).contains(&items.len()))
    else {
        return Err(Refusal::invalid(format!(
            "entities must be a list of 1 to {most}"
        )));
    };
    let shapes: Vec<Result<(), Refusal>> = items.iter().map(shape::check).collect();
    if state.behaviour.malformed_fails_batch
        && let Some(refusal) = shapes.iter().find_map(|shape| shape.clone().err())
    {
        if let [item] = items.as_slice() {
            state.refuse(blueprint.identifier(), &item["identifier"], &refusal, false);
        }
        return Err(refusal);
    }
    let mut trial = options.validation_only.then(|| state.clone());
    let state = trial.as_mut().unwrap_or(state);
    let (mut entities, mut errors) = (Vec::new(), Vec::new());
    for (index, (item, shape)) in items.iter().zip(shapes).enumerate() {
        let outcome = shape.and_then(|()| apply(state, request, &blueprint, item, options));
        match outcome {
            Ok((created, identifier)) => {
                entities.push(json!({"created": created, "identifier": identifier, "index": index}))
            }
            Err(refusal) => {
                state.refuse(blueprint.identifier(), &item["identifier"], &refusal, false);
                errors.push(json!({
                    "index": index,
                    "identifier": item["identifier"].as_str().unwrap_or("unknown"),
                    "statusCode": refusal.status,
                    "error": refusal.error,
                    "message": refusal.message,
                }))
            }
        }
    }
    let status = if errors.is_empty() { 200 } else { 207 };
    Ok(Response::json(
        status,
        &json!({"ok": true, "entities": entities, "errors": errors, "maxBulkSize": most}),
    ))
}

/// `POST /v1/blueprints/{blueprint}/entities`.
pub(super) fn single(state: &mut State, request: &Request, blueprint: &str) -> Answer {
    let options = Options::read(request)?;
    let blueprint = state.blueprint(blueprint)?.clone();
    let item = json_body(request)?;
    shape::check(&item)?;
    let mut trial = options.validation_only.then(|| state.clone());
    let state = trial.as_mut().unwrap_or(state);
    let (_, identifier) = apply(state, request, &blueprint, &item, options)?;
    let entity = state.entity(blueprint.identifier(), &identifier)?;
    Ok(Response::json(
        201,
        &json!({"ok": true, "entity": entity.render(Some(&blueprint))}),
    ))
}

/// Plans and writes one entity; returns whether it is new, and its identifier.
fn apply(
    state: &mut State,
    request: &Request,
    blueprint: &Blueprint,
    item: &Value,
    options: Options,
) -> Result<(bool, String), Refusal> {
    let cause = Cause::of(request)?;
    let plan = Plan::new(state, blueprint, item, cause.writer, options)?;
    Ok(plan.write(state, cause))
}

/// An entity as it will be, with the stubs that its relations need.
struct Plan {
    entity: StoredEntity,
    before: Option<StoredEntity>,
    stubs: Vec<Key>,
}

impl Plan {
    fn new(
        state: &State,
        blueprint: &Blueprint,
        item: &Value,
        writer: &str,
        options: Options,
    ) -> Result<Plan, Refusal> {
        let own = item["blueprint"].as_str();
        if own.is_some_and(|own| own != blueprint.identifier()) {
            return Err(Refusal::invalid(
                "the blueprint in the body is not that of the path",
            ));
        }
        let key = (
            blueprint.identifier().to_owned(),
            reference::identifier(state, blueprint, &item["identifier"])?,
        );
        let before = state.entities.get(&key).cloned();
        if before.is_some() && !options.upsert {
            return Err(Refusal::taken(format!("Entity {:?} already exists", key.1)));
        }
        let fresh = StoredEntity::new(&key, writer, state.clock.now());
        let mut entity = match &before {
            Some(before) if options.merge => before.clone(),
            Some(before) => StoredEntity {
                created_at: before.created_at,
                ..fresh
            },
            None => fresh,
        };
        entity.datasource = writer.to_owned();
        let mut plan = Plan {
            entity,
            before,
            stubs: Vec::new(),
        };
        plan.take_head(state, blueprint, item)?;
        plan.take_properties(blueprint, &item["properties"])?;
        plan.take_relations(state, blueprint, &item["relations"], options)?;
        Ok(plan)
    }

    /// Title, icon and team: a key that is present replaces, null clears.
    fn take_head(
        &mut self,
        state: &State,
        blueprint: &Blueprint,
        item: &Value,
    ) -> Result<(), Refusal> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        if let Some(title) = item.get("title") {
            self.entity.title = text(title);
        }
        if let Some(icon) = item.get("icon") {
            self.entity.icon = text(icon);
        }
        let Some(team) = item.get("team") else {
            return Ok(());
        };
        if blueprint.inherits_team() {
            return Err(Refusal::new(
                422,
                "team_inheritance_enabled",
                "the blueprint inherits its team",
            ));
        }
        self.entity.team = match team {
            Value::Null => Vec::new(),
            Value::String(team) => vec![team.clone()],
            Value::Array(teams) => teams.iter().filter_map(text).collect(),
            query => {
                let found = find(state, "_team", query)?;
                if found.is_empty() {
                    return Err(no_entity("_team", "unknown"));
                }
                found
            }
        };
        Ok(())
    }

    fn take_properties(&mut self, blueprint: &Blueprint, sent: &Value) -> Result<(), Refusal> {
        let schema = blueprint.properties();
        for (name, value) in sent.as_object().unwrap_or(&Map::new()) {
            let Some(definition) = schema.get(name) else {
                return Err(Refusal::mismatch(format!(
                    "property {name:?} is not in blueprint {:?}",
                    blueprint.identifier()
                )));
            };
            if value.is_null() {
                self.entity.properties.remove(name);
                continue;
            }
            value::check(name, definition, value)?;
            self.entity.properties.insert(name.clone(), value.clone());
        }
        let missing = blueprint
            .required()
            .into_iter()
            .find(|name| !self.entity.properties.contains_key(*name));
        match missing {
            Some(name) => Err(Refusal::mismatch(format!(
                "property {name:?} is required by blueprint {:?}",
                blueprint.identifier()
            ))),
            None => Ok(()),
        }
    }

    fn take_relations(
        &mut self,
        state: &State,
        blueprint: &Blueprint,
        sent: &Value,
        options: Options,
    ) -> Result<(), Refusal> {
        let definitions = blueprint.relations();
        for (name, value) in sent.as_object().unwrap_or(&Map::new()) {
            let Some(relation) = definitions.get(name) else {
                return Err(Refusal::mismatch(format!(
                    "relation {name:?} is not in blueprint {:?}",
                    blueprint.identifier()
                )));
            };
            let targets = targets(state, name, relation, value)?;
            for target in &targets {
                self.require_target(state, relation, target, options)?;
            }
            let stored = match (relation.many, targets.as_slice()) {
                (_, []) => None,
                (true, targets) => Some(json!(targets)),
                (false, [target, ..]) => Some(json!(target)),
            };
            match stored {
                Some(stored) => self.entity.relations.insert(name.clone(), stored),
                None => self.entity.relations.remove(name),
            };
        }
        self.check_required_relations(&definitions)
    }

    /// The target exists, is this very entity, or becomes a stub.
    fn require_target(
        &mut self,
        state: &State,
        relation: &Relation,
        target: &str,
        options: Options,
    ) -> Result<(), Refusal> {
        let key = (relation.target.clone(), target.to_owned());
        if state.entities.contains_key(&key)
            || key == self.entity.key()
            || self.stubs.contains(&key)
        {
            return Ok(());
        }
        if !options.create_missing || BUILT_IN.contains(&relation.target.as_str()) {
            return Err(no_entity(&relation.target, target));
        }
        self.stubs.push(key);
        Ok(())
    }

    fn check_required_relations(
        &self,
        definitions: &BTreeMap<String, Relation>,
    ) -> Result<(), Refusal> {
        let missing = definitions.iter().find(|(name, relation)| {
            relation.required && !self.entity.relations.contains_key(*name)
        });
        match missing {
            Some((name, _)) => Err(Refusal::required_relation(format!(
                "relation {name:?} is required"
            ))),
            None => Ok(()),
        }
    }

    fn write(self, state: &mut State, cause: Cause<'_>) -> (bool, String) {
        for stub in self.stubs {
            let now = state.clock.write();
            state.record(WriteKind::Stub, &stub, cause);
            state
                .entities
                .insert(stub.clone(), StoredEntity::new(&stub, cause.writer, now));
        }
        let now = state.clock.write();
        let (mut entity, key) = (self.entity.clone(), self.entity.key());
        let kind = match &self.before {
            None => {
                entity.created_at = now;
                entity.updated_at = now;
                WriteKind::Created
            }
            Some(before) => {
                let changed = before.content() != entity.content();
                entity.updated_at = if changed || state.behaviour.rewriting_moves_updated_at {
                    now
                } else {
                    before.updated_at
                };
                if changed {
                    WriteKind::Updated
                } else {
                    WriteKind::Unchanged
                }
            }
        };
        state.record(kind, &key, cause);
        let identifier = key.1.clone();
        state.entities.insert(key, entity);
        (kind == WriteKind::Created, identifier)
    }
}

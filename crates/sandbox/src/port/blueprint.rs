//! Blueprints: the schema that entities must fit, and the routes that change it.
//!
//! Calculated, mirrored and aggregated properties are kept as they were sent and never computed.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::State;
use super::refusal::Refusal;
use super::routes::{Answer, flag, json_body};
use super::value;
use crate::clock::millis;
use crate::server::{Request, Response};

/// A blueprint that passed [`Blueprint::parse`], with the body it came from.
#[derive(Clone, Debug)]
pub(super) struct Blueprint {
    body: Map<String, Value>,
}

/// `{title, target, required, many}` of one relation.
#[derive(Clone, Debug)]
pub(super) struct Relation {
    pub(super) target: String,
    pub(super) required: bool,
    pub(super) many: bool,
}

/// The two blueprints that every organisation has, whose entities Port alone creates out of relations.
pub(super) const BUILT_IN: [&str; 2] = ["_user", "_team"];

pub(super) fn built_in() -> BTreeMap<String, Blueprint> {
    BUILT_IN
        .into_iter()
        .map(|identifier| {
            let body = json!({
                "identifier": identifier,
                "title": identifier.trim_start_matches('_'),
                "schema": {"properties": {}, "required": []},
                "relations": {},
            });
            let body = body.as_object().cloned().unwrap_or_default();
            (identifier.to_owned(), Blueprint { body })
        })
        .collect()
}

impl Blueprint {
    /// Checks a whole body; `known` are the blueprints that relations may point at besides this one.
    pub(super) fn parse(
        body: &Value,
        known: &BTreeMap<String, Blueprint>,
    ) -> Result<Blueprint, Refusal> {
        let Some(body) = body.as_object() else {
            return Err(Refusal::invalid("a blueprint must be an object"));
        };
        let blueprint = Blueprint { body: body.clone() };
        blueprint.check_names()?;
        blueprint.check_schema()?;
        blueprint.check_relations(known)?;
        blueprint.check_derived()?;
        Ok(blueprint)
    }

    pub(super) fn identifier(&self) -> &str {
        self.text("identifier")
    }

    pub(super) fn body(&self) -> Value {
        Value::Object(self.body.clone())
    }

    pub(super) fn properties(&self) -> Map<String, Value> {
        self.schema("properties")
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default()
    }

    pub(super) fn required(&self) -> Vec<&str> {
        self.schema("required")
            .and_then(Value::as_array)
            .map(|names| names.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default()
    }

    pub(super) fn relations(&self) -> BTreeMap<String, Relation> {
        let relations = self.body.get("relations").and_then(Value::as_object);
        let flag = |relation: &Value, name: &str| relation[name].as_bool().unwrap_or_default();
        relations
            .into_iter()
            .flatten()
            .map(|(name, relation)| {
                let relation = Relation {
                    target: relation["target"].as_str().unwrap_or_default().to_owned(),
                    required: flag(relation, "required"),
                    many: flag(relation, "many"),
                };
                (name.clone(), relation)
            })
            .collect()
    }

    /// Teams come from a related entity and may not be written.
    pub(super) fn inherits_team(&self) -> bool {
        let ownership = self.body.get("ownership").unwrap_or(&Value::Null);
        ownership["type"] == "Inherited" || self.body.contains_key("teamInheritance")
    }

    fn text(&self, name: &str) -> &str {
        self.body
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    fn schema(&self, part: &str) -> Option<&Value> {
        self.body.get("schema")?.get(part)
    }

    fn check_names(&self) -> Result<(), Refusal> {
        if !value::is_blueprint_identifier(self.identifier()) {
            return Err(Refusal::invalid(format!(
                "identifier {:?} is not a blueprint identifier",
                self.identifier()
            )));
        }
        let title = self.text("title").chars().count();
        if !(1..=100).contains(&title) {
            return Err(Refusal::invalid("title must have 1 to 100 characters"));
        }
        if 200 < self.text("description").chars().count() {
            return Err(Refusal::invalid(
                "description must have at most 200 characters",
            ));
        }
        Ok(())
    }

    fn check_schema(&self) -> Result<(), Refusal> {
        if !self.schema("properties").is_some_and(Value::is_object) {
            return Err(Refusal::invalid("schema.properties must be an object"));
        }
        let properties = self.properties();
        for (name, schema) in &properties {
            if !value::is_property_name(name) {
                return Err(Refusal::invalid(format!("{name:?} is not a property name")));
            }
            value::check_schema(name, schema)?;
        }
        match self
            .required()
            .iter()
            .find(|name| !properties.contains_key(**name))
        {
            Some(name) => Err(Refusal::invalid(format!(
                "required property {name:?} is not in schema.properties"
            ))),
            None => Ok(()),
        }
    }

    fn check_relations(&self, known: &BTreeMap<String, Blueprint>) -> Result<(), Refusal> {
        if self.body.get("relations").is_some_and(|it| !it.is_object()) {
            return Err(Refusal::invalid("relations must be an object"));
        }
        for (name, relation) in self.relations() {
            if relation.required && relation.many {
                return Err(Refusal::invalid(format!(
                    "relation {name:?} cannot be both required and many"
                )));
            }
            if relation.target != self.identifier() && !known.contains_key(&relation.target) {
                return Err(Refusal::not_found(format!(
                    "relation {name:?} points at blueprint {:?}, which was not found",
                    relation.target
                )));
            }
        }
        Ok(())
    }

    /// Mirrored properties start at a relation; calculated ones have an expression and a type.
    fn check_derived(&self) -> Result<(), Refusal> {
        let section = |name: &str| self.body.get(name).and_then(Value::as_object);
        let relations = self.relations();
        for (name, mirror) in section("mirrorProperties").into_iter().flatten() {
            let path = mirror["path"].as_str().unwrap_or_default();
            let first = path.split('.').next().unwrap_or_default();
            if !relations.contains_key(first) {
                return Err(Refusal::invalid(format!(
                    "mirror property {name:?} starts at {first:?}, which is no relation"
                )));
            }
        }
        for (name, calculation) in section("calculationProperties").into_iter().flatten() {
            if !calculation["calculation"].is_string() || !calculation["type"].is_string() {
                return Err(Refusal::invalid(format!(
                    "calculation property {name:?} needs calculation and type"
                )));
            }
        }
        Ok(())
    }
}

pub(super) fn list(state: &State) -> Answer {
    let blueprints: Vec<Value> = state.blueprints.values().map(Blueprint::body).collect();
    Ok(Response::json(
        200,
        &json!({"ok": true, "blueprints": blueprints}),
    ))
}

pub(super) fn get(state: &State, identifier: &str) -> Answer {
    answer(200, state.blueprint(identifier)?)
}

pub(super) fn create(state: &mut State, request: &Request) -> Answer {
    flag(request, "create_catalog_page")?;
    let blueprint = Blueprint::parse(&json_body(request)?, &state.blueprints)?;
    if state.blueprints.contains_key(blueprint.identifier()) {
        return Err(Refusal::taken(format!(
            "Blueprint {:?} already exists",
            blueprint.identifier()
        )));
    }
    store(state, blueprint, 201)
}

/// PATCH keeps the top-level fields that the body does not name; PUT keeps nothing but the identifier.
pub(super) fn change(state: &mut State, request: &Request, identifier: &str, keep: bool) -> Answer {
    let known = state.blueprint(identifier)?;
    let mut body = if keep { known.body.clone() } else { Map::new() };
    body.insert("identifier".to_owned(), json!(identifier));
    match json_body(request)? {
        Value::Object(fields) => body.extend(fields),
        _ => return Err(Refusal::invalid("a blueprint must be an object")),
    }
    if body.get("identifier") != Some(&json!(identifier)) {
        return Err(Refusal::invalid("renaming a blueprint is not simulated"));
    }
    let blueprint = Blueprint::parse(&Value::Object(body), &state.blueprints)?;
    store(state, blueprint, 200)
}

pub(super) fn delete(state: &mut State, identifier: &str) -> Answer {
    state.blueprint(identifier)?;
    let pointed_at = state.blueprints.values().any(|other| {
        other.identifier() != identifier
            && other
                .relations()
                .values()
                .any(|relation| relation.target == identifier)
    });
    if pointed_at || state.entities_of(identifier).next().is_some() {
        return Err(Refusal::has_dependents(format!(
            "Blueprint {identifier:?} has entities, or relations that point at it"
        )));
    }
    if BUILT_IN.contains(&identifier) {
        return Err(Refusal::new(
            403,
            "missing_permissions",
            "built-in blueprints stay",
        ));
    }
    state.blueprints.remove(identifier);
    Ok(Response::json(200, &json!({"ok": true})))
}

fn store(state: &mut State, mut blueprint: Blueprint, status: u16) -> Answer {
    let now = json!(millis(state.clock.write()));
    let created = state
        .blueprints
        .get(blueprint.identifier())
        .and_then(|known| known.body.get("createdAt"))
        .cloned()
        .unwrap_or_else(|| now.clone());
    blueprint.body.insert("createdAt".to_owned(), created);
    blueprint.body.insert("updatedAt".to_owned(), now);
    let answer = answer(status, &blueprint);
    state
        .blueprints
        .insert(blueprint.identifier().to_owned(), blueprint);
    answer
}

fn answer(status: u16, blueprint: &Blueprint) -> Answer {
    Ok(Response::json(
        status,
        &json!({"ok": true, "blueprint": blueprint.body()}),
    ))
}

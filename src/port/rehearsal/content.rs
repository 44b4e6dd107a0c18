//! What an entity says once Port holds it: null is not there, nor is a relation that leads nowhere.
//!
//! Pure.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::entity::{Entity, EntityKey, Identifier};
use crate::port::blueprint::Blueprint;

/// An entity without its name, in a form in which equal ones are alike to people.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EntityContent {
    pub title: Option<Value>,
    pub icon: Option<Value>,
    pub team: Vec<Value>,
    pub properties: BTreeMap<String, Value>,
    /// An identifier, or a list of them that is not empty.
    pub relations: BTreeMap<String, Value>,
}

impl EntityContent {
    /// Of an entity as Port shows it.
    pub(super) fn shown(entity: &Map<String, Value>) -> EntityContent {
        let text = |name: &str| entity.get(name).filter(|it| !it.is_null()).cloned();
        let fields = |name: &str| {
            let fields = entity.get(name).and_then(Value::as_object);
            let fields = fields.into_iter().flatten();
            fields.map(|(name, value)| (name.clone(), value.clone()))
        };
        EntityContent {
            title: text("title"),
            icon: text("icon"),
            team: teams(entity.get("team").unwrap_or(&Value::Null)),
            properties: fields("properties")
                .filter(|(_, value)| !value.is_null())
                .collect(),
            relations: fields("relations")
                .filter(|(_, value)| leads_somewhere(value))
                .collect(),
        }
    }

    /// What becomes of it when `entity` is written over it. Search queries are answered by then.
    pub fn take(&mut self, entity: &Entity) {
        let set = |slot: &mut Option<Value>, value: &Option<Value>| {
            if let Some(value) = value {
                *slot = Some(value.clone()).filter(|value| !value.is_null());
            }
        };
        set(&mut self.title, &entity.title);
        set(&mut self.icon, &entity.icon);
        if let Some(team) = &entity.team {
            self.team = teams(team);
        }
        for (name, value) in entity.properties.iter().flatten() {
            match value.is_null() {
                true => self.properties.remove(name),
                false => self.properties.insert(name.clone(), value.clone()),
            };
        }
        for (name, value) in entity.relations.iter().flatten() {
            match leads_somewhere(value) {
                true => self.relations.insert(name.clone(), value.clone()),
                false => self.relations.remove(name),
            };
        }
    }

    /// Whether a rule of a search query about `field` may tell them apart. What they do not hold (`$updatedAt`) may.
    pub(super) fn differs_in(&self, other: &EntityContent, field: &str) -> bool {
        match field {
            "$identifier" | "$blueprint" => false,
            "$title" => self.title != other.title,
            "$icon" => self.icon != other.icon,
            "$team" => self.team != other.team,
            field if field.starts_with('$') => true,
            field => {
                self.properties.get(field) != other.properties.get(field)
                    || self.relations.get(field) != other.relations.get(field)
            }
        }
    }

    /// The identifiers that `relation` leads to.
    pub(super) fn targets(&self, relation: &str) -> impl Iterator<Item = &str> {
        let value = self.relations.get(relation);
        value.into_iter().flat_map(identifiers)
    }

    /// Takes `target` out of `relation`.
    pub(super) fn forget(&mut self, relation: &str, target: &str) {
        let is_empty = match self.relations.get_mut(relation) {
            Some(Value::Array(targets)) => {
                targets.retain(|it| it.as_str() != Some(target));
                targets.is_empty()
            }
            Some(value) => value.as_str() == Some(target),
            None => false,
        };
        if is_empty {
            self.relations.remove(relation);
        }
    }

    /// As Port shows an entity of `blueprint`: what is not set is null, or an empty list.
    pub(super) fn shown_by(&self, blueprint: Option<&Blueprint>) -> Map<String, Value> {
        let mut properties = Map::new();
        let mut relations = Map::new();
        if let Some(blueprint) = blueprint {
            let names = blueprint.properties.iter().flat_map(BTreeMap::keys);
            properties.extend(names.map(|name| (name.clone(), Value::Null)));
            relations.extend(blueprint.relations.iter().map(|(name, relation)| {
                let unset = match relation.many {
                    true => Value::Array(Vec::new()),
                    false => Value::Null,
                };
                (name.clone(), unset)
            }));
        }
        properties.extend(self.properties.clone());
        relations.extend(self.relations.clone());
        let fields = [
            ("title", self.title.clone().unwrap_or_default()),
            ("icon", self.icon.clone().unwrap_or_default()),
            ("team", Value::Array(self.team.clone())),
            ("properties", properties.into()),
            ("relations", relations.into()),
        ];
        fields
            .map(|(name, value)| (name.to_owned(), value))
            .into_iter()
            .collect()
    }

    /// As the entity `key` that holds just this.
    pub fn into_entity(self, key: &EntityKey) -> Entity {
        let object = |fields: BTreeMap<String, Value>| {
            let fields: Map<String, Value> = fields.into_iter().collect();
            Some(fields).filter(|fields| !fields.is_empty())
        };
        Entity {
            blueprint: key.blueprint.clone(),
            identifier: Identifier::Text(key.identifier.clone()),
            title: self.title,
            icon: self.icon,
            team: Some(Value::Array(self.team)).filter(|team| *team != Value::Array(Vec::new())),
            properties: object(self.properties),
            relations: object(self.relations),
        }
    }
}

/// The identifiers that a relation's value names.
pub(super) fn identifiers(value: &Value) -> impl Iterator<Item = &str> {
    let values = match value {
        Value::Array(values) => values.as_slice(),
        value => std::slice::from_ref(value),
    };
    values.iter().filter_map(Value::as_str)
}

fn leads_somewhere(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Array(targets) => !targets.is_empty(),
        _ => true,
    }
}

fn teams(team: &Value) -> Vec<Value> {
    match team {
        Value::Null => Vec::new(),
        Value::Array(teams) => teams.clone(),
        team => vec![team.clone()],
    }
}

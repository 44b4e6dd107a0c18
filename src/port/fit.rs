//! What Port takes of an entity: a value that it would refuse is left out, so that it costs neither the entity nor its
//! neighbours in a call.
//!
//! Pure: an entity and its blueprint in, the entity that can be sent and what was left out of it. What is left out of a
//! property or relation becomes null, so that nothing old stays there; what the blueprint does not have is not sent at all.
//! A value that Port's request schema coerces is written as it would be afterwards: a number where an identifier belongs
//! becomes text.

use serde_json::{Map, Value};

use super::batch;
use super::blueprint::{Blueprint, Relation};
use super::schema::Misfit;
use crate::entity::{Entity, Identifier, identifier_of, is_valid_identifier};

/// A value that Port would refuse.
#[derive(Clone, Debug, PartialEq)]
pub struct LeftOut {
    pub blueprint: String,
    /// The entity's identifier; empty where a search query stands for it.
    pub entity: String,
    /// `properties.size`, `relations.owners[]` for an element of a list, `team`.
    pub field: String,
    pub misfit: Misfit,
    /// The value as JSON, shortened.
    pub sample: String,
}

/// Longest part of a value that is shown, in characters.
const SHOWN_CHARS: usize = 60;

/// A byte of text takes at most so many in JSON (`\u0000`).
const LONGEST_ESCAPE: usize = 6;

/// Of anything but a text, with the signs around it: an upper bound.
const BYTES_PER_VALUE: usize = 32;

/// Whether Port takes every value of `entity`, as far as can be known here.
pub fn fits(entity: &Entity, blueprint: Option<&Blueprint>) -> bool {
    let mut changes = Changes::of(entity, blueprint);
    changes.found.retain(|found| found.misfit.is_loss());
    changes.found.is_empty()
}

/// Leaves out of `entity` what Port would refuse. Without a `blueprint`, which Port then lacks, only what its request
/// schema says is known.
pub fn fit(entity: &mut Entity, blueprint: Option<&Blueprint>) -> Vec<LeftOut> {
    let Changes { made, found } = Changes::of(entity, blueprint);
    for change in made {
        change.apply(entity);
    }
    let mut found = found;
    while batch::is_too_large(entity) {
        let Some((field, value)) = take_longest(entity) else {
            break;
        };
        found.push(Found::new(field, Misfit::TooLarge, &value));
    }
    let identifier = match &entity.identifier {
        Identifier::Text(text) => text.as_str(),
        Identifier::Search(_) => "",
    };
    let left_out = found.into_iter().map(|found| LeftOut {
        blueprint: entity.blueprint.clone(),
        entity: identifier.to_owned(),
        field: found.field,
        misfit: found.misfit,
        sample: found.sample,
    });
    left_out.collect()
}

/// Something that is wrong with a field.
struct Found {
    field: String,
    misfit: Misfit,
    sample: String,
}

impl Found {
    fn new(field: impl Into<String>, misfit: Misfit, value: &Value) -> Found {
        Found {
            field: field.into(),
            misfit,
            sample: shown(value),
        }
    }
}

/// What has to be done to an entity.
#[derive(Default)]
struct Changes {
    made: Vec<Change>,
    found: Vec<Found>,
}

/// What a field becomes; `None`: it is not sent.
struct Change {
    field: Field,
    value: Option<Value>,
}

enum Field {
    Title,
    Icon,
    Team,
    Property(String),
    Relation(String),
}

impl Change {
    fn apply(self, entity: &mut Entity) {
        let Change { field, value } = self;
        let (values, name) = match field {
            Field::Title => return entity.title = value,
            Field::Icon => return entity.icon = value,
            Field::Team => return entity.team = value,
            Field::Property(name) => (&mut entity.properties, name),
            Field::Relation(name) => (&mut entity.relations, name),
        };
        let Some(values) = values else { return };
        match value {
            Some(value) => values.insert(name, value),
            None => values.shift_remove(&name),
        };
    }
}

impl Changes {
    fn of(entity: &Entity, blueprint: Option<&Blueprint>) -> Changes {
        let mut changes = Changes::default();
        if let Some(title) = &entity.title {
            changes.title(title);
        }
        if let Some(icon) = &entity.icon
            && !(icon.is_string() || icon.is_null())
        {
            changes.leave_out(Field::Icon, "icon", Misfit::NoText, icon);
        }
        if let Some(team) = &entity.team {
            changes.team(team, blueprint);
        }
        for (name, value) in entity.properties.iter().flatten() {
            changes.property(name, value, blueprint);
        }
        for (name, value) in entity.relations.iter().flatten() {
            changes.relation(name, value, blueprint);
        }
        changes
    }

    fn replace(&mut self, field: Field, value: Value) {
        let value = Some(value);
        self.made.push(Change { field, value });
    }

    fn leave_out(&mut self, field: Field, shown: &str, misfit: Misfit, value: &Value) {
        self.found.push(Found::new(shown, misfit, value));
        self.replace(field, Value::Null);
    }

    /// Not even null may be sent.
    fn drop(&mut self, field: Field, shown: &str, misfit: Misfit, value: &Value) {
        self.found.push(Found::new(shown, misfit, value));
        self.made.push(Change { field, value: None });
    }

    fn title(&mut self, title: &Value) {
        match title {
            Value::String(_) | Value::Null => {}
            Value::Number(_) | Value::Bool(_) => {
                self.replace(Field::Title, title.to_string().into());
            }
            Value::Array(_) | Value::Object(_) => {
                self.leave_out(Field::Title, "title", Misfit::NoText, title);
            }
        }
    }

    fn team(&mut self, team: &Value, blueprint: Option<&Blueprint>) {
        if blueprint.is_some_and(|blueprint| blueprint.inherits_team) {
            return self.drop(Field::Team, "team", Misfit::InheritedTeam, team);
        }
        match team {
            Value::String(_) | Value::Null => {}
            Value::Array(teams) => {
                let judge = |team: &Value| match team {
                    Value::String(_) => Ok(None),
                    Value::Null => Err(Misfit::Null),
                    _ => Err(Misfit::NoTeam),
                };
                if let Some(teams) = self.elements("team", teams, judge) {
                    self.replace(Field::Team, teams.into());
                }
            }
            query if is_query(query) => {}
            other => self.leave_out(Field::Team, "team", Misfit::NoTeam, other),
        }
    }

    fn property(&mut self, name: &str, value: &Value, blueprint: Option<&Blueprint>) {
        let Some(properties) = blueprint.and_then(|blueprint| blueprint.properties.as_ref()) else {
            return;
        };
        let (field, shown) = (
            || Field::Property(name.to_owned()),
            || format!("properties.{name}"),
        );
        let Some(property) = properties.get(name) else {
            return self.drop(field(), &shown(), Misfit::NoSuchProperty, value);
        };
        if value.is_null() {
            return;
        }
        if let Some(misfit) = property.misfit(value) {
            return self.leave_out(field(), &shown(), misfit, value);
        }
        if let Value::Array(elements) = value {
            let judge = |element: &Value| property.misfit_in_list(element).map_or(Ok(None), Err);
            if elements.iter().any(|element| judge(element).is_err())
                && let Some(elements) = self.elements(&shown(), elements, judge)
            {
                self.replace(field(), elements.into());
            }
        }
    }

    fn relation(&mut self, name: &str, value: &Value, blueprint: Option<&Blueprint>) {
        let relation = blueprint.map(|blueprint| blueprint.relations.get(name));
        let shown = || format!("relations.{name}");
        let relation = match relation {
            Some(None) => {
                let field = Field::Relation(name.to_owned());
                return self.drop(field, &shown(), Misfit::NoSuchRelation, value);
            }
            known => known.flatten(),
        };
        let many = relation.map(|Relation { many, .. }| *many);
        let replaced = match value {
            Value::Null => None,
            Value::Array(targets) => {
                let kept = self.elements(&shown(), targets, judge_target);
                match many {
                    Some(false) => Some(self.single(&shown(), kept.as_ref().unwrap_or(targets))),
                    _ => kept.map(Value::from),
                }
            }
            query if is_query(query) => None,
            other => match judge_target(other) {
                Ok(text) if many == Some(true) => {
                    Some(vec![text.unwrap_or_else(|| other.clone())].into())
                }
                Ok(text) => text,
                Err(misfit) => {
                    self.found.push(Found::new(shown(), misfit, other));
                    Some(Value::Null)
                }
            },
        };
        if let Some(value) = replaced {
            self.replace(Field::Relation(name.to_owned()), value);
        }
    }

    /// A relation that leads to one entity, given a list.
    fn single(&mut self, shown: &str, targets: &[Value]) -> Value {
        match targets {
            [] => Value::Null,
            [target] => target.clone(),
            several => {
                let several = Value::from(several.to_vec());
                self.found
                    .push(Found::new(shown, Misfit::Several, &several));
                Value::Null
            }
        }
    }

    /// The elements that fit, some of them as something else; `None` where all fit as they are.
    fn elements(
        &mut self,
        shown: &str,
        elements: &[Value],
        judge: impl Fn(&Value) -> Result<Option<Value>, Misfit>,
    ) -> Option<Vec<Value>> {
        let mut kept = Vec::with_capacity(elements.len());
        let mut changed = false;
        for element in elements {
            match judge(element) {
                Ok(None) => kept.push(element.clone()),
                Ok(Some(other)) => {
                    changed = true;
                    kept.push(other);
                }
                Err(misfit) => {
                    changed = true;
                    self.found
                        .push(Found::new(format!("{shown}[]"), misfit, element));
                }
            }
        }
        changed.then_some(kept)
    }
}

/// What a relation's target becomes, if it is not sent as it is.
fn judge_target(target: &Value) -> Result<Option<Value>, Misfit> {
    match target {
        Value::String(text) if is_valid_identifier(text) => Ok(None),
        Value::Null => Err(Misfit::Null),
        other => identifier_of(other)
            .map(|text| Some(text.into()))
            .ok_or(Misfit::NoIdentifier),
    }
}

fn is_query(value: &Value) -> bool {
    value.get("combinator").is_some() && value.get("rules").is_some()
}

/// Puts null in place of the longest value, and returns it with its name.
fn take_longest(entity: &mut Entity) -> Option<(String, Value)> {
    let fields = |group: &'static str, values: &mut Option<Map<String, Value>>| {
        let values = values.iter().flatten();
        let all = values.map(|(name, value)| (value.to_string().len(), group, name.clone()));
        all.max_by_key(|(length, ..)| *length)
    };
    let property = fields("properties", &mut entity.properties);
    let relation = fields("relations", &mut entity.relations);
    let head = |name: &str, value: &Option<Value>| {
        let length = value.as_ref().map(|value| value.to_string().len())?;
        Some((length, "", name.to_owned()))
    };
    let all = [
        property,
        relation,
        head("title", &entity.title),
        head("team", &entity.team),
    ];
    let (length, group, name) = all
        .into_iter()
        .flatten()
        .max_by_key(|(length, ..)| *length)?;
    if length <= BYTES_PER_VALUE {
        return None;
    }
    let slot = match (group, name.as_str()) {
        ("properties", name) => entity.properties.as_mut()?.get_mut(name)?,
        ("relations", name) => entity.relations.as_mut()?.get_mut(name)?,
        (_, "title") => entity.title.as_mut()?,
        _ => entity.team.as_mut()?,
    };
    let field = match group {
        "" => name,
        group => format!("{group}.{name}"),
    };
    Some((field, std::mem::take(slot)))
}

/// At most as many bytes as `value` takes as JSON, counted without writing it.
pub(super) fn most_bytes(value: &Value) -> usize {
    match value {
        Value::String(text) => LONGEST_ESCAPE * text.len() + BYTES_PER_VALUE,
        Value::Array(elements) => elements.iter().map(most_bytes).sum::<usize>() + BYTES_PER_VALUE,
        Value::Object(members) => {
            let members = members.iter();
            let bytes = members.map(|(name, value)| {
                LONGEST_ESCAPE * name.len() + BYTES_PER_VALUE + most_bytes(value)
            });
            bytes.sum::<usize>() + BYTES_PER_VALUE
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => BYTES_PER_VALUE,
    }
}

fn shown(value: &Value) -> String {
    if let Value::String(text) = value
        && SHOWN_CHARS < text.len()
    {
        let begin: String = text.chars().take(SHOWN_CHARS).collect();
        return format!("{}… ({} bytes)", Value::from(begin), text.len());
    }
    let text = value.to_string();
    match text.char_indices().nth(SHOWN_CHARS) {
        None => text,
        Some(_) => text.chars().take(SHOWN_CHARS).chain("…".chars()).collect(),
    }
}

#[cfg(test)]
mod tests;

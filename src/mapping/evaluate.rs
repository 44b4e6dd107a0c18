//! A raw item in, entities out: the part of the mapping that runs for every item.

use jq18::Input;
use serde_json::{Map, Value};

use super::expression::{NoValue, Operand, evaluate_noting};
use super::items::NoItems;
use super::resource::{EntityMapping, Resource};
use crate::entity::{Entity, Identifier, identifier_of};

/// What a resource made of one raw item.
#[derive(Debug, Default)]
pub struct Mapped {
    pub entities: Vec<MappedEntity>,
    /// Items (or parts of one) that stand for no entity that Port would take.
    pub dropped: Vec<Dropped>,
    /// Items of which it cannot be said what they stand for.
    pub failures: Vec<Unmapped>,
    /// Items that the query turned away.
    pub filtered_out: usize,
    /// Entities that have no identifier, or none that Port takes; each is dropped or has failed.
    pub unidentified: usize,
    /// Expressions that gave null.
    pub nulls: Vec<Null>,
}

/// An entity, and whether the query selects it.
#[derive(Debug)]
pub struct MappedEntity {
    pub entity: Entity,
    /// Which of the resource's entity mappings has made it; `None`: an expression that gives the whole entity.
    pub mapping: Option<usize>,
    /// An entity that is not selected has its key and nothing else, so that it can be removed.
    pub selected: bool,
}

/// Left out on purpose.
#[derive(Debug)]
pub struct Dropped {
    /// Below the resource: `port.entity.mappings.identifier`.
    pub path: String,
    /// What the expression does, without the item's data: `gives null`.
    pub reason: &'static str,
    /// The value, shortened.
    pub value: String,
}

/// Could not be mapped.
#[derive(Debug)]
pub struct Unmapped {
    /// Below the resource: `selector.query`.
    pub path: String,
    pub reason: String,
}

/// Null where a value was asked for.
#[derive(Debug)]
pub struct Null {
    /// Below the resource: `port.entity.mappings.properties.url`.
    pub path: String,
    /// Why, when the expression failed rather than found nothing. Empty for one that does not compile, which was
    /// reported when the mapping was read.
    pub error: Option<String>,
}

pub(super) const NO_BLUEPRINT: &str =
    "gives no name of a blueprint; write it in two kinds of quotes, '\"service\"'";

const NO_IDENTIFIER: &str =
    "gives no identifier; take another field, or turn such items away with selector.query";

const EMPTY_IDENTIFIER: &str =
    "gives an empty identifier; take another field, or turn such items away with selector.query";

impl Resource {
    /// Maps one raw item.
    pub fn map(&self, raw: &Value) -> Mapped {
        self.map_input(&Input::new(raw))
    }

    /// Maps one raw item that other resources share, so that it is converted for jq at most once.
    pub fn map_input(&self, raw: &Input<'_>) -> Mapped {
        let mut mapped = Mapped::default();
        let Some(items) = &self.items else {
            self.map_item(raw, &mut mapped);
            return mapped;
        };
        const PATH: &str = "port.itemsToParse";
        match items.expand(raw) {
            Ok(items) => items
                .iter()
                .for_each(|item| self.map_item(&Input::new(item), &mut mapped)),
            Err(NoItems::NoList(reason)) => {
                mapped.dropped.push(Dropped {
                    path: PATH.to_owned(),
                    reason,
                    value: String::new(),
                });
            }
            Err(NoItems::Failed(reason)) => mapped.failures.push(Unmapped::new(PATH, reason)),
        }
        mapped
    }

    fn map_item(&self, item: &Input<'_>, mapped: &mut Mapped) {
        const PATH: &str = "selector.query";
        let selected = match self.query.evaluate(item) {
            Ok(Value::Bool(selected)) => selected,
            Ok(other) => {
                let reason = NoValue::Failed(format!(
                    "must be true or false, but gives {}",
                    shown(&other)
                ));
                return mapped.failures.push(Unmapped::new(PATH, reason));
            }
            Err(reason) => return mapped.failures.push(Unmapped::new(PATH, reason)),
        };
        if !selected {
            mapped.filtered_out += 1;
        }
        for whole in &self.whole {
            // As below: nothing is reported of items that nobody asked for.
            let mut unnoticed = Mapped::default();
            let noticed = if selected {
                &mut *mapped
            } else {
                &mut unnoticed
            };
            if let Some(entity) = whole.entity(item, noticed) {
                mapped.entities.push(MappedEntity {
                    entity,
                    mapping: None,
                    selected,
                });
            }
        }
        for (position, entity) in self.entities.iter().enumerate() {
            let mapping = Some(position);
            if selected {
                let made = entity.map(item, mapped);
                mapped.entities.extend(made.map(|entity| MappedEntity {
                    entity,
                    mapping,
                    selected,
                }));
            } else {
                // Nothing is reported of items that nobody asked for.
                let mut unnoticed = Mapped::default();
                if let Some(entity) = entity.key(item, &mut unnoticed) {
                    mapped.entities.push(MappedEntity {
                        entity,
                        mapping,
                        selected,
                    });
                }
            }
        }
    }
}

impl EntityMapping {
    fn map(&self, item: &Input<'_>, mapped: &mut Mapped) -> Option<Entity> {
        let key = self.key(item, mapped)?;
        let mut note = |path: String, error: Option<NoValue>| {
            let error = error.map(why_null);
            mapped.nulls.push(Null {
                path: self.path_of(&path),
                error,
            });
        };
        let title = self
            .title
            .as_ref()
            .map(|title| evaluate_noting(title, "title", item, &mut note));
        let icon = self
            .icon
            .as_ref()
            .map(|icon| evaluate_noting(icon, "icon", item, &mut note));
        let team = self
            .team
            .as_ref()
            .map(|team| team.evaluate("team", item, &mut note));
        let properties = self.properties.as_ref().map(|fields| {
            let evaluated = fields.iter().map(|field| {
                (
                    field.name.clone(),
                    evaluate_noting(&field.value, &field.path, item, &mut note),
                )
            });
            evaluated.collect::<Map<String, Value>>()
        });
        let relations = self.relations.as_ref().map(|fields| {
            let evaluated = fields.iter().map(|field| {
                (
                    field.name.clone(),
                    field.value.evaluate(&field.path, item, &mut note),
                )
            });
            evaluated.collect::<Map<String, Value>>()
        });
        Some(Entity {
            title,
            icon,
            team,
            properties,
            relations,
            ..key
        })
    }

    /// The entity with its key and nothing else.
    fn key(&self, item: &Input<'_>, mapped: &mut Mapped) -> Option<Entity> {
        let identifier = self.identifier(item, mapped)?;
        let blueprint = match self.blueprint.evaluate(item) {
            Ok(Value::String(blueprint)) if !blueprint.is_empty() => blueprint,
            Ok(other) => {
                return self.leave_out(mapped, "blueprint", NO_BLUEPRINT, &other);
            }
            Err(reason) => return self.fail(mapped, "blueprint", reason),
        };
        Some(Entity {
            blueprint,
            identifier,
            title: None,
            icon: None,
            team: None,
            properties: None,
            relations: None,
        })
    }

    fn identifier(&self, item: &Input<'_>, mapped: &mut Mapped) -> Option<Identifier> {
        const FIELD: &str = "identifier";
        let expression = match &self.identifier {
            Operand::Expression(expression) => expression,
            search @ Operand::Search(_) => {
                let mut nulls = Vec::new();
                let query = search.evaluate(FIELD, item, &mut |path, error| {
                    let error = error.map(why_null);
                    nulls.push(Null {
                        path: self.path_of(&path),
                        error,
                    });
                });
                mapped.nulls.append(&mut nulls);
                return Some(Identifier::Search(query));
            }
        };
        match expression.evaluate(item) {
            Ok(value) => match usable_identifier(&value) {
                Ok(identifier) => Some(identifier),
                Err(reason) => {
                    mapped.unidentified += 1;
                    self.leave_out(mapped, FIELD, reason, &value)
                }
            },
            Err(reason) => {
                mapped.unidentified += 1;
                self.fail(mapped, FIELD, reason)
            }
        }
    }

    fn leave_out<T>(
        &self,
        mapped: &mut Mapped,
        field: &str,
        reason: &'static str,
        value: &Value,
    ) -> Option<T> {
        mapped.dropped.push(Dropped {
            path: self.path_of(field),
            reason,
            value: shown(value),
        });
        None
    }

    fn fail<T>(&self, mapped: &mut Mapped, field: &str, reason: NoValue) -> Option<T> {
        mapped
            .failures
            .push(Unmapped::new(self.path_of(field), reason));
        None
    }
}

fn why_null(reason: NoValue) -> String {
    match reason {
        NoValue::Broken => String::new(),
        reason => reason.to_string(),
    }
}

impl Unmapped {
    pub(super) fn new(path: impl Into<String>, reason: NoValue) -> Unmapped {
        Unmapped {
            path: path.into(),
            reason: reason.to_string(),
        }
    }
}

impl std::fmt::Display for NoValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            NoValue::Broken => f.write_str("does not compile"),
            NoValue::Failed(message) | NoValue::RanAway(message) => f.write_str(message),
        }
    }
}

/// The identifier, unless Port would refuse it; then why. As in Ocean, 0 is as good as nothing.
pub(super) fn usable_identifier(value: &Value) -> Result<Identifier, &'static str> {
    match value {
        Value::Null | Value::Bool(false) => Err(NO_IDENTIFIER),
        Value::Number(number) if number.as_f64() == Some(0.0) => Err(NO_IDENTIFIER),
        Value::String(text) if text.is_empty() => Err(EMPTY_IDENTIFIER),
        value => identifier_of(value).map(Identifier::Text).ok_or(match value {
            Value::String(_) => {
                "gives an identifier that Port refuses: letters, digits and @_.+:\\/=-' are allowed, at most 1000; \
                 replace the others with gsub"
            }
            _ => "gives no text, which Port refuses; make it one, such as with tostring",
        }),
    }
}

/// JSON text of at most 60 characters.
pub(super) fn shown(value: &Value) -> String {
    super::read::excerpt(&value.to_string())
}

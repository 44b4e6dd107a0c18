//! `mappings` given as one expression: its output is the entity, with the keys that it has and no others.
//!
//! That is how a file in the repository can say what its entity is (`port.yml`): a key that is left out keeps its value
//! in Port, null clears it. A mapping of single fields cannot leave any out.

use jq18::Input;
use serde_json::{Map, Value};

use super::evaluate::{Dropped, Mapped, NO_BLUEPRINT, Unmapped, shown, usable_identifier};
use super::expression::Expression;
use super::read::{ConfigNode, Reader};
use crate::entity::{Entity, Identifier};

pub(super) struct WholeMapping {
    /// Below the resource.
    pub(super) path: String,
    pub(super) expression: Expression,
}

impl WholeMapping {
    pub(super) fn read(reader: &mut Reader, node: &ConfigNode<'_>) -> Option<WholeMapping> {
        let below = node.path.split_once('.').map_or("", |(_, below)| below);
        Some(WholeMapping {
            path: below.to_owned(),
            expression: reader.expression(node)?,
        })
    }

    /// The entity of `item`; what keeps it from being one is noted in `mapped`.
    pub(super) fn entity(&self, item: &Input<'_>, mapped: &mut Mapped) -> Option<Entity> {
        let mut entity = match self.expression.evaluate(item) {
            Ok(Value::Object(entity)) => entity,
            Ok(other) => {
                return self.leave_out(
                    mapped,
                    "",
                    "gives no map, as an entity is; give {identifier: .., blueprint: ..}",
                    &other,
                );
            }
            Err(reason) => {
                mapped.failures.push(Unmapped::new(&self.path, reason));
                return None;
            }
        };
        let mut take = |key: &str| entity.remove(key);
        let identifier = match take("identifier").unwrap_or_default() {
            query @ Value::Object(_) => Identifier::Search(query),
            value => match usable_identifier(&value) {
                Ok(identifier) => identifier,
                Err(reason) => {
                    mapped.unidentified += 1;
                    return self.leave_out(mapped, "identifier", reason, &value);
                }
            },
        };
        let blueprint = match take("blueprint").unwrap_or_default() {
            Value::String(blueprint) if !blueprint.is_empty() => blueprint,
            other => {
                return self.leave_out(mapped, "blueprint", NO_BLUEPRINT, &other);
            }
        };
        let (title, icon, team) = (take("title"), take("icon"), take("team"));
        let mut fields: [Option<Map<String, Value>>; 2] = [None, None];
        for (field, key) in fields.iter_mut().zip(["properties", "relations"]) {
            match take(key) {
                None | Some(Value::Null) => {}
                Some(Value::Object(values)) => *field = Some(values),
                Some(other) => {
                    return self.leave_out(
                        mapped,
                        key,
                        "is no map; give one such as {name: .name}",
                        &other,
                    );
                }
            }
        }
        let [properties, relations] = fields;
        Some(Entity {
            blueprint,
            identifier,
            title,
            icon,
            team,
            properties,
            relations,
        })
    }

    fn leave_out(
        &self,
        mapped: &mut Mapped,
        key: &str,
        reason: &'static str,
        value: &Value,
    ) -> Option<Entity> {
        let path = match key {
            "" => self.path.clone(),
            key => format!("{}.{key}", self.path),
        };
        mapped.dropped.push(Dropped {
            path,
            reason,
            value: shown(value),
        });
        None
    }
}

//! Where the mapping leads from what it makes to another entity.
//!
//! Pure.

use ferry::entity::EntityKey;
use ferry::sync::blueprints::Blueprints;
use ferry::sync::image::Image;
use serde_json::Value;

/// The place of the first relation in `image` that leads to `key`: `resources[2].port.entity.mappings.relations.owner`.
pub(crate) fn place_of(image: &Image, blueprints: &Blueprints, key: &EntityKey) -> Option<String> {
    let made = image.made.iter();
    let all = made.flat_map(|made| made.entities.iter().map(move |entity| (made, entity)));
    for (made, entity) in all {
        for (relation, value) in entity.relations.iter().flatten() {
            let target = blueprints.target(&entity.blueprint, relation);
            let leads_to = |value: &Value| value.as_str() == Some(key.identifier.as_str());
            let is_named = match value {
                Value::Array(values) => values.iter().any(leads_to),
                value => leads_to(value),
            };
            if is_named && target == Some(key.blueprint.as_str()) {
                let field = format!("relations.{relation}");
                return Some(made.resource.place_of(&entity.blueprint, &field));
            }
        }
    }
    None
}

//! The mappings that a user may save midway: the one the world began with, and three that differ from it in one thing.

use ferry::mapping::defaults;
use serde_json::{Value, json};

use crate::support::World;

pub(super) const VARIANTS: usize = 4;

const QUERY: &str = "state = \"OPEN\" OR state = \"DECLINED\"";

/// The mapping in Port, or the one that the first run will install.
pub(super) fn of(world: &World) -> Value {
    let integration = world.port.integration();
    let config = integration.map(|integration| integration["config"].clone());
    config.unwrap_or_else(defaults::mapping)
}

/// Adds entities that never change to what the world's mapping makes: a threshold that is a share of all would forbid
/// what a user's change of a small catalogue takes away.
pub(super) fn add_ballast(world: &World) {
    let blueprint = json!({"identifier": "ballast", "title": "Ballast", "schema": {"properties": {}}, "relations": {}});
    world.port.put_blueprint(&blueprint).unwrap();
    let mut mapping = of(world);
    let resources = mapping["resources"].as_array_mut().unwrap();
    let ballast = json!({
        "kind": "workspace", "selector": {"query": "true"},
        "port": {"itemsToParse": ".slug | [range(150)]", "itemsToParseName": "number", "entity": {"mappings": {
            "identifier": "\"ballast-\" + (.number | tostring)", "blueprint": "\"ballast\"",
        }}},
    });
    resources.insert(0, ballast);
    world.port.set_now(world.clock.now());
    world.port.set_config(mapping);
}

/// In words, and as Port keeps it.
pub(super) fn variant(base: &Value, number: usize) -> (&'static str, Value) {
    let mut mapping = base.clone();
    let resources = mapping["resources"].as_array_mut().unwrap();
    let name = match number % VARIANTS {
        0 => "the first one",
        1 => {
            for resource in resources.iter_mut() {
                let entity = &mut resource["port"]["entity"]["mappings"];
                if entity["identifier"] == ".slug" {
                    entity["identifier"] = json!(renamed(".slug"));
                }
                let relation = entity.pointer_mut("/relations/repository");
                if let Some(Value::String(target)) = relation {
                    *target = renamed(target);
                }
            }
            "repositories have other identifiers"
        }
        2 => {
            // Nothing leads to what these make: of a target the first resync of another catalogue knows the name only.
            resources.pop();
            resources.retain(|resource| resource["kind"] != "tag");
            "tags and the last resource are gone"
        }
        _ => {
            let is_one = |resource: &&mut Value| resource["kind"] == "pull-request";
            for resource in resources.iter_mut().filter(is_one) {
                resource["selector"]["pullRequestQuery"] = json!(QUERY);
            }
            "pull requests have another query"
        }
    };
    (name, mapping)
}

fn renamed(identifier: &str) -> String {
    format!("\"other-\" + ({identifier})")
}

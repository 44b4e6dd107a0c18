//! Where in a mapping something is said, for whoever has found something wrong with what came of it.
//!
//! Pure. A place is a path such as `resources[0].port.entity.mappings.properties.size`; its line is the file's business.

use serde_json::Value;

use super::resource::{EntityMapping, Resource};

impl Resource {
    /// Where `field` (`properties.size`; `relations.owners[]` for an element) of entities of `blueprint` is mapped; what
    /// would have it, where nothing does.
    pub fn place_of(&self, blueprint: &str, field: &str) -> String {
        let field = field.trim_end_matches("[]");
        let makes = |entity: &&EntityMapping| {
            let constant = entity.blueprint.constant().and_then(Value::as_str);
            constant.is_none_or(|constant| constant == blueprint)
        };
        let entities = self.entities.iter().filter(makes);
        let mapped = entities.clone().find(|entity| entity.maps(field));
        let (whole, any) = (self.whole.first(), entities.clone().next());
        match (mapped, whole, any) {
            (Some(entity), ..) => format!("{}.{field}", entity.path),
            (None, Some(whole), _) => format!("resources[{}].{}", self.index, whole.path),
            (None, None, Some(entity)) => entity.path.clone(),
            (None, None, None) => format!("resources[{}]", self.index),
        }
    }
}

impl EntityMapping {
    /// `field` below the resource.
    pub(super) fn path_of(&self, field: &str) -> String {
        // The mapping's path begins with the resource's: `resources[0].port..`
        let below = self.path.split_once('.').map_or("", |(_, below)| below);
        format!("{below}.{field}")
    }

    /// Whether an expression stands for `field`.
    fn maps(&self, field: &str) -> bool {
        let mut maps = false;
        self.each(&mut |path, _| {
            let below = path.strip_prefix(field);
            maps |= below.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        });
        maps
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Mapping;

    #[test]
    fn what_came_of_a_mapping_is_traced_to_its_place() {
        let entity = |blueprint: &str| {
            json!({"identifier": ".slug", "blueprint": blueprint, "properties": {"a": ".a"}, "relations": {
                "b": {"combinator": "'and'", "rules": []},
            }})
        };
        let resource = |mappings| json!({"kind": "repository", "selector": {"query": "true"}, "port": {"entity": {"mappings": mappings}}});
        let config = json!({"resources": [
            resource(json!([entity("'one'"), entity("'two'")])),
            resource(json!(".content")),
            resource(entity(".kind")),
        ]});
        let mapping = Mapping::from_config(&config).unwrap();
        for (index, blueprint, field, place) in [
            (
                0,
                "two",
                "properties.a",
                "resources[0].port.entity.mappings[1].properties.a",
            ),
            (
                0,
                "one",
                "relations.b[]",
                "resources[0].port.entity.mappings[0].relations.b",
            ),
            (
                0,
                "two",
                "properties.c",
                "resources[0].port.entity.mappings[1]",
            ),
            (0, "three", "properties.a", "resources[0]"),
            (1, "one", "title", "resources[1].port.entity.mappings"),
            (
                2,
                "one",
                "identifier",
                "resources[2].port.entity.mappings.identifier",
            ),
        ] {
            assert_eq!(mapping.resources()[index].place_of(blueprint, field), place);
        }
    }
}

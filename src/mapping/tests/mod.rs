//! The mapping against recorded answers of Ocean, where Ferry agrees and where it differs on purpose.

mod expressions;
mod golden;
mod mistakes;
mod properties;
mod selectors;

use serde_json::{Map, Value, json};

use super::*;
use crate::entity::{Entity, Identifier};

fn fixture(name: &str) -> String {
    let path = format!(
        "{}/tests/fixtures/vectors/{name}",
        env!("CARGO_MANIFEST_DIR")
    );
    std::fs::read_to_string(path).unwrap()
}

fn json_fixture(name: &str) -> Value {
    serde_json::from_str(&fixture(name)).unwrap()
}

fn wire(entity: &Entity) -> Value {
    let mut body = Map::new();
    let identifier = match &entity.identifier {
        Identifier::Text(text) => Value::from(text.as_str()),
        Identifier::Search(query) => query.clone(),
    };
    body.insert("identifier".to_owned(), identifier);
    let optional = [
        ("icon", &entity.icon),
        ("team", &entity.team),
        ("title", &entity.title),
    ];
    for (key, value) in optional {
        body.extend(value.iter().map(|value| (key.to_owned(), value.clone())));
    }
    body.insert(
        "blueprint".to_owned(),
        Value::from(entity.blueprint.as_str()),
    );
    for (key, fields) in [
        ("properties", &entity.properties),
        ("relations", &entity.relations),
    ] {
        body.extend(
            fields
                .iter()
                .map(|fields| (key.to_owned(), Value::Object(fields.clone()))),
        );
    }
    Value::Object(body)
}

#[test]
fn a_list_of_mappings_gives_several_entities() {
    let mapping = |blueprint: &str| json!({"identifier": ".slug", "blueprint": blueprint});
    let config = json!({"resources": [{
        "kind": "repository",
        "selector": {"query": "true"},
        "port": {"entity": {"mappings": [mapping("'a'"), mapping("'b'")]}},
    }]});
    let mapping = Mapping::from_config(&config).unwrap();
    let mapped = mapping.resources()[0].map(&json!({"slug": "x"}));
    let keys: Vec<String> = mapped
        .entities
        .iter()
        .filter_map(|mapped| mapped.entity.key())
        .map(|key| key.to_string())
        .collect();
    assert_eq!(keys, ["a/x", "b/x"]);
    assert_eq!(mapping.resources()[0].constant_blueprint(), None);
}

#[test]
fn one_expression_may_give_the_whole_entity() {
    let config = json!({"resources": [{
        "kind": "file",
        "selector": {"query": "true", "files": {"filenames": ["port.yml"]}},
        "port": {"entity": {"mappings": ".content"}},
    }]});
    let mapping = Mapping::from_config(&config).unwrap();
    let resource = &mapping.resources()[0];
    assert!(resource.writes_anything());
    let entity = json!({
        "identifier": "auth", "blueprint": "service", "title": null, "team": ["a"],
        "properties": {"tier": 1, "lang": null}, "unknown": 1,
    });
    let mapped = resource.map(&json!({"content": entity}));
    // What is not there is not written; null is.
    assert_eq!(
        wire(&mapped.entities[0].entity),
        json!({
            "identifier": "auth", "blueprint": "service", "title": null, "team": ["a"],
            "properties": {"tier": 1, "lang": null},
        })
    );
    let mut report = MappingReport::default();
    for content in [
        json!("text"),
        json!({"blueprint": "service"}),
        json!({"identifier": "a b", "blueprint": "service"}),
        json!({"identifier": "x"}),
        json!({"identifier": "x", "blueprint": "b", "relations": ["y"]}),
    ] {
        let raw = json!({"content": content});
        let mapped = resource.map(&raw);
        assert!(mapped.entities.is_empty(), "{content}");
        report.add(resource, &raw, &mapped);
    }
    let lines: Vec<String> = report.lines().iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    resources[0].port.entity.mappings: gives no map, as an entity is; give {identifier: .., blueprint: ..}: 1 item left out (for example an item without a name: "text")
    resources[0].port.entity.mappings.blueprint: gives no name of a blueprint; write it in two kinds of quotes, '"service"': 1 item left out (for example an item without a name: null)
    resources[0].port.entity.mappings.identifier: gives an identifier that Port refuses: letters, digits and @_.+:\/=-' are allowed, at most 1000; replace the others with gsub: 1 item left out (for example an item without a name: "a b")
    resources[0].port.entity.mappings.identifier: gives no identifier; take another field, or turn such items away with selector.query: 1 item left out (for example an item without a name: null)
    resources[0].port.entity.mappings.relations: is no map; give one such as {name: .name}: 1 item left out (for example an item without a name: ["y"])
    "#);
}

#[test]
fn a_file_stands_for_its_content() {
    let mapping = Mapping::from_yaml(&fixture("mappings/11-file-prefix-deprecated.yml")).unwrap();
    let resource = &mapping.resources()[0];
    assert_eq!(resource.included_files(), ["README.md"]);
    assert!(mapping.problems().is_empty());
    let raw = json!({"slug": "api", "__includedFiles": {"README.md": "# API"}});
    let mapped = resource.map(&raw);
    assert_eq!(
        mapped.entities[0].entity.properties,
        json!({"readme": "# API"}).as_object().cloned()
    );
}

#[test]
fn the_default_mapping_is_sound() {
    let mapping = Mapping::from_config(&defaults::mapping()).unwrap();
    assert_eq!(mapping.problems(), []);
    assert_eq!(*mapping.settings(), MappingSettings::default());
    assert!(!mapping.resources()[2].reads(&["project"]));
    assert!(mapping.resources()[1].reads(&["project"]));
    let blueprints: Vec<_> = mapping
        .resources()
        .iter()
        .map(|resource| resource.constant_blueprint())
        .collect();
    assert_eq!(
        blueprints,
        [
            Some("bitbucketProject"),
            Some("bitbucketRepository"),
            Some("bitbucketPullRequest")
        ]
    );
}

#[test]
fn the_fingerprint_ignores_the_order_of_keys() {
    let fingerprint = |text: &str| Mapping::from_yaml(text).unwrap().fingerprint().to_owned();
    let one = fingerprint("{enableMergeEntity: true, resources: []}");
    assert_eq!(one, fingerprint("{resources: [], enableMergeEntity: true}"));
    assert_ne!(
        one,
        fingerprint("{resources: [], enableMergeEntity: false}")
    );
}

#[test]
fn the_mappings_in_the_documentation_are_sound() {
    let documents = [
        include_str!("../../../docs/kinds.md"),
        include_str!("../../../docs/mapping.md"),
    ];
    let blocks = documents
        .iter()
        .flat_map(|text| text.split("```yaml\n").skip(1));
    let blocks = blocks.filter_map(|rest| rest.split("```").next());
    let mut mappings = 0;
    for block in blocks.filter(|block| block.contains("resources:")) {
        let mapping = Mapping::from_yaml(block).unwrap_or_else(|error| panic!("{error}\n{block}"));
        assert_eq!(mapping.problems(), [], "{block}");
        mappings += 1;
    }
    assert_eq!(mappings, 3);
}

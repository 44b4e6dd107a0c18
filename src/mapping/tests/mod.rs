//! The mapping against recorded answers of Ocean, where Ferry agrees and where it differs on purpose.

mod expressions;
mod properties;

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

/// One line per result, in the terms of the vectors.
fn results(resource: &Resource, raw: &Value) -> Vec<Value> {
    let mapped = resource.map(raw);
    let mut results: Vec<Value> = Vec::new();
    results.extend(
        mapped
            .failures
            .iter()
            .map(|failure| json!({"outcome": "error", "path": failure.path})),
    );
    // An expansion that gives no items is no result of an item.
    let dropped = mapped
        .dropped
        .iter()
        .filter(|dropped| dropped.path != "port.itemsToParse");
    results.extend(dropped.map(|_| json!({"outcome": "dropped"})));
    results.extend((0..mapped.filtered_out).map(|_| json!({"outcome": "filtered"})));
    let selected = mapped.entities.iter().filter(|mapped| mapped.selected);
    results.extend(
        selected.map(|mapped| json!({"outcome": "entity", "entity": wire(&mapped.entity)})),
    );
    results
}

/// Mapping files whose results differ from Ocean's on purpose, with what Ferry makes of them.
const BETTER: &[(&str, &str, &str)] = &[
    // A YAML boolean as query means what it says; in Ocean every item fails.
    ("edge-bool-query.yml", "repository", "entity"),
    ("edge-bool-query.yml", "empty-repository", "entity"),
    // A number is sent as the text that Port would take it for.
    ("edge-number-identifier-literal.yml", "repository", "entity"),
    (
        "edge-number-identifier-literal.yml",
        "empty-repository",
        "entity",
    ),
];

#[test]
fn stored_mappings_give_the_same_entities() {
    let expected = json_fixture("mappings/expected.json");
    let raw = json_fixture("mappings/raw-items.json");
    let mut problems = Vec::new();
    for case in expected["cases"].as_array().unwrap() {
        let text = |key: &str| case[key].as_str().unwrap();
        let (file, item) = (text("mapping"), text("raw"));
        let mapping = Mapping::from_yaml(&fixture(&format!("mappings/{file}"))).unwrap();
        let resource = &mapping.resources()[case["resource"].as_u64().unwrap() as usize];
        let raw = &raw[text("kind")][item];
        assert!(!raw.is_null(), "no raw item {item}");
        let found = results(resource, raw);
        if let Some((.., outcome)) = BETTER
            .iter()
            .find(|better| (better.0, better.1) == (file, item))
        {
            assert!(
                found.iter().all(|result| result["outcome"] == *outcome),
                "{file} on {item}: {found:?}"
            );
            continue;
        }
        let wanted = case["results"].as_array().unwrap();
        let same = found.len() == wanted.len()
            && found.iter().zip(wanted).all(|(found, wanted)| {
                found["outcome"] == wanted["outcome"] && found.get("entity") == wanted.get("entity")
            });
        let mut nulls: Vec<String> = resource
            .map(raw)
            .nulls
            .iter()
            .map(|null| null.path.clone())
            .collect();
        let prefix = "port.entity.mappings.";
        nulls
            .iter_mut()
            .for_each(|path| *path = path.strip_prefix(prefix).unwrap().to_owned());
        nulls.sort();
        let mut wanted_nulls: Vec<&str> = wanted
            .iter()
            .flat_map(|wanted| wanted["null_paths"].as_array().into_iter().flatten())
            .flat_map(Value::as_str)
            .collect();
        wanted_nulls.sort_unstable();
        if !same || nulls != wanted_nulls {
            problems.push(format!(
                "{file} on {item}:\n  found  {found:?} {nulls:?}\n  wanted {wanted:?}"
            ));
        }
    }
    assert!(
        problems.is_empty(),
        "{} differ:\n{}",
        problems.len(),
        problems.join("\n")
    );
}

#[test]
fn golden_mappings_give_the_same_bodies() {
    for case in json_fixture("port-golden.json")["mapping_eval"]
        .as_array()
        .unwrap()
    {
        let source = case["source"].as_str().unwrap();
        let mapping = Mapping::from_config(&json!({"resources": [case["resource"]]})).unwrap();
        let [resource] = mapping.resources() else {
            panic!("one resource")
        };
        let raw = case["raw"].as_array().unwrap();
        for (raw, expected) in raw.iter().zip(case["expected"].as_array().unwrap()) {
            let mapped = resource.map(raw);
            let found = match (mapped.entities.as_slice(), mapped.failures.is_empty()) {
                ([one], true) if one.selected => ("passed", wire(&one.entity)),
                // A live event removes an entity by its key alone.
                ([one], true) => (
                    "failed",
                    json!({"identifier": wire(&one.entity)["identifier"]}),
                ),
                ([], true) => ("dropped", Value::Null),
                _ => ("error", Value::Null),
            };
            let wanted = match (
                expected["outcome"].as_str().unwrap(),
                &expected["wire_body"],
            ) {
                // Whether an item that is not selected has a body depends on who asks, in Ocean.
                ("dropped" | "failed", _) if expected["selector"] == false => {
                    ("failed", json!({"identifier": "payments-api"}))
                }
                // A number is sent as the text that Port would take it for.
                ("passed", body) if body["identifier"].is_number() => {
                    let mut body = body.clone();
                    body["identifier"] = body["identifier"].to_string().into();
                    ("passed", body)
                }
                // What Port would refuse is left out instead of sent.
                ("passed", body)
                    if !body["identifier"].is_object() && !is_valid(&body["identifier"]) =>
                {
                    ("dropped", Value::Null)
                }
                (outcome, body) => (outcome, body.clone()),
            };
            assert_eq!(found, wanted, "{source}");
        }
    }
}

fn is_valid(identifier: &Value) -> bool {
    identifier
        .as_str()
        .is_some_and(crate::entity::is_valid_identifier)
}

#[test]
fn queries_judge_as_in_ocean() {
    for case in json_fixture("port-golden.json")["selector_eval"]
        .as_array()
        .unwrap()
    {
        let resource = json!({
            "kind": "project",
            "selector": {"query": case["query"]},
            "port": {"entity": {"mappings": {"identifier": "\"x\"", "blueprint": "\"b\""}}},
        });
        let mapping = Mapping::from_config(&json!({"resources": [resource]})).unwrap();
        let mapped = mapping.resources()[0].map(&case["input"]);
        let found = mapped
            .failures
            .is_empty()
            .then_some(mapped.filtered_out == 0);
        assert_eq!(found, case["ok"].as_bool(), "{case}");
    }
}

fn refusal(file: &str) -> String {
    match Mapping::from_yaml(&fixture(&format!("mappings/{file}"))) {
        Ok(_) => "accepted".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn refusals_name_the_place_and_the_remedy() {
    let files = [
        "reject-bad-role.yml",
        "reject-list-property.yml",
        "reject-no-blueprint.yml",
        "reject-no-query.yml",
        "reject-no-selector.yml",
        "reject-null-property.yml",
        "reject-threshold-2.yml",
        // Documented, and refused by Ocean; or a kind that Ocean lacks.
        "reject-unknown-kind.yml",
        "reject-files-list.yml",
        "reject-string-repos.yml",
    ];
    let refusals: Vec<String> = files
        .iter()
        .map(|file| format!("{file}: {}", refusal(file)))
        .collect();
    insta::assert_snapshot!(refusals.join("\n"), @r#"
    reject-bad-role.yml: the mapping is not valid: resources[0].selector.userRole (line 7): must be one of member, contributor, admin, owner, not "reader"
    reject-list-property.yml: the mapping is not valid, in 2 places:
      resources[0].port.entity.mappings.properties.l (line 8): must be a jq expression in quotes, not a list
      resources[0].port.entity.mappings.properties.o (line 8): must be a jq expression in quotes, not a map
    reject-no-blueprint.yml: the mapping is not valid: resources[0].port.entity.mappings.blueprint (line 8): is missing: give the blueprint in two kinds of quotes, '"service"'
    reject-no-query.yml: the mapping is not valid: resources[0].selector.query (line 7): is missing: give 'true' to take every item
    reject-no-selector.yml: the mapping is not valid: resources[0].selector (line 6): is missing: give {query: 'true'} to take every item
    reject-null-property.yml: the mapping is not valid: resources[0].port.entity.mappings.properties.z (line 8): must be a jq expression in quotes, not null
    reject-threshold-2.yml: the mapping is not valid: entityDeletionThreshold (line 5): must be a number from 0 to 1, not "2"
    reject-unknown-kind.yml: accepted
    reject-files-list.yml: accepted
    reject-string-repos.yml: accepted
    "#);
}

#[test]
fn all_mistakes_are_told_at_once() {
    let config = json!({
        "entityDeletionThreshold": "most",
        "resources": [
            {"kind": "repo", "selector": {"query": "true"}, "port": {"entity": {"mappings": {"identifier": ".slug"}}}},
            {"kind": "repository", "selector": {"userRole": "boss"}, "port": {"entity": {}}},
            "nonsense",
        ],
    });
    let error = Mapping::from_config(&config).err().unwrap();
    insta::assert_snapshot!(error, @r#"
    the mapping is not valid, in 7 places:
      entityDeletionThreshold: must be a number from 0 to 1, not "most"
      resources[0].kind: "repo" is not known: give one of project, repository, pull-request, folder, file, workspace, user, branch, tag, pipeline, deployment, environment
      resources[0].port.entity.mappings.blueprint: is missing: give the blueprint in two kinds of quotes, '"service"'
      resources[1].selector.query: is missing: give 'true' to take every item
      resources[1].selector.userRole: must be one of member, contributor, admin, owner, not "boss"
      resources[1].port.entity.mappings: is missing: give {entity: {mappings: {identifier: .., blueprint: ..}}}
      resources[2]: must be a map, not text
    "#);
}

#[test]
fn filters_that_do_not_compile_are_told_with_their_path() {
    let config = json!({"resources": [{
        "kind": "repository",
        "selector": {"query": "true"},
        "port": {"entity": {"mappings": {
            "identifier": ".slug",
            "blueprint": "'service'",
            "title": "contains('x')",
            "properties": {"flag": true},
            "relations": {"team": {"combinator": "'and'", "rules": [{"property": "'a'", "operator": "'='", "value": ".[["}]}},
        }}},
    }]});
    let mapping = Mapping::from_config(&config).unwrap();
    let problems: Vec<String> = mapping.problems().iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(problems.join("\n"), @"
    resources[0].port.entity.mappings.title: `contains('x')` does not compile: unexpected `'` at character 10
    resources[0].port.entity.mappings.properties.flag: true without quotes stands for null here: for the constant, write it in quotes, 'true'
    resources[0].port.entity.mappings.relations.team.rules[0].value: `.[[` does not compile: expected a term, found the end at character 4
    ");
}

#[test]
fn problems_of_many_items_are_told_once() {
    let config = json!({"resources": [{
        "kind": "repository",
        "selector": {"query": ".query"},
        "port": {"entity": {"mappings": {
            "identifier": ".id",
            "blueprint": "'service'",
            "properties": {"sum": ".a + 1", "absent": ".nothing"},
        }}},
    }]});
    let mapping = Mapping::from_config(&config).unwrap();
    let resource = &mapping.resources()[0];
    let mut report = MappingReport::default();
    for raw in [
        json!({"query": true, "id": "fine", "a": 1}),
        json!({"query": true, "id": "one", "a": "text", "full_name": "acme/one"}),
        json!({"query": true, "id": "two", "a": "text", "full_name": "acme/two"}),
        json!({"query": true, "id": "not good"}),
        json!({"query": true, "id": true, "full_name": "acme/yes"}),
        json!({"query": true}),
        json!({"query": "yes", "id": "x"}),
        json!({"query": false}),
    ] {
        report.add(resource, &raw, &resource.map(&raw));
    }
    insta::assert_snapshot!(report.lines().join("\n"), @r#"
    resources[0].port.entity.mappings.identifier: gives an identifier that Port refuses: letters, digits and @_.+:\/=-' are allowed, at most 1000; replace the others with gsub: 1 item left out (for example not good: "not good")
    resources[0].port.entity.mappings.identifier: gives no identifier: 1 item left out (for example an item without a name: null)
    resources[0].port.entity.mappings.identifier: gives no text, which Port refuses: 1 item left out (for example acme/yes: true)
    resources[0].port.entity.mappings.properties.sum: fails for 2 items and is null there (for example acme/one: string ("text") and number (1) cannot be added)
    resources[0].selector.query: fails for 1 item, so that it is not known what stands for them (for example x: must be true or false, but gives "yes")
    "#);
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
    insta::assert_snapshot!(report.lines().join("\n"), @r#"
    resources[0].port.entity.mappings: gives no map, as an entity is: 1 item left out (for example an item without a name: "text")
    resources[0].port.entity.mappings.blueprint: gives no name of a blueprint: 1 item left out (for example an item without a name: null)
    resources[0].port.entity.mappings.identifier: gives an identifier that Port refuses: letters, digits and @_.+:\/=-' are allowed, at most 1000; replace the others with gsub: 1 item left out (for example an item without a name: "a b")
    resources[0].port.entity.mappings.identifier: gives no identifier: 1 item left out (for example an item without a name: null)
    resources[0].port.entity.mappings.relations: is no map: 1 item left out (for example an item without a name: ["y"])
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
    assert_eq!(*mapping.settings(), Settings::default());
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

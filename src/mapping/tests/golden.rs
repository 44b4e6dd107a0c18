//! Recorded answers of Ocean: stored mappings, single fields, queries.

use serde_json::{Value, json};

use super::super::*;
use super::{fixture, json_fixture, wire};

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
    // Which of the rules it is was not recorded.
    let rule = regex::Regex::new(r"rules\[\d+\]").unwrap();
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
            .map(|null| rule.replace_all(&null.path, "rules").into_owned())
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

//! What holds for any configuration and any item.

use jq18::{Filter, Input};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::super::*;
use super::wire;

#[test]
fn any_configuration_is_read_or_refused() {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        prop::sample::select(vec![
            ".slug",
            "'a'",
            "true",
            "file://x",
            "repository",
            "pull-request",
            "folder",
            "file"
        ])
        .prop_map(Value::from),
    ];
    let keys = prop::sample::select(vec![
        "resources",
        "kind",
        "selector",
        "query",
        "port",
        "entity",
        "mappings",
        "identifier",
        "blueprint",
        "title",
        "properties",
        "relations",
        "combinator",
        "rules",
        "property",
        "operator",
        "value",
        "files",
        "folders",
        "repos",
        "path",
        "name",
        "itemsToParse",
        "includedFiles",
        "team",
    ]);
    let value = leaf.prop_recursive(8, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((keys.clone(), inner), 0..6).prop_map(|entries| entries
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect()),
        ]
    });
    proptest!(|(config in value.clone(), raw in value)| {
        for config in [config.clone(), json!({"resources": [config]})] {
            match Mapping::from_config(&config) {
                Ok(mapping) => mapping.resources().iter().for_each(|resource| {
                    let mapped = resource.map(&raw);
                    let mut report = MappingReport::default();
                    report.add(resource, &raw, &mapped);
                    report.lines();
                }),
                Err(error) => prop_assert!(!error.problems().is_empty()),
            }
        }
    });
}

/// What the rules of a mapping say, spelled out without regard to speed: each expression compiled and run on its own.
fn reference(config: &Value, raw: &Value) -> Vec<(bool, Value)> {
    let run = |source: &Value| -> Option<Value> {
        let filter = Filter::compile(&quotes::double_quoted(source.as_str()?)).ok()?;
        filter.first(&Input::new(raw)).ok()?
    };
    let selected = match run(&config["selector"]["query"]) {
        Some(Value::Bool(selected)) => selected,
        _ => return Vec::new(),
    };
    let mappings = &config["port"]["entity"]["mappings"];
    let key = (run(&mappings["identifier"]), run(&mappings["blueprint"]));
    let (Some(identifier), Some(Value::String(blueprint))) = key else {
        return Vec::new();
    };
    // Numbers are sent as text, a list of one as its element. In Python, and so in Ocean, 0 is none.
    if identifier.as_f64() == Some(0.0) {
        return Vec::new();
    }
    let element = match identifier.as_array().map(Vec::as_slice) {
        Some([element]) => element.clone(),
        _ => identifier,
    };
    let identifier = match element {
        Value::String(text) => text,
        Value::Number(number) => number.to_string(),
        _ => return Vec::new(),
    };
    if !crate::entity::is_valid_identifier(&identifier) || blueprint.is_empty() {
        return Vec::new();
    }
    let mut body = json!({"identifier": identifier, "blueprint": blueprint});
    if selected {
        body["title"] = run(&mappings["title"]).unwrap_or_default();
        for section in ["properties", "relations"] {
            let fields = mappings[section].as_object().unwrap().iter();
            body[section] = fields
                .map(|(name, source)| (name.clone(), run(source).unwrap_or_default()))
                .collect::<Map<String, Value>>()
                .into();
        }
    }
    vec![(selected, body)]
}

#[test]
fn random_items_map_as_the_rules_say() {
    let expression = || {
        prop::sample::select(vec![
            ".a",
            ".b",
            ".a.b",
            ".c[0]",
            ".a + .b",
            "'x'",
            ".c | length",
            "[.c[]? | tostring]",
            "true",
            ".b == 'x'",
            "'id-' + (.n | tostring)",
            ".a // 'none'",
            "if .n then .a else .b end",
            "null",
            "1 / 0",
            "oops(",
            ".c[]",
            ".b | ascii_downcase",
            ".b | gsub('[^a-z]'; '-')",
            ".b | gsub(\"[^a-z]\"; \"-\")",
            "empty",
        ])
    };
    let scalar = prop_oneof![
        Just(json!(null)),
        Just(json!(true)),
        (-5_i64..5).prop_map(Value::from),
        Just(json!(2.5)),
        "[a-zA-Z ]{0,4}".prop_map(Value::from),
    ];
    let value = scalar.prop_recursive(2, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::vec(
                (prop::sample::select(vec!["a", "b", "c", "n"]), inner),
                0..4
            )
            .prop_map(|entries| entries
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect()),
        ]
    });
    let item = prop::collection::vec(
        (prop::sample::select(vec!["a", "b", "c", "n"]), value),
        0..5,
    )
    .prop_map(|entries| {
        entries
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect::<Value>()
    });
    let fields = || {
        prop::collection::vec(
            (prop::sample::select(vec!["p", "q", "r"]), expression()),
            0..3,
        )
    };
    let parts = (
        expression(),
        expression(),
        expression(),
        expression(),
        fields(),
        fields(),
    );
    proptest!(|((query, identifier, blueprint, title, properties, relations) in parts, item in item)| {
        let section = |fields: &[(&str, &str)]| -> Value {
            fields.iter().map(|(name, source)| ((*name).to_owned(), Value::from(*source))).collect()
        };
        let resource = json!({
            "kind": "repository",
            "selector": {"query": query},
            "port": {"entity": {"mappings": {
                "identifier": identifier, "blueprint": blueprint, "title": title,
                "properties": section(&properties), "relations": section(&relations),
            }}},
        });
        let mapping = Mapping::from_config(&json!({"resources": [&resource]})).unwrap();
        let mapped = mapping.resources()[0].map(&item);
        let found: Vec<(bool, Value)> =
            mapped.entities.iter().map(|mapped| (mapped.selected, wire(&mapped.entity))).collect();
        prop_assert_eq!(found, reference(&resource, &item), "{} on {}", resource, item);
    });
}

//! What is left of entities whose values do not fit, and what is said of them.

use std::collections::BTreeSet;

use serde_json::json;

use super::*;
use crate::port::schema::properties;

fn blueprint() -> Blueprint {
    let relation = |many| Relation {
        target: "b".into(),
        many,
        required: false,
    };
    let definitions = json!({
        "size": {"type": "number"},
        "owners": {"type": "array", "items": {"type": "string", "enum": ["a", "b"]}},
        "anything": {"type": "array"},
        "text": {"type": "string"},
        "more": {"type": "string"},
    });
    Blueprint {
        required: BTreeSet::new(),
        properties: Some(properties(definitions.as_object().unwrap()).collect()),
        relations: [
            ("one".into(), relation(false)),
            ("many".into(), relation(true)),
        ]
        .into(),
        inherits_team: false,
    }
}

fn entity(fields: &Value) -> Entity {
    let map = |name: &str| fields.get(name).and_then(Value::as_object).cloned();
    Entity {
        blueprint: "service".into(),
        identifier: Identifier::Text("x".into()),
        title: fields.get("title").cloned(),
        icon: fields.get("icon").cloned(),
        team: fields.get("team").cloned(),
        properties: map("properties"),
        relations: map("relations"),
    }
}

/// What is left of `fields`, and what was left out.
fn fitted(fields: &Value, blueprint: Option<&Blueprint>) -> (Value, Vec<String>) {
    let mut entity = entity(fields);
    let found = fit(&mut entity, blueprint);
    let found = found
        .iter()
        .map(|it| format!("{}: {}", it.field, it.misfit));
    let mut left = Map::new();
    let fields = [
        ("title", entity.title),
        ("icon", entity.icon),
        ("team", entity.team),
        ("properties", entity.properties.map(Value::Object)),
        ("relations", entity.relations.map(Value::Object)),
    ];
    left.extend(
        fields
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?))),
    );
    (Value::Object(left), found.collect())
}

#[test]
fn each_property_is_judged_on_its_own() {
    let blueprint = blueprint();
    for (given, left, found) in [
        (json!({"size": 1}), json!({"size": 1}), vec![]),
        (json!({"size": null}), json!({"size": null}), vec![]),
        (
            json!({"size": "1"}),
            json!({"size": null}),
            vec!["properties.size: not of the type number"],
        ),
        (
            json!({"other": null}),
            json!({}),
            vec!["properties.other: the blueprint has no such property"],
        ),
        (
            json!({"anything": [null, 1]}),
            json!({"anything": [null, 1]}),
            vec![],
        ),
        (
            json!({"owners": [null, "a", "c", 1]}),
            json!({"owners": ["a"]}),
            vec![
                "properties.owners[]: null in a list",
                "properties.owners[]: none of the values that the blueprint lists",
                "properties.owners[]: not of the type string",
            ],
        ),
    ] {
        let (entity, told) = fitted(&json!({ "properties": given }), Some(&blueprint));
        assert_eq!(
            (&entity["properties"], told),
            (&left, found.iter().map(|it| (*it).to_owned()).collect())
        );
    }
}

#[test]
fn each_relation_is_judged_on_its_own() {
    const IDENTIFIER: &str =
        "no identifier that Port takes: letters, digits and @_.+:\\/=-' are allowed, at most 1000";
    let blueprint = blueprint();
    let query = json!({"combinator": "and", "rules": []});
    for (given, left, found) in [
        (json!({"one": "a"}), json!({"one": "a"}), vec![]),
        (
            json!({"one": null, "many": []}),
            json!({"one": null, "many": []}),
            vec![],
        ),
        (
            json!({"one": query, "many": query}),
            json!({"one": query, "many": query}),
            vec![],
        ),
        (
            json!({"one": 12, "many": [12]}),
            json!({"one": "12", "many": ["12"]}),
            vec![],
        ),
        (
            json!({"one": ["a"], "many": "a"}),
            json!({"one": "a", "many": ["a"]}),
            vec![],
        ),
        (json!({"one": []}), json!({"one": null}), vec![]),
        (
            json!({"one": ["a", "b"]}),
            json!({"one": null}),
            vec!["relations.one: several entities, where the blueprint allows one".to_owned()],
        ),
        (
            json!({"one": "a b"}),
            json!({"one": null}),
            vec![format!("relations.one: {IDENTIFIER}")],
        ),
        (
            json!({"one": {"a": 1}}),
            json!({"one": null}),
            vec![format!("relations.one: {IDENTIFIER}")],
        ),
        (
            json!({"many": ["a", "", null, "b"]}),
            json!({"many": ["a", "b"]}),
            vec![
                format!("relations.many[]: {IDENTIFIER}"),
                "relations.many[]: null in a list".into(),
            ],
        ),
        (
            json!({"other": "a"}),
            json!({}),
            vec!["relations.other: the blueprint has no such relation".into()],
        ),
    ] {
        let (entity, told) = fitted(&json!({ "relations": given }), Some(&blueprint));
        assert_eq!((&entity["relations"], told), (&left, found), "{given}");
    }
}

#[test]
fn titles_icons_and_teams_have_the_shapes_that_port_takes() {
    let query = json!({"combinator": "and", "rules": []});
    let mut inheriting = blueprint();
    inheriting.inherits_team = true;
    for (given, left) in [
        (
            json!({"title": 7, "icon": 7, "team": 7}),
            json!({"title": "7", "icon": null, "team": null}),
        ),
        (
            json!({"title": ["a"], "team": ["a", null, 7]}),
            json!({"title": null, "team": ["a"]}),
        ),
        (
            json!({"title": "t", "icon": null, "team": query}),
            json!({"title": "t", "icon": null, "team": query}),
        ),
    ] {
        assert_eq!(fitted(&given, Some(&blueprint())).0, left, "{given}");
        assert_eq!(fitted(&given, None).0, left, "{given}");
        assert_eq!(
            fitted(&given, Some(&inheriting)).0.get("team"),
            None,
            "{given}"
        );
    }
}

#[test]
fn without_a_blueprint_only_the_request_schema_is_known() {
    let given = json!({"properties": {"size": "1", "other": null}, "relations": {"one": ["a"], "else": "a b"}});
    let (entity, told) = fitted(&given, None);
    assert_eq!(entity["properties"], given["properties"]);
    assert_eq!(entity["relations"], json!({"one": ["a"], "else": null}));
    assert_eq!(told.len(), 1);
}

#[test]
fn of_what_is_too_large_the_longest_is_left_out() {
    let (long, longer) = ("a".repeat(600_000), "\u{1}".repeat(150_000));
    let given = json!({"title": "t", "properties": {"text": long, "more": longer, "size": 1}});
    let (entity, told) = fitted(&given, Some(&blueprint()));
    assert_eq!(
        told,
        ["properties.more: with it the entity is larger than the 1 MiB that Port takes"]
    );
    assert_eq!(entity["properties"]["text"], long);
    let fine = json!({"properties": {"text": "a".repeat(1_000_000)}});
    assert_eq!(fitted(&fine, Some(&blueprint())).1, Vec::<String>::new());
    let mut all = entity_of_large_parts();
    let found = fit(&mut all, None);
    assert!(!batch::is_too_large(&all));
    assert_eq!(found.len(), 2);
}

fn entity_of_large_parts() -> Entity {
    let long = "a".repeat(700_000);
    entity(
        &json!({"title": long, "relations": {"one": vec!["b"; 200_000]}, "properties": {"text": long}}),
    )
}

#[test]
fn what_is_written_fits() {
    use proptest::prelude::*;
    let blueprint = blueprint();
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-c ]{0,3}".prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            proptest::collection::btree_map("[a-c]", inner, 0..3)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    });
    let names = ["size", "owners", "anything", "text", "other"];
    let fields = proptest::collection::vec(value, names.len() + 6);
    proptest!(|(values in fields)| {
        let properties: Map<String, Value> =
            names.iter().zip(&values).map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let [title, icon, team, one, many, other] = values[names.len()..].to_vec().try_into().unwrap();
        let given = json!({"title": title, "icon": icon, "team": team, "properties": properties,
            "relations": {"one": one, "many": many, "other": other}});
        let mut once = entity(&given);
        fit(&mut once, Some(&blueprint));
        let mut twice = once.clone();
        prop_assert!(fits(&twice, Some(&blueprint)));
        prop_assert_eq!(fit(&mut twice, Some(&blueprint)), vec![]);
        prop_assert_eq!(once, twice);
    });
}

//! Entities and relations that Port finds by search queries: whom a preview names, and what it says of none and of several.

use std::collections::BTreeSet;

use ferry::resync::RefusalCost;
use serde_json::{Value, json};

use super::{begin, compare, look, made_up::MadeUp, run};
use crate::support::IDENTIFIER;

/// Finds what has `property` of this value.
fn query(property: &str, value: &str) -> Value {
    json!({"combinator": "\"and\"", "rules": [
        {"property": format!("\"{property}\""), "operator": "\"=\"", "value": value},
    ]})
}

#[tokio::test]
async fn what_search_queries_find_is_named() {
    let world = begin(&MadeUp::nothing()).await;
    let blueprint = |identifier: &str, relations: Value| {
        json!({
            "identifier": identifier, "title": "Any", "relations": relations,
            "schema": {"properties": {"slug": {"type": "string"}, "url": {"type": "string"}}},
        })
    };
    let leads = json!({"service": {"title": "Service", "target": "service", "many": false, "required": false}});
    for blueprint in [blueprint("service", json!({})), blueprint("pull", leads)] {
        world.port.put_blueprint(&blueprint).unwrap();
    }
    for (identifier, slug) in [("one", "api"), ("two", "web-shop"), ("three", "web-shop")] {
        let entity = json!({"identifier": identifier, "properties": {"slug": slug}});
        world
            .port
            .put_entity("service", &entity, "somebody")
            .unwrap();
    }
    let mapping = json!({"createMissingRelatedEntities": true, "resources": [
        {"kind": "repository", "selector": {"query": "true"}, "port": {"entity": {"mappings": {
            "identifier": query("slug", ".slug"), "blueprint": "\"service\"",
            "properties": {"url": ".links.html.href"}}}}},
        {"kind": "pull-request", "selector": {"query": "true"}, "port": {"entity": {"mappings": {
            "identifier": ".destination.repository.name + (.id | tostring)", "blueprint": "\"pull\"",
            "relations": {"service": query("slug", ".destination.repository.name")}}}}},
    ]});
    world.port.install(IDENTIFIER, mapping);
    let before = world.port.catalogue();
    let found = look(&world).await;
    assert!(
        found.unknown.iter().all(|line| !line.contains("quer")),
        "{:?}",
        found.unknown
    );
    world.port.take_refused();
    run(&world).await.unwrap();
    let verdict = compare(&found, &before, &world.port.catalogue());
    verdict.unwrap_or_else(|wrong| panic!("{wrong}"));
    let changed: Vec<String> = found
        .changed
        .iter()
        .map(|change| change.key.to_string())
        .collect();
    assert_eq!(changed, ["service/one"]);
    let refusals = found.refused.iter();
    let refusals: BTreeSet<String> = refusals
        .filter(|refusal| refusal.costs == RefusalCost::Entity)
        .map(|it| format!("{} {}: {}, {}", it.blueprint, it.field, it.reason, it.count))
        .collect();
    let expected = [
        "pull relations.service: its search query finds no entity, 1",
        "service identifier: its search query finds no entity, 1",
        "service identifier: its search query finds several entities, 1",
    ];
    assert_eq!(refusals, expected.map(str::to_owned).into());
    assert_eq!(world.port.take_refused().len(), 3);
    world.finish();
}

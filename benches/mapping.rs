//! From the bytes of a pull request to its entity, on one core: `cargo bench --bench mapping`.

use divan::Bencher;
use divan::counter::ItemsCount;
use ferry::mapping::{Mapping, Resource, defaults};
use serde_json::{Value, json};

/// A pull request as Bitbucket's API shows it, about 5 KB without blanks.
const PULL_REQUEST: &str = include_str!("../tests/fixtures/payloads/pull-request.json");

fn main() {
    divan::main();
}

fn bytes() -> Vec<u8> {
    let raw: Value = serde_json::from_str(PULL_REQUEST).unwrap_or_default();
    raw.to_string().into_bytes()
}

/// 30 properties, with regular expressions, dates and lists.
fn heavy() -> Mapping {
    let mut properties = serde_json::Map::new();
    for index in 0..5 {
        for (name, expression) in [
            (
                "slug",
                ".destination.repository.full_name | split(\"/\") | last",
            ),
            (
                "ticket",
                ".title | capture(\"(?<key>[A-Z]+-[0-9]+)\") | .key",
            ),
            (
                "age",
                "((.updated_on | .[0:19] + \"Z\" | fromdateiso8601) - (.created_on | .[0:19] + \"Z\" | fromdateiso8601)) / 86400",
            ),
            (
                "approvers",
                "[.participants[] | select(.approved) | .user.display_name]",
            ),
            ("safe", ".title | gsub(\"[^A-Za-z0-9@_.+:/=-]\"; \"-\")"),
            (
                "branch",
                ".source.branch.name | ascii_downcase | ltrimstr(\"feature/\")",
            ),
        ] {
            properties.insert(format!("{name}{index}"), Value::from(expression));
        }
    }
    let config = json!({"resources": [{
        "kind": "pull-request",
        "selector": {"query": "true"},
        "port": {"entity": {"mappings": {
            "identifier": ".destination.repository.full_name + \"/\" + (.id | tostring)",
            "blueprint": "\"pullRequest\"",
            "properties": properties,
        }}},
    }]});
    Mapping::from_config(&config).unwrap_or_else(|error| panic!("{error}"))
}

fn map_all(bencher: Bencher<'_, '_>, resource: &Resource) {
    let bytes = bytes();
    bencher.counter(ItemsCount::new(1_usize)).bench_local(|| {
        let raw: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let mapped = resource.map(&raw);
        assert_eq!(mapped.entities.len(), 1);
        mapped
    });
}

#[divan::bench]
fn parse_only(bencher: Bencher<'_, '_>) {
    let bytes = bytes();
    bencher
        .counter(ItemsCount::new(1_usize))
        .bench_local(|| serde_json::from_slice::<Value>(&bytes));
}

#[divan::bench]
fn default_pull_request(bencher: Bencher<'_, '_>) {
    let mapping =
        Mapping::from_config(&defaults::mapping()).unwrap_or_else(|error| panic!("{error}"));
    map_all(bencher, &mapping.resources()[2]);
}

#[divan::bench]
fn thirty_properties(bencher: Bencher<'_, '_>) {
    let mapping = heavy();
    map_all(bencher, &mapping.resources()[0]);
}

//! Files that nobody thought of: where they lie, what they hold, and what that means.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

const FOLDERS: [&str; 7] = [
    "",
    "apps/",
    "apps/web/",
    "apps/web/deploy/",
    "services/a/",
    "services/a/b/",
    "Docs dir/",
];

const NAMES: [&str; 7] = [
    "catalog.yml",
    "README.md",
    "port.yaml",
    "data.json",
    "x.txt",
    "two\nlines\t#1?.yml",
    "\"50%\" back\\slash ü.yml",
];

/// What a file holds, and what that means by its name.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Content {
    pub(super) text: String,
    pub(super) parsed: Value,
}

/// YAML texts with what `PyYAML` makes of them.
static YAML: LazyLock<Vec<Content>> = LazyLock::new(|| {
    let vectors = include_str!("../../fixtures/vectors/yaml-11.json");
    let vectors: Value = serde_json::from_str(vectors).unwrap();
    let cases = vectors["cases"].as_array().unwrap().iter();
    let contents = cases.map(|case| {
        let text = case["yaml"].as_str().unwrap().to_owned();
        let parsed = match (case.get("value"), case.get("documents")) {
            (Some(value), _) => value.clone(),
            (None, Some(documents)) => documents.clone(),
            (None, None) => json!(text),
        };
        Content { text, parsed }
    });
    contents.collect()
});

/// What `file://` means is up to the place of the file: see `meaning`.
const REFERENCES: [&str; 6] = [
    "file://README.md",
    "file://data.json",
    "file://./README.md",
    "file://../port.yaml",
    "file:///x.txt",
    "file://nowhere",
];

fn content(name: &'static str) -> BoxedStrategy<Content> {
    let plain = |text: &str, parsed: Value| Content {
        text: text.to_owned(),
        parsed,
    };
    if name.ends_with(".json") {
        return select(vec![
            plain("{\"a\": [1, null]}", json!({"a": [1, null]})),
            plain("\u{feff}[1]", json!([1])),
            plain("{\"a\": NaN, \"b\": 1e400}", json!({"a": null, "b": null})),
            plain("{oops", json!("{oops")),
            plain("\"half \\ud83d\"", json!("half \u{fffd}")),
        ])
        .boxed();
    }
    if name.ends_with("ml") {
        let referring = select(&REFERENCES[..]).prop_map(|reference| Content {
            text: format!("a: 1\nb: [{reference}]\n"),
            parsed: json!({"a": 1, "b": [reference]}),
        });
        return prop_oneof![3 => select(YAML.clone()), 1 => referring].boxed();
    }
    select(vec!["one\n", "two", "Zürich\n", ""])
        .prop_map(|text| Content {
            text: text.to_owned(),
            parsed: json!(text),
        })
        .boxed()
}

pub(super) fn file() -> impl Strategy<Value = (String, Content)> {
    (select(&FOLDERS[..]), select(&NAMES[..])).prop_flat_map(|(folder, name)| {
        content(name).prop_map(move |content| (format!("{folder}{name}"), content))
    })
}

pub(super) fn files(most: usize) -> impl Strategy<Value = BTreeMap<String, Content>> {
    prop::collection::vec(file(), 0..=most).prop_map(|files| files.into_iter().collect())
}

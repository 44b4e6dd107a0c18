//! Rules about the source itself: who may import whom, how names are used, how long things may get, and what every file
//! begins with.

mod debts;
mod messages;
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use debts::{LONG_FILES, LONG_FUNCTIONS, UPWARDS};
use source::{
    all_rust_files, code, dependencies, function_lengths, imports, module_of, modules, public_type,
    root, rust_files, shown,
};

/// Every module of `src`, lowest first. Each may import those above it in this list, and itself. This is the only
/// statement of it.
const LAYERS: &[&str] = &[
    // Words and values: no I/O.
    "lenient_json",
    "locked",
    "on_heap",
    "nearest",
    "yaml",
    "file_format",
    "deadline",
    "class",
    "condition",
    "entity",
    "identity",
    "look",
    "own_secrets",
    // What is told to whoever watches.
    "counts",
    "metrics",
    "progress",
    "deliveries",
    "telemetry",
    // The outside.
    "http",
    "aws",
    "config",
    "mapping",
    "bitbucket",
    "port",
    "secrets",
    // What outlives an invocation.
    "store",
    "queue",
    "failure",
    "health",
    // The engine.
    "extract",
    "sync",
    // The triggers.
    "app",
    "live",
    "resync",
    "webhook",
    "subscription",
    "watch",
    "status",
    "invocation",
    "bin",
];

/// Modules that know nothing of each other, whichever is lower.
const APART: &[(&str, &str)] = &[
    ("bitbucket", "port"),
    ("bitbucket", "mapping"),
    ("port", "mapping"),
    ("store", "mapping"),
    ("resync", "webhook"),
    ("resync", "queue"),
];

/// What pure code must not name: no network, no task, no clock.
const IMPURE: &[&str] = &["reqwest", "tokio", "aws_", "lambda_", "Clock", "PortClient"];

/// Files and folders that decide, or are plain data.
const PURE: &[&str] = &[
    "crates/git-contents/src",
    "src/bitbucket/git/standing.rs",
    "src/class.rs",
    "src/condition.rs",
    "src/entity.rs",
    "src/extract/tree/entry.rs",
    "src/extract/tree/query.rs",
    "src/extract/tree/wanted.rs",
    "src/file_format.rs",
    "src/health/diagnosis.rs",
    "src/identity.rs",
    "src/look.rs",
    "src/mapping",
    "src/nearest.rs",
    "src/port/fit.rs",
    "src/port/rehearsal/content.rs",
    "src/port/rehearsal/judgement.rs",
    "src/port/rehearsal/stage.rs",
    "src/port/schema.rs",
    "src/resync/preview/changes.rs",
    "src/resync/preview/refusals.rs",
    "src/store/documents.rs",
    "src/store/lease/decision.rs",
    "src/store/outcome.rs",
    "src/store/run.rs",
    "src/sync/left_out.rs",
    "src/sync/plan",
    "src/sync/plan.rs",
    "src/sync/settle.rs",
    "src/sync/sources.rs",
    "src/yaml",
];

/// What other crates of the workspace must not name.
const CRATES: &[(&str, &[&str])] = &[
    ("crates/cli/src", &["std::env", "lambda_"]),
    ("crates/cli/src/main.rs", &["aws_"]),
    ("crates/cli/src/check", &["aws_"]),
    ("crates/cli/src/command", &["aws_"]),
    // The deployment in AWS is not what is deployed.
    ("crates/cli/src/stack", &["App", "bitbucket::", "port::"]),
    (
        "crates/git-contents/src",
        &[
            "ferry",
            "std::io",
            "std::fs",
            "std::net",
            "std::env",
            "std::process",
            "tracing",
        ],
    ),
    (
        "crates/jq18/src",
        &[
            "ferry", "reqwest", "tokio", "tracing", "aws_", "lambda_", "std::env", "std::fs",
        ],
    ),
    (
        "crates/protocol/src",
        &["ferry::", "reqwest", "tokio", "aws_"],
    ),
    ("crates/sandbox/src", &["ferry::"]),
];

/// Where a library may be named at all.
const CONFINED: &[(&str, &[&str])] = &[
    (
        "lambda_runtime",
        &["src/invocation", "src/bin/ferry-lambda.rs"],
    ),
    ("lambda_http", &["src/invocation"]),
    ("aws_lambda_events", &["src/invocation"]),
    (
        "aws_sdk_",
        &["src/app.rs", "src/secrets", "src/store", "src/queue"],
    ),
    ("aws_smithy_", &["src/aws.rs"]),
    ("std::env", &["src/config"]),
    ("redb", &["src/store/file"]),
];

const MOST_LINES_OF_A_FILE: usize = 400;

const MOST_LINES_OF_A_FUNCTION: usize = 70;

/// What only the command line needs: the function is built without it.
const COMMAND_LINE_ONLY: &[&str] = &[
    "anstream",
    "anstyle",
    "axum",
    "clap",
    "clap_complete",
    "clap_mangen",
    "comfy-table",
    "indicatif",
];

#[test]
fn every_module_has_its_layer() {
    let known: BTreeSet<String> = LAYERS.iter().map(|layer| (*layer).to_owned()).collect();
    assert_eq!(known.len(), LAYERS.len(), "a layer is listed twice");
    assert_eq!(modules(), known);
}

#[test]
fn imports_go_downwards_only() {
    let mut found = BTreeSet::new();
    let mut lines = Vec::new();
    for file in rust_files(&root().join("src")) {
        let Some(own) = module_of(&file) else {
            continue;
        };
        for (line, imported) in imports(&file) {
            let (height, imports) = (layer(&own), layer(&imported));
            assert!(imports.is_some(), "{}:{line}: {imported}?", shown(&file));
            if imports <= height {
                continue;
            }
            lines.push(format!("{}:{line}: {own} imports {imported}", shown(&file)));
            found.insert((shown(&file), imported));
        }
    }
    let granted: BTreeSet<(String, String)> = UPWARDS
        .iter()
        .map(|(file, module)| ((*file).to_owned(), (*module).to_owned()))
        .collect();
    assert_eq!(found, granted, "\n{}", lines.join("\n"));
}

#[test]
fn strangers_stay_strangers() {
    let mut offences = Vec::new();
    for file in rust_files(&root().join("src")) {
        let Some(own) = module_of(&file) else {
            continue;
        };
        for (line, imported) in imports(&file) {
            let pair = |one: &str, other: &str| own == one && imported == other;
            let is_forbidden = |(one, other): &(&str, &str)| pair(one, other) || pair(other, one);
            if APART.iter().any(is_forbidden) {
                offences.push(format!("{}:{line}: {own} imports {imported}", shown(&file)));
            }
        }
    }
    assert!(offences.is_empty(), "\n{}", offences.join("\n"));
}

#[test]
fn what_decides_is_pure() {
    let rules = PURE.iter().map(|place| (*place, IMPURE));
    let offences = named(rules.chain(CRATES.iter().copied()));
    assert!(offences.is_empty(), "\n{}", offences.join("\n"));
}

#[test]
fn a_name_has_one_meaning() {
    let mut types: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in rust_files(&root().join("src")) {
        for (_, text) in code(&file) {
            if let Some(name) = public_type(&text) {
                types
                    .entry(name.to_owned())
                    .or_default()
                    .insert(shown(&file));
            }
        }
    }
    // Written with its module wherever it is named from outside, as in the standard library.
    types.remove("Error");
    types.retain(|_, files| 1 < files.len());
    assert!(types.is_empty(), "{types:#?}");
}

#[test]
fn files_and_functions_are_short() {
    let (mut files, mut functions) = (BTreeSet::new(), BTreeSet::new());
    for folder in ["src", "tests", "benches", "fuzz", "crates"] {
        for file in all_rust_files(&root().join(folder)) {
            let text = fs::read_to_string(&file).unwrap();
            if MOST_LINES_OF_A_FILE < text.lines().count() {
                files.insert(shown(&file));
            }
            for (name, lines) in function_lengths(&text) {
                if MOST_LINES_OF_A_FUNCTION < lines {
                    functions.insert((shown(&file), name));
                }
            }
        }
    }
    let granted: BTreeSet<String> = LONG_FILES.iter().map(|file| (*file).to_owned()).collect();
    assert_eq!(
        files, granted,
        "files of more than {MOST_LINES_OF_A_FILE} lines"
    );
    let granted: BTreeSet<(String, String)> = LONG_FUNCTIONS
        .iter()
        .map(|(file, name)| ((*file).to_owned(), (*name).to_owned()))
        .collect();
    assert_eq!(
        functions, granted,
        "functions of more than {MOST_LINES_OF_A_FUNCTION} lines"
    );
}

#[test]
fn libraries_of_the_edge_stay_at_the_edge() {
    let mut offences = Vec::new();
    for file in rust_files(&root().join("src")) {
        for (line, text) in code(&file) {
            for (library, places) in CONFINED {
                let allowed = places.iter().any(|place| shown(&file).starts_with(place));
                if !allowed && text.contains(library) {
                    offences.push(format!("{}:{line}: {}", shown(&file), text.trim()));
                }
            }
        }
    }
    assert!(offences.is_empty(), "\n{}", offences.join("\n"));
}

#[test]
fn the_function_is_built_without_the_command_line() {
    let named = dependencies(&root().join("Cargo.toml"));
    assert!(named.iter().any(|name| name == "serde_json"), "{named:?}");
    let needless: Vec<&String> = named
        .iter()
        .filter(|name| COMMAND_LINE_ONLY.contains(&name.as_str()))
        .collect();
    assert!(needless.is_empty(), "in Cargo.toml: {needless:?}");
}

#[test]
fn every_file_says_what_it_is() {
    let folders = ["src", "tests", "benches", "crates"];
    let files = folders
        .iter()
        .flat_map(|folder| all_rust_files(&root().join(folder)));
    let silent: Vec<String> = files
        .filter(|file| !fs::read_to_string(file).unwrap().starts_with("//!"))
        .map(|file| shown(&file))
        .collect();
    assert!(silent.is_empty(), "without `//!`: {silent:?}");
}

/// Lines in which one of the names stands that the place must not know.
fn named<'a>(rules: impl Iterator<Item = (&'a str, &'a [&'a str])>) -> Vec<String> {
    let mut offences = Vec::new();
    for (place, forbidden) in rules {
        let files = rust_files(&root().join(place));
        assert!(!files.is_empty(), "{place} does not exist");
        for file in files {
            for (line, text) in code(&file) {
                if forbidden.iter().any(|name| text.contains(name)) {
                    offences.push(format!("{}:{line}: {}", shown(&file), text.trim()));
                }
            }
        }
    }
    offences
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| *layer == module)
}

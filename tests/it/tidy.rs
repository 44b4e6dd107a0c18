//! Rules about the source itself: who may import whom, and what every file begins with.

use std::fs;
use std::path::{Path, PathBuf};

/// Imports go downwards only; this list is the only statement of it. A path names a file or a folder.
const FORBIDDEN: &[(&str, &[&str])] = &[
    (
        "src/mapping",
        &[
            "crate::bitbucket",
            "crate::port",
            "crate::http",
            "reqwest",
            "tokio",
            "aws_",
            "lambda_",
        ],
    ),
    (
        "src/entity.rs",
        &["crate::", "reqwest", "tokio", "aws_", "lambda_"],
    ),
    ("src/deadline.rs", &["crate::"]),
    ("src/metrics.rs", &["crate::"]),
    ("src/progress.rs", &["crate::"]),
    (
        "src/http.rs",
        &[
            "crate::bitbucket",
            "crate::port",
            "crate::app",
            "crate::config",
        ],
    ),
    (
        "src/state",
        &[
            "crate::bitbucket",
            "crate::port",
            "crate::mapping",
            "crate::resync",
            "crate::webhook",
        ],
    ),
    (
        "src/bitbucket",
        &[
            "crate::port",
            "crate::mapping",
            "crate::webhook",
            "crate::resync",
            "crate::app",
        ],
    ),
    (
        "src/port",
        &[
            "crate::bitbucket",
            "crate::mapping",
            "crate::webhook",
            "crate::resync",
            "crate::app",
        ],
    ),
    (
        "src/extract",
        &[
            "crate::port",
            "crate::webhook",
            "crate::resync",
            "crate::app",
        ],
    ),
    (
        "src/pipeline.rs",
        &[
            "crate::bitbucket",
            "crate::webhook",
            "crate::resync",
            "crate::app",
        ],
    ),
    (
        "src/webhook",
        &["crate::resync", "crate::invocation", "lambda_"],
    ),
    (
        "src/resync",
        &["crate::webhook", "crate::invocation", "lambda_"],
    ),
    (
        "src/app.rs",
        &["crate::webhook", "crate::resync", "crate::invocation"],
    ),
];

/// Where a library may be named at all.
const CONFINED: &[(&str, &[&str])] = &[
    (
        "lambda_runtime",
        &["src/invocation.rs", "src/bin/ferry-lambda.rs"],
    ),
    ("lambda_http", &["src/invocation.rs"]),
    ("aws_lambda_events", &["src/invocation.rs"]),
    (
        "aws_sdk_",
        &["src/app.rs", "src/secrets.rs", "src/state", "src/queue.rs"],
    ),
    ("aws_smithy_", &["src/aws.rs"]),
    ("std::env", &["src/config", "src/aws.rs"]),
    ("indicatif", &["src/main.rs", "src/command"]),
    ("anstream", &["src/command"]),
    ("clap", &["src/main.rs", "src/command"]),
    ("axum", &["src/command"]),
];

#[test]
fn imports_go_downwards_only() {
    let mut offences = Vec::new();
    for (place, forbidden) in FORBIDDEN {
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
    assert!(offences.is_empty(), "\n{}", offences.join("\n"));
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
fn every_file_says_what_it_is() {
    let folders = ["src", "tests", "crates/sandbox/src", "benches"];
    let files = folders
        .iter()
        .flat_map(|folder| rust_files(&root().join(folder)));
    let silent: Vec<String> = files
        .filter(|file| !fs::read_to_string(file).unwrap().starts_with("//!"))
        .map(|file| shown(&file))
        .collect();
    assert!(silent.is_empty(), "without `//!`: {silent:?}");
}

/// Lines of production code: a file's tests are at its end.
fn code(file: &Path) -> Vec<(usize, String)> {
    let text = fs::read_to_string(file).unwrap();
    let lines = text
        .lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line.to_owned()));
    let production = lines.take_while(|(_, line)| line.trim() != "#[cfg(test)]");
    production
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .collect()
}

fn rust_files(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let Ok(entries) = fs::read_dir(path) else {
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir() || path.extension().is_some_and(|extension| extension == "rs"))
        // A folder of tests belongs to no layer.
        .filter(|path| !path.ends_with("tests") || path.parent() == Some(root()))
        .flat_map(|path| rust_files(&path))
        .collect();
    files.sort();
    files
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn shown(file: &Path) -> String {
    file.strip_prefix(root())
        .unwrap_or(file)
        .to_string_lossy()
        .into_owned()
}

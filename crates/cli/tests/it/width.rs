//! What people see on a terminal of 80 or of 120 columns: no line is longer, and nothing of a colour under `NO_COLOR`.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::program::{StateDir, ferry};
use crate::support::{WEBHOOK_SECRET, World};

/// Text beside which even long identifiers fit.
const LONG: &str = "a title that goes on and on, as titles of pull requests do, beyond the end of any line that a terminal has";

/// `program` with its arguments, at a terminal of so many columns: `script` of util-linux makes one.
async fn seen(program: &Command, columns: usize) -> String {
    let program = program.as_std();
    let words = std::iter::once(program.get_program()).chain(program.get_args());
    let words: Vec<String> = words
        .map(|word| format!("'{}'", word.to_str().unwrap()))
        .collect();
    let line = format!("stty cols {columns} rows 50; exec {}", words.join(" "));
    let mut script = Command::new("script");
    script
        .args(["-q", "-e", "-c", &line, "/dev/null"])
        .env_clear();
    for (name, value) in program.get_envs() {
        script.env(name, value.unwrap());
    }
    script
        .env("PATH", "/usr/bin:/bin")
        .env("TERM", "xterm")
        .env("NO_COLOR", "1");
    let output = script
        .stdin(std::process::Stdio::null())
        .output()
        .await
        .unwrap();
    String::from_utf8(output.stdout)
        .unwrap()
        .replace('\r', "\n")
}

/// Whether there is a sequence that sets a colour or weight: `ESC [ 1 ; 31 m`.
fn is_painted(text: &str) -> bool {
    let is_number = |sign: char| sign.is_ascii_digit() || sign == ';';
    let mut sequences = text.split("\u{1b}[").skip(1);
    sequences.any(|rest| rest.trim_start_matches(is_number).starts_with('m'))
}

/// A mapping of which there is much to be told.
fn mapping() -> Value {
    json!({"createMissingRelatedEntities": false, "resources": [
        {"kind": "repository", "selector": {"query": "true"}, "port": {"entity": {"mappings": {
            "identifier": ".slug", "title": format!("\"{LONG}\""), "blueprint": "\"bitbucketRepository\"",
            "properties": {"url": "1", "readme": format!("\"{LONG}\"")},
            "relations": {"project": "\"nobody-that-there-is\""}}}}},
        {"kind": "pull-request", "selector": {"query": "true ||"}, "port": {"entity": {"mappings": {
            "identifier": ".id | tostring", "blueprint": "\"nowhere\""}}}},
        {"kind": "project", "selector": {"query": "true"}, "port": {"entity": {"mappings": {
            "identifier": ".key", "title": format!("\"{LONG}\""), "blueprint": "\"nowhere\""}}}},
    ]})
}

#[tokio::test]
async fn no_line_is_longer_than_the_terminal_is_wide() {
    let world = World::demo().await;
    world.resync().await;
    world.port.set_config(mapping());
    let state = StateDir::new("width");
    let key = world.port.entities()[0].clone();
    let entity = format!("{}/{}", key.blueprint, key.identifier);
    let commands: [&[&str]; 8] = [
        &["preview"],
        &["preview", "--diff"],
        &["check"],
        &["resync"],
        &["status"],
        &["explain", &entity],
        &["webhook", "install"],
        &["webhook", "status"],
    ];
    for columns in [80, 120] {
        for arguments in commands {
            let mut command = ferry(&world);
            command
                .env("OCEAN__INTEGRATION__CONFIG__WEBHOOK_SECRET", WEBHOOK_SECRET)
                .env("OCEAN__BASE_URL", "https://ferry.example.com")
                .env("FERRY__STATE_DIR", &state.0)
                .args(arguments);
            let seen = seen(&command, columns).await;
            assert!(!seen.trim().is_empty(), "{arguments:?} says nothing");
            assert!(!seen.contains("panicked"), "{arguments:?}: {seen}");
            // Bars are drawn over themselves, and log lines are for files.
            let is_told =
                |line: &&str| !line.contains(['\u{1b}', '━', '█']) && !line.contains("Z  ");
            let longer = seen
                .lines()
                .filter(is_told)
                .filter(|line| columns < line.chars().count());
            // A word alone may be longer.
            let longer: BTreeSet<&str> = longer.filter(|line| line.trim().contains(' ')).collect();
            assert!(
                longer.is_empty(),
                "{arguments:?} at {columns}: {longer:#?}\nof\n{seen}"
            );
            assert!(!is_painted(&seen), "{arguments:?}: {seen:?}");
        }
    }
    world.finish();
}

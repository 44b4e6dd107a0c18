//! Mappings that are wrong, each in one way: `ferry check` and `ferry preview` name the place and the remedy, and what the
//! preview announces is what the resync then does.
//!
//! Each file of `tests/fixtures/wrong_mappings` says in its first lines what has to be told of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use sandbox::port::WriteKind;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::program::{StateDir, ended, ferry};
use crate::support::World;

fn put_blueprints(world: &World) {
    let property = |kind: &str, more: Value| {
        let mut property = json!({"type": kind, "title": "It"});
        property.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        property
    };
    let properties = json!({
        "size": property("number", json!({})),
        "url": property("string", json!({"format": "url"})),
        "tier": property("string", json!({"enum": ["gold", "silver"]})),
        "note": property("string", json!({})),
        "private": property("boolean", json!({})),
        "branch": property("string", json!({})),
        "author": property("string", json!({})),
        "reviewers": property("array", json!({"items": {"type": "string"}})),
        "language": property("string", json!({})),
    });
    let relations = json!({"project": {"title": "It", "target": "project", "required": false, "many": false}});
    for (identifier, required, relations) in [
        ("project", json!([]), json!({})),
        ("service", json!([]), relations),
        ("strict", json!(["language"]), json!({})),
        ("pull", json!([]), json!({})),
    ] {
        let blueprint = json!({
            "identifier": identifier, "title": identifier, "relations": relations,
            "schema": {"properties": properties, "required": required},
        });
        world.port.put_blueprint(&blueprint).unwrap();
    }
}

fn with(world: &World, state: &StateDir, arguments: &[&str], mapping: &Path) -> Command {
    let mut command = ferry(world);
    command
        .env("FERRY__STATE_DIR", &state.0)
        .args(arguments)
        .arg("--mapping")
        .arg(mapping);
    command
}

#[tokio::test]
async fn look() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/wrong_mappings");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|it| it.unwrap().path()).collect();
    files.sort();
    for file in files {
        let world = World::demo().await;
        put_blueprints(&world);
        let state = StateDir::new("wrong");
        println!("######## {}", file.display());
        let (code, out, log) = ended(&mut with(&world, &state, &["check"], &file)).await;
        let out: Vec<&str> = out.lines().filter(|l| !l.starts_with("ok")).collect();
        println!("check {code}\n{}\n-- {log}", out.join("\n"));
        let (code, out, log) = ended(&mut with(&world, &state, &["preview", "--limit", "1"], &file)).await;
        println!("preview {code}\n{out}\n--{log}");
        world.port.take_writes();
        let (code, out, log) = ended(&mut with(&world, &state, &["resync"], &file)).await;
        println!("resync {code}\n{}\n{log}", out.lines().last().unwrap_or_default());
        let mut n: BTreeMap<String, usize> = BTreeMap::new();
        for w in world.port.take_writes() { *n.entry(format!("{:?} {}", w.kind, w.blueprint)).or_default() += 1; }
        println!("{n:?}");
        world.finish();
    }
}

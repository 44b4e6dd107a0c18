//! `ferry mapping test`.

use std::path::PathBuf;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::program::{ended, ferry};
use crate::support::World;

/// A mapping file that goes with its story.
struct MappingFile(PathBuf);

impl MappingFile {
    fn new(story: &str, mapping: &str) -> MappingFile {
        let name = format!("ferry-mapping-{story}-{}.yml", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, mapping).unwrap();
        MappingFile(path)
    }

    fn test(&self, world: &World, arguments: &[&str]) -> Command {
        let mut command = ferry(world);
        command
            .args(["mapping", "test"])
            .arg(&self.0)
            .args(arguments);
        command
    }
}

impl Drop for MappingFile {
    fn drop(&mut self) {
        // What is left behind lies in the system's folder for such things.
        std::fs::remove_file(&self.0).ok();
    }
}

const PULLS: &str = r#"resources:
- kind: repository
  selector: {query: .language == "Cobol"}
  port: {entity: {mappings: {identifier: .slug, blueprint: '"pull"'}}}
- kind: pull-request
  selector: {query: "true"}
  port:
    entity:
      mappings:
        identifier: .destination.repository.full_name + "/" + (.id | tostring)
        blueprint: '"pull"'
        title: .title
        properties:
          author: "[.author.display_name]"
          branch: .source.branch.name
          sum: .title + 1
- kind: file
  selector: {query: "true", files: {path: "**/package.json"}}
  port:
    itemsToParse: .content | to_entries
    entity: {mappings: {identifier: .item.key, blueprint: '"gone"'}}
"#;

async fn world() -> World {
    let world = World::demo().await;
    let blueprint = json!({
        "identifier": "pull", "title": "Pull", "relations": {}, "schema": {"required": [], "properties": {
            "author": {"type": "string"}, "branch": {"type": "string"}, "sum": {"type": "number"},
        }},
    });
    world.port.put_blueprint(&blueprint).unwrap();
    world
}

#[tokio::test]
async fn an_item_is_taken_through_each_expression_of_a_mapping() {
    let (world, file) = (world().await, MappingFile::new("each", PULLS));
    let pull = [
        "--kind",
        "pull-request",
        "--repo",
        "Payments API",
        "--id",
        "6",
    ];
    let (code, out, log) = ended(&mut file.test(&world, &pull)).await;
    assert_eq!(code, 3, "{out}{log}");
    for part in [
        "resources[1] (pull-request)",
        "lines (--item)",
        "selector.query (line 6): true\n    = true",
        "port.entity.mappings.identifier (line 10): .destination.repository.full_name + \"/\" + (.id | tostring)\n    = \"acme-platform/payments-api/6\"",
        "properties.author (line 14): [.author.display_name]\n    = [\"Luis Ferro\"]",
        "properties.sum (line 16): .title + 1\n    = string (",
        "becomes pull/acme-platform/payments-api/6",
        "\"author\": null",
        "wrong: resources[1].port.entity.mappings.properties.author (line 14): 1 value left out of pull: not of the type string",
        "wrong: resources[1].port.entity.mappings.properties.sum (line 16): fails for 1 item",
    ] {
        assert!(out.contains(part), "{part} is not in\n{out}");
    }
    let mut whole = file.test(&world, &pull);
    let (_, out, _) = ended(whole.arg("--item")).await;
    assert!(out.contains("\"source\": {"), "{out}");

    let (code, out, _) = ended(file.test(&world, &pull).arg("--json")).await;
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &told["format"]), (3, &json!(1)));
    let tried = &told["resources"][0];
    assert_eq!(tried["item"]["id"], 6);
    let author = &tried["expressions"][0][4];
    assert_eq!(
        author,
        &json!({
            "place": "resources[1].port.entity.mappings.properties.author", "line": 14,
            "expression": "[.author.display_name]", "value": ["Luis Ferro"], "error": null,
        })
    );
    assert_eq!(
        tried["entities"][0]["identifier"],
        "acme-platform/payments-api/6"
    );
    assert_eq!(tried["problems"].as_array().unwrap().len(), 2);
    assert!(world.port.take_writes().is_empty());
    world.finish();
}

#[tokio::test]
async fn an_item_may_stand_for_several_and_its_query_may_turn_it_away() {
    let (world, file) = (world().await, MappingFile::new("several", PULLS));
    let files = [
        "--kind",
        "file",
        "--repo",
        "checkout-service",
        "--id",
        "package.json",
    ];
    let (code, out, log) = ended(&mut file.test(&world, &files)).await;
    assert_eq!(code, 3, "{out}{log}");
    let gone = "port.entity.mappings.blueprint (line 21): the blueprint `gone` does not exist";
    assert!(out.contains("  item 2") && out.contains(gone), "{out}");
    let first = ["--kind", "repository", "--repo", "payments-api"];
    let (code, out, log) = ended(&mut file.test(&world, &first)).await;
    assert_eq!(code, 0, "{out}{log}");
    assert!(out.contains("selector.query turns it away"), "{out}");
    world.finish();
}

#[tokio::test]
async fn what_a_resync_would_not_see_is_said() {
    let (world, file) = (world().await, MappingFile::new("unseen", PULLS));
    let pulls = world.bitbucket.pull_requests("payments-api").unwrap();
    let closed = pulls.iter().find(|(_, state)| state.as_str() == "MERGED");
    let closed = closed.unwrap().0.to_string();
    for (arguments, expected, part) in [
        (
            ["pull-request", "payments-api", closed.as_str()],
            1,
            "that `state=\"OPEN\"` selects",
        ),
        (
            ["file", "payments-api", "nowhere.json"],
            1,
            "has no file \"nowhere.json\" that the selector selects",
        ),
        (
            ["pull-request", "paiments-api", "1"],
            1,
            "the nearest name is \"payments-api\"",
        ),
        (["pull-request", "payments-api", "six"], 64, "is no number"),
        (
            ["branch", "payments-api", "main"],
            64,
            "no resource of kind branch",
        ),
        (["branches", "payments-api", "main"], 64, "possible values"),
    ] {
        let [kind, repository, id] = arguments;
        let arguments = ["--kind", kind, "--repo", repository, "--id", id];
        let (code, out, log) = ended(&mut file.test(&world, &arguments)).await;
        assert_eq!(code, expected, "{arguments:?}: {out}{log}");
        let said = format!("{out}{log}");
        assert!(said.contains(part), "{part}: {said}");
    }
    let (code, _, log) = ended(&mut file.test(&world, &["--kind", "repository"])).await;
    assert!(code == 64 && log.contains("give --repo"), "{log}");
    let wrong = MappingFile::new("wrong", "resources: 7");
    let (code, _, log) = ended(&mut wrong.test(&world, &["--kind", "repository"])).await;
    assert!(code == 64 && log.contains("resources (line 1)"), "{log}");
    world.finish();
}

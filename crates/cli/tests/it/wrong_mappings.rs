//! Mappings that are wrong, each in one way: `ferry check` and `ferry preview` name the place, its line and the remedy, and
//! what the preview announces is what the resync then does.
//!
//! Each file of `tests/fixtures/wrong_mappings` says in its first lines what has to be told of it, and marks the line.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use sandbox::port::WriteKind;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::program::{StateDir, ended, ferry};
use crate::support::World;

/// What marks the line that is wrong.
const MARK: &str = "# <- here";

/// Mappings whose entities Port refuses as a whole: the preview does not foresee that yet.
const NOT_FORESEEN: &[&str] = &[
    "01-missing-blueprint.yml",
    "05-required-is-missing.yml",
    "09-target-is-missing.yml",
];

struct WrongMapping {
    path: PathBuf,
    /// With its line, as it is told.
    place: String,
    remedy: String,
}

impl WrongMapping {
    fn all() -> Vec<WrongMapping> {
        let folder =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/wrong_mappings");
        let files = std::fs::read_dir(folder).unwrap();
        let mut paths: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
        paths.sort();
        paths.into_iter().map(WrongMapping::read).collect()
    }

    fn read(path: PathBuf) -> WrongMapping {
        let text = std::fs::read_to_string(&path).unwrap();
        let said = |what: &str| {
            let mut lines = text.lines();
            let line = lines.find_map(|line| line.strip_prefix(what));
            line.unwrap_or_else(|| panic!("{}: {what}", path.display()))
                .to_owned()
        };
        let place = said("# place: ");
        let line = text.lines().position(|line| line.ends_with(MARK)).unwrap() + 1;
        WrongMapping {
            place: format!("{place} (line {line}): "),
            remedy: said("# remedy: "),
            path,
        }
    }

    fn name(&self) -> &str {
        self.path.file_name().unwrap().to_str().unwrap()
    }

    fn is_foreseen(&self) -> bool {
        !NOT_FORESEEN.contains(&self.name())
    }

    /// `arguments`, with this mapping.
    fn ferry(&self, world: &World, state: &StateDir, arguments: &[&str]) -> Command {
        with_mapping(world, state, arguments, &self.path)
    }
}

fn with_mapping(world: &World, state: &StateDir, arguments: &[&str], path: &Path) -> Command {
    let mut command = ferry(world);
    command
        .env("FERRY__STATE_DIR", &state.0)
        .args(arguments)
        .arg("--mapping")
        .arg(path);
    command
}

/// A workspace, and blueprints for what the mappings make.
async fn world() -> World {
    let world = World::demo().await;
    let properties = json!({
        "size": {"type": "number"},
        "url": {"type": "string", "format": "url"},
        "tier": {"type": "string", "enum": ["gold", "silver"]},
        "note": {"type": "string"},
        "private": {"type": "boolean"},
        "branch": {"type": "string"},
        "author": {"type": "string"},
        "reviewers": {"type": "array", "items": {"type": "string"}},
        "language": {"type": "string"},
    });
    let project =
        json!({"target": "project", "title": "Project", "required": false, "many": false});
    for (identifier, required, relations) in [
        ("project", json!([]), json!({})),
        ("service", json!([]), json!({ "project": project })),
        ("strict", json!(["language"]), json!({})),
        ("pull", json!([]), json!({})),
    ] {
        let blueprint = json!({
            "identifier": identifier, "title": identifier, "relations": relations,
            "schema": {"properties": properties, "required": required},
        });
        world.port.put_blueprint(&blueprint).unwrap();
    }
    world
}

#[tokio::test]
async fn check_and_preview_name_the_place_and_the_remedy() {
    let world = world().await;
    let state = StateDir::new("wrong-mappings-told");
    let all = WrongMapping::all();
    assert!(25 <= all.len());
    for mapping in &all {
        for command in ["check", "preview"] {
            if command == "preview" && !mapping.is_foreseen() {
                continue;
            }
            let (code, out, log) = ended(&mut mapping.ferry(&world, &state, &[command])).await;
            let said = format!("{out}{log}");
            let told = said.lines().find(|line| line.contains(&mapping.place));
            assert!(told.is_some(), "{} {command}: {said}", mapping.name());
            assert!(
                said.contains(&mapping.remedy),
                "{} {command}: {said}",
                mapping.name()
            );
            assert!((0..=2).contains(&code) || code == 64, "{code}: {said}");
        }
    }
    assert!(world.port.take_writes().is_empty());
    world.finish();
}

/// A mapping that is right; under it the catalogue is filled that the wrong ones then meet.
const RIGHT: &str = r#"
resources:
- kind: repository
  selector: {query: "true"}
  port: {entity: {mappings: {
    identifier: .slug, blueprint: '"service"', title: .name,
    properties: {language: .language, branch: .mainbranch.name, size: .size}}}}
- kind: pull-request
  selector: {query: "true"}
  port: {entity: {mappings: {
    identifier: '.destination.repository.full_name + "/" + (.id | tostring)', blueprint: '"pull"',
    title: .title, properties: {author: .author.display_name}}}}
"#;

/// What was, or would be, created, changed and deleted, as `blueprint/identifier`.
type Fates = [BTreeSet<String>; 3];

fn announced(plan: &Value) -> Fates {
    ["created", "changed", "deleted"].map(|fate| {
        let blueprints = plan["blueprints"].as_object().unwrap().iter();
        let entities = blueprints.flat_map(|(blueprint, lists)| {
            let entities = lists[fate].as_array().unwrap().iter();
            entities.map(move |entity| {
                format!("{blueprint}/{}", entity["identifier"].as_str().unwrap())
            })
        });
        entities.collect()
    })
}

fn carried_out(world: &World) -> Fates {
    let writes = world.port.take_writes();
    [WriteKind::Created, WriteKind::Updated, WriteKind::Deleted].map(|kind| {
        let writes = writes.iter().filter(|write| write.kind == kind);
        writes
            .map(|write| format!("{}/{}", write.blueprint, write.identifier))
            .collect()
    })
}

/// Fills the catalogue, previews the mapping and follows it; says what was announced, what came of it, and what either counted.
async fn follow(mapping: &WrongMapping) -> ([Fates; 2], [Value; 2]) {
    let world = world().await;
    let state = StateDir::new(&format!("wrong-mappings-{}", mapping.name()));
    let right = std::env::temp_dir().join(format!("ferry-right-{}.yml", std::process::id()));
    std::fs::write(&right, RIGHT).unwrap();
    let (code, _, log) = ended(&mut with_mapping(&world, &state, &["resync"], &right)).await;
    assert_eq!(code, 0, "{log}");
    world.port.take_writes();
    let (code, out, log) = ended(&mut mapping.ferry(&world, &state, &["preview", "--json"])).await;
    assert!(world.port.take_writes().is_empty());
    let plan: Value = match code {
        64 => json!({"blueprints": {}}),
        _ => serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{log}")),
    };
    let (resynced, out, log) = ended(&mut mapping.ferry(&world, &state, &["resync"])).await;
    assert_eq!(resynced == 64, code == 64, "{log}");
    let outcome: Value = match resynced {
        64 => json!({}),
        _ => serde_json::from_str(out.lines().last().unwrap()).unwrap(),
    };
    let fates = [announced(&plan), carried_out(&world)];
    world.finish();
    (fates, [plan["counts"].clone(), outcome["counts"].clone()])
}

#[tokio::test]
async fn what_the_preview_announces_is_what_the_resync_does() {
    let mut kinds: BTreeMap<usize, usize> = BTreeMap::new();
    let mut differ = BTreeMap::new();
    for mapping in &WrongMapping::all() {
        let (fates, counts) = follow(mapping).await;
        let [announced, carried_out] = &fates;
        for (kind, fate) in carried_out.iter().enumerate() {
            *kinds.entry(kind).or_default() += fate.len();
        }
        if announced != carried_out || counts[0] != counts[1] {
            differ.insert(mapping.name().to_owned(), (fates, counts));
        }
    }
    assert!(differ.is_empty(), "{differ:#?}");
    // Something of each was to be foreseen.
    let of_each = kinds.len() == 3 && kinds.values().all(|count| 0 < *count);
    assert!(of_each, "{kinds:?}");
}

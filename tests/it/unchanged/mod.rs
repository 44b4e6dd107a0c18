//! What has not changed is not read: which requests a run saves, what has to hold for that, and that the catalogue is the
//! same.

mod audit;
mod clauses;
mod heads;
mod histories;

use ferry::store::Revision;
use ferry::store::documents::completed;
use sandbox::bitbucket::Workspace;
use sandbox::server::Request;
use serde_json::{Map, Value, json};

use crate::support::{IDENTIFIER, Settings, World};

/// As many repositories, each with a folder and two files that the mapping wants.
fn workspace(repositories: usize) -> Workspace {
    let mut workspace = Workspace::empty("acme")
        .with_project("SHOP", "Shop")
        .unwrap();
    workspace = workspace.with_project("PAY", "Payments").unwrap();
    for number in 1..=repositories {
        let catalog = format!("tier: gold\nnumber: {number}\n");
        let files = [
            ("README.md", "# Read me\n"),
            ("apps/web/catalog.yml", catalog.as_str()),
            ("apps/web/main.rs", "fn main() {}\n"),
            ("docs/index.md", "# Docs\n"),
        ];
        let name = format!("Service {number}");
        workspace = workspace.with_repository("SHOP", &name, &files).unwrap();
    }
    workspace
}

fn resource(kind: &str, selector: Value, identifier: &str, properties: Value) -> Value {
    let mut selector = selector;
    selector["query"] = json!("true");
    json!({"kind": kind, "selector": selector, "port": {"entity": {"mappings": {
        "identifier": identifier, "blueprint": format!("'{kind}'"), "properties": properties,
    }}}})
}

/// A resource of each kind whose contents are read.
fn mapping() -> Value {
    json!({"resources": [
        resource(
            "repository",
            json!({}),
            ".slug",
            json!({"readme": "file://README.md", "description": ".description"}),
        ),
        resource(
            "folder",
            json!({"folders": [{"path": "apps/*"}]}),
            ".repo.slug + '/' + .folder.path",
            json!({"language": ".repo.language", "project": ".repo.project.key"}),
        ),
        resource(
            "file",
            json!({"files": {"path": "**/catalog.yml"}}),
            ".repo.slug + '/' + .file.path",
            json!({"tier": ".content.tier", "branch": ".branch", "language": ".repo.language"}),
        ),
    ]})
}

/// The mapping with something else in its resource of this kind, at this pointer.
fn mapping_with(kind: &str, pointer: &str, value: Value) -> Value {
    let mut mapping = mapping();
    let resources = mapping["resources"].as_array_mut().unwrap();
    let resource = resources
        .iter_mut()
        .find(|one| one["kind"] == kind)
        .unwrap();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    resource.pointer_mut(parent).unwrap()[name] = value;
    mapping
}

const PROPERTIES: &str = "/port/entity/mappings/properties";

fn blueprint(kind: &str, properties: &[(&str, Value)]) -> Value {
    let properties = properties
        .iter()
        .map(|(name, schema)| ((*name).to_owned(), schema.clone()));
    let properties: Map<String, Value> = properties.collect();
    json!({
        "identifier": kind, "title": kind,
        "schema": {"properties": properties, "required": []},
    })
}

fn put_blueprints(world: &World) {
    let text = || json!({"type": "string"});
    let names = [
        "readme",
        "description",
        "language",
        "project",
        "tier",
        "branch",
        "more",
        "number",
    ];
    let properties = names.map(|name| (name, text()));
    for kind in ["repository", "folder", "file"] {
        world
            .port
            .put_blueprint(&blueprint(kind, &properties))
            .unwrap();
    }
}

async fn world_of(workspace: Workspace, mapping: Value) -> World {
    let world = World::new(workspace, Settings::new()).await;
    put_blueprints(&world);
    world.port.install(IDENTIFIER, mapping);
    world
}

/// A world of three repositories whose first run is over.
async fn synced(mapping: Value) -> World {
    let world = world_of(workspace(3), mapping).await;
    world.resync().await;
    world.take_requests();
    world.port.take_writes();
    world
}

/// Has the next run audit nobody: it is the turn of the fifty-first of so few repositories.
async fn skip_audit(world: &World) {
    let store = &world.app().store;
    let mut last = store.load(&completed()).await.unwrap().value.unwrap();
    last.runs = 50;
    let saved = store.save(&completed(), &last, Revision::ANYTHING).await;
    saved.unwrap();
}

/// Requests to Bitbucket that ask for what repositories hold.
fn contents(requests: &[Request]) -> Vec<String> {
    let is_content = |request: &&Request| {
        let path = &request.path;
        path.contains("/src/") || path.contains("/refs/")
    };
    let asked = requests.iter().filter(is_content);
    asked.map(|request| request.path.clone()).collect()
}

/// What the run since the last look has asked for contents.
fn take_contents(world: &World) -> Vec<String> {
    contents(&world.take_requests().0)
}

/// Whoever reads everything finds nothing that a run has overlooked.
async fn reads_everything(world: &mut World) -> Value {
    world.app_mut().config.reads_unchanged = true;
    world.port.take_writes();
    let outcome = world.resync().await;
    world.app_mut().config.reads_unchanged = false;
    let writes = world.port.take_writes();
    assert!(
        writes.is_empty(),
        "a run that reads everything still writes: {writes:#?}"
    );
    assert_eq!(outcome["counts"]["deleted"], 0);
    assert_eq!(world.port.catalogue(), world.fresh_catalogue().await);
    outcome
}

/// What counts of a run that is the same whether it reads or not.
fn figures(outcome: &Value) -> Value {
    let names = [
        "extracted",
        "skipped",
        "transformed",
        "filtered_out",
        "not_mapped",
        "left_out",
    ];
    let figures = names.map(|name| (name.to_owned(), outcome["counts"][name].clone()));
    Value::Object(figures.into_iter().collect())
}

/// Issue: an unchanged run asks for no contents but those of its audit, and says the same as one that reads them.
#[tokio::test]
async fn what_has_not_changed_is_not_read() {
    let repositories = 120;
    let mut world = world_of(workspace(repositories), mapping()).await;
    let first = world.resync().await;
    assert_eq!(first["taken_over"], 0);
    let (requests, _) = world.take_requests();
    // Each is listed with its head: nobody asks for branches.
    let branches = requests.iter().filter(|it| it.path.contains("/refs/"));
    assert_eq!(branches.count(), 0);
    world.port.take_writes();
    let second = world.resync().await;
    assert_eq!(world.port.take_writes(), []);
    let (requests, port) = world.take_requests();
    // One repository of each of the two pages is audited: its file, its tree, and what the tree holds.
    let audited = 2;
    assert_eq!(second["taken_over"], 2 * (repositories - audited));
    let asked = contents(&requests);
    assert_eq!(asked.len(), 3 * audited, "{asked:#?}");
    // The list, and the two repositories whose trees are audited.
    assert_eq!(requests.len() - asked.len(), 2 + audited);
    assert!(port.len() <= 30, "{}", port.len());
    assert_eq!(figures(&second), figures(&first));
    assert_eq!(
        second["counts"]["unchanged"],
        second["counts"]["transformed"]
    );
    let third = reads_everything(&mut world).await;
    assert_eq!(figures(&third), figures(&first));
    world.finish();
}

#[tokio::test]
async fn of_a_repository_that_was_pushed_to_its_own_contents_are_read() {
    let mut world = synced(mapping()).await;
    let files = [("apps/web/catalog.yml", Some("tier: lead\n"))];
    // Nobody tells.
    let (head, _) = world.bitbucket.push("service-2", "main", &files).unwrap();
    let outcome = world.resync().await;
    let asked = take_contents(&world);
    let of_head: Vec<&String> = asked.iter().filter(|path| path.contains(&head)).collect();
    assert_eq!(of_head.len(), 3, "{asked:#?}");
    // Another repository may be audited. A tree, and two files, are those of two partitions.
    assert!(asked.len() == 3 || asked.len() == 6, "{asked:#?}");
    assert_eq!(outcome["taken_over"], 6 - 2 * asked.len() / 3);
    let tier = &world.port.catalogue()["file"]["service-2/apps/web/catalog.yml"];
    assert_eq!(tier["properties"]["tier"], "lead");
    assert_eq!(outcome["counts"]["written"], 1);
    reads_everything(&mut world).await;
    world.finish();
}

/// Pushes to other branches move `updated_on`, which nobody maps.
#[tokio::test]
async fn a_push_to_another_branch_costs_nothing() {
    let mut world = synced(mapping()).await;
    for slug in ["service-1", "service-2", "service-3"] {
        world
            .bitbucket
            .create_branch(slug, "feature", None)
            .unwrap();
        let files = [("apps/web/catalog.yml", Some("tier: none\n"))];
        world.bitbucket.push(slug, "feature", &files).unwrap();
    }
    let outcome = world.resync().await;
    assert_eq!(outcome["taken_over"], 4);
    assert_eq!(take_contents(&world).len(), 3, "of the audit");
    reads_everything(&mut world).await;
    world.finish();
}

/// A webhook's look leaves what a run needs to know, too.
#[tokio::test]
async fn what_an_event_has_read_the_next_run_takes_over() {
    let world = synced(mapping()).await;
    let files = [("apps/web/catalog.yml", Some("tier: lead\n"))];
    let (_, told) = world.bitbucket.push("service-3", "main", &files).unwrap();
    world.accept(&told).await;
    world.take_requests();
    let outcome = world.resync().await;
    assert_eq!(outcome["taken_over"], 4);
    assert_eq!(take_contents(&world).len(), 3, "of the audit");
    world.finish();
}

#[tokio::test]
async fn a_repository_without_anything_of_interest_is_read_once() {
    let files = [("main.rs", "fn main() {}\n")];
    let workspace = workspace(2).with_repository("SHOP", "Plain", &files);
    let world = world_of(workspace.unwrap(), mapping()).await;
    for _ in 0..4 {
        world.resync().await;
        world
            .clock
            .advance(std::time::Duration::from_secs(25 * 3600));
    }
    world.take_requests();
    let outcome = world.resync().await;
    assert_eq!(outcome["taken_over"], 6);
    assert_eq!(take_contents(&world), Vec::<String>::new());
    // Nothing is left of it once it has gone, though nobody has told.
    world.bitbucket.delete_repository("plain").unwrap();
    world.resync().await;
    let outcome = world.resync().await;
    assert_eq!(outcome["taken_over"], 4);
    world.finish();
}

#[tokio::test]
async fn skipping_can_be_switched_off() {
    let settings = Settings::from([("FERRY__SKIP_UNCHANGED", "off".to_owned())]);
    let world = World::new(workspace(3), settings).await;
    put_blueprints(&world);
    world.port.install(IDENTIFIER, mapping());
    for _ in 0..2 {
        let outcome = world.resync().await;
        assert_eq!(outcome["taken_over"], 0);
        // The first run also walks a tree, to see whether it may ask for matches alone.
        assert!(3 * 3 <= take_contents(&world).len());
    }
    world.finish();
}

//! Files and folders as people really have them: names with blanks and capitals, patterns that cross folders, YAML 1.1,
//! forks, strange names of files. A push and a resync end with the same.

mod content;
mod selection;
mod unread;

use sandbox::bitbucket::{NewPullRequest, Workspace};
use sandbox::webhook::Delivery;
use serde_json::{Value, json};

use crate::support::{IDENTIFIER, Settings, World};

/// A resource whose entities have the blueprint `kind` and any properties.
fn resource(kind: &str, selector: Value, identifier: &str, properties: Value) -> Value {
    let mut selector = selector;
    selector["query"] = json!("true");
    json!({"kind": kind, "selector": selector, "port": {"entity": {"mappings": {
        "identifier": identifier, "blueprint": format!("'{kind}'"), "properties": properties,
    }}}})
}

fn workspace() -> Workspace {
    Workspace::empty("acme")
        .with_project("SHOP", "Shop")
        .unwrap()
        .with_repository(
            "SHOP",
            "Checkout Service",
            &[
                ("README.md", "# Checkout\n"),
                ("apps/web/README.md", "# Web\n"),
                ("apps/web/deploy/catalog.yml", "tier: yes\nmode: 0755\n"),
                ("catalog.yml", "<<: {tier: no, team: a}\nteam: b\n"),
                ("docs/index.md", "# Docs\n"),
            ],
        )
        .unwrap()
        .with_repository("SHOP", "Payments", &[("catalog.yml", "tier: off\n")])
        .unwrap()
        .with_repository("SHOP", "Empty", &[])
        .unwrap()
}

fn type_of(property: &str) -> &'static str {
    match property {
        "files" | "file" | "content" => "object",
        "length" => "number",
        _ => "string",
    }
}

async fn world(resources: Vec<Value>) -> World {
    let world = World::new(workspace(), Settings::new()).await;
    for kind in ["repository", "pull-request", "folder", "file"] {
        let mut properties = serde_json::Map::new();
        for resource in resources.iter().filter(|one| one["kind"] == kind) {
            let named = resource["port"]["entity"]["mappings"]["properties"].as_object();
            let named = named.unwrap().keys();
            properties.extend(named.map(|name| (name.clone(), json!({"type": type_of(name)}))));
        }
        let blueprint = json!({
            "identifier": kind, "title": kind, "schema": {"properties": properties, "required": []},
        });
        world.port.put_blueprint(&blueprint).unwrap();
    }
    world
        .port
        .install(IDENTIFIER, json!({"resources": resources}));
    world
}

/// Delivers, and insists that a resync would have made the same.
async fn follow(world: &World, deliveries: &[Delivery]) -> Value {
    world.accept(deliveries).await;
    world.assert_converged().await;
    world.port.catalogue()
}

fn property<'c>(catalogue: &'c Value, kind: &str, identifier: &str, name: &str) -> &'c Value {
    &catalogue[kind][identifier]["properties"][name]
}

const FILE_ID: &str = ".repo.slug + '/' + (.file.path | gsub(\"[^A-Za-z0-9/._-]\"; \"-\"))";

/// A resource of each kind that files go along with.
fn every_kind_with_files() -> Vec<Value> {
    let included = |paths: Value| json!({ "includedFiles": paths });
    let folder = json!({
        "folders": [{"path": "apps/*", "repos": [{"name": "Checkout Service"}]}],
        "includedFiles": ["README.md", "./README.md", "docs", "none.md"],
    });
    let file = json!({
        "files": {"path": "apps/*", "filenames": ["catalog.yml"], "repos": ["CHECKOUT SERVICE"]},
        "includedFiles": ["README.md", "./README.md", "../README.md"],
    });
    vec![
        resource(
            "repository",
            included(json!(["README.md", "./docs/index.md", "docs"])),
            ".slug",
            json!({"files": ".__includedFiles"}),
        ),
        resource(
            "pull-request",
            included(json!(["README.md"])),
            ".destination.repository.full_name + '/' + (.id | tostring)",
            json!({"files": ".__includedFiles"}),
        ),
        resource(
            "folder",
            folder,
            ".repo.slug + '/' + .folder.path",
            json!({"files": ".__includedFiles", "name": ".folder.name", "own": "file://README.md"}),
        ),
        resource(
            "file",
            file,
            FILE_ID,
            json!({"files": ".__includedFiles", "content": ".content", "root": "file://README.md"}),
        ),
    ]
}

/// Opens a pull request that comes from a new branch.
fn open_pull_request(world: &World, repository: &str, branch: &str) -> Vec<Delivery> {
    let author = world.bitbucket.users()[0].clone();
    let new = NewPullRequest {
        source: Some(branch.to_owned()),
        ..NewPullRequest::new(branch, author)
    };
    let (_, opened) = world.bitbucket.open_pull_request(repository, new).unwrap();
    opened
}

/// One story per kind that carries files: a push, as an event and as a resync show it.
#[tokio::test]
async fn a_push_and_a_resync_show_the_same_files() {
    let world = world(every_kind_with_files()).await;
    open_pull_request(&world, "checkout-service", "feature");
    world.resync().await;
    let before = world.port.catalogue();
    assert_eq!(
        property(&before, "folder", "checkout-service/apps/web", "files"),
        &json!({
            "README.md": "# Checkout\n", "./README.md": "# Web\n", "docs": null, "none.md": null,
        })
    );
    assert_eq!(
        property(&before, "folder", "checkout-service/apps/web", "own"),
        "# Web\n"
    );
    let catalog = "checkout-service/apps/web/deploy/catalog.yml";
    assert_eq!(
        property(&before, "file", catalog, "files"),
        &json!({"README.md": "# Checkout\n", "./README.md": null, "../README.md": "# Web\n"})
    );
    assert_eq!(property(&before, "file", catalog, "root"), "# Checkout\n");
    let (_, deliveries) = world
        .bitbucket
        .push(
            "checkout-service",
            "main",
            &[
                ("README.md", Some("# New\n")),
                ("apps/web/README.md", Some("# New web\n")),
                ("apps/web/deploy/catalog.yml", Some("tier: off\n")),
            ],
        )
        .unwrap();
    let after = follow(&world, &deliveries).await;
    for (kind, identifier, file, content) in [
        ("repository", "checkout-service", "README.md", "# New\n"),
        (
            "repository",
            "checkout-service",
            "./docs/index.md",
            "# Docs\n",
        ),
        (
            "pull-request",
            "acme/checkout-service/1",
            "README.md",
            "# New\n",
        ),
        (
            "folder",
            "checkout-service/apps/web",
            "./README.md",
            "# New web\n",
        ),
        ("file", catalog, "README.md", "# New\n"),
        ("file", catalog, "../README.md", "# New web\n"),
    ] {
        let files = property(&after, kind, identifier, "files");
        assert_eq!(files[file], content, "{kind} {identifier} {file}");
    }
    let files = property(&after, "repository", "checkout-service", "files");
    assert!(files["docs"].is_null(), "{files}");
    assert_eq!(
        property(&after, "file", catalog, "content"),
        &json!({"tier": false})
    );
    world.finish();
}

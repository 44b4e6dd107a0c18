//! Files and folders as people really have them: names with blanks and capitals, patterns that cross folders, YAML 1.1,
//! forks, strange names of files. A push and a resync end with the same.

use ferry::deadline::Deadline;
use ferry::resync::{Scope, preview};
use sandbox::bitbucket::{AWKWARD_PATHS, NewPullRequest, Workspace};
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

/// One story per kind that carries files: a push, as an event and as a resync show it.
#[tokio::test]
async fn a_push_and_a_resync_show_the_same_files() {
    let world = world(every_kind_with_files()).await;
    let dana = world.bitbucket.users()[0].clone();
    world
        .bitbucket
        .push("checkout-service", "feature", &[("x", Some("x"))])
        .unwrap();
    let pull_request = NewPullRequest {
        source: Some("feature".to_owned()),
        ..NewPullRequest::new("Change", dana)
    };
    world
        .bitbucket
        .open_pull_request("checkout-service", pull_request)
        .unwrap();
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

#[tokio::test]
async fn folders_and_names_select_as_in_ocean() {
    let selector = |path: &str, repos: Value| json!({"files": {"path": path, "filenames": ["catalog.yml"], "repos": repos}});
    let world = world(vec![
        resource(
            "file",
            selector("*", json!([])),
            "'all/' + .repo.slug + '/' + .metadata.path",
            json!({"content": ".content"}),
        ),
        resource(
            "file",
            selector("/", json!(["payments", "Checkout-Service"])),
            "'root/' + .repo.slug",
            json!({}),
        ),
        resource(
            "file",
            selector("apps/*/", json!(["Chekout Service"])),
            "'none/' + .repo.slug",
            json!({}),
        ),
    ])
    .await;
    let outcome = world.resync().await;
    let found = &world.identifiers()["file"];
    assert_eq!(
        found,
        &[
            "all/checkout-service/apps/web/deploy/catalog.yml",
            "all/checkout-service/catalog.yml",
            "all/payments/catalog.yml",
            "root/checkout-service",
            "root/payments",
        ]
    );
    let catalogue = world.port.catalogue();
    for (path, content) in [
        (
            "checkout-service/apps/web/deploy/catalog.yml",
            json!({"tier": true, "mode": 493}),
        ),
        (
            "checkout-service/catalog.yml",
            json!({"tier": false, "team": "b"}),
        ),
        ("payments/catalog.yml", json!({"tier": false})),
    ] {
        let identifier = format!("all/{path}");
        assert_eq!(
            property(&catalogue, "file", &identifier, "content"),
            &content
        );
    }
    let told = "resources[2].selector.files.repos[0]: \"Chekout Service\" is no repository that the credentials see, so it \
                selects nothing: the nearest name is \"Checkout Service\"";
    assert_eq!(outcome["mapping_problems"], json!([told]));
    // A new name is another choice.
    let renamed = world
        .bitbucket
        .rename_repository("payments", "Pay Ments")
        .unwrap();
    let catalogue = follow(&world, &renamed).await;
    assert!(catalogue["file"]["root/pay-ments"].is_null(), "{catalogue}");
    let back = world
        .bitbucket
        .rename_repository("pay-ments", "Payments")
        .unwrap();
    let catalogue = follow(&world, &back).await;
    assert!(
        catalogue["file"]["root/payments"].is_object(),
        "{catalogue}"
    );
    world.finish();
}

/// Everything that mappings in the wild read of a file is there.
#[tokio::test]
async fn a_file_has_the_shape_that_documents_show() {
    let properties = json!({
        "file": ".file", "repo": ".metadata.commit.repository.full_name", "branch": ".metadata.commit.repository.mainbranch.name",
        "length": ".metadata.commit.hash | length", "slug": ".repo.slug", "path": ".metadata.path",
    });
    let selector = json!({"files": {"filenames": ["catalog.yml"], "repos": ["payments"]}});
    let world = world(vec![resource("file", selector, FILE_ID, properties)]).await;
    world.resync().await;
    let catalogue = world.port.catalogue();
    insta::assert_json_snapshot!(catalogue["file"]["payments/catalog.yml"]["properties"], @r#"
    {
      "branch": "main",
      "file": {
        "path": "catalog.yml",
        "name": "catalog.yml",
        "directory": "",
        "content": {
          "tier": false
        },
        "size": 10
      },
      "length": 40,
      "path": "catalog.yml",
      "repo": "acme/payments",
      "slug": "payments"
    }
    "#);
    // What a push moves of the repository is shown by the file, too.
    let (_, deliveries) = world
        .bitbucket
        .push("payments", "main", &[("x", Some("y"))])
        .unwrap();
    follow(&world, &deliveries).await;
    world.finish();
}

#[tokio::test]
async fn references_are_looked_for_beside_the_file_and_in_the_root() {
    let selector = json!({"files": {"filenames": ["port.yml"]}});
    let world = world(vec![resource(
        "file",
        selector,
        FILE_ID,
        json!({"content": ".content"}),
    )])
    .await;
    let port = "beside: file://a.md\nroot: file://docs/index.md\nonly: file://./docs/index.md\nup: file://../web.json\n\
                parsed: {json: file://a.json, yaml: [file:///catalog.yml]}\nfolder: file://docs\nnone: file://none\n\
                broken: file://broken.json\n";
    let (_, deliveries) = world
        .bitbucket
        .push(
            "checkout-service",
            "main",
            &[
                ("apps/web/port.yml", Some(port)),
                ("apps/web/a.md", Some("beside")),
                ("a.md", Some("root")),
                ("apps/web.json", Some("[1]")),
                (
                    "apps/web/a.json",
                    Some("\u{feff}{\"a\": NaN, \"b\": 1e400, \"c\": \"\\ud83d\"}"),
                ),
                ("apps/web/broken.json", Some("{")),
            ],
        )
        .unwrap();
    drop(deliveries);
    world.resync().await;
    let catalogue = world.port.catalogue();
    assert_eq!(
        property(
            &catalogue,
            "file",
            "checkout-service/apps/web/port.yml",
            "content"
        ),
        &json!({
            "beside": "beside", "root": "# Docs\n", "only": null, "up": [1],
            "parsed": {
                "json": {"a": null, "b": null, "c": "\u{fffd}"},
                "yaml": [{"tier": false, "team": "b"}],
            },
            "folder": null, "none": null, "broken": "{",
        })
    );
    world.assert_converged().await;
    world.finish();
}

/// Line breaks, quotes, what ends or begins a part of an address, other alphabets: all are read, by resyncs and events.
#[tokio::test]
async fn strange_names_are_read() {
    let selector = json!({"files": {"filenames": ["*.yml"], "repos": ["payments"]}});
    let identifier = "(.file.path | @base64)";
    let properties = json!({"text": ".content.name", "path": ".file.path"});
    let world = world(vec![resource("file", selector, identifier, properties)]).await;
    world.resync().await;
    let contents: Vec<String> = AWKWARD_PATHS
        .iter()
        .map(|path| json!({"name": path}).to_string())
        .collect();
    let files: Vec<(&str, Option<&str>)> = AWKWARD_PATHS
        .iter()
        .zip(&contents)
        .map(|(path, content)| (*path, Some(content.as_str())))
        .collect();
    let (_, deliveries) = world.bitbucket.push("payments", "main", &files).unwrap();
    let catalogue = follow(&world, &deliveries).await;
    let files = catalogue["file"].as_object().unwrap();
    assert_eq!(files.len(), AWKWARD_PATHS.len() + 1);
    for path in AWKWARD_PATHS {
        let mut all = files.values();
        let file = all.find(|file| file["properties"]["path"] == *path);
        let file = file.unwrap_or_else(|| panic!("{path:?} is missing"));
        assert_eq!(file["properties"]["text"], *path);
    }
    world.finish();
}

/// Ocean's code search leaves forks out.
#[tokio::test]
async fn files_of_forks_are_included() {
    let selector = json!({"files": {"filenames": ["catalog.yml"], "path": "/"}});
    let world = world(vec![resource(
        "file",
        selector,
        FILE_ID,
        json!({"content": ".content"}),
    )])
    .await;
    world.resync().await;
    let (_, deliveries) = world
        .bitbucket
        .fork_repository("payments", "SHOP", "Payments Fork")
        .unwrap();
    let catalogue = follow(&world, &deliveries).await;
    assert_eq!(
        property(&catalogue, "file", "payments-fork/catalog.yml", "content"),
        &json!({"tier": false})
    );
    world.finish();
}

/// A blank query is none, for events as for resyncs.
#[tokio::test]
async fn blank_queries_select_what_no_query_selects() {
    let selector = json!({"pullRequestQuery": " \n", "repoQuery": "", "userRole": " "});
    let world = world(vec![resource(
        "pull-request",
        selector,
        "(.id | tostring)",
        json!({}),
    )])
    .await;
    let dana = world.bitbucket.users()[0].clone();
    world.resync().await;
    for branch in ["one", "two", "three"] {
        let new = NewPullRequest {
            source: Some(branch.to_owned()),
            ..NewPullRequest::new(branch, dana.clone())
        };
        let (_, opened) = world.bitbucket.open_pull_request("payments", new).unwrap();
        follow(&world, &opened).await;
    }
    assert_eq!(world.identifiers()["pull-request"], ["1", "2", "3"]);
    let merged = world.bitbucket.merge("payments", 2, &dana).unwrap();
    follow(&world, &merged).await;
    assert_eq!(world.identifiers()["pull-request"], ["1", "3"]);
    world.finish();
}

#[tokio::test]
async fn a_preview_tells_names_that_mean_nothing() {
    let selector = json!({
        "files": {"filenames": ["catalog.yml"], "repos": ["Paymens"], "repo": "x"},
    });
    let world = world(vec![resource("file", selector, FILE_ID, json!({}))]).await;
    let deadline = Deadline::at(&world.clock, jiff::Timestamp::MAX);
    let found = preview(world.app(), &Scope::default(), &deadline)
        .await
        .unwrap();
    insta::assert_snapshot!(found.problems.join("\n"), @r#"
    resources[0].selector.files.repo: is not known and does nothing: did you mean repos?
    resources[0].selector.files.repos[0]: "Paymens" is no repository that the credentials see, so it selects nothing: the nearest name is "payments"
    "#);
    world.finish();
}

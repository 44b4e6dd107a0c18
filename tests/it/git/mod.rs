//! Contents over git: the catalogue is the one that REST gives, at two requests a repository, and whatever goes wrong with
//! git costs nothing but that.

mod differential;
mod picked;
mod trouble;

use std::collections::BTreeMap;

use sandbox::bitbucket::{FileKind, NewPullRequest, Workspace};
use sandbox::server::Request;
use serde_json::{Value, json};

use crate::support::{IDENTIFIER, Settings, World};

/// Folders and files with what goes along, and values that stand for files.
fn resources() -> Vec<Value> {
    vec![
        resource(
            "folder",
            json!({"folders": [{"path": "apps/*"}], "includedFiles": ["README.md", "./README.md"]}),
            "[.repo.slug, .folder.path, .branch]",
        ),
        resource(
            "file",
            json!({"files": {"path": "**/catalog.yml"}, "includedFiles": ["./README.md"]}),
            "[.repo.slug, .file.path, .branch]",
        ),
        resource(
            "file",
            json!({"files": {"filenames": ["*.md", "*.bin", "large.txt"], "skipParsing": true}}),
            "[.repo.slug, .file.path, .branch, 1]",
        ),
    ]
}

/// A resource whose entities show all that git has, too, of their items; named by what `names` lists.
fn resource(kind: &str, selector: Value, names: &str) -> Value {
    let mut selector = selector;
    selector["query"] = json!("true");
    let properties = match kind {
        "folder" => json!({
            "path": ".folder.path", "name": ".folder.name", "commit": ".folder.commit | tojson",
            "kind": ".folder.type", "included": ".__includedFiles | tojson",
        }),
        "repository" | "pull-request" => json!({"included": ".__includedFiles | tojson"}),
        _ => json!({
            "path": ".metadata.path", "kind": ".metadata.type", "commit": ".metadata.commit.hash",
            "attributes": ".metadata.attributes | tojson", "file": ".file | tojson",
            "content": ".content | tojson", "included": ".__includedFiles | tojson",
        }),
    };
    json!({"kind": kind, "selector": selector, "port": {"entity": {"mappings": {
        "identifier": format!("{names} | tojson | @base64"), "blueprint": format!("'{kind}'"),
        "properties": properties,
    }}}})
}

async fn world(workspace: Workspace, contents: &str, resources: &[Value]) -> World {
    let settings = Settings::from([("FERRY__CONTENTS", contents.to_owned())]);
    let world = World::new(workspace, settings).await;
    for kind in ["folder", "file", "repository", "pull-request"] {
        let names = [
            "path",
            "name",
            "commit",
            "kind",
            "included",
            "attributes",
            "file",
            "content",
        ];
        let property = |name: &str| (name.to_owned(), json!({"type": "string"}));
        let properties: serde_json::Map<String, Value> = names.into_iter().map(property).collect();
        let blueprint = json!({
            "identifier": kind, "title": kind, "schema": {"properties": properties, "required": []},
        });
        world.port.put_blueprint(&blueprint).unwrap();
    }
    let mapping = json!({ "resources": resources });
    world.port.install(IDENTIFIER, mapping);
    world
}

/// Two repositories with something in them, and one without.
fn workspace() -> Workspace {
    Workspace::empty("acme")
        .with_project("SHOP", "Shop")
        .unwrap()
        .with_repository(
            "SHOP",
            "Checkout",
            &[
                ("README.md", "# Checkout\n"),
                ("apps/web/README.md", "# Web\n"),
                ("apps/web/catalog.yml", "tier: yes\nmode: 0755\n"),
                ("apps/two words/catalog.yml", "a: 1\n"),
                ("docs/Übersicht.md", "# Übersicht\n"),
            ],
        )
        .unwrap()
        .with_repository(
            "SHOP",
            "Payments",
            &[
                ("catalog.yml", "readme: file://docs/a.md\nnone: file://b\n"),
                ("docs/a.md", "# A\n"),
            ],
        )
        .unwrap()
        .with_repository("SHOP", "Empty", &[])
        .unwrap()
}

/// Requests to git by repository, and those to REST for contents.
fn sorted(requests: &[Request]) -> (BTreeMap<String, usize>, Vec<String>) {
    let mut by_repository = BTreeMap::new();
    let mut rest = Vec::new();
    for request in requests {
        let target = request.target();
        if let Some((repository, _)) = target.split_once(".git/git-upload-pack") {
            *by_repository.entry(repository.to_owned()).or_default() += 1;
        } else if target.contains("/src/") {
            rest.push(target);
        }
    }
    (by_repository, rest)
}

fn probes(requests: &[Request]) -> usize {
    let probes = requests.iter();
    let is_probe = |request: &&Request| request.path.ends_with("/info/refs");
    probes.filter(is_probe).count()
}

#[tokio::test]
async fn contents_cost_two_requests_a_repository_and_none_of_rest() {
    let world = world(workspace(), "auto", &resources()).await;
    world.resync().await;
    let (requests, _) = world.take_requests();
    let (over_git, rest) = sorted(&requests);
    let expected = BTreeMap::from([
        ("/acme/checkout".to_owned(), 2),
        // A value names a file that no selector matches.
        ("/acme/payments".to_owned(), 2),
    ]);
    assert_eq!((over_git, rest), (expected, Vec::new()));
    assert_eq!(probes(&requests), 1);
    assert_eq!(world.fresh_catalogue().await, world.port.catalogue());
    world.take_requests();
    // The next run knows what the server can do.
    world.resync().await;
    let (requests, _) = world.take_requests();
    assert_eq!((probes(&requests), sorted(&requests).1), (0, Vec::new()));
    world.finish();
}

#[tokio::test]
async fn files_that_only_values_name_take_one_request_more() {
    let resources = [resource(
        "file",
        json!({"files": {"path": "**/catalog.yml"}}),
        ".file.path",
    )];
    let world = world(workspace(), "auto", &resources).await;
    world.resync().await;
    let (requests, _) = world.take_requests();
    let expected = BTreeMap::from([
        ("/acme/checkout".to_owned(), 2),
        ("/acme/payments".to_owned(), 3),
    ]);
    assert_eq!(sorted(&requests), (expected, Vec::new()));
    assert_eq!(world.fresh_catalogue().await, world.port.catalogue());
    world.finish();
}

#[tokio::test]
async fn a_tree_without_a_match_takes_one_request() {
    let resources = [resource(
        "file",
        json!({"files": {"path": "nowhere/*.toml"}}),
        ".file.path",
    )];
    let world = world(workspace(), "auto", &resources).await;
    world.resync().await;
    let (over_git, rest) = sorted(&world.take_requests().0);
    assert!(over_git.values().all(|count| *count == 1), "{over_git:?}");
    assert_eq!((over_git.len(), rest), (2, Vec::new()));
    world.finish();
}

#[tokio::test]
async fn a_push_is_read_over_git_too() {
    let world = world(workspace(), "auto", &resources()).await;
    world.resync().await;
    world.take_requests();
    let files = [("apps/new/catalog.yml", Some("b: 2\n"))];
    let (_, deliveries) = world.bitbucket.push("checkout", "main", &files).unwrap();
    world.accept(&deliveries).await;
    let (over_git, rest) = sorted(&world.take_requests().0);
    let expected = BTreeMap::from([("/acme/checkout".to_owned(), 2)]);
    assert_eq!((over_git, rest), (expected, Vec::new()));
    assert_eq!(world.fresh_catalogue().await, world.port.catalogue());
    world.finish();
}

/// Git knows two user names, by the kind of the token.
#[tokio::test]
async fn a_users_api_token_reads_over_git() {
    let settings = Settings::from([
        ("FERRY__CONTENTS", "auto".to_owned()),
        (
            "OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE_TOKEN",
            String::new(),
        ),
        (
            "OCEAN__INTEGRATION__CONFIG__BITBUCKET_USER_EMAIL",
            "ann@acme.example".to_owned(),
        ),
        (
            "OCEAN__INTEGRATION__CONFIG__BITBUCKET_USER_SCOPED_TOKEN",
            "ann-token".to_owned(),
        ),
    ]);
    let mut world = world(workspace(), "auto", &resources()).await;
    world
        .bitbucket
        .accept_basic("ann@acme.example", "ann-token");
    world.replace_function(settings);
    world.resync().await;
    let (over_git, rest) = sorted(&world.take_requests().0);
    assert_eq!((over_git.len(), rest), (2, Vec::new()));
    world.finish();
}

/// Files that go along with repositories and pull requests, at the head of a branch.
#[tokio::test]
async fn included_files_come_over_git() {
    let included =
        json!({"includedFiles": ["README.md", "./docs/a.md", "docs", "none", "large.txt"]});
    let resources = [
        resource("repository", included.clone(), ".slug"),
        resource("pull-request", included, ".id"),
    ];
    let world = world(workspace(), "auto", &resources).await;
    let bitbucket = &world.bitbucket;
    let large = "x".repeat(2 << 20);
    let files = [
        ("README.md", Some("# Next\n")),
        ("docs/a.md", Some("# A\n")),
        ("large.txt", Some(large.as_str())),
    ];
    bitbucket.push("empty", "release/2026", &files).unwrap();
    let author = bitbucket.users()[0].clone();
    for number in 0..3 {
        let branch = format!("feature/{number}");
        let files = [("x.md", Some("x"))];
        bitbucket.push("empty", &branch, &files).unwrap();
        let new = NewPullRequest {
            source: Some(branch.clone()),
            ..NewPullRequest::new(&branch, &author)
        };
        bitbucket.open_pull_request("empty", new).unwrap();
    }
    world.resync().await;
    let (over_git, rest) = sorted(&world.take_requests().0);
    let uuid = world.bitbucket.repository_uuid("empty").unwrap();
    // Once for the repository, once for its pull requests.
    assert_eq!(over_git["/acme/empty"], 4);
    let rest = rest.iter().filter(|target| target.contains(&uuid));
    assert_eq!(rest.count(), 0);
    assert_eq!(world.fresh_catalogue().await, world.port.catalogue());
    let files = &world.port.catalogue()["pull-request"];
    assert_eq!(files.as_object().unwrap().len(), 3);
    world.finish();
}

/// What lies elsewhere, and what git cannot tell, REST is asked for: no more than that.
#[tokio::test]
async fn what_git_does_not_have_comes_from_rest() {
    let world = world(workspace(), "auto", &resources()).await;
    let push = |path: &str, content: &[u8], kind| {
        let pushed = world
            .bitbucket
            .push_special("checkout", "main", path, content, kind);
        pushed.unwrap();
    };
    push("apps/lfs/README.md", b"# Large\n", FileKind::Lfs);
    push(
        "apps/lfs/catalog.yml",
        b"a: file://./README.md\n",
        FileKind::Plain,
    );
    push("apps/sub/README.md", b"1234", FileKind::Submodule);
    let escaped = r#"{"a": "\u0066ile://docs/Übersicht.md"}"#;
    push("catalog.yml", escaped.as_bytes(), FileKind::Plain);
    world.resync().await;
    let (_, rest) = sorted(&world.take_requests().0);
    let paths: Vec<&str> = rest
        .iter()
        .map(|target| target.split("/src/").nth(1).unwrap())
        .map(|place| place.split_once('/').unwrap().1)
        .collect();
    let mut paths = paths;
    paths.sort_unstable();
    // Included by the folder and by the file in it, it is read once.
    assert_eq!(paths, ["apps/lfs/README.md", "apps/sub/README.md"]);
    assert_eq!(world.fresh_catalogue().await, world.port.catalogue());
    world.finish();
}

/// How a link is written, and what type Bitbucket guesses, only a listing tells.
#[tokio::test]
async fn a_mapping_that_reads_what_only_a_listing_tells_is_read_over_rest() {
    for expression in [
        ".metadata.mimetype",
        ".metadata.links.self.href",
        ".metadata.escaped_path",
        ".metadata | tojson",
        ". | tojson",
    ] {
        let mut one = resource("file", json!({"files": {"path": "*.yml"}}), ".file.path");
        one["port"]["entity"]["mappings"]["properties"]["name"] = json!(expression);
        let world = world(workspace(), "auto", &[one]).await;
        world.resync().await;
        let (over_git, rest) = sorted(&world.take_requests().0);
        assert!(over_git.is_empty() && !rest.is_empty(), "{expression}");
        world.finish();
    }
}

#[tokio::test]
async fn rest_can_be_insisted_on() {
    let world = world(workspace(), "rest", &resources()).await;
    world.resync().await;
    let (requests, _) = world.take_requests();
    let (over_git, rest) = sorted(&requests);
    assert!(over_git.is_empty() && !rest.is_empty());
    assert_eq!(probes(&requests), 0);
    world.finish();
}

#[tokio::test]
async fn git_can_be_asked_without_asking_what_it_can_do() {
    let world = world(workspace(), "git", &resources()).await;
    world.resync().await;
    let (requests, _) = world.take_requests();
    assert_eq!((probes(&requests), sorted(&requests).1), (0, Vec::new()));
    world.finish();
}

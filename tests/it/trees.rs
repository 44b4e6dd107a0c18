//! Folders and files: what a tree holds, what a push changes in it.

use sandbox::bitbucket::FileKind;
use sandbox::server::tally;
use serde_json::{Value, json};

use crate::support::{IDENTIFIER, World};

/// Services by folder, manifests by file, packages by what a manifest lists, and whatever `port.yml` says.
fn mapping() -> Value {
    let resource = |kind: &str, selector: Value, port: Value| json!({"kind": kind, "selector": selector, "port": port});
    json!({"resources": [
        resource(
            "folder",
            json!({"query": "true", "folders": [{"path": "services/*"}], "includedFiles": ["./package.json"]}),
            json!({"entity": {"mappings": {
                "identifier": ".repo.slug + '/' + .folder.path",
                "title": ".folder.name",
                "blueprint": "'service'",
                "properties": {
                    "branch": ".branch", "pattern": ".pattern",
                    "package": ".__includedFiles[\"./package.json\"] // '' | (try fromjson.name catch null)",
                },
            }}}),
        ),
        resource(
            "folder",
            json!({"query": "true", "folders": [{"path": "services/**", "repos": ["monorepo"]}]}),
            json!({"entity": {"mappings": {
                "identifier": ".repo.slug + '/' + .folder.path", "blueprint": "'folder'",
            }}}),
        ),
        resource(
            "file",
            json!({"query": "true", "files": {"filenames": ["package.json", "*.bin", "logo.png", "gamma"]}}),
            json!({"entity": {"mappings": {
                "identifier": ".repo.slug + '/' + .metadata.path",
                "blueprint": "'manifest'",
                "properties": {"name": ".content.name", "branch": ".branch"},
            }}}),
        ),
        resource(
            "file",
            json!({"query": ".item.identifier != null", "files": [{"path": "**/port.yml"}]}),
            json!({
                "itemsToParse": ".content | if type == \"object\" then [.] elif type == \"array\" then . else [] end",
                "itemsToParseTopLevelTransform": false,
                "entity": {"mappings": ".item + {blueprint: \"service\"}"},
            }),
        ),
    ]})
}

async fn world() -> World {
    let world = World::demo().await;
    for (blueprint, properties) in [
        ("service", vec!["branch", "pattern", "package", "language"]),
        ("folder", vec![]),
        ("manifest", vec!["name", "branch"]),
    ] {
        let mut properties: serde_json::Map<String, Value> = properties
            .into_iter()
            .map(|name: &str| (name.to_owned(), json!({"type": "string"})))
            .collect();
        properties.insert("tier".to_owned(), json!({"type": "number"}));
        let blueprint = json!({
            "identifier": blueprint, "title": blueprint,
            "schema": {"properties": properties, "required": []},
        });
        world.port.put_blueprint(&blueprint).unwrap();
    }
    world.port.install(IDENTIFIER, mapping());
    world
}

#[tokio::test]
async fn folders_and_files_become_entities() {
    let world = world().await;
    let outcome = world.resync().await;
    insta::assert_json_snapshot!(world.port.catalogue(), @r#"
    {
      "folder": {
        "monorepo/services/alpha": {},
        "monorepo/services/beta": {},
        "monorepo/services/beta/deep": {},
        "monorepo/services/beta/deep/er": {}
      },
      "manifest": {
        "checkout-service/package.json": {
          "properties": {
            "branch": "main",
            "name": "checkout-service"
          }
        },
        "monorepo/services/alpha/package.json": {
          "properties": {
            "branch": "main",
            "name": "alpha"
          }
        },
        "monorepo/services/beta/package.json": {
          "properties": {
            "branch": "main",
            "name": "beta"
          }
        }
      },
      "service": {
        "alpha": {},
        "monorepo/services/alpha": {
          "title": "alpha",
          "properties": {
            "branch": "main",
            "package": "alpha",
            "pattern": "services/*"
          }
        },
        "monorepo/services/beta": {
          "title": "beta",
          "properties": {
            "branch": "main",
            "package": "beta",
            "pattern": "services/*"
          }
        },
        "payments-api": {
          "title": "Payments API",
          "properties": {
            "language": "Rust",
            "tier": 1
          }
        }
      }
    }
    "#);
    insta::assert_json_snapshot!(outcome["counts"], @r#"
    {
      "extracted": 12,
      "skipped": 3,
      "transformed": 12,
      "filtered_out": 0,
      "not_mapped": 0,
      "left_out": 0,
      "written": 11,
      "unchanged": 1,
      "refused": 0,
      "waiting": 0,
      "postponed": 0,
      "deleted": 0,
      "undeleted": 0,
      "kept": 0
    }
    "#);
    assert_eq!(outcome["mapping_problems"], json!([]));
    assert_eq!(outcome["failed_partitions"], json!([]));
    let kinds: Vec<String> = world.port.examples().into_keys().collect();
    assert_eq!(kinds, ["file", "folder"]);
    world.assert_converged().await;
    world.finish();
}

/// Four resources look at the same tree: it is listed once per repository, at the head that came along with that, and each
/// file is read once. One listing more
/// shows that Bitbucket can be asked for matches alone.
#[tokio::test]
async fn a_tree_is_listed_once_however_many_resources_look_at_it() {
    let world = world().await;
    world.resync().await;
    let (requests, _) = world.take_requests();
    let paths: Vec<String> = tally(&requests);
    let listings = paths
        .iter()
        .filter(|path| path.contains("max_depth"))
        .count();
    let heads = paths
        .iter()
        .filter(|path| path.contains("/refs/branches/"))
        .count();
    let with_commits = world.bitbucket.repositories().len() - 1;
    assert_eq!((listings, heads), (with_commits + 1, 0), "{paths:#?}");
    assert!(paths.iter().all(|path| !path.contains('×')), "{paths:#?}");
    world.finish();
}

#[tokio::test]
async fn a_push_changes_folders_and_files() {
    let world = world().await;
    world.resync().await;
    let pushes: [&[(&str, Option<&str>)]; 4] = [
        &[
            ("services/delta/package.json", Some("{\"name\": \"delta\"}")),
            ("port.yml", Some("- identifier: root\n- {}\n")),
        ],
        &[(
            "services/delta/package.json",
            Some("{\"name\": \"renamed\"}"),
        )],
        &[
            ("services/delta/package.json", None),
            ("services/beta/package.json", Some("{broken")),
        ],
        &[(
            "port.yml",
            Some("identifier: other\nproperties:\n  package: file://CODEOWNERS\n"),
        )],
    ];
    for files in pushes {
        let (_, deliveries) = world.bitbucket.push("monorepo", "main", files).unwrap();
        world.accept(&deliveries).await;
        world.assert_converged().await;
    }
    let catalogue = world.port.catalogue();
    assert_eq!(
        catalogue["service"]["other"]["properties"]["package"],
        "* @acme/platform\n"
    );
    assert!(catalogue["service"]["root"].is_null());
    world.finish();
}

#[tokio::test]
async fn a_push_to_another_branch_costs_no_listing() {
    let world = world().await;
    world.resync().await;
    let deliveries = world
        .bitbucket
        .create_branch("monorepo", "feature/x", None)
        .unwrap();
    world.take_requests();
    world.accept(&deliveries).await;
    let (requests, _) = world.take_requests();
    assert_eq!(tally(&requests).len(), 1, "{:?}", tally(&requests));
    world.assert_converged().await;
    world.finish();
}

#[tokio::test]
async fn folders_and_files_follow_their_repository() {
    let world = world().await;
    world.resync().await;
    let (_, created) = world
        .bitbucket
        .create_repository("PAY", "Brand New")
        .unwrap();
    world.accept(&created).await;
    let (_, pushed) = world
        .bitbucket
        .push(
            "brand-new",
            "main",
            &[("services/one/package.json", Some("{\"name\": \"one\"}"))],
        )
        .unwrap();
    world.accept(&pushed).await;
    world.assert_converged().await;
    assert!(
        world
            .port
            .entity("service", "brand-new/services/one")
            .is_some()
    );

    world
        .accept(
            &world
                .bitbucket
                .rename_repository("brand-new", "Newer")
                .unwrap(),
        )
        .await;
    world.assert_converged().await;
    assert!(
        world
            .port
            .entity("service", "brand-new/services/one")
            .is_none()
    );
    assert!(world.port.entity("service", "newer/services/one").is_some());

    world
        .accept(&world.bitbucket.delete_repository("newer").unwrap())
        .await;
    assert!(world.port.entity("service", "newer/services/one").is_none());
    world.assert_converged().await;
    world.finish();
}

/// A tree too large to be listed in one go is listed folder by folder.
#[tokio::test]
async fn a_tree_that_is_too_large_is_listed_level_by_level() {
    use sandbox::server::Fault;

    let calm = world().await;
    calm.resync().await;
    let world = world().await;
    world
        .bitbucket
        .server()
        .misbehave(Fault::status("max_depth=12", 555).always());
    world.resync().await;
    assert_eq!(world.port.catalogue(), calm.port.catalogue());
    calm.finish();
    world.finish();
}

#[tokio::test]
async fn what_is_no_text_is_counted() {
    let world = world().await;
    let (_, deliveries) = world
        .bitbucket
        .push_special(
            "monorepo",
            "main",
            "services/alpha/blob.bin",
            vec![0_u8; 2 << 20],
            FileKind::Plain,
        )
        .unwrap();
    drop(deliveries);
    let outcome = world.resync().await;
    insta::assert_json_snapshot!(outcome["counts"]["skipped"], @"4");
    world.finish();
}

/// Hundreds of files in nested folders on a branch with a slash, and among them what cannot be read.
#[tokio::test]
async fn awkward_trees_cost_nothing_but_what_cannot_be_read() {
    let world = world().await;
    let bitbucket = &world.bitbucket;
    let paths: Vec<String> = (0..300)
        .map(|n| format!("level{}/deeper/{}/package.json", n % 7, n))
        .collect();
    let files: Vec<(&str, Option<&str>)> = paths
        .iter()
        .map(|path| (path.as_str(), Some("{\"name\": \"one of many\"}")))
        .collect();
    bitbucket.push("a.b_c", "release/2026", &files).unwrap();
    let broken = [
        ("bad/package.json", Some("{oops")),
        ("bad/port.yml", Some("a: [1")),
    ];
    bitbucket.push("a.b_c", "release/2026", &broken).unwrap();
    for (path, content, kind) in [
        ("huge/package.json", vec![b'x'; 5 << 20], FileKind::Plain),
        ("binary/package.json", vec![0, 1, 2], FileKind::Binary),
        (
            "unmarked/package.json",
            vec![b'{', 0, b'}'],
            FileKind::Plain,
        ),
        ("link/package.json", b"elsewhere".to_vec(), FileKind::Link),
    ] {
        bitbucket
            .push_special("a.b_c", "release/2026", path, content, kind)
            .unwrap();
    }
    let outcome = world.resync().await;
    assert_eq!(outcome["failed_partitions"], json!([]));
    let manifests = world.identifiers().remove("manifest").unwrap();
    let of_this = manifests.iter().filter(|id| id.starts_with("a.b_c/"));
    // What does not parse is text, and an entity all the same.
    assert_eq!(of_this.count(), 300 + 1);
    let before = 3;
    assert_eq!(outcome["counts"]["skipped"], before + 4);
    world.assert_converged().await;
    world.finish();
}

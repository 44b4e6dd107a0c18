//! Kinds beyond projects, repositories, pull requests, folders and files.

use sandbox::bitbucket::Bitbucket;
use sandbox::server::tally;
use sandbox::webhook::Delivery;
use serde_json::{Map, Value, json};

use crate::support::{IDENTIFIER, World};

/// A resource whose entities are named by `identifier` and have these properties.
fn resource(kind: &str, selector: Value, identifier: &str, properties: Value) -> Value {
    let mut selector = selector;
    selector["query"] = json!("true");
    json!({"kind": kind, "selector": selector, "port": {"entity": {"mappings": {
        "identifier": identifier, "blueprint": format!("'{kind}'"), "properties": properties,
    }}}})
}

async fn world(resources: Vec<Value>) -> World {
    let world = World::demo().await;
    for resource in &resources {
        let mappings = &resource["port"]["entity"]["mappings"];
        let properties: Map<String, Value> = mappings["properties"]
            .as_object()
            .unwrap()
            .keys()
            .map(|name| (name.clone(), json!({"type": "string"})))
            .collect();
        let blueprint = json!({
            "identifier": resource["kind"], "title": resource["kind"],
            "schema": {"properties": properties, "required": []},
        });
        world.port.put_blueprint(&blueprint).unwrap();
    }
    world
        .port
        .install(IDENTIFIER, json!({"resources": resources}));
    world
}

fn all() -> Vec<Value> {
    vec![
        resource("workspace", json!({}), ".slug", json!({"name": ".name"})),
        resource(
            "user",
            json!({}),
            ".user.uuid | gsub(\"[{}]\"; \"\")",
            json!({"name": ".user.display_name"}),
        ),
        resource(
            "branch",
            json!({"names": ["main", "trunk", "release/*"]}),
            ".repo.slug + '/' + .branch.name",
            json!({"head": ".branch.target.hash | .[0:4] | type"}),
        ),
        resource("tag", json!({}), ".repo.slug + '/' + .tag.name", json!({})),
        resource(
            "pipeline",
            json!({"targetBranch": "main"}),
            ".repo.slug + '/' + (.pipeline.build_number | tostring)",
            json!({"state": ".pipeline.state.name"}),
        ),
        resource(
            "deployment",
            json!({}),
            ".repo.slug + '/' + (.deployment.uuid | gsub(\"[{}]\"; \"\"))",
            json!({"state": ".deployment.state.name"}),
        ),
        resource(
            "environment",
            json!({}),
            ".repo.slug + '/' + .environment.name",
            json!({}),
        ),
        resource(
            "pull-request",
            json!({"includedFiles": ["CODEOWNERS"]}),
            ".destination.repository.uuid + '/' + (.id | tostring) | gsub(\"[{}]\"; \"\")",
            json!({"owners": ".__includedFiles[\"CODEOWNERS\"]"}),
        ),
    ]
}

#[tokio::test]
async fn each_kind_becomes_entities() {
    let world = world(all()).await;
    let outcome = world.resync().await;
    assert_eq!(outcome["mapping_problems"], json!([]));
    assert_eq!(outcome["failed_partitions"], json!([]));
    assert_eq!(outcome["counts"]["refused"], 0);
    insta::assert_json_snapshot!(world.port.catalogue(), @r#"
    {
      "branch": {
        "a.b_c/release/2026": {
          "properties": {
            "head": "string"
          }
        },
        "checkout-service/main": {
          "properties": {
            "head": "string"
          }
        },
        "monorepo/main": {
          "properties": {
            "head": "string"
          }
        },
        "payments-api-luis/main": {
          "properties": {
            "head": "string"
          }
        },
        "payments-api/main": {
          "properties": {
            "head": "string"
          }
        },
        "zurich-unicode/trunk": {
          "properties": {
            "head": "string"
          }
        }
      },
      "deployment": {
        "payments-api/6294f8a0-6406-5664-9118-7bdc954e3481": {
          "properties": {
            "state": "COMPLETED"
          }
        },
        "payments-api/e2e4a830-9ce0-5baf-9984-e187d827cde0": {
          "properties": {
            "state": "COMPLETED"
          }
        }
      },
      "environment": {
        "payments-api/Production": {},
        "payments-api/Staging": {}
      },
      "pipeline": {
        "payments-api/1": {
          "properties": {
            "state": "COMPLETED"
          }
        },
        "payments-api/2": {
          "properties": {
            "state": "COMPLETED"
          }
        },
        "payments-api/3": {
          "properties": {
            "state": "IN_PROGRESS"
          }
        }
      },
      "pull-request": {
        "b06f29dc-f967-5e2d-9512-53405101f778/1": {},
        "b06f29dc-f967-5e2d-9512-53405101f778/2": {},
        "b06f29dc-f967-5e2d-9512-53405101f778/3": {},
        "e10466c6-7334-567e-b0bf-5babbdfb4de0/1": {
          "properties": {
            "owners": "* @acme/payments\n/docs @acme/writers\n"
          }
        },
        "e10466c6-7334-567e-b0bf-5babbdfb4de0/2": {
          "properties": {
            "owners": "* @acme/payments\n/docs @acme/writers\n"
          }
        },
        "e10466c6-7334-567e-b0bf-5babbdfb4de0/6": {
          "properties": {
            "owners": "* @acme/payments\n/docs @acme/writers\n"
          }
        }
      },
      "tag": {
        "payments-api/v1.0.0": {},
        "payments-api/v1.1.0": {}
      },
      "user": {
        "34b23bfd-94c1-5328-970e-9a9a0a6bab58": {
          "properties": {
            "name": "Luis Ferro"
          }
        },
        "7287b909-8eb5-54ee-a53d-e2db20dde23b": {
          "properties": {
            "name": "Dana Okafor"
          }
        },
        "e30646d5-cac9-58cb-a89a-99dc62e3185a": {
          "properties": {
            "name": "Mina Sato"
          }
        }
      },
      "workspace": {
        "acme-platform": {
          "properties": {
            "name": "Acme Platform"
          }
        }
      }
    }
    "#);
    let kinds: Vec<String> = world.port.examples().into_keys().collect();
    assert_eq!(kinds.len(), 8, "{kinds:?}");
    world.assert_converged().await;
    world.finish();
}

type Change = fn(&Bitbucket) -> anyhow::Result<Vec<Delivery>>;

#[tokio::test]
async fn branches_and_tags_follow_pushes() {
    let world = world(all()).await;
    world.resync().await;
    let changes: [Change; 5] = [
        |bitbucket| bitbucket.create_branch("payments-api", "release/1", None),
        |bitbucket| bitbucket.create_tag("payments-api", "v9", None),
        |bitbucket| bitbucket.delete_branch("payments-api", "release/1"),
        |bitbucket| bitbucket.delete_tag("payments-api", "v1.0.0"),
        |bitbucket| bitbucket.rename_repository("payments-api", "Paying"),
    ];
    for change in changes {
        let deliveries = change(&world.bitbucket).unwrap();
        world.accept(&deliveries).await;
        world.assert_converged().await;
    }
    assert!(world.port.entity("tag", "paying/v9").is_some());
    assert!(world.port.entity("tag", "payments-api/v9").is_none());
    world.finish();
}

/// A file on the branch that pull requests go to is read once for all of them.
#[tokio::test]
async fn files_of_pull_requests_are_read_once_per_branch() {
    let pull_requests = all().pop().unwrap();
    let world = world(vec![pull_requests]).await;
    world.resync().await;
    let (requests, _) = world.take_requests();
    let files: Vec<String> = tally(&requests)
        .into_iter()
        .filter(|path| path.contains("/src/") || path.contains("/refs/"))
        .map(|path| match path.split_once("/src/") {
            Some((before, after)) => {
                let (commit, file) = after.split_once('/').unwrap();
                format!("{before}/src/<{} digits>/{file}", commit.len())
            }
            None => path,
        })
        .collect();
    insta::assert_snapshot!(files.join("\n"), @"
    GET /2.0/repositories/acme-platform/{b06f29dc-f967-5e2d-9512-53405101f778}/refs/branches/main
    GET /2.0/repositories/acme-platform/{b06f29dc-f967-5e2d-9512-53405101f778}/src/<40 digits>/CODEOWNERS
    GET /2.0/repositories/acme-platform/{e10466c6-7334-567e-b0bf-5babbdfb4de0}/refs/branches/main
    GET /2.0/repositories/acme-platform/{e10466c6-7334-567e-b0bf-5babbdfb4de0}/src/<40 digits>/CODEOWNERS
    ");
    world.finish();
}

#[tokio::test]
async fn lists_are_bounded() {
    let bounded = vec![
        resource(
            "tag",
            json!({"limit": 1}),
            ".repo.slug + '/' + .tag.name",
            json!({}),
        ),
        resource(
            "pipeline",
            json!({"limit": 2}),
            ".repo.slug + '/' + (.pipeline.build_number | tostring)",
            json!({}),
        ),
    ];
    let world = world(bounded).await;
    world.resync().await;
    insta::assert_json_snapshot!(world.identifiers(), @r#"
    {
      "pipeline": [
        "payments-api/2",
        "payments-api/3"
      ],
      "tag": [
        "payments-api/v1.1.0"
      ]
    }
    "#);
    // What is older than the default of 30 days is left alone.
    world
        .clock
        .advance(std::time::Duration::from_secs(40 * 24 * 3600));
    world.resync().await;
    assert!(!world.identifiers().contains_key("pipeline"));
    world.finish();
}

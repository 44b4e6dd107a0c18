//! A scheduled resync, on good days and on bad ones.

use sandbox::bitbucket::{Bitbucket, PullRequestState, Workspace};
use sandbox::port::WriteKind;
use sandbox::server::{Request, tally};
use serde_json::{Value, json};

use crate::convergence::difference;
use crate::support::{IDENTIFIER, Settings, World};

#[tokio::test]
async fn an_empty_workspace_makes_an_empty_catalogue() {
    let world = World::new(Workspace::empty("nobody"), Settings::new()).await;
    let outcome = world.resync().await;
    assert_eq!(outcome["counts"]["extracted"], 0);
    assert!(world.port.entities().is_empty());
    world.finish();
}

#[tokio::test]
async fn the_first_resync_fills_the_catalogue() {
    let world = World::demo().await;
    let outcome = world.resync().await;
    insta::assert_json_snapshot!(world.identifiers(), @r#"
    {
      "bitbucketProject": [
        "LEGACY",
        "PAY",
        "PLAT"
      ],
      "bitbucketPullRequest": [
        "checkout-service/1",
        "checkout-service/2",
        "checkout-service/3",
        "payments-api/1",
        "payments-api/2",
        "payments-api/6"
      ],
      "bitbucketRepository": [
        "a.b_c",
        "checkout-service",
        "empty-repo",
        "monorepo",
        "old-billing-archived",
        "payments-api",
        "payments-api-luis",
        "perl-scripts",
        "zurich-unicode"
      ]
    }
    "#);
    assert_eq!(outcome["failed_partitions"], json!([]));
    assert_eq!(outcome["mapping_problems"], json!([]));
    assert_eq!(outcome["counts"]["refused"], 0);
    let states: Vec<Value> = world
        .port
        .resync_states()
        .iter()
        .map(|state| state["status"].clone())
        .collect();
    assert_eq!(states, ["running", "completed"]);
    let kinds: Vec<String> = world.port.examples().into_keys().collect();
    assert_eq!(kinds, ["project", "pull-request", "repository"]);
    world.finish();
}

#[tokio::test]
async fn an_entity_holds_what_the_default_mapping_says() {
    let world = World::demo().await;
    world.resync().await;
    let catalogue = world.port.catalogue();
    insta::assert_json_snapshot!(catalogue["bitbucketRepository"]["payments-api"], @r##"
    {
      "title": "Payments API",
      "properties": {
        "codeowners": "* @acme/payments\n/docs @acme/writers\n",
        "defaultBranch": "main",
        "readme": "# Payments API\n\nTakes and returns money.\n",
        "url": "https://bitbucket.org/acme-platform/payments-api"
      },
      "relations": {
        "project": "PAY"
      }
    }
    "##);
    let pull_request = catalogue["bitbucketPullRequest"]
        .as_object()
        .unwrap()
        .values()
        .next()
        .cloned();
    insta::assert_json_snapshot!(pull_request, @r#"
    {
      "title": "Speed up the cart",
      "properties": {
        "assignees": [
          "Dana Okafor"
        ],
        "createdAt": "2026-11-23T09:00:38.124522+00:00",
        "creator": "Former user",
        "link": "https://bitbucket.org/acme-platform/checkout-service/pull-requests/1",
        "reviewers": [
          "Dana Okafor"
        ],
        "status": "OPEN",
        "updatedAt": "2026-11-23T09:00:38.124522+00:00"
      },
      "relations": {
        "repository": "checkout-service"
      }
    }
    "#);
    world.finish();
}

#[tokio::test]
async fn a_second_resync_reads_and_writes_nothing() {
    let world = World::demo().await;
    world.resync().await;
    world.port.take_writes();
    world.take_requests();
    let outcome = world.resync().await;
    assert_eq!(world.port.take_writes(), []);
    assert_eq!(outcome["counts"]["written"], 0);
    let (_, port) = world.take_requests();
    insta::assert_snapshot!(tally(&port).join("\n"), @"
    GET /v1/integration/ferry-tests/resync-request
    GET /v1/integration/ferry-tests?oceanCoreVersion=0.48.12&isPolling=false
    PATCH /v1/integration/ferry-tests/resync-state ×2
    POST /ingest/logs/ferry-tests
    POST /ingest/metrics/ferry-tests/syncMetrics
    POST /v1/blueprints/bitbucketProject/entities/search
    POST /v1/blueprints/bitbucketPullRequest/entities/search
    POST /v1/blueprints/bitbucketRepository/entities/search
    POST /v1/blueprints/entities/datasource-entities
    ");
    world.finish();
}

/// Design: ceil(P/100) + ceil(R/100) + the sum over repositories of max(1, ceil(PR/50)) + included files.
#[tokio::test]
async fn requests_to_bitbucket_follow_the_formula() {
    let (projects, repositories, pull_requests) = (3, 120, 60);
    let workspace = Workspace::generate(projects, repositories, pull_requests, 7).unwrap();
    let world = World::new(workspace, Settings::new()).await;
    world.resync().await;
    let (requests, _) = world.take_requests();
    let open = open_pull_requests(&world.bitbucket);
    assert_eq!(open.len(), repositories);
    let of_pull_requests: usize = open.iter().map(|count| count.div_ceil(50).max(1)).sum();
    let is_file = |request: &&Request| request.path.contains("/src/");
    let files = requests.iter().filter(is_file).count();
    // The default mapping includes README.md and CODEOWNERS of each repository.
    assert_eq!(files, 2 * repositories);
    let listings = projects.div_ceil(100) + repositories.div_ceil(100) + of_pull_requests;
    assert_eq!(
        requests.len() - files,
        listings,
        "\n{}",
        tally(&requests).join("\n")
    );
    world.finish();
}

fn open_pull_requests(bitbucket: &Bitbucket) -> Vec<usize> {
    let is_open = |state: &PullRequestState| matches!(state, PullRequestState::Open);
    let count = |repository: &String| {
        let all = bitbucket.pull_requests(repository).unwrap();
        all.iter().filter(|(_, state)| is_open(state)).count()
    };
    bitbucket.repositories().iter().map(count).collect()
}

#[tokio::test]
async fn small_pages_and_slow_starts_change_nothing() {
    let world = World::demo().await;
    world.resync().await;
    let whole = world.port.catalogue();
    let paged = World::demo().await;
    paged.port.configure(|behaviour| behaviour.page_size = 2);
    paged.resync().await;
    assert_eq!(paged.port.catalogue(), whole);
    paged.assert_converged().await;
    paged.finish();
    world.finish();
}

#[tokio::test]
async fn what_disappeared_from_bitbucket_disappears_from_port() {
    let world = World::demo().await;
    world.resync().await;
    let before = world.identifiers();
    world.bitbucket.delete_repository("payments-api").unwrap();
    let outcome = world.resync().await;
    let after = world.identifiers();
    let gone: Vec<&String> = before
        .values()
        .flatten()
        .filter(|identifier| !after.values().flatten().any(|left| left == *identifier))
        .collect();
    insta::assert_json_snapshot!(gone, @r#"
    [
      "payments-api/1",
      "payments-api/2",
      "payments-api/6",
      "payments-api"
    ]
    "#);
    assert_eq!(outcome["counts"]["deleted"], gone.len());
    world.finish();
}

#[tokio::test]
async fn what_others_put_into_port_stays() {
    let world = World::demo().await;
    world.resync().await;
    let other = json!({"identifier": "by-hand", "title": "Made by hand", "properties": {}, "relations": {}});
    world
        .port
        .put_entity("bitbucketRepository", &other, "manual")
        .unwrap();
    world.bitbucket.delete_repository("perl-scripts").unwrap();
    world.resync().await;
    assert!(
        world
            .port
            .entity("bitbucketRepository", "by-hand")
            .is_some()
    );
    assert!(
        world
            .port
            .entity("bitbucketRepository", "perl-scripts")
            .is_none()
    );
    world.finish();
}

/// Invariant: a run cut after any number of requests, and continued, ends in the same catalogue as an uncut one,
/// and deletes nothing on the way that the uncut one would not delete.
#[tokio::test]
async fn a_run_cut_anywhere_ends_in_the_same_catalogue() {
    let uncut = World::demo().await;
    uncut.resync().await;
    change(&uncut.bitbucket);
    uncut.take_requests();
    uncut.port.take_writes();
    uncut.resync().await;
    let wanted = uncut.port.catalogue();
    let (bitbucket, port) = uncut.take_requests();
    let may_go: Vec<String> = deletions(&uncut);
    uncut.finish();

    for (requests, of_bitbucket) in [(bitbucket.len(), true), (port.len(), false)] {
        for cut in 0..requests {
            let world = World::demo().await;
            world.resync().await;
            change(&world.bitbucket);
            world.port.take_writes();
            let server = if of_bitbucket {
                world.bitbucket.server()
            } else {
                world.port.server()
            };
            server.cut_after(cut);
            // However it ends, it is an answer or an error, and the request is not forgotten.
            let cut_short = world.invoke(json!({"action": "resync"})).await;
            server.behave();
            let mut last = cut_short.unwrap_or_default();
            for _ in 0..10 {
                if last["status"] == "completed" && last["failed_partitions"] == json!([]) {
                    break;
                }
                let next = match last["status"] == "completed" {
                    // It completed with parts unread: the next schedule reads them.
                    true => world.invoke(json!({"action": "resync"})).await,
                    false => world.tick().await,
                };
                last = next.unwrap();
                if last["status"] == "idle" {
                    last = world.invoke(json!({"action": "resync"})).await.unwrap();
                }
            }
            assert_eq!(
                last["status"], "completed",
                "cut after {cut} of {requests}: {last}"
            );
            let found = world.port.catalogue();
            assert!(
                found == wanted,
                "cut after {cut} of {requests}: {}",
                difference(&found, &wanted)
            );
            for gone in deletions(&world) {
                assert!(
                    may_go.contains(&gone),
                    "cut after {cut} of {requests}: {gone} was deleted"
                );
            }
            world.finish();
        }
    }
}

fn change(bitbucket: &Bitbucket) {
    bitbucket.delete_repository("perl-scripts").unwrap();
    bitbucket
        .rename_repository("monorepo", "Mono Repo")
        .unwrap();
    bitbucket
        .describe_repository("payments-api", "Takes and returns money, in cents")
        .unwrap();
}

fn deletions(world: &World) -> Vec<String> {
    let writes = world.port.writes();
    let is_deletion =
        |kind: WriteKind| matches!(kind, WriteKind::Deleted | WriteKind::DeletedDependent);
    writes
        .into_iter()
        .filter(|write| is_deletion(write.kind))
        .map(|write| write.identifier)
        .collect()
}

#[tokio::test]
async fn an_existing_installation_keeps_its_mapping_and_blueprints() {
    let world = World::demo().await;
    let mapping = json!({"resources": [{
        "kind": "repository",
        "selector": {"query": ".is_private"},
        "port": {"entity": {"mappings": {
            "identifier": ".slug", "title": ".name", "blueprint": "'service'",
            "properties": {"language": ".language", "project": ".project.name"},
        }}},
    }]});
    let blueprint = json!({"identifier": "service", "title": "Service", "schema": {"properties": {
        "language": {"type": "string"}, "project": {"type": "string"}
    }}});
    world.port.put_blueprint(&blueprint).unwrap();
    world.port.install(IDENTIFIER, mapping.clone());
    world.resync().await;
    assert_eq!(world.port.integration().unwrap()["config"], mapping);
    assert_eq!(world.port.blueprints().len(), 1);
    assert_eq!(
        world.identifiers().into_keys().collect::<Vec<_>>(),
        ["service"]
    );
    world.assert_converged().await;
    world.finish();
}

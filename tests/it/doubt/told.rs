//! What a run leaves, it says: once, with how much of it there is, and not for ever.

use sandbox::bitbucket::Workspace;
use sandbox::server::{Fault, FaultKind, Request, Response};
use serde_json::{Value, json};

use super::pace::{allow, by_the_hour};
use super::{NUMBERED, assert_fresh, assert_spared, blueprint, resource, run, with_resources};
use crate::support::{IDENTIFIER, Settings, World};

fn pull_requests() -> Value {
    resource("pull-request", json!({}), "pr", json!(NUMBERED))
}

/// Bitbucket counts what these credentials are not to see: such a list fails at first, then it is believed in what it
/// shows.
#[tokio::test]
async fn a_list_that_counts_what_it_does_not_show_is_a_loss_once() {
    let world = with_resources(&["pr"], vec![pull_requests()]).await;
    let counts = FaultKind::rewrite("counts seven, shows none", |_, mut response: Response| {
        let mut page: Value = serde_json::from_slice(&response.body).unwrap();
        page["values"] = json!([]);
        page["size"] = json!(7);
        response.body = page.to_string().into_bytes();
        response
    });
    let is_list = |request: &Request| request.path.ends_with("/pullrequests");
    let fault = Fault::new("/pullrequests", counts).when(is_list);
    world.bitbucket.server().misbehave(fault.always());
    let lists = world.bitbucket.repositories().len();
    for status in ["completed_with_losses", "completed", "completed"] {
        let outcome = run(&world).await.unwrap();
        assert_eq!(outcome["status"], status, "{outcome:#}");
        assert_eq!(outcome["failures"], 0, "{outcome:#}");
        assert_eq!(outcome["hidden"].as_array().unwrap().len(), lists);
    }
    // Nothing goes for what it does not show.
    let ours = format!("port-ocean/bitbucket-cloud/1/{IDENTIFIER}/exporter");
    let left_over = json!({"identifier": "left-over"});
    world.port.put_entity("pr", &left_over, &ours).unwrap();
    world.port.take_writes();
    let outcome = world.resync_with_losses().await;
    assert_eq!(outcome["withheld"], 1, "{outcome:#}");
    assert_eq!(super::deleted(&world), []);
    world.bitbucket.server().behave();
    let outcome = world.resync().await;
    assert_eq!(outcome["hidden"], json!([]));
    assert_fresh(&world, "the list shows all that it counts").await;
    world.finish();
}

/// Somebody else has taken it over: it is not ours to delete, and a person should know.
#[tokio::test]
async fn what_port_does_not_call_ours_stays_and_is_told() {
    let world = with_resources(&["pr"], vec![pull_requests()]).await;
    world.resync().await;
    let before = world.identifiers();
    let entities = before["pr"].iter();
    let mut of_first = entities.filter(|one| one.to_lowercase().starts_with("payments-api/1"));
    let taken = of_first.next().unwrap().clone();
    let entity = json!({"identifier": taken, "title": "Mine"});
    world.port.put_entity("pr", &entity, "somebody").unwrap();
    world
        .bitbucket
        .decline("payments-api", 1, "Dana Okafor", "No")
        .unwrap();
    world.port.take_writes();
    let outcome = run(&world).await.unwrap();
    assert_eq!(outcome["status"], "completed", "{outcome:#}");
    assert_eq!(outcome["counts"]["kept"], 1, "{outcome:#}");
    let kept = outcome["kept"].as_str().unwrap();
    assert!(
        kept.contains("1 leftover") && kept.contains(&taken),
        "{kept}"
    );
    assert_spared(&world, &json!({"pr": {&*taken: {}}}), "taken over");
    // It is nobody's business any more.
    let outcome = world.resync().await;
    assert_eq!(outcome["counts"]["kept"], 0, "{outcome:#}");
    world.finish();
}

/// An expression fails for what the first slice reads, and for nothing else.
#[tokio::test]
async fn what_the_mapping_could_not_do_is_told_at_the_end_of_a_run_of_several_slices() {
    let workspace = Workspace::generate(2, 30, 4, 3).unwrap();
    let world = World::new(workspace, Settings::new()).await;
    blueprint(&world, "repository", &[]);
    let mut repositories = resource("repository", json!({}), "repository", json!(".slug"));
    repositories["port"]["entity"]["mappings"]["properties"]["name"] =
        json!("if .slug == \"service-1\" then error(\"unlucky\") else .name end");
    blueprint(&world, "pr", &[]);
    let resources = json!([repositories, pull_requests()]);
    world
        .port
        .install(IDENTIFIER, json!({"resources": resources}));
    allow(&world, 10);
    let (outcome, hours) = by_the_hour(&world).await;
    assert!(1 < hours, "it took one slice");
    let problems = outcome["mapping_problems"].to_string();
    assert!(problems.contains("unlucky"), "{outcome:#}");
    world.finish();
}

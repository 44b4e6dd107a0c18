//! Calls that Port refuses, and answers that are not what was asked for: each costs what it is about, and no more.

use std::time::Duration;

use sandbox::bitbucket::NewPullRequest;
use sandbox::server::{Fault, FaultKind, Request};
use serde_json::{Value, json};

use super::{assert_settled, repositories};
use crate::doubt::{NUMBERED, blueprint, deleted, is_write, resource, retitle, run};
use crate::support::{IDENTIFIER, World, event};

/// Repositories, and all their pull requests.
async fn world() -> World {
    let world = World::demo().await;
    blueprint(&world, "repository", &[]);
    blueprint(&world, "pull", &[]);
    for number in 0..25 {
        let new = NewPullRequest::new(format!("more {number}"), "Dana Okafor");
        world
            .bitbucket
            .open_pull_request("payments-api", new)
            .unwrap();
    }
    world.port.install(IDENTIFIER, json!({"resources": [
        repositories(json!({"identifier": ".slug", "blueprint": "\"repository\"", "properties": {"name": ".name"}})),
        resource("pull-request", json!({"pullRequestQuery": "state=\"OPEN\""}), "pull", json!(NUMBERED)),
    ]}));
    world
}

fn is_search(request: &Request) -> bool {
    request.path.ends_with("/search") || request.path.ends_with("datasource-entities")
}

/// An answer whose list of entities goes by another name.
fn of_another_shape() -> FaultKind {
    FaultKind::rewrite("another shape", |_, mut answer| {
        if let Ok(Value::Object(mut body)) = serde_json::from_slice::<Value>(&answer.body) {
            let entities = body.shift_remove("entities").unwrap_or_default();
            body.insert("items".to_owned(), entities);
            answer.body = Value::Object(body).to_string().into_bytes();
        }
        answer
    })
}

/// Where Port misunderstands what to include, its answer is no empty catalogue: it is asked again, whole.
#[tokio::test]
async fn an_answer_that_names_no_entities_is_no_empty_catalogue() {
    for (story, kind) in [
        ("no identifiers", FaultKind::without_identifiers()),
        ("another shape", of_another_shape()),
    ] {
        let world = world().await;
        world.resync().await;
        world.port.server().take_requests();
        // Only what asks for a choice of fields, or for a data source, is misunderstood.
        let narrow = |request: &Request| {
            is_search(request)
                && (request.query("include").is_some()
                    || !request.json()["include"].is_null()
                    || request.path.ends_with("datasource-entities"))
        };
        world
            .port
            .server()
            .misbehave(Fault::new("", kind.clone()).when(narrow).always());
        world
            .bitbucket
            .decline("payments-api", 1, "Dana Okafor", "")
            .unwrap();
        world.port.take_writes();
        run(&world).await.unwrap();
        let writes = world.port.take_writes();
        assert_eq!(
            writes.len(),
            1,
            "{story}: only what is closed goes: {writes:#?}"
        );
        assert!(writes[0].kind.is_delete(), "{story}");
        let news = world
            .bitbucket
            .decline("payments-api", 2, "Dana Okafor", "")
            .unwrap();
        world.accept(&news).await;
        assert_eq!(
            world.port.take_writes().len(),
            1,
            "{story}: an event deletes as well"
        );
        world.port.server().behave();
        assert_settled(&world, "completed", story).await;
        world.finish();
    }
}

/// Where not even the whole answer names them, nothing is deleted and nothing is forgotten.
#[tokio::test]
async fn an_answer_that_never_names_entities_deletes_and_forgets_nothing() {
    let world = world().await;
    world.resync().await;
    let fault = Fault::new("", FaultKind::without_identifiers())
        .when(is_search)
        .always();
    world.port.server().misbehave(fault);
    let news = world
        .bitbucket
        .decline("payments-api", 1, "Dana Okafor", "")
        .unwrap();
    world.port.take_writes();
    world.accept(&news).await;
    assert_eq!(deleted(&world), []);
    world.invoke(event("eventbridge-rule")).await.ok();
    assert_eq!(world.port.take_writes(), []);
    world.port.server().behave();
    world.clock.advance(Duration::from_secs(3_600));
    run(&world).await.unwrap();
    world.settle().await;
    run(&world).await.unwrap();
    assert_eq!(world.port.catalogue(), world.fresh_catalogue().await);
    world.finish();
}

/// The search of one blueprint is refused: what has changed of it is known from the records alone.
#[tokio::test]
async fn a_search_that_is_refused_for_one_blueprint_costs_its_comparison_alone() {
    for status in [400, 403, 422] {
        let world = world().await;
        world.resync().await;
        let fault = Fault::refused("blueprints/pull/entities/search", status).always();
        world.port.server().misbehave(fault);
        retitle(&world.bitbucket, "payments-api", 1, "retitled");
        world.port.take_writes();
        run(&world).await.unwrap();
        let writes = world.port.take_writes();
        let written: Vec<&str> = writes
            .iter()
            .map(|write| write.blueprint.as_str())
            .collect();
        assert_eq!(
            written,
            ["pull"],
            "{status}: only what has changed: {writes:#?}"
        );
        world.port.server().behave();
        assert_settled(&world, "completed", &status.to_string()).await;
        world.finish();
    }
}

/// Twenty go in one call: one that Port forbids costs no other.
#[tokio::test]
async fn a_bulk_that_is_forbidden_for_one_entity_is_split() {
    for status in [403, 422] {
        let world = world().await;
        let meant = "Payments-API/6";
        let refused = move |request: &Request| {
            is_write(request) && String::from_utf8_lossy(&request.body).contains(meant)
        };
        let fault = Fault::new("", FaultKind::refused(status))
            .when(refused)
            .always();
        world.port.server().misbehave(fault);
        let outcome = world.resync_with_losses().await;
        assert_eq!(outcome["counts"]["refused"], 1, "{status}: {outcome:#}");
        let pulls = &world.identifiers()["pull"];
        assert!(!pulls.iter().any(|pull| pull == meant), "{status}");
        assert!(25 < pulls.len(), "{status}");
        world.port.server().behave();
        world.resync().await;
        assert!(
            world.identifiers()["pull"].iter().any(|pull| pull == meant),
            "{status}"
        );
        world.finish();
    }
}

/// A whole blueprint that we may not write to is not asked about entity by entity.
#[tokio::test]
async fn a_blueprint_that_is_forbidden_costs_few_requests() {
    let world = world().await;
    let mut config = world.port.integration().unwrap()["config"].clone();
    for resource in config["resources"].as_array_mut().unwrap() {
        let mappings = &mut resource["port"]["entity"]["mappings"];
        if mappings["blueprint"] == "'pull'" {
            resource["port"]["itemsToParse"] = json!("[range(40)]");
            resource["port"]["itemsToParseTopLevelTransform"] = json!(false);
            resource["port"]["entity"]["mappings"]["identifier"] =
                json!(format!("({NUMBERED}) + \"/\" + (.item | tostring)"));
        }
    }
    world.port.set_config(config);
    let fault = Fault::refused("blueprints/pull/entities", 403)
        .when(is_write)
        .always();
    world.port.server().misbehave(fault);
    let outcome = world.resync_with_losses().await;
    let refused = outcome["counts"]["refused"].as_u64().unwrap();
    assert!(1_000 < refused, "{outcome:#}");
    let asked = world.port.server().requests();
    let asked = asked
        .iter()
        .filter(|it| is_write(it) && it.path.contains("/pull/"))
        .count();
    assert!(asked < 500, "{asked} calls for {refused} entities");
    world.port.server().behave();
    world.finish();
}

/// Port hears how a run has ended, later if not at once.
#[tokio::test]
async fn the_end_of_a_run_is_told_until_port_has_heard_it() {
    let world = World::demo().await;
    let fault = Fault::new("resync-state", FaultKind::refused(503));
    world.port.server().misbehave(fault.after(1).times(7));
    world.resync().await;
    let statuses = || -> Vec<String> {
        let states = world.port.resync_states();
        states
            .iter()
            .map(|it| it["status"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(statuses(), ["running"]);
    for _ in 0..3 {
        world.tick().await.unwrap();
    }
    assert_eq!(statuses(), ["running", "completed"]);
    world.tick().await.unwrap();
    assert_eq!(statuses().len(), 2, "told once");
    world.finish();
}

#[tokio::test]
async fn a_short_outage_does_not_delay_what_port_is_told() {
    let world = World::demo().await;
    let fault = Fault::new("resync-state", FaultKind::refused(503));
    world.port.server().misbehave(fault.after(1).times(2));
    world.resync().await;
    assert_eq!(world.port.resync_states().len(), 2);
    world.finish();
}

/// Raw items with files in them do not make a request that Port refuses.
#[tokio::test]
async fn examples_are_of_a_size_that_port_takes() {
    let world = World::demo().await;
    for repository in world.bitbucket.repositories() {
        let long = "word ".repeat(60_000);
        world
            .bitbucket
            .describe_repository(&repository, &long)
            .unwrap();
    }
    world.resync().await;
    let examples = world.port.examples();
    let repositories = &examples["repository"];
    assert_eq!(repositories.len(), 5);
    let size = json!(repositories).to_string().len();
    assert!(size < 200_000, "{size}");
    world.finish();
}

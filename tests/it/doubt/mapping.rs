//! Mappings that change, lead in the wrong order, or are mistaken.

use std::time::Duration;

use sandbox::server::{Fault, FaultKind};
use serde_json::{Value, json};

use super::{
    NUMBERED, assert_fresh, assert_spared, blueprint, deleted, is_write, resource, retitle, run,
};
use crate::runs::{killed_when, sent};
use crate::support::{IDENTIFIER, World, event};

/// Pull requests before repositories before projects, each related to the next; Port creates no targets.
fn backwards() -> Value {
    let with = |mut resource: Value, relation: &str, target: &str| {
        resource["port"]["entity"]["mappings"]["relations"] = json!({relation: target});
        resource
    };
    json!({"createMissingRelatedEntities": false, "resources": [
        with(resource("pull-request", json!({}), "pull", json!(NUMBERED)),
            "repository", ".destination.repository.full_name"),
        with(resource("repository", json!({}), "repository", json!(".full_name")),
            "project", ".project.key"),
        resource("project", json!({}), "project", json!(".key")),
    ]})
}

async fn backwards_world() -> World {
    let world = World::demo().await;
    blueprint(&world, "project", &[]);
    blueprint(&world, "repository", &[("project", "project")]);
    blueprint(&world, "pull", &[("repository", "repository")]);
    world.port.install(IDENTIFIER, backwards());
    world
}

/// What there is: three projects, nine repositories, and every open pull request.
fn assert_complete(world: &World, story: &str) {
    let found = world.identifiers();
    let count = |blueprint: &str| found.get(blueprint).map_or(0, Vec::len);
    let open = "OPEN";
    let slugs = world.bitbucket.repositories();
    let all = slugs
        .iter()
        .flat_map(|slug| world.bitbucket.pull_requests(slug).unwrap());
    let pulls = all.filter(|(_, state)| state.as_str() == open).count();
    let counts = [count("project"), count("repository"), count("pull")];
    assert_eq!(counts, [3, slugs.len(), pulls], "{story}");
}

#[tokio::test]
async fn what_waits_for_a_target_that_comes_later_is_not_lost() {
    let world = backwards_world().await;
    world.resync().await;
    world.settle().await;
    assert_complete(&world, "a run at a stretch");
    world.finish();
}

#[tokio::test]
async fn what_waits_for_a_target_outlives_a_run_that_is_cut() {
    let uncut = backwards_world().await;
    uncut.resync().await;
    let requests = sent(&uncut);
    uncut.finish();
    for cut in (1..requests).step_by(7) {
        let world = backwards_world().await;
        let enough = || cut <= sent(&world);
        killed_when(world.invoke(event("eventbridge-rule")), enough).await;
        world.clock.advance(Duration::from_secs(1_000));
        run(&world).await.unwrap();
        world.settle().await;
        assert_complete(&world, &format!("cut after {cut} of {requests}"));
        world.finish();
    }
}

#[tokio::test]
async fn what_waits_for_a_target_outlives_a_run_that_pauses() {
    for (part, skip) in [("/repositories", 1), ("/projects", 0), ("/pullrequests", 3)] {
        let world = backwards_world().await;
        let fault = Fault::refused(part, 503).after(skip).times(40);
        world.bitbucket.server().misbehave(fault);
        let first = world.invoke(event("eventbridge-rule")).await.unwrap();
        world.bitbucket.server().behave();
        let outcome = run(&world).await.unwrap();
        assert_eq!(outcome["status"], "completed", "{part} after {first}");
        world.settle().await;
        assert_complete(&world, part);
        world.finish();
    }
}

/// Where a target cannot be written, what waits for it is a loss, and comes with it later.
#[tokio::test]
async fn what_waits_in_vain_is_said_and_comes_with_its_target() {
    let world = backwards_world().await;
    let fault = Fault::refused("/blueprints/project/entities", 422);
    let fault = fault.when(is_write).always();
    world.port.server().misbehave(fault);
    let outcome = run(&world).await.unwrap();
    assert_eq!(outcome["status"], "completed_with_losses", "{outcome:#}");
    world.port.server().behave();
    run(&world).await.unwrap();
    world.settle().await;
    assert_complete(&world, "Port takes projects again");
    world.finish();
}

/// The default mapping with another identifier: nothing of the one may come back under the other.
fn changed(config: &Value, prefix: &str) -> Value {
    let mut config = config.clone();
    for resource in config["resources"].as_array_mut().unwrap() {
        let identifier = &mut resource["port"]["entity"]["mappings"]["identifier"];
        *identifier = json!(format!("'{prefix}' + ({})", identifier.as_str().unwrap()));
    }
    config["entityDeletionThreshold"] = json!(1.0);
    config["createMissingRelatedEntities"] = json!(true);
    config
}

/// Repositories and their open pull requests, without relations.
async fn simple_world() -> World {
    super::with_resources(
        &["repository", "pull"],
        vec![
            resource("repository", json!({}), "repository", json!(".slug")),
            resource("pull-request", json!({}), "pull", json!(NUMBERED)),
        ],
    )
    .await
}

#[tokio::test]
async fn a_warm_worker_brings_nothing_of_an_old_mapping_back() {
    let world = simple_world().await;
    world.resync().await;
    let config = world.port.integration().unwrap()["config"].clone();
    let other = world.elsewhere();
    for (number, prefix) in ["a-", "b-", "c-"].into_iter().enumerate() {
        // It has the mapping at hand.
        let told = retitle(
            &world.bitbucket,
            "payments-api",
            1,
            &format!("Warm {number}"),
        );
        for delivery in &told {
            assert_eq!(world.post_at(&other, delivery).await, 202);
        }
        world.port.set_config(changed(&config, prefix));
        run(&world).await.unwrap();
        let mut told = retitle(
            &world.bitbucket,
            "payments-api",
            1,
            &format!("New {number}"),
        );
        let text = format!("Described {number} times");
        told.extend(
            world
                .bitbucket
                .describe_repository("monorepo", &text)
                .unwrap(),
        );
        for delivery in &told {
            assert_eq!(world.post_at(&other, delivery).await, 202);
        }
        world.settle().await;
        assert_eq!(
            world.port.catalogue(),
            world.fresh_catalogue().await,
            "{prefix}"
        );
    }
    world.finish();
}

/// Saved at any moment of a run, a mapping is followed in the end.
#[tokio::test]
async fn a_mapping_saved_while_a_run_is_at_work_is_followed() {
    let uncut = simple_world().await;
    uncut.resync().await;
    let requests = uncut.port.server().count();
    uncut.finish();
    for skip in 0..requests {
        let world = simple_world().await;
        let config = world.port.integration().unwrap()["config"].clone();
        let config = changed(&config, "new-");
        let port = world.port.clone();
        let save = FaultKind::before(move |_| port.set_config(config.clone()));
        world
            .port
            .server()
            .misbehave(Fault::new("", save).nth(skip + 1));
        run(&world).await.unwrap();
        for _ in 0..3 {
            world.clock.advance(Duration::from_secs(60));
            world.tick().await.unwrap();
        }
        world.settle().await;
        let story = format!("saved before request {skip} of {requests}");
        assert_eq!(
            world.port.catalogue(),
            world.fresh_catalogue().await,
            "{story}"
        );
        world.port.server().behave();
        world.finish();
    }
}

/// A live event meets a mapping that was saved, and whose run is still to come.
#[tokio::test]
async fn an_event_between_a_saved_mapping_and_its_run_is_not_lost() {
    let world = simple_world().await.with_queue().await;
    world.resync().await;
    let config = world.port.integration().unwrap()["config"].clone();
    world.port.set_config(changed(&config, "new-"));
    let told = retitle(&world.bitbucket, "payments-api", 1, "In between");
    world.accept(&told).await;
    world.drain().await;
    world.clock.advance(Duration::from_secs(60));
    world.tick().await.unwrap();
    world.drain().await;
    assert_eq!(world.port.catalogue(), world.fresh_catalogue().await);
    world.finish();
}

/// An identifier that is null for every item is a mistake, not the end of all items.
#[tokio::test]
async fn a_mistaken_identifier_deletes_nothing() {
    for mistake in [
        ".slugg",
        ".slug | ltrimstr(7)",
        ".name.name",
        "null",
        "'' + .slugg",
    ] {
        let world = simple_world().await;
        world.resync().await;
        let before = world.port.catalogue();
        world.port.take_writes();
        let mut config = world.port.integration().unwrap()["config"].clone();
        let mappings = &mut config["resources"][0]["port"]["entity"]["mappings"];
        mappings["identifier"] = json!(mistake);
        world.port.set_config(config);
        let outcome = run(&world).await;
        let status = outcome.as_ref().map(|outcome| outcome["status"].clone());
        assert_ne!(status, Ok(json!("completed")), "{mistake}: {outcome:#?}");
        assert_spared(&world, &before, &format!("{mistake}: {outcome:#?}"));
        let again = run(&world).await;
        assert_spared(&world, &before, &format!("{mistake}, once more: {again:?}"));
        // A live event maps with it as well.
        let told = world
            .bitbucket
            .describe_repository("monorepo", "Told")
            .unwrap();
        world.accept(&told).await;
        assert_spared(&world, &before, mistake);
        world.finish();
    }
}

/// A query that is none takes the place of one that was: nothing is read, and nothing goes.
#[tokio::test]
async fn a_mistaken_query_deletes_nothing() {
    for mistake in ["state ~~ what", "state = OPEN AND"] {
        let world = simple_world().await;
        world.resync().await;
        let before = world.port.catalogue();
        world.port.take_writes();
        let mut config = world.port.integration().unwrap()["config"].clone();
        config["resources"][1]["selector"]["pullRequestQuery"] = json!(mistake);
        world.port.set_config(config);
        for _ in 0..2 {
            let outcome = run(&world).await.unwrap();
            assert_eq!(outcome["status"], "completed_with_losses", "{outcome:#}");
            assert_spared(&world, &before, &format!("{mistake}: {outcome:#}"));
        }
        world.finish();
    }
}

/// What Port refuses is a loss, and no reason to delete what it should replace.
#[tokio::test]
async fn refused_writes_stop_deletions() {
    for status in [404, 422, 403, 413] {
        let world = simple_world().await;
        world.resync().await;
        let before = world.port.catalogue();
        world.port.take_writes();
        // Repositories move to a blueprint that Port does not have.
        let mut config = world.port.integration().unwrap()["config"].clone();
        let mappings = &mut config["resources"][0]["port"]["entity"]["mappings"];
        if status == 404 {
            mappings["blueprint"] = json!("'missing'");
        } else {
            blueprint(&world, "other", &[]);
            mappings["blueprint"] = json!("'other'");
            let fault = Fault::refused("/blueprints/other/entities", status);
            world.port.server().misbehave(fault.when(is_write).always());
        }
        world.port.set_config(config);
        let outcome = run(&world).await.unwrap();
        assert_eq!(outcome["status"], "completed_with_losses", "{outcome:#}");
        run(&world).await.unwrap();
        assert_spared(&world, &before, &format!("{status}"));
        if status != 404 {
            world.port.server().behave();
            run(&world).await.unwrap();
            run(&world).await.unwrap();
            assert_eq!(
                world.port.catalogue(),
                world.fresh_catalogue().await,
                "{status}"
            );
            assert!(!deleted(&world).is_empty());
        }
        world.finish();
    }
}

/// A resource that left the mapping leaves nothing, one that stays loses nothing.
#[tokio::test]
async fn a_resource_that_leaves_the_mapping_takes_only_its_own_along() {
    let world = simple_world().await;
    world.resync().await;
    world.port.take_writes();
    let mut config = world.port.integration().unwrap()["config"].clone();
    config["resources"].as_array_mut().unwrap().remove(1);
    world.port.set_config(config);
    run(&world).await.unwrap();
    run(&world).await.unwrap();
    assert_fresh(&world, "pull requests are not mapped any more").await;
    world.finish();
}

/// YAML pasted where Port keeps JSON, or only the list of resources: told for what it is, at the first look.
#[tokio::test]
async fn a_stored_mapping_that_is_no_object_is_told_at_once() {
    for (config, kind) in [
        (json!("resources:\n  - kind: project"), "a text"),
        (json!([{"kind": "project"}]), "a list"),
        (json!(7), "a number"),
        (json!(true), "a boolean"),
        (json!(""), "a text"),
    ] {
        let world = World::demo().await;
        world.resync().await;
        let before = world.port.catalogue();
        world.port.install(IDENTIFIER, config);
        world.take_requests();
        let told = world.invoke(event("eventbridge-rule")).await.unwrap_err();
        let told = ferry::telemetry::chain(&told);
        let expected =
            format!("the mapping stored in Port is not valid: it is {kind}, give an object");
        assert!(told.contains(&expected), "{told}");
        let (_, requests) = world.take_requests();
        let read = |request: &&sandbox::server::Request| {
            request.method == "GET" && request.path.ends_with(IDENTIFIER)
        };
        assert_eq!(requests.iter().filter(read).count(), 1, "{kind}");
        assert_eq!(world.port.catalogue(), before);
        world.finish();
    }
}

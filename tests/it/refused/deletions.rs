//! What must not be deleted: by a mapping that says so, and by one that says nothing.

use serde_json::{Value, json};

use super::repositories;
use crate::doubt::{NUMBERED, blueprint, deleted, resource, run};
use crate::support::{IDENTIFIER, World};

/// Services that are kept, and pull requests that are not, each of which requires its service.
fn keeping(query: &str) -> Value {
    let mut services = repositories(json!({"identifier": ".slug", "blueprint": "\"service\"",
        "relations": {"project": ".project.key"}}));
    services["enableDelete"] = json!(false);
    services["selector"]["query"] = json!(query);
    let mut pulls = resource(
        "pull-request",
        json!({"pullRequestQuery": "state=\"OPEN\""}),
        "pull",
        json!(NUMBERED),
    );
    pulls["port"]["entity"]["mappings"]["relations"] =
        json!({"service": ".destination.repository.full_name | split(\"/\") | last"});
    let projects = resource("project", json!({}), "project", json!(".key"));
    json!({"entityDeletionThreshold": 1.0, "deleteDependentEntities": true, "resources": [projects, services, pulls]})
}

async fn world() -> World {
    let world = World::demo().await;
    let requiring = |identifier: &str, relation: &str, target: &str| {
        json!({"identifier": identifier, "title": identifier,
            "schema": {"properties": {"name": {"type": "string"}}, "required": []},
            "relations": {relation: {"target": target, "many": false, "required": true}}})
    };
    blueprint(&world, "project", &[]);
    world
        .port
        .put_blueprint(&requiring("service", "project", "project"))
        .unwrap();
    world
        .port
        .put_blueprint(&requiring("pull", "service", "service"))
        .unwrap();
    world.port.install(IDENTIFIER, keeping("true"));
    world.resync().await;
    world.port.take_writes();
    world
}

fn services_gone(world: &World) -> Vec<String> {
    let gone = deleted(world)
        .into_iter()
        .filter(|(blueprint, _)| blueprint == "service");
    gone.map(|(_, identifier)| identifier).collect()
}

#[tokio::test]
async fn what_its_resource_keeps_is_deleted_by_no_path() {
    // An event that says that the repository is gone.
    let world = world().await;
    world
        .accept(&world.bitbucket.delete_repository("monorepo").unwrap())
        .await;
    world.settle().await;
    assert_eq!(services_gone(&world), Vec::<String>::new(), "an event");
    // A run that finds another gone, and one that changes the resource otherwise.
    world.bitbucket.delete_repository("perl-scripts").unwrap();
    for query in ["true", ".slug != \"checkout-service\"", "false"] {
        world.port.set_config(keeping(query));
        run(&world).await.unwrap();
        assert_eq!(
            services_gone(&world),
            Vec::<String>::new(),
            "a run under {query}"
        );
    }
    assert_eq!(world.identifiers()["service"].len(), 9);
    // What it requires goes: it does not go along.
    world.port.set_config(keeping("true"));
    run(&world).await.unwrap();
    let project = world.bitbucket.projects();
    for project in project {
        world.bitbucket.delete_project(&project).ok();
    }
    run(&world).await.unwrap();
    assert_eq!(
        services_gone(&world),
        Vec::<String>::new(),
        "along with its project"
    );
    // Nor where nobody remembers it: a store that was lost.
    let mut world = world;
    world.replace_function(crate::support::Settings::new());
    run(&world).await.unwrap();
    run(&world).await.unwrap();
    assert_eq!(
        services_gone(&world),
        Vec::<String>::new(),
        "after the store was lost"
    );
    world.finish();
}

/// A relation led to what is kept and nobody claims: it is no stub that goes with its last relation.
#[tokio::test]
async fn what_its_resource_keeps_outlives_the_last_relation_to_it() {
    let world = world().await;
    world.port.set_config(keeping(".slug != \"payments-api\""));
    run(&world).await.unwrap();
    run(&world).await.unwrap();
    for (id, _) in world.bitbucket.pull_requests("payments-api").unwrap() {
        if let Ok(news) = world
            .bitbucket
            .decline("payments-api", id, "Dana Okafor", "")
        {
            world.accept(&news).await;
        }
    }
    run(&world).await.unwrap();
    assert_eq!(services_gone(&world), Vec::<String>::new());
    world.finish();
}

#[tokio::test]
async fn an_empty_mapping_does_nothing() {
    for empty in [json!({"resources": []}), json!({})] {
        let world = world().await;
        let before = world.port.catalogue();
        world.port.set_config(empty.clone());
        let outcome = run(&world).await.unwrap();
        assert_eq!(outcome["status"], "completed", "{empty}: {outcome:#}");
        world
            .accept(&world.bitbucket.delete_repository("monorepo").unwrap())
            .await;
        world.settle().await;
        run(&world).await.unwrap();
        assert_eq!(deleted(&world), [], "{empty}");
        assert_eq!(world.port.catalogue(), before, "{empty}");
        let states = world.port.resync_states();
        assert_eq!(states.last().unwrap()["status"], "completed", "{empty}");
        // Filled again, it is as if it had never been empty.
        world.port.set_config(keeping("true"));
        run(&world).await.unwrap();
        assert!(
            !world.identifiers()["pull"]
                .iter()
                .any(|it| it.starts_with("monorepo/")),
            "{empty}"
        );
        world.finish();
    }
}

#[tokio::test]
async fn a_run_that_is_superseded_is_told_as_aborted() {
    let world = World::demo().await;
    world
        .bitbucket
        .server()
        .misbehave(sandbox::server::Fault::refused("/pullrequests", 503).times(40));
    let outcome = world
        .invoke(crate::support::event("eventbridge-rule"))
        .await
        .unwrap();
    assert_eq!(outcome["status"], "paused", "{outcome:#}");
    world.bitbucket.server().behave();
    let mut config = world.port.integration().unwrap()["config"].clone();
    config["resources"].as_array_mut().unwrap().pop();
    world.port.set_config(config);
    run(&world).await.unwrap();
    let states = world.port.resync_states();
    let states: Vec<&str> = states
        .iter()
        .map(|state| state["status"].as_str().unwrap())
        .collect();
    assert_eq!(states, ["running", "aborted", "running", "completed"]);
    world.finish();
}

/// Port shows which run has deleted what.
#[tokio::test]
async fn deletions_carry_the_id_of_their_run() {
    let world = world().await;
    world
        .bitbucket
        .decline("payments-api", 1, "Dana Okafor", "")
        .unwrap();
    let outcome = run(&world).await.unwrap();
    let writes = world.port.take_writes();
    let deletions: Vec<_> = writes
        .iter()
        .filter(|write| write.kind.is_delete())
        .collect();
    assert_eq!(deletions.len(), 1);
    assert_eq!(deletions[0].resync.as_deref(), outcome["run"].as_str());
    let news = world
        .bitbucket
        .decline("payments-api", 2, "Dana Okafor", "")
        .unwrap();
    world.accept(&news).await;
    let writes = world.port.take_writes();
    let deletion = writes.iter().find(|write| write.kind.is_delete()).unwrap();
    assert_eq!(deletion.resync, None);
    world.finish();
}

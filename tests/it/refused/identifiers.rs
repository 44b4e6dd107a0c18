//! Identifiers that are null or refused: the item for some, the resource for more than a tenth.

use sandbox::bitbucket::NewPullRequest;
use serde_json::{Value, json};

use super::{assert_settled, repositories};
use crate::doubt::{NUMBERED, blueprint, deleted, resource};
use crate::support::{IDENTIFIER, World};

/// Open pull requests under an identifier that is null where `lost` holds.
fn pulls(lost: &str) -> Value {
    let identifier = format!("if {lost} then null else {NUMBERED} end");
    json!({"entityDeletionThreshold": 1.0, "resources": [
        resource("pull-request", json!({"pullRequestQuery": "state=\"OPEN\""}), "pull", json!(identifier)),
    ]})
}

async fn world(config: Value) -> World {
    let world = World::demo().await;
    blueprint(&world, "pull", &[]);
    for number in 0..15 {
        let new = NewPullRequest::new(format!("more {number}"), "Dana Okafor");
        world
            .bitbucket
            .open_pull_request("payments-api", new)
            .unwrap();
    }
    world.port.install(IDENTIFIER, config);
    world
}

/// Closes a pull request behind everybody's back: only a run can find out.
fn close_one(world: &World) {
    world
        .bitbucket
        .decline("payments-api", 1, "Dana Okafor", "")
        .unwrap();
}

#[tokio::test]
async fn a_resource_that_loses_its_identifiers_deletes_nothing() {
    for (lost, is_failure) in [
        ("true", true),
        (".id % 3 == 0", true),
        ("false", false),
        // One of many: the item's own fault.
        (
            ".destination.repository.name == \"Payments API\" and .id == 2",
            false,
        ),
    ] {
        let world = world(pulls("false")).await;
        world.resync().await;
        let before = world.identifiers();
        let config = world.port.integration().unwrap()["config"].clone();
        world.port.take_writes();
        world.port.set_config(pulls(lost));
        close_one(&world);
        let outcome = crate::doubt::run(&world).await.unwrap();
        let failed = outcome["failed_partitions"].to_string();
        assert_eq!(
            failed.contains("identifiers are null"),
            is_failure,
            "{lost}: {outcome:#}"
        );
        if is_failure {
            assert_eq!(deleted(&world), [], "{lost}");
            assert_eq!(world.identifiers(), before, "{lost}");
            assert_eq!(outcome["status"], "completed_with_losses", "{lost}");
            // Nor does an event that follows.
            let news = world
                .bitbucket
                .decline("payments-api", 2, "Dana Okafor", "")
                .unwrap();
            world.accept(&news).await;
            assert_eq!(deleted(&world), [], "{lost}: after an event");
            assert_settled(&world, "completed_with_losses", lost).await;
        } else {
            assert_eq!(deleted(&world).len(), 1, "{lost}");
        }
        // Put right, the closed ones go.
        world.port.set_config(config);
        world.resync().await;
        assert_eq!(
            world.port.catalogue(),
            world.fresh_catalogue().await,
            "{lost}"
        );
        world.finish();
    }
}

#[tokio::test]
async fn numbers_are_identifiers_and_so_are_lists_of_one() {
    let world = World::demo().await;
    blueprint(&world, "number", &[]);
    blueprint(&world, "list", &[("number", "number")]);
    let number = "(.slug | length)";
    world.port.install(
        IDENTIFIER,
        json!({"resources": [
            repositories(json!({"identifier": number, "blueprint": "\"number\""})),
            repositories(json!({"identifier": "[.slug]", "blueprint": "\"list\"", "title": number,
                "relations": {"number": number}})),
        ]}),
    );
    world.resync().await;
    let found = world.identifiers();
    assert_eq!(found["list"].len(), 9);
    let length = "payments-api".len().to_string();
    assert!(found["number"].contains(&length), "{found:?}");
    let entity = world.port.entity("list", "payments-api").unwrap();
    assert_eq!(entity.relations["number"], json!(length));
    assert_eq!(entity.title.as_deref(), Some(length.as_str()));
    world.assert_converged().await;
    world.finish();
}

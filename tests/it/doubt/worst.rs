//! The worst lists that Bitbucket has been seen to give, all at once: a run and events come to the same as with sound ones.

use sandbox::bitbucket::{HALF_SURROGATE, NewPullRequest, Quirks};
use sandbox::webhook::Delivery;

use super::lists::several_pages;
use super::{assert_fresh, assert_spared, retitle, run};
use crate::support::World;

/// What happens to a workspace within an hour, texts that are none included.
fn hour(world: &World, number: usize) -> Vec<Delivery> {
    let bitbucket = &world.bitbucket;
    let cut = format!("cut {HALF_SURROGATE} here {number}");
    let new = NewPullRequest::new(format!("New {HALF_SURROGATE}"), "Luis Ferro");
    let (id, opened) = bitbucket.open_pull_request("payments-api", new).unwrap();
    let readme = [("README.md", Some(format!("# Version {number}\n")))];
    let (_, pushed) = bitbucket.push("payments-api", "main", &readme).unwrap();
    let (tag, new, old) = (
        format!("v3.{number}"),
        format!("team/1{number}"),
        format!("team/{number}"),
    );
    [
        bitbucket.describe_repository("payments-api", &cut).unwrap(),
        opened,
        retitle(bitbucket, "payments-api", id, &cut),
        pushed,
        bitbucket.create_tag("payments-api", &tag, None).unwrap(),
        bitbucket.create_branch("payments-api", &new, None).unwrap(),
        bitbucket.delete_branch("payments-api", &old).unwrap(),
    ]
    .concat()
}

#[tokio::test]
async fn the_worst_lists_come_to_the_same_catalogue_in_runs_and_events() {
    let world = several_pages().await.with_queue().await;
    let sound = world.port.catalogue();
    world.bitbucket.set_quirks(Quirks::worst());

    // Nothing has changed, whatever order and how often it is shown.
    world.port.take_writes();
    let outcome = run(&world).await.unwrap();
    assert_eq!(outcome["status"], "completed", "{outcome:#}");
    assert!(world.port.take_writes().is_empty());
    assert_eq!(world.port.catalogue(), sound);

    // Events read single objects and lists.
    let deliveries = hour(&world, 1);
    world.accept(&deliveries).await;
    world.drain().await;
    world.bitbucket.set_quirks(Quirks::default());
    let fresh = world.fresh_catalogue().await;
    assert_spared(&world, &fresh, "events on the worst lists");
    assert_fresh(&world, "events on the worst lists").await;

    // What no event told is found by a run.
    hour(&world, 2);
    world.bitbucket.set_quirks(Quirks::worst());
    let outcome = run(&world).await.unwrap();
    assert_eq!(outcome["status"], "completed", "{outcome:#}");
    world.settle().await;
    world.bitbucket.set_quirks(Quirks::default());
    assert_fresh(&world, "a run on the worst lists").await;
    world.finish();
}

/// A first run on such lists makes all that one on sound lists makes.
#[tokio::test]
async fn a_first_run_on_the_worst_lists_finds_everything() {
    let mut world = several_pages().await;
    let sound = world.port.catalogue();
    world.bitbucket.set_quirks(Quirks::worst());
    // Nothing is remembered, and Port is asked for what it holds.
    world.replace_function(crate::support::Settings::new());
    world.port.take_writes();
    let outcome = run(&world).await.unwrap();
    assert_eq!(outcome["status"], "completed", "{outcome:#}");
    assert!(super::deleted(&world).is_empty());
    assert_eq!(world.port.catalogue(), sound);
    world.finish();
}

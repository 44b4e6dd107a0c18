//! An accepted event is never lost: whoever dies, whatever is down, and whoever else is at work.

use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use sandbox::bitbucket::{NewPullRequest, PullRequestChange};
use sandbox::server::Fault;
use serde_json::json;

use crate::convergence::{difference, every_kind};
use crate::support::{PORT_CLIENT_SECRET, World, event};

/// Polls `future` until it is done, at most `polls` times: it then stands at one of its await points.
pub(crate) async fn poll_at_most<T>(
    future: &mut Pin<Box<dyn Future<Output = T> + '_>>,
    polls: usize,
) -> Option<T> {
    let mut left = polls;
    std::future::poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        future.as_mut().poll(context).map(Some)
    })
    .await
}

async fn assert_fresh(world: &World, story: &str) {
    let fresh = world.fresh_catalogue().await;
    pretty_assert(&world.port.catalogue(), &fresh, story);
}

fn pretty_assert(live: &serde_json::Value, fresh: &serde_json::Value, story: &str) {
    assert!(live == fresh, "{story}\n{}", difference(live, fresh));
}

#[tokio::test]
async fn a_worker_killed_anywhere_loses_no_event() {
    let world = World::demo().await.with_queue().await;
    world.resync().await;
    // Further and further into the work, until it is through before it can be killed.
    let mut polls = 0;
    loop {
        polls += 1 + polls / 8;
        let mut story = format!("killed after {polls} polls\n");
        for seed in 0..3 {
            let (what, deliveries) = world
                .bitbucket
                .change_at_random(1_000 * polls + seed)
                .unwrap();
            story.push_str(&what);
            story.push('\n');
            world.accept(&deliveries).await;
        }
        let survived = {
            let mut work: Pin<Box<dyn Future<Output = _>>> = Box::pin(world.work_off());
            let polls = usize::try_from(polls).unwrap();
            poll_at_most(&mut work, polls).await.is_some()
        };
        world.drain().await;
        assert_fresh(&world, &story).await;
        if survived {
            break;
        }
    }
    assert!(8 < polls, "there is nothing to kill in {polls} polls");
    world.assert_converged().await;
    world.finish();
}

#[tokio::test]
async fn an_hour_without_port_or_bitbucket_loses_no_event() {
    let world = World::demo().await.with_queue().await;
    world.resync().await;
    for (server, fault) in [
        (world.port.server(), Fault::status("/v1", 503)),
        (world.bitbucket.server(), Fault::status("/2.0", 503)),
        (world.bitbucket.server(), Fault::status("/2.0", 429)),
        (world.port.server(), Fault::status("/v1", 429)),
    ] {
        server.misbehave(fault.always());
        let begun = world.clock.now();
        let mut story = format!("{:?}\n", server.url());
        let (mut seed, mut postponed) = (0, 0);
        while world.clock.now().duration_since(begun).as_secs() < 3600 {
            if seed < 12 {
                seed += 1;
                let (what, deliveries) = world.bitbucket.change_at_random(seed).unwrap();
                story.push_str(&what);
                story.push('\n');
                world.accept(&deliveries).await;
            }
            postponed += world.work_off().await.1;
            world.clock.advance(Duration::from_secs(60));
        }
        assert!(0 < postponed);
        server.behave();
        world.drain().await;
        assert_fresh(&world, &story).await;
    }
    world.finish();
}

#[tokio::test]
async fn a_live_event_during_a_resync_is_neither_lost_nor_undone() {
    let world = World::demo().await;
    world.resync().await;
    let bitbucket = &world.bitbucket;
    // It has a fork, so that it is never renamed or deleted at random.
    const REPOSITORY: &str = "payments-api";
    let mut polls = 0;
    loop {
        polls += 1 + polls / 8;
        // What makes it certain that the resync has something to overwrite, and to bring back.
        let new = NewPullRequest::new(format!("Idea {polls}"), "Luis Ferro");
        let (id, opened) = bitbucket.open_pull_request(REPOSITORY, new).unwrap();
        world.accept(&opened).await;
        let (ended, opened) = bitbucket
            .open_pull_request(REPOSITORY, NewPullRequest::new("To be merged", "Mina Sato"))
            .unwrap();
        world.accept(&opened).await;

        let mut resync: Pin<Box<dyn Future<Output = _>>> =
            Box::pin(world.invoke(event("eventbridge-rule")));
        let done = poll_at_most(&mut resync, polls).await;
        let mut story = format!("after {polls} polls of the resync\n");
        let change = PullRequestChange {
            title: Some(format!("Better idea {polls}")),
            ..PullRequestChange::default()
        };
        let mut deliveries = bitbucket
            .update_pull_request(REPOSITORY, id, change)
            .unwrap();
        deliveries.extend(bitbucket.merge(REPOSITORY, ended, "Dana Okafor").unwrap());
        for seed in 0..2_u64 {
            let seed = 77_000 * u64::try_from(polls).unwrap() + seed;
            let (what, more) = bitbucket.change_at_random(seed).unwrap();
            story.push_str(&what);
            story.push('\n');
            deliveries.extend(more);
        }
        world.accept_elsewhere(&deliveries).await;
        let survived = done.is_some();
        if !survived {
            let outcome = resync.await.unwrap();
            assert_eq!(outcome["status"], "completed", "{outcome:#}");
        } else {
            drop(resync);
        }
        world.settle().await;
        assert_fresh(&world, &story).await;
        if survived {
            break;
        }
    }
    assert!(20 < polls, "there is nothing to interrupt in {polls} polls");
    world.clock.advance(Duration::from_secs(60));
    world.assert_converged().await;
    world.finish();
}

/// Nothing is known yet of what stands for what, and entities that several repositories stand for lose some of them.
#[tokio::test]
async fn live_events_during_the_first_resync_are_neither_lost_nor_undone() {
    let mut polls = 0;
    loop {
        polls += 1 + polls / 8;
        let world = every_kind().await;
        let mut resync: Pin<Box<dyn Future<Output = _>>> =
            Box::pin(world.invoke(event("eventbridge-rule")));
        let done = poll_at_most(&mut resync, polls).await;
        let mut story = format!("after {polls} polls of the first resync\n");
        let mut deliveries = Vec::new();
        for seed in 0..4_u64 {
            let seed = 91_000 * u64::try_from(polls).unwrap() + seed;
            let (what, more) = world.bitbucket.change_at_random(seed).unwrap();
            story.push_str(&what);
            story.push('\n');
            deliveries.extend(more);
        }
        world.accept_elsewhere(&deliveries).await;
        let survived = done.is_some();
        if !survived {
            let outcome = resync.await.unwrap();
            assert_eq!(outcome["status"], "completed", "{outcome:#}");
        } else {
            drop(resync);
        }
        world.settle().await;
        assert_fresh(&world, &story).await;
        world.finish();
        if survived {
            break;
        }
    }
    assert!(20 < polls, "there is nothing to interrupt in {polls} polls");
}

#[tokio::test]
async fn events_wait_until_somebody_mends_the_credentials() {
    let world = World::demo().await.with_queue().await;
    world.resync().await;
    let (_, deliveries) = world.bitbucket.change_at_random(7).unwrap();
    world.accept(&deliveries).await;
    world.port.rotate_secret("another one");
    world.port.expire_tokens();
    let mut tries = 0;
    while let Some(next_at) = world.queue().next_at() {
        let wait = next_at.duration_since(world.clock.now());
        world
            .clock
            .advance(Duration::try_from(wait).unwrap_or_default());
        tries += usize::from(0 < world.work_off().await.0);
    }
    // The last receive but one stores what is to be looked at.
    assert_eq!(tries, 9);
    assert_eq!(world.queue().dead_letters(), 0);
    world.port.rotate_secret(PORT_CLIENT_SECRET);
    world.port.expire_tokens();
    world.drain().await;
    assert_fresh(&world, "mended").await;
    world.finish();
}

#[tokio::test]
async fn events_about_the_same_object_are_looked_at_once() {
    let world = World::demo().await.with_queue().await;
    world.resync().await;
    let new = NewPullRequest::new("Round totals", "Luis Ferro").reviewed_by("Dana Okafor");
    let (id, mut deliveries) = world.bitbucket.open_pull_request("monorepo", new).unwrap();
    for user in ["Dana Okafor", "Mina Sato"] {
        deliveries.extend(world.bitbucket.approve("monorepo", id, user).unwrap());
        deliveries.extend(
            world
                .bitbucket
                .comment("monorepo", id, user, "Good")
                .unwrap(),
        );
    }
    deliveries.extend(world.bitbucket.merge("monorepo", id, "Mina Sato").unwrap());
    let pull_request =
        |delivery: &&sandbox::webhook::Delivery| delivery.event_key.starts_with("pullrequest:");
    let about_it: Vec<_> = deliveries.iter().filter(pull_request).cloned().collect();
    world.accept(&about_it).await;
    world.take_requests();
    assert_eq!(world.work_off().await, (about_it.len(), 0));
    let (bitbucket, port) = world.take_requests();
    assert_eq!(bitbucket.len(), 1);
    let searches = port
        .iter()
        .filter(|request| request.path.contains("search"));
    assert!(searches.count() <= 1);
    // One of them once more is nothing new.
    let last = about_it.last().unwrap().redelivered();
    world.accept(&[last]).await;
    assert_eq!(world.queue().next_at(), None);
    assert_eq!(
        world.send("GET", "/health", &[], b"").await["statusCode"],
        json!(200)
    );
    world.accept(&deliveries).await;
    world.drain().await;
    world.assert_converged().await;
    world.finish();
}

//! Little allowance and little time: work goes on where it stopped, and incidents are not counted twice.

use std::time::Duration;

use sandbox::bitbucket::{Bitbucket, RateLimit, Workspace};
use sandbox::server::{Fault, FaultKind};
use serde_json::{Value, json};

use super::{assert_fresh, blueprint, resource};
use crate::support::{IDENTIFIER, Settings, World, event};

/// A hundred repositories on one page, each with a file that goes along.
async fn a_page_with_files() -> World {
    let workspace = Workspace::generate(2, 100, 1, 3).unwrap();
    let world = World::new(workspace, Settings::new()).await;
    blueprint(&world, "repository", &[]);
    let with_files = json!({"includedFiles": ["README.md"]});
    let resources = vec![resource(
        "repository",
        with_files,
        "repository",
        json!(".slug"),
    )];
    world
        .port
        .install(IDENTIFIER, json!({"resources": resources}));
    world
}

/// So many requests of each group an hour, of which Bitbucket says nothing.
pub(super) fn allow(world: &World, requests: usize) {
    let limit = RateLimit {
        requests,
        raw_files: Some(requests),
        retry_after: None,
        headers: false,
    };
    world
        .bitbucket
        .set_rate_limit(Bitbucket::TOKEN, limit)
        .unwrap();
}

/// Ticks through the hours until the run is over; returns its outcome and how many hours it took.
pub(super) async fn by_the_hour(world: &World) -> (Value, usize) {
    let mut outcome = world.invoke(event("eventbridge-rule")).await.unwrap();
    for hours in 0..60 {
        if outcome["status"] != "paused" && outcome["status"] != "idle" {
            return (outcome, hours);
        }
        world.clock.advance(Duration::from_secs(3_700));
        world.bitbucket.start_next_hour();
        outcome = world.tick().await.unwrap();
    }
    panic!("it does not end: {outcome:#}");
}

#[tokio::test]
async fn a_page_of_repositories_gets_done_with_a_small_allowance() {
    for allowance in [10, 25, 60] {
        let world = a_page_with_files().await;
        allow(&world, allowance);
        let (outcome, hours) = by_the_hour(&world).await;
        assert_eq!(outcome["status"], "completed", "{allowance}: {outcome:#}");
        let requests = world.bitbucket.server().requests();
        let files = requests
            .iter()
            .filter(|request| request.path.contains("/src/"));
        let files = files.count();
        // Each file once; each hour ends with what was under way when the first was refused, and its repetitions.
        assert!(
            files <= 100 + 40 * (hours + 1),
            "{allowance} an hour: {files} reads in {hours} hours"
        );
        world.bitbucket.lift_rate_limit(Bitbucket::TOKEN).unwrap();
        assert_fresh(&world, "a small allowance").await;
        world.finish();
    }
}

#[tokio::test]
async fn refusals_of_one_moment_silence_a_token_for_one_pause() {
    let world = a_page_with_files().await;
    world.resync().await;
    for number in 0..8 {
        let slug = world.bitbucket.repositories()[number].clone();
        let readme = [("README.md", Some(format!("# Again {number}\n")))];
        world.bitbucket.push(&slug, "main", &readme).unwrap();
    }
    let fault = Fault::new("/src/", FaultKind::rate_limited(None)).times(8);
    world.bitbucket.server().misbehave(fault);
    let begun = world.clock.now();
    let mut outcome = world.invoke(event("eventbridge-rule")).await.unwrap();
    for _ in 0..10 {
        if outcome["status"] != "paused" && outcome["status"] != "idle" {
            break;
        }
        world.clock.advance(Duration::from_secs(30));
        outcome = world.tick().await.unwrap();
    }
    assert_eq!(outcome["status"], "completed", "{outcome:#}");
    let seconds = world.clock.now().duration_since(begun).as_secs();
    assert!(seconds < 600, "{seconds} seconds");
    assert_fresh(&world, "eight refusals at once").await;
    world.finish();
}

/// An allowance that others use up as well: whatever is left of it is used for what is not done yet.
#[tokio::test]
async fn a_run_goes_on_below_a_page_whenever_it_is_refused() {
    let world = a_page_with_files().await;
    let mut outcome = json!({"status": "paused"});
    let mut slices = 0;
    while outcome["status"] == "paused" || outcome["status"] == "idle" {
        // Every slice meets a refusal a little further on.
        world.bitbucket.server().behave();
        let fault = Fault::new("/src/", FaultKind::rate_limited(Some(1_000)));
        world
            .bitbucket
            .server()
            .misbehave(fault.after(15).times(20));
        let begun = match slices {
            0 => event("eventbridge-rule"),
            _ => json!({"action": "tick"}),
        };
        outcome = world.invoke(begun).await.unwrap();
        world.clock.advance(Duration::from_secs(3_700));
        slices += 1;
        assert!(slices < 20, "{outcome:#}");
    }
    assert_eq!(outcome["status"], "completed", "{outcome:#}");
    world.bitbucket.server().behave();
    assert_fresh(&world, "refused again and again").await;
    world.finish();
}

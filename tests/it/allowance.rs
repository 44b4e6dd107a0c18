//! What a run makes of Bitbucket's allowance: each token's own, kept across invocations, and used while something waits.

use std::time::Duration;

use sandbox::bitbucket::{Bitbucket, RateLimit};
use sandbox::server::Request;
use serde_json::{Value, json};

use crate::runs::tick_to_the_end;
use crate::support::{Settings, World, event};

#[tokio::test]
async fn a_revoked_token_is_set_aside_and_the_others_go_on() {
    let other = "another-workspace-token";
    let settings = Settings::from([(
        "OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE_TOKEN",
        format!("{},{other}", Bitbucket::TOKEN),
    )]);
    let world = World::new(sandbox::bitbucket::Workspace::demo().unwrap(), settings).await;
    world.bitbucket.accept_token(other);
    world.bitbucket.revoke(Bitbucket::TOKEN);
    let outcome = world.resync().await;
    assert_eq!(outcome["failed_partitions"], json!([]));
    let logs = world.port.logs();
    let about = |line: &&Value| line["message"].as_str().unwrap().contains("set aside");
    assert_eq!(logs.iter().filter(about).count(), 1, "{logs:#?}");
    assert!(!Value::from(logs).to_string().contains(other));
    world.finish();
}

/// What one environment has used of an allowance is not there for the next one.
#[tokio::test]
async fn the_allowance_is_kept_across_environments() {
    let world = World::demo().await;
    world.resync().await;
    // Contents of files are counted apart.
    let counted = || {
        let requests = world.bitbucket.server().requests();
        requests
            .iter()
            .filter(|request| !request.path.contains("/src/"))
            .count()
    };
    let used = counted();
    let mut resyncs = 1;
    let outcome = loop {
        let outcome = world
            .invoke_at(&world.elsewhere(), event("eventbridge-rule"))
            .await
            .unwrap();
        if outcome["status"] != "completed" {
            break outcome;
        }
        resyncs += 1;
        assert!(
            resyncs < 200,
            "the limit of 1,000 requests an hour is not met"
        );
        world.clock.advance(Duration::from_secs(1));
    };
    assert_eq!(outcome["status"], "paused");
    assert!(
        outcome["reason"].as_str().unwrap().contains("rate limit"),
        "{outcome}"
    );
    let sent = counted();
    assert!(900 <= sent && sent <= 900 + used, "{sent}");
    world.clock.advance(Duration::from_secs(3_700));
    assert_eq!(world.tick().await.unwrap()["status"], "completed");
    world.finish();
}

/// Contents of files are limited apart from everything else: neither allowance waits for the other.
#[tokio::test]
async fn pull_requests_are_read_while_files_wait_for_their_allowance() {
    let workspace = sandbox::bitbucket::Workspace::generate(2, 150, 3, 7).unwrap();
    let world = World::new(workspace, Settings::new()).await;
    // The files of the first page of repositories, and few of the second.
    let limit = RateLimit {
        raw_files: Some(245),
        headers: true,
        ..RateLimit::from(1_000)
    };
    world
        .bitbucket
        .set_rate_limit(Bitbucket::TOKEN, limit)
        .unwrap();
    let paused = world.invoke(event("eventbridge-rule")).await.unwrap();
    assert_eq!(paused["status"], "paused", "{paused}");
    let (bitbucket, _) = world.take_requests();
    let lists = bitbucket
        .iter()
        .filter(|request| request.path.ends_with("/pullrequests"));
    assert_eq!(lists.count(), 150);
    world.bitbucket.lift_rate_limit(Bitbucket::TOKEN).unwrap();
    world.clock.advance(Duration::from_secs(3_700));
    assert_eq!(tick_to_the_end(&world).await, 1);
    let (bitbucket, _) = world.take_requests();
    let lists = bitbucket
        .iter()
        .filter(|request| request.path.ends_with("/pullrequests"));
    assert_eq!(lists.count(), 0, "none is read twice");
    assert_eq!(world.port.catalogue(), world.fresh_catalogue().await);
    world.finish();
}

/// Bitbucket may count contents with everything else, and says so only by a 429. It is asked until then, and again when
/// the hour has passed.
#[tokio::test]
async fn contents_that_share_the_allowance_wait_with_everything_else() {
    let workspace = sandbox::bitbucket::Workspace::generate(2, 400, 1, 7).unwrap();
    let world = World::new(workspace, Settings::new()).await;
    let limit = RateLimit {
        raw_files: None,
        ..RateLimit::from(1_000)
    };
    world
        .bitbucket
        .set_rate_limit(Bitbucket::TOKEN, limit)
        .unwrap();
    let paused = world.invoke(event("eventbridge-rule")).await.unwrap();
    assert_eq!(paused["status"], "paused", "{paused}");
    let sent = || world.bitbucket.server().requests().len();
    let first = sent();
    // What was under way when the first was refused is refused with it.
    assert!((900..=1_020).contains(&first), "{first}");
    for _ in 0..58 {
        world.clock.advance(Duration::from_secs(60));
        world.tick().await.unwrap();
    }
    let asked_meanwhile = sent() - first;
    assert!(asked_meanwhile <= 8, "{asked_meanwhile} in an hour");
    world.clock.advance(Duration::from_secs(200));
    world.bitbucket.start_next_hour();
    tick_to_the_end(&world).await;
    world.bitbucket.lift_rate_limit(Bitbucket::TOKEN).unwrap();
    assert_eq!(world.port.catalogue(), world.fresh_catalogue().await);
    world.finish();
}

#[tokio::test]
async fn pull_requests_are_read_while_the_list_of_repositories_is() {
    let workspace = sandbox::bitbucket::Workspace::generate(2, 350, 3, 7).unwrap();
    let world = World::new(workspace, Settings::new()).await;
    world.resync().await;
    let (bitbucket, _) = world.take_requests();
    let is_pull_requests = |request: &Request| request.path.ends_with("/pullrequests");
    let is_file = |request: &Request| request.path.contains("/src/");
    let first = bitbucket.iter().position(is_pull_requests).unwrap();
    let last = bitbucket.iter().rposition(is_file).unwrap();
    let along = bitbucket[first..last].iter();
    let along = along.filter(|request| is_pull_requests(request)).count();
    assert!(100 <= along, "{along} of 350 before the last file");
    world.finish();
}

/// Six times four pages are much more than an hour allows, and whatever is read in part begins anew.
#[tokio::test]
async fn large_repositories_do_not_keep_each_other_from_ending() {
    let workspace = sandbox::bitbucket::Workspace::generate(1, 6, 600, 7).unwrap();
    let world = World::new(workspace, Settings::new()).await;
    let limit = RateLimit {
        headers: true,
        ..RateLimit::from(20)
    };
    world
        .bitbucket
        .set_rate_limit(Bitbucket::TOKEN, limit)
        .unwrap();
    let mut outcome = world.invoke(event("eventbridge-rule")).await.unwrap();
    let mut slices = 1;
    while outcome["status"] != "completed" {
        assert_eq!(outcome["status"], "paused", "{outcome}");
        slices += 1;
        assert!(slices < 12, "it does not end");
        world.clock.advance(Duration::from_secs(3_700));
        world.bitbucket.start_next_hour();
        outcome = world.tick().await.unwrap();
    }
    assert_eq!(outcome["failed_partitions"], json!([]));
    world.bitbucket.lift_rate_limit(Bitbucket::TOKEN).unwrap();
    assert_eq!(world.port.catalogue(), world.fresh_catalogue().await);
    world.finish();
}

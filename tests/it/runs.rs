//! Runs: cut anywhere, continued by ticks, never two at once, and truthful about themselves.

use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use sandbox::bitbucket::Bitbucket;
use sandbox::port::WriteKind;
use sandbox::server::Fault;
use serde_json::{Value, json};

use crate::convergence::every_kind;
use crate::support::{World, event};

/// Lambda ends the invocation as soon as `enough` says so; `None` then.
pub(crate) async fn killed_when<T>(
    work: impl Future<Output = T>,
    enough: impl Fn() -> bool,
) -> Option<T> {
    let mut work: Pin<Box<dyn Future<Output = T>>> = Box::pin(work);
    std::future::poll_fn(|context| match enough() {
        true => Poll::Ready(None),
        false => work.as_mut().poll(context).map(Some),
    })
    .await
}

pub(crate) fn sent(world: &World) -> usize {
    world.bitbucket.server().count() + world.port.server().count()
}

fn deletions(world: &World) -> Vec<String> {
    let writes = world.port.writes().into_iter();
    let deleted = writes
        .filter(|write| matches!(write.kind, WriteKind::Deleted | WriteKind::DeletedDependent));
    deleted
        .map(|write| format!("{}/{}", write.blueprint, write.identifier))
        .collect()
}

/// What makes a second resync worth its while: something new, something gone, something under another name.
fn change(bitbucket: &Bitbucket) {
    bitbucket.delete_repository("perl-scripts").unwrap();
    bitbucket
        .rename_repository("monorepo", "Mono Repo")
        .unwrap();
    bitbucket
        .describe_repository("payments-api", "Takes and returns money, in cents")
        .unwrap();
    bitbucket.create_repository("PLAT", "Brand New").unwrap();
}

/// A world of every kind after its first resync, with changes that no webhook has told of.
async fn changed() -> World {
    let world = every_kind().await;
    world.resync().await;
    change(&world.bitbucket);
    world.take_requests();
    world.port.take_writes();
    world
}

/// Ticks until the run is through; returns how many it took.
pub(crate) async fn tick_to_the_end(world: &World) -> usize {
    let mut outcome = Value::Null;
    for ticks in 1..200 {
        outcome = world.tick().await.unwrap();
        if outcome["status"] == "completed" {
            assert_eq!(outcome["failed_partitions"], json!([]));
            return ticks;
        }
    }
    panic!("it does not end: {outcome}");
}

/// One slice begins with the integration, the mapping, and what Port holds; and reads what the last one had not
/// recorded: at most a page of repositories or a handful of partitions.
const PER_CUT: usize = 90;

/// Every place is some share's; the shares run side by side.
const SHARES: usize = 4;

async fn killed_in_share(share: usize) {
    let uncut = changed().await;
    uncut.resync().await;
    let (wanted, may_go, requests) = (uncut.port.catalogue(), deletions(&uncut), sent(&uncut));
    uncut.finish();
    for cut in (1 + share..requests).step_by(SHARES) {
        let world = changed().await;
        let enough = || cut <= sent(&world);
        let killed = killed_when(world.invoke(event("eventbridge-rule")), enough).await;
        assert!(killed.is_none(), "cut after {cut} of {requests}");
        // Nobody gave the lease back.
        assert_eq!(
            world.invoke(json!({"action": "resync"})).await.unwrap()["status"],
            "busy"
        );
        world.clock.advance(Duration::from_secs(960));
        tick_to_the_end(&world).await;
        let story = format!("cut after {cut} of {requests}");
        assert_eq!(world.port.catalogue(), wanted, "{story}");
        for gone in deletions(&world) {
            assert!(may_go.contains(&gone), "{story}: {gone} was deleted");
        }
        let sent = sent(&world);
        // What was asked for meanwhile is one more run; what a death costs is at most read again.
        assert!(sent <= 3 * requests, "{story}: {sent} requests");
        world.finish();
    }
}

#[tokio::test]
async fn a_run_killed_after_any_request_ends_as_if_it_had_not_been_1_of_4() {
    killed_in_share(0).await;
}

#[tokio::test]
async fn a_run_killed_after_any_request_ends_as_if_it_had_not_been_2_of_4() {
    killed_in_share(1).await;
}

#[tokio::test]
async fn a_run_killed_after_any_request_ends_as_if_it_had_not_been_3_of_4() {
    killed_in_share(2).await;
}

#[tokio::test]
async fn a_run_killed_after_any_request_ends_as_if_it_had_not_been_4_of_4() {
    killed_in_share(3).await;
}

#[tokio::test]
async fn a_run_that_outlasts_its_invocations_is_continued_by_ticks() {
    let uncut = changed().await;
    uncut.resync().await;
    let (wanted, requests) = (uncut.port.catalogue(), sent(&uncut));
    uncut.finish();
    let mut world = changed().await;
    // An invocation of 900 s stops after 130 s; the tick's look around takes 20 of them.
    world.app_mut().config.slice_margin = Duration::from_secs(770);
    for server in [world.bitbucket.server(), world.port.server()] {
        let clock = world.clock.clone();
        server.before_each(move |_| clock.advance(Duration::from_secs(4)));
    }
    let first = world.invoke(event("eventbridge-rule")).await.unwrap();
    assert_eq!(first["status"], "paused", "{first}");
    let ticks = tick_to_the_end(&world).await;
    assert!(1 < ticks, "{ticks}");
    assert_eq!(world.port.catalogue(), wanted);
    let sent = sent(&world);
    assert!(
        sent <= requests + ticks * PER_CUT,
        "{sent} requests in {ticks} slices, {requests} in one"
    );
    world.finish();
}

#[tokio::test]
async fn two_invocations_never_work_on_the_same_run() {
    let world = changed().await;
    let alone = {
        let uncut = changed().await;
        uncut.resync().await;
        let requests = uncut.bitbucket.server().count();
        uncut.finish();
        requests
    };
    let invoke = || world.invoke(json!({"action": "resync"}));
    let (first, second) = tokio::join!(invoke(), invoke());
    let mut ended = [first.unwrap(), second.unwrap()].map(|outcome| outcome["status"].clone());
    ended.sort_by_key(Value::to_string);
    assert_eq!(ended, [json!("busy"), json!("completed")]);
    // What was asked for meanwhile is one more run, of nothing but reading.
    let noted = world.tick().await.unwrap();
    let runs = 1 + usize::from(noted["status"] == "completed");
    // The tick has asked whether Bitbucket lets us in.
    assert!(world.bitbucket.server().count() <= runs * alone + 1);
    world.finish();
}

#[tokio::test]
async fn a_zombie_writes_nothing() {
    let world = changed().await;
    // Lambda freezes an invocation in the middle of its work, at different places.
    for polls in [10, 40, 80] {
        change_a_little(&world.bitbucket, polls);
        let mut zombie: Pin<Box<dyn Future<Output = _>>> =
            Box::pin(world.invoke(event("eventbridge-rule")));
        let mut left = polls;
        let ended = std::future::poll_fn(|context| {
            if left == 0 {
                return Poll::Ready(None);
            }
            left -= 1;
            zombie.as_mut().poll(context).map(Some)
        });
        assert!(ended.await.is_none());
        world.clock.advance(Duration::from_secs(1_000));
        // Another environment takes the run over, once it has seen for a while that nobody works on it, and ends it.
        let other = world.elsewhere();
        let tick = || world.invoke_at(&other, json!({"action": "tick"}));
        assert_eq!(tick().await.unwrap()["status"], "busy");
        world.clock.advance(Duration::from_secs(60));
        let outcome = tick().await.unwrap();
        assert_eq!(outcome["status"], "completed", "{outcome}");
        let (after, writes) = (world.port.catalogue(), world.port.writes().len());
        // It thaws.
        let ended = zombie.await;
        assert!(ended.is_err() || ended.unwrap()["status"] != "completed");
        assert_eq!(world.port.catalogue(), after);
        assert_eq!(world.port.writes().len(), writes);
    }
    world.clock.advance(Duration::from_secs(60));
    world.assert_converged().await;
    world.finish();
}

fn change_a_little(bitbucket: &Bitbucket, number: usize) {
    let text = format!("Described {number} times");
    bitbucket
        .describe_repository("payments-api", &text)
        .unwrap();
}

#[tokio::test]
async fn what_could_not_be_read_is_told_to_port_and_comes_first_the_next_time() {
    let world = World::demo().await;
    world.resync().await;
    let uuid = world.bitbucket.repository_uuid("zurich-unicode").unwrap();
    let part = format!("{}/pullrequests", uuid.trim_matches(['{', '}']));
    let encoded = part.replace('/', "%7D/");
    world
        .bitbucket
        .server()
        .misbehave(Fault::status(encoded, 500).always());
    let outcome = world.resync_with_losses().await;
    assert_eq!(outcome["failed_partitions"].as_array().unwrap().len(), 1);
    let logs = world.port.logs();
    let told = logs.iter().any(|line| {
        let message = line["message"].as_str().unwrap_or_default();
        line["level"] == "WARNING" && message.contains("zurich-unicode")
    });
    assert!(told, "{logs:#?}");
    world.bitbucket.server().behave();
    world.take_requests();
    let outcome = world.resync().await;
    assert_eq!(outcome["failed_partitions"], json!([]));
    let (bitbucket, _) = world.take_requests();
    let mut lists = bitbucket
        .iter()
        .filter(|request| request.path.contains("/pullrequests"));
    let first = lists.next().unwrap();
    assert!(first.target().contains(&uuid), "{}", first.target());
    let again = lists.filter(|request| request.target().contains(&uuid));
    assert_eq!(again.count(), 0, "it is read once");
    world.finish();
}

#[tokio::test]
async fn a_store_that_cannot_be_reached_is_said_and_nothing_is_deleted() {
    let world = World::demo().await;
    world.resync().await;
    let before = world.port.catalogue();
    world.bitbucket.delete_repository("perl-scripts").unwrap();
    // Nobody listens there.
    let unreachable = ferry::store::Store::dynamodb(
        crate::emulated::nowhere(),
        "ferry".to_owned(),
        world.clock.clone(),
    );
    let other = world.elsewhere().with_store(unreachable);
    let error = world
        .invoke_at(&other, event("eventbridge-rule"))
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("cannot reach the store"),
        "{error}"
    );
    assert_eq!(world.port.catalogue(), before);
    world.finish();
}

#[tokio::test]
async fn a_token_of_port_that_expires_in_the_middle_of_a_run_is_renewed() {
    let world = changed().await;
    let (port, count) = (
        world.port.server().clone(),
        std::sync::atomic::AtomicUsize::new(0),
    );
    let expire = world.port.clone();
    port.before_each(move |_| {
        if count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % 10 == 9 {
            expire.expire_tokens();
        }
    });
    world.resync().await;
    assert_eq!(world.port.catalogue(), world.fresh_catalogue().await);
    world.finish();
}

/// Folders and files come out of one tree, and are told apart.
#[tokio::test]
async fn progress_is_told_by_kind_and_complete_in_the_end() {
    let world = changed().await;
    world.resync().await;
    let progress = world.app().progress.borrow().clone();
    let kinds: Vec<&str> = progress
        .parts
        .iter()
        .map(|part| part.kind.as_str())
        .collect();
    assert!(kinds.contains(&"folder and file"), "{kinds:?}");
    assert!(progress.reconciling && progress.paused.is_none());
    for part in &progress.parts {
        assert!(part.is_done() && 0 < part.items, "{part:?}");
    }
    world.finish();
}

#[tokio::test]
async fn an_outage_in_the_middle_of_a_run_costs_time_and_nothing_else() {
    let uncut = changed().await;
    uncut.resync().await;
    let (wanted, may_go, requests) = (uncut.port.catalogue(), deletions(&uncut), sent(&uncut));
    uncut.finish();
    for (answered, port_is_away) in [
        (5, true),
        (12, true),
        (20, true),
        (5, false),
        (20, false),
        (60, false),
    ] {
        let world = changed().await;
        let story = format!("after {answered} answers, Port: {port_is_away}");
        let (server, part) = match port_is_away {
            true => (world.port.server(), "/v1"),
            false => (world.bitbucket.server(), "/2.0"),
        };
        server.misbehave(Fault::status(part, 503).after(answered).always());
        let outcome = world.invoke(event("eventbridge-rule")).await;
        let before = sent(&world);
        for gone in deletions(&world) {
            assert!(may_go.contains(&gone), "{story}: {gone} was deleted");
        }
        server.behave();
        world.clock.advance(Duration::from_secs(3_700));
        match outcome {
            // Both are waited for.
            Ok(outcome) if outcome["status"] == "paused" => {
                tick_to_the_end(&world).await;
                let after = sent(&world) - before;
                assert!(after <= requests + PER_CUT, "{story}: {after} requests");
            }
            Ok(outcome) => {
                let failed = outcome["failed_partitions"].as_array().unwrap();
                assert!(!failed.is_empty(), "{story}: {outcome}");
                world.resync().await;
            }
            Err(error) => {
                assert!(error.to_string().contains("503"), "{story}: {error}");
                world.resync().await;
            }
        }
        assert_eq!(world.port.catalogue(), wanted, "{story}");
        world.finish();
    }
}

#[tokio::test]
async fn a_changed_mapping_abandons_the_run_and_begins_another() {
    let world = changed().await;
    let limited = Fault::status("/pullrequests", 429).always();
    world.bitbucket.server().misbehave(limited);
    let paused = world.invoke(event("eventbridge-rule")).await.unwrap();
    assert_eq!(paused["status"], "paused", "{paused}");
    world.bitbucket.server().behave();
    let before = deletions(&world);
    let mut config = world.port.integration().unwrap()["config"].clone();
    config["resources"]
        .as_array_mut()
        .unwrap()
        .retain(|resource| resource["kind"] != "tag");
    world.port.set_config(config);
    world.clock.advance(Duration::from_secs(3_700));
    let outcome = world.tick().await.unwrap();
    assert_eq!(outcome["status"], "completed");
    assert_ne!(outcome["run"], paused["run"]);
    assert!(before.is_empty(), "the abandoned run deleted {before:?}");
    assert_eq!(world.port.catalogue(), world.fresh_catalogue().await);
    world.finish();
}

//! How `ferry resync` ends: with which exit code, with which words, and what the next one finds.

use std::process::Stdio;
use std::time::Duration;

use ferry::deadline::Clock;
use ferry::identity::RepositoryId;
use ferry::look::Look;
use ferry::queue::again::{Pace, Setback, remember};
use ferry::store::Store;
use sandbox::fault::{Fault, FaultKind};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::program::{Log, StateDir, ended, ferry, signal};
use crate::support::World;

fn resync(world: &World, state: &StateDir) -> Command {
    let mut command = ferry(world);
    command.env("FERRY__STATE_DIR", &state.0).arg("resync");
    command
}

fn started(command: &mut Command) -> (Child, Log) {
    let mut process = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let log = Log::of(&mut process);
    (process, log)
}

fn outcome(out: &str) -> Value {
    serde_json::from_str(out.lines().last().unwrap()).unwrap()
}

#[tokio::test]
async fn a_resync_with_losses_says_which_and_has_an_exit_code_of_its_own() {
    let world = World::demo().await;
    let forbidden = Fault::status("/pullrequests", 403).nth(2);
    world.bitbucket.server().misbehave(forbidden);
    let (code, out, log) = ended(ferry(&world).arg("resync")).await;
    assert_eq!(code, 3, "{log}");
    let told = outcome(&out);
    assert_eq!(told["status"], "completed_with_losses");
    assert_eq!(told["failed_partitions"].as_array().unwrap().len(), 1);
    let last = log.lines().last().unwrap();
    assert!(
        last.ends_with("completed with losses: 1 part not read"),
        "{last}"
    );
    let (code, out, log) = ended(ferry(&world).arg("resync")).await;
    assert_eq!(code, 0, "{log}");
    assert_eq!(outcome(&out)["status"], "completed");
    world.finish();
}

#[tokio::test]
async fn an_interrupted_resync_goes_on_at_once_where_it_stopped() {
    let world = World::demo().await;
    let state = StateDir::new("interrupted");
    let (mut process, mut log) = started(&mut resync(&world, &state));
    let pid = process.id().unwrap();
    let interrupt = FaultKind::before(move |_| signal(pid, "INT"));
    let interrupt = Fault::new("/pullrequests", interrupt).nth(4);
    world.bitbucket.server().misbehave(interrupt);
    log.read_to_the_end().await;
    assert_eq!(
        process.wait().await.unwrap().code(),
        Some(1),
        "{}",
        log.seen
    );
    let last = log.seen.lines().last().unwrap();
    assert!(
        last.ends_with("the next one goes on where it stopped"),
        "{last}"
    );
    let states = |world: &World| -> Vec<Value> {
        let states = world.port.resync_states().into_iter();
        states.map(|state| state["status"].clone()).collect()
    };
    assert_eq!(states(&world), ["running", "aborted"]);
    let (_, run) = log.seen.split_once("resync paused run=").unwrap();
    let run = run.split_whitespace().next().unwrap();

    let (code, _, log) = ended(&mut resync(&world, &state)).await;
    assert_eq!(code, 0, "{log}");
    assert!(
        log.contains(&format!("resync completed run={run}")),
        "{log}"
    );
    // The run that was interrupted, and then the one that was asked for.
    let expected = [
        "running",
        "aborted",
        "running",
        "completed",
        "running",
        "completed",
    ];
    assert_eq!(states(&world), expected);
    assert_eq!(world.port.catalogue(), world.fresh_catalogue().await);
    world.finish();
}

#[tokio::test]
async fn a_signal_ends_a_resync_that_waits() {
    let world = World::demo().await;
    let limited = FaultKind::rate_limited(Some(3600));
    let limited = Fault::new("/pullrequests", limited).always();
    world.bitbucket.server().misbehave(limited);
    let (mut process, mut log) = started(ferry(&world).arg("resync"));
    log.read_to("resync paused").await;
    signal(process.id().unwrap(), "TERM");
    log.read_to_the_end().await;
    assert_eq!(
        process.wait().await.unwrap().code(),
        Some(1),
        "{}",
        log.seen
    );
    let last = log.seen.lines().last().unwrap();
    assert!(
        last.contains("interrupted") && last.contains("begins anew"),
        "{last}"
    );
    world.finish();
}

#[tokio::test]
async fn what_is_stored_to_be_looked_at_again_belongs_to_the_resync() {
    let world = World::demo().await;
    let state = StateDir::new("again");
    let (code, ..) = ended(&mut resync(&world, &state)).await;
    assert_eq!(code, 0);
    let now = Clock::System.now();
    // What was asked for before the run has looked at everything is done; what is asked for meanwhile is not.
    for (asked_at, code, looks_left) in [
        (now - Duration::from_secs(86_400), 0, 0),
        (now + Duration::from_secs(60), 3, 1),
    ] {
        let setback = Setback {
            not_older_than: None,
            cause: None,
            look: Look::PullRequest {
                repository: RepositoryId::new("{nobody-knows-it}"),
                id: 1,
                closed: false,
            },
            since: asked_at,
            tries: 0,
            reason: "Bitbucket was not there".to_owned(),
            pace: Pace::Often,
            wait: Duration::ZERO,
            was_due: false,
        };
        let store = Store::open(&state.0).unwrap();
        remember(&store, &setback, asked_at).await.unwrap();
        drop(store);
        let (ended_with, out, log) = ended(&mut resync(&world, &state)).await;
        assert_eq!(
            (ended_with, &outcome(&out)["looks_left"]),
            (code, &json!(looks_left)),
            "{log}"
        );
        if 0 < looks_left {
            let last = log.lines().last().unwrap();
            assert!(
                last.ends_with("completed with losses: 1 object to be looked at again"),
                "{last}"
            );
        }
    }
    world.finish();
}

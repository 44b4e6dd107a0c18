//! What the log says of deletions, events, repetitions and failures: each fact once, with its cause.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ferry::entity::EntityKey;
use ferry::mapping::Mapping;
use ferry::store::{Asker, Attempt, LeaseName};
use ferry::sync::audit::Audit;
use ferry::sync::sources::Sources;
use sandbox::aws::{Function, Program, RuntimeApi};
use sandbox::bitbucket::{Bitbucket, NewPullRequest};
use sandbox::fault::Fault;
use serde_json::{Value, json};

use crate::log::Lines;
use crate::support::{IDENTIFIER, PAUSE, PORT_CLIENT_ID, PORT_CLIENT_SECRET, World};

const DELETED: &str = "entity deleted";

#[tokio::test]
async fn a_deletion_by_an_event_names_the_entity_and_the_delivery() {
    let world = World::demo().await.with_queue().await;
    world.resync().await;
    let (lines, _guard) = Lines::of_json();
    let deliveries = world.bitbucket.delete_repository("perl-scripts").unwrap();
    world.accept(&deliveries).await;
    world.drain().await;
    let deleted = lines.take(DELETED);
    let of_repository = |line: &&Value| line["blueprint"] == "bitbucketRepository";
    let repository = deleted.iter().find(of_repository).unwrap();
    assert_eq!(repository["identifier"], "perl-scripts");
    assert_eq!(repository["event"], "repo:deleted");
    let id = deliveries[0].request_uuid.as_str();
    assert_eq!(repository["request_id"], id);
    assert_eq!(repository["reason"], "its item is gone");
    assert_eq!(repository["item"], "*");
    assert!(repository["partition"].as_str().unwrap().contains('{'));
    // Looks that the look at the repository has asked for are owed to the same event.
    assert!(deleted.iter().all(|line| line["request_id"] == id));
    world.finish();
}

#[tokio::test]
async fn every_event_has_one_line_with_its_delivery_and_what_became_of_it() {
    let world = World::demo().await.with_queue().await;
    world.resync().await;
    let (lines, _guard) = Lines::of_json();
    let new = NewPullRequest::new("Round totals", "Luis Ferro");
    let (number, told) = world.bitbucket.open_pull_request("monorepo", new).unwrap();
    world.accept(&told).await;
    world.drain().await;
    let events = lines.take("event worked off");
    let of = |id: &str| {
        let mut lines = events.iter().filter(|line| line["request_id"] == id);
        (lines.next().cloned(), lines.next().cloned())
    };
    for delivery in &told {
        let (Some(line), None) = of(&delivery.request_uuid) else {
            panic!("not one line: {events:#?}");
        };
        assert_eq!(line["event"], delivery.event_key);
    }
    let opened = told
        .iter()
        .find(|delivery| delivery.event_key == "pullrequest:created");
    let (line, _) = of(&opened.unwrap().request_uuid);
    let line = line.unwrap();
    let entity = format!("bitbucketPullRequest/monorepo/{number}");
    assert!(
        line["entities"].as_str().unwrap().contains(&entity),
        "{line}"
    );
    assert_eq!((&line["deleted"], &line["more"]), (&json!(0), &json!(0)));
    world.finish();
}

#[tokio::test]
async fn a_deletion_by_a_run_names_the_run_and_why() {
    let world = World::demo().await;
    world.resync().await;
    world.bitbucket.delete_repository("perl-scripts").unwrap();
    let (lines, _guard) = Lines::of_json();
    let run = world.resync().await["run"].clone();
    let deleted = lines.take(DELETED);
    assert!(!deleted.is_empty());
    for line in &deleted {
        assert_eq!(line["run"], run);
        assert_eq!(line["reason"], "its item is gone");
        assert!(line["partition"].is_string() && line["event"].is_null());
    }
    let orphan = "left-by-nobody";
    let agent = format!("port-ocean/bitbucket-cloud/0.1.0/{IDENTIFIER}/exporter");
    world
        .port
        .put_entity(
            "bitbucketRepository",
            &json!({"identifier": orphan}),
            &agent,
        )
        .unwrap();
    let run = world.resync().await["run"].clone();
    let deleted = lines.take(DELETED);
    let [line] = deleted.as_slice() else {
        panic!("{deleted:#?}");
    };
    assert_eq!((&line["run"], &line["identifier"]), (&run, &json!(orphan)));
    assert_eq!(line["reason"], "nothing claims it");
    world.finish();
}

#[tokio::test]
async fn repetitions_are_told_once_a_minute_for_each_cause() {
    let world = World::demo().await;
    let (lines, _guard) = Lines::of_json();
    let down = Fault::status("/repositories", 503).times(3);
    world.bitbucket.server().misbehave(down);
    world.resync().await;
    let told = lines.take("asking again");
    let [line] = told.as_slice() else {
        panic!("{told:#?}");
    };
    assert_eq!(
        (&line["level"], &line["reason"]),
        (&json!("WARN"), &json!("HTTP 503"))
    );
    assert_eq!(line["attempt"], 1);
    assert!(line["wait_ms"].is_u64() && line["server"].is_string());
    world.finish();
}

/// A mapping that loses a blueprint must not flood the log.
#[test]
fn deletions_beyond_five_hundred_are_counted() {
    let (lines, _guard) = Lines::of_json();
    let mapping = Mapping::from_config(&json!({"resources": []})).unwrap();
    let sources = Sources::new(Arc::new(mapping));
    let keys: BTreeSet<EntityKey> = (0..620)
        .map(|number| EntityKey::new("service", number.to_string()))
        .collect();
    let audit = Audit::of_run("a-run");
    audit.deleted(&keys, &BTreeSet::new(), (&[], &sources));
    drop(audit);
    let text = lines.text();
    assert_eq!(text.lines().count(), 501);
    let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(last["message"], "more entities deleted");
    assert_eq!(
        (&last["untold"], &last["cause"]),
        (&json!(120), &json!("resync a-run"))
    );
}

/// A tick that finds nobody comes back in a minute: it does not wait for that, at Lambda's price.
#[tokio::test]
async fn a_tick_that_gets_no_answer_is_over_within_twenty_seconds() {
    let world = World::demo().await;
    world.resync().await;
    let down = Fault::status("resync-request", 503).always();
    world.port.server().misbehave(down);
    let begun = world.clock.now();
    world.tick().await.unwrap();
    let took = Duration::try_from(world.clock.now().duration_since(begun)).unwrap();
    assert!(took <= Duration::from_secs(20) + PAUSE, "{took:?}");
    world.finish();
}

#[tokio::test]
async fn who_meets_a_run_at_work_is_told_who_works_and_until_when() {
    let world = World::demo().await;
    world.resync().await;
    let other = world.elsewhere();
    let Attempt::Taken(lease) = other
        .leases
        .try_take(LeaseName::Run, Asker::Run)
        .await
        .unwrap()
    else {
        panic!("the run is free");
    };
    let (lines, _guard) = Lines::of_json();
    let outcome = world.invoke(json!({"action": "resync"})).await.unwrap();
    assert_eq!(outcome["status"], "busy");
    let told = lines.take("another invocation is at work");
    assert_eq!(told.len(), 1);
    assert!(
        told[0]["holder"].is_string() && told[0]["until"].is_string(),
        "{told:?}"
    );
    lease.release().await.unwrap();
    world.finish();
}

/// The runtime logs each error that a handler returns, as Rust prints its structure.
#[tokio::test]
async fn a_failed_invocation_is_one_line_of_the_function() {
    let world = World::demo().await;
    let runtime = RuntimeApi::start().await.unwrap();
    let program = Program::new(env!("CARGO_BIN_EXE_ferry-lambda"))
        .var("OCEAN__PORT__BASE_URL", world.port.url())
        .var("OCEAN__PORT__CLIENT_ID", PORT_CLIENT_ID)
        .var("OCEAN__PORT__CLIENT_SECRET", PORT_CLIENT_SECRET)
        .var(
            "OCEAN__INTEGRATION__CONFIG__BITBUCKET_HOST_URL",
            world.bitbucket.url(),
        )
        .var(
            "OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE",
            world.bitbucket.workspace(),
        )
        .var(
            "OCEAN__INTEGRATION__CONFIG__BITBUCKET_WORKSPACE_TOKEN",
            Bitbucket::TOKEN,
        );
    let limit = Duration::from_secs(30);
    let mut function = Function::start(&runtime, program).unwrap();
    function.wait_ready(limit).await.unwrap();
    let refused = runtime.invoke(json!({"hello": "world"}), limit).await;
    assert_eq!(refused.unwrap_err().error_type, "UnknownEvent");
    let not_base64 = json!({"requestContext": {"http": {"method": "POST", "path": "/webhook"}},
        "rawPath": "/webhook", "headers": {}, "body": "%", "isBase64Encoded": true, "version": "2.0"});
    runtime.invoke(not_base64, limit).await.unwrap_err();
    // What is written before an answer is read before the process has ended.
    function.kill().await;
    let errors: Vec<String> = [function.stdout(), function.stderr()]
        .concat()
        .into_iter()
        .filter(|line| line.contains("ERROR") || line.contains("panicked"))
        .collect();
    assert_eq!(errors.len(), 2, "{errors:#?}");
    for line in errors {
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(line["message"], "invocation failed");
    }
    world.finish();
}

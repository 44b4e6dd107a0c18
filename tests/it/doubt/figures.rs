//! What a run says of each kind, to Port's page and to whoever has asked for it, is what was done.

use std::collections::BTreeMap;

use sandbox::bitbucket::Workspace;
use sandbox::port::WriteKind;
use sandbox::server::{Fault, FaultKind};
use serde_json::{Value, json};

use super::pace::{allow, by_the_hour};
use super::{NUMBERED, blueprint, resource, retitle, run, with_resources};
use crate::support::{IDENTIFIER, Settings, World};

/// Kinds that are read, turned away, mapped, not mapped, refused and kept waiting.
fn resources() -> Vec<Value> {
    let mut lazy = resource(
        "repository",
        json!({"query": ".slug != \"monorepo\""}),
        "service",
        json!("if .slug == \"perl-scripts\" then null else .slug end"),
    );
    lazy["port"]["entity"]["mappings"]["relations"] = json!({"owner": ".project.key"});
    vec![
        resource("project", json!({}), "owner", json!(".key")),
        lazy,
        resource("pull-request", json!({}), "pull", json!(NUMBERED)),
        // The same items once more, under another blueprint.
        resource("repository", json!({}), "codebase", json!(".slug")),
    ]
}

async fn world() -> World {
    let world = with_resources(&["owner", "pull", "codebase"], resources()).await;
    blueprint(&world, "service", &[("owner", "owner")]);
    world
}

/// Entities that Port was given to write, or to delete, since the writes were last taken, by blueprint.
fn given(world: &World, is_deletion: bool) -> BTreeMap<String, u64> {
    let mut given = BTreeMap::new();
    for write in world.port.writes() {
        if write.kind.is_delete() == is_deletion && write.kind != WriteKind::Stub {
            *given.entry(write.blueprint).or_default() += 1;
        }
    }
    given
}

fn number(value: &Value) -> u64 {
    let number = value.as_u64().map(|number| number as f64);
    let number = number.or_else(|| value.as_f64());
    number.unwrap_or_else(|| panic!("no number: {value}")) as u64
}

fn counted(phases: &Value, phase: &str, what: &str) -> u64 {
    number(&phases[phase]["object_count_type"][what]["object_count"])
}

/// The records of the last run, by the names under which Port shows them.
fn shown(world: &World, outcome: &Value) -> BTreeMap<String, Value> {
    let own = world.port.metrics().into_iter();
    let own = own.filter(|metric| outcome["run"] == metric.event_id.as_str());
    let mut shown = BTreeMap::new();
    for metric in own {
        let known = shown.insert(metric.kind_identifier.clone(), metric.body);
        assert!(known.is_none(), "{} twice", metric.kind_identifier);
    }
    shown
}

/// What Port shows of each kind is what it was given, and adds up; so is what the outcome says.
fn assert_told(world: &World, outcome: &Value) {
    let shown = shown(world, outcome);
    let (written, deleted) = (given(world, false), given(world, true));
    let mut by_blueprint: BTreeMap<String, u64> = BTreeMap::new();
    for (name, record) in shown.iter().filter(|(name, _)| !name.starts_with('_')) {
        let phases = &record["metrics"]["phase"];
        let loaded = counted(phases, "load", "loaded");
        let rest = counted(phases, "load", "skipped") + counted(phases, "load", "failed");
        assert_eq!(
            counted(phases, "transform", "transformed"),
            loaded + rest,
            "{name} does not add up: {record:#}"
        );
        let blueprint = record["blueprint"].as_str().unwrap().trim_matches('\'');
        *by_blueprint.entry(blueprint.to_owned()).or_default() += loaded;
    }
    by_blueprint.retain(|_, count| 0 < *count);
    assert_eq!(by_blueprint, written, "{shown:#?}");
    let reconciled = &shown["__reconciliation__"]["metrics"]["phase"];
    assert_eq!(
        counted(reconciled, "delete", "deleted"),
        deleted.values().sum::<u64>()
    );
    let kinds = outcome["kinds"].as_array().unwrap();
    let sum = |what: &str| kinds.iter().map(|kind| number(&kind[what])).sum::<u64>();
    let settled = ["written", "unchanged", "refused", "waiting", "postponed"];
    assert_eq!(
        sum("mapped"),
        settled.map(sum).iter().sum::<u64>(),
        "{outcome:#}"
    );
    assert_eq!(sum("written"), written.values().sum::<u64>(), "{outcome:#}");
    for what in settled {
        assert_eq!(sum(what), number(&outcome["counts"][what]), "{what}");
    }
}

fn kind<'a>(outcome: &'a Value, name: &str) -> &'a Value {
    let kinds = outcome["kinds"].as_array().unwrap();
    kinds.iter().find(|kind| kind["kind"] == name).unwrap()
}

#[tokio::test]
async fn what_port_shows_of_each_kind_is_what_was_done() {
    let world = world().await;
    world
        .port
        .server()
        .misbehave(Fault::entity_fails("checkout-service", 422).always());
    let outcome = run(&world).await.unwrap();
    assert_eq!(outcome["status"], "completed_with_losses", "{outcome:#}");
    assert_told(&world, &outcome);
    let repositories = kind(&outcome, "repository");
    for (what, expected) in [
        ("read", 9),
        // Of 18 that two resources take one is turned away and one has no identifier.
        ("mapped", 16),
        ("skipped", 1),
        ("failed", 1),
        ("refused", 2),
        ("written", 14),
        ("unchanged", 0),
    ] {
        assert_eq!(repositories[what], expected, "{what}: {repositories}");
    }
    let shown_first = shown(&world, &outcome);
    let names: Vec<&str> = shown_first.keys().map(String::as_str).collect();
    let expected = [
        "__reconciliation__",
        "__runtime__",
        "project-0",
        "pull-request-2",
        "repository-1",
        "repository-3",
    ];
    assert_eq!(names, expected);
    assert_eq!(shown_first["__runtime__"]["syncState"], "failed");
    assert_eq!(shown_first["repository-1"]["syncState"], "completed");

    // Some of it changes, some goes, some comes in the end.
    world.port.server().behave();
    world.port.take_writes();
    world.bitbucket.delete_repository("zurich-unicode").unwrap();
    retitle(&world.bitbucket, "payments-api", 1, "Another title");
    let outcome = run(&world).await.unwrap();
    assert_told(&world, &outcome);
    let repositories = kind(&outcome, "repository");
    // One in nine of the services has no identifier: what is gone of these stays.
    for (what, expected) in [
        ("read", 8),
        ("written", 2),
        ("unchanged", 12),
        ("deleted", 1),
    ] {
        assert_eq!(repositories[what], expected, "{what}: {repositories}");
    }
    assert_eq!(kind(&outcome, "pull-request")["written"], 1);
    assert_eq!(world.port.heartbeats(), Vec::<String>::new());
    world.finish();
}

#[tokio::test]
async fn a_kind_that_cannot_be_read_is_shown_as_failed_and_the_others_are_not() {
    let world = world().await;
    let fault = Fault::refused("/pullrequests", 403).at_end();
    world.bitbucket.server().misbehave(fault);
    let outcome = run(&world).await.unwrap();
    assert_told(&world, &outcome);
    assert_eq!(kind(&outcome, "pull-request")["unread"], 1, "{outcome:#}");
    let shown = shown(&world, &outcome);
    let states = ["pull-request-2", "project-0", "__reconciliation__"];
    let states = states.map(|name| shown[name]["syncState"].clone());
    assert_eq!(states, ["failed", "completed", "completed"]);
    world.finish();
}

/// Port takes a sync whose beat stops for aborted: nothing is said of a run before it is over.
#[tokio::test]
async fn a_run_of_several_slices_is_one_sync_that_is_told_when_it_is_over() {
    let workspace = Workspace::generate(2, 30, 4, 3).unwrap();
    let world = World::new(workspace, Settings::new()).await;
    for name in ["repository", "pr"] {
        blueprint(&world, name, &[]);
    }
    let resources = json!([
        resource("repository", json!({}), "repository", json!(".slug")),
        resource("pull-request", json!({}), "pr", json!(NUMBERED)),
    ]);
    world
        .port
        .install(IDENTIFIER, json!({"resources": resources}));
    allow(&world, 10);
    let (outcome, hours) = by_the_hour(&world).await;
    assert!(1 < hours, "it took one slice");
    assert_eq!(kind(&outcome, "repository")["read"], 30, "{outcome:#}");
    assert_told(&world, &outcome);
    let events: Vec<String> = world
        .port
        .metrics()
        .into_iter()
        .map(|metric| metric.event_id)
        .collect();
    assert_eq!(events, vec![outcome["run"].as_str().unwrap(); 4]);
    let lines = world.port.logs();
    let lines: Vec<&str> = lines
        .iter()
        .filter_map(|line| line["message"].as_str())
        .collect();
    for part in ["resync begun", "resync goes on", "resync completed"] {
        assert!(lines.contains(&part), "{part}: {lines:#?}");
    }
    let pauses = lines.iter().filter(|line| {
        line.starts_with("resync pauses until ")
            && line.contains("Bitbucket's rate limit for requests to the API is used up")
    });
    assert_eq!(pauses.count(), hours);
    world.finish();
}

#[tokio::test]
async fn figures_that_port_does_not_take_cost_no_run_and_are_told_later() {
    let world = world().await;
    let away = Fault::status("/syncMetrics", 503).always();
    world.port.server().misbehave(away);
    let outcome = run(&world).await.unwrap();
    assert_eq!(world.port.metrics(), []);
    world.tick().await.unwrap();
    assert_eq!(world.port.metrics(), []);
    world.port.server().behave();
    world.tick().await.unwrap();
    assert_told(&world, &outcome);
    world.port.server().take_requests();
    world.tick().await.unwrap();
    let requests = world.port.server().take_requests();
    let again = requests
        .iter()
        .filter(|it| it.path.ends_with("/syncMetrics"));
    assert_eq!(again.count(), 0);
    // What Port refuses as it is would be refused each minute.
    let refused = Fault::new("/syncMetrics", FaultKind::refused(422)).always();
    world.port.server().misbehave(refused);
    let outcome = run(&world).await.unwrap();
    assert_eq!(outcome["counts"]["refused"], 0, "{outcome:#}");
    world.port.server().take_requests();
    world.tick().await.unwrap();
    let requests = world.port.server().take_requests();
    let again = requests
        .iter()
        .filter(|it| it.path.ends_with("/syncMetrics"));
    assert_eq!(again.count(), 0);
    world.finish();
}

#[tokio::test]
async fn a_run_that_fails_is_shown_as_failed() {
    let world = world().await;
    let refused = Fault::refused("/repositories", 403).always();
    world.bitbucket.server().misbehave(refused);
    let fault = Fault::refused("/projects", 403).always();
    world.bitbucket.server().misbehave(fault);
    let failure = run(&world).await.unwrap_err();
    assert!(failure.contains("nothing could be read"), "{failure}");
    let metrics = world.port.metrics();
    assert!(
        metrics.iter().all(|metric| metric.sync_state == "failed"),
        "{metrics:#?}"
    );
    assert_eq!(metrics.len(), 6);
    world.finish();
}

//! What a server, a fault or a moment that nobody foresaw must not cost: nothing that exists is deleted, nothing that
//! was told is lost, and a run that left something says so.

mod absent;
mod figures;
mod lists;
mod mapping;
mod pace;
mod queue;
mod rights;
mod secret;
mod store;
mod told;
mod worst;

use std::time::Duration;

use sandbox::bitbucket::{Bitbucket, PullRequestChange};
use sandbox::port::WriteKind;
use sandbox::server::Request;
use sandbox::webhook::Delivery;
use serde_json::{Value, json};

use crate::convergence::difference;
use crate::support::{IDENTIFIER, World, event};

/// The catalogue is what a first resync would make, and nothing of it was ever deleted on the way.
pub(crate) async fn assert_fresh(world: &World, story: &str) {
    let fresh = world.fresh_catalogue().await;
    let live = world.port.catalogue();
    assert!(live == fresh, "{story}\n{}", difference(&live, &fresh));
    assert_spared(world, &fresh, story);
}

/// Nothing was deleted since the writes were last taken that is in `catalogue`.
pub(crate) fn assert_spared(world: &World, catalogue: &Value, story: &str) {
    for gone in deleted(world) {
        let exists = !catalogue[&gone.0][&gone.1].is_null();
        assert!(!exists, "{story}: {gone:?} was deleted, and exists");
    }
}

/// Blueprint and identifier of what was deleted since the writes were last taken.
pub(crate) fn deleted(world: &World) -> Vec<(String, String)> {
    let is_deletion = |kind| matches!(kind, WriteKind::Deleted | WriteKind::DeletedDependent);
    let writes = world.port.writes().into_iter();
    writes
        .filter(|write| is_deletion(write.kind))
        .map(|write| (write.blueprint, write.identifier))
        .collect()
}

/// One scheduled run, with the ticks that it takes; returns its outcome, or the error that ended it.
pub(crate) async fn run(world: &World) -> Result<Value, String> {
    let mut outcome = world.invoke(event("eventbridge-rule")).await;
    for _ in 0..100 {
        match &outcome {
            Ok(found) if found["status"] == "paused" => {
                // Longer than any server asks to be left alone.
                world.clock.advance(Duration::from_secs(600));
                outcome = world.tick().await;
            }
            // Somebody who died has the lease.
            Ok(found) if found["status"] == "busy" => {
                world.clock.advance(Duration::from_secs(60));
                outcome = world.invoke(event("eventbridge-rule")).await;
            }
            _ => break,
        }
    }
    outcome.map_err(|error| error.to_string())
}

/// So many hours pass, with a tick and a turn of the queue each quarter of an hour.
pub(crate) async fn hours(world: &World, hours: usize) {
    for _ in 0..4 * hours {
        world.clock.advance(Duration::from_secs(15 * 60));
        world.tick().await.ok();
        while 0 < world.work_off().await.0 {}
    }
}

/// A retitled pull request, and what Bitbucket delivers of it.
pub(crate) fn retitle(
    bitbucket: &Bitbucket,
    repository: &str,
    id: u64,
    title: &str,
) -> Vec<Delivery> {
    let change = PullRequestChange {
        title: Some(title.to_owned()),
        ..PullRequestChange::default()
    };
    bitbucket
        .update_pull_request(repository, id, change)
        .unwrap()
}

/// A resource that makes an entity of each item of `kind`.
pub(crate) fn resource(kind: &str, selector: Value, blueprint: &str, identifier: Value) -> Value {
    let mut selector = selector;
    if selector.get("query").is_none() {
        selector["query"] = json!("true");
    }
    let name = match kind {
        "pull-request" => ".title",
        _ => ".name",
    };
    json!({"kind": kind, "selector": selector, "port": {"entity": {"mappings": {
        "identifier": identifier, "blueprint": format!("'{blueprint}'"), "properties": {"name": name},
    }}}})
}

/// The identifier of a pull request: its repository's slug and its number.
pub(crate) const NUMBERED: &str =
    ".destination.repository.name + '/' + (.id | tostring) | gsub(\"[^A-Za-z0-9/]\"; \"-\")";

/// Adds a blueprint with a name, and relations to others by name.
pub(crate) fn blueprint(world: &World, identifier: &str, relations: &[(&str, &str)]) {
    let relations = relations.iter().map(|(name, target)| {
        let relation = json!({"target": target, "many": false, "required": false});
        ((*name).to_owned(), relation)
    });
    let relations: serde_json::Map<String, Value> = relations.collect();
    let blueprint = json!({
        "identifier": identifier, "title": identifier, "relations": relations,
        "schema": {"properties": {"name": {"type": "string"}}, "required": []},
    });
    world.port.put_blueprint(&blueprint).unwrap();
}

/// The demo workspace under `resources`, whose blueprints exist.
pub(crate) async fn with_resources(blueprints: &[&str], resources: Vec<Value>) -> World {
    let world = World::demo().await;
    for identifier in blueprints {
        blueprint(&world, identifier, &[]);
    }
    world
        .port
        .install(IDENTIFIER, json!({"resources": resources}));
    world
}

/// An upsert, of one entity or of many.
pub(crate) fn is_write(request: &Request) -> bool {
    request.path.ends_with("/entities") || request.path.ends_with("/entities/bulk")
}

//! What Port refuses, and what a mapping gives that it would refuse: each costs itself, is told, and empties nothing.

mod answers;
mod deletions;
mod identifiers;
mod shared;
mod together;
mod values;

use sandbox::port::Write;
use serde_json::{Value, json};

use crate::support::World;

/// A resource over all repositories with these mappings.
pub(crate) fn repositories(mappings: Value) -> Value {
    json!({"kind": "repository", "selector": {"query": "true"}, "port": {"entity": {"mappings": mappings}}})
}

/// One more run, which ends as `status` and finds nothing to write or delete.
pub(crate) async fn assert_settled(world: &World, status: &str, story: &str) -> Value {
    let before = world.port.catalogue();
    world.port.take_writes();
    let outcome = world
        .invoke(crate::support::event("eventbridge-rule"))
        .await
        .unwrap();
    assert_eq!(outcome["status"], status, "{story}: {outcome:#}");
    let writes: Vec<Write> = world.port.take_writes();
    assert!(writes.is_empty(), "{story}: {writes:#?}");
    assert_eq!(before, world.port.catalogue(), "{story}");
    outcome
}

//! What has to hold when a history is over: all is at rest, the catalogue is that of a first resync, another resync has
//! nothing to do, and the books say what those of a first resync say.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::time::Duration;

use ferry::entity::EntityKey;
use ferry::identity::ItemRef;
use ferry::store::documents::{
    Claim, Entry, Held, LeaseState, Record, Row, lease, place_of, records, row,
};
use ferry::store::run::{recorded_sources, run};
use ferry::store::{Found, Store};
use jiff::Timestamp;

use crate::convergence::difference;
use crate::support::{World, event};

/// Invocations after which a world that has no more troubles is at rest.
const MOST_ROUNDS: usize = 400;

/// Works off the queue and stored looks, and ticks, until nothing is left to do.
pub(super) async fn rest(world: &World, story: &mut Vec<String>) -> Result<(), String> {
    for _ in 0..MOST_ROUNDS {
        if let Some(next_at) = world.queue().next_at() {
            wait_until(world, next_at);
            let (received, back) = world.work_off().await;
            story.push(format!("    worked off {received}, {back} of them put off"));
            if received == 0 {
                // Somebody who died has another message of the same group.
                world.clock.advance(Duration::from_secs(60));
            }
            continue;
        }
        if world.bring_back().await {
            story.push("    stored looks are brought back".to_owned());
            continue;
        }
        let outcome = world.tick().await;
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(error) => {
                story.push(format!("    tick: {error:?}"));
                continue;
            }
        };
        story.push(format!("    tick: {outcome}"));
        let not_before = outcome["not_before"].as_str();
        if let Some(not_before) = not_before {
            wait_until(world, not_before.parse().unwrap());
        }
        let is_idle = outcome["status"] == "idle" && run_is_over(world).await;
        if is_idle && world.queue().next_at().is_none() {
            return Ok(());
        }
    }
    Err(format!("no rest after {MOST_ROUNDS} invocations"))
}

/// A tick is idle, too, while a run waits for its time.
async fn run_is_over(world: &World) -> bool {
    let found = world.app().store.load(&run()).await.unwrap();
    let Some(run) = found.value else {
        return true;
    };
    if let Some(not_before) = run.not_before {
        wait_until(world, not_before);
    }
    false
}

fn wait_until(world: &World, moment: Timestamp) {
    let wait = moment.duration_since(world.clock.now());
    let wait = Duration::try_from(wait).unwrap_or_default();
    world.clock.advance(wait);
}

/// One scheduled run, as far as it goes in one invocation.
pub(super) async fn scheduled(world: &World) -> String {
    let outcome = world.invoke(event("eventbridge-rule")).await;
    outcome.map_or_else(|error| format!("{error:?}"), |outcome| outcome.to_string())
}

pub(super) async fn judge(world: &World) -> Result<(), String> {
    let dead = world.queue().dead_letters();
    if dead != 0 {
        return Err(format!("{dead} dead letters"));
    }
    let (fresh, fresh_store) = world.fresh().await;
    let live = world.port.catalogue();
    if live != fresh {
        return Err(difference(&live, &fresh));
    }
    another_run_has_nothing_to_do(world).await?;
    for name in ["pen", "run"] {
        let found = world.app().store.load(&lease(name)).await.unwrap().value;
        if found.is_some_and(|LeaseState { held, .. }| held) {
            return Err(format!("the lease {name} is held"));
        }
    }
    books_are_right(&world.app().store, &fresh_store).await
}

async fn another_run_has_nothing_to_do(world: &World) -> Result<(), String> {
    world.port.take_writes();
    let mut outcome = world.invoke(event("eventbridge-rule")).await;
    for _ in 0..MOST_ROUNDS {
        match &outcome {
            // The allowance may be used up.
            Ok(paused) if paused["status"] == "paused" => {
                let not_before = paused["not_before"].as_str().unwrap();
                wait_until(world, not_before.parse().unwrap());
            }
            // Somebody has died with the lease.
            Ok(busy) if busy["status"] == "busy" => {}
            _ => break,
        }
        outcome = world.tick().await;
    }
    let outcome = outcome.map_err(|error| format!("another run fails: {error:?}"))?;
    let writes = world.port.take_writes();
    let has_completed = outcome["status"] == "completed";
    match has_completed && writes.is_empty() && outcome["counts"]["deleted"] == 0 {
        true => Ok(()),
        false => Err(format!("another run: {outcome:#}\nwrites: {writes:#?}")),
    }
}

/// Records and rows, as far as they say anything: the stamps and tombstones of two stores differ.
async fn books_are_right(live: &Store, fresh: &Store) -> Result<(), String> {
    let (ours, theirs) = (entries(live).await, entries(fresh).await);
    let items: BTreeSet<&ItemRef> = ours.keys().chain(theirs.keys()).collect();
    for item in items {
        let (live, fresh) = (ours.get(item), theirs.get(item));
        if live.is_some_and(|entry| !entry.sure) {
            return Err(format!("{item} is unsure"));
        }
        let (live, fresh) = (live.map(claims), fresh.map(claims));
        if live != fresh {
            return Err(format!("{item}\n  live:  {live:?}\n  fresh: {fresh:?}"));
        }
    }
    let claims = theirs.values().flat_map(|entry| &entry.claims);
    let keys = claims.flat_map(|claim| {
        let content = claim.content.iter().map(|held| &held.key);
        content.chain(&claim.targets)
    });
    let keys: BTreeSet<&EntityKey> = keys.collect();
    for key in keys {
        let (ours, theirs) = (found(live, key).await, found(fresh, key).await);
        if ours != theirs {
            return Err(format!(
                "row of {key}\n  live:  {ours:?}\n  fresh: {theirs:?}"
            ));
        }
    }
    Ok(())
}

/// What the entry claims. How an entity was written counts for the first only who claims it, and each may once have been
/// the first.
fn claims(entry: &Entry) -> Vec<Claim> {
    let mut claims = entry.claims.clone();
    for held in claims.iter_mut().flat_map(|claim| &mut claim.content) {
        *held = Held {
            waits: held.waits,
            refused: held.refused,
            ..Held::by_another(held.key.clone())
        };
    }
    claims
}

async fn found(store: &Store, key: &EntityKey) -> Option<Row> {
    store.load(&row(key)).await.unwrap().value
}

/// All items that claim something.
async fn entries(store: &Store) -> BTreeMap<ItemRef, Entry> {
    let sources = store.load(&recorded_sources()).await.unwrap().value;
    let mut entries = BTreeMap::new();
    for source in sources.unwrap_or_default().0 {
        let each = |name: &str, found: Found<Record>| {
            let place = place_of(&source, name).unwrap();
            let items = found.value.unwrap_or_default().items.into_iter();
            entries.extend(items.map(|(item, entry)| (place.partition.item(item), entry)));
            ControlFlow::Continue(())
        };
        store.list(&records(&source), "", each).await.unwrap();
    }
    entries.retain(|_, entry| !entry.claims.is_empty());
    entries
}

//! What preview announced is what happened: random blueprints, mappings, earlier catalogues and changes by hand; then a
//! preview, and the resync that it is about.
//!
//! Compared is what people see: the catalogue before and after, entity by entity and field by field, and what Port
//! refused. Nothing of how Ferry comes to its announcement is known here.

mod drawn;
mod made_up;
mod searches;
mod verdict;

use std::collections::BTreeSet;
use std::time::Duration;

use ferry::deadline::Deadline;
use ferry::resync::{Preview, Scope, preview};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestCaseError};
use sandbox::bitbucket::{NewPullRequest, Workspace};
use serde_json::{Value, json};

use crate::support::{IDENTIFIER, Settings, World, event};
use drawn::made_up;
use made_up::{BLUEPRINTS, ByHand, MadeUp};

pub(crate) use verdict::compare;

use verdict::{RefusedByPort, compare_but, compare_refusals};

/// Invocations of one run.
const MOST_INVOCATIONS: usize = 20;

/// Worlds played where the environment asks for nothing.
const WORLDS: u32 = 64;

/// What proptest plays where the environment asks for nothing.
const UNASKED: u32 = 256;

async fn begin(made_up: &MadeUp) -> World {
    let workspace = Workspace::empty("acme")
        .with_project("SHOP", "Shop")
        .unwrap()
        .with_project("ZOO", "The zoo")
        .unwrap()
        .with_repository("SHOP", "api", &[("README.md", "# api")])
        .unwrap()
        .with_repository("SHOP", "Web Shop", &[("README.md", "# web")])
        .unwrap()
        .with_repository("ZOO", "zebra", &[("a.txt", "a")])
        .unwrap();
    let world = World::new(workspace, Settings::new()).await;
    world.bitbucket.add_user("Ann Li");
    for slug in ["api", "api", "zebra"] {
        let number = world.bitbucket.pull_requests(slug).unwrap().len() + 1;
        let new = NewPullRequest {
            source: Some(format!("pr-{number}")),
            ..NewPullRequest::new("Mend it", "Ann Li")
        };
        world.bitbucket.open_pull_request(slug, new).unwrap();
    }
    let present: Vec<bool> = made_up.blueprints.iter().map(Option::is_some).collect();
    let blueprints = || {
        let all = made_up.blueprints.iter().enumerate();
        all.filter_map(|(position, it)| Some((position, it.as_ref()?)))
    };
    // Relations need their targets.
    for (position, _) in blueprints() {
        let bare = json!({"identifier": BLUEPRINTS[position], "title": "Any", "schema": {"properties": {}}});
        world.port.put_blueprint(&bare).unwrap();
    }
    for (position, blueprint) in blueprints() {
        let body = blueprint.body(position, &present);
        world.port.put_blueprint(&body).unwrap();
    }
    world
}

/// One scheduled run, with the ticks that it takes.
async fn run(world: &World) -> Result<Value, String> {
    let wrong = |error| format!("the run fails: {error:?}");
    let mut outcome = world
        .invoke(event("eventbridge-rule"))
        .await
        .map_err(wrong)?;
    for _ in 0..MOST_INVOCATIONS {
        if outcome["status"] != "paused" {
            return Ok(outcome);
        }
        world.clock.advance(Duration::from_secs(60));
        outcome = world.tick().await.map_err(wrong)?;
    }
    Err(format!("no end of the run: {outcome}"))
}

fn change_by_hand(world: &World, by_hand: &ByHand, present: &[bool]) {
    let port = &world.port;
    let all = port.entities();
    let chosen = |index: &prop::sample::Index| match all.is_empty() {
        true => None,
        false => Some(index.get(&all)),
    };
    let body = |entity: &sandbox::port::StoredEntity| {
        json!({
            "identifier": entity.identifier, "title": entity.title, "icon": entity.icon, "team": entity.team,
            "properties": entity.properties, "relations": entity.relations,
        })
    };
    match by_hand {
        ByHand::Edit(index) => {
            let Some(entity) = chosen(index) else { return };
            let mut body = body(entity);
            body["title"] = json!("By hand");
            if let Some(properties) = body["properties"].as_object_mut()
                && let Some(name) = properties.keys().next().cloned()
            {
                properties.remove(&name);
            }
            let datasource = &entity.datasource;
            port.put_entity(&entity.blueprint, &body, datasource)
                .unwrap();
        }
        ByHand::TakeOver(index) => {
            let Some(entity) = chosen(index) else { return };
            port.put_entity(&entity.blueprint, &body(entity), "somebody")
                .unwrap();
        }
        ByHand::Delete(index) => {
            let Some(entity) = chosen(index) else { return };
            port.delete_by_hand(&entity.blueprint, &entity.identifier);
        }
        ByHand::Create(position, identifier) if present[*position] => {
            let ours = format!("port-ocean/bitbucket-cloud/0.4.2/{IDENTIFIER}/exporter");
            let datasource = match *identifier == "left-behind" {
                true => ours.as_str(),
                false => "somebody",
            };
            let entity = json!({"identifier": identifier, "title": "By hand"});
            port.put_entity(BLUEPRINTS[*position], &entity, datasource)
                .unwrap();
        }
        ByHand::Redefine(position, blueprint) if present[*position] => {
            let body = blueprint.body(*position, present);
            port.put_blueprint(&body).unwrap();
        }
        ByHand::Create(..) | ByHand::Redefine(..) => {}
    }
}

async fn look(world: &World) -> Preview {
    let deadline = Deadline::at(&world.clock, jiff::Timestamp::MAX);
    preview(world.app(), &Scope::default(), &deadline)
        .await
        .unwrap()
}

async fn play(made_up: &MadeUp) -> Result<(), String> {
    let world = begin(made_up).await;
    let present: Vec<bool> = made_up.blueprints.iter().map(Option::is_some).collect();
    world.port.install(IDENTIFIER, json!({"resources": []}));
    let mut verdict = Ok(());
    if let Some(earlier) = &made_up.earlier {
        world.port.set_config(earlier.written());
        verdict = run(&world).await.map(drop);
    }
    world.port.set_config(made_up.mapping.written());
    for by_hand in &made_up.by_hand {
        change_by_hand(&world, by_hand, &present);
    }
    for change in &made_up.changes {
        world.bitbucket.change_at_random(*change).unwrap();
    }
    world.port.take_writes();
    let before = world.port.catalogue();
    let found = look(&world).await;
    let looked = match world.port.take_writes().as_slice() {
        [] => Ok(()),
        writes => Err(format!("the preview writes: {writes:?}")),
    };
    world.port.take_refused();
    let outcome = run(&world).await;
    let after = world.port.catalogue();
    let refused: BTreeSet<(String, bool, String)> = {
        let refused = world.port.take_refused().into_iter();
        refused
            .map(|it| (it.blueprint, it.is_deletion, it.identifier))
            .collect()
    };
    let writes = world.port.take_writes();
    let blueprints = world.port.blueprints().into_iter();
    let blueprints = blueprints.filter_map(|it| it["identifier"].as_str().map(str::to_owned));
    let blueprints: BTreeSet<String> = blueprints.collect();
    world.finish();
    verdict?;
    looked?;
    let outcome = outcome?;
    let refused = RefusedByPort {
        blueprints: &blueprints,
        refused: &refused,
    };
    // What is looked at once more after the run is told as what cannot be known.
    let later = writes.iter().filter(|write| write.resync.is_none());
    let later: BTreeSet<String> = later
        .map(|write| format!("{}/{}", write.blueprint, write.identifier))
        .collect();
    let is_told = found
        .unknown
        .iter()
        .any(|line| line.contains("looked at once more"));
    if !later.is_empty() && !is_told {
        return Err(format!(
            "{later:?} are written after the run, and nobody has said so"
        ));
    }
    compare_but(&found, (&before, &after), &later)
        .and_then(|()| match is_told {
            true => Ok(()),
            false => compare_refusals(&found, &refused),
        })
        .map_err(|wrong| {
            let writes: Vec<String> = writes.iter().map(ToString::to_string).collect();
            let (refused, foreseen) = (refused.refused, &found.refused);
            format!("{wrong}\n{outcome:#}\nwrites: {writes:#?}\nrefused: {refused:#?}\nforeseen: {foreseen:#?}")
        })
}

/// The same worlds each time; `PROPTEST_RNG_SEED` and `PROPTEST_CASES` ask for others.
fn repeatable() -> Config {
    const SEED: u64 = 19;
    let config = Config::default();
    Config {
        cases: if config.cases == UNASKED {
            WORLDS
        } else {
            config.cases
        },
        rng_seed: match config.rng_seed {
            RngSeed::Random => RngSeed::Fixed(SEED),
            asked_for => asked_for,
        },
        failure_persistence: None,
        max_shrink_iters: 400,
        ..config
    }
}

#[test]
fn what_a_preview_announces_is_what_a_resync_does() {
    proptest!(repeatable(), |(made_up in made_up())| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let verdict = runtime.block_on(play(&made_up));
        verdict.map_err(|wrong| TestCaseError::fail(format!("\n{wrong}")))?;
    });
}

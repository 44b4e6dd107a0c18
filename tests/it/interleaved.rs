//! Changes, their webhooks, resyncs, crashes and troubles of the servers, in any order: the catalogue ends as a
//! resync would make it.

use std::pin::Pin;
use std::time::Duration;

use ferry::app::App;
use ferry::invocation::Error;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError};
use sandbox::server::{Fault, FaultKind, Server};
use sandbox::webhook::Delivery;
use serde_json::Value;

use crate::convergence::{difference, every_kind, repeatable};
use crate::durability::poll_at_most;
use crate::support::{World, event};

#[derive(Clone, Debug)]
enum Turn {
    /// The workspace changes; Bitbucket tells of it now, or with the next change.
    Change { choice: u64, late: bool },
    /// The resync under way goes on for so long; without one, another begins.
    Resync { polls: usize },
    /// Lambda ends the resync under way, and nobody may go on for a while.
    Kill,
    /// One of the servers fails a few requests.
    Trouble {
        of_port: bool,
        kind: u8,
        after: usize,
        times: usize,
    },
}

fn turn() -> impl Strategy<Value = Turn> {
    prop_oneof![
        8 => (any::<u64>(), prop::bool::weighted(0.3)).prop_map(|(choice, late)| Turn::Change { choice, late }),
        6 => (1..70_usize).prop_map(|polls| Turn::Resync { polls }),
        1 => Just(Turn::Kill),
        1 => (any::<bool>(), 0..5_u8, 0..20_usize, 1..3_usize)
            .prop_map(|(of_port, kind, after, times)| Turn::Trouble { of_port, kind, after, times }),
    ]
}

fn trouble(kind: u8) -> FaultKind {
    match kind {
        0 => FaultKind::Reset,
        1 => FaultKind::Truncate,
        _ => FaultKind::Refuse,
    }
}

type Invocation<'a> = Pin<Box<dyn Future<Output = Result<Value, Error>> + 'a>>;

/// Bitbucket's side of a delivery: whoever is not told 202 is told again.
async fn deliver(world: &World, app: &App, waiting: &mut Vec<Delivery>) {
    let mut refused = Vec::new();
    for delivery in waiting.drain(..) {
        if world.post_at(app, &delivery).await != 202 {
            refused.push(delivery);
        }
    }
    *waiting = refused;
}

/// Takes the turns; returns the deliveries that nobody has taken yet.
async fn take(world: &World, elsewhere: &App, turns: &[Turn], story: &mut String) -> Vec<Delivery> {
    let mut waiting: Vec<Delivery> = Vec::new();
    let mut under_way: Option<Invocation<'_>> = None;
    for turn in turns {
        match turn {
            Turn::Change { choice, late } => {
                let (what, deliveries) = world.bitbucket.change_at_random(*choice).unwrap();
                story.push_str(&format!("- {what}, late: {late}\n"));
                waiting.extend(deliveries);
                if !late {
                    deliver(world, elsewhere, &mut waiting).await;
                    story.push_str(&format!("  {} wait\n", waiting.len()));
                }
            }
            Turn::Resync { polls } => {
                let mut invocation = under_way
                    .take()
                    .unwrap_or_else(|| Box::pin(world.invoke(event("eventbridge-rule"))));
                match poll_at_most(&mut invocation, *polls).await {
                    Some(outcome) => story.push_str(&format!("- resync ends: {outcome:?}\n")),
                    None => {
                        story.push_str(&format!("- resync for {polls} polls\n"));
                        under_way = Some(invocation);
                    }
                }
            }
            Turn::Kill => {
                if under_way.take().is_some() {
                    story.push_str("- resync killed\n");
                    world.clock.advance(Duration::from_secs(1_000));
                }
            }
            Turn::Trouble {
                of_port,
                kind,
                after,
                times,
            } => {
                let (server, part): (&Server, &str) = match of_port {
                    true => (world.port.server(), "/v1/"),
                    false => (world.bitbucket.server(), "/2.0/"),
                };
                let fault = match kind {
                    3 => Fault::status(part, 503),
                    4 => Fault::status(part, 429),
                    kind => Fault::new(part, trouble(*kind)),
                };
                server.misbehave(fault.after(*after).times(*times));
                story.push_str(&format!(
                    "- trouble {kind} of Port: {of_port}, {times} times after {after}\n"
                ));
            }
        }
    }
    if let Some(invocation) = under_way {
        story.push_str(&format!("- resync ends: {:?}\n", invocation.await));
    }
    waiting
}

async fn play(world: World, synced: bool, turns: &[Turn]) -> (String, Result<(), String>) {
    if synced {
        world.resync().await;
    }
    let mut story = format!("after a resync: {synced}\n");
    let elsewhere = world.elsewhere();
    let mut waiting = take(&world, &elsewhere, turns, &mut story).await;
    world.bitbucket.server().behave();
    world.port.server().behave();
    for _ in 0..3 {
        world.clock.advance(Duration::from_secs(4_000));
        deliver(&world, &elsewhere, &mut waiting).await;
    }
    for _ in 0..5 {
        world.clock.advance(Duration::from_secs(4_000));
        let outcome = world.tick().await;
        story.push_str(&format!("- tick: {outcome:?}\n"));
    }
    // A run that could not read everything leaves that to the next one, and so does one that was killed with what it
    // had written and not recorded.
    let killed = turns.iter().any(|turn| matches!(turn, Turn::Kill));
    if killed || story.contains("failed_partitions\": Array [S") {
        let outcome = world.resync().await;
        story.push_str(&format!("- another resync: {outcome:?}\n"));
    }
    if !waiting.is_empty() {
        return (
            story,
            Err(format!("{} deliveries are never taken", waiting.len())),
        );
    }
    let (live, fresh) = (world.port.catalogue(), world.fresh_catalogue().await);
    let verdict = match live == fresh {
        true => Ok(()),
        false => Err(difference(&live, &fresh)),
    };
    world.port.take_writes();
    let outcome = world.resync().await;
    let writes = world.port.take_writes();
    let verdict = verdict.and(
        match writes.is_empty() && outcome["counts"]["deleted"] == 0 {
            true => Ok(()),
            false => Err(format!("a resync still writes: {writes:#?}")),
        },
    );
    world.finish();
    (story, verdict)
}

#[test]
fn webhooks_between_the_steps_of_resyncs_converge() {
    let turns = proptest::collection::vec(turn(), 1..24);
    let config = Config {
        cases: repeatable().cases / 2,
        ..repeatable()
    };
    proptest!(config, |(synced: bool, turns in turns)| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (story, verdict) = runtime.block_on(async { play(every_kind().await, synced, &turns).await });
        verdict.map_err(|wrong| TestCaseError::fail(format!("\n{story}\n{wrong}")))?;
    });
}

//! The protocol holds in every small world, and every rule of it is needed.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use ferry_protocol::knockouts::{CAUGHT, EXEMPT};
use ferry_protocol::protocol::Protocol;
use ferry_protocol::rules::Rule;
use ferry_protocol::search::{Violation, has_endless_schedule, search};
use ferry_protocol::worlds::{self, ALONE, FROZEN_RENAMES, MAPPING, WAITING};

/// States of a world that a test has time for.
const LIMIT: usize = 8_000_000;
/// Searches at the same time.
const THREADS: usize = 2;

#[test]
fn every_world_holds() {
    let faults = for_each(worlds::ALL, |world| {
        let violation = violation(&Protocol::complete(*world))?;
        let (fault, story) = (violation.fault, violation.story.join("\n  "));
        Some(format!("{}: {fault}\n  {story}", world.name))
    });
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}

#[test]
fn without_a_rule_the_world_named_for_it_goes_wrong() {
    let missed = for_each(CAUGHT, |(rules, world)| {
        let is_caught = violation(&Protocol::without(rules, *world)).is_some();
        (!is_caught).then(|| format!("{} holds without {rules:?}", world.name))
    });
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn every_rule_is_caught_or_exempt() {
    for rule in Rule::ALL {
        let caught = CAUGHT
            .iter()
            .filter(|(rules, _)| rules.contains(rule))
            .count();
        let exempt = EXEMPT.iter().filter(|(exempt, _)| exempt == rule).count();
        assert_eq!(caught + exempt, 1, "{rule:?}");
    }
}

#[test]
fn every_world_has_a_name_of_its_own() {
    for world in worlds::ALL {
        let namesakes = worlds::ALL.iter().filter(|other| other.name == world.name);
        assert_eq!(namesakes.count(), 1, "{}", world.name);
    }
    for (rules, world) in CAUGHT {
        assert!(worlds::named(world.name).is_some(), "{rules:?}");
    }
}

#[test]
fn every_schedule_ends() {
    for world in [ALONE, WAITING, MAPPING, FROZEN_RENAMES] {
        assert_eq!(
            has_endless_schedule(&Protocol::complete(world), LIMIT),
            Ok(false),
            "{}",
            world.name
        );
    }
}

#[test]
fn story_tells_each_step_and_what_it_changed() {
    let violation = violation(&Protocol::without(&[Rule::AcknowledgeLast], ALONE)).unwrap();
    assert_eq!(violation.fault, "at rest, x is A1, and nothing maps to it");
    let steps = [
        "Bitbucket: A becomes gone              Bitbucket A=gone, queue {A}",
        "worker 2 takes look(A)                 queue {}",
        "worker 2 dies",
    ];
    assert_eq!(violation.story[1..], steps);
}

fn violation(protocol: &Protocol) -> Option<Violation> {
    let outcome = search(protocol, LIMIT);
    outcome
        .unwrap_or_else(|error| panic!("{}: {error}", protocol.world.name))
        .violation
}

/// Applies a check to each element, some at a time, and gathers what they complain about.
fn for_each<T: Sync>(elements: &[T], check: impl Fn(&T) -> Option<String> + Sync) -> Vec<String> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mine = std::iter::from_fn(|| elements.get(next.fetch_add(1, Ordering::Relaxed)));
        mine.filter_map(&check).collect::<Vec<_>>()
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("a search does not panic"))
            .collect()
    })
}

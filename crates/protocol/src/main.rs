//! The search at a prompt: larger worlds than the tests have time for, and the story of every knock-out.

use std::process::ExitCode;
use std::time::Instant;

use ferry_protocol::knockouts::CAUGHT;
use ferry_protocol::protocol::Protocol;
use ferry_protocol::rules::{Rule, Rules};
use ferry_protocol::search::{has_endless_schedule, search};
use ferry_protocol::world::World;
use ferry_protocol::worlds;

const USAGE: &str = "\
ferry-protocol all               every world, with its larger budget
ferry-protocol breaks [RULE ..]  what goes wrong without a rule, in the world named for it
ferry-protocol endless WORLD     whether a schedule never ends
ferry-protocol WORLD [RULE ..]   one world, without these rules
  --small                        with the budget of the tests";

/// States that fit into some 6 GB.
const LIMIT: usize = 80_000_000;

fn main() -> ExitCode {
    let (options, words): (Vec<String>, Vec<String>) = std::env::args()
        .skip(1)
        .partition(|word| word.starts_with('-'));
    let size = if options.iter().any(|option| option == "--small") {
        |world| world
    } else {
        World::large
    };
    match obey(&words, size) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            tell(&message);
            ExitCode::FAILURE
        }
    }
}

/// Does what the words say; whether all was as it should be.
fn obey(words: &[String], size: fn(World) -> World) -> Result<bool, String> {
    let Some((command, rest)) = words.split_first() else {
        return Err(USAGE.into());
    };
    match command.as_str() {
        "all" => {
            let holds = |world: &World| holds(&Protocol::complete(size(*world)), world.name);
            Ok(worlds::ALL.iter().filter(|world| !holds(world)).count() == 0)
        }
        "breaks" => {
            let wanted = rules(rest)?;
            let is_wanted = |rules: &[Rule]| {
                wanted.is_empty() || rules.iter().any(|rule| wanted.contains(rule))
            };
            let entries = CAUGHT.iter().filter(|(rules, _)| is_wanted(rules));
            let caught = entries.map(|(rules, world)| {
                !holds(
                    &Protocol::without(rules, size(*world)),
                    &format!("{rules:?} {}", world.name),
                )
            });
            Ok(caught.filter(|caught| !caught).count() == 0)
        }
        "endless" => {
            let world = rest.first().ok_or(USAGE)?;
            let endless = has_endless_schedule(&Protocol::complete(size(named(world)?)), LIMIT);
            let endless = endless.map_err(|error| error.to_string())?;
            tell(&format!(
                "{world}: {}",
                if endless {
                    "a schedule never ends"
                } else {
                    "every schedule ends"
                }
            ));
            Ok(!endless)
        }
        name => {
            let without = rules(rest)?.into_iter().fold(Rules::ALL, Rules::without);
            let protocol = Protocol {
                rules: without,
                ..Protocol::complete(size(named(name)?))
            };
            Ok(holds(&protocol, &words.join(" ")))
        }
    }
}

fn named(world: &str) -> Result<World, String> {
    worlds::named(world).ok_or_else(|| {
        let names: Vec<&str> = worlds::ALL.iter().map(|world| world.name).collect();
        format!("no world {world}; there are {}", names.join(", "))
    })
}

fn rules(names: &[String]) -> Result<Vec<Rule>, String> {
    let rule = |name: &String| {
        Rule::named(name).ok_or_else(|| format!("no rule {name}; there are {:?}", Rule::ALL))
    };
    names.iter().map(rule).collect()
}

/// Searches, and prints the figures and the story.
fn holds(protocol: &Protocol, title: &str) -> bool {
    let began = Instant::now();
    let outcome = match search(protocol, LIMIT) {
        Ok(outcome) => outcome,
        Err(error) => {
            tell(&format!("{title}: {error}"));
            return false;
        }
    };
    let verdict = outcome
        .violation
        .as_ref()
        .map_or("holds", |violation| &violation.fault);
    let (states, depth, took) = (outcome.states, outcome.depth, began.elapsed());
    tell(&format!(
        "{title:40} {states:>10} states, depth {depth:>3}, {took:6.1?}: {verdict}"
    ));
    for line in outcome
        .violation
        .iter()
        .flat_map(|violation| &violation.story)
    {
        tell(&format!("    {line}"));
    }
    outcome.violation.is_none()
}

#[expect(clippy::print_stdout, reason = "this is what the command line is for")]
fn tell(line: &str) {
    println!("{line}");
}

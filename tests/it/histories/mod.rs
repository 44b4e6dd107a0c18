//! Random histories: two workers and a run at once, polled in any order and for any length, among changes whose
//! webhooks come late, shuffled, twice or never, kills, a new mapping, troubles of the servers, several pages per list
//! and small allowances. In the end, without another resync, all is as a first resync would make it.
//!
//! Owns how a history is played. `history` says what one is, `actors` are those who work, `mappings` what a user may save
//! midway, `placed` changes that come in the worst moment, `verdict` says what has to hold in the end.

mod actors;
mod history;
mod mappings;
mod placed;
mod verdict;

use std::pin::Pin;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError};
use sandbox::bitbucket::{Bitbucket, Quirks, RateLimit};
use sandbox::fault::{Class, Faults};
use sandbox::server::Server;
use sandbox::webhook::Delivery;
use serde_json::Value;

use self::actors::Actors;
use self::history::{Arrival, History, Turn, history};
use self::placed::Placed;
use crate::convergence::{every_kind, repeatable};
use crate::support::World;

/// Deliveries under way beyond these arrive.
const LATEST: usize = 4;

/// A world in which a history is played.
struct Stage<'w> {
    world: &'w World,
    actors: Actors<'w>,
    synced: bool,
    arrival: Arrival,
    longest_page: usize,
    /// Deliveries under way.
    waiting: Vec<Delivery>,
    /// What only a run can mend.
    lost: usize,
    /// What must not have happened on the way.
    wrong: Option<String>,
    story: Vec<String>,
    /// The mapping that the world began with.
    mapping: Value,
}

impl<'w> Stage<'w> {
    async fn take(&mut self, turn: &Turn) {
        match *turn {
            Turn::Change { choice, place } => self.change(choice, place).await,
            Turn::Work {
                actor,
                polls,
                scheduled,
            } => {
                let line = self.actors.work(actor, polls, scheduled).await;
                self.tell(line);
            }
            Turn::Kill { actor } => {
                if self.actors.kill(actor) {
                    self.tell(format!("{} is killed", actors::NAMES[actor]));
                }
            }
            Turn::Wait { seconds } => {
                self.world.clock.advance(Duration::from_secs(seconds));
                self.tell(format!("{seconds} s pass"));
            }
            Turn::Trouble {
                of_port,
                seed,
                permille,
            } => {
                let (name, server) = self.servers()[usize::from(of_port)];
                let rate = f64::from(permille) / 1_000.0;
                server.misbehave(Faults::random(seed, rate).only([Class::Later]));
                // Twice in a row is no passing refusal any more.
                let refusals = Faults::random(!seed, rate / 20.0);
                server.misbehave(refusals.only([Class::Credentials]));
                self.tell(format!("{name} fails {permille} of a thousand requests"));
            }
            Turn::Behave => self.behave(),
            Turn::Save { variant } => self.save(variant),
            Turn::Place { placed, choice } => self.place(placed, choice).await,
        }
    }

    fn save(&mut self, variant: usize) {
        let (name, mapping) = mappings::variant(&self.mapping, variant);
        // Before the first run there may be no installation that has a mapping.
        if self.synced {
            self.world.port.set_now(self.world.clock.now());
            self.world.port.set_config(mapping);
            self.tell(format!("a mapping is saved: {name}"));
        }
    }

    async fn change(&mut self, choice: u64, place: usize) {
        let (what, deliveries) = self.world.bitbucket.change_at_random(choice).unwrap();
        self.tell(what);
        let waiting = &mut self.waiting;
        for delivery in deliveries {
            match self.arrival {
                Arrival::InOrder => waiting.push(delivery),
                Arrival::Shuffled => waiting.insert(place % (waiting.len() + 1), delivery),
                Arrival::Twice => {
                    waiting.push(delivery.clone());
                    waiting.insert(place % (waiting.len() + 1), delivery.redelivered());
                }
                Arrival::Lossy if place.is_multiple_of(3) => {
                    self.lost += 1;
                    self.story
                        .push(format!("    {} is lost", delivery.event_key));
                }
                Arrival::Lossy => waiting.push(delivery),
            }
        }
        let overdue = self.waiting.len().saturating_sub(match self.arrival {
            Arrival::InOrder | Arrival::Lossy => 0,
            Arrival::Shuffled | Arrival::Twice => LATEST,
        });
        self.deliver(overdue).await;
    }

    /// The receiver takes the first `count` deliveries under way.
    async fn deliver(&mut self, count: usize) {
        let due: Vec<Delivery> = self.waiting.drain(..count).collect();
        self.receive(due).await;
    }

    async fn receive(&mut self, due: Vec<Delivery>) {
        for delivery in due {
            let status = self.world.post_at(self.world.app(), &delivery).await;
            assert_eq!(status, 202, "{}", delivery.event_key);
            self.tell(format!("    {} arrives", delivery.event_key));
        }
    }

    /// Faults end; those that were met are part of the story.
    fn behave(&mut self) {
        for (name, server) in self.servers() {
            let met = server.met_faults();
            let met = met
                .iter()
                .map(|fault| format!("    {name} has met {fault}"));
            self.story.extend(met);
            server.behave();
        }
        self.tell("the servers behave".to_owned());
    }

    fn servers(&self) -> [(&'static str, &'w Server); 2] {
        [
            ("Bitbucket", self.world.bitbucket.server()),
            ("Port", self.world.port.server()),
        ]
    }

    fn tell(&mut self, line: String) {
        let time = self.world.clock.now();
        self.story.push(format!("{time:.0} {line}"));
    }

    /// All troubles are over, and everybody works on until nothing is left to do. What was lost is mended by one
    /// scheduled run.
    async fn calm_down(&mut self) -> Result<(), String> {
        self.behave();
        self.world.bitbucket.server().before_each(|_| ());
        self.world
            .bitbucket
            .lift_rate_limit(Bitbucket::TOKEN)
            .unwrap();
        let lines = self.actors.end().await;
        lines.into_iter().for_each(|line| self.tell(line));
        let under_way = self.waiting.len();
        self.deliver(under_way).await;
        verdict::rest(self.world, &mut self.story).await?;
        if 0 < self.lost {
            let outcome = verdict::scheduled(self.world).await;
            self.tell(format!("the run that mends what was lost: {outcome}"));
            verdict::rest(self.world, &mut self.story).await?;
        }
        self.wrong.take().map_or(Ok(()), Err)
    }
}

async fn play(world: World, history: &History) -> Result<(), String> {
    let world = world.with_queue().await;
    world.bitbucket.set_quirks(Quirks {
        longest_page: history.longest_page,
        ..Quirks::default()
    });
    let (clock, pace) = (world.clock.clone(), Duration::from_millis(history.pace));
    world
        .bitbucket
        .server()
        .before_each(move |_| clock.advance(pace));
    let mut story = Vec::new();
    if history.synced {
        world.resync().await;
        mappings::add_ballast(&world);
        world.resync().await;
        story.push("after a run".to_owned());
    }
    if let Some((requests, headers)) = history.allowance {
        let limit = RateLimit {
            headers,
            ..RateLimit::from(requests)
        };
        world
            .bitbucket
            .set_rate_limit(Bitbucket::TOKEN, limit)
            .unwrap();
    }
    let mut stage = Stage {
        world: &world,
        actors: Actors::new(&world),
        synced: history.synced,
        arrival: history.arrival,
        longest_page: history.longest_page,
        waiting: Vec::new(),
        lost: 0,
        wrong: None,
        story,
        mapping: mappings::of(&world),
    };
    for turn in &history.turns {
        stage.take(turn).await;
    }
    let calm = stage.calm_down().await;
    let story = std::mem::take(&mut stage.story);
    drop(stage);
    let verdict = match calm {
        Ok(()) => verdict::judge(&world).await,
        restless => restless,
    };
    world.finish();
    verdict.map_err(|wrong| format!("\n{}\n\n{wrong}", story.join("\n")))
}

/// Of each placed change, differing in what is changed.
const CHOICES: u64 = 3;

/// Histories of a mode, unless `PROPTEST_CASES` asks for another number.
const HISTORIES: u32 = 10;

/// What proptest plays where the environment asks for nothing.
const UNASKED: u32 = 256;

fn histories() -> Config {
    let asked = Config::default().cases;
    Config {
        cases: if asked == UNASKED { HISTORIES } else { asked },
        ..repeatable()
    }
}

type Begin = fn() -> Pin<Box<dyn Future<Output = World>>>;

/// A change that is placed, and once more after it, with nothing else.
fn check_placed(begin: Begin, placed: Placed) {
    for choice in 0..CHOICES {
        let place = |choice| Turn::Place { placed, choice };
        let history = History {
            synced: !choice.is_multiple_of(3),
            arrival: Arrival::InOrder,
            longest_page: 2,
            pace: 0,
            allowance: None,
            turns: vec![place(choice), place(choice + 100)],
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let verdict = runtime.block_on(async { play(begin().await, &history).await });
        if let Err(wrong) = verdict {
            panic!("{choice}: {wrong}");
        }
    }
}

/// A test of each placed change under each mapping.
macro_rules! placed_alone {
    ($($name:ident: $placed:ident,)*) => {
        mod placed_alone {
            mod under_the_default_mapping {
                use super::super::*;
                $(#[test] fn $name() { check_placed(|| Box::pin(World::demo()), Placed::$placed); })*
            }

            mod under_a_mapping_of_every_kind {
                use super::super::*;
                $(#[test] fn $name() { check_placed(|| Box::pin(every_kind()), Placed::$placed); })*
            }
        }
    };
}

placed_alone! {
    a_run_is_overtaken: RunOvertaken,
    a_worker_is_overtaken: WorkerOvertaken,
    a_list_shifts: ListShifted,
    a_mapping_is_saved: MappingSaved,
    a_worker_is_killed_writing: KilledWriting,
    names_are_swapped: NamesSwapped,
    a_repository_is_hidden: Hidden,
    a_new_name_is_refused: Refused,
}

fn check(world: Begin) {
    proptest!(histories(), |(history in history())| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let verdict = runtime.block_on(async { play(world().await, &history).await });
        verdict.map_err(TestCaseError::fail)?;
    });
}

#[test]
fn two_workers_and_a_run_converge_under_the_default_mapping() {
    check(|| Box::pin(World::demo()));
}

#[test]
fn two_workers_and_a_run_converge_under_a_mapping_of_every_kind() {
    check(|| Box::pin(every_kind()));
}

//! No two processes whose own clocks both say that they hold: whatever they do, in whichever order, and however late their
//! reads and writes take effect and are answered.

use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;

use crate::store::documents::LeaseState;
use crate::store::lease::Asker;
use crate::store::lease::decision::{Decision, Fresh, LEASE, MARK, Watched, decide};
use crate::store::{Found, Revision};

#[derive(Clone, Copy, Debug)]
enum Step {
    /// The process does what comes next: asks, is answered, writes, is answered.
    Go(usize),
    /// Clocks go on by so many seconds; those of processes that neither hold nor write may stand still.
    Pass {
        seconds: u64,
        still: u8,
    },
    /// A holder begins to say that it is alive, or to let go.
    Keep(usize),
    Release(usize),
    /// It begins anew and knows nothing; what it sent may still take effect.
    Die(usize),
    /// A write of a dead one takes effect.
    LandLate,
}

/// One process.
struct Actor {
    asker: Asker,
    now: Duration,
    watched: Watched,
    phase: Phase,
    held: Option<Held>,
}

#[derive(Clone)]
enum Phase {
    Idle,
    Asked {
        begun: Duration,
    },
    Seen {
        begun: Duration,
        found: Found<LeaseState>,
    },
    Sent(Sent),
    Landed {
        sent: Sent,
        revision: Option<Revision>,
    },
}

#[derive(Clone, Copy)]
struct Sent {
    next: LeaseState,
    expected: Revision,
    at: Duration,
    purpose: Purpose,
}

#[derive(Clone, Copy, PartialEq)]
enum Purpose {
    Take,
    Keep,
    Other,
}

#[derive(Clone, Copy)]
struct Held {
    state: LeaseState,
    revision: Revision,
    since: Duration,
}

struct World {
    document: Found<LeaseState>,
    written: u64,
    actors: Vec<Actor>,
    late: Vec<Sent>,
    taken: usize,
    stolen: usize,
}

impl Actor {
    fn new(asker: Asker, now: Duration) -> Actor {
        Actor {
            asker,
            now,
            watched: Watched::default(),
            phase: Phase::Idle,
            held: None,
        }
    }

    /// Without the safety margin, so that a mistake of any size shows.
    fn holds(&self) -> bool {
        self.held.is_some_and(|held| self.now - held.since < LEASE)
    }

    /// Sends what a holder says, unless another request of it is under way.
    fn say(&mut self, purpose: Purpose, change: impl Fn(LeaseState) -> LeaseState) -> bool {
        let (Phase::Idle, Some(held)) = (&self.phase, self.held) else {
            return false;
        };
        self.phase = Phase::Sent(Sent {
            next: change(held.state),
            expected: held.revision,
            at: self.now,
            purpose,
        });
        true
    }
}

impl World {
    fn new() -> World {
        // Their clocks have nothing to do with each other.
        let actors = [(Asker::Live, 0), (Asker::Live, 1_000_000), (Asker::Run, 77)];
        let actors = actors.map(|(asker, now)| Actor::new(asker, Duration::from_secs(now)));
        World {
            document: Found {
                value: None,
                revision: Revision::ABSENT,
            },
            written: 0,
            actors: actors.into(),
            late: Vec::new(),
            taken: 0,
            stolen: 0,
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Go(number) => self.go(number),
            Step::Pass { seconds, still } => {
                for (number, actor) in self.actors.iter_mut().enumerate() {
                    let writes = matches!(actor.phase, Phase::Sent(_) | Phase::Landed { .. });
                    if actor.held.is_some() || writes || still & (1 << number) == 0 {
                        actor.now += Duration::from_secs(seconds);
                    }
                }
            }
            Step::Keep(number) => {
                let beat = |state: LeaseState| LeaseState {
                    beat: state.beat + 1,
                    ..state
                };
                self.actors[number].say(Purpose::Keep, beat);
            }
            Step::Release(number) => {
                let free = |state| LeaseState {
                    held: false,
                    ..state
                };
                if self.actors[number].say(Purpose::Other, free) {
                    self.actors[number].held = None;
                }
            }
            Step::Die(number) => {
                let actor = &mut self.actors[number];
                if let Phase::Sent(sent) = actor.phase {
                    self.late.push(sent);
                }
                *actor = Actor::new(actor.asker, actor.now + Duration::from_secs(1));
            }
            Step::LandLate => {
                if let Some(sent) = self.late.pop() {
                    self.land(sent);
                }
            }
        }
    }

    fn go(&mut self, number: usize) {
        let (document, mark) = (self.document.clone(), self.written + 1);
        let actor = &mut self.actors[number];
        let now = actor.now;
        actor.phase = match std::mem::replace(&mut actor.phase, Phase::Idle) {
            Phase::Idle if actor.held.is_some() => Phase::Idle,
            Phase::Idle => Phase::Asked { begun: now },
            Phase::Asked { begun } => Phase::Seen {
                begun,
                found: document,
            },
            Phase::Seen { begun, found } => {
                let unchanged = actor.watched.observe(&found, begun, now);
                let fresh = Fresh { epoch: 1_000, mark };
                let (next, purpose) = match decide(actor.asker, &found, unchanged, fresh) {
                    Decision::Take { next, .. } => (next, Purpose::Take),
                    Decision::Mark { next } => (next, Purpose::Other),
                    Decision::Wait => return,
                };
                Phase::Sent(Sent {
                    next,
                    expected: found.revision,
                    at: now,
                    purpose,
                })
            }
            Phase::Sent(sent) => {
                let revision = self.land(sent);
                self.actors[number].phase = Phase::Landed { sent, revision };
                return;
            }
            Phase::Landed { sent, revision } => {
                actor.answered(sent, revision, &document);
                Phase::Idle
            }
        };
    }

    /// A conditional write takes effect, or not.
    fn land(&mut self, sent: Sent) -> Option<Revision> {
        if sent.expected != self.document.revision {
            return None;
        }
        let was_held = self.document.value.is_some_and(|state| state.held);
        if sent.purpose == Purpose::Take {
            self.taken += 1;
            self.stolen += usize::from(was_held);
        }
        self.written += 1;
        self.document = Found {
            value: Some(sent.next),
            revision: Revision::number(self.written),
        };
        Some(self.document.revision)
    }
}

impl Actor {
    fn answered(&mut self, sent: Sent, revision: Option<Revision>, now: &Found<LeaseState>) {
        match (revision, sent.purpose) {
            (_, Purpose::Other) => {}
            (Some(revision), Purpose::Take | Purpose::Keep) => {
                self.held = Some(Held {
                    state: sent.next,
                    revision,
                    since: sent.at,
                });
            }
            (None, Purpose::Take) => {}
            // As `Lease` does: the mark of another is taken in, a lost lease given up.
            (None, Purpose::Keep) => {
                let ours = |state: &LeaseState| state.held && state.epoch == sent.next.epoch;
                let state = now.value.filter(ours);
                let since = self.held.map(|held| held.since);
                self.held = state.zip(since).map(|(state, since)| Held {
                    state,
                    revision: now.revision,
                    since,
                });
            }
        }
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let actor = 0..3_usize;
    let seconds = prop::sample::select(vec![1, 5, 14, 29, 30]);
    let step = prop_oneof![
        40 => actor.clone().prop_map(Step::Go),
        8 => (seconds, 0..8_u8).prop_map(|(seconds, still)| Step::Pass { seconds, still }),
        2 => actor.clone().prop_map(Step::Keep),
        1 => actor.clone().prop_map(Step::Release),
        1 => actor.prop_map(Step::Die),
        1 => Just(Step::LandLate),
    ];
    prop::collection::vec(step, 1..300)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn never_two_hold_by_their_own_clocks(steps in steps()) {
        let mut world = World::new();
        let mut epoch = 0;
        for step in steps {
            world.step(step);
            let holders = world.actors.iter().filter(|actor| actor.holds()).count();
            prop_assert!(holders <= 1, "{holders} hold after {step:?}");
            let now = world.document.value.map_or(0, |state| state.epoch);
            prop_assert!(epoch <= now, "epochs grow");
            epoch = now;
        }
    }

    /// Nobody is kept off for ever: after any history somebody who goes on asking gets it.
    #[test]
    fn who_goes_on_asking_gets_it(steps in steps(), asker in 0..3_usize) {
        let mut world = World::new();
        steps.into_iter().for_each(|step| world.step(step));
        (0..3).for_each(|number| world.step(Step::Die(number)));
        for _ in 0..(LEASE + MARK).as_secs() + 2 {
            (0..5).for_each(|_| world.step(Step::Go(asker)));
            world.step(Step::Pass { seconds: 1, still: 0 });
        }
        prop_assert!(world.actors[asker].held.is_some());
    }
}

/// The histories above are of use: leases are taken and stolen in them.
#[test]
fn histories_hold_what_they_should() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut taken, mut stolen) = (0, 0);
    for _ in 0..50 {
        let steps = steps().new_tree(&mut runner).unwrap().current();
        let mut world = World::new();
        steps.into_iter().for_each(|step| world.step(step));
        taken += world.taken;
        stolen += world.stolen;
    }
    assert!(100 < taken && 30 < stolen, "taken {taken}, stolen {stolen}");
}

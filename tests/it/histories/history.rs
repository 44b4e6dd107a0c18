//! What a history is, and how one is drawn.

use proptest::prelude::*;

use super::mappings;
use super::placed::{Placed, placed};

/// How the deliveries of a history arrive.
#[derive(Clone, Copy, Debug)]
pub(super) enum Arrival {
    InOrder,
    /// Later ones may overtake earlier ones, by a few.
    Shuffled,
    /// Each twice, the second time later.
    Twice,
    /// Some never; the next scheduled run mends that.
    Lossy,
}

#[derive(Clone, Debug)]
pub(super) enum Turn {
    /// The workspace changes. `place` says where its deliveries go among those that are under way.
    Change {
        choice: u64,
        place: usize,
    },
    /// An actor goes on for so long, then stands still at an await point. One that has nothing to go on with begins an
    /// invocation: a worker with what the queue hands out, the run with a tick or with the schedule.
    Work {
        actor: usize,
        polls: usize,
        scheduled: bool,
    },
    /// An actor's process dies.
    Kill {
        actor: usize,
    },
    Wait {
        seconds: u64,
    },
    /// One of the servers fails requests at random, so many of a thousand.
    Trouble {
        of_port: bool,
        seed: u64,
        permille: u32,
    },
    /// Both servers behave.
    Behave,
    /// The user saves another mapping.
    Save {
        variant: usize,
    },
    /// Changes come in the worst moment of somebody who is at work.
    Place {
        placed: Placed,
        choice: u64,
    },
}

#[derive(Clone, Debug)]
pub(super) struct History {
    /// A run has completed before.
    pub(super) synced: bool,
    pub(super) arrival: Arrival,
    /// Of every list of Bitbucket.
    pub(super) longest_page: usize,
    /// What passes with every request to Bitbucket, in milliseconds.
    pub(super) pace: u64,
    /// Requests an hour that the token has, if they are few, and whether answers say so.
    pub(super) allowance: Option<(usize, bool)>,
    pub(super) turns: Vec<Turn>,
}

fn polls() -> impl Strategy<Value = usize> {
    prop_oneof![4 => 1..10_usize, 4 => 10..60_usize, 2 => 60..500_usize]
}

fn turn() -> impl Strategy<Value = Turn> {
    prop_oneof![
        8 => (any::<u64>(), 0..64_usize).prop_map(|(choice, place)| Turn::Change { choice, place }),
        20 => (0..3_usize, polls(), prop::bool::weighted(0.1))
            .prop_map(|(actor, polls, scheduled)| Turn::Work { actor, polls, scheduled }),
        1 => (0..3_usize).prop_map(|actor| Turn::Kill { actor }),
        3 => prop_oneof![1..30_u64, 30..200_u64, 200..4_000_u64]
            .prop_map(|seconds| Turn::Wait { seconds }),
        1 => (any::<bool>(), any::<u64>(), 20..150_u32)
            .prop_map(|(of_port, seed, permille)| Turn::Trouble { of_port, seed, permille }),
        1 => Just(Turn::Behave),
        1 => (0..mappings::VARIANTS).prop_map(|variant| Turn::Save { variant }),
        3 => (placed(), 0..1_000_u64).prop_map(|(placed, choice)| Turn::Place { placed, choice }),
    ]
}

pub(super) fn history() -> impl Strategy<Value = History> {
    let arrival = prop_oneof![
        Just(Arrival::InOrder),
        Just(Arrival::Shuffled),
        Just(Arrival::Twice),
        Just(Arrival::Lossy),
    ];
    let allowance = prop::option::weighted(0.25, (60..300_usize, any::<bool>()));
    (
        prop::bool::weighted(0.7),
        arrival,
        (2..8_usize, prop_oneof![Just(0), 50..3_000_u64]),
        allowance,
        proptest::collection::vec(turn(), 1..60),
    )
        .prop_map(
            |(synced, arrival, (longest_page, pace), allowance, turns)| History {
                synced,
                arrival,
                longest_page,
                pace,
                allowance,
                turns,
            },
        )
}

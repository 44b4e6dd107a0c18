//! Breadth-first search through all states of a model, with the shortest story to the first one that is wrong, and a
//! depth-first search for schedules that never end. Knows nothing of Ferry.

use std::collections::HashSet;
use std::fmt;
use std::hash::{BuildHasherDefault, Hash, Hasher};

/// A state machine whose steps anybody may take in any order.
pub trait Model {
    type State: Copy + Hash;
    type Step: Copy + PartialEq;

    fn start(&self) -> Self::State;
    /// Pushes every step that is possible in `state`, with the state that it leads to.
    fn steps(&self, state: &Self::State, out: &mut Vec<(Self::Step, Self::State)>);
    /// The state that stands for all those from which the same follows.
    fn representative(&self, state: Self::State) -> Self::State;
    /// # Errors
    ///
    /// What is wrong with this state.
    fn verdict(&self, state: &Self::State) -> Result<(), String>;
    fn describe(&self, step: &Self::Step) -> String;
    /// What a reader wants to know of a state: as many facts, in the same order, for each.
    fn facts(&self, state: &Self::State) -> Vec<String>;
}

/// A state that is wrong, and the shortest way to it: one line per step.
#[derive(Debug)]
pub struct Violation {
    pub fault: String,
    pub story: Vec<String>,
}

#[derive(Debug)]
pub struct Outcome {
    /// States visited.
    pub states: usize,
    /// Steps of the longest of the shortest ways.
    pub depth: usize,
    pub violation: Option<Violation>,
}

/// A search that would visit more states than it was given.
#[derive(Debug, PartialEq, Eq)]
pub struct TooLarge {
    pub limit: usize,
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "more than {} states", self.limit)
    }
}

impl std::error::Error for TooLarge {}

/// Visits every state once, nearest first.
///
/// A state is remembered by 64 bits. Two of 10^7 states have the same ones with a probability below 10^-5; then one of
/// them would not be visited.
///
/// # Errors
///
/// [`TooLarge`] if there are more than `limit` states.
pub fn search<M: Model>(model: &M, limit: usize) -> Result<Outcome, TooLarge> {
    let start = model.representative(model.start());
    let mut known = Known::default();
    known.insert(fingerprint(&start));
    // How each state was first reached: from which, by which step.
    let mut origins: Vec<Option<(u32, M::Step)>> = vec![None];
    let (mut front, mut next, mut steps) = (vec![(0_u32, start)], Vec::new(), Vec::new());
    let mut depth = 0;
    loop {
        for (at, state) in front.drain(..) {
            if let Err(fault) = model.verdict(&state) {
                let story = story(model, &path(&origins, at));
                let violation = Some(Violation { fault, story });
                return Ok(Outcome {
                    states: origins.len(),
                    depth,
                    violation,
                });
            }
            model.steps(&state, &mut steps);
            for (step, to) in steps.drain(..) {
                let to = model.representative(to);
                if known.insert(fingerprint(&to)) {
                    next.push((origins.len() as u32, to));
                    origins.push(Some((at, step)));
                }
            }
        }
        if origins.len() > limit {
            return Err(TooLarge { limit });
        }
        if next.is_empty() {
            return Ok(Outcome {
                states: origins.len(),
                depth,
                violation: None,
            });
        }
        std::mem::swap(&mut front, &mut next);
        depth += 1;
    }
}

fn path<S: Copy>(origins: &[Option<(u32, S)>], mut at: u32) -> Vec<S> {
    let mut steps = Vec::new();
    while let Some((from, step)) = origins[at as usize] {
        steps.push(step);
        at = from;
    }
    steps.reverse();
    steps
}

/// Takes the steps again, on states that keep their names. Each line says what was done and which facts changed.
fn story<M: Model>(model: &M, path: &[M::Step]) -> Vec<String> {
    let mut state = model.start();
    let mut facts = model.facts(&state);
    let mut lines = vec![format!("at first: {}", facts.join(", "))];
    let mut steps = Vec::new();
    for stage in stages(model, path) {
        steps.clear();
        model.steps(&state, &mut steps);
        let leads_there = |to: &M::State| fingerprint(&model.representative(*to)) == stage;
        let Some((step, to)) = steps.iter().find(|(_, to)| leads_there(to)) else {
            break;
        };
        state = *to;
        let now = model.facts(&state);
        let changed: Vec<&str> = now
            .iter()
            .zip(&facts)
            .filter(|(now, before)| now != before)
            .map(|(now, _)| now.as_str())
            .collect();
        lines.push(
            format!("{:38} {}", model.describe(step), changed.join(", "))
                .trim_end()
                .to_owned(),
        );
        facts = now;
    }
    lines
}

/// Fingerprints of the representatives along a path.
fn stages<M: Model>(model: &M, path: &[M::Step]) -> Vec<u64> {
    let (mut state, mut steps) = (model.representative(model.start()), Vec::new());
    let mut stages = Vec::new();
    for step in path {
        steps.clear();
        model.steps(&state, &mut steps);
        if let Some((_, to)) = steps.iter().find(|(taken, _)| taken == step) {
            state = model.representative(*to);
            stages.push(fingerprint(&state));
        }
    }
    stages
}

/// Whether a schedule can go on for ever: a state that leads back to itself.
///
/// # Errors
///
/// [`TooLarge`] if there are more than `limit` states.
pub fn has_endless_schedule<M: Model>(model: &M, limit: usize) -> Result<bool, TooLarge> {
    let (mut finished, mut open) = (Known::default(), Known::default());
    let mut steps = Vec::new();
    let mut enter = |state: &M::State| -> (u64, Vec<M::State>) {
        model.steps(state, &mut steps);
        (
            fingerprint(state),
            steps
                .drain(..)
                .map(|(_, to)| model.representative(to))
                .collect(),
        )
    };
    let first = enter(&model.representative(model.start()));
    open.insert(first.0);
    let mut way = vec![first];
    while let Some((at, ahead)) = way.last_mut() {
        let Some(state) = ahead.pop() else {
            finished.insert(*at);
            open.remove(at);
            way.pop();
            continue;
        };
        let to = fingerprint(&state);
        if open.contains(&to) {
            return Ok(true);
        }
        if !finished.contains(&to) {
            if limit <= finished.len() {
                return Err(TooLarge { limit });
            }
            open.insert(to);
            way.push(enter(&state));
        }
    }
    Ok(false)
}

type Known = HashSet<u64, BuildHasherDefault<Unhashed>>;

fn fingerprint<S: Hash>(state: &S) -> u64 {
    let mut hasher = Fingerprint::default();
    state.hash(&mut hasher);
    hasher.finish()
}

/// Folds the bytes of a state, eight at a time, by multiplication. A state has no parts of variable length: lengths are
/// left out, and the tags of enums take one byte.
#[derive(Default)]
struct Fingerprint {
    word: u64,
    filled: u32,
    folded: u64,
}

impl Fingerprint {
    fn fold(folded: u64, word: u64) -> u64 {
        let product = u128::from(folded ^ word ^ 0x9e37_79b9_7f4a_7c15) * 0xd6e8_feb8_6659_fd93;
        (product >> 64) as u64 ^ product as u64
    }
}

impl Hasher for Fingerprint {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u8(*byte));
    }

    fn write_u8(&mut self, byte: u8) {
        self.word = self.word << 8 | u64::from(byte);
        self.filled += 1;
        if self.filled == 8 {
            self.folded = Self::fold(self.folded, self.word);
            (self.word, self.filled) = (0, 0);
        }
    }

    fn write_isize(&mut self, tag: isize) {
        self.write_u8(tag as u8);
    }

    fn write_usize(&mut self, _length: usize) {}

    fn finish(&self) -> u64 {
        Self::fold(Self::fold(self.folded, self.word), u64::from(self.filled))
    }
}

/// Fingerprints are as good as hashes.
#[derive(Default)]
struct Unhashed(u64);

impl Hasher for Unhashed {
    fn write(&mut self, bytes: &[u8]) {
        bytes
            .iter()
            .for_each(|byte| self.0 = self.0 << 8 | u64::from(*byte));
    }

    fn write_u64(&mut self, fingerprint: u64) {
        self.0 = fingerprint;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts up by one or by three, and starts again after `last` if there is a `wrap`.
    struct Counter {
        last: u8,
        wrong: u8,
        wraps: bool,
    }

    impl Model for Counter {
        type State = u8;
        type Step = u8;

        fn start(&self) -> u8 {
            0
        }

        fn steps(&self, state: &u8, out: &mut Vec<(u8, u8)>) {
            let ahead = [1, 3].map(|by| (by, state + by));
            out.extend(ahead.into_iter().filter(|(_, to)| *to <= self.last));
            if self.wraps && *state == self.last {
                out.push((0, 0));
            }
        }

        fn representative(&self, state: u8) -> u8 {
            state
        }

        fn verdict(&self, state: &u8) -> Result<(), String> {
            if *state == self.wrong {
                Err(format!("{state} is wrong"))
            } else {
                Ok(())
            }
        }

        fn describe(&self, step: &u8) -> String {
            format!("+{step}")
        }

        fn facts(&self, state: &u8) -> Vec<String> {
            vec![format!("at {state}")]
        }
    }

    #[test]
    fn story_is_the_shortest() {
        let counter = Counter {
            last: 9,
            wrong: 7,
            wraps: false,
        };
        let violation = search(&counter, 100).unwrap().violation.unwrap();
        assert_eq!(violation.fault, "7 is wrong");
        // +1 and twice +3, in whatever order.
        assert_eq!(violation.story.len(), 1 + 3);
        assert!(violation.story[3].ends_with("at 7"));
    }

    #[test]
    fn every_state_is_visited_once() {
        let outcome = search(
            &Counter {
                last: 9,
                wrong: 10,
                wraps: true,
            },
            100,
        )
        .unwrap();
        assert_eq!((outcome.states, outcome.depth), (10, 4));
        assert!(outcome.violation.is_none());
    }

    #[test]
    fn too_many_states_are_an_error() {
        let outcome = search(
            &Counter {
                last: 200,
                wrong: 201,
                wraps: false,
            },
            100,
        );
        assert_eq!(outcome.unwrap_err(), TooLarge { limit: 100 });
    }

    #[test]
    fn endless_schedule_is_found() {
        let counter = |wraps| Counter {
            last: 9,
            wrong: 10,
            wraps,
        };
        assert_eq!(has_endless_schedule(&counter(true), 100), Ok(true));
        assert_eq!(has_endless_schedule(&counter(false), 100), Ok(false));
    }
}

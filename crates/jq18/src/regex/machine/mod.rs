//! Runs a [routine](super::program) on a text, by backtracking, as Oniguruma does. Every instruction counts, so nothing
//! that a pattern does can take long unnoticed.

mod step;
mod text;

use super::program::{Address, Instruction, Routine, Single, Starts};
use crate::guard::{self, Bound};
use crate::value::Error;

/// Instructions, or characters of a run, that make a step of [`guard`].
const TICKS_PER_STEP: usize = 8;
/// Ticks between two looks at the guard.
const CHECKED_EVERY: usize = 32 * TICKS_PER_STEP;
/// Ways back that may be remembered: 32 MB.
const MAX_FRAMES: usize = 1 << 20;

/// Where the groups of a match are: begin and end of each, the whole match first.
pub(super) type Slots = Vec<Option<usize>>;

/// What a search is to find.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// Empty matches do not count.
    pub(super) not_empty: bool,
    /// The longest match anywhere, not the first.
    pub(super) longest: bool,
}

/// What to do when the present way fails.
#[derive(Clone, Copy)]
enum Frame {
    /// Go on there.
    Branch(Address, usize),
    /// The machine takes a character back from a greedy run, and goes on at the address with an end between both
    /// positions.
    Shorter {
        then: Address,
        from: usize,
        to: usize,
    },
    /// A lazy run takes one more character.
    Longer { run: Address, at: usize, taken: u32 },
    /// Restore a slot.
    Slot(usize, Option<usize>),
    /// Restore a counter.
    Counter(usize, Counter),
}

#[derive(Clone, Copy, Default)]
struct Counter {
    iterations: u32,
    /// Where the present iteration began.
    began: usize,
}

pub(super) struct Machine<'m> {
    program: &'m Routine,
    text: &'m [u8],
    wanted: Wanted,
    search_start: usize,
    slots: Slots,
    counters: Vec<Counter>,
    frames: Vec<Frame>,
    ticks: usize,
}

impl<'m> Machine<'m> {
    pub(super) fn new(program: &'m Routine, text: &'m str, wanted: Wanted) -> Self {
        Self {
            program,
            text: text.as_bytes(),
            wanted,
            search_start: 0,
            slots: vec![None; 2 * (program.groups + 1)],
            counters: vec![Counter::default(); program.counters],
            frames: Vec::new(),
            ticks: 0,
        }
    }

    /// The match that begins first at or behind `from`.
    pub(super) fn search(&mut self, from: usize) -> Result<Option<Slots>, Error> {
        self.search_start = from;
        // With its length, whatever `\K` has moved.
        let mut best: Option<(usize, Slots)> = None;
        let mut at = from;
        while at <= self.text.len() {
            if self.may_start(at) {
                let longest = best.as_ref().map(|(length, _)| *length);
                self.slots.fill(None);
                if let Some(slot) = self.slots.first_mut() {
                    *slot = Some(at);
                }
                if let Some(end) = self.run(0, at, Goal::Match { start: at, longest })? {
                    if let Some(slot) = self.slots.get_mut(1) {
                        *slot = Some(end);
                    }
                    let found = self.slots.clone();
                    if !self.wanted.longest {
                        return Ok(Some(found));
                    }
                    best = Some((end - at, found));
                }
            }
            if self.program.starts == Starts::AtText {
                break;
            }
            at += self.decode(at).map_or(1, |(_, length)| length);
        }
        Ok(best.map(|(_, found)| found))
    }

    fn may_start(&self, at: usize) -> bool {
        match self.program.starts {
            Starts::Anywhere => true,
            Starts::AtText => at == 0 || at == self.search_start,
            Starts::AtLine => at == self.search_start || self.text.get(at - 1) == Some(&b'\n'),
        }
    }

    /// Matches from `address` on at `at`; the end. Ways back that are left over are forgotten, what they would restore is
    /// not, where frames are below: a surrounding way back restores it.
    fn run(&mut self, address: Address, at: usize, goal: Goal) -> Result<Option<usize>, Error> {
        let base = self.frames.len();
        let (mut pc, mut at) = (address, at);
        let mut best = None;
        loop {
            self.tick(1)?;
            match self.step(pc, at)? {
                Step::To(next, position) => (pc, at) = (next, position),
                Step::Accept if goal.refuses(at, self.wanted) => match self.back(base) {
                    Some(way) => (pc, at) = way,
                    None => break,
                },
                Step::Accept if self.wanted.longest && matches!(goal, Goal::Match { .. }) => {
                    best = self.longer(best, at);
                    match self.back(base) {
                        Some(way) => (pc, at) = way,
                        None => break,
                    }
                }
                Step::Accept => {
                    self.keep_restores(base);
                    return Ok(Some(at));
                }
                Step::Fail => match self.back(base) {
                    Some(way) => (pc, at) = way,
                    None => break,
                },
            }
        }
        Ok(best.map(|(end, slots)| {
            self.slots = slots;
            end
        }))
    }

    fn longer(&self, best: Option<(usize, Slots)>, end: usize) -> Option<(usize, Slots)> {
        match best {
            Some((known, slots)) if end <= known => Some((known, slots)),
            _ => Some((end, self.slots.clone())),
        }
    }

    fn tick(&mut self, ticks: usize) -> Result<(), Error> {
        self.ticks += ticks;
        if self.ticks < CHECKED_EVERY {
            return Ok(());
        }
        let steps = self.ticks / TICKS_PER_STEP;
        self.ticks = 0;
        if MAX_FRAMES < self.frames.len() {
            guard::trip(Bound::Bytes);
        }
        guard::work(steps)
    }

    /// Takes the last way back above `base`, restoring what lies above it.
    fn back(&mut self, base: usize) -> Option<(Address, usize)> {
        while base < self.frames.len() {
            match self.frames.pop()? {
                Frame::Branch(address, at) => return Some((address, at)),
                Frame::Shorter { then, from, to } => {
                    // A search may have begun within a character: no run gives back more than it took.
                    let shorter = self.before(to).max(from);
                    if from < shorter {
                        self.frames.push(Frame::Shorter {
                            then,
                            from,
                            to: shorter,
                        });
                    }
                    return Some((then, shorter));
                }
                Frame::Longer { run, at, taken } => {
                    if let Some(way) = self.one_more(run, at, taken) {
                        return Some(way);
                    }
                }
                Frame::Slot(index, value) => {
                    if let Some(slot) = self.slots.get_mut(index) {
                        *slot = value;
                    }
                }
                Frame::Counter(index, value) => {
                    if let Some(counter) = self.counters.get_mut(index) {
                        *counter = value;
                    }
                }
            }
        }
        None
    }

    fn one_more(&mut self, run: Address, at: usize, taken: u32) -> Option<(Address, usize)> {
        let Some(Instruction::Run { single, max, .. }) = self.program.code.get(run) else {
            return None;
        };
        let (char, length) = self.decode(at)?;
        if !single.takes(char) {
            return None;
        }
        let (at, taken) = (at + length, taken + 1);
        if max.is_none_or(|max| taken < max) {
            self.frames.push(Frame::Longer { run, at, taken });
        }
        Some((run + 1, at))
    }

    /// Forgets the ways back above `base`.
    fn keep_restores(&mut self, base: usize) {
        let mut kept = base;
        for index in base..self.frames.len() {
            if let Some(frame @ (Frame::Slot(..) | Frame::Counter(..))) =
                self.frames.get(index).copied()
                && let Some(slot) = self.frames.get_mut(kept)
            {
                *slot = frame;
                kept += 1;
            }
        }
        self.frames.truncate(kept);
    }
}

/// What one instruction leads to.
enum Step {
    To(Address, usize),
    Accept,
    Fail,
}

/// What a run is for.
#[derive(Clone, Copy)]
enum Goal {
    /// A match that begins there, longer than the one known.
    Match {
        start: usize,
        longest: Option<usize>,
    },
    /// Part of a match; perhaps it must end there.
    Inner { end: Option<usize> },
}

impl Goal {
    fn refuses(self, at: usize, wanted: Wanted) -> bool {
        match self {
            Goal::Match { start, longest } => {
                (wanted.not_empty && at == start)
                    || longest.is_some_and(|longest| at - start <= longest)
            }
            Goal::Inner { end } => end.is_some_and(|end| at != end),
        }
    }
}

impl Single {
    fn takes(&self, char: char) -> bool {
        match self {
            Single::Any => true,
            Single::AnyInLine => char != '\n',
            Single::Char(wanted) => char == *wanted,
            Single::Set(set) => set.contains(char),
        }
    }
}

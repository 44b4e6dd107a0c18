//! Runs a [program](super::program) on a text, by backtracking, as Oniguruma does. Every instruction counts, so nothing
//! that a pattern does can take long unnoticed.

use super::class::is_word;
use super::program::{Address, Inner, Instruction, Program, Single, Starts};
use super::tree::{Assertion, Greed};
use crate::guard::{self, Bound};
use crate::value::Error;

/// Instructions, or characters of a run, that make a step of [`guard`].
const TICKS_PER_STEP: usize = 8;
/// Ticks between two looks at the guard.
const CHECKED_EVERY: usize = 32 * TICKS_PER_STEP;
/// Ways back that may be remembered: 24 MB.
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
    /// A greedy run gives back a character: goes on at the address with an end between both positions.
    Shorter { then: Address, from: usize, to: usize },
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
    program: &'m Program,
    text: &'m [u8],
    wanted: Wanted,
    search_start: usize,
    slots: Slots,
    counters: Vec<Counter>,
    frames: Vec<Frame>,
    ticks: usize,
}

impl<'m> Machine<'m> {
    pub(super) fn new(program: &'m Program, text: &'m str, wanted: Wanted) -> Self {
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
        let mut best: Option<Slots> = None;
        let mut at = from;
        while at <= self.text.len() {
            if self.may_start(at) {
                let longest = best.as_ref().map(length);
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
                    best = Some(found);
                }
            }
            if self.program.starts == Starts::AtText {
                break;
            }
            at += self.decode(at).map_or(1, |(_, length)| length);
        }
        Ok(best)
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
                    let shorter = self.before(to);
                    if from < shorter {
                        self.frames.push(Frame::Shorter { then, from, to: shorter });
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
        let Some(Instruction::Run { single, max, .. }) = self.program.code.get(run) else { return None };
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
            if let Some(frame @ (Frame::Slot(..) | Frame::Counter(..))) = self.frames.get(index).copied()
                && let Some(slot) = self.frames.get_mut(kept)
            {
                *slot = frame;
                kept += 1;
            }
        }
        self.frames.truncate(kept);
    }

    fn step(&mut self, pc: Address, at: usize) -> Result<Step, Error> {
        let program = self.program;
        let Some(instruction) = program.code.get(pc) else { return Ok(Step::Fail) };
        Ok(match instruction {
            Instruction::One(single) => match self.decode(at) {
                Some((char, length)) if single.takes(char) => Step::To(pc + 1, at + length),
                _ => Step::Fail,
            },
            Instruction::Run { single, min, max, greed } => return self.take(pc, at, single, (*min, *max), *greed),
            Instruction::Jump(address) => Step::To(*address, at),
            Instruction::Fork(address) => {
                self.frames.push(Frame::Branch(*address, at));
                Step::To(pc + 1, at)
            }
            Instruction::ForkAway(address) => {
                self.frames.push(Frame::Branch(pc + 1, at));
                Step::To(*address, at)
            }
            Instruction::Save(index) => {
                if let Some(slot) = self.slots.get_mut(*index) {
                    self.frames.push(Frame::Slot(*index, *slot));
                    *slot = Some(at);
                }
                Step::To(pc + 1, at)
            }
            Instruction::Assert(assertion) if self.holds(*assertion, at) => Step::To(pc + 1, at),
            Instruction::Assert(_) => Step::Fail,
            Instruction::Reference { groups, ignore_case } => {
                let end = self.repeats(groups, *ignore_case, at)?;
                end.map_or(Step::Fail, |end| Step::To(pc + 1, end))
            }
            Instruction::Unless { groups, otherwise } => {
                let took_part = groups.iter().any(|group| self.group(*group).is_some());
                Step::To(if took_part { pc + 1 } else { *otherwise }, at)
            }
            Instruction::Inner { kind, then } => match self.inner(*kind, pc + 1, at)? {
                Some(end) => Step::To(*then, end),
                None => Step::Fail,
            },
            Instruction::Reset(counter) => {
                self.count(*counter, Counter::default());
                Step::To(pc + 1, at)
            }
            Instruction::Iterate { counter, min, max, lazy, exit } => {
                let iterations = self.counters.get(*counter).map_or(0, |counter| counter.iterations);
                if iterations < *min {
                    Step::To(pc + 1, at)
                } else if max.is_some_and(|max| max <= iterations) {
                    Step::To(*exit, at)
                } else {
                    let (now, later) = if *lazy { (*exit, pc + 1) } else { (pc + 1, *exit) };
                    self.frames.push(Frame::Branch(later, at));
                    Step::To(now, at)
                }
            }
            Instruction::Enter(counter) => {
                let iterations = self.counters.get(*counter).map_or(0, |counter| counter.iterations) + 1;
                self.count(*counter, Counter { iterations, began: at });
                Step::To(pc + 1, at)
            }
            Instruction::Again { counter, iterate } => {
                let empty = self.counters.get(*counter).is_some_and(|counter| counter.began == at);
                Step::To(if empty { pc + 1 } else { *iterate }, at)
            }
            Instruction::Accept => Step::Accept,
        })
    }

    fn count(&mut self, index: usize, value: Counter) {
        if let Some(counter) = self.counters.get_mut(index) {
            self.frames.push(Frame::Counter(index, *counter));
            *counter = value;
        }
    }

    /// As many characters as the run at `pc` may take; the rest is remembered.
    fn take(&mut self, pc: Address, start: usize, single: &Single, bounds: (u32, Option<u32>), greed: Greed) -> Result<Step, Error> {
        let (min, max) = bounds;
        let most = if greed == Greed::Lazy { Some(min) } else { max };
        let (mut at, mut taken, mut least) = (start, 0, start);
        while most.is_none_or(|most| taken < most)
            && let Some((char, length)) = self.decode(at)
            && single.takes(char)
        {
            at += length;
            taken += 1;
            if taken == min {
                least = at;
            }
        }
        self.tick(taken as usize)?;
        if taken < min {
            return Ok(Step::Fail);
        }
        match greed {
            Greed::Greedy if least < at => self.frames.push(Frame::Shorter { then: pc + 1, from: least, to: at }),
            Greed::Lazy if max.is_none_or(|max| taken < max) => self.frames.push(Frame::Longer { run: pc, at, taken }),
            _ => {}
        }
        Ok(Step::To(pc + 1, at))
    }

    /// Where the program goes on, if what begins at `address` allows it.
    fn inner(&mut self, kind: Inner, address: Address, at: usize) -> Result<Option<usize>, Error> {
        let (negative, found) = match kind {
            Inner::Atomic => return self.run(address, at, Goal::Inner { end: None }),
            Inner::Ahead { negative } => {
                let base = self.frames.len();
                let found = self.run(address, at, Goal::Inner { end: None })?.is_some();
                if negative && found {
                    self.back(base);
                }
                (negative, found)
            }
            Inner::Behind { negative, least, most } => {
                let base = self.frames.len();
                let found = self.behind(address, at, least, most)?;
                if negative && found {
                    self.back(base);
                }
                (negative, found)
            }
        };
        Ok((found != negative).then_some(at))
    }

    /// Whether what begins at `address` ends at `end`, beginning some characters before.
    fn behind(&mut self, address: Address, end: usize, least: u32, most: Option<u32>) -> Result<bool, Error> {
        let (mut start, mut back) = (end, 0);
        loop {
            if least <= back && self.run(address, start, Goal::Inner { end: Some(end) })?.is_some() {
                return Ok(true);
            }
            if start == 0 || most.is_some_and(|most| most <= back) {
                return Ok(false);
            }
            self.tick(1)?;
            start = self.before(start);
            back += 1;
        }
    }

    fn holds(&self, assertion: Assertion, at: usize) -> bool {
        let end = self.text.len();
        match assertion {
            Assertion::TextStart => at == 0,
            Assertion::TextEnd => at == end,
            Assertion::TextEndOrBreak => at == end || (at + 1 == end && self.text.get(at) == Some(&b'\n')),
            Assertion::LineStart => at == 0 || (at < end && self.text.get(at - 1) == Some(&b'\n')),
            Assertion::LineEnd => at == end || self.text.get(at) == Some(&b'\n'),
            Assertion::WordBoundary => self.at_word_boundary(at),
            Assertion::NoWordBoundary => !self.at_word_boundary(at),
            Assertion::SearchStart => at == self.search_start,
        }
    }

    fn at_word_boundary(&self, at: usize) -> bool {
        let word_at = |at| self.decode(at).is_some_and(|(char, _)| is_word(char));
        let before = at != 0 && word_at(self.before(at));
        before != word_at(at)
    }

    fn group(&self, number: usize) -> Option<(usize, usize)> {
        let begin = self.slots.get(2 * number).copied().flatten()?;
        let end = self.slots.get(2 * number + 1).copied().flatten()?;
        (begin <= end).then_some((begin, end))
    }

    /// The end of a repetition of the first group that took part.
    fn repeats(&mut self, groups: &[usize], ignore_case: bool, at: usize) -> Result<Option<usize>, Error> {
        let Some((mut from, to)) = groups.iter().find_map(|group| self.group(*group)) else { return Ok(None) };
        let mut at = at;
        self.tick(to - from)?;
        while from < to {
            let (Some((wanted, length)), Some((char, taken))) = (self.decode(from), self.decode(at)) else {
                return Ok(None);
            };
            let same = wanted == char || ignore_case && wanted.to_lowercase().eq(char.to_lowercase());
            if !same {
                return Ok(None);
            }
            (from, at) = (from + length, at + taken);
        }
        Ok(Some(at))
    }

    /// The character at a position, and its bytes. Within a character, where only a search that goes on behind an empty
    /// match may begin, Oniguruma takes each byte for a character.
    fn decode(&self, at: usize) -> Option<(char, usize)> {
        let first = *self.text.get(at)?;
        let follow = |offset: usize| self.text.get(at + offset).map_or(0, |byte| u32::from(byte & 0x3f));
        let first_bits = u32::from(first);
        let (code, length) = match first {
            0..=0xbf => (first_bits, 1),
            0xc0..=0xdf => ((first_bits & 0x1f) << 6 | follow(1), 2),
            0xe0..=0xef => ((first_bits & 0x0f) << 12 | follow(1) << 6 | follow(2), 3),
            _ => ((first_bits & 0x07) << 18 | follow(1) << 12 | follow(2) << 6 | follow(3), 4),
        };
        Some((char::from_u32(code)?, length))
    }

    /// The position of the character before.
    fn before(&self, at: usize) -> usize {
        let mut at = at.saturating_sub(1);
        while 0 < at && self.text.get(at).is_some_and(|byte| byte & 0xc0 == 0x80) {
            at -= 1;
        }
        at
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
    Match { start: usize, longest: Option<usize> },
    /// Part of a match; perhaps it must end there.
    Inner { end: Option<usize> },
}

impl Goal {
    fn refuses(self, at: usize, wanted: Wanted) -> bool {
        match self {
            Goal::Match { start, longest } => {
                (wanted.not_empty && at == start) || longest.is_some_and(|longest| at - start <= longest)
            }
            Goal::Inner { end } => end.is_some_and(|end| at != end),
        }
    }
}

fn length(slots: &Slots) -> usize {
    match slots.as_slice() {
        [Some(begin), Some(end), ..] => end.saturating_sub(*begin),
        _ => 0,
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

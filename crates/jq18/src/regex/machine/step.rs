//! What each instruction does.

use super::{Counter, Frame, Goal, Machine, Step};
use crate::regex::program::{Address, Inner, Instruction, Single};
use crate::regex::tree::Greed;
use crate::value::Error;

impl Machine<'_> {
    pub(super) fn step(&mut self, pc: Address, at: usize) -> Result<Step, Error> {
        let program = self.program;
        let Some(instruction) = program.code.get(pc) else {
            return Ok(Step::Fail);
        };
        Ok(match instruction {
            Instruction::One(single) => match self.decode(at) {
                Some((char, length)) if single.takes(char) => Step::To(pc + 1, at + length),
                _ => Step::Fail,
            },
            Instruction::Run {
                single,
                min,
                max,
                greed,
            } => return self.take(pc, at, single, (*min, *max), *greed),
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
            Instruction::Reference {
                groups,
                ignore_case,
            } => {
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
            Instruction::Reset(_)
            | Instruction::Iterate { .. }
            | Instruction::Enter(_)
            | Instruction::Again { .. } => self.repeat(instruction, pc, at),
            Instruction::Accept => Step::Accept,
        })
    }

    /// Instructions that count iterations.
    fn repeat(&mut self, instruction: &Instruction, pc: Address, at: usize) -> Step {
        match instruction {
            Instruction::Reset(counter) => {
                self.count(*counter, Counter::default());
                Step::To(pc + 1, at)
            }
            Instruction::Iterate {
                counter,
                min,
                max,
                lazy,
                exit,
            } => {
                let iterations = self
                    .counters
                    .get(*counter)
                    .map_or(0, |counter| counter.iterations);
                if iterations < *min {
                    Step::To(pc + 1, at)
                } else if max.is_some_and(|max| max <= iterations) {
                    Step::To(*exit, at)
                } else {
                    let (now, later) = if *lazy {
                        (*exit, pc + 1)
                    } else {
                        (pc + 1, *exit)
                    };
                    self.frames.push(Frame::Branch(later, at));
                    Step::To(now, at)
                }
            }
            Instruction::Enter(counter) => {
                let iterations = self
                    .counters
                    .get(*counter)
                    .map_or(0, |counter| counter.iterations)
                    + 1;
                self.count(
                    *counter,
                    Counter {
                        iterations,
                        began: at,
                    },
                );
                Step::To(pc + 1, at)
            }
            Instruction::Again { counter, iterate } => {
                let empty = self
                    .counters
                    .get(*counter)
                    .is_some_and(|counter| counter.began == at);
                Step::To(if empty { pc + 1 } else { *iterate }, at)
            }
            _ => Step::Fail,
        }
    }

    fn count(&mut self, index: usize, value: Counter) {
        if let Some(counter) = self.counters.get_mut(index) {
            self.frames.push(Frame::Counter(index, *counter));
            *counter = value;
        }
    }

    /// As many characters as the run at `pc` may take; the rest is remembered.
    fn take(
        &mut self,
        pc: Address,
        start: usize,
        single: &Single,
        bounds: (u32, Option<u32>),
        greed: Greed,
    ) -> Result<Step, Error> {
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
            Greed::Greedy if least < at => self.frames.push(Frame::Shorter {
                then: pc + 1,
                from: least,
                to: at,
            }),
            Greed::Lazy if max.is_none_or(|max| taken < max) => {
                self.frames.push(Frame::Longer { run: pc, at, taken })
            }
            _ => {}
        }
        Ok(Step::To(pc + 1, at))
    }

    /// Matches what begins at `address` by itself, and says where the program goes on if that allows it.
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
            Inner::Behind {
                negative,
                least,
                most,
            } => {
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
    fn behind(
        &mut self,
        address: Address,
        end: usize,
        least: u32,
        most: Option<u32>,
    ) -> Result<bool, Error> {
        let (mut start, mut back) = (end, 0);
        // Within a character, what lies behind is that character.
        let mut end = end;
        while self.text.get(end).is_some_and(|byte| byte & 0xc0 == 0x80) {
            end += 1;
        }
        loop {
            if least <= back
                && self
                    .run(address, start, Goal::Inner { end: Some(end) })?
                    .is_some()
            {
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
}
